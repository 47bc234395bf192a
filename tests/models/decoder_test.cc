#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "../data_dir.h"
#include "autograd/ops.h"
#include "autograd/testing/gradcheck.h"
#include "imgcap/models/decoder.h"
#include "optim/adam.h"
#include "optim/clip.h"
#include "tensor/error.h"
#include "tensor/io/safetensors.h"
#include "tensor/kernels.h"

using namespace imgcap;
using tensor::DType;

namespace {

const std::map<std::string, Tensor>& golden() {
  static const auto file =
      tensor::io::read_safetensors(tests::source_dir() / "tests/golden/decoders.safetensors");
  return file.tensors;
}

DecoderConfig small_config(const std::string& name) {
  DecoderConfig config;
  config.kind = name.starts_with("plain") ? DecoderKind::plain : DecoderKind::attention;
  config.tanh_image = name == "plain_tanh";
  config.vocabulary = 17;
  config.features = 8;
  config.embedding = 6;
  config.hidden = 5;
  config.attention = 7;
  config.layer_dropout = 0;
  config.gate = config.initial_state = name == "gated";
  return config;
}

CaptionBatch golden_batch(DType dtype) {
  return {golden().at("features").to(dtype), golden().at("image"), golden().at("words"), {6, 5, 4, 2}};
}

std::unique_ptr<Decoder> golden_decoder(const std::string& name, DType dtype) {
  tensor::Generator generator(5);
  auto decoder = make_decoder(small_config(name), generator);
  decoder->to(dtype);
  decoder->eval();                           // the golden models have no dropout
  if (name == "plain_tanh") return decoder;  // PyTorch's golden file has none
  const std::string prefix = name + "/weight/";
  nn::StateDict state;
  for (const auto& [key, value] : golden())
    if (key.starts_with(prefix)) state[key.substr(prefix.size())] = value;
  decoder->load_state_dict(state);
  return decoder;
}

double relative_l2(const Tensor& a, const Tensor& b) {
  const auto x = a.to(DType::f64).to_vector<double>(), y = b.to(DType::f64).to_vector<double>();
  REQUIRE(x.size() == y.size());
  double difference = 0, norm = 0;
  for (size_t i = 0; i < x.size(); ++i) difference += (x[i] - y[i]) * (x[i] - y[i]), norm += y[i] * y[i];
  return norm == 0 ? std::sqrt(difference) : std::sqrt(difference / norm);
}

LossOptions golden_options(const std::string& name) {
  LossOptions options;
  if (name.starts_with("plain"))
    options.teacher_forcing = 1;
  else
    options.coins = {true, false, true, true, true};
  return options;
}

}  // namespace

TEST_CASE("both decoders have PyTorch's loss and gradients") {
  for (const std::string name : {"attention", "gated", "plain"})
    for (const DType dtype : {DType::f64, DType::f32})
      for (const bool composed : {false, true}) {
        CAPTURE(name);
        CAPTURE(tensor::name_of(dtype));
        CAPTURE(composed);
        const double bar = dtype == DType::f64 ? 1e-9 : 1e-5;
        const auto decoder = golden_decoder(name, dtype);
        LossOptions options = golden_options(name);
        options.composed = composed;
        const CaptionLoss result = decoder->loss(golden_batch(dtype), options);
        CHECK(result.tokens == 13);
        CHECK(result.loss.item() == doctest::Approx(golden().at(name + "/loss").item()).epsilon(bar));
        result.loss.backward();
        for (const auto& [key, parameter] : decoder->named_parameters()) {
          CAPTURE(key);
          REQUIRE(parameter.grad().defined());
          const Tensor& expected = golden().at(name + "/grad/" + key);
          // The score's bias shifts all scores alike: its gradient is 0 but for rounding, so an absolute bar
          // serves.
          if (key == "attention.attn_weights.bias")
            CHECK(std::fabs(parameter.grad().item()) < (dtype == DType::f64 ? 1e-12 : 1e-7));
          else
            CHECK(relative_l2(parameter.grad().data(), expected) < bar);
        }
        options.count_start = true;
        const CaptionLoss compatible = decoder->loss(golden_batch(dtype), options);
        CHECK(compatible.tokens == 17);  // the <sos> slot of each caption, too
        CHECK(compatible.loss.item() ==
              doctest::Approx(golden().at(name + "/compat_loss").item()).epsilon(bar));
      }
}

