// Preloaded into a program: a handler that does next to nothing, for a signal that comes every 300
// microseconds, as a profiler or an interpreter around the library might install it. At the end it says on
// stderr how often it ran.
#include <signal.h>
#include <sys/time.h>

#include <atomic>
#include <cstdio>

namespace {

std::atomic<long> ran{0};

const struct Alarm {
  Alarm() {
    struct sigaction action {};
    action.sa_handler = [](int) { ++ran; };
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, nullptr);
    const itimerval often{{0, 300}, {0, 300}};
    setitimer(ITIMER_REAL, &often, nullptr);
  }
  ~Alarm() {
    const itimerval never{};
    setitimer(ITIMER_REAL, &never, nullptr);
    std::fprintf(stderr, "alarm: the handler ran %ld times\n", ran.load());
  }
} alarm_clock;

}  // namespace
