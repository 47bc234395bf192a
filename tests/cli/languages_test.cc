// One model of two languages, from training to captions, through the program.
#include <doctest/doctest.h>

#include <filesystem>

#include "imgcap/training/checkpoint.h"
#include "tests/cli/refused.h"
#include "tests/cli/small_model.h"

using namespace imgcap;
using tensor::io::Json;
using tests::check_refused;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

namespace {

using Captions = std::map<std::string, std::vector<std::string>>;
using Arguments = std::vector<std::string>;

Arguments joined(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Photos in the box, with captions in English and in Arabic.
struct Data {
  Folder folder;
  std::string photos = tests::assets() + "/photos";
  std::string bear = "coco_000000000285.jpg", snow = "coco_000000000785.jpg", other = "coco_000000001268.jpg";
  Captions english = {{bear, {"a bear in the grass", "a bear"}},
                      {snow, {"a woman in the snow", "a woman on snow"}},
                      {other, {"a bear in the snow", "a woman"}}},
           arabic = {{bear, {"دبٌّ في العشب", "دب"}},
                     {snow, {"امرأة في الثلج.", "إمرأة على الثلج"}},
                     {other, {"دب في الثلج", "امرأة"}}};

  Data() {
    write("english.csv", english);
    write("arabic.csv", arabic);
    tests::write_text(folder / "train.txt", bear + "\n" + snow + "\n");
    tests::write_text(folder / "val.txt", other + "\n");
  }
  void write(const std::string& file, const Captions& captions) const {
    std::string text = "image_name| comment_number| comment\n";
    for (const auto& [name, all] : captions)
      for (size_t k = 0; k < all.size(); ++k) text += name + "|" + std::to_string(k) + "|" + all[k] + "\n";
    tests::write_text(folder / file, text);
  }
  Arguments captions() const {
    return {"--captions", "photos=en:" + (folder / "english.csv"), "photos_ar=ar:" + (folder / "arabic.csv")};
  }
  Arguments lists(const std::string& option, const std::string& file) const {
    return {option, "photos=" + (folder / file), "photos_ar=" + (folder / file)};
  }
  Result train(const std::string& out, Arguments data, const Arguments& more = {}) const {
    data.insert(data.end(), {"--images", photos, "--min-frequency", "1", "--no-characters", "--layers", "1",
                             "--layer-dropout", "0", "--batch", "2", "--beam", "2", "--lr", "0.02"});
    return run(tests::train_arguments(folder, out, joined(data, more)));
  }
  Result train_both(const std::string& out, const Arguments& more = {}) const {
    return train(
        out, joined(captions(), joined(lists("--train-list", "train.txt"), lists("--val-list", "val.txt"))),
        more);
  }
  std::string text_in(const std::string& file) const { return tests::read_text(folder / file); }
};

// Weights that are drawn.
void write_bilingual_model(const std::string& file) {
  Checkpoint model;
  model.vocabulary = {"<unk>",  "<pad>", "<sos>", "<eos>", "<en>",   " a",  " bear",
                      " plane", " .",    "<ar>",  " دب",   " طائره", " في", " السماء"};
  model.language = "en";
  model.decoder.vocabulary = static_cast<int64_t>(model.vocabulary.size());
  model.decoder.features = 1280;
  model.decoder.embedding = model.decoder.hidden = model.decoder.attention = 8;
  model.decoder.layers = 1;
  model.decoder.layer_dropout = 0;
  model.encoder = "efficientnet_lite2";
  model.encoder_key = "any";
  model.preprocessing = efficientnet_lite_preprocessing();
  tensor::Generator generator(4);
  model.weights = make_decoder(model.decoder, generator)->state_dict();
  save_checkpoint(file, model);
}

}  // namespace

TEST_CASE(
    "two languages: trained together, stopped and gone on with to the bit, captioned, scored, converted, exported") {
  const Data data;
  const Result whole =
      data.train_both("whole", {"--steps", "60", "--epochs", "60", "--validate-every", "60"});
  CAPTURE(whole.err);
  REQUIRE(whole.code == 0);
  CHECK(has(whole.out, "\nlanguages: en 8 words, ar 6 words\n"));
  CHECK(
      has(whole.out, "set photos: 2 photos with 4 captions in en of weight 1 to train on, 1 to validate\n"));
  CHECK(has(whole.out,
            "set photos_ar: 2 photos with 4 captions in ar of weight 1 to train on, 1 to validate\n"));
  CHECK(has(whole.out, "validation of photos: 1 image of val.txt, 2 references each, Treebank words"));
  CHECK(has(whole.out,
            "validation of photos_ar: 1 image of val.txt, 2 references each, unicode words (normalised: "
            "alef, ya, ta marbuta, tatweel, diacritics), standard protocol"));
  CHECK(has(whole.out, "best mean CIDEr "));
  // Photos that two sets share are encoded once.
  CHECK(has(run({"export", data.folder / "features.safetensors", data.folder / "npy"}).out, "3 photos"));

  REQUIRE(data.train_both("parts", {"--steps", "25", "--epochs", "60", "--validate-every", "60"}).code == 0);
  const Result rest =
      data.train_both("parts", {"--steps", "60", "--epochs", "60", "--validate-every", "60", "--resume"});
  CAPTURE(rest.err);
  REQUIRE(rest.code == 0);
  // All of it but for the validation that the first part ended with.
  const auto of_whole = tensor::io::read_safetensors(data.folder / "whole/last.safetensors"),
             of_parts = tensor::io::read_safetensors(data.folder / "parts/last.safetensors");
  CHECK(of_whole.metadata.at("vocabulary") == of_parts.metadata.at("vocabulary"));
  CHECK(of_whole.metadata.at("text_rules") == of_parts.metadata.at("text_rules"));
  REQUIRE(of_whole.tensors.size() == of_parts.tensors.size());
  for (const auto& [name, value] : of_whole.tensors) {
    CAPTURE(name);
    CHECK(value.to_vector<float>() == of_parts.tensors.at(name).to_vector<float>());
  }
  check_refused(
      data.train("parts",
                 joined({"--captions", "photos=en:" + (data.folder / "english.csv"),
                         "photos_ar=en:" + (data.folder / "arabic.csv")},
                        joined(data.lists("--train-list", "train.txt"), data.lists("--val-list", "val.txt"))),
                 {"--resume"}),
      "another vocabulary");

  const std::string model = data.folder / "whole/last.safetensors", photo = data.photos + "/" + data.bear;
  const Result info = run({"info", model});
  CHECK(has(info.out, "\n  language: en\n  languages:\n    en: 8\n    ar: 6\n"));

  const Result all = run({"caption", "--model", model, "--lang", "all", photo});
  CAPTURE(all.out);
  CHECK(has(all.out, ": en: a bear"));
  CHECK(has(all.out, ": ar: دب"));
  const Result json = run({"caption", "--model", model, "--lang", "all", "--json", photo});
  const std::vector<Json> lines = tests::json_lines(json.out);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].at("language") == "en");
  CHECK(lines[1].at("language") == "ar");
  const auto caption_in = [&](const std::string& file, const std::string& language) {
    const Result result = run({"caption", "--model", file, "--lang", language, "--json", photo});
    return read_json(result.out).at("caption").as_text();
  };
  CHECK(caption_in(model, "ar") == lines[1].at("caption").as_text());
  CHECK(read_json(run({"caption", "--model", model, "--json", photo}).out).at("caption") ==
        lines[0].at("caption"));

  const Result scored = run(joined({"eval", "--checkpoint", model, "--images", data.photos, "--features",
                                    data.folder / "features.safetensors", "--json"},
                                   joined(data.captions(), data.lists("--list", "train.txt"))));
  CAPTURE(scored.err);
  const Json scores = read_json(scored.out);
  CHECK(scores.at("tokenizer") == "each set's own");
  CHECK(scores.at("normalisation") == "each set's own");
  const Json &en = scores.at("sets").at("photos"), &ar = scores.at("sets").at("photos_ar");
  CHECK(en.at("language") == "en");
  CHECK(en.at("tokenizer") == "ptb");
  CHECK(ar.at("language") == "ar");
  CHECK(ar.at("tokenizer") == "unicode");
  CHECK(ar.at("normalisation") == "alef, ya, ta marbuta, tatweel, diacritics");
  CHECK(ar.at("BLEU-1").as_double() > 0.3);  // every word is right, and captions are shorter than references
  CHECK(scores.at("CIDEr").as_double() ==
        doctest::Approx((en.at("CIDEr").as_double() + ar.at("CIDEr").as_double()) / 2));
  // One set, by --lang.
  const auto arabic_alone = [&](const Arguments& more) {
    return run(
        joined({"eval", "--checkpoint", model, "--images", data.photos, "--list", data.folder / "train.txt",
                "--features", data.folder / "features.safetensors", "--json"},
               more));
  };
  CHECK(tests::without(
            read_json(arabic_alone({"--lang", "ar", "--captions", data.folder / "arabic.csv"}).out), "x")
            .dump() == ar.dump());
  const auto words_of = [&](const Arguments& more) {
    const Json of_set =
        read_json(arabic_alone(joined({"--captions", "ar:" + (data.folder / "arabic.csv")}, more)).out);
    return of_set.at("tokenizer").as_text() + ", " + of_set.at("normalisation").as_text();
  };
  CHECK(words_of({"--normalise-ya"}) == "unicode, ya");
  CHECK(words_of({"--normalise-ya=false"}) == "unicode, alef, ta marbuta, tatweel, diacritics");
  CHECK(words_of({"--normalise", "none"}) == "unicode, none");
  CHECK(words_of({"--normalise", "arabic", "--remove-tatweel=false"}) ==
        "unicode, alef, ya, ta marbuta, diacritics");
  CHECK(words_of({"--tokenizer", "none"}) == "none, none");
  CHECK(words_of({"--tokenizer", "unicode"}) == "unicode, alef, ya, ta marbuta, tatweel, diacritics");
  CHECK(words_of({"--tokenizer", "unicode", "--normalise-ya"}) == "unicode, ya");
  check_refused(arabic_alone({"--captions", "fr:" + (data.folder / "arabic.csv")}),
                "eval: the model does not have the language fr; it has en, ar");

  const std::string small = data.folder / "small.safetensors";
  REQUIRE(run({"convert", model, small, "--format", "f16"}).code == 0);
  CHECK(caption_in(small, "ar") == lines[1].at("caption").as_text());
  CHECK(load_checkpoint(small).language == "en");
  REQUIRE(run({"export", small, data.folder / "onnx"}).code == 0);
  const Json exported = read_json(data.text_in("onnx/model.json"));
  CHECK(exported.at("language") == "en");
  CHECK(exported.at("languages").at("ar").at("start") == 13);
  CHECK(exported.at("vocabulary").at(13) == "<ar>");
  CHECK(exported.at("languages").at("ar").at("text_rules").at("tokenizer") == "unicode");

  const Result report =
      run({"report", "--model", model, "--images", data.photos, "--captions",
           "ar:" + (data.folder / "arabic.csv"), "--list", data.folder / "train.txt", "--features",
           data.folder / "features.safetensors", "--out", data.folder / "page.html"});
  CAPTURE(report.err);
  REQUIRE(report.code == 0);
  check_refused(run({"report", "--model", model, "--images", data.photos, "--captions",
                     "en:" + (data.folder / "english.csv"), "ar:" + (data.folder / "arabic.csv"), "--out",
                     data.folder / "none.html"}),
                "arabic.csv: others of the files have the language en; here it is one language at a time");
  const std::string page = data.text_in("page.html");
  CHECK(has(page, lines[1].at("caption").as_text()));
  CHECK(has(page, "unicode words"));
}

