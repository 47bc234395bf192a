// One model of two languages: data sets, training, checkpoints and captions.
#include <doctest/doctest.h>

#include <filesystem>

#include "imgcap/captioner.h"
#include "imgcap/training/self_critical.h"
#include "optim/adam.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/safetensors.h"
#include "tests/training/course.h"

using namespace imgcap;
using Folder = tests::TemporaryFolder;

namespace {

// The toy's photos with captions in English and, of the same photos, in Arabic.
struct Bilingual {
  Toy toy;
  std::map<std::string, std::vector<std::string>> arabic;
  Vocabulary vocabulary;
  Dataset training;

  Bilingual() : vocabulary(make_vocabulary()) {
    std::vector<Dataset> parts;
    for (const char* code : {"en", "ar"}) {
      parts.push_back(make_dataset({std::string_view(code) == "en" ? toy.captions : arabic}, toy.names,
                                   toy.features, vocabulary, 0, code));
      parts.back().split = code;
    }
    training = join_sets(std::move(parts), {{"first", 1}, {"second", 0.5}});
    Checkpoint& info = toy.info;
    info.vocabulary = vocabulary.tokens();
    info.text_rules = vocabulary.rules();
    info.language = "en";
    info.decoder.vocabulary = vocabulary.size();
    info.decoder.layer_dropout = 0;
  }
  Vocabulary make_vocabulary() {
    const std::map<std::string, std::string> words = {{"red", "أحمر"},   {"blue", "أزرق"}, {"green", "أخضر"},
                                                      {"black", "أسود"}, {"dog", "كلبٌ"},   {"ball", "كرة"}};
    std::vector<LanguageCaptions> both = {{"en", default_rules("en"), {}}, {"ar", default_rules("ar"), {}}};
    for (const std::string& name : toy.names) {
      const size_t at = name.find('_');
      const std::string thing = words.at(name.substr(at + 1, name.find('.') - at - 1));
      arabic[name] = {thing + " " + words.at(name.substr(0, at))};
      for (const std::string& text : toy.captions.at(name)) both[0].captions.push_back(text);
      both[1].captions.push_back(arabic[name][0]);
    }
    return Vocabulary::of_languages(both, {0, 1, false});
  }
  const Language& language(const char* code) const { return vocabulary.language(code); }
};

// All words of all captions that a set's photos get.
std::set<std::string> words_in(const std::map<std::string, std::string>& captions) {
  std::set<std::string> words;
  for (const auto& [name, text] : captions)
    for (const std::string& word : tokenize(text, default_rules("ar"))) words.insert(word);
  return words;
}

}  // namespace

TEST_CASE("a data set's captions begin with their language's token, each set with its own") {
  const Bilingual data;
  REQUIRE(data.training.photos.size() == 16);
  for (int64_t p = 0; p < 16; ++p) {
    const Language& language = data.training.language_of(p);
    CHECK(language.code == (p < 8 ? "en" : "ar"));
    for (const std::vector<int32_t>& ids : data.training.photos[static_cast<size_t>(p)].encoded) {
      CHECK(ids.front() == language.range.start);
      for (size_t k = 1; k + 1 < ids.size(); ++k) CHECK(language.range.has(ids[k]));
    }
  }
  const std::vector<Dataset> parts = parts_of(data.training);
  CHECK(parts[1].language.code == "ar");
  CHECK(parts[1].language.rules == default_rules("ar"));
  CHECK_THROWS_WITH_AS(
      make_dataset({data.arabic}, data.toy.names, data.toy.features, data.vocabulary, 0, "fr"),
      "the model does not have the language fr; it has en, ar", tensor::Error);
}

TEST_CASE("a model of two languages learns both, and says each in its own words") {
  const Bilingual data;
  const Folder folder("bilingual");
  TrainOptions options = toy_options();
  options.epochs = 150;
  options.validate_every = 150;
  options.batch_photos = 5;
  options.teacher_forcing = 1;
  options.label_smoothing = 0;
  options.average_decay = 0;
  Trainer trainer(data.toy.info, data.toy.features, data.training, data.training, options, folder.path);
  const Course course = follow(trainer, folder.path);
  CHECK(course.validations.back().scores.cider > 3);
  const Checkpoint best = load_checkpoint(folder.path / "best.safetensors");
  CHECK(best.language == "en");
  CHECK(best.text_rules == data.vocabulary.rules());
  const auto decoder = best.make_decoder();
  decoder->eval();
  const std::vector<Dataset> parts = parts_of(data.training);
  const auto english = caption_photos(*decoder, parts[0], data.toy.features, data.vocabulary, {}),
             arabic = caption_photos(*decoder, parts[1], data.toy.features, data.vocabulary, {});
  CHECK(english.at("red_dog.jpg").find("dog") != std::string::npos);
  CHECK(arabic.at("red_dog.jpg") == "كلب احمر");
  const std::set<std::string> said = words_in(arabic);
  for (const std::string& word : said) CHECK(data.vocabulary.contains(" " + word, "ar"));
}

