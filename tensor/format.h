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
#include <variant>

namespace tensor {
namespace internal {

// One value of a text, as a view: it lives no longer than what it was made of.
using FormatValue = std::variant<bool, char, int64_t, uint64_t, float, double, std::string_view>;
enum class FormatKind {
  boolean,
  character,
  signed_integer,
  unsigned_integer,
  float32,
  float64,
  string
};  // in its order

// What a T is in it.
template <class T>
using FormatType =
    std::conditional_t<std::is_same_v<T, bool> || std::is_same_v<T, char> || std::is_floating_point_v<T>, T,
                       std::conditional_t<!std::is_integral_v<T>, std::string_view,
                                          std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>>;

template <class T>
inline constexpr auto format_kind = static_cast<FormatKind>(FormatValue(FormatType<T>{}).index());

// Null when `text` has a field for each value and no field asks for what its value cannot give; else what is
// wrong.
constexpr const char* format_fault(std::string_view text, const FormatKind* kinds, size_t values) {
  using enum FormatKind;
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
        if (width < values && kinds[width] != signed_integer && kinds[width] != unsigned_integer)
          return "a width or precision that is no integer";
      }
    }
    if (at >= text.size() || text[at] != '}') return "a { without its }";
    if (value >= values) return "more fields than values";
    const FormatKind kind = kinds[value];
    const bool floating = kind == float32 || kind == float64;
    const bool integer = kind == signed_integer || kind == unsigned_integer;
    if ((type == 'e' || type == 'f' || type == 'g') && !floating) return "a number format for no f32 or f64";
    if ((type == 'd' || type == 'x' || type == 'b' || type == 'o') && !integer)
      return "an integer format for no integer";
    if (type == 's' && kind != string) return "a text format for no text";
    if (precision && !floating && kind != string) return "a precision for an integer";
  }
  if (numbered && next > 0) return "numbered fields beside others";
  return (numbered ? highest : next) == values ? nullptr : "fewer fields than values";
}

// Not constexpr: to reach it while compiling is the compiler's error.
inline void wrong_format_string() {}

std::string format(std::string_view text, std::initializer_list<FormatValue> values);

// A value with text() is made into text only here, so that it costs nothing in a check that holds.
template <class T>
decltype(auto) formatted(const T& value) {
  if constexpr (requires { value.text(); })
    return value.text();
  else
    return (value);
}

template <class T>
FormatValue format_value(const T& value) {
  return static_cast<FormatType<T>>(value);
}

}  // namespace internal

// A format string for values of these types: one field each ("{}", "{:.3f}", "{:>{}}", or "{0}" by number).
template <class... Args>
class FormatString {
 public:
  template <std::convertible_to<std::string_view> S>
  consteval FormatString(const S& text) : text_(text) {  // NOLINT: implicit, it stands for a literal
    constexpr internal::FormatKind kinds[] = {internal::format_kind<std::remove_cvref_t<Args>>...,
                                              internal::FormatKind::string};  // the last for no values at all
    if (internal::format_fault(text_, kinds, sizeof...(Args)) != nullptr) internal::wrong_format_string();
  }
  std::string_view text() const { return text_; }

 private:
  std::string_view text_;
};

// The text with each field replaced by its value, as fmt::format gives it, but for the sign of a NaN: it has none.
template <class... Args>
std::string format(FormatString<std::type_identity_t<Args>...> text, const Args&... args) {
  return internal::format(text.text(), {internal::format_value(internal::formatted(args))...});
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
