#include "tensor/cuda/emulation/limits.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

#include "tensor/cuda/emulation/emulation.h"
#include "tensor/error.h"

namespace tensor::cuda::emulation {
namespace {

constexpr Limits kKnown[] = {
    {75, 48 << 10, 64 << 10}, {80, 48 << 10, 163 << 10}, {89, 48 << 10, 99 << 10}, {90, 48 << 10, 227 << 10}};

const Limits& limits_of(int architecture) {
  for (const Limits& limits : kKnown)
    if (limits.architecture == architecture) return limits;
  fail(ErrorKind::argument, "emulated device: sm_{} is not one of sm_75, sm_80, sm_89, sm_90", architecture);
}

int first_architecture() {
  const char* text = std::getenv("IMGCAP_EMULATION_SM");
  return text == nullptr ? 75 : std::atoi(text);
}

std::atomic<const Limits*>& chosen() {
  static std::atomic<const Limits*> limits = &limits_of(first_architecture());
  return limits;
}

bool is_set(const char* name) {
  const char* text = std::getenv(name);
  return text != nullptr && std::string_view(text) == "1";
}

}  // namespace

bool counts_only() {
  static const bool counts = is_set("IMGCAP_EMULATION_COUNT");
  return counts;
}

Limits device_limits() { return *chosen(); }

void set_architecture(int sm) { chosen() = &limits_of(sm); }

}  // namespace tensor::cuda::emulation
