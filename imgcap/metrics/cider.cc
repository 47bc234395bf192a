#include "imgcap/metrics/cider.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "imgcap/metrics/arguments.h"
#include "imgcap/metrics/words.h"

namespace imgcap {
namespace {

constexpr double kSigma = 6.0;
constexpr double kScale = 10.0;

}  // namespace

// The images' references and the weights that follow from them.
class CiderScorer::Documents {
 public:
  explicit Documents(std::span<const std::vector<std::string>> references)
      : log_images_(std::log(static_cast<double>(references.size()))) {
    std::vector<uint32_t> ids;
    for (const std::vector<std::string>& image : references) {
      ids.clear();
      std::vector<SentenceNgrams>& sentences = images_.emplace_back();
      for (const std::string& reference : image) {
        sentences.push_back(table_.count(reference));
        for (const std::vector<NgramCount>& order : sentences.back().orders)
          for (const NgramCount& gram : order) ids.push_back(gram.id);
      }
      std::sort(ids.begin(), ids.end());
      ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
      frequency_.resize(table_.size() + 1, 0);
      for (const uint32_t id : ids) ++frequency_[id];
    }
  }

  size_t images() const { return images_.size(); }

  double score(size_t image, const std::string& text) {
    const SentenceNgrams candidate = table_.count(text);
    const std::array<double, kMaxOrder> norm = norms(candidate);
    std::array<double, kMaxOrder> sums{};
    for (const SentenceNgrams& reference : images_[image]) {
      const std::array<double, kMaxOrder> reference_norm = norms(reference);
      const double delta = static_cast<double>(length(candidate) - length(reference));
      const double penalty = std::pow(std::numbers::e, -(delta * delta) / (2 * kSigma * kSigma));
      for (size_t n = 0; n < kMaxOrder; ++n) {
        double product = 0;
        merge_counts(candidate.orders[n], reference.orders[n], [&](const NgramCount& gram, uint32_t there) {
          const double w = weight(gram.id);
          product += std::min(gram.count * w, there * w) * (there * w);
        });
        if (norm[n] != 0 && reference_norm[n] != 0) product /= norm[n] * reference_norm[n];
        sums[n] += product * penalty;
      }
    }
    double mean = 0;
    for (const double sum : sums) mean += sum / kMaxOrder;
    return kScale * mean / static_cast<double>(images_[image].size());
  }

 private:
  static int64_t length(const SentenceNgrams& sentence) { return std::max<int64_t>(0, sentence.words - 1); }

  double weight(uint32_t id) const {
    const uint32_t images =
        id < frequency_.size() ? frequency_[id] : 0;  // a candidate's own n-gram is in none
    return log_images_ - std::log(std::max<double>(1, images));
  }

  std::array<double, kMaxOrder> norms(const SentenceNgrams& sentence) const {
    std::array<double, kMaxOrder> result{};
    for (size_t n = 0; n < kMaxOrder; ++n) {
      for (const NgramCount& gram : sentence.orders[n]) {
        const double w = gram.count * weight(gram.id);
        result[n] += w * w;
      }
      result[n] = std::sqrt(result[n]);
    }
    return result;
  }

  NgramTable table_;
  std::vector<std::vector<SentenceNgrams>> images_;
  std::vector<uint32_t> frequency_;  // images whose references have the n-gram, by id
  double log_images_;
};

CiderScorer::CiderScorer(std::span<const std::vector<std::string>> references) {
  const std::vector<std::string> none(references.size());
  check_captions(none, references, "cider");
  documents_ = std::make_unique<Documents>(references);
}
CiderScorer::~CiderScorer() = default;
CiderScorer::CiderScorer(CiderScorer&&) noexcept = default;

double CiderScorer::score(size_t image, const std::string& candidate) {
  tensor::check(image < documents_->images(), tensor::ErrorKind::index, "cider: image {} of {}", image,
                documents_->images());
  return documents_->score(image, candidate);
}

ImageScores cider(std::span<const std::string> candidates,
                  std::span<const std::vector<std::string>> references) {
  check_captions(candidates, references, "cider");
  CiderScorer scorer(references);
  ImageScores scores;
  double sum = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    scores.images.push_back(scorer.score(i, candidates[i]));
    sum += scores.images.back();
  }
  scores.mean = sum / static_cast<double>(candidates.size());
  return scores;
}

ImageScores cider_swapped(std::span<const std::string> candidates,
                          std::span<const std::vector<std::string>> references) {
  check_captions(candidates, references, "cider_swapped");
  std::vector<std::string> hypotheses;
  std::vector<std::vector<std::string>> documents;
  for (size_t i = 0; i < candidates.size(); ++i)
    for (const std::string& reference : references[i]) {
      hypotheses.push_back(reference);
      documents.push_back({candidates[i]});
    }
  return cider(hypotheses, documents);
}

}  // namespace imgcap