TEST_CASE("a run in two languages goes on to the bit, with the same languages alone") {
  const Bilingual data;
  TrainOptions options = toy_options();
  options.batch_photos = 5;
  const auto run = [&](int64_t stop, const Folder& folder) {
    const auto make = [&] {
      return Trainer(data.toy.info, data.toy.features, data.training, data.training, options, folder.path);
    };
    if (stop > 0) {
      Trainer first = make();
      follow(first, folder.path, stop);
    }
    Trainer trainer = make();
    if (stop > 0) trainer.resume();
    follow(trainer, folder.path);
    return tensor::io::read_file(folder.path / "last.safetensors");
  };
  const Folder whole("whole"), stopped("stopped");
  CHECK(run(0, whole) == run(5, stopped));

  const auto refusal = [&](const Checkpoint& info, const Dataset& training) -> std::string {
    Trainer trainer(info, data.toy.features, training, data.training, options, stopped.path);
    try {
      trainer.resume();
    } catch (const tensor::Error& error) {
      return error.what();
    }
    return "none";
  };
  CHECK(refusal(data.toy.info, data.training) == "none");
  Checkpoint other = data.toy.info;
  other.text_rules["ar"].ta_marbuta = false;
  CHECK(refusal(other, data.training).find("is read by other rules than this run's") != std::string::npos);
  other = data.toy.info;
  other.language = "ar";
  CHECK(refusal(other, data.training).find("another language is its default") != std::string::npos);
  Dataset swapped = data.training;
  swapped.sets[1].language = swapped.sets[0].language;
  CHECK(refusal(data.toy.info, swapped).find("captions in ar)") != std::string::npos);
}

TEST_CASE("self-critical training draws each photo's captions in its language") {
  const Bilingual data;
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    CAPTURE(to_string(kind));
    DecoderConfig config = data.toy.info.decoder;
    config.kind = kind;
    tensor::Generator generator(3);
    const auto decoder = make_decoder(config, generator);
    SelfCritical critic(data.training, 4, 6);
    const std::vector<int64_t> photos = {9, 1, 12, 3};
    const Tensor features = data.toy.features.rows({1, 1, 4, 3});
    const SampledCaptions drawn = critic.draw(*decoder, features, photos, generator);
    REQUIRE(drawn.ranges.size() == drawn.batch.lengths.size());
    const std::vector<int64_t> image = drawn.batch.image.to_vector<int64_t>(),
                               words = drawn.batch.words.to_vector<int64_t>();
    const int64_t longest = drawn.batch.words.size(1);
    for (size_t r = 0; r < image.size(); ++r) {
      const WordRange& range = data.training.language_of(photos[static_cast<size_t>(image[r])]).range;
      CHECK(drawn.ranges[r] == range);
      CHECK(words[r * static_cast<size_t>(longest)] == range.start);
      for (int64_t k = 1; k < drawn.batch.lengths[r]; ++k) {
        const int64_t word = words[r * static_cast<size_t>(longest) + static_cast<size_t>(k)];
        CHECK((range.has(word) || word == kEos));
      }
    }
    // The probabilities of a language's words and the end sum to 1.
    for (const char* code : {"en", "ar"}) {
      const WordRange range = data.language(code).range;
      SampledCaptions single;
      single.batch.features = data.toy.features.rows({2});
      single.batch.image = Tensor::zeros({1}, tensor::DType::i64);
      single.batch.lengths = {2};
      single.ranges = {range};
      double probability = 0;
      for (int64_t token = 0; token < data.vocabulary.size(); ++token) {
        if (token != kEos && !range.has(token)) continue;
        single.batch.words = Tensor::from<int64_t>({range.start, token}, {1, 2});
        probability += std::exp(-SelfCritical::loss(*decoder, single, generator).loss.item());
      }
      CHECK(probability == doctest::Approx(1).epsilon(1e-4));
    }
    const double before = drawn.reward;
    optim::Adam adam(decoder->named_parameters(), {.lr = 5e-3});
    double after = 0;
    for (int step = 0; step < 120; ++step) {
      const SampledCaptions sampled = critic.draw(*decoder, features, photos, generator);
      decoder->zero_grad();
      SelfCritical::loss(*decoder, sampled, generator).loss.backward();
      adam.step();
      if (step >= 110) after += sampled.reward / 10;
    }
    CHECK(after > 1.5 * before);
  }
}

