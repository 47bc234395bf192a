// Options of a verb: their values from the command line and from a configuration file.
#include "imgcap/cli/verb.h"

#include <doctest/doctest.h>

#include <CLI/CLI.hpp>

#include "tests/cli/program.h"

using imgcap::cli::Option;
using imgcap::cli::Verb;
using tests::Folder;
using tests::has;

namespace {

// A verb with an option of each type.
struct Example {
  CLI::App app;
  std::string text = "default", choice = "one", unset, place;
  int64_t large = -1;
  uint64_t natural = 1;
  int small = 2;
  double real = 0.5, share = 0.25, more = 0;
  std::vector<std::string> many;
  bool flag = false, other = false;
  bool text_given = false, natural_given = false, flag_given = false;
  std::vector<std::string> events;
  int ran = 0;

  Example() {
    Verb all(&app);
    all.require_verb();
    Verb verb = all.verb("do", "Do it");
    verb.config_option();
    verb.option("place", place, "A place");
    verb.option("--text", text, "Text");
    verb.option("--choice", choice, "Choice").one_of({"one", "two"});
    verb.option("--unset", unset, "Nothing");
    verb.option("--large", large, "Large");
    verb.option("--natural", natural, "Natural").not_negative();
    verb.option("--small-number", small, "Small").range(-3, 10);
    verb.option("--real", real, "Real").positive();
    verb.option("--share", share, "Share").range(0.0, 0.5);
    const Option many_option = verb.option("--many", many, "Many");
    verb.flag("--flag", flag, "Flag").excludes(many_option);
    verb.flag("--other", other, "Other");
    verb.option("--more", more, "More").needs(many_option);
    verb.on_parsed([this] { events.push_back("parsed " + text); });
    verb.on_run([this, verb] {
      events.push_back("run " + text);
      ++ran;
      text_given = verb.given("--text");
      natural_given = verb.given("--natural");
      flag_given = verb.given("--flag");
    });
  }

  // "" or what CLI11 says.
  std::string parse(const std::vector<std::string>& arguments) {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    reversed.emplace_back("do");
    try {
      app.parse(reversed);
    } catch (const CLI::ParseError& error) {
      return error.what();
    }
    return "";
  }
};

// What parsing the file says, with further arguments behind it.
struct Files {
  Folder folder;
  std::string file(const std::string& lines) const {
    tests::write_text(folder / "file.toml", lines);
    return folder / "file.toml";
  }
};

}  // namespace

TEST_CASE("options of each type have the values of the command line, or their defaults") {
  Example e;
  CHECK(e.parse({"here",
                 "--text",
                 "a b",
                 "--choice",
                 "two",
                 "--large",
                 "-9007199254740993",
                 "--natural",
                 "18446744073709551615",
                 "--small-number",
                 "-3",
                 "--real",
                 "1e-3",
                 "--share",
                 "0.5",
                 "--many",
                 "x",
                 "y",
                 "--many",
                 "z",
                 "--other",
                 "--more",
                 "2"}) == "");
  CHECK(e.place == "here");
  CHECK(e.text == "a b");
  CHECK(e.choice == "two");
  CHECK(e.unset.empty());
  CHECK(e.large == -9007199254740993);
  CHECK(e.natural == 18446744073709551615u);
  CHECK(e.small == -3);
  CHECK(e.real == 1e-3);
  CHECK(e.share == 0.5);
  CHECK(e.more == 2);
  CHECK(e.many == std::vector<std::string>{"x", "y", "z"});
  CHECK_FALSE(e.flag);
  CHECK(e.other);
  CHECK(e.text_given);
  CHECK_FALSE(e.flag_given);
  // The values are there for both callbacks, in this order.
  CHECK(e.events == std::vector<std::string>{"parsed a b", "run a b"});
  Example none;
  CHECK(none.parse({}) == "");
  CHECK(none.text == "default");
  CHECK(none.natural == 1);
  CHECK_FALSE(none.text_given);
  CHECK_FALSE(none.natural_given);
}

TEST_CASE("what an option does not take is refused with a sentence that says what it takes") {
  const auto refused = [](const std::vector<std::string>& arguments, const std::string& why) {
    Example e;
    const std::string message = e.parse(arguments);
    CAPTURE(message);
    CHECK(has(message, why));
    CHECK(e.ran == 0);
  };
  refused({"--small-number", "-4"}, "--small-number: '-4' is not a number from -3 to 10");
  refused({"--small-number", "11"}, "'11' is not a number from -3 to 10");
  refused({"--small-number", "x"}, "'x' is not a number from -3 to 10");
  refused({"--small-number", "nan"}, "'nan' is not a number from -3 to 10");
  refused({"--share", "0.51"}, "--share: '0.51' is not a number from 0 to 0.5");
  refused({"--share", "-0.01"}, "is not a number from 0 to 0.5");
  refused({"--natural", "-1"}, "--natural: '-1' is not a number of 0 or more");
  refused({"--real", "0"}, "--real: '0' is not a number over 0");
  refused({"--real", "-1"}, "'-1' is not a number over 0");
  refused({"--choice", "three"}, "three not in {one,two}");
  refused({"--more", "1"}, "--more requires --many");
  refused({"--flag", "--many", "x"}, "--many excludes --flag");
  refused({"--large", "1.5"}, "--large");
  refused({"--nothing"}, "--nothing");
  Example e;
  for (const std::string good : {"-3", "10"}) CHECK(e.parse({"--small-number", good}) == "");
  for (const std::string good : {"0", "0.5"}) CHECK(e.parse({"--share", good}) == "");
  CHECK(e.parse({"--natural", "0"}) == "");
}

