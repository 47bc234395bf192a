#include "imgcap/training/new_words.h"

#include <utility>

#include "tensor/error.h"

namespace imgcap {
namespace {

using tensor::Tensor;

// (v, ...) f32 -> (v + count, ...): the mean of the rows of words is what is added.
Tensor with_rows(const Tensor& weight, int64_t count) {
  const int64_t rows = weight.size(0), width = weight.numel() / rows;
  tensor::Shape shape = weight.shape();
  shape[0] = rows + count;
  Tensor grown = Tensor::empty(shape);
  const Tensor dense = weight.contiguous();
  const float* from = dense.data<float>();
  float* to = std::copy_n(from, rows * width, grown.mutable_data<float>());
  std::vector<double> mean(static_cast<size_t>(width));
  for (int64_t r = kSpecialTokens; r < rows; ++r)
    for (int64_t i = 0; i < width; ++i) mean[static_cast<size_t>(i)] += from[r * width + i];
  for (double& value : mean) value /= static_cast<double>(std::max<int64_t>(rows - kSpecialTokens, 1));
  for (int64_t r = 0; r < count; ++r)
    for (const double value : mean) *to++ = static_cast<float>(value);
  return grown;
}

}  // namespace

std::vector<std::string> add_words(Checkpoint& model, std::span<const std::string> captions,
                                   int64_t min_frequency) {
  const Vocabulary known = model.make_vocabulary();
  const Vocabulary theirs = Vocabulary::build(captions, {0, min_frequency, false});
  std::vector<std::string> added;
  for (size_t i = kSpecialTokens; i < theirs.tokens().size(); ++i)
    if (!known.contains(theirs.tokens()[i])) added.push_back(theirs.tokens()[i]);
  if (added.empty()) return added;
  const auto count = std::ssize(added);
  model.vocabulary.insert(model.vocabulary.end(), added.begin(), added.end());
  model.decoder.vocabulary += count;
  for (const char* name : {Decoder::kEmbedding, Decoder::kOutputWeight, Decoder::kOutputBias}) {
    const auto weight = model.weights.find(name);
    if (weight != model.weights.end()) weight->second = with_rows(weight->second, count);
  }
  return added;
}

}  // namespace imgcap