// The whole step: loss, backward, clipping, AdamW; see `train` in make_decoders.py. In 32 bits Adam divides
// gradients that are 0 but for rounding by their own size, so no element of a weight or gradient is compared
// there.
TEST_CASE("ten training steps of both decoders follow PyTorch's") {
  for (const std::string name : {"attention", "gated", "plain"})
    for (const DType dtype : {DType::f64, DType::f32})
      for (const bool composed : {false, true}) {
        CAPTURE(name);
        CAPTURE(tensor::name_of(dtype));
        CAPTURE(composed);
        const auto decoder = golden_decoder(name, dtype);
        optim::AdamW optimizer(std::vector<optim::GroupOptions>{{decoder->named_parameters()}},
                               {.lr = 0.01, .weight_decay = 0.1});
        const auto losses = golden().at(name + "/losses").to_vector<double>();
        const auto norms = golden().at(name + "/norms").to_vector<double>();
        REQUIRE(losses.size() == 10);
        CHECK(losses.back() < 0.95 * losses.front());
        for (size_t step = 0; step < losses.size(); ++step) {
          CAPTURE(step);
          LossOptions options = golden_options(name);
          options.composed = composed;
          if (name != "plain") {
            options.coins.clear();
            for (size_t k = 0; k < 5; ++k) options.coins.push_back((7 * step + 3 * k) % 5 != 0);
          }
          optimizer.zero_grad();
          const autograd::Variable loss = decoder->loss(golden_batch(dtype), options).loss;
          CHECK(loss.item() == doctest::Approx(losses[step]).epsilon(dtype == DType::f64 ? 1e-9 : 1e-4));
          loss.backward();
          if (dtype == DType::f64)
            for (const auto& [key, parameter] : decoder->named_parameters()) {
              CAPTURE(key);
              if (key == "attention.attn_weights.bias")  // 0 but for rounding
                CHECK(std::fabs(parameter.grad().item()) < 1e-12);
              else
                CHECK(relative_l2(parameter.grad().data(),
                                  golden().at(tensor::format("{}/step{}/{}", name, step, key))) < 1e-9);
            }
          const double norm = optim::grad_norm(optimizer.parameters());
          CHECK(norm == doctest::Approx(norms[step]).epsilon(dtype == DType::f64 ? 1e-9 : 1e-3));
          optimizer.step(optim::clip_coefficient(norm, 0.3));
        }
      }
}

TEST_CASE("both decoders' losses have gradients into the features") {
  for (const std::string name : {"attention", "gated", "plain", "plain_tanh"})
    for (const bool composed : {false, true}) {
      CAPTURE(name);
      CAPTURE(composed);
      const auto decoder = golden_decoder(name, DType::f64);
      LossOptions options = golden_options(name);
      options.composed = composed;
      CaptionBatch batch = golden_batch(DType::f64);
      const auto loss = [&](const autograd::Variables& in) {
        batch.features = in[0];
        return autograd::Variables{decoder->loss(batch, options).loss};
      };
      const Variable features(batch.features.data().clone(), true);
      const autograd::GradcheckOptions differences{.atol = 1e-8};
      const auto result = autograd::gradcheck(loss, {features}, differences);
      CHECK_MESSAGE(result.ok, result.message);
      decoder->zero_grad();
      loss({features})[0].backward();
      double largest = 0;
      for (const double g : features.grad().data().to_vector<double>())
        largest = std::max(largest, std::fabs(g));
      CHECK(largest > 1000 * differences.atol);  // else it would have checked nothing
    }
}

namespace {

struct Result {
  double loss;
  std::map<std::string, Tensor> gradients;
};

// With dropout between layers, on embeddings and on the output, and the generator's seed.
Result with_dropout(const std::string& name, std::array<double, 3> p, uint64_t seed, bool composed,
                    bool train = true) {
  DecoderConfig config = small_config(name);
  config.layer_dropout = p[0];
  config.embedding_dropout = p[1];
  config.output_dropout = p[2];
  tensor::Generator weights(3), generator(seed);
  const auto decoder = make_decoder(config, weights);
  decoder->to(DType::f64);
  decoder->train(train);
  LossOptions options;
  options.teacher_forcing = 1;
  options.coins = {true, false, true, true, false};
  options.label_smoothing = 0.1;
  options.generator = &generator;
  options.composed = composed;
  const CaptionLoss result = decoder->loss(golden_batch(DType::f64), options);
  result.loss.backward();
  Result all{result.loss.item(), {}};
  for (const auto& [key, parameter] : decoder->named_parameters())
    all.gradients[key] = parameter.grad().data();
  return all;
}

}  // namespace

