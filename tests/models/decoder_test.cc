#include <doctest/doctest.h>

#include <cmath>

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
        options.compat_original = true;
        CHECK(decoder->loss(golden_batch(dtype), options).loss.item() ==
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
                                  golden().at(fmt::format("{}/step{}/{}", name, step, key))) < 1e-9);
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

TEST_CASE("the fused decoder draws the dropout masks of the composed one") {
  for (const std::string name : {"gated", "plain"}) {
    DecoderConfig config = small_config(name);
    config.layer_dropout = 0.4;
    config.embedding_dropout = 0.3;
    config.output_dropout = 0.2;
    tensor::Generator weights(3);
    const auto decoder = make_decoder(config, weights);
    decoder->to(DType::f64);
    std::map<std::string, Tensor> gradients[2];
    double losses[2];
    for (const bool composed : {false, true}) {
      tensor::Generator generator(11);
      LossOptions options;
      options.teacher_forcing = 0.6;
      options.label_smoothing = 0.1;
      options.generator = &generator;
      options.composed = composed;
      decoder->zero_grad();
      const CaptionLoss result = decoder->loss(golden_batch(DType::f64), options);
      losses[composed] = result.loss.item();
      result.loss.backward();
      for (const auto& [key, parameter] : decoder->named_parameters())
        gradients[composed][key] = parameter.grad().data();
    }
    CHECK(losses[0] == doctest::Approx(losses[1]).epsilon(1e-12));
    for (const auto& [key, gradient] : gradients[0]) {
      CAPTURE(key);
      if (key != "attention.attn_weights.bias") CHECK(relative_l2(gradient, gradients[1][key]) < 1e-10);
    }
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

TEST_CASE("the original's widths have the original's parameter counts") {
  CHECK(make_decoder({})->parameter_count() == 36722689);
  DecoderConfig plain;
  plain.kind = DecoderKind::plain;
  CHECK(make_decoder(plain)->parameter_count() == 29383680);
}

TEST_CASE("a configuration survives its JSON, and a wrong one is refused") {
  const DecoderConfig config = small_config("gated");
  CHECK(decoder_config_from_json(to_json(config)) == config);
  CHECK_THROWS_AS(decoder_config_from_json("{"), tensor::Error);
  CHECK_THROWS_AS(decoder_config_from_json(R"({"kind":"attention","hidden":-4})"), tensor::Error);
  CHECK_THROWS_AS(decoder_config_from_json(R"({"kind":"attention","unknown":1})"), tensor::Error);
  CHECK_THROWS_AS(decoder_config_from_json(R"({"kind":"transformer"})"), tensor::Error);
  DecoderConfig tied;
  tied.tie_weights = true;
  tied.embedding = 512;
  CHECK_THROWS_AS(make_decoder(tied), tensor::Error);
  DecoderConfig bounded = small_config("plain_tanh");
  CHECK(decoder_config_from_json(to_json(bounded)) == bounded);
  bounded.kind = DecoderKind::attention;
  CHECK_THROWS_WITH_AS(make_decoder(bounded), doctest::Contains("tanh_image"), tensor::Error);
}

TEST_CASE("a bounded image keeps the plain model's first state from saturating") {
  Tensor huge = golden_batch(DType::f64).features.data().clone();
  tensor::affine(huge, huge, 1e6, 0);
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
