#include <doctest/doctest.h>

#include "tests/cli/given.h"
#include "tests/cli/program.h"
#include "tests/cli/refused.h"
#include "tests/data_dir.h"
#include "tests/json.h"

using tensor::io::Json;
using tests::check_refused;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

namespace {

std::string golden(const std::string& name) { return (tests::source_dir() / "tests/golden" / name).string(); }

}  // namespace

TEST_CASE("what CLI11 refuses ends with code 2, help and version with 0") {
  check_refused(run({"tokenize", "--nonsense"}), "The following argument was not expected: --nonsense");
  check_refused(run({"convert"}), "in is required");
  const Result version = run({"--version"});
  CHECK(version.code == 0);
  CHECK(version.out.starts_with("imgcap "));
  CHECK(version.err.empty());
  for (const char* verb : {"train", "eval", "caption", "score", "prepare", "classify", "tokenize", "convert",
                           "info", "report", "bench"}) {
    CAPTURE(verb);
    const Result help = run({verb, "--help"});
    CHECK(help.code == 0);
    for (const char* option : {"--config", "--seed", "--threads"}) CHECK(has(help.out, option));
  }
  for (const char* part : {"build", "show"})
    for (const char* option : {"--config", "--seed", "--threads"})
      CHECK(has(run({"vocab", part, "--help"}).out, option));
}

