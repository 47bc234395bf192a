// Exported graphs, read back from their files and run by an interpreter, against the models that they are of.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "imgcap/models/encoder.h"
#include "imgcap/onnx/onnx_decoder.h"
#include "imgcap/onnx/onnx_encoder.h"
#include "tensor/error.h"
#include "tests/folder.h"
#include "tests/made.h"
#include "tests/models/fill.h"
#include "tests/onnx/interpreter.h"

using namespace imgcap;
using tensor::DType;
using tests::Interpreter;
using tests::OnnxFile;

namespace {

std::filesystem::path saved(const OnnxGraph& graph, const tests::TemporaryFolder& folder,
                            const std::string& name) {
  graph.save(folder.path / name);
  return folder.path / name;
}

// The largest difference, over the largest value.
double difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const auto x = a.contiguous().to_vector<float>(), y = b.contiguous().to_vector<float>();
  double worst = 0, largest = 1e-30;
  for (size_t i = 0; i < x.size(); ++i) {
    worst = std::max(worst, std::fabs(static_cast<double>(x[i]) - y[i]));
    largest = std::max(largest, std::fabs(static_cast<double>(y[i])));
  }
  return worst / largest;
}

Tensor f32(uint32_t seed, const Shape& shape) { return tests::made(seed, shape, -1, 1).to(DType::f32); }

std::string text_of(const OnnxFile::Value& value) {
  return tensor::format("{} {} ({})", value.name, value.type == 1 ? "f32" : "i64",
                        tensor::join(value.sizes, ", "));
}

std::vector<std::string> texts_of(const std::vector<OnnxFile::Value>& values) {
  std::vector<std::string> texts;
  for (const auto& value : values) texts.push_back(text_of(value));
  return texts;
}

using Texts = std::vector<std::string>;

DecoderConfig small(DecoderKind kind) {
  DecoderConfig c;
  c.kind = kind;
  c.vocabulary = 11, c.features = 6, c.embedding = 5, c.hidden = 4, c.attention = 3, c.layers = 2;
  return c;
}

// Start and two steps for three photos of seven places, by both.
void check_decoder(const DecoderConfig& config) {
  CAPTURE(to_json(config));
  const tests::TemporaryFolder folder("onnx");
  tensor::Generator generator(17);
  const auto decoder = make_decoder(config, generator);
  decoder->eval();
  Interpreter start(saved(onnx_decoder_start(*decoder), folder, "start.onnx")),
      step(saved(onnx_decoder_step(*decoder), folder, "step.onnx"));
  const Tensor features = f32(3, {3, 7, config.features});
  DecodingState state = decoder->start(features);
  const auto stacked = [&](const std::vector<Tensor>& layers) {
    autograd::Variables all(layers.begin(), layers.end());
    return autograd::stack(all, 0).data();
  };
  const auto first = start.run({{"features", features}});
  CHECK(difference(first.at("h0"), stacked(state.h)) < 1e-6);
  CHECK(difference(first.at("c0"), stacked(state.c)) < 1e-6);
  Tensor h = first.at("h0"), c = first.at("c0");
  for (const std::vector<int64_t>& words : {std::vector<int64_t>{2, 2, 2}, {10, 0, 5}}) {
    const Tensor word = Tensor::from(words, {3});
    const auto next = step.run({{"features", features}, {"word", word}, {"h", h}, {"c", c}});
    const Tensor wanted = autograd::log_softmax(decoder->step(state, word)).data();
    CHECK(difference(next.at("log_probabilities"), wanted) < 1e-6);
    h = next.at("next_h"), c = next.at("next_c");
    CHECK(difference(h, stacked(state.h)) < 1e-6);
    CHECK(difference(c, stacked(state.c)) < 1e-6);
    CHECK(next.contains("attention") == (config.kind == DecoderKind::attention));
    if (state.alpha.defined()) CHECK(difference(next.at("attention"), state.alpha) < 1e-6);
  }
}

}  // namespace

TEST_CASE("onnx: decoders of every kind do the same steps") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    for (int options = 0; options < 8; ++options) {
      DecoderConfig config = small(kind);
      if ((options & 1) != 0) config.layers = 1;
      if ((options & 2) != 0) config.tie_weights = true, config.embedding = config.hidden;
      if ((options & 4) != 0 && kind == DecoderKind::plain) config.tanh_image = true;
      if ((options & 4) != 0 && kind == DecoderKind::attention) config.gate = config.initial_state = true;
      check_decoder(config);
    }
  }
  DecoderConfig config = small(DecoderKind::attention);
  config.gate = true;
  check_decoder(config);
  config.gate = false, config.initial_state = true;
  check_decoder(config);
}

