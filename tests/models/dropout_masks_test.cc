// Dropout and the teacher's coins of both decoders, against plain loops with the same random numbers.
#include <doctest/doctest.h>

#include <cmath>

#include "autograd/ops.h"
#include "imgcap/models/decoder.h"
#include "tensor/kernels.h"
#include "tests/made.h"

using namespace imgcap;
using tensor::DType;

namespace {

using Row = std::vector<double>;
using Rows = std::vector<Row>;

constexpr uint64_t kSeed = 21;

DecoderConfig config_of(DecoderKind kind) {
  DecoderConfig config;
  config.kind = kind;
  config.vocabulary = 13;
  config.features = 7;
  config.embedding = 6;
  config.hidden = 5;
  config.attention = 4;
  config.layers = 2;
  config.layer_dropout = 0;
  return config;
}

// Two images, three captions.
CaptionBatch batch_of() {
  CaptionBatch batch;
  batch.features = tests::made(3, {2, 3, 7});
  batch.image = Tensor::from<int64_t>({1, 0, 1}, {3});
  batch.words = Tensor::from<int64_t>({2, 5, 9, 11, 7, 3, 2, 6, 12, 8, 3, 1, 2, 10, 3, 1, 1, 1}, {3, 6});
  batch.lengths = {6, 5, 3};
  return batch;
}

std::unique_ptr<Decoder> decoder_of(const DecoderConfig& config) {
  tensor::Generator generator(9);
  auto decoder = make_decoder(config, generator);
  decoder->to(DType::f64);
  // Fresh weights are so small that it makes little difference what is dropped.
  for (auto& [name, value] : decoder->named_parameters())
    tensor::kernels::affine(value.mutable_data(), value.data().clone(), 3, 0);
  return decoder;
}

Rows rows_of(const Tensor& t) {
  const auto values = t.contiguous().to_vector<double>();
  const auto columns = static_cast<size_t>(t.size(-1));
  Rows rows;
  for (size_t i = 0; i < values.size(); i += columns)
    rows.emplace_back(values.begin() + static_cast<int64_t>(i),
                      values.begin() + static_cast<int64_t>(i + columns));
  return rows;
}

// A decoder's parameters as numbers.
struct Weights {
  std::map<std::string, Rows> all;
  explicit Weights(Decoder& decoder) {
    for (const auto& [name, value] : decoder.state_dict()) all[name] = rows_of(value);
  }
  // W x + b of "NAME.weight" and "NAME.bias".
  Row linear(const std::string& name, const Row& x) const {
    return affine(all.at(name + ".weight"), all.at(name + ".bias")[0], x);
  }
  static Row affine(const Rows& weight, const Row& bias, const Row& x) {
    Row y = bias;
    for (size_t i = 0; i < y.size(); ++i)
      for (size_t j = 0; j < x.size(); ++j) y[i] += weight[i][j] * x[j];
    return y;
  }
  // One layer's step: h and c are changed.
  void lstm(int layer, const Row& x, Row& h, Row& c) const {
    const std::string l = "_l" + std::to_string(layer);
    const Row a = affine(all.at("lstm.weight_ih" + l), all.at("lstm.bias_ih" + l)[0], x),
              b = affine(all.at("lstm.weight_hh" + l), all.at("lstm.bias_hh" + l)[0], h);
    const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
    const size_t n = h.size();
    for (size_t i = 0; i < n; ++i) {
      const auto gate = [&](size_t k) { return a[k * n + i] + b[k * n + i]; };
      c[i] = sigmoid(gate(1)) * c[i] + sigmoid(gate(0)) * std::tanh(gate(2));
      h[i] = sigmoid(gate(3)) * std::tanh(c[i]);
    }
  }
};

// Factors 0 and 1 / (1 - p) for n rows, the next ones of the generator.
Rows mask(int64_t n, int64_t columns, double p, tensor::Generator& generator) {
  return rows_of(
      autograd::dropout(Variable(Tensor::full({n, columns}, 1, DType::f64)), p, true, generator).data());
}

Row times(Row a, const Row& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] *= b[i];
  return a;
}

Row relu(Row a) {
  for (double& v : a) v = std::max(v, 0.0);
  return a;
}

double cross_entropy(const Row& logits, int64_t target) {
  double sum = 0;
  for (const double v : logits) sum += std::exp(v);
  return std::log(sum) - logits[static_cast<size_t>(target)];
}

int64_t rows_longer_than(const CaptionBatch& batch, int64_t t) {
  int64_t n = 0;
  for (const int64_t length : batch.lengths) n += length > t;
  return n;
}

