#include "imgcap/metrics/cider.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "imgcap/metrics/arguments.h"
#include "imgcap/metrics/words.h"
#include "tensor/thread_pool.h"

namespace imgcap {
namespace {

constexpr double kSigma = 6.0;
constexpr double kScale = 10.0;

}  // namespace

// The images' references and the weights that follow from them.
class CiderScorer::Documents {
 public:
  explicit Documents(std::span<const std::vector<std::string>> references) : images_(references.size()) {
    std::vector<uint32_t> ids;
    for (size_t i = 0; i < references.size(); ++i) {
      ids.clear();
      for (const std::string& reference : references[i]) {
        const SentenceNgrams& sentence = images_[i].emplace_back(table_.count(reference)).ngrams;
        for (const NgramCount& gram : sentence.grams) ids.push_back(gram.id);
      }
      std::sort(ids.begin(), ids.end());
      ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
      frequency_.resize(table_.size() + 1, 0);
      for (const uint32_t id : ids) ++frequency_[id];
    }
    const double log_images = std::log(static_cast<double>(references.size()));
    for (size_t n = 0; n <= references.size(); ++n)
      weight_of_frequency_.push_back(log_images - std::log(std::max<double>(1, static_cast<double>(n))));
    tensor::parallel_each(std::ssize(images_), kImagesPerTask, [&](int64_t i) {
      for (Reference& reference : images_[static_cast<size_t>(i)]) reference.norms = norms(reference.ngrams);
    });
  }

  size_t images() const { return images_.size(); }

  double score(size_t image, const std::string& text) const {
    const SentenceNgrams candidate = table_.count_known(text);
    const std::array<double, kMaxOrder> norm = norms(candidate);
    std::array<double, kMaxOrder> sums{};
    for (const auto& [reference, reference_norm] : images_[image]) {
      const double delta = static_cast<double>(length(candidate) - length(reference));
      const double penalty = std::pow(std::numbers::e, -(delta * delta) / (2 * kSigma * kSigma));
      for (size_t n = 0; n < kMaxOrder; ++n) {
        double product = 0;
        merge_counts(candidate.order(n), reference.order(n), [&](const NgramCount& gram, uint32_t there) {
          if (there == 0) return;
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
  struct Reference {
    explicit Reference(SentenceNgrams counted) : ngrams(std::move(counted)) {}
    SentenceNgrams ngrams;
    std::array<double, kMaxOrder> norms{};
  };

  static int64_t length(const SentenceNgrams& sentence) { return std::max<int64_t>(0, sentence.words - 1); }

  double weight(uint32_t id) const {
    // A candidate's own n-gram is in no reference.
    return weight_of_frequency_[id < frequency_.size() ? frequency_[id] : 0];
  }

  std::array<double, kMaxOrder> norms(const SentenceNgrams& sentence) const {
    std::array<double, kMaxOrder> result{};
    for (size_t n = 0; n < kMaxOrder; ++n) {
      for (const NgramCount& gram : sentence.order(n)) {
        const double w = gram.count * weight(gram.id);
        result[n] += w * w;
      }
      result[n] = std::sqrt(result[n]);
    }
    return result;
  }

  NgramTable table_;
  std::vector<std::vector<Reference>> images_;
  std::vector<uint32_t> frequency_;          // images whose references have the n-gram, by id
  std::vector<double> weight_of_frequency_;  // by frequency
};

CiderScorer::CiderScorer(std::span<const std::vector<std::string>> references) {
  const std::vector<std::string> none(references.size());
  check_captions(none, references, "cider");
  documents_ = std::make_unique<Documents>(references);
}
CiderScorer::~CiderScorer() = default;
CiderScorer::CiderScorer(CiderScorer&&) noexcept = default;

double CiderScorer::score(size_t image, const std::string& candidate) const {
  tensor::check(image < documents_->images(), tensor::ErrorKind::index, "cider: image {} of {}", image,
                documents_->images());
  return documents_->score(image, candidate);
}

ImageScores cider(std::span<const std::string> candidates,
                  std::span<const std::vector<std::string>> references) {
  check_captions(candidates, references, "cider");
  const CiderScorer scorer(references);
  ImageScores scores;
  scores.images.resize(candidates.size());
  tensor::parallel_each(std::ssize(candidates), kImagesPerTask, [&](int64_t image) {
    const auto i = static_cast<size_t>(image);
    scores.images[i] = scorer.score(i, candidates[i]);
  });
  scores.mean = mean_of(scores.images);
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