TEST_CASE("a verb is needed") {
  Example e;
  CHECK_THROWS_AS(e.app.parse(""), CLI::RequiredError);
}

TEST_CASE("a required option may be missing nowhere but in the file") {
  const Files files;
  const auto parse = [&](const std::vector<std::string>& arguments) {
    CLI::App app;
    Verb all(&app);
    Verb verb = all.verb("do", "Do it");
    verb.config_option();
    std::string value;
    verb.option("--value", value, "Value").required();
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    reversed.emplace_back("do");
    try {
      app.parse(reversed);
    } catch (const CLI::ParseError& error) {
      return std::string(error.what());
    }
    return value;
  };
  CHECK(parse({}) == "--value is required");
  CHECK(parse({"--config", files.file("value = \"v\"\n")}) == "v");
}

TEST_CASE("a configuration file has values of each type; the command line goes over it") {
  const Files files;
  const std::string file = files.file(
      "# a 'comment\n"
      "place = \"there\"\n"
      "text = \"a = b, # c'\" # a \"comment\n"
      "choice = 'two'# a comment\n"
      "large = -7\n"
      "natural = 8\n"
      "small-number = 9\n"
      "real = 2.5e-3\n"
      "share = 0.125\n"
      "many = [\"p # q\", 'r']\n"
      "other = true\n");
  Example e;
  CHECK(e.parse({"--config", file}) == "");
  CHECK(e.place == "there");
  CHECK(e.text == "a = b, # c'");
  CHECK(e.choice == "two");
  CHECK(e.large == -7);
  CHECK(e.natural == 8);
  CHECK(e.small == 9);
  CHECK(e.real == 2.5e-3);
  CHECK(e.share == 0.125);
  CHECK(e.many == std::vector<std::string>{"p # q", "r"});
  CHECK(e.other);
  CHECK_FALSE(e.flag);
  // Options of the file count as given.
  CHECK(e.text_given);
  CHECK(e.natural_given);
  CHECK_FALSE(e.flag_given);

  // In whatever order they stand.
  for (const bool before : {true, false}) {
    CAPTURE(before);
    std::vector<std::string> line = {"--text", "t", "--large", "1",   "--natural", "2", "--small-number", "3",
                                     "--real", "4", "--share", "0.5", "--many",    "s"};
    line.insert(before ? line.begin() : line.end(), {"--config", file});
    Example over;
    CHECK(over.parse(line) == "");
    CHECK(over.text == "t");
    CHECK(over.large == 1);
    CHECK(over.natural == 2);
    CHECK(over.small == 3);
    CHECK(over.real == 4);
    CHECK(over.share == 0.5);
    CHECK(over.many == std::vector<std::string>{"s"});  // not the file's as well
    CHECK(over.choice == "two");                        // the file's, as the line has none
  }

  Example flags;
  CHECK(flags.parse({"--config", files.file("flag = true\nother = false\n")}) == "");
  CHECK(flags.flag);
  CHECK(flags.flag_given);
  CHECK_FALSE(flags.other);
  Example on;
  CHECK(on.parse({"--other", "--config", files.file("other = false\n")}) == "");
  CHECK(on.other);
}

TEST_CASE("a configuration file that does not fit is refused") {
  const Files files;
  const auto refused = [&](const std::string& lines, const std::string& why) {
    Example e;
    const std::string message = e.parse({"--config", files.file(lines)});
    CAPTURE(message);
    CHECK(has(message, why));
    CHECK(e.ran == 0);
  };
  refused("unheard = 1\n", "file.toml: do has no option 'unheard'");
  refused("[section]\ntext = \"a\"\n", "file.toml: it has a section, [section]; options stand without one");
  refused("a.text = \"a\"\n", "it has a section, [a]");
  refused("config = \"other.toml\"\n", "do has no option 'config'");
  refused("help = true\n", "do has no option 'help'");
  // The checks of the options hold here, too.
  refused("small-number = 11\n", "--small-number: '11' is not a number from -3 to 10");
  refused("choice = \"three\"\n", "three not in {one,two}");
  refused("large = \"many\"\n", "--large");
  refused("flag = true\nmany = [\"a\"]\n", "--many excludes --flag");
  refused("more = 1\n", "--more requires --many");
  Example e;
  CHECK(has(e.parse({"--config", files.folder / "."}), "is a folder, not a configuration file"));
  CHECK(has(e.parse({"--config", files.folder / "missing.toml"}), "missing.toml"));
}
