// SET=FILE: which texts are files of a set.
#include "imgcap/cli/set_files.h"

#include <doctest/doctest.h>

#include <set>

#include "tests/cli/refused.h"

using namespace imgcap::cli;
using tests::has;

namespace {

SetFile parsed(const std::string& text, const std::set<std::string>& there = {}) {
  return parse_set_file(text, [&](const std::string& file) { return there.contains(file); });
}

std::string why(const std::string& text, const std::set<std::string>& there = {}) {
  return tests::refused([&] { parsed(text, there); }, tensor::ErrorKind::argument);
}

}  // namespace

TEST_CASE("a file of a set has the set's name and = in front") {
  CHECK(parsed("captions.csv") == SetFile{"", "captions.csv"});
  CHECK(parsed("flickr8k=captions.csv") == SetFile{"flickr8k", "captions.csv"});
  CHECK(parsed("a=b=c.csv") == SetFile{"a", "b=c.csv"});
  CHECK(parsed("coco-2017_x.1=/data/a b.csv") == SetFile{"coco-2017_x.1", "/data/a b.csv"});
  CHECK(parsed("8=../captions") == SetFile{"8", "../captions"});
  // What no set can be called is part of the file's name, and so is what is no "=".
  for (const char* text : {"./a=b.csv", "data/a=b.csv", "=b.csv", "-a=b", ".a=b", "_a=b", "a b=c",
                           "\xC3\xA9=b", "a:b.csv", "C:\\a=b.csv", ""})
    if (*text != '\0') CHECK(parsed(text) == SetFile{"", text});
}

TEST_CASE("a file whose name looks like one of a set is meant where it is there alone") {
  CHECK(parsed("a=b.csv", {"a=b.csv"}) == SetFile{"", "a=b.csv"});
  CHECK(parsed("a=b.csv", {"b.csv"}) == SetFile{"a", "b.csv"});
  CHECK(parsed("a=", {"a="}) == SetFile{"", "a="});
  CHECK(
      why("a=b.csv", {"a=b.csv", "b.csv"}) ==
      "a=b.csv: there is a file of this name, and b.csv that it may mean as well; write ./a=b.csv for the first, "
      "and a=./b.csv for the other");
  // As the sentence says.
  const std::set<std::string> both = {"a=b.csv", "b.csv", "./a=b.csv", "./b.csv"};
  CHECK(parsed("./a=b.csv", both) == SetFile{"", "./a=b.csv"});
  CHECK(parsed("a=./b.csv", both) == SetFile{"a", "./b.csv"});
  CHECK(why("a=") == "a=: no file is named behind the set");
}

TEST_CASE("a language stands before the file, behind the set") {
  const auto with = [](const std::string& text, const std::set<std::string>& there = {}) {
    return parse_set_file(
        text, [&](const std::string& file) { return there.contains(file); }, Before::set_and_language);
  };
  CHECK(with("ar:arabic.csv") == SetFile{"", "arabic.csv", "ar"});
  CHECK(with("flickr8k_ar=ar:arabic.csv") == SetFile{"flickr8k_ar", "arabic.csv", "ar"});
  CHECK(with("flickr8k=captions.csv") == SetFile{"flickr8k", "captions.csv"});
  CHECK(with("en:a=b.csv") == SetFile{"", "a=b.csv", "en"});
  for (const char* text :
       {"./ar:a.csv", "a:b.csv", "arb:b.csv", "AR:b.csv", "a1:b.csv", "ar", "C:\\ar:b.csv"})
    CHECK(with(text) == SetFile{"", text});
  CHECK(with("s=./ar:a.csv") == SetFile{"s", "./ar:a.csv"});
  CHECK(parsed("ar:a.csv") == SetFile{"", "ar:a.csv"});  // where none can stand
  // By whose file is there.
  CHECK(with("ar:a.csv", {"ar:a.csv"}) == SetFile{"", "ar:a.csv"});
  CHECK(with("ar:a.csv", {"a.csv"}) == SetFile{"", "a.csv", "ar"});
  CHECK(with("s=ar:a.csv", {"ar:a.csv"}) == SetFile{"s", "ar:a.csv"});
  const auto refusal = [&](const std::string& text, const std::set<std::string>& there) {
    return tests::refused([&] { with(text, there); }, tensor::ErrorKind::argument);
  };
  CHECK(
      refusal("ar:a.csv", {"ar:a.csv", "a.csv"}) ==
      "ar:a.csv: there is a file of this name, and a.csv that it may mean as well; write ./ar:a.csv for the "
      "first, and ar:./a.csv for the other");
  CHECK(
      refusal("s=ar:a.csv", {"ar:a.csv", "a.csv"}) ==
      "s=ar:a.csv: there is a file ar:a.csv, and a.csv that it may mean as well; write s=./ar:a.csv for the "
      "first, and s=ar:./a.csv for the other");
  const std::set<std::string> both = {"ar:a.csv", "a.csv", "./ar:a.csv", "./a.csv"};
  CHECK(with("s=./ar:a.csv", both) == SetFile{"s", "./ar:a.csv"});
  CHECK(with("s=ar:./a.csv", both) == SetFile{"s", "./a.csv", "ar"});
  CHECK(refusal("s=ar:", {}) == "s=ar:: no file is named behind the language");
}

