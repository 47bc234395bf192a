#include "imgcap/cli/verb.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

namespace imgcap::cli {
namespace {

// CLI11 takes every # for the beginning of a comment, those in quotes, too.
std::istringstream without_comments(const std::string& file) {
  std::ifstream in(file);
  if (!in) throw CLI::FileError::Missing(file);
  std::string text;
  for (std::string line; std::getline(in, line); text += line + "\n") {
    char quote = 0;
    for (size_t i = 0; i < line.size(); ++i)
      if (quote == 0 && line[i] == '#')
        line.erase(i);
      else if (quote == 0 && (line[i] == '"' || line[i] == '\''))
        quote = line[i];
      else if (line[i] == quote)
        quote = 0;
  }
  return std::istringstream(text);
}

// The file's options for those that the command line leaves open. CLI11 reads configuration files of the
// whole program only, not of a subcommand. This runs before the other options' values are taken and before
// missing ones are complained about, as --config is the verb's first option.
void read_config(CLI::App& verb, const std::string& file) {
  if (std::filesystem::is_directory(file))
    throw CLI::FileError(file + " is a folder, not a configuration file");
  std::istringstream lines = without_comments(file);
  for (const CLI::ConfigItem& item : verb.get_config_formatter_base()->comment('\0')->from_config(lines)) {
    if (!item.parents.empty())
      throw CLI::ConfigError(file + ": it has a section, [" + item.parents.front() +
                             "]; options stand without one");
    CLI::Option* option = verb.get_option_no_throw("--" + item.name);
    if (option == nullptr) option = verb.get_option_no_throw(item.name);
    const bool known = option != nullptr && item.name != "config" && item.name != "help";
    if (!known) throw CLI::ConfigError(file + ": " + verb.get_name() + " has no option '" + item.name + "'");
    if (option->count() > 0) continue;
    if (option->get_expected_min() == 0)
      option->add_result(option->get_flag_value(item.name, verb.get_config_formatter_base()->to_flag(item)));
    else
      option->add_result(item.inputs);
  }
}

template <class T>
Option add(CLI::App* app, const std::string& name, T& value, const std::string& help) {
  return Option(app->add_option(name, value, help));
}

// In place of CLI11's own checks, whose sentences print the greatest double with all its 309 digits.
CLI::Validator number_where(const std::function<bool(double)>& holds, const std::string& wanted,
                            const std::string& name) {
  return CLI::Validator(
      [holds, wanted](const std::string& text) {
        double value = 0;
        const bool number = CLI::detail::lexical_cast(text, value);
        return number && holds(value) ? std::string() : "'" + text + "' is not " + wanted;
      },
      name);
}

std::string text_of(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

}  // namespace

Option Option::required() { return Option(option_->required()); }
Option Option::range(int low, int high) { return range(static_cast<double>(low), static_cast<double>(high)); }
Option Option::range(double low, double high) {
  const std::string between = text_of(low) + " to " + text_of(high);
  return Option(
      option_->check(number_where([=](double v) { return v >= low && v <= high; }, "a number from " + between,
                                  "in [" + text_of(low) + " - " + text_of(high) + "]")));
}
Option Option::not_negative() {
  return Option(
      option_->check(number_where([](double v) { return v >= 0; }, "a number of 0 or more", "NONNEGATIVE")));
}
Option Option::positive() {
  return Option(option_->check(number_where([](double v) { return v > 0; }, "a number over 0", "POSITIVE")));
}
Option Option::one_of(const std::vector<std::string>& values) {
  return Option(option_->check(CLI::IsMember(values)));
}
Option Option::group(const std::string& heading) { return Option(option_->group(heading)); }
Option Option::needs(const Option& other) { return Option(option_->needs(other.option_)); }
Option Option::excludes(const Option& other) { return Option(option_->excludes(other.option_)); }
Option Option::one_a_use() { return Option(option_->allow_extra_args(false)); }

Verb Verb::verb(const std::string& name, const std::string& description) {
  CLI::App* below = app_->add_subcommand(name, description);
  below->option_defaults()->always_capture_default();
  return Verb(below);
}

void Verb::require_verb() { app_->require_subcommand(1); }

Option Verb::option(const std::string& name, std::string& value, const std::string& help) {
  return add(app_, name, value, help);
}
Option Verb::option(const std::string& name, int64_t& value, const std::string& help) {
  return add(app_, name, value, help);
}
Option Verb::option(const std::string& name, uint64_t& value, const std::string& help) {
  return add(app_, name, value, help);
}
Option Verb::option(const std::string& name, int& value, const std::string& help) {
  return add(app_, name, value, help);
}
Option Verb::option(const std::string& name, double& value, const std::string& help) {
  return add(app_, name, value, help);
}
Option Verb::option(const std::string& name, std::vector<std::string>& values, const std::string& help) {
  return add(app_, name, values, help);
}
Option Verb::option(const std::string& name, const std::string& shown,
                    const std::function<void(const std::string&)>& take, const std::string& help) {
  return Option(app_->add_option_function<std::string>(name, take, help)->default_str(shown));
}
Option Verb::flag(const std::string& name, bool& value, const std::string& help) {
  return Option(app_->add_flag(name, value, help));
}

void Verb::config_option() {
  app_->add_option_function<std::string>(
      "--config", [app = app_](const std::string& file) { read_config(*app, file); },
      "Options from a file (name = value lines); flags go on top");
}

bool Verb::has(const std::string& option) const { return app_->get_option_no_throw(option) != nullptr; }
Option Verb::at(const std::string& option) const { return Option(app_->get_option(option)); }
bool Verb::given(const std::string& option) const { return app_->get_option(option)->count() > 0; }
void Verb::on_parsed(const std::function<void()>& ready) { app_->parse_complete_callback(ready); }
void Verb::on_run(const std::function<void()>& run) { app_->callback(run); }

}  // namespace imgcap::cli
