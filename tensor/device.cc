#include "tensor/device.h"

#include <charconv>

#include "tensor/error.h"

namespace tensor {

Device parse_device(std::string_view text) {
  if (text == "cpu") return Device::cpu();
  if (text == "cuda") return Device::cuda();
  constexpr std::string_view kHead = "cuda:";
  if (text.starts_with(kHead)) {
    const char *first = text.data() + kHead.size(), *last = text.data() + text.size();
    int index = -1;
    const auto [end, error] = std::from_chars(first, last, index);
    if (error == std::errc() && end == last && index >= 0) return Device::cuda(index);
  }
  fail(ErrorKind::argument, "'{}' is no device: cpu, cuda, or cuda:1 and so on", text);
}

}  // namespace tensor
