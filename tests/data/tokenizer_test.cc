#include "imgcap/data/tokenizer.h"

#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "imgcap/data/spacy_rules.h"
#include "imgcap/data/utf8.h"
#include "tests/data_dir.h"
#include "tests/json.h"

using imgcap::tokenize_spacy;
using tensor::io::Json;
using tests::read_json;
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
    const Json row = read_json(line);
    const auto text = row.at(0).as_text();
    CAPTURE(text);
    CHECK(Json(tokenize_spacy(text)) == row.at(1));
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
    const Json row = read_json(line);
    const auto& text = captions.at(row.at(0).as_text() + " " + std::to_string(row.at(1).as_int64()));
    const bool same = Json(tokenize_spacy(text)) == row.at(2);
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

// By spaCy's URL_PATTERN.
TEST_CASE("spacy_url: where its rules begin and end") {
  const auto check = [](bool url, const std::string& text) {
    CAPTURE(text);
    CHECK(imgcap::spacy_url(imgcap::decode_utf8(text)) == url);
  };
  // Addresses: 1..223, twice 0..255, 1..254, less the private ones.
  for (const char* text :
       {"1.0.0.1",     "9.99.09.9",       "99.1.1.99",   "199.199.1.199", "200.200.249.209", "219.1.1.249",
        "220.1.1.250", "223.255.255.254", "8.1.1.1",     "11.1.1.1",      "126.1.1.1",       "128.1.1.1",
        "169.253.1.1", "169.255.1.1",     "168.254.1.1", "192.167.1.1",   "192.169.1.1",     "191.168.1.1",
        "172.15.1.1",  "172.32.1.1",      "172.9.1.1",   "172.1.1.1",     "172.2.1.1",       "172.3.1.1",
        "171.16.1.1",  "172.116.1.1"})
    check(true, text);
  for (const char* text :
       {"0.1.1.1",    "224.1.1.1",  "229.1.1.1",   "230.1.1.1",   "300.1.1.1",  "1.256.1.1",  "1.260.1.1",
        "1.300.1.1",  "1.1.256.1",  "1.1.1.0",     "1.1.1.255",   "1.1.1.260",  "1.1.1.300",  "01.1.1.1",
        "1.1.1.01",   "1.1.1",      "1.1.1.",      "1.1.1.1.1",   "1..1.1",     "1234.1.1.1", "1.1.1.1111",
        "10.1.1.1",   "127.1.1.1",  "169.254.1.1", "192.168.1.1", "172.16.1.1", "172.19.1.1", "172.20.1.1",
        "172.29.1.1", "172.30.1.1", "172.31.1.1"})
    check(false, text);
  // Ports of two to five digits, then a path, a query or a fragment.
  for (const char* tail : {"", ":12", ":12345", "/", "?", "#", "/x:y", ":80/x", ":80?x", ":80#x"}) {
    check(true, std::string("1.1.1.1") + tail);
    check(true, std::string("a.bc") + tail);
  }
  for (const char* tail : {":", ":1", ":123456", ":12x", ":1/", "x1", "!", ".", "-"}) {
    check(false, std::string("1.1.1.1") + tail);
    check(false, std::string("a.bc") + tail);
  }
  // Labels of 1 to 64 characters that begin and end with a letter or digit, then 2 to 63 letters.
  const auto many = [](size_t count) { return std::string(count, 'x'); };
  for (const char* text : {"a.bc", "1.bc", "a-b_c.de", "a.b.c.de", "é.bc", "A.bc"}) check(true, text);
  for (const char* text :
       {"a.b", ".bc", "a..bc", "_a.bc", "a_.bc", "-a.bc", "a-.bc", "a.b-c", "a b.cd", "a.b1c", "a.BC"})
    check(false, text);
  check(true, many(64) + ".bc");
  check(false, many(65) + ".bc");
  check(true, "a." + many(63));
  check(false, "a." + many(64));
  // A scheme of two characters and more, and a user with anything before the "@".
  for (const char* text : {"ab://c.de", "a+b-c.d://e.fg", "h2://1.1.1.1", "x@a.bc", "x:y@a.bc", "!@1.1.1.1",
                           "ab://x@c.de", "x@y@a.bc"})
    check(true, text);
  for (const char* text : {"a://c.de", "://c.de", "ab:/c.de", "ab:c.de", "@a.bc", "x@a", "ab://"})
    check(false, text);
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
