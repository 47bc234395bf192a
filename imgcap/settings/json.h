// Settings as a JSON object with their rows' names, both ways.
#pragma once

#include <string>

#include "imgcap/settings/setting.h"
#include "tensor/error.h"
#include "tensor/io/json.h"

namespace imgcap {

// All settings, in the table's order.
template <class S>
tensor::io::Json settings_to_json(const S& settings) {
  tensor::io::Json json;
  for_each_setting(settings, [&]<class T>(const Row& row, const T& value) {
    if constexpr (NamedEnum<T>)
      json[row.name] = to_string(value);
    else
      json[row.name] = value;
  });
  return json;
}

// Those that are missing have their defaults. Bounds are the caller's to check. Errors: data (no object, a
// setting of another type, one that no row has), argument (a name that an enum does not have).
template <class S>
S settings_from_json(const tensor::io::Json& json) {
  using tensor::check;
  constexpr auto kData = tensor::ErrorKind::data;
  const auto& table = kSettings<S>;
  check(json.is_object(), kData, "{}: {}", table.owner, table.json.no_object);
  S settings;
  size_t known = 0;
  for_each_setting(settings, [&]<class T>(const Row& row, T& value) {
    using Stored = std::conditional_t<NamedEnum<T>, std::string, T>;
    const tensor::io::Json* given = json.find(row.name);
    if (given == nullptr) return;
    ++known;
    check(given->is<Stored>(), kData, "{}: {}", table.owner,
          internal::filled(table.json.wrong_type, row.name));
    if constexpr (NamedEnum<T>)
      value = value_of<T>(table.owner, row, given->as_text());
    else
      value = given->as<T>();
  });
  check(known == json.size(), kData, "{}: {}", table.owner,
        internal::filled(table.json.unknown, json.dump()));
  return settings;
}

}  // namespace imgcap