TEST_CASE("train: which language captions have is said once and clearly") {
  const Data data;
  const std::string english = data.folder / "english.csv", arabic = data.folder / "arabic.csv";
  const Arguments lists =
      joined(data.lists("--train-list", "train.txt"), data.lists("--val-list", "val.txt"));
  check_refused(
      data.train("run", joined({"--captions", "photos=" + english, "photos_ar=ar:" + arabic}, lists)),
      "train: the set photos_ar has the language ar, and photos names none: write --captions "
      "photos=LANG:FILE, or --lang LANG for all that name none");
  check_refused(
      data.train("run", joined({"--captions", "photos=" + english, "photos_ar=ar:" + arabic}, lists),
                 {"--lang", "english"}),
      "train: --lang english: a language has two letters a-z, as en");
  check_refused(data.train_both("run", {"--compat", "original"}),
                "train: --compat original knows no languages");
  CHECK_FALSE(std::filesystem::exists(data.folder / "run"));

  // --lang is for those that name none; one set's language needs no set.
  const Arguments alone = {"--train-list", data.folder / "train.txt", "--val-list", data.folder / "val.txt"};
  const Result one =
      data.train("one", joined({"--captions", arabic}, alone), {"--lang", "ar", "--steps", "1"});
  CAPTURE(one.err);
  REQUIRE(one.code == 0);
  const Checkpoint model = load_checkpoint(data.folder / "one/last.safetensors");
  CHECK(model.vocabulary[4] == "<ar>");
  CHECK(model.language == "ar");
  // What goes on from it has its language without saying so, and no other.
  const Arguments init = {"--init", data.folder / "one/last.safetensors", "--steps", "1"};
  Result result = run(joined({"train", "--images", data.photos, "--batch", "2", "--out", data.folder / "next",
                              "--features", data.folder / "features.safetensors", "--captions", arabic},
                             joined(alone, init)));
  CAPTURE(result.err);
  CHECK(result.code == 0);
  CHECK(load_checkpoint(data.folder / "next/last.safetensors").language == "ar");
  check_refused(
      run(joined({"train", "--images", data.photos, "--batch", "2", "--out", data.folder / "third",
                  "--features", data.folder / "features.safetensors", "--captions", "en:" + english},
                 joined(alone, init))),
      "train: the model does not have the language en; it has ar");
  // Who goes on from a model of languages has named none.
  check_refused(
      run(joined(
          {"train", "--images", data.photos, "--batch", "2", "--out", data.folder / "third", "--features",
           data.folder / "features.safetensors", "--captions", arabic, "--compat", "original"},
          joined(alone, init))),
      "train: --compat original knows no languages; " + data.folder / "one/last.safetensors" + " has ar");
}