// What the masks are is in dropout_masks_test.cc.
TEST_CASE("the fused decoder draws the dropout masks of the composed one, and each of them is drawn") {
  // The plain model without a bounded image has another dropout, in its head.
  for (const std::string name : {"attention", "gated", "plain", "plain_tanh"}) {
    CAPTURE(name);
    const std::array<double, 3> all = {0.4, 0.3, 0.2};
    const Result fused = with_dropout(name, all, 11, false), composed = with_dropout(name, all, 11, true);
    CHECK(fused.loss == doctest::Approx(composed.loss).epsilon(1e-12));
    for (const auto& [key, gradient] : fused.gradients) {
      CAPTURE(key);
      if (key != "attention.attn_weights.bias")
        CHECK(relative_l2(gradient, composed.gradients.at(key)) < 1e-10);
    }
    // Each by itself changes the loss, and so does another seed; none does while evaluating.
    const double off = with_dropout(name, {0, 0, 0}, 11, false).loss;
    for (const bool own : {false, true})
      for (const std::array<double, 3>& one :
           std::vector<std::array<double, 3>>{{0.4, 0, 0}, {0, 0.3, 0}, {0, 0, 0.2}}) {
        CAPTURE(one[0]);
        CAPTURE(one[1]);
        const double on = with_dropout(name, one, 11, own).loss;
        CHECK(std::abs(on - off) > 1e-4);
        CHECK(std::abs(with_dropout(name, one, 12, own).loss - on) > 1e-4);
      }
    const double still = with_dropout(name, all, 11, false, false).loss;
    CHECK(still == with_dropout(name, {0, 0, 0}, 12, false, false).loss);
    CHECK(std::abs(still - fused.loss) > 1e-4);
    if (name == "plain") CHECK(std::abs(off - with_dropout(name, {0, 0, 0}, 12, false).loss) > 1e-6);
  }
}

TEST_CASE("stepping gives the logits that the loss sees") {
  for (const std::string name : {"attention", "gated", "plain", "plain_tanh"}) {
    CAPTURE(name);
    const auto decoder = golden_decoder(name, DType::f64);
    const CaptionBatch batch = golden_batch(DType::f64);
    DecodingState state = decoder->start(batch.features.data());
    state = Decoder::select(state, batch.image);
    double loss = 0;
    int64_t tokens = 0;
    for (int64_t t = 0; t + 1 < batch.words.size(1); ++t) {
      const Tensor logits = decoder->step(state, batch.words.select(1, t).contiguous());
      const Tensor targets = batch.words.select(1, t + 1).contiguous();
      loss += autograd::cross_entropy(logits, targets, 1, 0, autograd::Reduction::sum).item();
      for (const int64_t target : targets.to_vector<int64_t>()) tokens += target != 1;
    }
    LossOptions options;
    options.teacher_forcing = 1;
    CHECK(loss / static_cast<double>(tokens) ==
          doctest::Approx(decoder->loss(batch, options).loss.item()).epsilon(1e-9));
  }
}

