#include "imgcap/metrics/ptb_tokenizer.h"

#include <doctest/doctest.h>

#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "tests/data_dir.h"
#include "tests/json.h"

using imgcap::tokenize_ptb;

namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

struct Case {
  const char* text;
  const char* words;  // between blanks
};

void check_all(std::initializer_list<Case> cases) {
  for (const Case& c : cases) {
    CAPTURE(c.text);
    CHECK(joined(tokenize_ptb(c.text)) == c.words);
  }
}

}  // namespace

TEST_CASE("ptb: plain captions lose punctuation and capitals") {
  check_all({{"", ""},
             {" \t\n ", ""},
             {" Two dogs run , one has a ball .", "two dogs run one has a ball"},
             {"He says: \"Crash! Bang!\" ... and goes; 'now' -- or (never)?",
              "he says crash bang and goes now or -lrb- never -rrb-"},
             {"[a] {b}", "-lsb- a -rsb- -lcb- b -rcb-"},
             {"grey Grey colour theatre travelling", "grey grey colour theatre travelling"}});
}

TEST_CASE("ptb: contractions and possessives") {
  check_all({{"a man's dog", "a man 's dog"},
             {"It's what they've said he'd do, I'm sure we'll see you're right",
              "it 's what they 've said he 'd do i 'm sure we 'll see you 're right"},
             {"doesn't DON'T can't won't", "does n't do n't ca n't wo n't"},
             {"boys' toys, the dress' train", "boys toys the dress train"},
             {"the man 's hat does n't fit , I 'm sure", "the man 's hat does n't fit i 'm sure"},
             {"\xE2\x80\x9CIt\xE2\x80\x99s\xE2\x80\x9D", "it 's"},
             {"cannot Cannot gonna wanna", "can not can not gon na wan na"},
             {"'Tis 'twas", "'t is 't was"},
             {"five o'clock, hors d'oeuvres, L'Oreal's", "five o'clock hors d'oeuvres l'oreal 's"},
             {"a slip 'n' slide, hook 'em, ma'am", "a slip 'n' slide hook 'em ma'am"},
             {"bird's-eye view", "bird 's eye view"},
             {"'slide' 'sex 's", "slide sex 's"}});
}

TEST_CASE("ptb: hyphens, slashes and numbers") {
  check_all({{"a 10-year-old in a t-shirt", "a 10-year-old in a t-shirt"},
             {"racing- the one -round", "racing the one round"},
             {"AK-47 R2-D2 9-11 1,000-seat U.S.-led", "ak-47 r2-d2 9-11 1,000-seat u.s.-led"},
             {"and/or 24/7 a/b/c", "and/or 24/7 a/b/c"},
             {"at 9:20. 10,000 2.52. 49ers 3D 1950's 25.", "at 9:20 10,000 2.52 49ers 3d 1950 's 25"},
             {"#23 $5 50% -5 +8 .99", "# 23 $ 5 50 % -5 +8 .99"},
             {"in '09 the '60s", "in '09 the '60s"},
             {"men,one 1,a", "men one 1 a"},
             {"4:06pm 10.00m", "4:06 pm 10.00 m"},
             {"...5", "5"}});
}

TEST_CASE("ptb: abbreviations and initials") {
  check_all({{"Mr. Smith and Mrs. Jones on Wall St.\"", "mr. smith and mrs. jones on wall st."},
             {"in Washington D.C.", "in washington d.c."},
             {"Three U.S. soldiers at 5 p.m.", "three u.s. soldiers at 5 p.m."},
             {"John A. Noble, the letter P.", "john a. noble the letter p."},
             {"modern art. in the sun.", "modern art in the sun"},
             {"No. 5 said no.", "no. 5 said no"},
             {"He is ill. Ill. is a state", "he is ill ill. is a state"},
             {"Dale Earnhardt, Jr., display", "dale earnhardt jr. display"},
             {"coffee., tea.: or", "coffee. tea. or"},
             {"Rees.com. www.a.org/b", "rees.com www.a.org / b"}});
}