TEST_CASE("--help says what an option takes, and its default") {
  const std::vector<std::pair<std::string, std::vector<std::string>>> ranges = {
      {"eval",
       {"--beam INT:in [1 - 100]", "--max-words INT:in [1 - 1000]", "--length-exponent FLOAT:in [0 - 10]"}},
      {"report",
       {"--beam INT:in [1 - 100]", "--max-words INT:in [1 - 1000]", "--length-exponent FLOAT:in [0 - 10]",
        "--photos INT:in [0 - 1000]"}},
      {"caption",
       {"--beam INT:in [1 - 1000]", "--nbest INT:in [1 - 1000]", "--max-words INT:in [1 - 1000]",
        "--length-exponent FLOAT:in [0 - 10]", "--temperature FLOAT:POSITIVE", "--top-k INT:NONNEGATIVE",
        "--top-p FLOAT:in [0 - 1]"}},
      {"classify", {"--top INT:in [1 - 1e+06]"}},
      {"score", {"--samples INT:in [1 - 1e+06]"}},
      {"bench", {"--calls INT:in [1 - 1000]", "--pairs INT:in [1 - 100]"}},
      {"train", {"--init-temperature FLOAT:POSITIVE", "--loss-scale FLOAT:POSITIVE"}}};
  for (const auto& [verb, options] : ranges) {
    const std::string help = run({verb, "--help"}).out;
    for (const std::string& option : options)
      CHECK_MESSAGE(has(help, "\n  " + option + "="), verb << " " << option);
  }
  using Defaults = std::map<std::string, std::string>;
  const auto defaults_of = [](const std::vector<std::string>& verb) {
    Defaults defaults = tests::options_of(verb);
    std::erase_if(defaults,
                  [](const auto& option) { return option.second.empty() || option.second == "[]"; });
    CHECK(defaults["--seed"] == "1");
    CHECK(defaults["--threads"] == "0");
    defaults.erase("--seed");
    defaults.erase("--threads");
    return defaults;
  };
  const Defaults search = {{"--device", "cpu"},        {"--beam", "5"},
                           {"--max-words", "30"},      {"--length-exponent", "1"},
                           {"--no-repeat-ngram", "0"}, {"--min-words", "0"}};
  Defaults eval = search, report = search, caption = search;
  eval.insert({{"--protocol", "standard"}, {"--compat", "none"}, {"--precision", "f32"}});
  report.insert({{"--photos", "12"}, {"--title", "What"}});  // the captioners say
  caption.insert({{"--model", "attention"},
                  {"--nbest", "1"},
                  {"--temperature", "1"},
                  {"--top-k", "0"},
                  {"--top-p", "1"},
                  {"--doubt", "0"},
                  {"--format", "text"},
                  {"--compat", "none"}});
  CHECK(defaults_of({"eval"}) == eval);
  CHECK(defaults_of({"report"}) == report);
  CHECK(defaults_of({"caption"}) == caption);
  CHECK(defaults_of({"classify"}) ==
        Defaults{
            {"--encoder", "efficientnet_lite2"}, {"--photo-size", "0"}, {"--top", "5"}, {"--device", "cpu"}});
  CHECK(defaults_of({"prepare"}) == Defaults{{"--encoder", "efficientnet_lite2"},
                                             {"--photo-size", "0"},
                                             {"--precision", "f32"},
                                             {"--device", "cpu"}});
  CHECK(defaults_of({"score"}) ==
        Defaults{{"--protocol", "standard"}, {"--samples", "1000"}, {"--normalise", "none"}});
  CHECK(defaults_of({"vocab", "build"}) == Defaults{{"--max-words", "4065"}, {"--min-frequency", "5"}});
  CHECK(defaults_of({"data", "check"}) == Defaults{{"--expect-photos", "0"}, {"--expect-captions", "0"}});
  CHECK(defaults_of({"tokenize"}) == Defaults{{"--rules", "spacy"}, {"--normalise", "none"}});
  CHECK(defaults_of({"convert"}) == Defaults{{"--format", "keep"}});
  CHECK(defaults_of({"info"}) == Defaults{{"--encoder", "resnet50"}});
  CHECK(defaults_of({"bench"}) ==
        Defaults{{"--device", "cpu"}, {"--precision", "f32"}, {"--calls", "5"}, {"--pairs", "3"}});
  CHECK(defaults_of({"gradcheck"}) == Defaults{{"--samples", "0"}, {"--device", "cpu"}});
  // The original's widths, vocabulary, rate and share of the caption's words; the rest is off or plain.
  CHECK(defaults_of({"train"}) == Defaults{{"--model", "attention"},
                                           {"--device", "cpu"},
                                           {"--encoder", "efficientnet_lite2"},
                                           {"--photo-size", "0"},
                                           {"--compat", "none"},
                                           {"--encoder-mode", "eval"},
                                           {"--init-temperature", "1"},
                                           {"--max-vocabulary", "4065"},
                                           {"--min-frequency", "5"},
                                           {"--embedding", "1024"},
                                           {"--hidden", "1024"},
                                           {"--attention-width", "1024"},
                                           {"--layers", "2"},
                                           {"--layer-dropout", "0.5"},
                                           {"--embedding-dropout", "0"},
                                           {"--output-dropout", "0"},
                                           {"--epochs", "8"},
                                           {"--steps", "0"},
                                           {"--batch", "16"},
                                           {"--optimizer", "adamw"},
                                           {"--lr", "0.0004"},
                                           {"--weight-decay", "0.0001"},
                                           {"--schedule", "constant"},
                                           {"--warmup-steps", "0"},
                                           {"--min-lr", "0"},
                                           {"--clip-norm", "1"},
                                           {"--clip-value", "0"},
                                           {"--teacher-forcing", "0.9"},
                                           {"--teacher-forcing-fall", "0"},
                                           {"--teacher-forcing-least", "0"},
                                           {"--label-smoothing", "0"},
                                           {"--precision", "f32"},
                                           {"--loss-scale", "65536"},
                                           {"--average-decay", "0"},
                                           {"--objective", "cross-entropy"},
                                           {"--samples", "5"},
                                           {"--augment", "none"},
                                           {"--augment-views", "1"},
                                           {"--finetune", "0"},
                                           {"--finetune-lr", "1e-05"},
                                           {"--max-tokens", "0"},
                                           {"--validate-every", "1"},
                                           {"--patience", "0"},
                                           {"--checkpoint-every", "500"},
                                           {"--beam", "3"},
                                           {"--min-references", "1"}});
}

