#include "imgcap/training/trainer.h"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "optim/adam.h"
#include "optim/clip.h"
#include "tensor/error.h"
#include "tensor/io/safetensors.h"
#include "tensor/random.h"
#include "tests/folder.h"

using namespace imgcap;
using tensor::DType;

namespace {

namespace fs = std::filesystem;

using Folder = tests::TemporaryFolder;

// Eight photos of made-up features whose captions say which they are.
struct Toy {
  std::vector<std::string> names;
  std::map<std::string, std::vector<std::string>> captions;
  FeatureCache features = make_features();
  Vocabulary vocabulary = make_vocabulary();
  Dataset data = make_dataset(captions, names, features, vocabulary);
  Checkpoint info;

  explicit Toy(DecoderKind kind = DecoderKind::attention) {
    info.decoder.kind = kind;
    info.decoder.vocabulary = vocabulary.size();
    info.decoder.features = 12;
    info.decoder.embedding = info.decoder.hidden = info.decoder.attention = 24;
    info.decoder.layers = 2;
    info.decoder.layer_dropout = 0.2;
    info.vocabulary = vocabulary.tokens();
    info.encoder = "none";
    info.encoder_key = features.key();
  }

  FeatureCache make_features() {
    const std::vector<std::string> colours = {"red", "blue", "green", "black"}, things = {"dog", "ball"};
    for (const std::string& colour : colours)
      for (const std::string& thing : things) {
        names.push_back(colour + "_" + thing + ".jpg");
        captions[names.back()] = {"a " + colour + " " + thing + " .",
                                  "the " + thing + " is " + colour + " ."};
      }
    tensor::Generator generator(7);
    Tensor values = Tensor::empty({8, 4, 12});
    tensor::fill_normal(values, 0, 1, generator);
    return FeatureCache(names, values.to(DType::f16), "toy");
  }

  Vocabulary make_vocabulary() const {
    std::vector<std::string> texts;
    for (const auto& [name, some] : captions) texts.insert(texts.end(), some.begin(), some.end());
    return Vocabulary::build(texts, {0, 1, false});
  }
};

TrainOptions toy_options() {
  TrainOptions options;
  options.epochs = 4;
  options.batch_photos = 3;
  options.lr = 1e-2;
  options.average_decay = 0.9;
  options.label_smoothing = 0.1;
  options.teacher_forcing = 0.8;
  options.schedule = "cosine";
  options.validation.beam = 2;
  options.validation.max_words = 8;
  return options;
}

std::map<std::string, std::vector<float>> weights_of(Decoder& decoder) {
  std::map<std::string, std::vector<float>> all;
  for (const auto& [name, value] : decoder.state_dict()) all[name] = value.to_vector<float>();
  return all;
}

}  // namespace

TEST_CASE("the self-critical loss is the weighted mean, and its step raises the reward") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    CAPTURE(to_string(kind));
    const Toy toy(kind);
    tensor::Generator generator(3);
    const auto decoder = make_decoder(toy.info.decoder, generator);
    decoder->eval();
    // Weights of 1 are no weights; a caption of weight 0 is as good as none.
    const CaptionBatch batch = make_batch(toy.data, {0, 5}, toy.features);
    LossOptions options;
    options.teacher_forcing = 1;
    const double plain = decoder->loss(batch, options).loss.item();
    options.weights.assign(batch.lengths.size(), 1);
    CHECK(decoder->loss(batch, options).loss.item() == doctest::Approx(plain).epsilon(1e-5));
    double sum = 0;
    for (size_t r = 0; r < batch.lengths.size(); ++r) {
      options.weights.assign(batch.lengths.size(), 0);
      options.weights[r] = 2;
      sum += decoder->loss(batch, options).loss.item() / 2;
    }
    CHECK(sum == doctest::Approx(plain).epsilon(1e-5));

    // Advantages of a photo sum to 0; the words are drawn captions.
    SelfCritical critic(toy.data, 4, 8);
    const std::vector<int64_t> photos = {0, 1, 2, 3, 4, 5, 6, 7};
    const Tensor features = toy.features.rows(photos);
    const SampledCaptions drawn = critic.draw(*decoder, features, photos, generator);
    std::vector<double> of_photo(8, 0);
    for (size_t r = 0; r < drawn.advantage.size(); ++r)
      of_photo[static_cast<size_t>(drawn.batch.image.to_vector<int64_t>()[r])] += drawn.advantage[r];
    if (drawn.advantage.size() == 32)
      for (const double total : of_photo) CHECK(std::abs(total) < 1e-9);

    // The probabilities of the tokens that can be drawn sum to 1.
    SampledCaptions single;
    single.batch.features = toy.features.rows({2});
    single.batch.image = Tensor::zeros({1}, DType::i64);
    single.batch.lengths = {2};
    single.advantage = {1};
    double probability = 0;
    for (int64_t token = kEos; token < toy.vocabulary.size(); ++token) {
      single.batch.words = Tensor::from<int64_t>({kSos, token}, {1, 2});
      probability += std::exp(-SelfCritical::loss(*decoder, single, generator).loss.item());
    }
    CHECK(probability == doctest::Approx(1).epsilon(1e-4));

    const auto mean_reward = [&] {
      tensor::Generator dice(11);
      double total = 0;
      for (int i = 0; i < 8; ++i) total += critic.draw(*decoder, features, photos, dice).reward;
      return total / 8;
    };
    const double before = mean_reward();
    optim::Adam adam(decoder->named_parameters(), {.lr = 5e-3});
    for (int step = 0; step < 160; ++step) {
      const SampledCaptions sampled = critic.draw(*decoder, features, photos, generator);
      decoder->zero_grad();
      SelfCritical::loss(*decoder, sampled, generator).loss.backward();
      adam.step();
    }
    const double after = mean_reward();
    CAPTURE(before);
    CAPTURE(after);
    CHECK(after > 1.5 * before);
  }
  const Toy toy;
  CHECK_THROWS_AS(SelfCritical(toy.data, 1, 8), tensor::Error);
}

