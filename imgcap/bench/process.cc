#include "imgcap/bench/process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "imgcap/bench/timing.h"
#include "tensor/error.h"

extern char** environ;

namespace imgcap::bench {

using tensor::check;
using tensor::ErrorKind;

namespace {

constexpr int kPause = 100;  // milliseconds: a signal that comes just before poll() does not end it

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

// Until its other end is closed; calls `look` now and then.
template <class Look>
std::string read_all(int file, Look look) {
  std::string text;
  char buffer[4096];
  for (;;) {
    look();
    pollfd ready{file, POLLIN, 0};
    if (poll(&ready, 1, kPause) <= 0) continue;
    const ssize_t got = read(file, buffer, sizeof buffer);
    if (got > 0) text.append(buffer, static_cast<size_t>(got));
    if (got == 0 || (got < 0 && errno != EINTR)) return text;
  }
}

}  // namespace

Finished run_process(const std::vector<std::string>& command, const std::atomic<bool>& stop) {
  check(!command.empty(), ErrorKind::argument, "process: no command");
  std::vector<std::string> arguments = command;
  int ends[2];
  check(pipe2(ends, O_CLOEXEC) == 0, ErrorKind::io, "{}: no pipe: {}", command[0], std::strerror(errno));
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  pid_t pid = -1;
  const auto start = std::chrono::steady_clock::now();
  const int error =
      posix_spawnp(&pid, arguments[0].c_str(), &files, nullptr, pointers(arguments).data(), environ);
  posix_spawn_file_actions_destroy(&files);
  close(ends[1]);
  if (error != 0) close(ends[0]);
  check(error == 0, ErrorKind::io, "{}: cannot be started: {}", command[0], std::strerror(error));
  Finished finished;
  finished.out = read_all(ends[0], [&, told = false]() mutable {
    if (stop && !told) told = kill(pid, SIGTERM) == 0;
  });
  close(ends[0]);
  int status = 0;
  rusage usage{};
  while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  finished.seconds = seconds_since(start);
  finished.peak_mib = static_cast<double>(usage.ru_maxrss) / 1024;
  if (stop) throw ProcessStopped{};
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, ErrorKind::data, "'{}' ended with {} {}",
        tensor::join(command, " "), WIFEXITED(status) ? "exit code" : "signal",
        WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
  return finished;
}

}  // namespace imgcap::bench