TEST_CASE("vocab build: a section for each language") {
  const Data data;
  const std::string english = data.folder / "english.csv", arabic = data.folder / "arabic.csv",
                    out = data.folder / "vocab.jsonl";
  const auto build = [&](const Arguments& captions) {
    return run(joined(joined({"vocab", "build", "--captions"}, captions),
                      {"--out", out, "--min-frequency", "2", "--no-characters"}));
  };
  const Result both = build({"en:" + english, "x=ar:" + arabic});
  CHECK(both.out == out + ": 16 tokens of 12 captions: en 6 words, ar 4 words\n");
  const Vocabulary vocabulary = Vocabulary::load(out);
  CHECK(vocabulary.language("ar").range.start == 11);
  // A run takes it as it is; its default language is the first set's, not the first section's.
  const auto train = [&](const char* before) {
    return data.train(std::string("run") + before,
                      {"--captions", before + arabic, "--train-list", data.folder / "train.txt", "--val-list",
                       data.folder / "val.txt", "--vocabulary", out, "--steps", "1"});
  };
  REQUIRE(train("ar:").code == 0);
  const Checkpoint model = load_checkpoint(data.folder / "runar:/best.safetensors");
  CHECK(model.make_vocabulary() == vocabulary);
  CHECK(model.language == "ar");
  check_refused(train(""), "train: no language is named; the model has en, ar");
  check_refused(train("fr:"), "train: the model does not have the language fr; it has en, ar");
  CHECK(build({arabic, "--lang", "ar"}).code == 0);
  CHECK(Vocabulary::load(out).token(4) == "<ar>");
  check_refused(build({english, "ar:" + arabic}),
                "vocab build: some of --captions name a language, and others none");
  check_refused(build({english, "--lang", "e"}),
                "vocab build: --lang e: a language has two letters a-z, as en");
}