TEST_CASE("a sharpened model divides its logits by the temperature") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    CAPTURE(to_string(kind));
    Toy toy(kind);
    tensor::Generator generator(3);
    const auto decoder = make_decoder(toy.info.decoder, generator);
    decoder->eval();
    const auto logits = [&] {
      DecodingState state = decoder->start(toy.features.rows({0, 1}));
      return decoder->step(state, Tensor::from<int64_t>({kSos, kSos}, {2})).to_vector<float>();
    };
    const std::vector<float> before = logits();
    nn::StateDict weights = decoder->state_dict();
    for (auto& [name, value] : weights) value = value.clone();
    sharpen(weights, toy.info.decoder, 0.5);
    CHECK(logits() == before);  // a state dict is changed, no model
    decoder->load_state_dict(weights);
    const std::vector<float> after = logits();
    for (size_t i = 0; i < before.size(); ++i)
      CHECK(after[i] == doctest::Approx(2 * before[i]).epsilon(1e-5));
    CHECK_THROWS_AS(sharpen(weights, toy.info.decoder, 0), tensor::Error);
    DecoderConfig tied = toy.info.decoder;
    tied.tie_weights = true;
    CHECK_THROWS_WITH_AS(sharpen(weights, tied, 0.5), doctest::Contains("tied"), tensor::Error);
  }
}

TEST_CASE("a self-critical run resumes to the bit") {
  const Toy toy;
  TrainOptions options = toy_options();
  options.objective = "self-critical";
  options.teacher_forcing = 1;
  CHECK_THROWS_WITH_AS(validate(options), doctest::Contains("--label-smoothing"), tensor::Error);
  options.label_smoothing = 0;
  options.samples = 3;
  options.epochs = 2;
  const std::atomic<bool> go{false};
  const Folder whole("critical_whole"), broken("critical_broken");
  Trainer straight(toy.info, toy.features, toy.data, toy.data, options, whole.path);
  CHECK(straight.run({}, go) == Trainer::End::finished);
  {
    Trainer first(toy.info, toy.features, toy.data, toy.data, options, broken.path);
    std::atomic<bool> stop{false};
    TrainListener listener;
    listener.step = [&](const StepReport& r) { stop = r.step == 2; };
    CHECK(first.run(listener, stop) == Trainer::End::interrupted);
  }
  Trainer second(toy.info, toy.features, toy.data, toy.data, options, broken.path);
  second.resume();
  CHECK(second.run({}, go) == Trainer::End::finished);
  CHECK(weights_of(second.decoder()) == weights_of(straight.decoder()));
}

