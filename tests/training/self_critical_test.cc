#include "imgcap/training/self_critical.h"

#include <doctest/doctest.h>

#include <cmath>

#include "optim/adam.h"
#include "tensor/error.h"
#include "tests/folder.h"
#include "tests/training/toy.h"

using namespace imgcap;
using tensor::DType;

namespace {

using Folder = tests::TemporaryFolder;

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

TEST_CASE("a self-critical run resumes to the bit, in 32 and in 16 bits") {
  const Toy toy;
  TrainOptions options = toy_options();
  options.objective = "self-critical";
  options.teacher_forcing = 1;
  CHECK_THROWS_WITH_AS(validate(options), doctest::Contains("neither --label-smoothing"), tensor::Error);
  options.label_smoothing = 0;
  options.samples = 3;
  options.epochs = 2;
  const std::atomic<bool> go{false};
  std::map<std::string, StepReport> first_steps;
  for (const std::string precision : {"f32", "f16", "bf16"}) {
    CAPTURE(precision);
    options.precision = precision;
    const Folder whole("critical_whole"), broken("critical_broken");
    Trainer straight(toy.info, toy.features, toy.data, toy.data, options, whole.path);
    TrainListener reader;
    reader.step = [&](const StepReport& r) {
      CHECK(r.skipped == 0);
      if (r.step == 1) first_steps[precision] = r;
    };
    CHECK(straight.run(reader, go) == Trainer::End::finished);
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
  // The captions are drawn in f32, so that the first are the same; the step on them is rounded.
  const StepReport& exact = first_steps["f32"];
  for (const auto& [precision, bar] : std::map<std::string, double>{{"f16", 2e-3}, {"bf16", 2e-2}}) {
    CAPTURE(precision);
    const StepReport& rounded = first_steps[precision];
    CHECK(rounded.reward == exact.reward);
    CHECK(rounded.loss != exact.loss);
    CHECK(rounded.gradient_norm == doctest::Approx(exact.gradient_norm).epsilon(bar));
  }
}
