#include "tensor/error.h"

#include <atomic>

namespace tensor {
namespace {

std::atomic<ErrorContext> error_context{nullptr};

}  // namespace

void set_error_context(ErrorContext context) { error_context = context; }

namespace internal {

void fail(ErrorKind kind, std::string_view format_text, std::initializer_list<FormatValue> values) {
  std::string text = format(format_text, values);
  if (const ErrorContext context = error_context) {
    const std::string where = context();
    // A caught error whose text goes into another one has it already.
    if (!where.empty() && !text.ends_with(where)) text += where;
  }
  throw Error(kind, text);
}

}  // namespace internal
}  // namespace tensor