TEST_CASE("training takes views of the photos in turn") {
  const Toy toy;
  // The same photos in another order, with other features.
  std::vector<std::string> names(toy.names.rbegin(), toy.names.rend());
  tensor::Generator generator(9);
  Tensor values = Tensor::empty({8, 4, 12});
  tensor::fill_normal(values, 0, 1, generator);
  const FeatureCache changed(names, values.to(DType::f16), "toy mirror");
  const std::vector<const FeatureCache*> views = {&toy.features, &changed};
  for (const int64_t epoch : {0, 1, 2}) {
    const CaptionBatch batch = make_batch(toy.data, {3, 4}, views, epoch);
    CHECK(batch.words.to_vector<int64_t>() ==
          make_batch(toy.data, {3, 4}, toy.features).words.to_vector<int64_t>());
    for (const int64_t i : {0, 1}) {
      const bool plain = (3 + i + epoch) % 2 == 0;
      const Tensor expected = plain ? toy.features.rows({3 + i}) : changed.rows({7 - 3 - i});
      CHECK(batch.features.data().slice(0, i, i + 1).contiguous().to_vector<float>() ==
            expected.to_vector<float>());
    }
  }
  names.pop_back();
  const FeatureCache fewer(names, values.slice(0, 0, 7).to(DType::f16), "toy mirror");
  CHECK_THROWS_WITH_AS(make_batch(toy.data, {0}, {&fewer}, 0),
                       doctest::Contains("'red_dog.jpg' is missing among"), tensor::Error);
  CHECK_THROWS_AS(make_batch(toy.data, {0}, std::vector<const FeatureCache*>{}, 0), tensor::Error);
}

TEST_CASE("a run that is stopped and resumed ends with the same bits") {
  const Toy toy;
  const std::atomic<bool> go{false};
  const Folder whole("whole"), broken("broken");
  Trainer straight(toy.info, toy.features, toy.data, toy.data, toy_options(), whole.path);
  CHECK(straight.run({}, go) == Trainer::End::finished);
  CHECK(straight.step() == 12);
  {
    Trainer first(toy.info, toy.features, toy.data, toy.data, toy_options(), broken.path);
    std::atomic<bool> stop{false};
    TrainListener listener;
    listener.step = [&](const StepReport& r) { stop = r.step == 5; };  // inside the second epoch
    CHECK(first.run(listener, stop) == Trainer::End::interrupted);
    CHECK(first.step() == 5);
  }
  Trainer second(toy.info, toy.features, toy.data, toy.data, toy_options(), broken.path);
  second.resume();
  CHECK(second.step() == 5);
  CHECK(second.run({}, go) == Trainer::End::finished);
  CHECK(second.step() == 12);
  CHECK(weights_of(second.decoder()) == weights_of(straight.decoder()));
  CHECK(second.best_score() == straight.best_score());
}

TEST_CASE("resuming refuses another run's checkpoint") {
  const Toy toy;
  const std::atomic<bool> go{false};
  const Folder folder("refuse");
  Trainer(toy.info, toy.features, toy.data, toy.data, toy_options(), folder.path).run({}, go);
  TrainOptions other = toy_options();
  other.lr = 2e-2;
  Trainer changed(toy.info, toy.features, toy.data, toy.data, other, folder.path);
  CHECK_THROWS_WITH_AS(changed.resume(), doctest::Contains("settings differ"), tensor::Error);
  const Folder empty("refuse_empty");
  Trainer none(toy.info, toy.features, toy.data, toy.data, toy_options(), empty.path);
  CHECK_THROWS_AS(none.resume(), tensor::Error);
  TrainOptions large = toy_options();
  large.batch_photos = 9;
  CHECK_THROWS_WITH_AS(Trainer(toy.info, toy.features, toy.data, toy.data, large, folder.path),
                       doctest::Contains("a batch of 9 photos"), tensor::Error);
}

TEST_CASE("one batch over-fits, and its captions come back") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    CAPTURE(to_string(kind));
    Toy toy(kind);
    toy.info.decoder.layer_dropout = 0;
    toy.info.decoder.hidden = toy.info.decoder.embedding = 48;
    // One caption a photo: two captions of one photo have a loss that cannot vanish.
    for (auto& [name, texts] : toy.captions) texts.resize(1);
    const Dataset data = make_dataset(toy.captions, toy.names, toy.features, toy.vocabulary);
    tensor::Generator generator(5);
    const auto decoder = make_decoder(toy.info.decoder, generator);
    // Evaluation mode: the plain model's head would else drop half of its inputs.
    decoder->eval();
    optim::AdamW optimizer(decoder->named_parameters(), optim::AdamWOptions{.lr = 2e-3, .weight_decay = 0});
    const CaptionBatch batch = make_batch(data, {0, 1, 2, 3, 4, 5, 6, 7}, toy.features);
    LossOptions options;
    options.teacher_forcing = 1;
    double loss = 1e9;
    for (int step = 0; step < 1500 && loss >= 0.005; ++step) {
      decoder->zero_grad();
      const CaptionLoss result = decoder->loss(batch, options);
      loss = result.loss.item();
      result.loss.backward();
      optimizer.step(optim::clip_coefficient(optim::grad_norm(decoder->parameters()), 1));
    }
    CHECK(loss < 0.01);
    SearchOptions search;
    search.beam = 1;
    const auto captions = caption_photos(*decoder, data, toy.features, toy.vocabulary, search);
    for (const auto& [name, texts] : toy.captions) CHECK(captions.at(name) == texts[0]);
  }
}

