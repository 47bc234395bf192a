#include "tensor/format.h"

#include <fmt/args.h>
#include <fmt/format.h>

namespace tensor::internal {

std::string format(std::string_view text, std::initializer_list<FormatValue> values) {
  fmt::dynamic_format_arg_store<fmt::format_context> store;
  for (const FormatValue& value : values) std::visit([&](const auto& v) { store.push_back(v); }, value);
  return fmt::vformat(fmt::string_view(text.data(), text.size()), store);
}

}  // namespace tensor::internal
