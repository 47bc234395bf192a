// ROUGE-L (Lin 2004) as pycocoevalcap computes it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace imgcap {

// A corpus score, the mean over the images, and each image's own; also CIDEr's.
struct ImageScores {
  double mean = 0;
  std::vector<double> images;
};

// With L_j the longest common subsequence of the candidate and reference j: P = max_j L_j / candidate words,
// R = max_j L_j / words of reference j (each maximum over all references), score = (1 + b^2) P R / (R + b^2
// P) with b = 1.2, and 0 when P or R is 0. Words are what lies between single blanks, as in the reference
// implementation: two blanks in a row hold an empty word. Errors: argument (no candidates, or one without
// references).
ImageScores rouge_l(std::span<const std::string> candidates,
                    std::span<const std::vector<std::string>> references);

}  // namespace imgcap
