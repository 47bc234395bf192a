#include "imgcap/training/evaluate.h"

#include <algorithm>
#include <numeric>

#include "autograd/grad_mode.h"
#include "imgcap/decoding/reference_form.h"

namespace imgcap {
namespace {

// Numbers of `count` photos in groups of `size`.
std::vector<std::vector<int64_t>> groups(size_t count, int64_t size) {
  std::vector<std::vector<int64_t>> all;
  for (size_t begin = 0; begin < count; begin += static_cast<size_t>(size)) {
    std::vector<int64_t> group(std::min(count - begin, static_cast<size_t>(size)));
    std::iota(group.begin(), group.end(), static_cast<int64_t>(begin));
    all.push_back(std::move(group));
  }
  return all;
}

}  // namespace

std::map<std::string, Hypothesis> search_photos(Decoder& decoder, const Dataset& data,
                                                const FeatureCache& features, const SearchOptions& options,
                                                const CaptionRules& rules) {
  BeamOptions beam;
  beam.beam = options.beam;
  beam.max_words = options.max_words;
  beam.length_exponent = options.length_exponent;
  beam.rules = rules;
  beam.kind = options.kind;
  beam.range = data.language.range;
  std::map<std::string, Hypothesis> captions;
  for (const std::vector<int64_t>& group : groups(data.photos.size(), options.batch_photos)) {
    std::vector<int64_t> rows;
    for (const int64_t p : group) rows.push_back(data.photos[static_cast<size_t>(p)].row);
    auto found = find_captions(decoder, features.rows(rows, decoder.device()),
                               std::vector<SearchRequest>(group.size(), {.search = beam}));
    for (size_t i = 0; i < group.size(); ++i)
      captions[data.photos[static_cast<size_t>(group[i])].name] = std::move(found[i].front());
  }
  return captions;
}

std::map<std::string, std::string> caption_photos(Decoder& decoder, const Dataset& data,
                                                  const FeatureCache& features, const Vocabulary& vocabulary,
                                                  const SearchOptions& options, const CaptionRules& rules) {
  std::map<std::string, std::string> captions;
  for (const auto& [name, found] : search_photos(decoder, data, features, options, rules))
    captions[name] = text_of(found, vocabulary, form_of(options.kind));
  return captions;
}

References scored_references(const Dataset& data, const Vocabulary& vocabulary, TextForm form) {
  References references = data.references();
  for (auto& [name, texts] : references)
    for (std::string& text : texts) text = in_form(text, vocabulary, form);
  return references;
}

Evaluation evaluate(Decoder& decoder, const Dataset& data, const FeatureCache& features,
                    const Vocabulary& vocabulary, const SearchOptions& search, const ScoreOptions& options,
                    const CaptionRules& rules) {
  Evaluation result;
  const auto found = search_photos(decoder, data, features, search, rules);
  for (const auto& [name, caption] : found)
    result.captions[name] = text_of(caption, vocabulary, form_of(search.kind));
  const References references = scored_references(data, vocabulary, form_of(search.kind));
  if (options.protocol != Protocol::standard) {
    result.scores = score_captions(result.captions, references, options);
    return result;
  }
  std::vector<ImageScore> images;
  result.scores = score_captions(result.captions, references, options, images);
  for (const ImageScore& image : images)
    result.judged.push_back({image.image, confidence_features(found.at(image.image)), image.cider});
  return result;
}

double mean_loss(Decoder& decoder, const Dataset& data, const FeatureCache& features, double teacher_forcing,
                 bool count_start, uint64_t seed) {
  const autograd::NoGrad no_grad;
  constexpr int64_t kBatchPhotos = 16;
  LossOptions options;
  tensor::Generator coins(seed);
  options.teacher_forcing = teacher_forcing;
  options.generator = &coins;
  options.count_start = count_start;
  double sum = 0;
  int64_t tokens = 0;
  for (const std::vector<int64_t>& group : groups(data.photos.size(), kBatchPhotos)) {
    CaptionBatch batch = make_batch(data, group, features, decoder.device());
    batch.weights.clear(), batch.factors = Tensor();  // they are training's
    const CaptionLoss part = decoder.loss(batch, options);
    sum += part.loss.item() * static_cast<double>(part.tokens);
    tokens += part.tokens;
  }
  return sum / static_cast<double>(tokens);
}

}  // namespace imgcap