TEST_CASE("a set has one language, its own or the run's") {
  const auto sets = [](const std::vector<std::string>& texts, const std::string& language = "") {
    return files_by_set("train", {"--captions", texts}, {}, language);
  };
  const auto refusal = [&](const std::vector<std::string>& texts, const std::string& language = "") {
    return tests::refused([&] { expect_languages("train", "--captions", sets(texts, language)); },
                          tensor::ErrorKind::argument);
  };
  const std::vector<FileSet> both = sets({"a=en:x", "b=ar:y", "b=ar:z"});
  REQUIRE(both.size() == 2);
  CHECK(both[0].language == "en");
  CHECK(both[1].language == "ar");
  CHECK(both[1].of("--captions") == std::vector<std::string>{"y", "z"});
  CHECK(sets({"a=x", "b=ar:y"}, "en")[0].language == "en");
  CHECK(sets({"x"}, "de")[0].language == "de");
  CHECK(sets({"ar:x"})[0].language == "ar");
  CHECK(sets({"x"})[0].language.empty());
  CHECK(
      refusal({"a=x", "b=ar:y"}) ==
      "train: the set b has the language ar, and a names none: write --captions a=LANG:FILE, or --lang LANG for "
      "all that name none");
  CHECK(refusal({"en:x", "b=ar:y"}) ==
        "train: --captions en:x: of which set? Others have one: write SET=en:x");
  CHECK(refusal({"en:x", "ar:y"}) ==
        "train: --captions ar:y: a set has one language, and others of its files have en: write SET=ar:y");
  CHECK(
      refusal({"a=x", "a=ar:y"}) ==
      "train: --captions a=ar:y: a set has one language, and others of its files have none: write SET=ar:y");
}

TEST_CASE("files without sets are of one language") {
  const auto only = [](const std::vector<std::string>& texts, const std::string& language = "") {
    return only_language("report", {"--captions", texts}, language);
  };
  CHECK(only({"ar:x", "ar:y"}) == "ar");
  CHECK(only({"x", "y"}).empty());
  CHECK(only({"x", "en:y"}, "en") == "en");
  const auto refusal = [&](const std::vector<std::string>& texts) {
    return tests::refused([&] { only(texts); }, tensor::ErrorKind::argument);
  };
  CHECK(
      refusal({"en:x", "ar:y"}) ==
      "report: --captions ar:y: others of the files have the language en; here it is one language at a time");
  CHECK(refusal({"x", "ar:y"}) ==
        "report: --captions ar:y: others of the files have no language; here it is one language at a time");
}

TEST_CASE("a set's name has 64 characters at most, as files are called by it") {
  const auto none = [](const std::string&) { return false; };
  const std::string name(64, 'a');
  CHECK(parse_set_file(name + "=f", none) == SetFile{name, "f"});
  CHECK(parse_set_file(name + "a=f", none) == SetFile{"", name + "a=f"});
}

TEST_CASE("files of sets are looked for on the disk") {
  const tests::Folder folder;
  tests::write_text(folder / "b.csv", "");
  const std::string there = folder / "b.csv";
  CHECK(parse_set_files({"a=" + there, there, "c=none"}) ==
        std::vector<SetFile>{{"a", there}, {"", there}, {"c", "none"}});
  CHECK(parse_set_files({"a=" + std::string(5000, 'x')}).front().set == "a");  // longer than any name
}

TEST_CASE("a set's weight is a number over 0") {
  CHECK(parse_set_weight("coco_extra=0.5").set == "coco_extra");
  CHECK(parse_set_weight("coco_extra=0.5").weight == 0.5);
  CHECK(parse_set_weight("a=1e3").weight == 1000);
  for (const std::string text : {"a", "a=", "=1", "a=x", "a=1x", "a=0", "a=-1", "a=nan", "a=inf", "a=1001",
                                 "a b=1", "a=1=1", "a= 1", "1", ""})
    CHECK(tests::refused([&] { parse_set_weight(text); }, tensor::ErrorKind::argument) ==
          "--set-weight " + text + ": it has to be SET=NUMBER with a number over 0 and up to 1000");
}
