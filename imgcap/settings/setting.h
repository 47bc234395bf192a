// A setting as one row of its struct's table:
//   Setting{"lr", "--lr", &TrainOptions::lr, between(0, 1e3), "Learning rate"}
// Checks (here), JSON (settings/json.h), flags, --help and the configuration file (cli/settings.h) are made
// of the rows. A table says nothing of two settings together: such rules are code, beside the struct.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "imgcap/settings/names.h"

namespace imgcap {

// The values that a number may have. It is compared as a double, so whole bounds are exact below 2^53.
struct Bounds {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  bool above_low = false, below_high = false;  // the bound itself is out
  bool limited = true;                         // false: whatever the type holds
  const char* wanted = nullptr;                // how a refusal says them, where not as "1 to 16"

  constexpr bool hold(double value) const {
    return !limited ||
           ((above_low ? value > low : value >= low) && (below_high ? value < high : value <= high));
  }
};

constexpr double kGreatest = std::numeric_limits<double>::max();  // infinity is no setting

constexpr Bounds between(double low, double high) { return {low, high}; }
constexpr Bounds at_least(double low) { return {low, kGreatest}; }
constexpr Bounds not_negative() {
  return {.low = 0, .high = kGreatest, .wanted = "a number that is not negative"};
}
constexpr Bounds positive_up_to(double high) { return {0, high, true}; }
constexpr Bounds share_below_one() { return {0, 1, false, true}; }
constexpr Bounds anything() { return {.limited = false}; }  // flags, seeds, and enums, which have their names

// What a row says whatever its member's type is.
struct Row {
  const char* name;  // in JSON
  const char* flag;  // null: the command line has none
  Bounds bounds;
  const char* help;
  // What a refusal calls the value, and its whole sentence where there is one, which may have a {} for it.
  const char* called;
  const char* sentence;
};

// The end of a row whose name is not what refusals say.
struct Words {
  const char* called = nullptr;
  const char* sentence = nullptr;
};
constexpr Words called(const char* text) { return {.called = text}; }
constexpr Words refused_as(const char* text) { return {.sentence = text}; }

constexpr const char* no_flag = nullptr;

// T: bool, int64_t, uint64_t, double or an enum with names.
template <class S, class T>
struct Setting : Row {
  T S::*member;

  constexpr Setting(const char* name_, const char* flag_, T S::*member_, Bounds bounds_,
                    const char* help_ = "", Words words = {})
      : Row{name_, flag_, bounds_, help_, words.called != nullptr ? words.called : name_, words.sentence},
        member(member_) {}

  // The same setting where it means something more special, or where it cannot be given.
  constexpr Setting with_help(const char* text) const {
    return {name, flag, member, bounds, text, {called, sentence}};
  }
  constexpr Setting without_flag() const { return {name, no_flag, member, bounds, help, {called, sentence}}; }
};

// The settings of a member that is a struct itself: their rows stand among the others'.
template <class S, class P, class... Rows>
struct Part {
  P S::*member;
  std::tuple<Rows...> rows;

  constexpr explicit Part(P S::*member_, Rows... rows_) : member(member_), rows(rows_...) {}
};

// How JSON that is no settings is refused.
struct JsonWords {
  const char* no_object = "the settings are not a JSON object";
  const char* wrong_type = "setting '{}' has the wrong type";
  const char* unknown = "a setting that this version does not know in {}";  // the whole JSON
};

template <class... Rows>
struct Table {
  const char* owner;  // what errors begin with
  JsonWords json;
  std::tuple<Rows...> rows;

  constexpr Table(const char* owner_, const JsonWords& json_, Rows... rows_)
      : owner(owner_), json(json_), rows(rows_...) {}
};

// A struct's table, to be specialised beside it.
template <class S>
inline constexpr int kSettings = 0;

namespace internal {

template <class Rows, class S, class F>
void visit_rows(const Rows& rows, S& settings, F& f) {
  const auto visit = [&](const auto& row) {
    auto& value = settings.*row.member;
    if constexpr (requires { row.rows; })
      visit_rows(row.rows, value, f);
    else
      f(row, value);
  };
  std::apply([&](const auto&... row) { (visit(row), ...); }, rows);
}

// Errors: argument ("train: lr is 2000; it has to be in [0, 1000]", "train: optimizer 'x' is none of a, b").
[[noreturn]] void refuse_number(const char* owner, const Row& row, const std::string& value, bool whole);
[[noreturn]] void refuse_name(const char* owner, const Row& row, const std::string& name,
                              const std::vector<std::string>& names);
std::string filled(std::string text, const std::string& value);  // with `value` in place of its {}, if any
std::string text_of(int64_t value);
std::string text_of(double value);

}  // namespace internal

// Calls f(row, value) for each setting, in the table's order; values are const where `settings` is.
template <class S, class F, class... Rows>
void for_each_setting(const Table<Rows...>& table, S& settings, F&& f) {
  internal::visit_rows(table.rows, settings, f);
}
template <class S, class F>
void for_each_setting(S& settings, F&& f) {
  for_each_setting(kSettings<std::remove_const_t<S>>, settings, f);
}

// Errors: argument (names the first setting that is out of its bounds).
template <class S>
void check_bounds(const S& settings) {
  for_each_setting(settings, []<class T>(const Row& row, const T& value) {
    if constexpr (std::same_as<T, int64_t> || std::same_as<T, double>)
      if (!row.bounds.hold(static_cast<double>(value)))
        internal::refuse_number(kSettings<S>.owner, row, internal::text_of(value), std::same_as<T, int64_t>);
  });
}

// The value of an enum's setting by its name. Errors: argument (a name that it does not have).
template <NamedEnum E>
E value_of(const char* owner, const Row& row, const std::string& name) {
  const std::optional<E> value = value_named<E>(name);
  if (!value) internal::refuse_name(owner, row, name, all_names<E>());
  return *value;
}

}  // namespace imgcap
