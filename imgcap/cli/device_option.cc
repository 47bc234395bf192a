#include "imgcap/cli/device_option.h"

#include "tensor/cuda/runtime.h"
#include "tensor/error.h"
#include "tensor/format.h"

namespace imgcap::cli {
namespace {

using tensor::Device;

std::string gigabytes(int64_t bytes) {
  return tensor::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30));
}

// Why there is no device at all.
std::string why_none() {
  if (tensor::cuda::linked_runtime == nullptr) return "built without CUDA";
  return tensor::cuda::linked_runtime()->why_none();
}

struct Choice {
  Device device;
  std::string why;
};

Choice automatically(int64_t bytes) {
  if (tensor::cuda::device_count() == 0) return {Device::cpu(), why_none()};
  tensor::cuda::Runtime& runtime = *tensor::cuda::linked_runtime();
  if (runtime.is_emulated()) return {Device::cpu(), "this build's devices are emulated"};
  std::string why;
  for (int i = 0; i < runtime.device_count(); ++i) {
    const int64_t free = runtime.device_memory(i).free;
    if (free >= bytes) return {Device::cuda(i), runtime.describe(i)};
    if (!why.empty()) why += ", ";
    why += tensor::format("cuda:{} has {} free of the {} needed", i, gigabytes(free), gigabytes(bytes));
  }
  return {Device::cpu(), why};
}

}  // namespace

Option add_device_option(Verb& verb, std::string& device) {
  return verb.option(
      "--device", device,
      "Where it is computed: cpu, cuda (the first GPU), cuda:1 and so on, or auto: a GPU that is there "
      "and has room, else the CPU");
}

Device choose_device(const std::string& device, int64_t bytes) {
  if (device == "auto") {
    const Choice choice = automatically(bytes);
    say({tensor::format("device {}: {}", to_string(choice.device), choice.why)});
    return choice.device;
  }
  const Device named = tensor::parse_device(device);
  if (!named.is_cpu())
    say({tensor::format("device {}: {}", to_string(named),
                        tensor::cuda::runtime_of(named, "--device").describe(named.index))});
  return named;
}

std::string describe_device(const Device& device) {
  return tensor::format("{} ({})", to_string(device),
                        tensor::cuda::runtime_of(device, "--device").describe(device.index));
}

}  // namespace imgcap::cli
