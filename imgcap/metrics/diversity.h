// How varied captions are, and how many of them stand in the captions that a model was trained on: what scores against
// references do not say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "imgcap/metrics/scores.h"
#include "tensor/io/json.h"

namespace imgcap {

// distinct-n (Li et al. 2016): how many distinct n-grams the captions have together for each n-gram in them, from 0
// to 1; 0 where there are none. n-grams do not go from one caption into the next. (For n = 2 Li et al. divide by the
// number of words in place of that of bigrams.)
struct Diversity {
  double distinct_1 = 0, distinct_2 = 0;
  int64_t captions = 0, distinct_captions = 0;
  std::optional<double> in_training;  // the share that stand word for word in the training captions, 0 to 1
  int64_t training = 0;               // those captions
};

// Words are what the scores' are: Scores::tokenizer and normalisation. `training` may be null: captions that the model
// was trained on, in the form of the candidates. Errors: argument (there are no candidates).
Diversity diversity(const Candidates& candidates, const std::string& tokenizer,
                    const std::vector<std::string>* training = nullptr,
                    const Normalisation& normalisation = {});

// "distinct-1 0.0512, distinct-2 0.1733; 540 distinct captions of 700; 0.1271 of all stand in the 30000 training
// captions"
std::string describe(const Diversity& diversity);

// "distinct-1", "distinct-2", "distinct_captions" and, where they are known, "in_training" and "training_captions" for
// the object of the scores.
void add_diversity(tensor::io::Json& json, const Diversity& diversity);

}  // namespace imgcap
