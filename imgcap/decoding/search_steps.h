// What the ways of decoding share: running the decoder over rows of hypotheses, and their tree.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "imgcap/decoding/beam_search.h"
#include "imgcap/models/decoder.h"

namespace imgcap::internal {

inline constexpr int64_t kMostWords = 100'000;
inline constexpr int64_t kNoNode = -1;

// Argument and shape errors begin with `op`. The decoder has to be in evaluation mode.
void expect_decoder(const Decoder& decoder, const Tensor& features, const char* op);
void expect_beam(const BeamOptions& options, int64_t vocabulary, const char* op);
// The decoder and the options that the searches of this program have.
void expect_decodable(const Decoder& decoder, const Tensor& features, const DecodingOptions& options,
                      const char* op);

// The most tokens that a hypothesis can have, <eos> included.
int64_t step_limit(const DecodingOptions& options);

double score_of(double log_probability, int64_t length, const DecodingOptions& options);

// The tokens that a search never produces.
std::vector<int64_t> forbidden(const DecodingOptions& options);

// A token of a hypothesis; a hypothesis is the way from a node to the root. Beams that begin alike share
// nodes.
struct Node {
  int64_t parent = kNoNode;
  int64_t token = 0;
  int64_t row = 0;  // of the step's batch: where the attention is
};

// Runs the decoder, one step per call, and keeps the tree. A way of decoding may feed the decoder otherwise.
class Search {
 public:
  // `op` begins the error texts.
  Search(Decoder& decoder, const Tensor& features, const DecodingOptions& options, const char* op);
  virtual ~Search() = default;

  int64_t steps() const { return steps_; }  // that have been run

  // The log-probabilities (n, vocabulary) of the next tokens of n hypotheses, on the host; -inf where the
  // rules forbid one. parents: for each hypothesis its row of the last batch (the first time: its image);
  // nodes: the last one of each, kNoNode for <sos>.
  Tensor next(const std::vector<int64_t>& parents, const std::vector<int64_t>& nodes);

  int64_t add(int64_t parent, int64_t token, int64_t row);
  int64_t token(int64_t node) const { return nodes_[static_cast<size_t>(node)].token; }

  // The hypothesis that ends in `node` (kNoNode: the empty one).
  Hypothesis hypothesis(int64_t node, double log_probability) const;
  // The best score first, equals in the order given.
  template <class Beam>
  std::vector<Hypothesis> ranked(const std::vector<Beam>& beams) const {
    std::vector<Hypothesis> list;
    for (const Beam& beam : beams) list.push_back(hypothesis(beam.node, beam.log_probability));
    std::stable_sort(list.begin(), list.end(),
                     [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
    return list;
  }

 protected:
  // The logits (n, vocabulary) after these tokens; `state` becomes the next one.
  virtual Tensor feed(DecodingState& state, const std::vector<int64_t>& tokens);
  Decoder& decoder() { return decoder_; }

 private:
  std::vector<const Node*> path(int64_t node) const;  // from the root
  Tensor keep_rules(const Tensor& log_probabilities, const std::vector<int64_t>& nodes) const;

  Decoder& decoder_;
  const DecodingOptions& options_;
  const char* op_;
  DecodingState state_;
  int64_t rows_;
  int64_t steps_ = 0;
  std::vector<Node> nodes_;
  std::optional<RuleChecker> rules_;
  std::vector<Tensor> alphas_;  // a step: (n, p) f32; undefined where the decoder has none
};

// Error of kind data where it is NaN. (A softmax makes a row NaN as a whole.)
void expect_number(double log_probability);

struct Likely {
  int64_t token;
  double log_probability;
};
// A row's tokens without those that are `forbidden`, the likeliest first, equals by token; at most `count` of
// them and none of probability 0. Errors: data (one is NaN).
std::vector<std::vector<Likely>> likeliest(const Tensor& log_probabilities, int64_t count,
                                           const std::vector<int64_t>& forbidden);

// A hypothesis that is open or finished, while a search runs.
struct Beam {
  int64_t node = kNoNode;
  double log_probability = 0;
  int64_t row = 0;  // in the batch: before a step its place there, after one its parent's
};

// A beam gone on by a token.
struct Candidate {
  int64_t beam;  // rank of the parent
  Likely next;
  double log_probability;
};

}  // namespace imgcap::internal
