// BLEU (Papineni et al. 2002) in the two forms that caption models are scored with.
//
// Both take one candidate and at least one reference an image, as texts whose words are separated by white
// space (Python's str.split()); nothing is lower-cased or removed here. Errors: argument (the two lists
// differ in length, are empty, or an image has no reference).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "imgcap/metrics/words.h"

namespace imgcap {

using Bleu4 = std::array<double, kMaxOrder>;  // BLEU-1..4

// What a BLEU score is made of: words, and n-grams of the candidates (`guess`), and those found in a
// reference
// (`correct`, each at most as often as in the one reference that has it most).
struct BleuCounts {
  int64_t candidate_length = 0;
  int64_t reference_length = 0;
  std::array<int64_t, kMaxOrder> guess{};
  std::array<int64_t, kMaxOrder> correct{};
  BleuCounts& operator+=(const BleuCounts& other);
};

// pycocoevalcap's formula: P_k = prod_{j<=k} (correct_j + 1e-15) / (guess_j + 1e-9), BLEU_k = P_k^(1/k),
// times exp(1 - 1/ratio) when ratio = (candidate + 1e-15) / (reference + 1e-9) is below 1.
Bleu4 bleu_of_counts(const BleuCounts& counts);

struct BleuResult {
  Bleu4 corpus{};
  std::vector<Bleu4> images;
  std::vector<BleuCounts> image_counts;
  BleuCounts counts;  // their sum
};

// pycocoevalcap's Bleu(4): an image's reference length is the one closest to the candidate's (the shorter of
// two).
BleuResult bleu(std::span<const std::string> candidates,
                std::span<const std::vector<std::string>> references);

// torcheval 0.0.7's bleu_score for n_gram = 1..4: no smoothing, the shortest reference counts for the brevity
// penalty (later versions take the closest; the same with one reference), computed in float32 as there. With
// `undefined_is_zero` scores without a single n-gram are 0. Errors: data (without it: no candidate has four
// words, where torcheval raises ValueError).
Bleu4 bleu_torcheval(std::span<const std::string> candidates,
                     std::span<const std::vector<std::string>> references, bool undefined_is_zero = false);

}  // namespace imgcap
