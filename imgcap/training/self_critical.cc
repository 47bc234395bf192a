#include "imgcap/training/self_critical.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "imgcap/data/vocabulary.h"
#include "imgcap/decoding/sampling.h"
#include "imgcap/decoding/search_steps.h"
#include "tensor/error.h"
#include "tensor/kernels.h"

namespace imgcap {

namespace {

std::vector<std::vector<std::string>> reference_texts(const Dataset& data) {
  std::vector<std::vector<std::string>> all;
  for (const Dataset::Photo& photo : data.photos) {
    std::vector<std::string>& texts = all.emplace_back();
    for (const std::vector<int32_t>& ids : photo.encoded)
      texts.push_back(tensor::join(std::span(ids).subspan(1), " "));
  }
  return all;
}

}  // namespace

void sharpen(nn::StateDict& weights, const DecoderConfig& config, double temperature) {
  tensor::check(std::isfinite(temperature) && temperature > 0, tensor::ErrorKind::argument,
                "train: the temperature {} has to be over 0", temperature);
  if (temperature == 1) return;
  tensor::check(!config.tie_weights, tensor::ErrorKind::argument,
                "train: --init-temperature would change the embedding, too: the model's weights are tied");
  for (const char* name : {Decoder::kOutputWeight, Decoder::kOutputBias}) {
    Tensor& weight = weights.at(name);
    const Tensor before = weight.clone();
    weight = Tensor::empty(before.shape(), before.dtype());
    tensor::kernels::affine(weight, before, 1 / temperature, 0);
  }
}

SelfCritical::SelfCritical(const Dataset& training, int64_t samples, int64_t max_words)
    : training_(training), samples_(samples), max_words_(max_words) {
  std::vector<size_t> photos(std::max<size_t>(training.sets.size(), 1));
  for (const Dataset::Photo& photo : training.photos) place_.push_back(photos[photo.set]++);
  for (const Dataset& part : parts_of(training)) scorers_.emplace_back(reference_texts(part));
  tensor::check(samples >= 2, tensor::ErrorKind::argument,
                "self-critical training: {} samples per photo; one needs others to be compared with",
                samples);
}

double SelfCritical::reward(int64_t photo, const std::string& caption) const {
  const auto p = static_cast<size_t>(photo);
  return scorers_[training_.photos.at(p).set].score(place_[p], caption);
}

std::vector<std::vector<Hypothesis>> SelfCritical::draw_captions(Decoder& decoder, const Tensor& features,
                                                                 const std::vector<int64_t>& photos,
                                                                 tensor::Generator& generator) const {
  SamplingOptions options;
  options.samples = samples_;
  options.max_words = max_words_;
  std::vector<std::vector<Hypothesis>> drawn(photos.size());
  std::vector<bool> done(photos.size(), false);
  // A language after the other, as a search has one.
  for (size_t first = 0; first < photos.size(); ++first) {
    if (done[first]) continue;
    options.range = training_.language_of(photos[first]).range;
    std::vector<int64_t> which;
    for (size_t i = first; i < photos.size(); ++i)
      if (training_.language_of(photos[i]).range == options.range) which.push_back(static_cast<int64_t>(i));
    const bool all = which.size() == photos.size();
    auto captions = sample(decoder, all ? features : internal::rows_of(features, which), options, generator);
    for (size_t i = 0; i < which.size(); ++i) {
      drawn[static_cast<size_t>(which[i])] = std::move(captions[i]);
      done[static_cast<size_t>(which[i])] = true;
    }
  }
  return drawn;
}

SampledCaptions SelfCritical::draw(Decoder& decoder, const Variable& features,
                                   const std::vector<int64_t>& photos, tensor::Generator& generator) {
  decoder.eval();
  // An encoder that trains in 16 bits gives features in 16 bits.
  const Tensor exact = features.data().to(decoder.named_parameters().front().second.dtype());
  const auto drawn = draw_captions(decoder, exact, photos, generator);

  std::vector<CaptionRow> rows;
  SampledCaptions result;
  for (size_t i = 0; i < drawn.size(); ++i) {
    std::vector<std::vector<int64_t>> captions;
    std::vector<double> rewards;
    for (const Hypothesis& caption : drawn[i]) {
      std::vector<int64_t>& ids = captions.emplace_back(caption.words);
      if (caption.finished) ids.push_back(kEos);
      rewards.push_back(reward(photos[i], tensor::join(ids, " ")));
    }
    const double sum = std::accumulate(rewards.begin(), rewards.end(), 0.0);
    result.reward += sum;
    for (size_t k = 0; k < rewards.size(); ++k) {
      const double others = (sum - rewards[k]) / static_cast<double>(rewards.size() - 1);
      std::vector<int64_t>& ids = captions[k];
      ids.insert(ids.begin(), training_.language_of(photos[i]).range.start);
      // A caption without a word or an end has nothing to learn from.
      const double weight = training_.weight_of(photos[i]);
      if (ids.size() >= 2)
        rows.push_back({static_cast<int64_t>(i), std::move(ids), (rewards[k] - others) * weight});
    }
  }
  result.reward /= static_cast<double>(drawn.size()) * static_cast<double>(samples_);
  result.batch = pack(features, rows);
  for (const CaptionRow& row : rows)
    result.ranges.push_back(training_.language_of(photos[static_cast<size_t>(row.image)]).range);
  return result;
}

CaptionLoss SelfCritical::loss(Decoder& decoder, const SampledCaptions& sampled,
                               tensor::Generator& generator) {
  LossOptions options;
  options.teacher_forcing = 1;
  options.decodable = sampled.ranges.empty() ? std::vector<WordRange>{{}} : sampled.ranges;
  options.generator = &generator;
  decoder.eval();
  return decoder.loss(sampled.batch, options);
}

}  // namespace imgcap
