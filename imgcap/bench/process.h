// Runs another program and sees what it took.
#pragma once

#include <atomic>
#include <string>
#include <vector>

namespace imgcap::bench {

struct Finished {
  std::string out;      // its stdout; its stderr is this program's
  double seconds = 0;   // from start to end
  double peak_mib = 0;  // its largest resident set, with what it has mapped
};

// Thrown when `stop` ended the other program.
struct ProcessStopped {};

// When `stop` becomes true while the program runs, it gets SIGTERM. Errors: io (cannot be started), data (it ended
// with another exit code than 0 or by a signal; the message names the command).
Finished run_process(const std::vector<std::string>& command, const std::atomic<bool>& stop);

}  // namespace imgcap::bench
