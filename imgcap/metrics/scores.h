// One call from caption texts to the scores that papers print, and how to print them with what they mean.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "imgcap/data/captions.h"
#include "imgcap/data/text_rules.h"
#include "imgcap/metrics/bleu.h"
#include "tensor/io/json.h"

namespace imgcap {

// standard:  pycocoevalcap's BLEU, ROUGE-L and CIDEr, all references, on Treebank words (or, with the
//            tokeniser `none`, on the lower-cased text split at white space; with `unicode`, on words as tokenize()
//            finds them).
// torcheval: the text as it is, special tokens such as <sos> included, split at white space; torcheval's
//            BLEU; CIDEr with candidate and reference exchanged, each pair an image; pycocoevalcap's ROUGE-L
//            on the same words. For users it is the original's: that program scored so, without ROUGE-L.
enum class Protocol { standard, torcheval };
constexpr std::array<const char*, 2> names_of(Protocol) { return {"standard", "original"}; }
enum class ScoreTokenizer { ptb, none, unicode };
constexpr std::array<const char*, 3> names_of(ScoreTokenizer) { return {"ptb", "none", "unicode"}; }

struct ScoreOptions {
  Protocol protocol = Protocol::standard;
  std::optional<ScoreTokenizer> tokenizer;  // default: ptb for the standard protocol, none for torcheval's
  Normalisation normalisation;              // of all texts, before they are split
  std::string split;               // where the images come from, for the description: "test", "test.txt"
  bool undefined_is_zero = false;  // of torcheval's BLEU: see bleu_torcheval
  bool every_image = true;         // false: images that have references but no candidate are left out
};

// Errors: argument (torcheval's protocol and another tokeniser than none, or anything normalised).
void validate(const ScoreOptions& options);

// The options with the words that captions of these rules are made of: of the unicode tokeniser its words, normalised as
// it does; of spaCy's the protocol's own.
ScoreOptions with_words_of(const TextRules& rules, ScoreOptions options);

// The scores, as people and files name them.
inline constexpr size_t kScores = kMaxOrder + 2;
inline constexpr std::array<const char*, kScores> kScoreNames = {"BLEU-1", "BLEU-2",  "BLEU-3",
                                                                 "BLEU-4", "ROUGE-L", "CIDEr"};
using ScoreValues = std::array<double, kScores>;  // in the order of kScoreNames

using Candidates = std::map<std::string, std::string>;               // image -> caption
using References = std::map<std::string, std::vector<std::string>>;  // image -> captions

// Of a caption file, restricted to `images` where that is not null (those without captions are missing from
// the result too). Errors: data (an image has two candidates).
Candidates candidates_of(const std::vector<Caption>& captions,
                         const std::vector<std::string>* images = nullptr);
References references_of(const std::vector<Caption>& captions,
                         const std::vector<std::string>* images = nullptr);

struct Scores {
  static constexpr const char* kSeveral = "each set's own";

  int64_t images = 0;
  std::array<double, 4> bleu{};  // BLEU-1..4
  double rouge_l = 0;
  double cider = 0;  // 10 times a mean similarity, so 0..10; papers print it times 100
  // What the numbers mean.
  std::string protocol;  // its name
  std::string
      tokenizer;  // "ptb", "none" (lower-cased), "unicode" or "as-is"; kSeveral of a mean over different words
  Normalisation normalisation;          // nothing where there are several
  bool several_normalisations = false;  // of a mean
  std::string split;
  int64_t references_min = 0;  // of an image
  int64_t references_max = 0;
};

// The same result for the same captions, to the last bit: sums run in the order of the images' names. Kind
// data: images with a candidate but without references or the other way round (the text names the first and
// says how many), or no images at all.
Scores score_captions(const Candidates& candidates, const References& references,
                      const ScoreOptions& options = {});

// The mean of each score over several data sets, each counting alike however many images it has; `images` is of
// all together, and `split` has what is different in theirs. Sets of different languages have different words. Errors:
// argument (there is none, or their protocols differ).
Scores mean_of(std::span<const Scores> sets);

// What one image has of the standard protocol's scores, as pycocoevalcap's lists for each image; CIDEr's
// document frequencies are the whole set's.
struct ImageScore {
  std::string image, caption;
  std::array<double, 4> bleu{};
  double rouge_l = 0, cider = 0;
  BleuCounts counts;  // its part of what the corpus's BLEU is made of
};

// The same scores, and each image's, by name. Errors: argument (another protocol than the standard one).
Scores score_captions(const Candidates& candidates, const References& references, const ScoreOptions& options,
                      std::vector<ImageScore>& images);

// {"image", "caption", "BLEU-1".."BLEU-4", "ROUGE-L", "CIDEr"}
tensor::io::Json to_json(const ImageScore& score);

// "700 images of test.txt, 5 references each, Treebank words (PTBTokenizer), standard protocol
// (pycocoevalcap)"
std::string describe(const Scores& scores);

// One line of the table.
struct ScoreRow {
  std::string model;
  std::optional<int> epoch;  // shown as "-" when unknown
  std::optional<int> beam_width;
  Scores scores;
};

// A table (Model, Epoch, Beam Width, BLEU-1..4, CIDEr) with ROUGE-L, then the description of
// each kind of score in it. Lines end in '\n'.
std::string score_table(std::span<const ScoreRow> rows);

// {"images", "BLEU-1".."BLEU-4", "ROUGE-L", "CIDEr", "protocol", "tokenizer", "normalisation" ("none",
// kSeveral or what describe() says), "references", "split"}; references is a number, or [fewest, most] where
// images differ.
tensor::io::Json to_json(const Scores& scores);

}  // namespace imgcap
