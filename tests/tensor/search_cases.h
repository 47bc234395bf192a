// Made steps of searches that stay on a device, for the tests of their kernels on any.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tensor/kernel_options.h"
#include "tensor/random.h"
#include "tensor/tensor.h"

namespace tests {

// A beam search over made lists of likely tokens.
class BeamRun {
 public:
  static constexpr int64_t kEnd = 3;

  BeamRun(int64_t images, int64_t beam, int64_t k, tensor::Device device = {}, uint64_t seed = 1)
      : images_(images), beam_(beam), k_(k), device_(device), random_(seed) {
    using tensor::BeamCount;
    scores_ = zeros({images, beam}, tensor::DType::f64);
    ended = zeros({images, 2, beam, tensor::BeamEnd::count}, tensor::DType::f64);
    counts = zeros({images, BeamCount::count}, tensor::DType::i64);
    if (images > 0) counts.slice(1, BeamCount::open, BeamCount::open + 1).fill_(1);
    state = zeros({images}, tensor::DType::u8);
  }

  // The next step after so many tokens; what it writes becomes the state. Lists fall, with equals and impossible ones; with
  // `nan` those of the last image are no numbers, which goes on for that: it has no end in its lists.
  tensor::BeamStep step(int64_t tokens, bool last = false, bool nan = false) {
    const int64_t n = images_ * (tokens == 1 ? 1 : beam_);
    std::vector<float> values;
    std::vector<int64_t> likely;
    for (int64_t row = 0; row < n; ++row) {
      float value = -0.25f * static_cast<float>(random_.below(4));
      const auto first = static_cast<int64_t>(random_.below(5));
      for (int64_t i = 0; i < k_; ++i) {
        const bool of_last = row >= n - n / std::max<int64_t>(images_, 1);
        values.push_back(nan && of_last ? NAN : value);
        const int64_t token = (first + i) % (k_ + 2);
        likely.push_back(of_last && token == kEnd ? k_ + 2 : token);
        value -= 0.25f * static_cast<float>(random_.below(3));
        if (random_.below(12) == 0 && !of_last) value = -INFINITY;
      }
    }
    tensor::BeamStep step{.rows = there({images_ * beam_}, tensor::DType::i64),
                          .words = there({images_ * beam_}, tensor::DType::i64),
                          .next_scores = there({images_, beam_}, tensor::DType::f64),
                          .tree = there({3, images_, beam_}, tensor::DType::f64),
                          .ended = ended,
                          .counts = counts,
                          .state = state,
                          .values = tensor::Tensor::from(values, {n, k_}).to(device_),
                          .tokens = tensor::Tensor::from(likely, {n, k_}).to(device_),
                          .scores = scores_,
                          .nbest = (beam_ + 1) / 2,
                          .end_token = kEnd,
                          .forbidden = {{1, 2, -1}},
                          .step = tokens,
                          .last = last,
                          .divisor = static_cast<double>(tokens),
                          .divisor_before = static_cast<double>(std::max<int64_t>(tokens - 1, 1)),
                          .divisor_at_last = 9};
    scores_ = step.next_scores;
    return step;
  }

  tensor::Tensor ended, counts, state;

 private:
  tensor::Tensor there(const tensor::Shape& shape, tensor::DType type) const {
    return tensor::Tensor::empty(shape, type, device_);
  }
  tensor::Tensor zeros(const tensor::Shape& shape, tensor::DType type) const {
    return tensor::Tensor::zeros(shape, type, device_);
  }

  int64_t images_, beam_, k_;
  tensor::Device device_;
  tensor::Generator random_;
  tensor::Tensor scores_;
};

// Captions that are drawn, all open and of one stream.
class SampleRun {
 public:
  explicit SampleRun(int64_t n, tensor::Device device = {}) : n_(n), device_(device) {
    tokens = tensor::Tensor::full({n}, 9, tensor::DType::i64, device);
    state = tensor::Tensor::zeros({n}, tensor::DType::u8, device);
    stream = tensor::Tensor::zeros({n}, tensor::DType::i64, device);
    places = tensor::Tensor::zeros({n, 2}, tensor::DType::i64, device);
  }

  tensor::SampleStep step(int64_t end_token, bool last = false) const {
    const auto there = [&](const tensor::Shape& shape, tensor::DType type) {
      return tensor::Tensor::empty(shape, type, device_);
    };
    return {.words = there({n_}, tensor::DType::i64),
            .uniforms = there({n_}, tensor::DType::f64),
            .next_state = there({n_}, tensor::DType::u8),
            .next_places = there({n_, 2}, tensor::DType::i64),
            .tree = there({2, n_}, tensor::DType::f64),
            .tokens = tokens,
            .chosen = tensor::Tensor::full({n_}, -0.5, tensor::DType::f64, device_),
            .state = state,
            .places = places,
            .stream = stream,
            .end_token = end_token,
            .last = last};
  }

  tensor::Tensor tokens, state, stream, places;

 private:
  int64_t n_;
  tensor::Device device_;
};

}  // namespace tests
