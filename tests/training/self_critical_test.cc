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
    CaptionBatch batch = make_batch(toy.data, {0, 5}, toy.features);
    LossOptions options;
    options.teacher_forcing = 1;
    const double plain = decoder->loss(batch, options).loss.item();
    batch.weights.assign(batch.lengths.size(), 1);
    CHECK(decoder->loss(batch, options).loss.item() == doctest::Approx(plain).epsilon(1e-5));
    double sum = 0;
    for (size_t r = 0; r < batch.lengths.size(); ++r) {
      batch.weights.assign(batch.lengths.size(), 0);
      batch.weights[r] = 2;
      sum += decoder->loss(batch, options).loss.item() / 2;
    }
    CHECK(sum == doctest::Approx(plain).epsilon(1e-5));

    SelfCritical critic(toy.data, 4, 8);
    const std::vector<int64_t> photos = {0, 1, 2, 3, 4, 5, 6, 7};
    const Tensor features = toy.features.rows(photos);

    // The probabilities of the tokens that can be drawn sum to 1.
    SampledCaptions single;
    single.batch.features = toy.features.rows({2});
    single.batch.image = Tensor::zeros({1}, DType::i64);
    single.batch.lengths = {2};
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
  CHECK_THROWS_WITH_AS(SelfCritical(toy.data, 1, 8), doctest::Contains("1 samples per photo"), tensor::Error);
  CHECK_NOTHROW(SelfCritical(toy.data, 2, 8));
}

TEST_CASE("an advantage is the caption's CIDEr minus the mean of the photo's other draws, <eos> a word") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain})
    for (const int64_t max_words : {1, 8}) {
      CAPTURE(to_string(kind));
      CAPTURE(max_words);
      const Toy toy(kind);
      tensor::Generator generator(3);
      const auto decoder = make_decoder(toy.info.decoder, generator);
      decoder->train();
      constexpr size_t kSamples = 4;
      SelfCritical critic(toy.data, kSamples, max_words);
      const std::vector<int64_t> photos = {5, 2, 7, 0};
      const SampledCaptions drawn = critic.draw(*decoder, toy.features.rows(photos), photos, generator);
      CHECK_FALSE(decoder->training());
      REQUIRE(drawn.batch.weights.size() == kSamples * photos.size());
      REQUIRE(drawn.batch.lengths.size() == drawn.batch.weights.size());

      // Tokens as words: " dog" is "dog", the end is "<eos>".
      const auto text = [&](const auto& ids, size_t end) {
        std::string joined;
        for (size_t k = 1; k < end; ++k) {
          std::string token = toy.vocabulary.token(ids[k]);
          std::erase(token, ' ');
          joined += (joined.empty() ? "" : " ") + token;
        }
        return joined;
      };
      std::vector<std::vector<std::string>> references;
      for (const Dataset::Photo& photo : toy.data.photos) {
        references.emplace_back();
        for (const std::vector<int32_t>& ids : photo.encoded)
          references.back().push_back(text(ids, ids.size()));
      }
      CHECK(references[0][0] == "a red dog . <eos>");
      // Document frequencies are those of all the training photos.
      const auto cider_of = [&](int64_t photo, const std::string& caption) {
        std::vector<std::string> candidates(references.size(), "nothing");
        candidates[static_cast<size_t>(photo)] = caption;
        return cider(candidates, references).images[static_cast<size_t>(photo)];
      };
      const std::vector<int64_t> image = drawn.batch.image.to_vector<int64_t>(),
                                 words = drawn.batch.words.to_vector<int64_t>();
      const auto columns = drawn.batch.words.size(1);
      std::vector<std::vector<double>> rewards(photos.size());
      std::vector<double> reward_of_row;
      size_t ended = 0, the_end_counts = 0;
      for (size_t r = 0; r < image.size(); ++r) {
        const auto length = static_cast<size_t>(drawn.batch.lengths[r]);
        CHECK((r == 0 || drawn.batch.lengths[r] <= drawn.batch.lengths[r - 1]));
        const std::vector<int64_t> row(words.begin() + static_cast<int64_t>(r) * columns,
                                       words.begin() + static_cast<int64_t>(r + 1) * columns);
        CHECK(row[0] == kSos);
        for (size_t k = length; k < row.size(); ++k) CHECK(row[k] == kPad);
        const bool finished = row[length - 1] == kEos;
        ended += finished;
        CHECK(static_cast<int64_t>(length) - 1 - finished <= max_words);
        const auto i = static_cast<size_t>(image[r]);
        const double reward = cider_of(photos[i], text(row, length));
        the_end_counts += finished && reward != cider_of(photos[i], text(row, length - 1));
        rewards[i].push_back(reward);
        reward_of_row.push_back(reward);
      }
      CHECK(ended > 0);
      CHECK(ended < image.size());
      if (max_words == 8) CHECK(the_end_counts > 0);
      double sum = 0, largest = 0;
      for (const std::vector<double>& of_photo : rewards) {
        REQUIRE(of_photo.size() == kSamples);
        for (const double reward : of_photo) sum += reward;
      }
      CHECK(drawn.reward == doctest::Approx(sum / (kSamples * 4)).epsilon(1e-12));
      for (size_t r = 0; r < image.size(); ++r) {
        double others = -reward_of_row[r];
        for (const double reward : rewards[static_cast<size_t>(image[r])]) others += reward;
        const double expected = reward_of_row[r] - others / (kSamples - 1);
        CHECK(std::fabs(drawn.batch.weights[r] - expected) < 1e-9);
        largest = std::max(largest, std::fabs(expected));
      }
      CHECK(largest > 0.1);

      // The loss by hand: each drawn token's -ln p, of the tokens that can be drawn, in evaluation mode.
      double loss = 0;
      int64_t tokens = 0;
      DecodingState state = Decoder::select(decoder->start(toy.features.rows(photos)), drawn.batch.image);
      for (int64_t t = 0; t + 1 < columns; ++t) {
        const Tensor logits = decoder->step(state, drawn.batch.words.select(1, t).contiguous());
        const std::vector<float> values = logits.to_vector<float>();
        for (size_t r = 0; r < image.size(); ++r) {
          if (drawn.batch.lengths[r] <= t + 1) continue;
          const float* row = values.data() + static_cast<int64_t>(r) * logits.size(1);
          double all = 0;
          for (int64_t k = kEos; k < logits.size(1); ++k) all += std::exp(static_cast<double>(row[k]));
          const double p =
              static_cast<double>(row[words[r * static_cast<size_t>(columns) + static_cast<size_t>(t) + 1]]);
          loss += drawn.batch.weights[r] * (std::log(all) - p);
          ++tokens;
        }
      }
      decoder->train();
      const CaptionLoss found = SelfCritical::loss(*decoder, drawn, generator);
      CHECK(found.tokens == tokens);
      CHECK(std::fabs(found.loss.item() - loss / static_cast<double>(tokens)) < 1e-5);
      CHECK_FALSE(decoder->training());
    }
}

