// The one exception type of the project, and how to throw it with a formatted sentence.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <utility>

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

namespace internal {
using ErrorContext = std::string (*)();
inline std::atomic<ErrorContext> error_context{nullptr};
}  // namespace internal

// What `fail` puts behind each sentence: where in a model the thread is, for example. Null: nothing.
inline void set_error_context(internal::ErrorContext context) { internal::error_context = context; }

// Throws Error(kind) with the formatted text.
template <class... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  std::string text = fmt::format(format, std::forward<Args>(args)...);
  if (const internal::ErrorContext context = internal::error_context) {
    const std::string where = context();
    // A caught error whose text goes into another one has it already.
    if (!where.empty() && !text.ends_with(where)) text += where;
  }
  throw Error(kind, text);
}

// Throws Error(kind) with the formatted text unless `ok`; the text is only made when it is needed.
template <class... Args>
void check(bool ok, ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  if (!ok) [[unlikely]]
    fail(kind, format, std::forward<Args>(args)...);
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
