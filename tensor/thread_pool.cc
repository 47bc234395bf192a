#include "tensor/thread_pool.h"

#include <sched.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "tensor/error.h"
#include "tensor/fork.h"
#include "tensor/hold_signals.h"

#if defined(__SANITIZE_THREAD__)
#define IMGCAP_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define IMGCAP_TSAN
#endif
#endif

namespace tensor {
namespace {

thread_local bool inside_parallel = false;

int available_processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// One call of parallel_for: threads take tiles by number until none is left.
struct Job {
  internal::RangeFunction function;
  void* context;
  int64_t n, grain, tiles;
  std::atomic<int64_t> next{0};
  std::atomic<int> failed{0};
  std::exception_ptr error{};

  void run() {
    const FlushDenormals flush;
    inside_parallel = true;
    for (;;) {
      const int64_t tile = next.fetch_add(1, std::memory_order_relaxed);
      if (tile >= tiles) break;
      try {
        function(context, tile * grain, std::min(n, (tile + 1) * grain));
      } catch (...) {
        if (failed.exchange(1) == 0) error = std::current_exception();
      }
    }
    inside_parallel = false;
  }
};

void relax() {
#if defined(__SSE__)
  _mm_pause();
#endif
}

class Pool {
 public:
  explicit Pool(int threads, const Pool* lost) : lost_(lost) {
    const HoldSignals hold;  // from their first instruction on
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
  }
  ~Pool() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
      generation_.fetch_add(1);
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Runs `job` on the workers and the caller; false when another thread has the pool, so the caller goes
  // alone.
  bool run(Job& job) {
    const std::unique_lock owner(owner_, std::try_to_lock);
    if (!owner.owns_lock()) return false;
    busy_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    job_ = &job;
    {
      const std::lock_guard lock(mutex_);
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    job.run();
    for (int spins = 0; busy_.load(std::memory_order_acquire) != 0; ++spins) {
      relax();
      if (spins > kSpins) std::this_thread::yield();
    }
    return true;
  }

 private:
  // Between the short kernels of a recurrent step a worker is wanted again within microseconds, so it spins a
  // little before it sleeps.
  static constexpr int kSpins = 2000;

  void work() {
    const HoldSignals for_good;
    uint64_t seen = 0;
    for (;;) {
      for (int spins = 0; spins < kSpins && generation_.load(std::memory_order_acquire) == seen; ++spins)
        relax();
      if (generation_.load(std::memory_order_acquire) == seen) {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return generation_.load(std::memory_order_acquire) != seen; });
      }
      seen = generation_.load(std::memory_order_acquire);
      if (stop_) return;
      job_->run();
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }

  [[maybe_unused]] const Pool* lost_;  // a parent's
  std::vector<std::thread> workers_;
  std::mutex owner_, mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> busy_{0};
  Job* job_ = nullptr;
  std::atomic<bool> stop_{false};
};

// Never destroyed: a static object's destructor may compute, and so may another thread while the program
// ends.
std::mutex pool_mutex;
Pool* pool = nullptr;
const Pool* lost_pool = nullptr;  // of a parent process
std::atomic<int> wanted_threads{0};
#if defined(IMGCAP_TSAN)
std::atomic<bool> alone{false};  // in a child: the thread sanitizer ends one that starts a thread
#else
constexpr bool alone = false;
#endif

// The workers stay with the parent: the child gets a pool of its own when it needs one. The old one cannot be
// destroyed without them; it is kept where leak checkers see it.
void lose_pool() {
  if (pool != nullptr) lost_pool = pool;
  pool = nullptr;
#if defined(IMGCAP_TSAN)
  alone = true;
#endif
}

[[maybe_unused]] const bool registered = (internal::hold_at_fork(pool_mutex, &lose_pool), true);

Pool& get_pool() {
  const std::lock_guard lock(pool_mutex);
  if (pool == nullptr || pool->threads() != num_threads()) {
    delete std::exchange(pool, nullptr);
    pool = new Pool(num_threads(), lost_pool);
  }
  return *pool;
}

}  // namespace

int num_threads() {
  int n = wanted_threads.load(std::memory_order_relaxed);
  if (n == 0) {
    n = available_processors();
    wanted_threads.store(n, std::memory_order_relaxed);
  }
  return n;
}

void set_num_threads(int n) {
  check(n >= 1 && n <= 256, ErrorKind::argument, "threads: {} is not between 1 and 256", n);
  wanted_threads.store(n, std::memory_order_relaxed);
}

#if defined(__SSE__)
FlushDenormals::FlushDenormals() : previous_(_mm_getcsr()) { _mm_setcsr(previous_ | 0x8040u); }
FlushDenormals::~FlushDenormals() { _mm_setcsr(previous_); }
#else
FlushDenormals::FlushDenormals() : previous_(0) {}
FlushDenormals::~FlushDenormals() = default;
#endif

namespace internal {

void parallel_for(int64_t n, int64_t grain, RangeFunction function, void* context) {
  if (n <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  const int64_t tiles = (n + grain - 1) / grain;
  if (tiles > 1 && !inside_parallel && !alone && num_threads() > 1) {
    Job job{.function = function, .context = context, .n = n, .grain = grain, .tiles = tiles};
    if (get_pool().run(job)) {
      if (job.error) std::rethrow_exception(job.error);
      return;
    }
  }
  // The same tiles, one after the other.
  const FlushDenormals flush;
  for (int64_t begin = 0; begin < n; begin += grain) function(context, begin, std::min(n, begin + grain));
}

}  // namespace internal
}  // namespace tensor