TEST_CASE("ptb: every abbreviation keeps its period, inside a sentence and at its end") {
  for (const char* word :
       {"Mr", "Mrs", "Ms", "Messrs", "Dr", "Drs", "Prof", "Rev", "Hon", "St", "Mt", "Ft", "Gov", "Sen",
        "Pres", "Gen", "Col", "Maj", "Capt", "Lt", "Sgt", "Cpl", "Pvt", "Cmdr", "Adm", "Jr", "Sr", "Bros",
        "Esq", "Ave", "Blvd", "Rd", "Inc", "Co", "Cos", "Corp", "Ltd", "Dept", "Univ", "Assn", "Jan", "Feb",
        "Mar", "Apr", "Jun", "Jul", "Aug", "Sep", "Sept", "Oct", "Nov", "Dec", "Mon", "Tue", "Tues", "Wed",
        "Thu", "Thurs", "Fri", "Ala", "Ariz", "Calif", "Colo", "Conn", "Fla", "Ga", "Ky", "Md", "Mich",
        "Minn", "Mont", "Neb", "Nev", "Okla", "Tenn", "Va", "Vt", "Wis", "Wyo", "etc", "vs", "al", "cf",
        // with a capital only
        "Ark", "Del", "Ill", "Ind", "Kan", "La", "Mass", "Miss", "Mo", "Ore", "Pa", "Penn", "Tex", "Wash",
        "Rep"}) {
    CAPTURE(word);
    std::string lower = word;
    if (lower[0] < 'a') lower[0] = static_cast<char>(lower[0] + 32);
    CHECK(joined(tokenize_ptb("in " + std::string(word) + ". dogs run")) == "in " + lower + ". dogs run");
    CHECK(joined(tokenize_ptb(std::string(word) + ".")) == lower + ".");
    CHECK(joined(tokenize_ptb(std::string(word) + " dogs")) == lower + " dogs");
  }
  // Months, days and states that are words, and words that end like abbreviations.
  check_all({{"in may. the sun. he sat. the mass. a wash. la. ore. rep.",
              "in may the sun he sat the mass a wash la ore rep."},
             {"farm. calmr. best. stands.", "farm calmr best stands"},
             {"Ph.D. or Ed.D. men", "ph.d. or ed.d. men"}});
}

TEST_CASE("ptb: numbers keep the period of No., p. and fig. only when they follow closely") {
  check_all({{"no. 5, nos. 5, art. 5, fig. 5, figs. 5, p. 5, pp. 5",
              "no. 5 nos. 5 art. 5 fig. 5 figs. 5 p. 5 pp. 5"},
             {"no.5 x", "no. 5 x"},
             {"no.  5 x", "no 5 x"},
             {"no.   5 x", "no 5 x"},
             {"no. five", "no five"}});
}

TEST_CASE("ptb: contractions in capitals, at ends, and what only looks like one") {
  check_all({{"I'LL WE'RE THEY'VE IT'S I'M HE'D", "i 'll we 're they 've it 's i 'm he 'd"},
             {"it'ss we'rex", "it ss we rex"},
             {"isn't.", "is n't"},
             {"ain'ts", "ai n'ts"},
             {"gotta lemme gimme GONNA", "got ta lem me gim me gon na"},
             {"cannots cannon gonnas", "cannots cannon gonnas"},
             {"'twas' 'til 'till 'cause 'n rock 'n' roll", "'t was 'til 'till 'cause 'n rock 'n' roll"},
             {"'tisn 'emx", "'t isn 'em x"},
             {"'09 '9 '099 '60s '60x", "'09 9 099 '60s 60x"},
             {"y'all ol' d'art l'eau o'neil d's", "y' all ol' d'art l'eau o'neil d 's"},
             {"m'lady y'alls", "m lady y' alls"}});
}

TEST_CASE("ptb: numbers with signs, colons, commas and points") {
  check_all({{"+5 -5 .5 -.5 +1,000.50 1:2:3", "+5 -5 .5 -.5 +1,000.50 1:2:3"},
             {"5- 5, 5. 5: 5", "5 5 5 5 5"},
             {"1,,2 1..2", "1 ,2 1 .2"},  // a number may begin with its point
             {"....5 .....5 ......5", "5 5 .5"},
             {"4x4 100m 2nd", "4x4 100m 2nd"}});
}

TEST_CASE("ptb: words joined by hyphens, slashes and ampersands") {
  check_all({{"black-and-white x-ray a--b", "black-and-white x-ray a b"},
             {"1/2 a/b/c/d", "1/2 a/b/c / d"},
             {"either-or/neither-nor-but/x", "either-or/neither-nor-but/x"},
             {"a-b-c-d/e", "a-b-c-d / e"},
             {"AT&T A&M a&b B&B&B A+B", "at&t a&m a & b b&b&b a+b"},
             {"non-U.S. troops", "non-u.s. troops"}});
}

TEST_CASE("ptb: addresses end before punctuation, blanks and brackets") {
  check_all({{"see http://a.org/b?c=d, https://x.com. www.y.de!",
              "see http://a.org/b?c=d https://x.com www.y.de"}});
}

