#include "imgcap/metrics/rouge.h"

#include <algorithm>

#include "imgcap/metrics/arguments.h"
#include "tensor/thread_pool.h"

namespace imgcap {
namespace {

std::vector<std::string_view> split_at_blanks(std::string_view text) {
  std::vector<std::string_view> words;
  for (size_t blank; (blank = text.find(' ')) != std::string_view::npos; text.remove_prefix(blank + 1))
    words.push_back(text.substr(0, blank));
  words.push_back(text);
  return words;
}

size_t longest_common_subsequence(const std::vector<std::string_view>& a,
                                  const std::vector<std::string_view>& b) {
  std::vector<size_t> row(b.size() + 1, 0);  // row[j]: of the words of `a` so far and the first j of `b`
  for (const std::string_view word : a) {
    size_t diagonal = 0;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = word == b[j - 1] ? diagonal + 1 : std::max(above, row[j - 1]);
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

ImageScores rouge_l(std::span<const std::string> candidates,
                    std::span<const std::vector<std::string>> references) {
  check_captions(candidates, references, "rouge_l");
  constexpr double kBeta2 = 1.2 * 1.2;
  ImageScores scores;
  scores.images.resize(candidates.size());
  tensor::parallel_each(std::ssize(candidates), kImagesPerTask, [&](int64_t image) {
    const auto i = static_cast<size_t>(image);
    const std::vector<std::string_view> candidate = split_at_blanks(candidates[i]);
    double precision = 0, recall = 0;
    for (const std::string& text : references[i]) {
      const std::vector<std::string_view> reference = split_at_blanks(text);
      const auto common = static_cast<double>(longest_common_subsequence(candidate, reference));
      precision = std::max(precision, common / static_cast<double>(candidate.size()));
      recall = std::max(recall, common / static_cast<double>(reference.size()));
    }
    const bool any = precision > 0 && recall > 0;
    scores.images[i] = any ? (1 + kBeta2) * precision * recall / (recall + kBeta2 * precision) : 0.0;
  });
  scores.mean = mean_of(scores.images);
  return scores;
}

}  // namespace imgcap
