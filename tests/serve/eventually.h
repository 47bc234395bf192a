// Waiting for what other threads do.
#pragma once

#include <chrono>
#include <thread>

namespace tests {

// Whether the condition comes true. Where it does this takes as long as it needs, on a slow machine, too.
template <class F>
bool eventually(F&& condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace tests
