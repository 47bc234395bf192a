// Texts from a format string and values: fmt's syntax, checked while compiling, at a fraction of the compile
// time of fmt's own header, and fit for nvcc.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace tensor {
namespace internal {

enum class FormatKind : uint8_t {
  boolean,
  character,
  signed_integer,
  unsigned_integer,
  float32,
  float64,
  text
};

template <class T>
consteval FormatKind format_kind() {
  if constexpr (std::is_same_v<T, bool>)
    return FormatKind::boolean;
  else if constexpr (std::is_same_v<T, char>)
    return FormatKind::character;
  else if constexpr (std::is_same_v<T, float>)
    return FormatKind::float32;
  else if constexpr (std::is_same_v<T, double>)
    return FormatKind::float64;
  else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>)
    return FormatKind::signed_integer;
  else if constexpr (std::is_integral_v<T>)
    return FormatKind::unsigned_integer;
  else
    return FormatKind::text;
}

// One value of a text, as a view: it lives no longer than what it was made of.
struct FormatValue {
  template <class T>
  requires std::is_arithmetic_v<T> || std::convertible_to<const T&, std::string_view> FormatValue(
      const T& value)
      : kind(format_kind<T>()) {  // NOLINT: implicit, so that a list of values is short
    if constexpr (std::is_same_v<T, bool>)
      boolean = value;
    else if constexpr (std::is_same_v<T, char>)
      character = value;
    else if constexpr (std::is_same_v<T, float>)
      float32 = value;
    else if constexpr (std::is_same_v<T, double>)
      float64 = value;
    else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>)
      signed_integer = value;
    else if constexpr (std::is_integral_v<T>)
      unsigned_integer = value;
    else {
      const std::string_view view = value;
      text = {view.data(), view.size()};
    }
  }

  struct Text {
    const char* data;
    size_t size;
  };
  FormatKind kind;
  union {
    bool boolean;
    char character;
    int64_t signed_integer;
    uint64_t unsigned_integer;
    float float32;
    double float64;
    Text text;
  };
};

// Null when `text` has a field for each value and no field asks for what its value cannot give; else what is
// wrong.
constexpr const char* format_fault(std::string_view text, const FormatKind* kinds, size_t values) {
  size_t next = 0, highest = 0;
  bool numbered = false;
  const auto field_value = [&](size_t& at) {  // which value the field at `at` (behind its brace) is for
    if (at < text.size() && text[at] >= '0' && text[at] <= '9') {
      numbered = true;
      size_t index = 0;
      for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at)
        index = index * 10 + static_cast<size_t>(text[at] - '0');
      highest = index + 1 > highest ? index + 1 : highest;
      return index;
    }
    return next++;
  };
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    const bool twice = at + 1 < text.size() && text[at + 1] == c;
    if (c == '}' && !twice) return "a } without its {";
    if ((c == '{' || c == '}') && twice) ++at;
    if (c != '{' || twice) continue;
    const size_t value = field_value(++at);
    char type = 0;
    bool precision = false;
    if (at < text.size() && text[at] == ':') {
      for (++at; at < text.size() && text[at] != '}'; ++at) {
        type = text[at];
        precision = precision || type == '.';
        if (type != '{') continue;
        const size_t width = field_value(++at);
        if (width < values && kinds[width] != FormatKind::signed_integer &&
            kinds[width] != FormatKind::unsigned_integer)
          return "a width or precision that is no integer";
      }
    }
    if (at >= text.size() || text[at] != '}') return "a { without its }";
    if (value >= values) return "more fields than values";
    const FormatKind kind = kinds[value];
    const bool floating = kind == FormatKind::float32 || kind == FormatKind::float64;
    const bool integer = kind == FormatKind::signed_integer || kind == FormatKind::unsigned_integer;
    if ((type == 'e' || type == 'f' || type == 'g') && !floating) return "a number format for no f32 or f64";
    if ((type == 'd' || type == 'x' || type == 'b' || type == 'o') && !integer)
      return "an integer format for no integer";
    if (type == 's' && kind != FormatKind::text) return "a text format for no text";
    if (precision && !floating && kind != FormatKind::text) return "a precision for an integer";
  }
  if (numbered && next > 0) return "numbered fields beside others";
  return (numbered ? highest : next) == values ? nullptr : "fewer fields than values";
}

// Not constexpr: to reach it while compiling is the compiler's error.
inline void wrong_format_string() {}

template <class T>
using Plain = std::remove_cvref_t<T>;

std::string format(std::string_view text, std::initializer_list<FormatValue> values);

// A value with text() is made into text only here, so that it costs nothing in a check that holds.
template <class T>
decltype(auto) formatted(const T& value) {
  if constexpr (requires { value.text(); })
    return value.text();
  else
    return (value);
}

}  // namespace internal

// A format string for values of these types: one field each ("{}", "{:.3f}", "{:>{}}", or "{0}" by number).
template <class... Args>
class FormatString {
 public:
  template <std::convertible_to<std::string_view> S>
  consteval FormatString(const S& text) : text_(text) {  // NOLINT: implicit, it stands for a literal
    constexpr internal::FormatKind kinds[] = {internal::format_kind<internal::Plain<Args>>()...,
                                              internal::FormatKind::text};  // the last for no values at all
    if (internal::format_fault(text_, kinds, sizeof...(Args)) != nullptr) internal::wrong_format_string();
  }
  std::string_view text() const { return text_; }

 private:
  std::string_view text_;
};

// The text with each field replaced by its value, as fmt::format gives it.
template <class... Args>
std::string format(FormatString<std::type_identity_t<Args>...> text, const Args&... args) {
  return internal::format(text.text(), {internal::FormatValue(internal::formatted(args))...});
}

// The parts, each as "{}" gives it, with `separator` between them.
template <class Range>
std::string join(const Range& parts, std::string_view separator) {
  std::string text;
  bool first = true;
  for (const auto& part : parts) {
    if (!first) text += separator;
    first = false;
    text += format("{}", part);
  }
  return text;
}

}  // namespace tensor
