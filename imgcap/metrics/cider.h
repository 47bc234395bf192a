// CIDEr (Vedantam et al. 2015) as pycocoevalcap's "Cider" computes it, which is the paper's CIDEr-D without
// stemming.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "imgcap/metrics/rouge.h"

namespace imgcap {

// For n = 1..4 an n-gram g of a sentence weighs tf(g) * (ln N - ln max(1, df(g))): tf its count there, df the
// number of images with g in a reference, N the number of images. With sentence vectors h (candidate) and r
// (reference):
//   sim_n = sum_g min(h_g, r_g) r_g / (|h| |r|) * exp(-(l_h - l_r)^2 / (2 * 6^2)),   l = words - 1,
// score = 10 * mean over n of the mean over the references of sim_n. N = 1 makes every weight 0, and the
// score. Errors: argument (no candidates, or one without references).
ImageScores cider(std::span<const std::string> candidates,
                  std::span<const std::vector<std::string>> references);

// With the two exchanged: each (candidate, reference) pair is an image of its own, the reference is scored
// against the candidate, and the document frequencies come from the candidates. images holds one score per
// pair, in order.
ImageScores cider_swapped(std::span<const std::string> candidates,
                          std::span<const std::vector<std::string>> references);

// cider() of captions one by one, against references that stay: what training on the score needs.
class CiderScorer {
 public:
  // Errors: argument (no images, or one without references).
  explicit CiderScorer(std::span<const std::vector<std::string>> references);
  ~CiderScorer();
  CiderScorer(CiderScorer&&) noexcept;

  // Of a caption of the given image; safe from several threads. Errors: index (no such image).
  double score(size_t image, const std::string& candidate) const;

 private:
  class Documents;
  std::unique_ptr<Documents> documents_;
};

}  // namespace imgcap
