// No handler of a signal may run while a thread's stack pointer points elsewhere than into its stack, as
// oneDNN's generated matrix product makes it.
#include "tensor/hold_signals.h"

#include <pthread.h>
#include <sys/time.h>
#include <ucontext.h>

#include <atomic>
#include <thread>

#include "tests/tensor/reference.h"

using namespace tests;

namespace {

sigset_t current_mask() {
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  return mask;
}

bool holds(int signal) {
  const sigset_t mask = current_mask();
  return sigismember(&mask, signal) == 1;
}

std::atomic<int> taken{0}, outside{0};
std::uintptr_t stack_begin = 0, stack_end = 0;

void look_at_stack([[maybe_unused]] int signal, [[maybe_unused]] siginfo_t* info, void* context) {
  ++taken;
#if defined(__x86_64__)
  const auto sp =
      static_cast<std::uintptr_t>(static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_RSP]);
  if (sp < stack_begin || sp > stack_end) ++outside;
#else
  static_cast<void>(context);
#endif
}

// A handler on a stack of its own, called every 100 microseconds, that counts where it found this thread's.
class Storm {
 public:
  Storm() {
    pthread_attr_t attributes;
    pthread_getattr_np(pthread_self(), &attributes);
    void* low = nullptr;
    size_t size = 0;
    pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);
    stack_begin = reinterpret_cast<std::uintptr_t>(low);
    stack_end = stack_begin + size;
    taken = outside = 0;
    stack_t own{};
    own.ss_sp = memory_.data();
    own.ss_size = memory_.size();
    sigaltstack(&own, &old_stack_);
    struct sigaction action {};
    action.sa_sigaction = look_at_stack;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigaction(SIGALRM, &action, &old_action_);
    const itimerval often{{0, 100}, {0, 100}};
    setitimer(ITIMER_REAL, &often, nullptr);
  }
  ~Storm() {
    const itimerval never{};
    setitimer(ITIMER_REAL, &never, nullptr);
    sigaction(SIGALRM, &old_action_, nullptr);
    sigaltstack(&old_stack_, nullptr);
  }

 private:
  std::vector<char> memory_ = std::vector<char>(size_t{1} << 16);
  stack_t old_stack_{};
  struct sigaction old_action_ {};
};

}  // namespace

TEST_CASE("HoldSignals: keeps signals waiting, nests, and gives back the mask that was there") {
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &one, nullptr);  // somebody holds this one already
  taken = 0;
  struct sigaction action {
  }, old{};
  action.sa_handler = [](int) { ++taken; };
  sigaction(SIGUSR1, &action, &old);
  {
    const tensor::HoldSignals outer;
    for (const int signal : {SIGINT, SIGTERM, SIGALRM, SIGPROF, SIGUSR1, SIGABRT, SIGRTMIN})
      CHECK(holds(signal));
    // A fault's own signal would end the process if it were held.
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) CHECK_FALSE(holds(signal));
    {
      const tensor::HoldSignals inner;
      raise(SIGUSR1);
    }
    CHECK(holds(SIGUSR1));
    CHECK(taken.load() == 0);
    bool inherited = false;
    std::thread([&] { inherited = holds(SIGUSR1); }).join();
    CHECK(inherited);
  }
  CHECK(taken.load() == 1);  // it came as soon as it could
  CHECK_FALSE(holds(SIGINT));
  CHECK_FALSE(holds(SIGUSR1));
  CHECK(holds(SIGUSR2));
  pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
  sigaction(SIGUSR1, &old, nullptr);
}

TEST_CASE("the pool's workers take no signals, and the caller goes on taking them") {
  const int before = tensor::num_threads();
  tensor::set_num_threads(3);
  const auto caller = std::this_thread::get_id();
  std::atomic<int> arrived{0}, workers{0}, wrong{0};
  tensor::parallel_for(3, 1, [&](int64_t, int64_t) {
    ++arrived;
    while (arrived < 3) std::this_thread::yield();  // each tile on a thread of its own
    const bool is_caller = std::this_thread::get_id() == caller;
    workers += is_caller ? 0 : 1;
    for (const int signal : {SIGINT, SIGTERM, SIGALRM, SIGPROF, SIGUSR1})
      if (holds(signal) == is_caller) ++wrong;
    if (holds(SIGSEGV)) ++wrong;
  });
  CHECK(workers.load() == 2);
  CHECK(wrong.load() == 0);
  tensor::set_num_threads(before);
}

TEST_CASE("a matrix product is never interrupted while its stack is elsewhere") {
  const int before = tensor::num_threads();
  for (const int threads : {1, 2}) {
    CAPTURE(threads);
    tensor::set_num_threads(threads);
    const Tensor a = random({64, 300}, DType::f32, 1), b = random({300, 256}, DType::f32, 2);
    const Tensor x = random({2, 16, 12, 12}, DType::f32, 3), w = random({32, 16, 3, 3}, DType::f32, 4);
    Tensor product = Tensor::empty({64, 256}), turned = Tensor::empty({256, 64}),
           many = Tensor::empty({9, 64, 256}), pixels = Tensor::empty({2, 32, 10, 10}),
           narrow = Tensor::empty({64, 16});
    const Tensor batch = a.unsqueeze(0).expand({9, 64, 300}).contiguous();
    int rounds = 0;
    {
      const Storm storm;
      for (; rounds < 20 || (taken < 300 && rounds < 100000); ++rounds) {
        tensor::kernels::matmul(product, a, b, 1, 0);
        tensor::kernels::matmul(turned, b.t(), a.t(), 1, 0);
        tensor::kernels::matmul(many, batch, b.unsqueeze(0), 1, 0);
        tensor::kernels::matmul(narrow, a, b.slice(1, 0, 16), 1, 0);
        tensor::kernels::conv2d(pixels, x, w, Tensor(), {});
      }
    }
    CHECK(taken.load() >= 300);
    CHECK(outside.load() == 0);
  }
  tensor::set_num_threads(before);
}
