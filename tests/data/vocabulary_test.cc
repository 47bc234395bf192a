#include "imgcap/data/vocabulary.h"

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <filesystem>
#include <string>
#include <vector>

#include "imgcap/data/captions.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"
#include "tests/data_dir.h"
#include "tests/folder.h"

using imgcap::Vocabulary;
using imgcap::VocabularyOptions;
using Ids = std::vector<int32_t>;

namespace {

const std::vector<std::string> kCaptions = {" A dog runs .", " A dog sits .", " The cat and the dog !",
                                            " a man"};

// The message of the error that `call` throws, with its kind's number before it.
template <class Call>
std::string error_of(Call call, tensor::ErrorKind kind) {
  try {
    call();
  } catch (const tensor::Error& e) {
    CHECK(e.kind() == kind);
    return e.what();
  }
  return "no error";
}

std::string load_error(const std::string& jsonl) {
  return error_of([&] { Vocabulary::from_jsonl(jsonl, "v.jsonl"); }, tensor::ErrorKind::data);
}

const std::string kHead = "\"<unk>\"\n\"<pad>\"\n\"<sos>\"\n\"<eos>\"\n";

}  // namespace

TEST_CASE("vocabulary: words by frequency, ties by code point, then letters and the space") {
  const auto v = Vocabulary::build(kCaptions, {.max_words = 5, .min_frequency = 2});
  REQUIRE(v.size() == 4 + 5 + 27);
  const std::vector<std::string> head(v.tokens().begin(), v.tokens().begin() + 10);
  CHECK(head ==
        std::vector<std::string>{"<unk>", "<pad>", "<sos>", "<eos>", "  ", " a", " dog", " .", " the", "a"});
  CHECK(v.token(v.size() - 1) == " ");
  CHECK(v.has_character_fallback());
  CHECK(v.id(" dog") == 6);
  CHECK(v.id("dog") == imgcap::kUnk);
  CHECK(Vocabulary::build(kCaptions, {.max_words = 0, .min_frequency = 1}).size() == 4 + 11 + 27);
  CHECK(Vocabulary::build(kCaptions, {.min_frequency = 100}).size() == 4 + 27);
  CHECK(error_of([] { Vocabulary::build({}); }, tensor::ErrorKind::data)
            .starts_with("vocabulary: there are no captions"));
  CHECK(error_of([] { Vocabulary::build(kCaptions, {.max_words = -1}); }, tensor::ErrorKind::argument)
            .starts_with("vocabulary: max_words -1"));
}

TEST_CASE("vocabulary: what a word needs to be in it") {
  // Five times a, four times b, c and \u00e9, and Z and z, which are one word.
  const std::vector<std::string> captions = {"a b a \u00e9 a Z", "c a b \u00e9 b c z",
                                             "b a \u00e9 c \u00e9 c"};
  const auto words = [&](int64_t most, int64_t least) {
    const auto v =
        Vocabulary::build(captions, {.max_words = most, .min_frequency = least, .character_fallback = false});
    return std::vector<std::string>(v.tokens().begin() + 4, v.tokens().end());
  };
  using Words = std::vector<std::string>;
  CHECK(words(0, 0) == Words{" a", " b", " c", " \u00e9", " z"});
  CHECK(words(0, 2) == Words{" a", " b", " c", " \u00e9", " z"});
  CHECK(words(0, 3) == Words{" a", " b", " c", " \u00e9"});
  CHECK(words(0, 4) == Words{" a", " b", " c", " \u00e9"});
  CHECK(words(0, 5) == Words{" a"});
  CHECK(words(0, 6) == Words{});
  CHECK(words(1, 0) == Words{" a"});
  CHECK(words(3, 0) == Words{" a", " b", " c"});
  CHECK(words(4, 3) == Words{" a", " b", " c", " \u00e9"});
  CHECK(words(5, 0).size() == 5);
  CHECK(words(6, 0).size() == 5);
  CHECK(error_of([&] { words(0, -1); }, tensor::ErrorKind::argument).find("min_frequency -1") !=
        std::string::npos);
  // The defaults are the original's: five times at least, 4065 words, letters behind them.
  const VocabularyOptions original;
  CHECK(original.max_words == 4065);
  CHECK(original.min_frequency == 5);
  CHECK(original.character_fallback);
}

