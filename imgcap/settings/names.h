// The names of an enum's values: they stand once, in an array beside the enum, in the values' order from 0
// on.
//   enum class Schedule { constant, cosine, plateau };
//   constexpr std::array<const char*, 3> names_of(Schedule) { return {"constant", "cosine", "plateau"}; }
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace imgcap {

template <class E>
concept NamedEnum = std::is_enum_v<E> && requires(E value) {
  names_of(value)[0];
};

template <NamedEnum E>
std::string to_string(E value) {
  return names_of(value)[static_cast<size_t>(value)];
}

// All of them: what --help lists and a refusal names.
template <NamedEnum E>
std::vector<std::string> all_names() {
  const auto names = names_of(E{});
  return {names.begin(), names.end()};
}

template <NamedEnum E>
std::optional<E> value_named(std::string_view name) {
  const auto names = names_of(E{});
  for (size_t i = 0; i < names.size(); ++i)
    if (name == names[i]) return static_cast<E>(i);
  return std::nullopt;
}

}  // namespace imgcap