// The plain decoder's loss in training mode with the captions' words fed.
double plain_by_hand(Decoder& decoder, const CaptionBatch& batch) {
  const DecoderConfig& c = decoder.config();
  const Weights w(decoder);
  const Rows features = rows_of(batch.features.data());  // image by image, place by place
  const auto places = static_cast<size_t>(batch.features.size(1)), images = features.size() / places;
  tensor::Generator generator(kSeed);
  Rows mean(images, Row(static_cast<size_t>(c.features), 0.0)), inputs;
  for (size_t i = 0; i < features.size(); ++i)
    for (size_t j = 0; j < features[i].size(); ++j)
      mean[i / places][j] += features[i][j] / static_cast<double>(places);
  if (c.tanh_image) {
    for (const Row& m : mean) {
      Row x = w.linear("image", m);
      for (double& v : x) v = std::tanh(v);
      inputs.push_back(x);
    }
  } else {
    const Rows keep = mask(static_cast<int64_t>(images), c.embedding, 0.5, generator);
    for (size_t i = 0; i < images; ++i)
      inputs.push_back(w.linear("projection",
                                relu(w.linear("head.3", times(relu(w.linear("head.0", mean[i])), keep[i])))));
  }
  const std::vector<int64_t> image = batch.image.to_vector<int64_t>();
  const Rows words = rows_of(batch.words.to(DType::f64));
  const Row zeros(static_cast<size_t>(c.hidden), 0.0);
  std::vector<Rows> h(batch.lengths.size(), Rows(static_cast<size_t>(c.layers), zeros)), cell = h;
  Rows outputs;  // of the steps with a target
  std::vector<int64_t> targets;
  for (int64_t t = 0; rows_longer_than(batch, t) > 0; ++t) {
    const int64_t n = rows_longer_than(batch, t);
    const auto dropped = [&](double p, int64_t columns) {
      return p == 0 ? Rows(static_cast<size_t>(n), Row(static_cast<size_t>(columns), 1.0))
                    : mask(n, columns, p, generator);
    };
    Rows x;
    if (t == 0) {
      for (const int64_t i : image) x.push_back(inputs[static_cast<size_t>(i)]);
    } else {
      const Rows keep = dropped(c.embedding_dropout, c.embedding);
      for (size_t r = 0; r < static_cast<size_t>(n); ++r) {
        const auto word = static_cast<size_t>(words[r][static_cast<size_t>(t - 1)]);
        x.push_back(times(w.all.at("embedding.weight")[word], keep[r]));
      }
    }
    for (int l = 0; l < c.layers; ++l) {
      const Rows keep =
          l == 0 ? Rows() : dropped(c.layer_dropout, c.hidden);  // between layers, not before the first
      for (size_t r = 0; r < static_cast<size_t>(n); ++r) {
        const auto layer = static_cast<size_t>(l);
        if (l > 0) x[r] = times(x[r], keep[r]);
        w.lstm(l, x[r], h[r][layer], cell[r][layer]);
        x[r] = h[r][layer];
      }
    }
    if (t == 0) continue;  // <sos> is given, not learnt
    for (size_t r = 0; r < static_cast<size_t>(n); ++r) {
      outputs.push_back(x[r]);
      targets.push_back(static_cast<int64_t>(words[r][static_cast<size_t>(t)]));
    }
  }
  const auto total = static_cast<int64_t>(outputs.size());
  if (c.output_dropout > 0) {
    const Rows keep = mask(total, c.hidden, c.output_dropout, generator);
    for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = times(outputs[i], keep[i]);
  }
  double sum = 0;
  for (size_t i = 0; i < outputs.size(); ++i) sum += cross_entropy(w.linear("fc", outputs[i]), targets[i]);
  return sum / static_cast<double>(total);
}

double loss_of(Decoder& decoder, const CaptionBatch& batch, bool composed, LossOptions options = {}) {
  tensor::Generator generator(kSeed);
  options.teacher_forcing = 1;
  options.generator = &generator;
  options.composed = composed;
  return decoder.loss(batch, options).loss.item();
}

}  // namespace