TEST_CASE("checkpoints keep languages, rules and the default; what is none is refused") {
  Bilingual data;
  Checkpoint& info = data.toy.info;
  tensor::Generator generator(3);
  info.weights = make_decoder(info.decoder, generator)->state_dict();
  info.text_rules["ar"].ya = false;
  info.language = "ar";
  const Folder folder("languages");
  const auto file = folder.path / "model.safetensors";
  for (const WeightFormat format : {WeightFormat::f32, WeightFormat::i8}) {
    save_checkpoint(file, info, format);
    const Checkpoint back = load_checkpoint(file);
    CHECK(back.language == "ar");
    CHECK(back.text_rules == info.text_rules);
    CHECK(back.make_vocabulary() == info.make_vocabulary());
    CHECK_FALSE(back.make_vocabulary() == data.vocabulary);
  }
  const auto stored = tensor::io::read_safetensors(file);
  CHECK(stored.metadata.at("format") == "imgcap-checkpoint-3");
  const auto fault =
      [&](const std::function<void(std::map<std::string, std::string>&)>& change) -> std::string {
    std::map<std::string, std::string> metadata = stored.metadata;
    change(metadata);
    const auto bad = folder.path / "bad.safetensors";
    tensor::io::write_safetensors(bad, stored.tensors, metadata);
    try {
      load_checkpoint(bad);
    } catch (const tensor::Error& error) {
      CHECK(error.kind() == tensor::ErrorKind::data);
      return error.what();
    }
    return "nothing";
  };
  const auto says = [&](const char* part, const char* key, const std::optional<std::string>& value) {
    const std::string why = fault([&](auto& m) {
      if (value)
        m[key] = *value;
      else
        m.erase(key);
    });
    CAPTURE(why);
    CHECK(why.find(part) != std::string::npos);
  };
  CHECK(fault([](auto&) {}) == "nothing");
  says("'language' is missing", "language", std::nullopt);
  says("does not have the language fr; it has en, ar", "language", "fr");
  says("no language is named", "language", "");
  says("'text_rules' is missing", "text_rules", std::nullopt);
  says("the rules of text are not a JSON object", "text_rules", "[1]");
  says("text: the settings are not a JSON object", "text_rules", R"({"ar":3})");
  says("has the wrong type", "text_rules", R"({"ar":{"normalise_ya":1}})");
  says("does not know in", "text_rules", R"({"ar":{"other":true}})");
  says("tokenizer", "text_rules", R"({"ar":{"tokenizer":"mine"}})");
  says("which it does not have", "text_rules", R"({"fr":{}})");
  says("a checkpoint of format 'imgcap-checkpoint-1' with languages", "format", "imgcap-checkpoint-1");
  info.vocabulary[4] = " no language";
  info.text_rules.clear(), info.language.clear();
  save_checkpoint(file, info);
  CHECK(tensor::io::read_safetensors(file).metadata.at("format") == "imgcap-checkpoint-1");
  CHECK_FALSE(tensor::io::read_safetensors(file).metadata.contains("language"));
}

TEST_CASE("a captioner takes the language that a request names, or the model's default") {
  Bilingual data;
  Checkpoint info = data.toy.info;
  info.decoder.features = 512;
  tensor::Generator generator(3);
  std::unique_ptr<Decoder> decoder = make_decoder(info.decoder, generator);
  decoder->eval();
  LoadedEncoder encoder;
  encoder.encoder = make_encoder("resnet18");
  encoder.encoder->freeze();
  encoder.preprocessing.height = encoder.preprocessing.width = 64;
  const Captioner captioner({std::move(info), std::move(decoder), data.vocabulary, std::move(encoder)});
  Image photo(64, 64);
  for (size_t k = 0; k < photo.pixels.size(); ++k) photo.pixels[k] = static_cast<uint8_t>(k * 7 / 5);
  const auto request = [&](const char* code) {
    CaptionRequest one;
    one.image = &photo;
    one.language = code;
    BeamOptions search;
    search.max_words = 5;
    one.search = search;
    return one;
  };
  const CaptionResult english = captioner.caption(request("en")), arabic = captioner.caption(request("ar"));
  CHECK(english.language == "en");
  CHECK(arabic.language == "ar");
  for (const std::string& word : tokenize(arabic.captions[0].text, default_rules("ar")))
    CHECK(data.vocabulary.contains(" " + word, "ar"));
  CHECK(english.captions[0].text != arabic.captions[0].text);
  const CaptionResult by_default = captioner.caption(request(""));
  CHECK(by_default.language == "en");
  CHECK(by_default.captions[0].text == english.captions[0].text);
  // One photo in both languages goes through the encoder once, and gives what it gives alone.
  const auto both = captioner.caption({request("ar"), request("en")});
  CHECK(both[0].captions[0].text == arabic.captions[0].text);
  CHECK(both[0].captions[0].log_probability == arabic.captions[0].log_probability);
  CHECK(both[1].captions[0].text == english.captions[0].text);
  CHECK_THROWS_WITH_AS(captioner.caption(request("fr")),
                       "the model does not have the language fr; it has en, ar", tensor::Error);
}
