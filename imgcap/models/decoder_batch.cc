#include "imgcap/models/decoder_batch.h"

#include <algorithm>
#include <numeric>

#include "autograd/node.h"
#include "autograd/ops.h"
#include "imgcap/data/vocabulary.h"
#include "tensor/error.h"
#include "tensor/kernels.h"

namespace imgcap::internal {

using tensor::check;
using tensor::Device;
using tensor::DType;
using tensor::ErrorKind;

void expect_batch(const CaptionBatch& batch, const DecoderConfig& config) {
  check(batch.features.defined() && batch.features.rank() == 3 && batch.features.size(2) == config.features,
        ErrorKind::shape, "decoder: features {} where (images, places, {}) is needed",
        tensor::describe(batch.features.defined() ? batch.features.data() : Tensor()), config.features);
  const auto n = static_cast<int64_t>(batch.lengths.size());
  check(batch.words.defined() && batch.words.rank() == 2 && batch.words.size(0) == n && n > 0,
        ErrorKind::shape, "decoder: words {} for {} captions", tensor::describe(batch.words), n);
  check(batch.image.defined() && batch.image.shape() == Shape{n}, ErrorKind::shape,
        "decoder: image {} for {} captions", tensor::describe(batch.image), n);
  check(batch.greatest_word < config.vocabulary, ErrorKind::index, "decoder: token {} of a vocabulary of {}",
        batch.greatest_word, config.vocabulary);
  for (size_t i = 0; i < batch.images.size(); ++i)
    check(batch.images[i] >= 0 && batch.images[i] < batch.features.size(0), ErrorKind::index,
          "decoder: caption {} of the batch is of image {} of {}", i, batch.images[i],
          batch.features.size(0));
  const int64_t tokens = std::accumulate(batch.lengths.begin(), batch.lengths.end(), int64_t{0});
  for (const Tensor* packed : {&batch.targets, &batch.fed})
    check(!packed->defined() || packed->shape() == Shape{tokens}, ErrorKind::shape,
          "decoder: packed words {} for {} tokens", tensor::describe(*packed), tokens);
  check(!batch.factors.defined() || (batch.factors.shape() == Shape{tokens} &&
                                     batch.factors.dtype() == DType::f64 && !batch.weights.empty()),
        ErrorKind::shape, "decoder: packed weights {} of {} captions' for {} tokens",
        tensor::describe(batch.factors), batch.weights.size(), tokens);
  check(batch.weights.empty() || batch.weights.size() == batch.lengths.size(), ErrorKind::argument,
        "decoder: {} weights for {} captions", batch.weights.size(), batch.lengths.size());
  for (size_t i = 0; i < batch.lengths.size(); ++i)
    check(batch.lengths[i] >= 2 && batch.lengths[i] <= batch.words.size(1) &&
              (i == 0 || batch.lengths[i] <= batch.lengths[i - 1]),
          ErrorKind::argument,
          "decoder: caption {} of the batch has {} tokens; lengths have to fall and to be 2 to {}", i,
          batch.lengths[i], batch.words.size(1));
}

std::vector<int64_t> rows_at_steps(const std::vector<int64_t>& lengths, int64_t shift) {
  std::vector<int64_t> rows;
  for (int64_t t = shift;; ++t) {
    const auto longer =
        std::partition_point(lengths.begin(), lengths.end(), [t](int64_t l) { return l > t; });
    if (longer == lengths.begin()) return rows;
    rows.push_back(longer - lengths.begin());
  }
}

namespace {

// Of a packed tensor that starts with all captions' first word, the part without it.
Tensor from_step(const Tensor& packed, const CaptionBatch& batch, int64_t shift) {
  return packed.slice(0, shift * std::ssize(batch.lengths), packed.numel());
}

Tensor packed_words(const CaptionBatch& batch, const std::vector<int64_t>& rows, int64_t shift) {
  const Tensor& words = batch.words;
  if (batch.targets.defined()) return from_step(batch.targets, batch, shift);
  const int64_t total = std::accumulate(rows.begin(), rows.end(), int64_t{0});
  Tensor targets = Tensor::empty({total}, DType::i64, words.device());
  int64_t start = 0;
  for (size_t t = 0; t < rows.size(); ++t) {
    targets.slice(0, start, start + rows[t])
        .copy_(words.select(1, static_cast<int64_t>(t) + shift).slice(0, 0, rows[t]));
    start += rows[t];
  }
  return targets;
}

Tensor packed_factors(const CaptionBatch& batch, const std::vector<int64_t>& rows, int64_t shift) {
  if (batch.factors.defined()) return from_step(batch.factors, batch, shift);
  if (batch.weights.empty()) return {};
  std::vector<double> factors;
  for (const int64_t n : rows)
    factors.insert(factors.end(), batch.weights.begin(), batch.weights.begin() + n);
  return Tensor::from(factors, {std::ssize(factors)}, batch.words.device());
}

}  // namespace

PackedTargets packed_targets(const CaptionBatch& batch, const std::vector<int64_t>& rows, int64_t shift) {
  return {packed_words(batch, rows, shift), packed_factors(batch, rows, shift)};
}

std::vector<bool> draw_coins(const LossOptions& options, size_t steps, size_t always,
                             tensor::Generator& generator) {
  check(options.teacher_forcing >= 0 && options.teacher_forcing <= 1, ErrorKind::argument,
        "teacher forcing: {} is not in [0, 1]", options.teacher_forcing);
  std::vector<bool> teacher(steps, true);
  for (size_t t = always; t < steps; ++t) {
    if (t - 1 < options.coins.size())
      teacher[t] = options.coins[t - 1];
    else if (options.teacher_forcing < 1)
      teacher[t] = generator.uniform() < options.teacher_forcing;
  }
  return teacher;
}

namespace {

// What is added to logits (v) so that only the range's tokens keep a probability.
Tensor shift_of(const WordRange& range, int64_t vocabulary) {
  Tensor shift = Tensor::full({vocabulary}, -1e9, DType::f64);
  shift.slice(0, range.first, std::min(range.end, vocabulary)).fill_(0);
  shift.select(0, kEos).fill_(0);
  return shift;
}

// The same of each packed row (total, v), or (v) where all captions have one range.
Variable decodable_shift(const std::vector<WordRange>& ranges, const std::vector<int64_t>& rows,
                         int64_t vocabulary, DType dtype, const Device& device) {
  std::vector<WordRange> different;
  std::vector<int64_t> of_caption;
  for (const WordRange& range : ranges) {
    const auto found = std::find(different.begin(), different.end(), range);
    of_caption.push_back(found - different.begin());
    if (found == different.end()) different.push_back(range);
  }
  if (different.size() == 1) return Variable(shift_of(different.front(), vocabulary).to(dtype).to(device));
  check(std::ssize(ranges) >= rows.front(), ErrorKind::argument, "decoder: {} ranges for {} captions",
        ranges.size(), rows.front());
  Tensor shifts = Tensor::empty({std::ssize(different), vocabulary}, dtype);
  for (size_t i = 0; i < different.size(); ++i)
    shifts.select(0, static_cast<int64_t>(i)).copy_(shift_of(different[i], vocabulary).to(dtype));
  std::vector<int64_t> packed;
  for (const int64_t n : rows) packed.insert(packed.end(), of_caption.begin(), of_caption.begin() + n);
  return autograd::embedding(Variable(shifts.to(device)), Tensor::from(packed, {std::ssize(packed)}, device));
}

}  // namespace

Variable vocabulary_loss(const Variable& hidden, nn::Linear& fc, const PackedTargets& targets,
                         const std::vector<int64_t>& rows, const DecoderConfig& config, bool train,
                         const LossOptions& options) {
  const Variable dropped = autograd::dropout(hidden, config.output_dropout, train, generator_of(options));
  Variable logits = fc(dropped);
  if (!options.decodable.empty())
    logits =
        logits + decodable_shift(options.decodable, rows, config.vocabulary, hidden.dtype(), hidden.device());
  const auto cross_entropy = [&](autograd::Reduction reduction) {
    return autograd::cross_entropy(logits, targets.words, -100, options.label_smoothing, reduction);
  };
  if (!targets.factors.defined()) return cross_entropy(autograd::Reduction::mean);
  const Variable factors(targets.factors.to(hidden.dtype()));
  return autograd::sum(cross_entropy(autograd::Reduction::none) * factors) *
         (1.0 / static_cast<double>(targets.words.numel()));
}

Tensor advance(nn::LSTM& lstm, DecodingState& state, const Variable& x) {
  nn::LstmStates states;
  for (size_t l = 0; l < state.h.size(); ++l) states.push_back({state.h[l], state.c[l]});
  states = lstm.step(x, states, false);
  for (size_t l = 0; l < state.h.size(); ++l)
    state.h[l] = states[l].h.data(), state.c[l] = states[l].c.data();
  return state.h.back();
}

std::vector<DecoderWeights::Layer> layer_weights(const nn::LSTM& lstm) {
  std::vector<DecoderWeights::Layer> layers;
  for (int64_t l = 0; l < lstm.num_layers(); ++l) {
    const nn::LSTM::Weights& w = lstm.weights(l);
    layers.push_back({w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh});
  }
  return layers;
}

}  // namespace imgcap::internal
