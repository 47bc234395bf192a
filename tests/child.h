// Other processes: children of a fork(), and this program once more.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>

namespace tests {

// The exit code of a child, or 128 and the signal that ended it: SIGALRM when it hung for two minutes.
inline int wait_for(pid_t child) {
  int status = 0;
  if (waitpid(child, &status, 0) != child) return -1;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// What f returns in a child that fork() makes of this process; 99 for an exception.
inline int in_fork(const std::function<int()>& f) {
  const pid_t child = fork();
  if (child != 0) return wait_for(child);
  signal(SIGALRM, SIG_DFL);
  alarm(120);
  try {
    _exit(f());
  } catch (...) {
    _exit(99);
  }
}

// What a child of run_alone ends with when all went well: doctest has no such code.
inline constexpr int kDone = 42;

// The exit code of this program when it runs one test case alone, one that is else skipped: for tests of how
// a program ends. Its name must not have a comma.
inline int run_alone(const char* test_case) {
  const std::string option = std::string("-tc=") + test_case;
  const pid_t child = fork();
  if (child != 0) return wait_for(child);
  alarm(120);
  execl("/proc/self/exe", "test", "--no-skip", "--out=/dev/null", option.c_str(), nullptr);
  _exit(98);
}

}  // namespace tests
