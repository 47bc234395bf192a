#include "imgcap/metrics/scores.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "imgcap/metrics/arguments.h"
#include "imgcap/metrics/cider.h"
#include "imgcap/metrics/rouge.h"
#include "imgcap/metrics/scored_words.h"
#include "imgcap/settings/names.h"
#include "tensor/error.h"
#include "tensor/io/json.h"
#include "tensor/thread_pool.h"

namespace imgcap {
namespace {

using tensor::check;
using tensor::ErrorKind;

// Of the keys of `have`, those that `want` lacks.
template <class Have, class Want>
std::vector<std::string> missing_from(const Have& have, const Want& want) {
  std::vector<std::string> missing;
  for (const auto& [image, captions] : have)
    if (!want.contains(image)) missing.push_back(image);
  return missing;
}

std::optional<std::set<std::string>> set_of(const std::vector<std::string>* images) {
  if (images == nullptr) return std::nullopt;
  return std::set<std::string>(images->begin(), images->end());
}

std::string references_text(const Scores& scores) {
  if (scores.references_min != scores.references_max)
    return tensor::format("{} to {} references each", scores.references_min, scores.references_max);
  return tensor::format("{} {} each", scores.references_max,
                        scores.references_max == 1 ? "reference" : "references");
}

}  // namespace

Candidates candidates_of(const std::vector<Caption>& captions, const std::vector<std::string>* images) {
  const auto wanted = set_of(images);
  Candidates result;
  std::vector<std::string> twice;
  for (const Caption& caption : captions) {
    if (wanted && !wanted->contains(caption.image)) continue;
    if (!result.emplace(caption.image, caption.text).second) twice.push_back(caption.image);
  }
  check(twice.empty(), ErrorKind::data,
        "score: {} captions belong to images that already have a candidate, first {}; give one caption an "
        "image",
        twice.size(), twice.empty() ? "" : twice.front());
  return result;
}

References references_of(const std::vector<Caption>& captions, const std::vector<std::string>* images) {
  const auto wanted = set_of(images);
  References result;
  for (const Caption& caption : captions)
    if (!wanted || wanted->contains(caption.image)) result[caption.image].push_back(caption.text);
  return result;
}

namespace {

Scores compute(const Candidates& candidates, const References& references, const ScoreOptions& options,
               std::vector<ImageScore>* each) {
  validate(options);
  const bool torcheval = options.protocol == Protocol::torcheval;
  std::vector<std::string> missing = missing_from(candidates, references);
  for (const auto& [image, captions] : references)
    if (captions.empty() && candidates.contains(image)) missing.push_back(image);
  check(missing.empty(), ErrorKind::data,
        "score: {} of {} images with a candidate have no references, first {}", missing.size(),
        candidates.size(), missing.empty() ? "" : missing.front());
  if (options.every_image) {
    missing = missing_from(references, candidates);
    check(missing.empty(), ErrorKind::data,
          "score: {} of {} images with references have no candidate, first {}", missing.size(),
          references.size(), missing.empty() ? "" : missing.front());
  }
  check(!candidates.empty(), ErrorKind::data, "score: no images with a candidate");

  Scores scores;
  scores.protocol = to_string(options.protocol);
  scores.tokenizer = torcheval ? "as-is" : to_string(options.tokenizer.value_or(ScoreTokenizer::ptb));
  scores.normalisation = options.normalisation;
  scores.split = options.split;
  scores.images = static_cast<int64_t>(candidates.size());

  std::vector<std::pair<const std::string*, const std::vector<std::string>*>> texts;
  for (const auto& [image, caption] : candidates) texts.emplace_back(&caption, &references.at(image));
  std::vector<std::string> hypotheses(texts.size());
  std::vector<std::vector<std::string>> truths(texts.size());
  tensor::parallel_each(std::ssize(texts), kImagesPerTask, [&](int64_t image) {
    const auto i = static_cast<size_t>(image);
    hypotheses[i] = scored_words(*texts[i].first, scores.tokenizer, scores.normalisation);
    for (const std::string& reference : *texts[i].second)
      truths[i].push_back(scored_words(reference, scores.tokenizer, scores.normalisation));
  });
  const auto [fewest, most] =
      std::minmax_element(truths.begin(), truths.end(), [](auto& a, auto& b) { return a.size() < b.size(); });
  scores.references_min = static_cast<int64_t>(fewest->size());
  scores.references_max = static_cast<int64_t>(most->size());
  const ImageScores rouge = rouge_l(hypotheses, truths);
  scores.rouge_l = rouge.mean;
  if (torcheval) {
    scores.bleu = bleu_torcheval(hypotheses, truths, options.undefined_is_zero);
    scores.cider = cider_swapped(hypotheses, truths).mean;
    return scores;
  }
  const BleuResult bleus = bleu(hypotheses, truths);
  const ImageScores ciders = cider(hypotheses, truths);
  scores.bleu = bleus.corpus;
  scores.cider = ciders.mean;
  if (each == nullptr) return scores;
  for (const auto& [image, caption] : candidates) {
    const size_t i = each->size();
    each->push_back(
        {image, caption, bleus.images[i], rouge.images[i], ciders.images[i], bleus.image_counts[i]});
  }
  return scores;
}

template <class S>
ScoreValues values_of(const S& scores) {
  ScoreValues values{};
  std::copy(scores.bleu.begin(), scores.bleu.end(), values.begin());
  values[kMaxOrder] = scores.rouge_l;
  values[kMaxOrder + 1] = scores.cider;
  return values;
}

template <class S>
void add_metrics(tensor::io::Json& json, const S& scores) {
  const ScoreValues values = values_of(scores);
  for (size_t k = 0; k < kScores; ++k) json[kScoreNames[k]] = values[k];
}

// "Treebank words (PTBTokenizer)", "unicode words (normalised: alef, ya)"
std::string words_text(const Scores& scores) {
  const char* words = scores.tokenizer == "ptb"              ? "Treebank words (PTBTokenizer)"
                      : scores.tokenizer == "none"           ? "lower-cased words split at white space"
                      : scores.tokenizer == "unicode"        ? "unicode words"
                      : scores.tokenizer == Scores::kSeveral ? "each set's own words"
                                                             : "words as they are, split at white space";
  const std::string what = scores.several_normalisations ? Scores::kSeveral : describe(scores.normalisation);
  const bool said = what.empty() || (scores.several_normalisations && scores.tokenizer == Scores::kSeveral);
  return said ? words : tensor::format("{} (normalised: {})", words, what);
}

}  // namespace

void validate(const ScoreOptions& options) {
  if (options.protocol != Protocol::torcheval) return;
  check(
      options.tokenizer.value_or(ScoreTokenizer::none) == ScoreTokenizer::none &&
          !options.normalisation.any(),
      ErrorKind::argument,
      "score: the {} protocol splits the text as it is at white space; use the standard one for other words",
      to_string(options.protocol));
}

ScoreOptions with_words_of(const TextRules& rules, ScoreOptions options) {
  if (rules.tokenizer == Tokenizer::spacy) return options;
  options.tokenizer = ScoreTokenizer::unicode;
  options.normalisation = rules;
  return options;
}

Scores score_captions(const Candidates& candidates, const References& references,
                      const ScoreOptions& options) {
  return compute(candidates, references, options, nullptr);
}

Scores score_captions(const Candidates& candidates, const References& references, const ScoreOptions& options,
                      std::vector<ImageScore>& images) {
  check(
      options.protocol == Protocol::standard, ErrorKind::argument,
      "score: each image's scores, and with them intervals and comparisons, are the standard protocol's; the {} has none",
      to_string(options.protocol));
  images.clear();
  return compute(candidates, references, options, &images);
}

std::string describe(const Scores& scores) {
  return tensor::format("{} {}{}, {}, {}, {} protocol ({})", scores.images,
                        scores.images == 1 ? "image" : "images",
                        scores.split.empty() ? "" : " of " + scores.split, references_text(scores),
                        words_text(scores), scores.protocol,
                        scores.protocol == to_string(Protocol::torcheval)
                            ? "torcheval's BLEU, CIDEr with candidate and reference exchanged"
                            : "pycocoevalcap");
}

Scores mean_of(std::span<const Scores> sets) {
  tensor::check(!sets.empty(), tensor::ErrorKind::argument,
                "scores: there is no data set to take the mean of");
  Scores mean = sets.front();
  std::vector<std::string> splits = {mean.split};
  for (const Scores& s : sets.subspan(1)) {
    tensor::check(s.protocol == mean.protocol, tensor::ErrorKind::argument,
                  "scores: those of the {} protocol and of the {} protocol have no mean", mean.protocol,
                  s.protocol);
    if (s.tokenizer != mean.tokenizer) mean.tokenizer = Scores::kSeveral;
    if (s.several_normalisations || s.normalisation != mean.normalisation) mean.several_normalisations = true;
    mean.images += s.images;
    for (size_t n = 0; n < s.bleu.size(); ++n) mean.bleu[n] += s.bleu[n];
    mean.rouge_l += s.rouge_l;
    mean.cider += s.cider;
    mean.references_min = std::min(mean.references_min, s.references_min);
    mean.references_max = std::max(mean.references_max, s.references_max);
    if (std::find(splits.begin(), splits.end(), s.split) == splits.end()) splits.push_back(s.split);
  }
  if (mean.several_normalisations) mean.normalisation = {};
  const auto count = static_cast<double>(sets.size());
  for (double& bleu : mean.bleu) bleu /= count;
  mean.rouge_l /= count;
  mean.cider /= count;
  mean.split = tensor::join(splits, ", ");
  return mean;
}

std::string score_table(std::span<const ScoreRow> rows) {
  size_t width = 5;  // "Model"
  for (const ScoreRow& row : rows) width = std::max(width, row.model.size());
  const auto number = [](const std::optional<int>& value) {
    return value ? std::to_string(*value) : std::string("-");
  };
  std::string out = tensor::format(
      "{:<{}}  Epoch  Beam Width  BLEU-1  BLEU-2  BLEU-3  BLEU-4   CIDEr  ROUGE-L\n", "Model", width);
  std::vector<std::string> meanings;
  for (const ScoreRow& row : rows) {
    const Scores& s = row.scores;
    out += tensor::format("{:<{}}  {:>5}  {:>10}  {:.4f}  {:.4f}  {:.4f}  {:.4f}  {:>6.4f}  {:>7.4f}\n",
                          row.model, width, number(row.epoch), number(row.beam_width), s.bleu[0], s.bleu[1],
                          s.bleu[2], s.bleu[3], s.cider, s.rouge_l);
    std::string meaning = describe(s);
    if (std::find(meanings.begin(), meanings.end(), meaning) == meanings.end())
      meanings.push_back(std::move(meaning));
  }
  for (const std::string& meaning : meanings) out += meaning + "\n";
  return out;
}

tensor::io::Json to_json(const Scores& scores) {
  tensor::io::Json json;
  json["images"] = scores.images;
  add_metrics(json, scores);
  json["protocol"] = scores.protocol;
  json["tokenizer"] = scores.tokenizer;
  const std::string what = describe(scores.normalisation);
  json["normalisation"] = scores.several_normalisations ? Scores::kSeveral : what.empty() ? "none" : what;
  if (scores.references_min == scores.references_max)
    json["references"] = scores.references_max;
  else
    json["references"] = tensor::io::Json::array({scores.references_min, scores.references_max});
  json["split"] = scores.split;
  return json;
}

tensor::io::Json to_json(const ImageScore& score) {
  tensor::io::Json json = tensor::io::Json::object({{"image", score.image}, {"caption", score.caption}});
  add_metrics(json, score);
  return json;
}

}  // namespace imgcap
