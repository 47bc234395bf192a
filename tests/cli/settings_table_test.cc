// Each row of each table: its flag and its line of a configuration file set this setting and no other, --help
// shows its default and its sentence, its name is its own in JSON, and its bounds hold.
#include "imgcap/cli/settings.h"

#include <doctest/doctest.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <set>

#include "imgcap/decoding/search_settings.h"
#include "imgcap/models/decoder_settings.h"
#include "imgcap/settings/json.h"
#include "imgcap/training/train_settings.h"
#include "tensor/format.h"
#include "tests/cli/program.h"
#include "tests/json.h"

using namespace imgcap;
using imgcap::cli::Verb;
using tensor::io::Json;

namespace {

// One that its bounds allow and that is not this one.
template <class T>
T another(const Row& row, T value) {
  if constexpr (std::same_as<T, bool>) {
    return !value;
  } else if constexpr (NamedEnum<T>) {
    return static_cast<T>((static_cast<size_t>(value) + 1) % all_names<T>().size());
  } else if constexpr (std::same_as<T, double>) {
    return value > row.bounds.low ? (value + row.bounds.low) / 2 : 0.5;
  } else {
    return value + 1;
  }
}

template <class T>
std::string text_of(T value) {
  if constexpr (NamedEnum<T>)
    return to_string(value);
  else
    return tensor::format("{}", value);
}

// The settings with this one changed.
template <class S>
S changed(const std::string& name) {
  S settings;
  for_each_setting(settings, [&](const Row& row, auto& value) {
    if (row.name == name) value = another(row, value);
  });
  return settings;
}

template <class S>
std::string json_of(const S& settings) {
  return settings_to_json(settings).dump();
}

// A verb with the table's flags.
template <class S>
struct Flags {
  CLI::App app;
  S settings;
  CLI::App* verb = nullptr;

  Flags() {
    Verb added = Verb(&app).verb("do", "Do it");
    added.config_option();
    cli::add_settings(added, settings, "Group");
    verb = app.get_subcommand("do");
  }
  std::string parsed(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "do");
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    return json_of(settings);
  }
};

template <class S>
void check_row(const Row& row, const std::string& value, bool is_flag, const std::string& shown) {
  const std::string expected = json_of(changed<S>(row.name));
  CHECK(expected != json_of(S{}));
  const std::string flag = row.flag;
  CHECK(Flags<S>().parsed(is_flag ? std::vector{flag} : std::vector{flag, value}) == expected);
  const tests::Folder folder;
  tests::write_text(folder / "file", flag.substr(2) + " = " + value + "\n");
  CHECK(Flags<S>().parsed({"--config", folder / "file"}) == expected);
  const Flags<S> flags;
  const CLI::Option* option = flags.verb->get_option(flag);
  CHECK(option->get_description() == row.help);
  CHECK(option->get_group() == "Group");
  if (!is_flag) CHECK(option->get_default_str() == shown);
}

template <class S>
void check_bounds_of(const std::string& name, double inside, double outside) {
  const auto with = [&](double number) {
    S settings;
    for_each_setting(settings, [&]<class T>(const Row& row, T& value) {
      if constexpr (std::same_as<T, int64_t> || std::same_as<T, double>)
        if (row.name == name) value = static_cast<T>(number);
    });
    return settings;
  };
  CAPTURE(inside);
  CAPTURE(outside);
  CHECK_NOTHROW(check_bounds(with(inside)));
  CHECK_THROWS_AS(check_bounds(with(outside)), tensor::Error);
}

template <class S>
void check_table() {
  CAPTURE(kSettings<S>.owner);
  CHECK(Flags<S>().parsed({}) == json_of(S{}));
  std::set<std::string> names, flags;
  int64_t rows = 0, with_flag = 0;
  S defaults;
  for_each_setting(defaults, [&]<class T>(const Row& row, const T& value) {
    const std::string name = row.name;
    CAPTURE(name);
    ++rows;
    CHECK(names.insert(name).second);
    const T other = another(row, value);
    if (row.flag != no_flag) {
      ++with_flag;
      CHECK(flags.insert(row.flag).second);
      CHECK(std::string(row.help) != "");
      check_row<S>(row, text_of(other), std::same_as<T, bool>, text_of(value));
    }
    const Json one = Json::object({{name, settings_to_json(changed<S>(name)).at(name)}});
    CHECK(json_of(settings_from_json<S>(one)) == json_of(changed<S>(name)));
    CHECK_THROWS_WITH_AS(settings_from_json<S>(Json::object({{name, Json::array()}})),
                         doctest::Contains(("'" + name + "'").c_str()), tensor::Error);
    if constexpr (std::same_as<T, int64_t>) {
      check_bounds_of<S>(name, row.bounds.low, row.bounds.low - 1);
      if (row.bounds.high != kGreatest) check_bounds_of<S>(name, row.bounds.high, row.bounds.high + 1);
    } else if constexpr (std::same_as<T, double>) {
      const auto [low, high, above_low, below_high, limited, wanted] = row.bounds;
      const double first = above_low ? std::nextafter(low, high) : low;
      const double last = below_high ? std::nextafter(high, low) : high;
      check_bounds_of<S>(name, first, std::nextafter(first, -INFINITY));
      check_bounds_of<S>(name, last, std::nextafter(last, INFINITY));
      check_bounds_of<S>(name, last, NAN);
    } else {
      CHECK_FALSE(row.bounds.limited);
    }
  });
  CHECK(rows == static_cast<int64_t>(settings_to_json(defaults).size()));
  CHECK(with_flag >= 4);
}

}  // namespace

TEST_CASE("each row of the tables works: its flag, its name in JSON and its bounds") {
  check_table<TrainOptions>();
  check_table<DecoderConfig>();
  check_table<BeamOptions>();
}

TEST_CASE("flags come in parts, in whatever order, and each once") {
  CLI::App app;
  Verb verb = Verb(&app).verb("do", "Do it");
  DecoderConfig config;
  cli::add_settings(verb, config, "", "layers", "layers");
  cli::add_settings(verb, config, "Rest", "hidden", "embedding_dropout");
  CHECK(verb.has("--layers"));
  CHECK(verb.has("--hidden"));
  CHECK(verb.has("--embedding-dropout"));
  CHECK_FALSE(verb.has("--embedding"));
  CHECK_FALSE(verb.has("--output-dropout"));
  cli::add_settings(verb, config, "Rest");
  std::string order;
  for (const CLI::Option* option : app.get_subcommand("do")->get_options()) order += option->get_name() + " ";
  CHECK(order ==
        "--help --layers --hidden --attention-width --layer-dropout --embedding-dropout --model --embedding "
        "--output-dropout --gate --initial-state --tanh-image --tie-weights ");
}

TEST_CASE("a name that an enum does not have is refused by the setting's own sentence") {
  Flags<TrainOptions> flags;
  CHECK_THROWS_WITH_AS(flags.parsed({"--augment", "upside-down"}),
                       "train: augmentation 'upside-down' is none of none, mirror, mild, original",
                       tensor::Error);
}
