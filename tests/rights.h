// Permissions of files bind everybody but root; tests run as root, too.
#pragma once

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <exception>
#include <functional>
#include <thread>

namespace tests {

// Runs `f` on a thread that has no right to pass over the permissions of files, and neither have programs
// that it starts: root's files then are to it what anybody's own files are. False, and nothing is run, where
// that cannot be arranged.
inline bool bound_by_permissions(const std::function<void()>& f) {
  bool bound = true;
  std::exception_ptr error;
  std::thread([&] {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct sets[2] = {};
    bound = ::syscall(SYS_capget, &header, sets) == 0;
    for (const int right : {CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH}) {
      if ((sets[0].permitted >> right & 1) == 0) continue;
      // What root starts gets all rights back but for those dropped from this set.
      bound = bound && ::prctl(PR_CAPBSET_DROP, right, 0, 0, 0) == 0;
      for (auto* set : {&sets[0].effective, &sets[0].permitted, &sets[0].inheritable}) *set &= ~(1u << right);
    }
    bound = bound && ::syscall(SYS_capset, &header, sets) == 0;
    if (!bound) return;
    try {
      f();
    } catch (...) {
      error = std::current_exception();
    }
  }).join();
  if (error) std::rethrow_exception(error);
  return bound;
}

// The reason to skip when it is false.
inline constexpr const char* kRightsStay = "root cannot give up its rights here";

}  // namespace tests