TEST_CASE("where the coin says so, a step is fed what the one before found likeliest") {
  const std::vector<bool> coins = {false, true, false, false, true};  // coins[k]: for the word after step k
  for (const std::string name : {"attention", "gated", "plain", "plain_tanh"}) {
    CAPTURE(name);
    const auto decoder = golden_decoder(name, DType::f64);
    const CaptionBatch batch = golden_batch(DType::f64);
    // The plain model's step 0 is the photo, so <sos> is fed by step 1, and that one is always given.
    const size_t first = name.starts_with("plain") ? 1 : 0;
    double sum = 0, taught = 0;
    int64_t own = 0;
    for (int64_t row = 0; row < 4; ++row)
      for (const bool always : {false, true}) {
        const auto words = batch.words.select(0, row).contiguous().to_vector<int64_t>();
        DecodingState state = Decoder::select(decoder->start(batch.features.data()),
                                              batch.image.slice(0, row, row + 1).contiguous());
        int64_t likeliest = 0;
        for (size_t t = 0; t + 1 < static_cast<size_t>(batch.lengths[static_cast<size_t>(row)]); ++t) {
          const bool teacher = always || t == 0 || coins[t + first - 1];
          own += !teacher;
          const auto logits =
              decoder->step(state, Tensor::from(std::vector<int64_t>{teacher ? words[t] : likeliest}, {1}))
                  .to_vector<double>();
          likeliest = std::max_element(logits.begin(), logits.end()) - logits.begin();
          double total = 0;
          for (const double x : logits) total += std::exp(x);
          (always ? taught : sum) += std::log(total) - logits[static_cast<size_t>(words[t + 1])];
        }
      }
    CHECK(own > 3);
    CHECK(std::abs(sum - taught) > 1e-3);  // or nothing would have been fed but the caption
    for (const bool composed : {false, true}) {
      LossOptions options;
      options.composed = composed;
      options.coins = coins;
      CHECK(decoder->loss(batch, options).loss.item() == doctest::Approx(sum / 13).epsilon(1e-9));
      options.coins.clear();
      options.teacher_forcing = 1;
      CHECK(decoder->loss(batch, options).loss.item() == doctest::Approx(taught / 13).epsilon(1e-9));
    }
  }
  CHECK(LossOptions{}.teacher_forcing == 0.9);  // the original's
}

TEST_CASE("a batch's loss is the mean over its captions' tokens, whatever is behind their ends") {
  for (const std::string name : {"attention", "gated", "plain", "plain_tanh"})
    for (const bool composed : {false, true}) {
      CAPTURE(name);
      CAPTURE(composed);
      const auto decoder = golden_decoder(name, DType::f64);
      LossOptions options;
      options.teacher_forcing = 1;
      options.composed = composed;
      const CaptionBatch batch = golden_batch(DType::f64);
      const CaptionLoss whole = decoder->loss(batch, options);
      double sum = 0;
      for (int64_t i = 0; i < 4; ++i) {
        const int64_t length = batch.lengths[static_cast<size_t>(i)];
        CaptionBatch one = batch;
        one.image = batch.image.slice(0, i, i + 1).contiguous();
        one.words = batch.words.slice(0, i, i + 1).slice(1, 0, length).contiguous();
        one.lengths = {length};
        const CaptionLoss loss = decoder->loss(one, options);
        CHECK(loss.tokens == length - 1);
        sum += loss.loss.item() * static_cast<double>(loss.tokens);
      }
      CHECK(whole.tokens == 13);
      CHECK(whole.loss.item() == doctest::Approx(sum / 13).epsilon(1e-12));

      CaptionBatch longer = batch;
      longer.words = Tensor::zeros({4, 9}, DType::i64);
      longer.words.fill_(16);
      for (int64_t i = 0; i < 4; ++i) {
        const int64_t length = batch.lengths[static_cast<size_t>(i)];
        longer.words.slice(0, i, i + 1)
            .slice(1, 0, length)
            .copy_(batch.words.slice(0, i, i + 1).slice(1, 0, length));
      }
      CHECK(decoder->loss(longer, options).loss.item() == doctest::Approx(whole.loss.item()).epsilon(1e-12));
    }
}