TEST_CASE("tokenize") {
  const std::string lines = "A man's dog doesn't run.\n two\n\nlast";
  const Result spacy = run({"tokenize", "--rules", "spacy"}, lines);
  CHECK(spacy.code == 0);
  CHECK(spacy.out ==
        "[\"a\",\"man\",\"'s\",\"dog\",\"does\",\"n't\",\"run\",\".\"]\n[\" \",\"two\"]\n[]\n[\"last\"]\n");
  CHECK(run({"tokenize", "--rules", "ptb"}, lines).out ==
        "[\"a\",\"man\",\"'s\",\"dog\",\"does\",\"n't\",\"run\"]\n[\"two\"]\n[]\n[\"last\"]\n");
  CHECK(run({"tokenize"}, "").out.empty());
  CHECK(run({"tokenize"}, "bad \xff byte\n").out == "[\"bad\",\"\xef\xbf\xbd\",\"byte\"]\n");
}

TEST_CASE("a configuration file, and flags on top of it") {
  const Folder folder;
  tests::write_text(folder / "good", "rules = \"ptb\"\nthreads = 1\n");
  tests::write_text(folder / "unknown", "rulez = \"ptb\"\n");
  tests::write_text(folder / "wrong", "rules = \"other\"\n");
  CHECK(run({"tokenize", "--config", folder / "good"}, "It.").out == "[\"it\"]\n");
  CHECK(run({"tokenize", "--rules", "spacy", "--config", folder / "good"}, "It.").out == "[\"it\",\".\"]\n");
  const Result unknown = run({"tokenize", "--config", folder / "unknown"});
  CHECK(unknown.code == 2);
  CHECK(has(unknown.err, "rulez"));
  check_refused(run({"tokenize", "--config", folder / "wrong"}), "--rules: other not in {spacy,unicode,ptb}");
  check_refused(run({"tokenize", "--config", folder / "missing"}), "missing was not readable");
  CHECK(has(run({"tokenize", "--config", folder / "."}).err, "is a folder"));
  check_refused(run({"tokenize", "--seed", "-1"}), "--seed: '-1' is not a number of 0 or more");
  // Flags and required options may stand in it, too.
  tests::write_text(folder / "captions", "image_name| comment_number| comment\na.jpg| 0| A dog .\n");
  tests::write_text(folder / "vocab", "captions = [\"" + (folder / "captions") + "\"]\nout = \"" +
                                          (folder / "v") + "\"\nno-characters = true\nmin-frequency = 1\n");
  CHECK(run({"vocab", "build", "--config", folder / "vocab"}).code == 0);
  CHECK(tests::read_text(folder / "v") ==
        "\"<unk>\"\n\"<pad>\"\n\"<sos>\"\n\"<eos>\"\n\"  \"\n\" .\"\n\" a\"\n\" dog\"\n");
}

TEST_CASE("vocab") {
  const Folder folder;
  tests::write_text(folder / "captions",
                    "image_name| comment_number| comment\na.jpg| 0| A dog .\nb.jpg| 0| A cat\nbroken\n");
  const Result built = run(
      {"vocab", "build", "--captions", folder / "captions", "--out", folder / "v", "--min-frequency", "2"});
  CHECK(built.code == 0);
  CHECK(has(built.out, "33 tokens of 2 captions"));
  CHECK(has(built.err, "1 rows skipped"));
  const Result shown = run({"vocab", "show", folder / "v"});
  CHECK(shown.code == 0);
  CHECK(shown.out.starts_with(
      "0\t\"<unk>\"\n1\t\"<pad>\"\n2\t\"<sos>\"\n3\t\"<eos>\"\n4\t\"  \"\n5\t\" a\"\n6\t\"a\"\n"));
  check_refused(run({"vocab", "show", folder / "captions"}), "captions:1: expected one JSON string");
  check_refused(run({"vocab", "build", "--captions", folder / "captions", "--out", folder / "no/folder"}),
                "no/folder: cannot be written");
}