TEST_CASE("ptb: signs, entities, tags, odd characters") {
  check_all({{"a &amp; b A&amp;M at&amp;t &nbsp;", "a & b a&m at & t"},
             {"I &lt;3 it", "i < 3 it"},
             {"<sos> a man <eos>", "<sos> a man <eos>"},
             {"1 < 2 > 0", "1 < 2 > 0"},
             {"wow!! what?! ok!", "wow !! what ?! ok"},
             {"a_b * @ ~ = +", "a_b * @ ~ = +"},
             {"caf\xC3\xA9 CAF\xC3\x89", "caf\xC3\xA9 caf\xC3\xA9"},
             {"\xF0\x9F\x98\x80 dog\xF0\x9F\x98\x80", "dog"},
             {"\xC2\xBD \xE2\x82\xAC"
              "5 \xC2\xA3"
              "6",
              "1/2 $ 5 # 6"},
             {"a \xFF\xC3 b", "a b"},
             {"me@host.org #tag @name", "me@host.org #tag @name"},
             {"US$5 hi :)", "us$ 5 hi :-rrb-"}});
}

TEST_CASE("ptb: hostile lines take linear time") {
  // Every sign, alone and behind a letter, what opens something that never closes, and repeated beginnings.
  std::vector<std::string> pieces = {
      "a@a.",  "a,1.",    "%a",       "-.",       "A&",           "x'",
      "&amp;", "&eacute", "<a ",      "<a b='",   "<!a",          "<a b=\"<a c='",
      "<a b ", "</a ",    "http://",  "http://.", "www.",         "www._.",
      "a~b.",  "~.com/",  "a.b-",     "1/",       "1 1 ",         "555 ",
      "(555 ", "P. ",     "P.  ",     "no.  ",    "a_-",          "O'",
      "ba'a",  "'n",      ". ",       ":-",       "(^",           "Mr.",
      "Jan.a", "a.txt.",  "5.c.",     "@a",       "#a",           "&#1",
      "C+",    "AB$",     "\xCC\x81", "\xC2\xAD", "\xE2\x80\x90x"};
  for (char c = ' '; c <= '~'; ++c) pieces.emplace_back(1, c);
  constexpr size_t kLine = 1'000'000;
  for (const std::string& piece : pieces) {
    CAPTURE(piece);
    std::string line;
    while (line.size() < kLine) line += piece;
    const std::clock_t start = std::clock();
    CHECK(tokenize_ptb(line).size() <= line.size());
    // It takes .1 to .4 s with optimisation; a second look at all of the line for each of its tokens takes
    // hours.
    CHECK((std::clock() - start) / CLOCKS_PER_SEC < 20);
  }
}

namespace {

// The words of each line of a text, with a blank between any two; a line sees those that follow it.
std::string words_of_lines(std::string_view text) {
  std::string out;
  for (;;) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    out += joined(tokenize_ptb(line, text));
    if (end == line.size() && text.empty()) return out;
    out += '\n';
  }
}

}  // namespace

TEST_CASE("ptb: the official tool's words for lines of our own") {
  std::ifstream file(tests::source_dir() / "tests" / "golden" / "ptb_words.jsonl");
  REQUIRE(file);
  int texts = 0, agree = 0;
  for (std::string line; std::getline(file, line); ++texts) {
    const tensor::io::Json json = tests::read_json(line);
    const auto text = json.at(0).as_text(), expected = json.at(1).as_text();
    if (const std::string words = words_of_lines(text); words == expected)
      ++agree;
    else
      MESSAGE(text << "\n  here:     " << words << "\n  expected: " << expected);
  }
  CHECK(texts > 4000);
  CHECK(agree == texts);
}

namespace {

// Compares with a file of the data folder, whose lines were one text to the tool; `text_key` and `words_key`
// say where they have what.
template <class Key>
void check_file(const std::string& name, Key text_key, Key words_key, size_t lines) {
  const auto dir = tests::data_dir();
  if (dir.empty()) SKIP(tests::kNoData);
  std::ifstream file(dir / "expected" / name);
  REQUIRE(file);
  std::vector<std::string> texts;
  std::vector<std::vector<std::string>> expected;
  for (std::string line; std::getline(file, line);) {
    const tensor::io::Json json = tests::read_json(line);
    texts.push_back(json.at(text_key).as_text());
    std::vector<std::string>& words = expected.emplace_back();
    for (const tensor::io::Json& word : json.at(words_key).items()) words.push_back(word.as_text());
  }
  CHECK(texts.size() == lines);
  for (size_t i = 0; i < texts.size(); ++i) {
    CAPTURE(texts[i]);
    CHECK(joined(tokenize_ptb(texts[i], i + 1 < texts.size() ? texts[i + 1] : "")) == joined(expected[i]));
  }
}

}  // namespace

TEST_CASE("ptb: the official tool's words, caption for caption") {
  check_file("ptb_tokens.jsonl", "caption", "tokens", 12230);
}

TEST_CASE("ptb: the official tool's words for captions of other sources") {
  check_file("ptb_tokens_more.jsonl", size_t{0}, size_t{1}, 1269);
}
