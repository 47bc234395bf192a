#include "imgcap/metrics/resample.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "tensor/error.h"
#include "tensor/philox.h"
#include "tensor/thread_pool.h"

namespace imgcap {
namespace {

using tensor::check;
using tensor::ErrorKind;

// What all scores of a set of images are made of: sums over the images. Counts are exact in double.
constexpr size_t kLengths = 0, kGuess = 2, kCorrect = kGuess + kMaxOrder, kRouge = kCorrect + kMaxOrder,
                 kCider = kRouge + 1, kTerms = kCider + 1;
using Terms = std::array<double, kTerms>;

// One image's terms, of one file or of two side by side.
template <size_t kFiles>
using Row = std::array<Terms, kFiles>;
template <size_t kFiles>
using Rows = std::vector<Row<kFiles>>;

Terms terms_of(const ImageScore& score) {
  Terms terms{static_cast<double>(score.counts.candidate_length),
              static_cast<double>(score.counts.reference_length)};
  for (size_t n = 0; n < kMaxOrder; ++n) {
    terms[kGuess + n] = static_cast<double>(score.counts.guess[n]);
    terms[kCorrect + n] = static_cast<double>(score.counts.correct[n]);
  }
  terms[kRouge] = score.rouge_l;
  terms[kCider] = score.cider;
  return terms;
}

ScoreValues scores_of(const Terms& sums, size_t images) {
  BleuCounts counts;
  counts.candidate_length = static_cast<int64_t>(sums[kLengths]);
  counts.reference_length = static_cast<int64_t>(sums[kLengths + 1]);
  for (size_t n = 0; n < kMaxOrder; ++n) {
    counts.guess[n] = static_cast<int64_t>(sums[kGuess + n]);
    counts.correct[n] = static_cast<int64_t>(sums[kCorrect + n]);
  }
  const Bleu4 bleu = bleu_of_counts(counts);
  ScoreValues values{};
  std::copy(bleu.begin(), bleu.end(), values.begin());
  values[kMaxOrder] = sums[kRouge] / static_cast<double>(images);
  values[kMaxOrder + 1] = sums[kCider] / static_cast<double>(images);
  return values;
}

void add(Terms& sums, const Terms& terms, double factor = 1) {
  for (size_t i = 0; i < kTerms; ++i) sums[i] += factor * terms[i];
}

template <size_t kFiles>
Row<kFiles> sum_of(const Rows<kFiles>& rows) {
  Row<kFiles> sums{};
  for (const Row<kFiles>& row : rows)
    for (size_t f = 0; f < kFiles; ++f) add(sums[f], row[f]);
  return sums;
}

// Of images drawn with replacement: four from each block of random words. An image's chance is off by less
// than images / 2^32 of itself.
template <size_t kFiles>
Row<kFiles> sum_of_sample(const Rows<kFiles>& rows, uint64_t seed, uint64_t sample) {
  Row<kFiles> sums{};
  for (size_t i = 0; i < rows.size(); i += 4) {
    const tensor::PhiloxBlock words = tensor::philox(seed, i / 4, sample);
    for (size_t k = 0; k < std::min<size_t>(4, rows.size() - i); ++k) {
      const Row<kFiles>& row = rows[static_cast<size_t>(uint64_t{words[k]} * rows.size() >> 32)];
      for (size_t f = 0; f < kFiles; ++f) add(sums[f], row[f]);
    }
  }
  return sums;
}

// Shuffles draw from other streams than the bootstrap's samples.
constexpr uint64_t kFirstShuffle = uint64_t{1} << 32;

// Of both files after one shuffle: a bit for each image says whether its two captions are exchanged.
Row<2> sum_of_shuffle(const Rows<2>& rows, const Row<2>& all, uint64_t seed, uint64_t shuffle) {
  constexpr size_t kBits = 128;
  Terms moved{};  // from the first file to the second
  for (size_t i = 0; i < rows.size(); i += kBits) {
    const tensor::PhiloxBlock words = tensor::philox(seed, i / kBits, kFirstShuffle + shuffle);
    for (size_t k = 0; k < std::min(kBits, rows.size() - i); ++k) {
      if ((words[k / 32] >> k % 32 & 1) == 0) continue;
      add(moved, rows[i + k][0]);
      add(moved, rows[i + k][1], -1);
    }
  }
  Row<2> sums = all;
  add(sums[0], moved, -1);
  add(sums[1], moved);
  return sums;
}

// The values at the ends of the middle 95 %, between neighbours in proportion (as NumPy's percentile).
Interval middle(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    const double place = share * static_cast<double>(values.size() - 1);
    const auto below = static_cast<size_t>(place);
    const size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (place - static_cast<double>(below)) * (values[above] - values[below]);
  };
  return {at((1 - kConfidence) / 2), at((1 + kConfidence) / 2)};
}

// values[s][k] -> the interval of each k.
std::array<Interval, kScores> intervals_of(const std::vector<ScoreValues>& values) {
  std::array<Interval, kScores> intervals;
  for (size_t k = 0; k < kScores; ++k) {
    std::vector<double> one;
    one.reserve(values.size());
    for (const ScoreValues& v : values) one.push_back(v[k]);
    intervals[k] = middle(std::move(one));
  }
  return intervals;
}

// Each sample's scores, by file.
template <size_t kFiles>
std::array<std::vector<ScoreValues>, kFiles> bootstrap(const Rows<kFiles>& rows,
                                                       const ResampleOptions& options) {
  std::array<std::vector<ScoreValues>, kFiles> values;
  for (auto& one : values) one.resize(static_cast<size_t>(options.samples));
  tensor::parallel_each(options.samples, 8, [&](int64_t s) {
    const Row<kFiles> sums = sum_of_sample(rows, options.seed, static_cast<uint64_t>(s));
    for (size_t f = 0; f < kFiles; ++f) values[f][static_cast<size_t>(s)] = scores_of(sums[f], rows.size());
  });
  return values;
}

ScoreValues difference(const ScoreValues& a, const ScoreValues& b) {
  ScoreValues d{};
  for (size_t k = 0; k < kScores; ++k) d[k] = b[k] - a[k];
  return d;
}

// By score, how many shuffles part the two files at least as far as they are.
std::array<int64_t, kScores> at_least_as_far(const Rows<2>& rows, const Row<2>& all, const ScoreValues& found,
                                             const ResampleOptions& options) {
  // Sums in another order differ in their last bits: what is equal but for these counts as equal.
  constexpr double kRounding = 1e-10;
  std::vector<ScoreValues> shuffled(static_cast<size_t>(options.samples));
  tensor::parallel_each(options.samples, 8, [&](int64_t s) {
    const Row<2> sums = sum_of_shuffle(rows, all, options.seed, static_cast<uint64_t>(s));
    shuffled[static_cast<size_t>(s)] =
        difference(scores_of(sums[0], rows.size()), scores_of(sums[1], rows.size()));
  });
  std::array<int64_t, kScores> count{};
  for (const ScoreValues& d : shuffled)
    for (size_t k = 0; k < kScores; ++k) count[k] += std::abs(d[k]) >= std::abs(found[k]) - kRounding;
  return count;
}

void check_arguments(size_t images, const ResampleOptions& options) {
  check(images > 0, ErrorKind::argument, "resampling: no images");
  check(options.samples >= 1 && options.samples <= kMaxSamples, ErrorKind::argument,
        "resampling: {} samples; give 1 to {}", options.samples, kMaxSamples);
}

}  // namespace

