// Runs the program as a script would.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/text.h"

extern char** environ;

namespace tests {

inline std::string read_text(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_text(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

// A folder of its own that goes away with it.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "imgcap_cli_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

struct Result {
  int code = -1;  // the exit code, or 128 + the signal that ended it
  std::string out, err;
};

// In place of an output file: a pipe that nobody reads any more.
inline const std::string kClosedPipe = "a closed pipe";

class Program {
 public:
  explicit Program(std::vector<std::string> arguments, const std::string& input = "",
                   const std::string& out = "") {
    write_text(folder_ / "in", input);
    out_ = out.empty() ? folder_ / "out" : out;
    arguments.insert(arguments.begin(), IMGCAP_PROGRAM);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, (folder_ / "in").c_str(), O_RDONLY, 0);
    int ends[2] = {-1, -1};
    if (out_ == kClosedPipe && ::pipe2(ends, O_CLOEXEC) == 0) {
      ::close(ends[0]);
      posix_spawn_file_actions_adddup2(&files, ends[1], 1);
    } else {
      posix_spawn_file_actions_addopen(&files, 1, out_.c_str(), O_WRONLY | O_CREAT, 0600);
    }
    posix_spawn_file_actions_addopen(&files, 2, (folder_ / "err").c_str(), O_WRONLY | O_CREAT, 0600);
    if (posix_spawn(&pid_, IMGCAP_PROGRAM, &files, nullptr, argv.data(), environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&files);
    if (ends[1] >= 0) ::close(ends[1]);
  }
  // Only for a process that was started.
  void send(int signal) const {
    if (pid_ > 0) ::kill(pid_, signal);
  }
  // Whether the process handles the signal itself by now.
  bool catches(int signal) const {
    const std::string status = read_text("/proc/" + std::to_string(pid_) + "/status");
    const size_t at = status.find("SigCgt:");
    return at != std::string::npos &&
           (std::stoull(status.substr(at + 7), nullptr, 16) >> (signal - 1) & 1) != 0;
  }
  std::string output() const { return read_text(out_); }
  Result wait() {
    int status = 0;
    if (pid_ <= 0 || ::waitpid(pid_, &status, 0) != pid_) return {};
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return {code, out_ == "/dev/full" || out_ == kClosedPipe ? "" : read_text(out_),
            read_text(folder_ / "err")};
  }

 private:
  Folder folder_;
  std::string out_;
  pid_t pid_ = -1;
};

inline Result run(const std::vector<std::string>& arguments, const std::string& input = "",
                  const std::string& out = "") {
  return Program(arguments, input, out).wait();
}

}  // namespace tests