TEST_CASE("score") {
  const Folder folder;
  const std::string header = "image_name| comment_number| comment\n";
  tests::write_text(folder / "references",
                    header + "a.jpg| 0| A dog runs on the grass .\nb.jpg| 0| Two men sit on a bench .\n");
  tests::write_text(folder / "results",
                    "[{\"image_id\":\"a.jpg\",\"caption\":\"a dog runs on the grass\"},"
                    "{\"image_id\":\"b.jpg\",\"caption\":\"two men sit on a bench\"}]");
  tests::write_text(folder / "one", header + "a.jpg| 0| A dog runs .\n");
  tests::write_text(folder / "list", "a.jpg\n");
  const std::vector<std::string> arguments = {"score", "--references", folder / "references", "--candidates"};
  auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = arguments;
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  };
  const Result perfect = with({folder / "results", "--json"});
  REQUIRE(perfect.code == 0);
  const Json scores = read_json(perfect.out);
  CHECK(scores.at("images") == 2);
  for (const char* key : {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L"})
    CHECK(scores.at(key).as_double() == doctest::Approx(1));
  CHECK(scores.find("CIDEr") != nullptr);
  const Json plain = read_json(with({folder / "results", "--json", "--tokenizer", "none"}).out);
  CHECK(plain.at("BLEU-1").as_double() < 0.9);  // the period counts
  CHECK(read_json(with({folder / "results", "--json", "--protocol", "original"}).out).at("protocol") ==
        "original");
  CHECK(has(with({folder / "results"}).out, "Beam Width"));
  CHECK(read_json(with({folder / "one", "--json", "--list", folder / "list"}).out).at("images") == 1);
  check_refused(with({folder / "one"}), "b.jpg");  // has no candidate
}

TEST_CASE("info counts both models exactly") {
  const Json attention = read_json(run({"info", "--model", "attention", "--json"}).out);
  CHECK(attention.at("parameters").at("trainable") == 36'722'689);
  CHECK(attention.at("parameters").at("attention") == 3'147'777);
  CHECK(attention.at("parameters").at("frozen") == 25'557'032);
  const Json plain = read_json(run({"info", "--model", "plain", "--json"}).out);
  CHECK(plain.at("parameters").at("trainable") == 29'383'680);
  CHECK(plain.at("parameters").at("frozen") == 23'508'032);
  CHECK(plain.at("parameters").at("total") == 52'891'712);
  const Result text = run({"info", "--model", "attention"});
  for (const char* figure : {"36,722,689", "25,557,032", "49,065,064", "85,787,753"})
    CHECK(has(text.out, figure));
  CHECK(read_json(run({"info", "--json"}).out).find("oneDNN") != nullptr);
  check_refused(run({"info", "missing.safetensors"}), "missing.safetensors: cannot be read: No such file");
}

TEST_CASE("convert, and info of what it wrote") {
  const Folder folder;
  const Result converted = run({"convert", golden("pth_resnet18.pth"), folder / "r.safetensors"});
  CHECK(converted.code == 0);
  CHECK(has(converted.out, "122 tensors"));
  const Json out = read_json(run({"info", folder / "r.safetensors", "--json"}).out);
  const Json in = read_json(run({"info", golden("pth_resnet18.pth"), "--json"}).out);
  CHECK(out.at("kind") == "weights");
  CHECK(in.at("kind") == "PyTorch file");
  CHECK(out.at("tensors") == in.at("tensors"));
  CHECK(out.at("tensors").size() == 122);
  const Result attack = run({"convert", golden("pth_attack.pth"), folder / "a.safetensors"});
  CHECK(attack.code == 0);
  CHECK(has(attack.err, "is left out: 'payload' (posix.system('echo executed'))"));
  CHECK(attack.out == (folder / "a.safetensors") + ": 1 tensors, 2 values\n");
  // Files that are no safetensors files; a pickle without an archive around it is known.
  tests::write_text(folder / "text", "a line of text\n");
  CHECK(has(run({"info", folder / "text"}).err, "text: not a safetensors file"));
  tests::write_text(folder / "pickle", "\x80\x02}q");
  CHECK(has(run({"info", folder / "pickle"}).err, "pickle: pickle, byte 3: cut off"));
  CHECK(run({"convert", golden("pth_old.pth"), folder / "a.safetensors"}).code == 0);
  check_refused(run({"convert", folder / "missing.pth", folder / "a.safetensors"}),
                "missing.pth: cannot be read");
  // A file of one tensor, which has no name in it.
  REQUIRE(run({"convert", golden("pth_tensor.pth"), folder / "a.safetensors"}).code == 0);
  const Json tensors = read_json(run({"info", folder / "a.safetensors", "--json"}).out).at("tensors");
  REQUIRE(tensors.size() == 1);
  CHECK(tensors.at(0).at("name") == "tensor");
  check_refused(run({"convert", golden("pth_tensor.pth"), folder / "b.safetensors", "--format", "i8"}),
                "i8 is a format of checkpoints, not of .pth files");
}

TEST_CASE("names of files go to the terminal without what would command it") {
  const Result info = run({"info", "no\x1b[31m\nfile"});
  CHECK(info.code == 2);
  CHECK(has(info.err, "no\\x1b[31m\\x0afile: cannot be read"));
  const Folder folder;
  tests::write_text(folder / "\x1b[31m", "image_name| comment_number| comment\na.jpg| 0| A dog .\nbroken\n");
  const Result built = run({"vocab", "build", "--captions", folder / "\x1b[31m", "--out", folder / "v"});
  CHECK(built.code == 0);
  CHECK(has(built.err, "1 rows skipped"));
  CHECK_FALSE(has(built.err, "\x1b"));
}

TEST_CASE("an output that takes nothing") {
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"tokenize"}, {"info"}, {"info", "--json"}}) {
    const Result full = run(arguments, "a dog\n", "/dev/full");
    check_refused(full, "imgcap: stdout: cannot be written");
  }
}

