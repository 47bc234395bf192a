// Why a model would say a sentence about a photo: how likely each word was, what else was likely in its place, and
// which places of the photo it came from.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "imgcap/captioner.h"

namespace imgcap {

struct ExplainedWord {
  std::string word;
  double probability = 0;  // after the words before it
  // The likeliest in its place, it among them perhaps; without a text: the caption's end.
  std::vector<WordProbability> others;
};

// What the maps of an explanation are.
enum class MapKind {
  none,
  attention,  // weights of the places that the model looked at, which sum to 1
  // The gradient of the word's log-probability with respect to a place's features, times these: by how much the place
  // raises it (below 0: lowers it), to first order (Simonyan et al. 2014; Shrikumar et al. 2017). A model that
  // sees only the mean of all places does not look at any.
  gradient,
};
constexpr std::array<const char*, 3> names_of(MapKind) { return {"none", "attention", "gradient"}; }

struct Explanation {
  std::string language;        // empty: the model's has no name
  std::string text;            // as the model's words
  double log_probability = 0;  // of the words, without the caption's end
  std::vector<ExplainedWord> words;
  std::vector<WordProbability> next;  // what may come after them
  MapKind kind = MapKind::none;
  AttentionMaps maps;
};

// The gradient of each word's log-probability times the features: n maps (p) for n words, by one backward pass. The
// decoder needs its parameters (ModelUse::parameters). features (1, p, d) f32; start: what captions begin with
// (WordRange::start). Errors: shape, argument (a decoder without parameters or in training mode).
std::vector<std::vector<float>> gradient_maps(Decoder& decoder, const Tensor& features,
                                              const std::vector<int64_t>& words, int64_t start);

class Explainer {
 public:
  // `parameters`: the same model's decoder with its parameters, for gradients where it has no attention; without one
  // there are no maps then.
  explicit Explainer(std::shared_ptr<const Captioner> captioner,
                     std::unique_ptr<Decoder> parameters = nullptr);

  // `text`: a sentence, or the beginning of one; may be empty. May be called by several threads at once. Errors:
  // argument (a word that the model lacks, over 60 words, a language that it lacks).
  Explanation explain(const Image& photo, const std::string& text, const std::string& language = {},
                      int64_t others = 10) const;

 private:
  std::shared_ptr<const Captioner> captioner_;
  std::unique_ptr<Decoder> parameters_;
};

}  // namespace imgcap
