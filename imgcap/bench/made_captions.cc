#include "imgcap/bench/made_captions.h"

#include <algorithm>
#include <vector>

#include "tensor/format.h"
#include "tensor/io/atomic_file.h"
#include "tensor/random.h"

namespace imgcap::bench {
namespace {

constexpr uint64_t kWords = 9'000, kReferences = 5;

// By rank: "b", "c", ..., "ab", ...
std::string word(uint64_t rank) {
  std::string letters;
  for (++rank; rank > 0; rank /= 26) letters += static_cast<char>('a' + rank % 26);
  return letters;
}

class Captions {
 public:
  Captions() {
    double sum = 0;
    for (uint64_t rank = 0; rank < kWords; ++rank) {
      words_.push_back(word(rank));
      cumulative_.push_back(sum += 1 / static_cast<double>(rank + 1));
    }
  }
  std::vector<std::string> draw() {
    std::vector<std::string> caption(8 + generator_.below(7));
    for (std::string& w : caption) w = draw_word();
    return caption;
  }
  std::vector<std::string> like(std::vector<std::string> caption) {
    for (std::string& w : caption)
      if (generator_.below(3) == 0) w = draw_word();
    return caption;
  }
  uint64_t below(uint64_t bound) { return generator_.below(bound); }

 private:
  const std::string& draw_word() {
    const double place = generator_.uniform() * cumulative_.back();
    const auto found = std::upper_bound(cumulative_.begin(), cumulative_.end(), place);
    return words_[std::min(words_.size() - 1, static_cast<size_t>(found - cumulative_.begin()))];
  }

  tensor::Generator generator_{1};
  std::vector<std::string> words_;
  std::vector<double> cumulative_;
};

std::string line(int64_t image, uint64_t number, const std::vector<std::string>& caption) {
  return tensor::format("{:06d}.jpg| {}| {} .\n", image, number, tensor::join(caption, " "));
}

}  // namespace

void write_made_captions(int64_t images, const std::string& references, const std::string& candidates) {
  const std::string header = "image_name| comment_number| comment\n";
  std::string truths = header, guesses = header;
  Captions captions;
  for (int64_t image = 0; image < images; ++image) {
    std::vector<std::vector<std::string>> all;
    for (uint64_t k = 0; k < kReferences; ++k) truths += line(image, k, all.emplace_back(captions.draw()));
    guesses += line(image, 0, captions.like(all[captions.below(kReferences)]));
  }
  tensor::io::write_file_atomically(references, truths);
  tensor::io::write_file_atomically(candidates, guesses);
}

}  // namespace imgcap::bench
