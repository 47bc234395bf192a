// What there is once for each device.
#pragma once

#include <map>
#include <mutex>

namespace tensor::cuda {

// The device's own T, made as T(device) when it is first asked for. Never destroyed: tensors of static objects are
// released after the driver may be gone.
template <class T>
T& of_device(int device) {
  static std::mutex& mutex = *new std::mutex;
  static auto& all = *new std::map<int, T>;
  const std::lock_guard lock(mutex);
  return all.try_emplace(device, device).first->second;
}

}  // namespace tensor::cuda
