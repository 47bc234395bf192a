// Flags of a verb from a table of settings: each shows its default, --help has the row's sentence, and
// --config knows it by the same name.
#pragma once

#include <concepts>
#include <functional>
#include <string>
#include <vector>

#include "imgcap/cli/verb.h"
#include "imgcap/settings/setting.h"

namespace imgcap::cli {

// A flag that takes one of an enum's names, or of some of them; --help lists them. `shown` is the default.
template <NamedEnum E>
Option add_choice(Verb& verb, const char* flag, E shown, const std::function<void(E)>& take,
                  const std::string& help, const std::vector<std::string>& names = all_names<E>()) {
  return verb
      .option(
          flag, to_string(shown), [take](const std::string& name) { take(*value_named<E>(name)); }, help)
      .one_of(names);
}
template <NamedEnum E>
Option add_choice(Verb& verb, const char* flag, E& value, const std::string& help,
                  const std::vector<std::string>& names = all_names<E>()) {
  return add_choice<E>(
      verb, flag, value, [&value](E given) { value = given; }, help, names);
}

// The flag of one row. `owner` begins the refusal of a name that an enum does not have; numbers are checked
// with all others, when the line is read (check_bounds).
template <class T>
Option add_setting(Verb& verb, const char* owner, const Row& row, T& value) {
  if constexpr (std::same_as<T, bool>)
    return verb.flag(row.flag, value, row.help);
  else if constexpr (NamedEnum<T>)
    return verb.option(
        row.flag, to_string(value),
        [owner, &row, &value](const std::string& name) { value = value_of<T>(owner, row, name); }, row.help);
  else
    return verb.option(row.flag, value, row.help);
}

// The flags of the rows from `first` to `last` (names in JSON; the whole table where they are not given) that
// the verb does not have yet: so they can come in another order than the table's. `settings` has to live
// until the verb has run.
template <class S, class... Rows>
void add_settings(Verb& verb, const Table<Rows...>& table, S& settings, const std::string& group = "",
                  const std::string& first = "", const std::string& last = "") {
  bool inside = first.empty();
  for_each_setting(table, settings, [&](const Row& row, auto& value) {
    inside = inside || first == row.name;
    if (inside && row.flag != no_flag && !verb.has(row.flag)) {
      Option option = add_setting(verb, table.owner, row, value);
      if (!group.empty()) option.group(group);
    }
    if (last == row.name) inside = false;
  });
}
template <class S>
void add_settings(Verb& verb, S& settings, const std::string& group = "", const std::string& first = "",
                  const std::string& last = "") {
  add_settings(verb, kSettings<S>, settings, group, first, last);
}

// --beam, --max-words and --length-exponent of a table, with the command line's limits: they are narrower
// than the library's.
template <class S, class... Rows>
void add_search_settings(Verb& verb, const Table<Rows...>& table, S& search, int most_beam) {
  add_settings(verb, table, search);
  verb.at("--beam").range(1, most_beam);
  verb.at("--max-words").range(1, 1000);
  verb.at("--length-exponent").range(0.0, 10.0);
}

}  // namespace imgcap::cli
