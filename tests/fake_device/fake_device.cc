#include "tests/fake_device/fake_device.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/cuda/runtime.h"
#include "tensor/error.h"
#include "tensor/kernels.h"

namespace tests {
namespace {

constexpr int kDevices = 2;
constexpr int64_t kPage = int64_t{1} << 21;  // opening and closing costs by the page, so they are large
constexpr int64_t kAlignment = 256;

// The memory of one device: a range of addresses, used from its start, whose pages are all open or all closed.
class Arena {
 public:
  Arena() {
    void* range = ::mmap(nullptr, kFakeDeviceBytes + kPage, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    tensor::check(range != MAP_FAILED, tensor::ErrorKind::cuda, "fake device: no room for its addresses");
    auto* start = static_cast<std::byte*>(range);
    base_ = start + (kPage - reinterpret_cast<intptr_t>(start) % kPage) % kPage;
    ::madvise(base_, kFakeDeviceBytes, MADV_HUGEPAGE);
  }

  bool holds(const void* address) const { return address >= base_ && address < base_ + kFakeDeviceBytes; }

  void protect(bool open) {
    if (used_ > 0) ::mprotect(base_, static_cast<size_t>(used_), open ? PROT_READ | PROT_WRITE : PROT_NONE);
    if (!open) used_ = blocks_.empty() ? 0 : whole_pages(blocks_.rbegin()->first + blocks_.rbegin()->second);
  }

  // The first gap that is large enough.
  std::byte* allocate(int64_t bytes, bool open) {
    const int64_t size = std::max(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    int64_t at = 0;
    for (const auto& [start, length] : blocks_) {
      if (start - at >= size) break;
      at = start + length;
    }
    if (at + size > kFakeDeviceBytes) return nullptr;
    blocks_[at] = size;
    if (at + size > used_) {
      used_ = whole_pages(at + size);
      protect(open);
    }
    return base_ + at;
  }

  void release(const std::byte* block) { blocks_.erase(block - base_); }

  int64_t bytes_in_use() const {
    int64_t sum = 0;
    for (const auto& [start, length] : blocks_) sum += length;
    return sum;
  }
  int64_t blocks_in_use() const { return std::ssize(blocks_); }

 private:
  static int64_t whole_pages(int64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

  std::byte* base_ = nullptr;
  int64_t used_ = 0;                   // whole pages from the start, outside of which all is closed
  std::map<int64_t, int64_t> blocks_;  // where each begins, and its size
};

// Writes without a lock or memory of its own, as a signal's handler must.
void say(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(2, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

class FakeDevice final : public tensor::cuda::Runtime {
 public:
  int device_count() override { return kDevices; }
  std::string why_none() override { return ""; }
  std::string describe(int) override { return "a fake device"; }
  bool is_emulated() override { return true; }
  tensor::cuda::DeviceMemory device_memory(int) override { return {int64_t{8} << 30, int64_t{8} << 30}; }

  std::byte* allocate(int device, int64_t bytes) override {
    hear_of_faults();
    const std::lock_guard lock(mutex_);
    return arenas_[device].allocate(bytes, open_ > 0);
  }

  void release(int device, std::byte* block, int64_t) noexcept override {
    const std::lock_guard lock(mutex_);
    arenas_[device].release(block);
  }

  tensor::AllocatorStatistics memory_statistics(int device) override {
    const std::lock_guard lock(mutex_);
    return {.bytes_in_use = arenas_[device].bytes_in_use(), .blocks_in_use = arenas_[device].blocks_in_use()};
  }

  void wait(int device) override {
    const std::lock_guard lock(mutex_);
    ++counts_.waits;
    if (const std::exception_ptr error = std::exchange(errors_[device], nullptr))
      std::rethrow_exception(error);
  }

  std::unique_ptr<tensor::cuda::Fetch> fetch(int device, const std::byte* source, int64_t bytes) override {
    const Opened opened(*this);
    const std::lock_guard lock(mutex_);
    counts_.bytes_downloaded += bytes;
    return std::make_unique<Fetched>(*this, device, std::vector<std::byte>(source, source + bytes));
  }

  void measure_launches() override {}
  std::vector<tensor::cuda::LaunchTime> measured_launches() override { return {}; }

  void run_on_host(const char*, tensor::Device device, tensor::cuda::HostCall call) override {
    const Opened opened(*this);
    try {
      call.run(call.context);
    } catch (const tensor::Error& error) {
      // What a kernel finds in its numbers a device tells later. All else is said before a launch.
      if (error.kind() != tensor::ErrorKind::index || !opened.outermost()) throw;
      const std::lock_guard lock(mutex_);
      if (errors_[device.index] == nullptr) errors_[device.index] = std::current_exception();
    }
  }

  // A copy between two places, or on one.
  void copy(tensor::Tensor& out, const tensor::Tensor& x) {
    const Opened opened(*this);
    tensor::cpu::copy(out, x);
    const std::lock_guard lock(mutex_);
    if (x.device().is_cpu()) count_upload(x.bytes());
    if (out.device().is_cpu()) counts_.bytes_downloaded += out.bytes();
  }

  void copy_pieces(tensor::Tensor& out, const std::vector<tensor::Tensor>& pieces) {
    const Opened opened(*this);
    tensor::cpu::copy_pieces(out, pieces);
    const std::lock_guard lock(mutex_);
    count_upload(out.bytes());
  }

  FakeDeviceCounts counts() {
    const std::lock_guard lock(mutex_);
    FakeDeviceCounts all = counts_;
    for (const Arena& arena : arenas_) {
      all.bytes_in_use += arena.bytes_in_use();
      all.blocks_in_use += arena.blocks_in_use();
    }
    return all;
  }

  bool holds(const void* address) const {
    return std::any_of(std::begin(arenas_), std::end(arenas_),
                       [&](const Arena& a) { return a.holds(address); });
  }

 private:
  void count_upload(int64_t bytes) {
    ++counts_.uploads;
    counts_.bytes_uploaded += bytes;
  }

  // Copied at once; the host waits for it all the same.
  class Fetched final : public tensor::cuda::Fetch {
   public:
    Fetched(FakeDevice& device, int index, std::vector<std::byte> bytes)
        : device_(device), index_(index), bytes_(std::move(bytes)) {}
    const std::byte* wait() override {
      device_.wait(index_);
      return bytes_.data();
    }

   private:
    FakeDevice& device_;
    int index_;
    std::vector<std::byte> bytes_;
  };

  // The pages are open while one lives, of any thread.
  class Opened {
   public:
    explicit Opened(FakeDevice& device) : device_(device), outermost_(depth_++ == 0) {
      const std::lock_guard lock(device_.mutex_);
      if (outermost_) ++device_.counts_.launches;
      if (device_.open_++ == 0)
        for (Arena& arena : device_.arenas_) arena.protect(true);
    }
    ~Opened() {
      --depth_;
      const std::lock_guard lock(device_.mutex_);
      if (--device_.open_ == 0)
        for (Arena& arena : device_.arenas_) arena.protect(false);
    }
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;
    bool outermost() const { return outermost_; }

   private:
    static inline thread_local int depth_ = 0;

    FakeDevice& device_;
    bool outermost_;
  };

  // Again with each block: the test framework has a handler of its own for each case.
  static void hear_of_faults() {
    struct sigaction action {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND;
    ::sigaction(SIGSEGV, &action, nullptr);
  }
  // The fault comes again at once, without this handler, and ends the program.
  static void on_fault(int, siginfo_t* info, void*);

  std::mutex mutex_;
  Arena arenas_[kDevices];
  std::exception_ptr errors_[kDevices];  // the first since the last wait
  int open_ = 0;                         // how many keep the pages open
  FakeDeviceCounts counts_;
};

// Never destroyed: static objects' tensors may outlive it.
FakeDevice& fake_device() {
  static FakeDevice* const device = new FakeDevice;
  return *device;
}

void FakeDevice::on_fault(int, siginfo_t* info, void*) {
  if (fake_device().holds(info->si_addr))
    say("fake device: the host touched a device's memory outside of a kernel\n");
}

}  // namespace

FakeDeviceCounts fake_device_counts() { return fake_device().counts(); }

}  // namespace tests

namespace tensor::cuda {

Runtime* linked_runtime() { return &tests::fake_device(); }

void copy(Tensor& out, const Tensor& x) { tests::fake_device().copy(out, x); }
void copy_pieces(Tensor& out, const std::vector<Tensor>& pieces) {
  tests::fake_device().copy_pieces(out, pieces);
}

}  // namespace tensor::cuda
