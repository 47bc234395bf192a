#include "imgcap/metrics/bleu.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "imgcap/metrics/arguments.h"
#include "tensor/error.h"
#include "tensor/thread_pool.h"

namespace imgcap {
namespace {

using Sentences = std::vector<SentenceNgrams>;

void count_matches(const SentenceNgrams& candidate, const Sentences& references, BleuCounts& counts) {
  counts.candidate_length = candidate.words;
  std::vector<uint32_t> best;
  for (size_t n = 0; n < kMaxOrder; ++n) {
    counts.guess[n] = std::max<int64_t>(0, candidate.words - static_cast<int64_t>(n));
    best.assign(candidate.order(n).size(), 0);
    for (const SentenceNgrams& reference : references) {
      size_t i = 0;
      merge_counts(candidate.order(n), reference.order(n), [&](const NgramCount& gram, uint32_t there) {
        best[i] = std::max(best[i], std::min(gram.count, there));
        ++i;
      });
    }
    for (const uint32_t matches : best) counts.correct[n] += matches;
  }
}

int64_t closest_length(const Sentences& references, int64_t length) {
  int64_t best = references.front().words;
  for (const SentenceNgrams& reference : references) {
    const int64_t distance = std::abs(reference.words - length), best_distance = std::abs(best - length);
    if (distance < best_distance || (distance == best_distance && reference.words < best))
      best = reference.words;
  }
  return best;
}

int64_t shortest_length(const Sentences& references, int64_t) {
  return std::min_element(references.begin(), references.end(),
                          [](auto& a, auto& b) { return a.words < b.words; })
      ->words;
}

// Of each image, with numbers of its own for its n-grams.
template <class ReferenceLength>
std::vector<BleuCounts> counts_of(std::span<const std::string> candidates,
                                  std::span<const std::vector<std::string>> references, const char* op,
                                  ReferenceLength reference_length) {
  check_captions(candidates, references, op);
  std::vector<BleuCounts> all(candidates.size());
  tensor::parallel_each(std::ssize(candidates), kImagesPerTask, [&](int64_t image) {
    const auto i = static_cast<size_t>(image);
    NgramTable table;
    Sentences counted;
    for (const std::string& reference : references[i]) counted.push_back(table.count(reference));
    count_matches(table.count(candidates[i]), counted, all[i]);
    all[i].reference_length = reference_length(counted, all[i].candidate_length);
  });
  return all;
}

BleuCounts sum_of(const std::vector<BleuCounts>& counts) {
  BleuCounts sum;
  for (const BleuCounts& c : counts) sum += c;
  return sum;
}

}  // namespace

BleuCounts& BleuCounts::operator+=(const BleuCounts& other) {
  candidate_length += other.candidate_length;
  reference_length += other.reference_length;
  for (size_t n = 0; n < kMaxOrder; ++n) {
    guess[n] += other.guess[n];
    correct[n] += other.correct[n];
  }
  return *this;
}

Bleu4 bleu_of_counts(const BleuCounts& counts) {
  constexpr double kTiny = 1e-15, kSmall = 1e-9;
  const double ratio = (static_cast<double>(counts.candidate_length) + kTiny) /
                       (static_cast<double>(counts.reference_length) + kSmall);
  const double penalty = ratio < 1 ? std::exp(1 - 1 / ratio) : 1.0;
  Bleu4 scores{};
  double product = 1;
  for (size_t n = 0; n < kMaxOrder; ++n) {
    product *=
        (static_cast<double>(counts.correct[n]) + kTiny) / (static_cast<double>(counts.guess[n]) + kSmall);
    scores[n] = std::pow(product, 1.0 / static_cast<double>(n + 1)) * penalty;
  }
  return scores;
}

BleuResult bleu(std::span<const std::string> candidates,
                std::span<const std::vector<std::string>> references) {
  BleuResult result;
  result.image_counts = counts_of(candidates, references, "bleu", closest_length);
  for (const BleuCounts& counts : result.image_counts) result.images.push_back(bleu_of_counts(counts));
  result.counts = sum_of(result.image_counts);
  result.corpus = bleu_of_counts(result.counts);
  return result;
}

Bleu4 bleu_torcheval(std::span<const std::string> candidates,
                     std::span<const std::vector<std::string>> references, bool undefined_is_zero) {
  const BleuCounts total = sum_of(counts_of(candidates, references, "bleu_torcheval", shortest_length));
  tensor::check(undefined_is_zero || total.guess[kMaxOrder - 1] > 0, tensor::ErrorKind::data,
                "bleu_torcheval: none of the {} candidates has {} words, so BLEU-{} is undefined",
                candidates.size(), kMaxOrder, kMaxOrder);
  const auto candidate = static_cast<float>(total.candidate_length);
  const auto reference = static_cast<float>(total.reference_length);
  const float penalty =
      total.candidate_length > total.reference_length ? 1.0f : std::exp(1.0f - reference / candidate);
  std::array<float, kMaxOrder> log_precision{};
  for (size_t n = 0; n < kMaxOrder; ++n)  // no match at all: log 0 = -inf, and exp gives 0
    log_precision[n] = std::log(static_cast<float>(total.correct[n]) /
                                static_cast<float>(std::max<int64_t>(total.guess[n], 1)));
  Bleu4 scores{};
  for (size_t n = 0; n < kMaxOrder; ++n) {
    float sum = 0;
    for (size_t j = 0; j <= n; ++j) sum += log_precision[j] / static_cast<float>(n + 1);
    scores[n] = penalty * std::exp(sum);
  }
  return scores;
}

}  // namespace imgcap