TEST_CASE("the plain decoder drops out what its settings say: head, embeddings, layers, output") {
  struct Case {
    std::string name;
    bool tanh_image;
    double embedding, layers, output;
  };
  for (const Case& c : {Case{"head", false, 0, 0, 0}, Case{"nothing", true, 0, 0, 0},
                        Case{"embeddings", true, 0.3, 0, 0}, Case{"layers", true, 0, 0.4, 0},
                        Case{"output", true, 0, 0, 0.6}, Case{"all", false, 0.3, 0.4, 0.6}}) {
    CAPTURE(c.name);
    DecoderConfig config = config_of(DecoderKind::plain);
    config.tanh_image = c.tanh_image;
    config.embedding_dropout = c.embedding;
    config.layer_dropout = c.layers;
    config.output_dropout = c.output;
    const auto decoder = decoder_of(config);
    const CaptionBatch batch = batch_of();
    decoder->train();
    const double expected = plain_by_hand(*decoder, batch);
    for (const bool composed : {false, true})
      CHECK(loss_of(*decoder, batch, composed) == doctest::Approx(expected).epsilon(1e-10));
    decoder->eval();
    const double whole = loss_of(*decoder, batch, false);
    if (c.name == "nothing")
      CHECK(whole == doctest::Approx(expected).epsilon(1e-10));
    else
      CHECK(std::fabs(whole - expected) > 3e-3);
  }
}

TEST_CASE("the attention decoder drops out what its setting says of its output") {
  for (const bool gate : {false, true}) {
    DecoderConfig config = config_of(DecoderKind::attention);
    config.output_dropout = 0.6;
    config.gate = config.initial_state = gate;
    const auto decoder = decoder_of(config);
    const CaptionBatch batch = batch_of();
    // The states of each step, without dropout, by stepping.
    decoder->eval();
    const Weights w(*decoder);
    DecodingState state = Decoder::select(decoder->start(batch.features.data()), batch.image);
    Rows outputs;
    std::vector<int64_t> targets;
    for (int64_t t = 0; t + 1 < batch.words.size(1); ++t) {
      decoder->step(state, batch.words.select(1, t).contiguous());
      const Rows top = rows_of(state.h.back());
      const std::vector<int64_t> next = batch.words.select(1, t + 1).contiguous().to_vector<int64_t>();
      for (size_t r = 0; r < static_cast<size_t>(rows_longer_than(batch, t + 1)); ++r)
        outputs.push_back(top[r]), targets.push_back(next[r]);
    }
    const auto loss = [&](bool train) {
      tensor::Generator generator(kSeed);
      const Rows keep = mask(static_cast<int64_t>(outputs.size()), config.hidden, 0.6, generator);
      double sum = 0;
      for (size_t i = 0; i < outputs.size(); ++i)
        sum += cross_entropy(w.linear("fc", train ? times(outputs[i], keep[i]) : outputs[i]), targets[i]);
      return sum / static_cast<double>(outputs.size());
    };
    CHECK(std::fabs(loss(true) - loss(false)) > 1e-2);
    for (const bool composed : {false, true}) {
      decoder->eval();
      CHECK(loss_of(*decoder, batch, composed) == doctest::Approx(loss(false)).epsilon(1e-10));
      decoder->train();
      CHECK(loss_of(*decoder, batch, composed) == doctest::Approx(loss(true)).epsilon(1e-10));
    }
  }
}

TEST_CASE("teacher forcing is the share of steps that are fed the caption's word") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    CAPTURE(to_string(kind));
    const auto decoder = decoder_of(config_of(kind));
    decoder->eval();
    const CaptionBatch batch = batch_of();
    // The loss of each way that the coins may fall. The first word comes after step 0, of the plain decoder's
    // steps, which begin with the image, after step 1; four steps have a coin.
    const size_t first = kind == DecoderKind::attention ? 0 : 1;
    std::map<double, int> teachers;  // loss -> steps fed by the teacher
    for (unsigned pattern = 0; pattern < 16; ++pattern) {
      LossOptions options;
      options.coins.assign(first + 4, true);
      int fed = 0;
      for (unsigned k = 0; k < 4; ++k) {
        const bool coin = (pattern >> k & 1u) != 0;
        options.coins[first + k] = coin;
        fed += coin;
      }
      const double loss = loss_of(*decoder, batch, false, options);
      REQUIRE(!teachers.contains(loss));  // else they could not be told apart
      teachers[loss] = fed;
    }
    for (const double ratio : {0.0, 0.25, 0.9, 1.0}) {
      CAPTURE(ratio);
      tensor::Generator generator(kSeed);
      int fed = 0;
      constexpr int kDraws = 400;
      for (int i = 0; i < kDraws; ++i) {
        LossOptions options;
        options.teacher_forcing = ratio;
        options.generator = &generator;
        const auto found = teachers.find(decoder->loss(batch, options).loss.item());
        REQUIRE(found != teachers.end());  // one coin a step for the whole batch
        fed += found->second;
      }
      // 1,600 coins: four standard deviations are at most 0.043.
      CHECK(std::fabs(fed / (4.0 * kDraws) - ratio) <= 4 * std::sqrt(ratio * (1 - ratio) / (4 * kDraws)));
    }
  }
}