TEST_CASE("a selected state has the rows that were asked for, and the images' memory as it was") {
  DecodingState state;
  const Tensor h = Tensor::from(std::vector<double>{1, 2, 3, 4, 5, 6}, {3, 2});
  const Tensor c = Tensor::from(std::vector<double>{7, 8, 9}, {3, 1});
  state.h = {h, c};
  state.c = {c, h};
  state.image = Tensor::from(std::vector<int64_t>{4, 5, 5}, {3});
  state.alpha = Tensor::from(std::vector<float>{.1f, .2f, .3f}, {3, 1});
  state.keys = state.values = h;
  const DecodingState selected = Decoder::select(state, Tensor::from(std::vector<int64_t>{2, 0, 2, 1}, {4}));
  const std::vector<double> pairs = {5, 6, 1, 2, 5, 6, 3, 4}, singles = {9, 7, 9, 8};
  CHECK(selected.h[0].to_vector<double>() == pairs);
  CHECK(selected.h[1].to_vector<double>() == singles);
  CHECK(selected.c[0].to_vector<double>() == singles);
  CHECK(selected.c[1].to_vector<double>() == pairs);
  CHECK(selected.image.to_vector<int64_t>() == std::vector<int64_t>{5, 4, 5, 5});
  CHECK(selected.alpha.to_vector<float>() == std::vector<float>{.3f, .1f, .3f, .2f});
  CHECK(selected.keys.raw() == h.raw());
  CHECK(selected.values.raw() == h.raw());
  CHECK(state.h[0].to_vector<double>() == h.to_vector<double>());
  state.alpha = state.image = Tensor();
  const DecodingState without = Decoder::select(state, Tensor::from(std::vector<int64_t>{0}, {1}));
  CHECK_FALSE(without.alpha.defined());
  CHECK_FALSE(without.image.defined());
}

TEST_CASE("tied weights are one matrix, within 0.1, for both decoders") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    CAPTURE(to_string(kind));
    DecoderConfig config = small_config(kind == DecoderKind::plain ? "plain" : "attention");
    config.vocabulary = 400;
    config.embedding = config.hidden = 6;
    tensor::Generator first(1), second(1);
    const auto loose = make_decoder(config, first);
    config.tie_weights = true;
    const auto tied = make_decoder(config, second);
    CHECK(loose->parameter_count() - tied->parameter_count() == 400 * 6);
    CHECK(tied->parameter("fc.weight").data().raw() == tied->parameter("embedding.weight").data().raw());
    CHECK(loose->parameter("fc.weight").data().raw() != loose->parameter("embedding.weight").data().raw());
    // Uniform in [-0.1, 0.1): 2,400 draws come near both ends.
    const auto values = tied->parameter("fc.weight").data().to_vector<float>();
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    CHECK(*least >= -0.1f);
    CHECK(*least < -0.098f);
    CHECK(*most < 0.1f);
    CHECK(*most > 0.098f);
    // The vocabulary layer is the embedding's transpose: the logits of both ends move together.
    tied->eval();
    DecodingState state = tied->start(golden_batch(DType::f32).features.data());
    const Tensor before = tied->step(state, Tensor::from(std::vector<int64_t>{2, 2, 2}, {3}));
    const auto logits = before.to_vector<float>(), h = state.h.back().to_vector<float>(),
               bias = tied->parameter("fc.bias").data().to_vector<float>();
    for (size_t v = 0; v < 400; v += 37) {
      double expected = static_cast<double>(bias[v]);
      for (size_t k = 0; k < 6; ++k)
        expected += static_cast<double>(h[k]) * static_cast<double>(values[v * 6 + k]);
      CHECK(static_cast<double>(logits[v]) == doctest::Approx(expected).epsilon(1e-5));
    }
  }
}

// Both the loss and the search begin with it, so comparing these does not show that it is right.
TEST_CASE("a bounded image is tanh of a linear layer of the mean feature, and the first input of the LSTM") {
  const auto decoder = golden_decoder("plain_tanh", DType::f64);
  const Tensor features = golden_batch(DType::f64).features.data();
  const auto f = features.to_vector<double>();
  const auto weight = [&](const char* name) { return decoder->parameter(name).data().to_vector<double>(); };
  const auto w = weight("image.weight"), b = weight("image.bias"), wi = weight("lstm.weight_ih_l0"),
             bi = weight("lstm.bias_ih_l0"), bh = weight("lstm.bias_hh_l0");
  const size_t channels = 8, width = 6, hidden = 5;
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const DecodingState state = decoder->start(features);
  CHECK(state.image.to_vector<int64_t>() == std::vector<int64_t>{0, 1, 2});
  CHECK_FALSE(state.alpha.defined());
  const auto h = state.h[0].to_vector<double>(), c = state.c[0].to_vector<double>();
  for (size_t photo = 0; photo < 3; ++photo) {
    std::vector<double> input(width);
    for (size_t e = 0; e < width; ++e) {
      double sum = b[e];
      for (size_t place = 0; place < 4; ++place)
        for (size_t k = 0; k < channels; ++k)
          sum += w[e * channels + k] * f[(photo * 4 + place) * channels + k] / 4;
      input[e] = std::tanh(sum);
    }
    for (size_t k = 0; k < hidden; ++k) {
      const auto gate = [&](size_t which) {  // i, f, g, o
        const size_t row = which * hidden + k;
        double sum = bi[row] + bh[row];
        for (size_t e = 0; e < width; ++e) sum += wi[row * width + e] * input[e];
        return sum;
      };
      const double cell = sigmoid(gate(0)) * std::tanh(gate(2));
      CHECK(c[photo * hidden + k] == doctest::Approx(cell).epsilon(1e-12));
      CHECK(h[photo * hidden + k] == doctest::Approx(sigmoid(gate(3)) * std::tanh(cell)).epsilon(1e-12));
    }
  }
}