TEST_CASE("the original's first loss") {
  // With the <sos> slot of zero logits and its own widths it starts at ln 4096 = 8.318.
  DecoderConfig config;
  config.features = 64;
  tensor::Generator generator(1);
  const auto decoder = make_decoder(config, generator);
  CaptionBatch batch;
  batch.features = Tensor::empty({2, 9, 64});
  tensor::fill_normal(batch.features.mutable_data(), 0, 1, generator);
  batch.image = Tensor::arange(2);
  batch.words = Tensor::from(std::vector<int64_t>{2, 5, 40, 99, 700, 3, 2, 5, 17, 12, 3, 1}, {2, 6});
  batch.lengths = {6, 5};
  LossOptions options;
  options.compat_original = true;
  options.generator = &generator;
  CHECK(std::fabs(decoder->loss(batch, options).loss.item() - 8.318) < 0.01);
}

TEST_CASE("checkpoints come back whole, in three formats") {
  Toy toy;
  toy.info.decoder.tie_weights = true;
  toy.info.decoder.embedding = toy.info.decoder.hidden = 128;
  tensor::Generator generator(3);
  const auto decoder = make_decoder(toy.info.decoder, generator);
  toy.info.weights = decoder->state_dict();
  toy.info.notes["epoch"] = "7";
  const Folder folder("formats");
  const fs::path file = folder.path / "model.safetensors";
  for (const auto& [format, bar] : std::map<WeightFormat, double>{
           {WeightFormat::f32, 0.0}, {WeightFormat::f16, 1e-3}, {WeightFormat::i8, 1.0 / 127}}) {
    save_checkpoint(file, toy.info, format);
    const Checkpoint back = load_checkpoint(file);
    CHECK(back.decoder == toy.info.decoder);
    CHECK(back.vocabulary == toy.info.vocabulary);
    CHECK(back.preprocessing == toy.info.preprocessing);
    CHECK(back.notes == toy.info.notes);
    const auto expected = weights_of(*decoder), found = weights_of(*back.make_decoder());
    for (const auto& [name, values] : expected) {
      CAPTURE(name);
      float top = 0, worst = 0;
      for (const float v : values) top = std::max(top, std::fabs(v));
      for (size_t i = 0; i < values.size(); ++i)
        worst = std::max(worst, std::fabs(values[i] - found.at(name)[i]));
      CHECK(worst <= bar * top);
    }
  }
  Checkpoint wrong = toy.info;
  wrong.vocabulary.pop_back();
  save_checkpoint(file, wrong);
  CHECK_THROWS_WITH_AS(load_checkpoint(file), doctest::Contains("tokens for a decoder of"), tensor::Error);
}