TEST_CASE("caption: a language that the model lacks is refused with those that it has") {
  const Folder folder;
  const std::string file = folder / "both.safetensors", plain = folder / "plain.safetensors",
                    photo = tests::assets() + "/photos/coco_000000000285.jpg";
  write_bilingual_model(file);
  tests::write_small_model(plain, DecoderKind::attention);
  const auto caption = [&](const std::string& model, const Arguments& more) {
    return run(joined({"caption", "--model", model, photo}, more));
  };
  check_refused(caption(file, {"--lang", "fr"}),
                "caption: the model does not have the language fr; it has en, ar");
  for (const char* language : {"en", "all"})
    check_refused(caption(plain, {"--lang", language}),
                  std::string("caption: the language ") + language +
                      " cannot be asked for: the vocabulary is of one without a name");
  check_refused(caption(file, {"--lang", "all", "--format", "csv"}),
                "caption: --format csv has one caption for each photo; ask for one language by --lang");
  check_refused(caption(file, {"--compat", "original"}), "caption: the original program knows no languages");
  check_refused(caption(file, {"--lang", "all", "--prefix", "bear"}),
                "caption: --prefix: the model's vocabulary has no word \"bear\" in ar and cannot spell it");
  for (const char* option : {"--prefix", "--suppress"})
    check_refused(caption(file, {"--lang", "ar", option, "!!!"}),
                  std::string("caption: ") + option + ": there is no word in \"!!!\"");
  CHECK(has(caption(file, {"--lang", "ar", "--prefix", "دُب"}).out, ": دب"));
  CHECK(has(caption(file, {"--prefix", "Bear"}).out, ": bear"));
  const Result suppressed = caption(file, {"--lang", "ar", "--suppress", "bear دب"});
  CHECK(suppressed.code == 0);
  CHECK(has(suppressed.err, "no word \"bear\" in ar"));
  CHECK_FALSE(has(suppressed.out, "دب"));
  // Drawn words are the same whether a language is asked for alone or with all.
  const auto drawn = [&](const char* language) {
    return tests::json_lines(
        caption(file, {"--lang", language, "--json", "--sample", "--temperature", "3", "--seed", "5"}).out);
  };
  const std::vector<Json> all = drawn("all");
  REQUIRE(all.size() == 2);
  CHECK(drawn("en")[0].at("caption") == all[0].at("caption"));
  CHECK(drawn("ar")[0].at("caption") == all[1].at("caption"));
  CHECK(all[0].at("caption") != all[1].at("caption"));
  // A sheet for each.
  REQUIRE(caption(file, {"--lang", "all", "--attention", folder / "sheet.png"}).code == 0);
  CHECK(std::filesystem::exists(folder / "sheet_en.png"));
  CHECK(std::filesystem::exists(folder / "sheet_ar.png"));
  CHECK_FALSE(std::filesystem::exists(folder / "sheet.png"));
}
