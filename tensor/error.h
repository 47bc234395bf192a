// The one exception type of the project, and how to throw it with a formatted sentence.
#pragma once

#include <stdexcept>
#include <string>

#include "tensor/format.h"

namespace tensor {

// What went wrong, so that callers can tell a user's mistake from ours without reading the text.
enum class ErrorKind { shape, dtype, device, index, argument, autograd, cuda, io, data, internal };

// The text starts with the op or the file, then gives both shapes or the line and column, then what to do:
// "matmul: inner sizes differ: (2, 3) x (4, 5)".
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& what) : std::runtime_error(what), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

using ErrorContext = std::string (*)();
// What `fail` puts behind each sentence: where in a model the thread is, for example. Null: nothing.
void set_error_context(ErrorContext context);

namespace internal {
[[noreturn]] void fail(ErrorKind kind, std::string_view text, std::initializer_list<FormatValue> values);
}

// Throws Error(kind) with the formatted text.
template <class... Args>
[[noreturn]] void fail(ErrorKind kind, FormatString<std::type_identity_t<Args>...> text,
                       const Args&... args) {
  internal::fail(kind, text.text(), {internal::format_value(internal::formatted(args))...});
}

// Throws Error(kind) with the formatted text unless `ok`; the text is only made when it is needed.
template <class... Args>
void check(bool ok, ErrorKind kind, FormatString<std::type_identity_t<Args>...> text, const Args&... args) {
  if (!ok) [[unlikely]]
    fail(kind, text, args...);
}

// What f returns. An Error that it throws gets the file that it is about in front: "model.safetensors: ...".
template <class F>
decltype(auto) about_file(const std::string& file, F&& f) {
  try {
    return f();
  } catch (const Error& error) {
    const std::string what = error.what();
    if (what.starts_with(file)) throw;
    throw Error(error.kind(), file + ": " + what);
  }
}

}  // namespace tensor
