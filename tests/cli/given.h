// Which of a verb's options a test has given: a new option without a test is found by it.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cli/program.h"

namespace tests {

// The long options of a verb with their defaults, as its --help says them; "" where there is none.
inline std::map<std::string, std::string> options_of(std::vector<std::string> verb) {
  verb.emplace_back("--help");
  const std::regex line(
      R"(  (?:-h,)?(--[a-z0-9-]+)(?: (?:TEXT|INT|UINT|FLOAT)(?::(?:in \[[^\]]*\]|\{[^}]*\}|[A-Z]+))?(?:=(\S+))?)?.*)");
  std::map<std::string, std::string> all;
  std::istringstream help(run(verb).out);
  for (std::string text; std::getline(help, text);)
    if (std::smatch match; std::regex_match(text, match, line)) all[match[1]] = match[2];
  return all;
}

// Of score, eval and tokenize (text_options_test.cc).
inline const std::vector<std::string> kNormalisations = {"--normalise",      "--normalise-alef",
                                                         "--normalise-ya",   "--normalise-ta-marbuta",
                                                         "--remove-tatweel", "--remove-diacritics"};

class Given {
 public:
  // What all verbs share is tested for itself.
  explicit Given(std::vector<std::string> verb) : verb_(std::move(verb)), left_(options_of(verb_)) {
    for (const char* shared : {"--help", "--config", "--seed", "--threads"}) {
      REQUIRE_MESSAGE(left_.contains(shared), shared);
      left_.erase(shared);
    }
  }
  // The whole command line. An option counts as given when it has another value than its default.
  std::vector<std::string> operator()(const std::vector<std::string>& arguments) {
    for (size_t i = 0; i < arguments.size(); ++i) {
      const auto option = left_.find(arguments[i]);
      if (option == left_.end()) continue;
      const bool is_default = i + 1 < arguments.size() && arguments[i + 1] == option->second;
      if (!is_default) left_.erase(option);
    }
    std::vector<std::string> all = verb_;
    all.insert(all.end(), arguments.begin(), arguments.end());
    return all;
  }
  // Those that have their test in another file, to be named beside the call.
  void elsewhere(const std::vector<std::string>& options) {
    for (const std::string& option : options) CHECK_MESSAGE(left_.erase(option) == 1, option);
  }
  std::string left() const {
    std::string names;
    for (const auto& [name, value] : left_) names += (names.empty() ? "" : " ") + name;
    return names;
  }

 private:
  std::vector<std::string> verb_;
  std::map<std::string, std::string> left_;
};

}  // namespace tests
