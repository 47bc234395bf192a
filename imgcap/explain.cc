#include "imgcap/explain.h"

#include <algorithm>
#include <cmath>

#include "autograd/engine.h"
#include "imgcap/decoding/follow.h"
#include "tensor/error.h"

namespace imgcap {
namespace {

using autograd::Variable;
using tensor::check;
using tensor::DType;
using tensor::ErrorKind;

constexpr size_t kMostWords = 60;  // the gradients of n words take n (n + 1) / 2 rows of logits
constexpr const char* kLeadingBlank = "  ";

std::string text_of(const TokenChance& chance, const Vocabulary& vocabulary) {
  return vocabulary.decode(std::vector<int32_t>{static_cast<int32_t>(chance.token)});
}

std::vector<WordProbability> words_of(const std::vector<TokenChance>& chances, const Vocabulary& vocabulary) {
  std::vector<WordProbability> words;
  for (const TokenChance& chance : chances)
    words.push_back({text_of(chance, vocabulary), std::exp(chance.log_probability)});
  return words;
}

// The maps of a word's tokens as the word's: attention's mean, gradients' sum, as its log-probability is the sum.
std::vector<float> map_of(const TextWord& word, const std::vector<std::vector<float>>& tokens, bool mean) {
  std::vector<float> map(tokens.front().size(), 0.0f);
  for (size_t i = word.first; i < word.end; ++i)
    std::transform(map.begin(), map.end(), tokens[i].begin(), map.begin(), std::plus<>());
  if (mean)
    for (float& each : map) each /= static_cast<float>(word.end - word.first);
  return map;
}

}  // namespace

std::vector<std::vector<float>> gradient_maps(Decoder& decoder, const Tensor& features,
                                              const std::vector<int64_t>& words, int64_t start) {
  check(features.rank() == 3 && features.size(0) == 1 && features.dtype() == DType::f32, ErrorKind::shape,
        "gradient_maps: features {}; (1, places, channels) f32 are needed", tensor::describe(features));
  check(!decoder.training(), ErrorKind::argument, "gradient_maps: the decoder is in training mode");
  const auto n = static_cast<int64_t>(words.size());
  const int64_t places = features.size(1), channels = features.size(2);
  if (n == 0) return {};
  // Caption i has the first i words and features of its own, so one pass gives each caption's gradient; a word's is
  // what its caption's has more than that of the caption before.
  const tensor::Device device = decoder.device();
  Tensor copies = Tensor::empty({n, places, channels}, DType::f32, device);
  std::vector<CaptionRow> rows;
  int64_t tokens = 0;
  for (int64_t i = 0; i < n; ++i) {
    copies.select(0, i).copy_(features.select(0, 0));
    CaptionRow& row = rows.emplace_back();
    row.image = i;
    row.ids.push_back(start);
    row.ids.insert(row.ids.end(), words.begin(), words.begin() + i + 1);
    tokens += i + 1;
  }
  const Variable leaf(copies, true);
  LossOptions options;
  options.teacher_forcing = 1;
  const CaptionLoss loss = decoder.loss(pack(leaf, rows), options);
  check(loss.tokens == tokens, ErrorKind::internal, "gradient_maps: {} targets for {} words", loss.tokens,
        tokens);
  const Tensor gradient =
                   autograd::grad({loss.loss}, {leaf}).front().data().contiguous().to(tensor::Device::cpu()),
               values = copies.to(tensor::Device::cpu());
  const float *g = gradient.data<float>(), *f = values.data<float>();
  const auto scale = -static_cast<double>(tokens);  // the loss is minus the mean
  std::vector<std::vector<float>> maps;
  std::vector<double> before(static_cast<size_t>(places), 0.0);
  for (int64_t i = 0; i < n; ++i) {
    std::vector<float>& map = maps.emplace_back();
    for (int64_t p = 0; p < places; ++p) {
      double product = 0;
      const int64_t at = (i * places + p) * channels;
      for (int64_t d = 0; d < channels; ++d)
        product += static_cast<double>(g[at + d]) * static_cast<double>(f[at + d]);
      product *= scale;
      map.push_back(static_cast<float>(product - before[static_cast<size_t>(p)]));
      before[static_cast<size_t>(p)] = product;
    }
  }
  return maps;
}

Explainer::Explainer(std::shared_ptr<const Captioner> captioner, std::unique_ptr<Decoder> parameters)
    : captioner_(std::move(captioner)), parameters_(std::move(parameters)) {
  if (!parameters_) return;
  parameters_->eval();
  parameters_->freeze();  // the features' gradients alone are wanted
}

Explanation Explainer::explain(const Image& photo, const std::string& text, const std::string& language,
                               int64_t others) const {
  const Captioner& captioner = *captioner_;
  const Vocabulary& vocabulary = captioner.vocabulary();
  const Language& spoken = vocabulary.language(language.empty() ? captioner.default_language() : language);
  std::vector<int64_t> words =
      tensor::about_file("explain", [&] { return prefix_tokens(text, vocabulary, spoken.code); });
  check(words.size() <= kMostWords, ErrorKind::argument, "explain: the text has {} words; {} are the most",
        words.size(), kMostWords);
  const Tensor features = encode_images(captioner.encoder(), {&photo});
  FollowedCaption followed = follow(captioner.decoder(), features, words, spoken.range, others);
  // Captions of some vocabularies begin with a blank: with it or without, as the model finds likelier.
  if (vocabulary.contains(kLeadingBlank, spoken.code) && !words.empty()) {
    std::vector<int64_t> led = words;
    led.insert(led.begin(), vocabulary.id(kLeadingBlank, spoken.code));
    FollowedCaption other = follow(captioner.decoder(), features, led, spoken.range, others);
    if (other.caption.log_probability > followed.caption.log_probability) {
      followed = std::move(other);
      words = std::move(led);
    }
  }

  Explanation explanation;
  explanation.language = spoken.code;
  explanation.text = imgcap::text_of(followed.caption, vocabulary);
  explanation.log_probability = followed.caption.log_probability;
  explanation.next = words_of(followed.chances.back(), vocabulary);
  const std::vector<TextWord> parts = text_words(words, vocabulary);
  const std::vector<WordProbability> probabilities = word_probabilities(followed.caption, vocabulary);
  for (size_t i = 0; i < parts.size(); ++i)
    explanation.words.push_back({parts[i].text, probabilities[i].probability,
                                 words_of(followed.chances[parts[i].first], vocabulary)});
  std::vector<std::vector<float>> maps = followed.caption.attention;
  if (!maps.empty()) {
    explanation.kind = MapKind::attention;
  } else if (parameters_) {
    maps = gradient_maps(*parameters_, features, words, spoken.range.start);
    explanation.kind = MapKind::gradient;
  }
  if (explanation.kind == MapKind::none || maps.empty()) return explanation;
  const Preprocessing& size = captioner.encoder().preprocessing;
  const Encoder::Grid grid = Encoder::grid(size.height, size.width);
  explanation.maps.rows = grid.rows;
  explanation.maps.columns = grid.columns;
  for (const TextWord& word : parts) {
    explanation.maps.words.push_back(word.text);
    explanation.maps.maps.push_back(map_of(word, maps, explanation.kind == MapKind::attention));
  }
  return explanation;
}

}  // namespace imgcap