TEST_CASE("checkpoints keep the weights of a trained encoder") {
  Toy toy;
  toy.info.weights = make_decoder(toy.info.decoder)->state_dict();
  const Folder folder("encoder_weights");
  const fs::path file = folder.path / "model.safetensors";
  const auto format = [&] { return tensor::io::read_safetensors(file).metadata.at("format"); };
  save_checkpoint(file, toy.info);
  CHECK(format() == "imgcap-checkpoint-1");
  CHECK(load_checkpoint(file).encoder_weights.empty());

  tensor::Generator generator(4);
  Tensor matrix = Tensor::empty({200, 100}), norm = Tensor::empty({50});
  tensor::fill_normal(matrix, 0, 1, generator);
  tensor::fill_normal(norm, 0, 1e6, generator);  // variances may be too large for 16 bits
  toy.info.encoder_weights = {
      {"conv.weight", matrix}, {"bn.running_var", norm}, {"bn.num_batches_tracked", Tensor::arange(1)}};
  for (const WeightFormat bits : {WeightFormat::f32, WeightFormat::f16, WeightFormat::i8}) {
    save_checkpoint(file, toy.info, bits);
    CHECK(format() == "imgcap-checkpoint-2");
    const Checkpoint back = load_checkpoint(file);
    REQUIRE(back.encoder_weights.size() == 3);
    const Tensor expected = bits == WeightFormat::f32 ? matrix : matrix.to(DType::f16).to(DType::f32);
    CHECK(back.encoder_weights.at("conv.weight").to_vector<float>() == expected.to_vector<float>());
    CHECK(back.encoder_weights.at("bn.running_var").to_vector<float>() == norm.to_vector<float>());
    CHECK(back.encoder_weights.at("bn.num_batches_tracked").dtype() == DType::i64);
    CHECK(back.weights.size() == toy.info.weights.size());
  }
  // Neither format with the other's contents.
  tensor::io::SafetensorsFile contents = tensor::io::read_safetensors(file);
  contents.metadata["format"] = "imgcap-checkpoint-1";
  tensor::io::write_safetensors(file, contents.tensors, contents.metadata);
  CHECK_THROWS_WITH_AS(load_checkpoint(file), doctest::Contains("'imgcap-checkpoint-1' with encoder weights"),
                       tensor::Error);
  std::erase_if(contents.tensors, [](const auto& entry) { return entry.first.starts_with("encoder."); });
  contents.metadata["format"] = "imgcap-checkpoint-2";
  tensor::io::write_safetensors(file, contents.tensors, contents.metadata);
  CHECK_THROWS_WITH_AS(load_checkpoint(file),
                       doctest::Contains("'imgcap-checkpoint-2' without encoder weights"), tensor::Error);
}

TEST_CASE("data sets and batches") {
  const Toy toy;
  const CaptionBatch batch = make_batch(toy.data, {1, 0}, toy.features);
  CHECK(batch.lengths == std::vector<int64_t>{7, 7, 6, 6});
  CHECK(batch.image.to_vector<int64_t>() == std::vector<int64_t>{0, 1, 0, 1});
  CHECK(batch.features.shape() == Shape{2, 4, 12});
  CHECK_THROWS_AS(make_dataset(toy.captions, {"nowhere.jpg"}, toy.features, toy.vocabulary), tensor::Error);
  const Dataset cut = make_dataset(toy.captions, toy.names, toy.features, toy.vocabulary, 4);
  CHECK(cut.photos[0].encoded[0].size() == 4);
  CHECK(cut.photos[0].encoded[0].back() == kEos);
  const auto first = epoch_batches(10, 4, 1, 0), again = epoch_batches(10, 4, 1, 0),
             next = epoch_batches(10, 4, 1, 1);
  CHECK(first == again);
  CHECK(first != next);
  CHECK(first.size() == 3);
  const Folder folder("cache");
  toy.features.save(folder.path / "f.safetensors");
  const FeatureCache back = FeatureCache::open(folder.path / "f.safetensors");
  CHECK(back.names() == toy.features.names());
  CHECK(back.rows({3}).to_vector<float>() == toy.features.rows({3}).to_vector<float>());
  CHECK_THROWS_AS(back.rows({8}), tensor::Error);
  // What could not be read is kept beside the features; caches of earlier versions know nothing of it.
  const Tensor row = Tensor::zeros({1, 2, 3}, DType::f16);
  FeatureCache({"a.jpg"}, row, "key", {{"cut.jpg", 3000}, {"shut.jpg", -1}})
      .save(folder.path / "u.safetensors");
  CHECK(FeatureCache::open(folder.path / "u.safetensors").unreadable() ==
        std::map<std::string, int64_t>{{"cut.jpg", 3000}, {"shut.jpg", -1}});
  const auto with = [&](std::map<std::string, std::string> more) {
    more.insert({{"names", "[\"a.jpg\"]"}, {"key", "key"}});
    tensor::io::write_safetensors(folder.path / "v.safetensors", {{"features", row}}, more);
    return FeatureCache::open(folder.path / "v.safetensors");
  };
  CHECK(with({}).unreadable().empty());
  for (const char* bad : {"[]", "{", "{\"a\":\"b\"}", "{\"a\":1.5}"}) {
    CAPTURE(bad);
    CHECK_THROWS_WITH_AS(with({{"unreadable", bad}}), doctest::Contains("unreadable photo"), tensor::Error);
  }
}