TEST_CASE("onnx: what a decoder's files say of themselves") {
  const tests::TemporaryFolder folder("onnx");
  DecoderConfig config = small(DecoderKind::attention);
  const auto decoder = make_decoder(config);
  const OnnxFile step(saved(onnx_decoder_step(*decoder), folder, "step.onnx"));
  CHECK(step.ir_version == 7);
  CHECK(step.opset == 13);
  CHECK(step.opset_domain.empty());  // ONNX's own operators
  CHECK(step.graph_name == "decoder_step");
  CHECK(texts_of(step.inputs) == Texts{"features f32 (batch, places, 6)", "word i64 (batch)",
                                       "h f32 (2, batch, 4)", "c f32 (2, batch, 4)"});
  CHECK(texts_of(step.outputs) == Texts{"log_probabilities f32 (batch, 11)", "next_h f32 (2, batch, 4)",
                                        "next_c f32 (2, batch, 4)", "attention f32 (batch, places)"});
  for (const auto& [name, shape] : std::map<std::string, Shape>{{"embedding.weight", {11, 5}},
                                                                {"lstm.weight_ih_l0", {16, 11}},
                                                                {"lstm.weight_hh_l1", {16, 4}},
                                                                {"attention.features.weight", {6, 3}},
                                                                {"attention.query.weight", {4, 3}},
                                                                {"fc.weight", {11, 4}}}) {
    CAPTURE(name);
    CHECK(step.weights.at(name).shape() == shape);
  }
  std::map<std::string, int> ops;
  for (const OnnxFile::Node& node : step.nodes) ++ops[node.op];
  CHECK(ops.at("Gemm") == 5);  // two a layer and the vocabulary's
  CHECK(ops.at("Softmax") == 1);
  CHECK(ops.at("LogSoftmax") == 1);
  CHECK(ops.at("Split") == 2);
  const OnnxFile start(saved(onnx_decoder_start(*decoder), folder, "start.onnx"));
  CHECK(texts_of(start.inputs) == Texts{"features f32 (batch, places, 6)"});
  CHECK(texts_of(start.outputs) == Texts{"h0 f32 (2, batch, 4)", "c0 f32 (2, batch, 4)"});

  const auto plain = make_decoder(small(DecoderKind::plain));
  const OnnxFile plain_step(saved(onnx_decoder_step(*plain), folder, "plain.onnx"));
  CHECK(texts_of(plain_step.inputs) ==
        Texts{"word i64 (batch)", "h f32 (2, batch, 4)", "c f32 (2, batch, 4)"});
  CHECK(plain_step.outputs.size() == 3);
  config.tie_weights = true, config.embedding = config.hidden;
  const OnnxFile tied(saved(onnx_decoder_step(*make_decoder(config)), folder, "tied.onnx"));
  CHECK_FALSE(tied.weights.contains("fc.weight"));
}

TEST_CASE("onnx: every encoder gives the frozen network's features, one row per place") {
  const tests::TemporaryFolder folder("onnx");
  for (const std::string& name : encoder_names()) {
    CAPTURE(name);
    const auto encoder = make_encoder(name, false);
    tests::fill(*encoder);
    encoder->freeze();
    // Sides of which TensorFlow's padding makes something odd, and which no stage divides.
    const int64_t height = 75, width = 50;
    Interpreter graph(saved(onnx_encoder(*encoder, height, width), folder, name));
    const int64_t channels = encoder->feature_channels();
    CHECK(texts_of(graph.file().inputs) == Texts{"pixels f32 (batch, 3, 75, 50)"});
    CHECK(texts_of(graph.file().outputs) == Texts{tensor::format("features f32 (batch, 6, {})", channels)});
    CHECK(graph.file().graph_name == name);
    const Tensor pixels = f32(5, {2, 3, height, width});
    const Tensor map = encoder->features(pixels);
    const Tensor wanted = map.permute({0, 2, 3, 1}).reshape({2, 6, channels});
    CHECK(difference(graph.run({{"pixels", pixels}}).at("features"), wanted) < 2e-5);
    CHECK(graph.ops().contains(name == "efficientnet_lite2" ? "Clip" : "MaxPool"));
  }
}

TEST_CASE("onnx: a model over two GiB is refused before anything is written") {
  const tests::TemporaryFolder folder("onnx");
  const std::filesystem::path file = folder.path / "large.onnx";
  // One number in memory, 2 GiB in a file.
  const auto refused = [&](int64_t count) {
    OnnxGraph graph("large");
    graph.weight("w", Tensor::zeros({1}).expand({count}));
    try {
      graph.save(file);
      FAIL("it is written");
    } catch (const tensor::Error& error) {
      CHECK(error.kind() == tensor::ErrorKind::data);
      return std::string(error.what());
    }
    return std::string();
  };
  const std::string sentence = refused(int64_t{1} << 29);
  CAPTURE(sentence);
  CHECK(sentence.starts_with(file.string() + ": it would have 2147483698 bytes"));
  CHECK(sentence.ends_with(" bytes, and an ONNX file has at most 2147483647; such a model is not exported"));
  CHECK(refused(int64_t{1} << 40).find("4398046511") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(file));
  CHECK_THROWS_AS(OnnxGraph("g").weight("w", Tensor::zeros({1}, DType::f64)), tensor::Error);
}