TEST_CASE("bench: a row that is not there") {
  check_refused(run({"bench", "--only", "nonsense"}), "there is no row 'nonsense'");
  check_refused(run({"bench", "--only", "resnet50-b256"}),
                "there is no row 'resnet50-b256' in f32; there are train-attention, train-plain");
}

TEST_CASE("captions: settings are checked before anything is loaded") {
  const std::string photo = (tests::source_dir() / "assets/photos/coco_000000000285.jpg").string();
  const auto refused = [](const std::vector<std::string>& arguments, const std::string& why) {
    const Result result = run(arguments);
    CAPTURE(result.err);
    CHECK(result.code == 2);
    CHECK(has(result.err, why));
    CHECK(result.out.empty());
  };
  for (const std::string beam : {"0", "-1", "x"})
    refused({"caption", photo, "--beam", beam}, "--beam: '" + beam + "' is not a number from 1 to 1000");
  for (const std::string top : {"0", "-1"})
    refused({"classify", photo, "--top", top}, "--top: '" + top + "' is not");
  refused({"classify", photo, "--top", "1001"}, "efficientnet_lite2 has 1000 classes");
  refused({"classify", photo, "--encoder", "resnet99"},
          "'resnet99' is not known; there are efficientnet_lite2,");
  refused({"classify", photo, "--encoder", "resnet50"}, "--encoder resnet50: its weights are not in the box");
  refused({"caption", photo, "--seed", "-2"}, "--seed");
  refused({"vocab", "build", "--captions", photo, "--out", "v", "--max-words", "-1"},
          "is not a number of 0 or more");
  refused({"caption", photo, "--temperature", "0.5"}, "--temperature requires --sample");
  refused({"caption", photo, "--sample", "--compat", "original"}, "leave out --compat");
  refused({"caption", photo, "--sample", "--beam", "7"}, "--beam excludes --sample");
  const Result nbest = run({"caption", "a.jpg", "--beam", "2", "--nbest", "3"});
  CHECK(nbest.code == 2);
  CHECK(has(nbest.err, "--nbest 3"));
  refused({"caption"}, "images is required");
  refused({"caption", photo, "--model", "missing.safetensors"}, "missing.safetensors: cannot be read");
}

TEST_CASE("gradcheck knows what is like a misspelled op") {
  const Result unknown = run({"gradcheck", "--op", "matmull"});
  check_refused(unknown, "there is no op 'matmull' (matmul?); imgcap ops lists them");
  CHECK(unknown.out.empty());
}
