// A verb of the program and its options: a thin layer over CLI11, which would cost seconds in every file that
// includes it. Both classes are handles; what they name lives in the program.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace imgcap::cli {

class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  Option required();
  Option range(int low, int high);
  Option range(double low, double high);
  Option not_negative();
  Option positive();
  Option one_of(const std::vector<std::string>& values);
  Option group(const std::string& heading);  // of --help; "": not shown
  Option needs(const Option& other);
  Option excludes(const Option& other);
  Option one_a_use();  // of a list: what stands behind the value is not of it

 private:
  CLI::Option* option_;
};

class Verb {
 public:
  explicit Verb(CLI::App* app) : app_(app) {}

  // A verb below this one. The whole program is the verb above all.
  Verb verb(const std::string& name, const std::string& description);
  // One of the verbs below has to be given.
  void require_verb();

  // A name without dashes is a positional argument. What `value` holds is the default, shown in --help; it
  // has to live until the verb has run. A flag takes no value.
  Option option(const std::string& name, std::string& value, const std::string& help);
  Option option(const std::string& name, int64_t& value, const std::string& help);
  Option option(const std::string& name, uint64_t& value, const std::string& help);
  Option option(const std::string& name, int& value, const std::string& help);
  Option option(const std::string& name, double& value, const std::string& help);
  Option option(const std::string& name, std::vector<std::string>& values, const std::string& help);
  // One that `take` makes of a text; `shown` is the default in --help.
  Option option(const std::string& name, const std::string& shown,
                const std::function<void(const std::string&)>& take, const std::string& help);
  Option flag(const std::string& name, bool& value, const std::string& help);
  bool has(const std::string& option) const;
  Option at(const std::string& option) const;  // one that there is
  // --config FILE: values for options that the command line leaves open. To be added before them.
  void config_option();

  bool given(const std::string& option) const;
  // `ready` is called when this verb's options have their values, and `run` when the whole line is read.
  void on_parsed(const std::function<void()>& ready);
  void on_run(const std::function<void()>& run);

 private:
  CLI::App* app_;
};

}  // namespace imgcap::cli