TEST_CASE("captions are drawn in 32 bits whatever the features have") {
  const Toy toy;
  tensor::Generator generator(3);
  const auto decoder = make_decoder(toy.info.decoder, generator);
  SelfCritical critic(toy.data, 2, 8);
  const Tensor features = toy.features.rows({1, 2});  // 16-bit values in 32 bits
  tensor::Generator one(5), other(5);
  const SampledCaptions a = critic.draw(*decoder, features, {1, 2}, one),
                        b = critic.draw(*decoder, features.to(DType::f16), {1, 2}, other);
  CHECK(a.batch.words.to_vector<int64_t>() == b.batch.words.to_vector<int64_t>());
  CHECK(a.batch.weights == b.batch.weights);
  CHECK(b.batch.features.dtype() == DType::f16);  // the loss is that of the batch
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
    for (const double bad : {0.0, -0.5, std::nan(""), static_cast<double>(INFINITY)})
      CHECK_THROWS_WITH_AS(sharpen(weights, toy.info.decoder, bad), doctest::Contains("has to be over 0"),
                           tensor::Error);
    DecoderConfig tied = toy.info.decoder;
    tied.tie_weights = true;
    CHECK_THROWS_WITH_AS(sharpen(weights, tied, 0.5), doctest::Contains("tied"), tensor::Error);
    CHECK_NOTHROW(sharpen(weights, tied, 1));
  }
}

TEST_CASE("a self-critical run resumes to the bit, in 32 and in 16 bits") {
  const Toy toy;
  TrainOptions options = toy_options();
  options.objective = Objective::self_critical;
  options.teacher_forcing = 1;
  CHECK_THROWS_WITH_AS(validate(options), doctest::Contains("neither --label-smoothing"), tensor::Error);
  options.label_smoothing = 0;
  options.samples = 3;
  options.epochs = 2;
  const std::atomic<bool> go{false};
  std::map<Precision, StepReport> first_steps;
  for (const Precision precision : {Precision::f32, Precision::f16, Precision::bf16}) {
    CAPTURE(to_string(precision));
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
  const StepReport& exact = first_steps[Precision::f32];
  for (const auto& [precision, bar] :
       std::map<Precision, double>{{Precision::f16, 2e-3}, {Precision::bf16, 2e-2}}) {
    CAPTURE(to_string(precision));
    const StepReport& rounded = first_steps[precision];
    CHECK(rounded.reward == exact.reward);
    CHECK(rounded.loss != exact.loss);
    CHECK(rounded.gradient_norm == doctest::Approx(exact.gradient_norm).epsilon(bar));
  }
}