TEST_CASE("steps are without dropout, and features of another shape are refused") {
  for (const std::string name : {"gated", "plain_tanh"}) {
    CAPTURE(name);
    DecoderConfig config = small_config(name);
    config.layer_dropout = config.embedding_dropout = config.output_dropout = 0.5;
    tensor::Generator generator(4);
    const auto decoder = make_decoder(config, generator);
    CHECK(decoder->describe() == (name == "gated" ? "AttentionDecoder" : "PlainDecoder"));
    const Tensor features = golden_batch(DType::f32).features.data(),
                 words = Tensor::from(std::vector<int64_t>{2, 5, 6}, {3});
    std::vector<float> logits[2];
    for (const bool train : {false, true}) {
      decoder->train(train);
      DecodingState state = decoder->start(features);
      decoder->step(state, words);
      logits[train] = decoder->step(state, words).to_vector<float>();
    }
    CHECK(logits[0] == logits[1]);
    for (const Shape& shape : std::vector<Shape>{{3, 4, 9}, {3, 8}}) {
      CHECK_THROWS_WITH_AS(decoder->start(Tensor::zeros(shape)),
                           doctest::Contains("where (images, places, 8) is needed"), tensor::Error);
    }
  }
}

TEST_CASE("the original's widths have the original's parameter counts") {
  CHECK(make_decoder({})->parameter_count() == 36722689);
  DecoderConfig plain;
  plain.kind = DecoderKind::plain;
  CHECK(make_decoder(plain)->parameter_count() == 29383680);
}

TEST_CASE("a decoder whose settings do not fit is not made") {
  DecoderConfig tied;
  tied.tie_weights = true;
  tied.embedding = 512;
  CHECK_THROWS_AS(make_decoder(tied), tensor::Error);
  DecoderConfig bounded = small_config("plain_tanh");
  bounded.kind = DecoderKind::attention;
  CHECK_THROWS_WITH_AS(make_decoder(bounded), doctest::Contains("tanh_image"), tensor::Error);
}

TEST_CASE("a bounded image keeps the plain model's first state from saturating") {
  Tensor huge = golden_batch(DType::f64).features.data().clone();
  tensor::kernels::affine(huge, huge, 1e6, 0);
  const auto largest = [&](const std::string& name) {
    double most = 0;
    for (const double c : golden_decoder(name, DType::f64)->start(huge).c[0].to_vector<double>())
      most = std::max(most, std::fabs(c));
    return most;
  };
  // Six inputs in [-1, 1] and weights within 1 / sqrt(5) keep the gates below sigmoid(3.6).
  CHECK(largest("plain_tanh") < 0.98);
  CHECK(largest("plain") > 0.999);
}

TEST_CASE("batches that do not fit are refused") {
  const auto decoder = golden_decoder("attention", DType::f64);
  CaptionBatch batch = golden_batch(DType::f64);
  batch.lengths = {4, 5, 6, 2};
  CHECK_THROWS_WITH_AS(decoder->loss(batch, {}), doctest::Contains("lengths have to fall"), tensor::Error);
  batch = golden_batch(DType::f64);
  batch.features = batch.features.data().slice(2, 0, 5);
  CHECK_THROWS_WITH_AS(decoder->loss(batch, {}), doctest::Contains("(3, 4, 5)"), tensor::Error);
}