ScoreIntervals score_intervals(std::span<const ImageScore> images, const ResampleOptions& options) {
  check_arguments(images.size(), options);
  Rows<1> rows;
  for (const ImageScore& image : images) rows.push_back({terms_of(image)});
  return {scores_of(sum_of(rows)[0], rows.size()), intervals_of(bootstrap(rows, options)[0])};
}

Comparison compare_scores(std::span<const ImageScore> a, std::span<const ImageScore> b,
                          const ResampleOptions& options) {
  check_arguments(a.size(), options);
  check(std::equal(a.begin(), a.end(), b.begin(), b.end(),
                   [](const ImageScore& x, const ImageScore& y) { return x.image == y.image; }),
        ErrorKind::data, "compare: the two lists of {} and {} images are not of the same images", a.size(),
        b.size());
  Rows<2> rows;
  for (size_t i = 0; i < a.size(); ++i) rows.push_back({terms_of(a[i]), terms_of(b[i])});
  const Row<2> all = sum_of(rows);
  Comparison result;
  const auto values = bootstrap(rows, options);
  result.a = {scores_of(all[0], rows.size()), intervals_of(values[0])};
  result.b = {scores_of(all[1], rows.size()), intervals_of(values[1])};
  std::vector<ScoreValues> differences;
  for (size_t s = 0; s < values[0].size(); ++s) differences.push_back(difference(values[0][s], values[1][s]));
  const std::array<Interval, kScores> intervals = intervals_of(differences);
  const ScoreValues found = difference(result.a.value, result.b.value);
  const std::array<int64_t, kScores> count = at_least_as_far(rows, all, found, options);
  for (size_t k = 0; k < kScores; ++k)
    result.difference[k] = {found[k], intervals[k],
                            static_cast<double>(1 + count[k]) / static_cast<double>(1 + options.samples)};
  return result;
}

}  // namespace imgcap
