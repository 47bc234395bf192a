// Decoders whose next word is a fixed function of the image and the last two words, so that tests can
// enumerate what a search should find.
#pragma once

#include <cmath>
#include <functional>
#include <vector>

#include "imgcap/data/vocabulary.h"
#include "imgcap/decoding/hypothesis.h"
#include "imgcap/models/decoder.h"
#include "nn/linear.h"

namespace tests {

using namespace imgcap;

// Logits of the word after (image, the word before the last, the last word).
using Table = std::function<std::vector<double>(int64_t, int64_t, int64_t)>;

inline std::vector<double> log_probabilities(std::vector<double> logits) {
  double top = -INFINITY, sum = 0;
  for (const double x : logits) top = std::max(top, x);
  for (const double x : logits) sum += std::exp(x - top);
  for (double& x : logits) x -= top + std::log(sum);
  return logits;
}

// Features (m, 1, 1) carry the image's number. The last word but one is kept in the state, so a search that
// does not carry states along with beams goes wrong. Attention: two places, the last word and the image.
class ToyDecoder : public Decoder {
 public:
  ToyDecoder(int64_t vocabulary, Table table, DecoderKind kind = DecoderKind::attention)
      : Decoder(config_of(vocabulary, kind)), table_(std::move(table)) {
    if (kind == DecoderKind::plain) {
      // The plain model's output layer, by which the original finds the first token: likeliest <sos>.
      std::vector<double> weight(static_cast<size_t>(vocabulary * 2), 0.0), bias;
      for (int64_t i = 0; i < vocabulary; ++i) bias.push_back(0.1 * static_cast<double>(i % 5));
      bias[kSos] = 3;
      weight[2 * 4] = 0.7;  // word 4 is the likelier, the higher the image's number
      add<nn::Linear>("fc", 2, vocabulary);
      to(tensor::DType::f64);
      parameter(kOutputWeight).mutable_data().copy_(Tensor::from(weight, {vocabulary, 2}));
      parameter(kOutputBias).mutable_data().copy_(Tensor::from(bias, {vocabulary}));
    }
    eval();
  }

  CaptionLoss loss(const CaptionBatch&, const LossOptions&) override { return {}; }

  DecodingState start(const Tensor& features) override {
    const int64_t m = features.size(0);
    const std::vector<double> image = features.to(tensor::DType::f64).to_vector<double>();
    DecodingState state;
    std::vector<double> h;
    for (const double number : image) h.push_back(number), h.push_back(0);
    state.h = {Tensor::from(h, {m, 2})};
    state.c = {Tensor::zeros({m, 1}, tensor::DType::f64)};
    state.image = Tensor::arange(m);
    return state;
  }

  Tensor step(DecodingState& state, const Tensor& words) override {
    ++steps;
    const int64_t n = words.numel();
    rows += n;
    const std::vector<int64_t> word = words.to_vector<int64_t>();
    std::vector<double> h = state.h[0].to_vector<double>(), logits;
    std::vector<float> alpha;
    for (size_t i = 0; i < word.size(); ++i) {
      const std::vector<double> row =
          table_(static_cast<int64_t>(h[2 * i]), static_cast<int64_t>(h[2 * i + 1]), word[i]);
      logits.insert(logits.end(), row.begin(), row.end());
      alpha.push_back(static_cast<float>(word[i]));
      alpha.push_back(static_cast<float>(h[2 * i]));
      h[2 * i + 1] = static_cast<double>(word[i]);
    }
    state.h[0] = Tensor::from(h, {n, 2});
    state.alpha = Tensor::from(alpha, {n, 2});
    return Tensor::from(logits, {n, config().vocabulary});
  }

  int64_t steps = 0, rows = 0;  // that were asked for

 private:
  static DecoderConfig config_of(int64_t vocabulary, DecoderKind kind) {
    DecoderConfig config;
    config.kind = kind;
    config.vocabulary = vocabulary;
    config.features = 1;
    config.embedding = config.hidden = config.attention = 2;
    config.layers = 1;
    return config;
  }

  Table table_;
};

// Random logits for every token; `spread` is their range.
inline Table dense_table(int64_t vocabulary, uint64_t seed, double spread = 4, double eos = 0) {
  return [=](int64_t image, int64_t before, int64_t last) {
    std::vector<double> logits;
    const auto context = static_cast<uint64_t>((image * 1000 + before) * 1000 + last);
    for (int64_t i = 0; i < vocabulary; ++i)
      logits.push_back(spread *
                       tensor::uniform_float(tensor::philox(seed, context, static_cast<uint64_t>(i))[0]));
    logits[kEos] += eos;
    return logits;
  };
}

// The same with only `branches` words that can follow, and the special tokens.
inline Table sparse_table(int64_t vocabulary, uint64_t seed, int64_t branches) {
  const Table dense = dense_table(vocabulary, seed);
  return [=](int64_t image, int64_t before, int64_t last) {
    std::vector<double> logits = dense(image, before, last);
    const int64_t words = vocabulary - kSpecialTokens, first = (image * 31 + before * 17 + last * 5) % words;
    for (int64_t i = 0; i < words; ++i)
      if ((i - first + words) % words >= branches)
        logits[static_cast<size_t>(kSpecialTokens + i)] = -INFINITY;
    return logits;
  };
}

inline Tensor images(const std::vector<double>& numbers) {
  return Tensor::from(numbers, {static_cast<int64_t>(numbers.size()), 1, 1});
}

}  // namespace tests
