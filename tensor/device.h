// Where a tensor's memory lives.
#pragma once

#include <string>
#include <string_view>

namespace tensor {

struct Device {
  enum class Type { cpu, cuda };
  Type type = Type::cpu;
  int index = 0;

  static Device cpu() { return {}; }
  static Device cuda(int index = 0) { return {Type::cuda, index}; }
  bool is_cpu() const { return type == Type::cpu; }
  bool operator==(const Device&) const = default;
};

// "cpu", "cuda" (the first one) or "cuda:1". Errors: argument (another text).
Device parse_device(std::string_view text);

inline std::string to_string(const Device& device) {
  return device.is_cpu() ? "cpu" : "cuda:" + std::to_string(device.index);
}

}  // namespace tensor
