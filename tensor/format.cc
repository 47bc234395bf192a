#include "tensor/format.h"

#include <fmt/args.h>
#include <fmt/format.h>

namespace tensor::internal {

std::string format(std::string_view text, std::initializer_list<FormatValue> values) {
  fmt::dynamic_format_arg_store<fmt::format_context> store;
  for (const FormatValue& value : values) {
    switch (value.kind) {
      case FormatKind::boolean:
        store.push_back(value.boolean);
        break;
      case FormatKind::character:
        store.push_back(value.character);
        break;
      case FormatKind::signed_integer:
        store.push_back(value.signed_integer);
        break;
      case FormatKind::unsigned_integer:
        store.push_back(value.unsigned_integer);
        break;
      case FormatKind::float32:
        store.push_back(value.float32);
        break;
      case FormatKind::float64:
        store.push_back(value.float64);
        break;
      case FormatKind::text:
        store.push_back(fmt::string_view(value.text.data, value.text.size));
        break;
    }
  }
  return fmt::vformat(fmt::string_view(text.data(), text.size()), store);
}

}  // namespace tensor::internal
