#include "imgcap/data/tokenizer.h"

#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "imgcap/data/spacy_rules.h"
#include "imgcap/data/utf8.h"
#include "tests/data_dir.h"

using imgcap::tokenize_spacy;
using nlohmann::json;
using Tokens = std::vector<std::string>;

TEST_CASE("tokenize_spacy: what captions are made of") {
  CHECK(tokenize_spacy("") == Tokens{});
  CHECK(tokenize_spacy(" A man.") == Tokens{" ", "a", "man", "."});
  CHECK(tokenize_spacy("A T-shirt") == Tokens{"a", "t", "-", "shirt"});
  CHECK(tokenize_spacy("They don't; dogs' and dog's") ==
        Tokens{"they", "do", "n't", ";", "dogs", "'", "and", "dog", "'s"});
  CHECK(tokenize_spacy("10am, 3.5km w/o the U.S.") ==
        Tokens{"10", "am", ",", "3.5", "km", "w/o", "the", "u.s."});
  CHECK(tokenize_spacy("two  blanks ") == Tokens{"two", " ", "blanks"});
}

TEST_CASE("tokenize_spacy: every line of the golden file as spaCy splits it") {
  std::ifstream file(tests::source_dir() / "tests/golden/spacy_lines.jsonl");
  REQUIRE(file);
  int lines = 0;
  for (std::string line; std::getline(file, line); ++lines) {
    const json row = json::parse(line);
    const auto text = row[0].get<std::string>();
    CAPTURE(text);
    CHECK(json(tokenize_spacy(text)) == row[1]);
  }
  CHECK(lines == 648);
}

TEST_CASE("tokenize_spacy: 19,158 captions of Flickr30k") {
  const auto dir = tests::data_dir();
  if (dir.empty()) SKIP(tests::kNoData);
  std::map<std::string, std::string> captions;  // "image number" -> text
  std::ifstream csv(dir / "flickr30k/results.csv");
  for (std::string line; std::getline(csv, line);) {
    const size_t first = line.find('|'), second = line.find('|', first + 1);
    captions[line.substr(0, first) + line.substr(first + 1, second - first - 1)] = line.substr(second + 1);
  }
  std::ifstream file(dir / "expected/spacy_tokens.jsonl");
  int total = 0, equal = 0;
  for (std::string line; std::getline(file, line); ++total) {
    const json row = json::parse(line);
    const auto& text = captions.at(row[0].get<std::string>() + " " + std::to_string(row[1].get<int>()));
    const bool same = json(tokenize_spacy(text)) == row[2];
    equal += same;
    CHECK_MESSAGE(same, text);
  }
  CHECK(total == 19158);
  CHECK(equal == total);
}

TEST_CASE("tokenize_spacy: long hostile lines take linear time and lose no character") {
  for (const std::string piece :
       {"(", ".", "a@", "1.", "'s", "-", "a.", ":(", "\xff", "\xe2\x80", "x://", "''"}) {
    std::string text;
    while (text.size() < 200'000) text += piece;
    const Tokens tokens = tokenize_spacy(text);
    std::string joined;
    for (const auto& token : tokens) joined += token;
    CHECK(joined == imgcap::encode_utf8(imgcap::decode_utf8(text)));
  }
}

TEST_CASE("spacy_url: hosts, ports, users and addresses") {
  const auto is_url = [](const char* text) { return imgcap::spacy_url(imgcap::decode_utf8(text)); };
  for (const char* text :
       {"example.com", "a.b.co/x", "http://x.org:80/?q", "joe@mail.org", "8.8.8.8", "1.2.3.4:55"})
    CHECK_MESSAGE(is_url(text), text);
  for (const char* text : {"", ".", "example", "a.b", "10.0.0.1", "192.168.1.1", "1.2.3.0", "256.1.1.1",
                           "http://", "a.bc:1", "-a.bc", "172.20.1.1", "1.2.3.4x"})
    CHECK_MESSAGE(!is_url(text), text);
}

TEST_CASE("utf8: malformed sequences are found and replaced") {
  using imgcap::find_invalid_utf8;
  CHECK(find_invalid_utf8("a\u00e9\u65e5\U0001F600") == imgcap::kNoPosition);
  for (const std::string bad :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xff"}) {
    CHECK(find_invalid_utf8("ab" + bad) == 2);
    CHECK(imgcap::decode_utf8(bad).front() == 0xFFFD);
  }
  CHECK(imgcap::encode_utf8(U"a\u00e9\u65e5\U0001F600") == "a\u00e9\u65e5\U0001F600");
}

TEST_CASE("lower_case_utf8: as Python's str.lower()") {
  const auto lower = [](std::u32string_view text) { return imgcap::lower_case_utf8(text); };
  CHECK(lower(U"ÉCOLE Straße İ Ж Ǆ") == "école straße i\u0307 ж ǆ");
  CHECK(lower(U"ΟΔΟΣ") == "οδος");
  CHECK(lower(U"ΣΑΣΑ") == "σασα");
  CHECK(lower(U"Σ") == "σ");
  CHECK(lower(U"ΑΣ'") == "ας'");
  CHECK(lower(U"ΑΣ'Α") == "ασ'α");
}
