#include "tensor/format.h"

#include <fmt/args.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <type_traits>

namespace tensor::internal {
namespace {

template <class T>
T printable(T value) {
  // The sign of a NaN says nothing, and which one an operation gives is the compiler's choice.
  if constexpr (std::is_floating_point_v<T>)
    return std::isnan(value) ? std::numeric_limits<T>::quiet_NaN() : value;
  return value;
}

}  // namespace

std::string format(std::string_view text, std::initializer_list<FormatValue> values) {
  fmt::dynamic_format_arg_store<fmt::format_context> store;
  for (const FormatValue& value : values)
    std::visit([&](const auto& v) { store.push_back(printable(v)); }, value);
  return fmt::vformat(fmt::string_view(text.data(), text.size()), store);
}

}  // namespace tensor::internal