TEST_CASE("vocabulary: words of more than 1,024 bytes with their space are left out") {
  const std::string longest(1023, 'x'), longer(1024, 'y');
  const std::vector<std::string> captions = {longest + " dog", longer + " dog " + longer};
  const auto v = Vocabulary::build(captions, {.min_frequency = 1, .character_fallback = false});
  CHECK(v.tokens() == std::vector<std::string>{"<unk>", "<pad>", "<sos>", "<eos>", " dog", " " + longest});
  CHECK(v.encode(longer) == Ids{2, 0, 3});
  CHECK(Vocabulary::from_jsonl(v.to_jsonl(), "x") == v);
  CHECK(error_of(
            [] {
              Vocabulary({"<unk>", "<pad>", "<sos>", "<eos>", std::string(1025, 'x')});
            },
            tensor::ErrorKind::data) == "vocabulary: a token of 1025 bytes; the limit is 1024");
}

TEST_CASE("vocabulary: a million tokens, no more") {
  std::vector<std::string> tokens = {"<unk>", "<pad>", "<sos>", "<eos>"};
  while (tokens.size() < 1'000'000) tokens.push_back(" " + std::to_string(tokens.size()));
  CHECK(Vocabulary(tokens).id(" 999999") == 999'999);
  tokens.push_back(" one more");
  CHECK(error_of([&] { Vocabulary(std::move(tokens)); }, tensor::ErrorKind::data) ==
        "vocabulary: more than 1000000 tokens");
}

TEST_CASE("vocabulary: files over 256 MiB are refused before they are read") {
  // Zeros that take no memory.
  const size_t bytes = (size_t{256} << 20) + 1;
  void* memory = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  const std::string_view huge(static_cast<const char*>(memory), bytes);
  CHECK(error_of([&] { Vocabulary::from_jsonl(huge, "v"); }, tensor::ErrorKind::data) ==
        "v: 268435457 bytes; a vocabulary has 268435456 at most");
  CHECK(error_of([&] { Vocabulary::from_jsonl(huge.substr(1), "v"); }, tensor::ErrorKind::data)
            .starts_with("v:1: expected one JSON string"));
  ::munmap(memory, bytes);
}

TEST_CASE("vocabulary: tokens by number and number by token, to the ends") {
  const Vocabulary v({"<unk>", "<pad>", "<sos>", "<eos>", " a", " b"});
  for (int32_t i = 0; i < 6; ++i) CHECK(v.id(v.token(i)) == i);
  CHECK(v.to_jsonl() == kHead + "\" a\"\n\" b\"\n");
  CHECK(v.contains(" a"));
  CHECK_FALSE(v.contains("a"));
  CHECK(v.contains("<unk>"));
  CHECK(v.id("a") == imgcap::kUnk);
  CHECK_FALSE(v.has_character_fallback());
  CHECK(error_of([&] { v.token(6); }, tensor::ErrorKind::index) ==
        "vocabulary: token 6 of a vocabulary of 6");
  CHECK(error_of([&] { v.token(-1); }, tensor::ErrorKind::index) ==
        "vocabulary: token -1 of a vocabulary of 6");
  CHECK(error_of(
            [] {
              Vocabulary({"<unk>", "<pad>", "<sos>", "<eos>", " a", " b", " a"});
            },
            tensor::ErrorKind::data) == "vocabulary: token 6 is the same as token 4: \" a\"");
  CHECK(error_of(
            [] {
              Vocabulary({"<unk>", "<pad>", "<eos>", "<sos>"});
            },
            tensor::ErrorKind::data)
            .starts_with("vocabulary: token 2 must be <sos>"));
  CHECK(Vocabulary({"<unk>", "<pad>", "<sos>", "<eos>"}).size() == 4);
  // All of a..z and the space have to be there to spell with.
  std::vector<std::string> letters = {"<unk>", "<pad>", "<sos>", "<eos>", " "};
  for (char c = 'a'; c < 'z'; ++c) letters.emplace_back(1, c);
  CHECK_FALSE(Vocabulary(letters).has_character_fallback());
  letters.emplace_back("z");
  CHECK(Vocabulary(letters).has_character_fallback());
  CHECK(Vocabulary(letters).encode("Az") == Ids{2, 4, 5, 30, 3});
}

TEST_CASE("vocabulary: encode spells unknown words, or gives <unk> without characters") {
  const auto v = Vocabulary::build(kCaptions, {.max_words = 5, .min_frequency = 2});
  const int32_t a = v.id("a"), space = v.id(" ");
  CHECK(v.encode(" The dog") == Ids{2, v.id("  "), v.id(" the"), v.id(" dog"), 3});
  CHECK(v.encode("cab") == Ids{2, space, a + 2, a, a + 1, 3});
  CHECK(v.encode("14") == Ids{2, space, 0, 0, 3});
  CHECK(v.encode("\u00e9a") == Ids{2, space, 0, a, 3});
  CHECK(v.encode("") == Ids{2, 3});
  const auto words =
      Vocabulary::build(kCaptions, {.max_words = 0, .min_frequency = 2, .character_fallback = false});
  CHECK(words.size() == 9);
  CHECK(!words.has_character_fallback());
  CHECK(words.encode("a cab .") == Ids{2, words.id(" a"), 0, words.id(" ."), 3});
}

TEST_CASE("vocabulary: decode gives clean text, decode_tokens the original's") {
  const auto v = Vocabulary::build(kCaptions, {.max_words = 5, .min_frequency = 2});
  const auto ids = v.encode(" A cab the dog .");
  CHECK(v.decode(ids) == "a cab the dog .");
  CHECK(v.decode_tokens(ids) == "<sos>   a cab the dog .<eos>");
  auto tail = ids;
  tail.insert(tail.end(), {1, 1, v.id(" dog")});
  CHECK(v.decode(tail) == "a cab the dog .");
  CHECK(v.decode_tokens(tail) == "<sos>   a cab the dog .<eos><pad><pad> dog");
  // Letters at the very end: the original adds a blank to the one that was spelled.
  const auto cut = v.encode(" a cab");
  const Ids truncated(cut.begin(), cut.end() - 1);
  CHECK(v.decode(truncated) == "a cab");
  CHECK(v.decode_tokens(truncated) == "<sos>   a  cab");
  CHECK(v.decode(v.encode("14 dog")) == "dog");
  CHECK(v.decode_tokens(v.encode("14 dog")) == "<sos> <unk><unk> dog<eos>");
  CHECK(v.decode(Ids{}) == "");
  CHECK(v.decode(Ids{2, 3}) == "");
  CHECK(error_of(
            [&] {
              v.decode(Ids{2, 99});
            },
            tensor::ErrorKind::index) == "vocabulary: token 99 of a vocabulary of 36");
  CHECK(error_of([&] { v.decode_tokens(Ids{-1}); }, tensor::ErrorKind::index).find("token -1") !=
        std::string::npos);
}

TEST_CASE("vocabulary: a file and a string give it back") {
  const auto v = Vocabulary::build({{" caf\u00e9 \"x\" \\ \t tab \U0001F600"}}, {.min_frequency = 1});
  CHECK(Vocabulary::from_jsonl(v.to_jsonl(), "text") == v);
  const tests::TemporaryFolder folder("vocabulary");
  const auto file = folder.path / "words.jsonl";
  v.save(file);
  CHECK(Vocabulary::load(file) == v);
  CHECK(tensor::io::read_file(file) == v.to_jsonl());
  std::filesystem::remove(file);
  CHECK(error_of([&] { Vocabulary::load(file); }, tensor::ErrorKind::io) ==
        file.string() + ": cannot be read: No such file or directory");
  CHECK(error_of([&] { Vocabulary::load(file.parent_path()); }, tensor::ErrorKind::io)
            .ends_with("cannot be read: Is a directory"));
  CHECK(error_of([&] { v.save(file / "x" / "y"); }, tensor::ErrorKind::io).find("cannot be written") !=
        std::string::npos);
  CHECK(Vocabulary::from_jsonl("\xEF\xBB\xBF\"<unk>\"\r\n\"<pad>\"\r\n\"<sos>\"\r\n\"<eos>\"\r\n\" a\"", "x")
            .size() == 5);
}

// The golden file is Python's: tests/golden/make_original.py.
TEST_CASE("vocabulary: out of a pickle of torchtext's, or of a list of strings") {
  const auto v = Vocabulary::load(tests::source_dir() / "tests/golden/original_vocab.pkl");
  CHECK(v.size() == 22);
  CHECK(v.token(imgcap::kEos) == "<eos>");
  CHECK(v.token(5) == "  ");
  CHECK(v.token(21) == " ");
  const auto list = [](const std::string& more) {
    std::string pickle = "\x80\x02](";
    for (const char* token : {"<unk>", "<pad>", "<sos>", "<eos>"}) pickle += std::string("U\5") + token;
    return pickle + more + "e.";
  };
  CHECK(Vocabulary::from_pickle(list("U\2 a"), "v").token(4) == " a");
  const auto refused = [](const std::string& bytes) {
    return error_of([&] { Vocabulary::from_pickle(bytes, "v.pkl"); }, tensor::ErrorKind::data);
  };
  CHECK(refused("") == "v.pkl: pickle, byte 0: cut off");
  CHECK(refused("\x80\x02}.") == "v.pkl: neither a vocabulary of torchtext nor a list of strings");
  CHECK(refused("\x80\x02]N"
                "a.") == "v.pkl: token 0 is no string");
  CHECK(refused("\x80\x02].").starts_with("v.pkl: "));
  CHECK(refused(list("U\2 aU\2 a")).starts_with("v.pkl: "));
  CHECK(refused(list("X\1\4" + std::string(2, '\0') + std::string(1025, 'x'))) ==
        "v.pkl: token 4 has 1025 bytes; at most 1024 are read");
  // Vocab without a state, with another one.
  const std::string vocab =
      "\x80\x02"
      "ctorchtext._torchtext\nVocab\n)\x81";
  for (const char* state : {"", "Nb", ")b",
                            "NN\x86"
                            "b",
                            "NNN\x87"
                            "b"})
    CHECK(refused(vocab + state + ".") == "v.pkl: neither a vocabulary of torchtext nor a list of strings");
}

TEST_CASE("vocabulary: the original's file, as Python wrote it") {
  const auto dir = tests::data_dir();
  if (dir.empty()) SKIP(tests::kNoData);
  CHECK(Vocabulary::load(dir / "original/vocab.pkl") == Vocabulary::load(dir / "original/vocab.jsonl"));
}

TEST_CASE("vocabulary: bad files are refused with the line") {
  CHECK(load_error("").starts_with("v.jsonl:0: the file ends after 0 tokens"));
  CHECK(load_error("\"<unk>\"\n\"<pad>\"\n").starts_with("v.jsonl:2: the file ends after 2 tokens"));
  CHECK(load_error("\"<pad>\"\n").starts_with("v.jsonl:1: token 0 must be <unk>"));
  CHECK(load_error(kHead + "\" a\"\n\" a\"\n") == "v.jsonl:6: the token \" a\" is on line 5 already");
  CHECK(load_error(kHead + "\"a\\r\"\n\"a\\r\"\n") == "v.jsonl:6: the token \"a\\x0d\" is on line 5 already");
  CHECK(load_error(kHead + "\"<pad>\"\n") == "v.jsonl:5: the token \"<pad>\" is on line 2 already");
  CHECK(load_error(kHead + "\n").starts_with("v.jsonl:5: expected one JSON string"));
  CHECK(load_error(kHead + "17\n").starts_with("v.jsonl:5: expected one JSON string"));
  CHECK(load_error(kHead + std::string(1'000'000, '[')).starts_with("v.jsonl:5: expected one JSON string"));
  for (const std::string bad :
       {"\" a", "\" a\" \"b\"", "\"\xff\"", "\"\\ud800\"", "\"a\tb\"", "\"\\x\"", "\"a\"]"})
    CHECK_MESSAGE(load_error(kHead + bad + "\n").starts_with("v.jsonl:5: no valid JSON string"), bad);
  CHECK(load_error(kHead + std::string("\"a\0b\"\n", 6)).starts_with("v.jsonl:5: no valid JSON string"));
  CHECK(load_error(kHead + "\"\"\n") == "v.jsonl:5: an empty token");
  CHECK(load_error(kHead + "\"" + std::string(1025, 'x') + "\"\n")
            .starts_with("v.jsonl:5: a token of 1025 bytes"));
  CHECK(error_of([] { Vocabulary({"<unk>"}); }, tensor::ErrorKind::data).starts_with("vocabulary: 1 tokens"));
  CHECK(error_of(
            [] {
              Vocabulary({"<unk>", "<pad>", "<sos>", "<eos>", "\xff"});
            },
            tensor::ErrorKind::data) == "vocabulary: a token that is no valid UTF-8");
}

TEST_CASE("vocabulary: the original's, built from Flickr30k") {
  const auto dir = tests::data_dir();
  if (dir.empty()) SKIP(tests::kNoData);
  std::vector<std::string> texts;
  for (auto& caption : imgcap::read_captions(dir / "flickr30k/results.csv").captions)
    texts.push_back(caption.text);
  const auto v = Vocabulary::build(texts);
  CHECK(v.size() == 4096);
  CHECK(v == Vocabulary::load(dir / "expected/vocab_flickr30k.jsonl"));
}

TEST_CASE("vocabulary: the ids in the original's notebook") {
  const auto dir = tests::data_dir();
  if (dir.empty()) SKIP(tests::kNoData);
  const auto v = Vocabulary::load(dir / "original/vocab.jsonl");
  const Ids expected = {2,    3390, 2884, 1613, 12,   4095, 4087, 4076, 4073, 4086, 4077, 4074,
                        4095, 4069, 4076, 4073, 4081, 4072, 10,   1210, 634,  1417, 6,    3};
  CHECK(v.encode("Hello my name is sherif ahemd and I can fly.") == expected);
  CHECK(v.decode_tokens(expected) == "<sos> hello my name is sherif ahemd and i can fly .<eos>");
  CHECK(v.decode(expected) == "hello my name is sherif ahemd and i can fly .");
  CHECK(v.token(1023) == " shooting");
  CHECK(v.id(" girl") == 32);
}
