// What the ways of decoding share: running the decoder over rows of hypotheses, and their tree.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

#include "imgcap/decoding/beam_search.h"
#include "imgcap/decoding/sampling.h"
#include "imgcap/models/decoder.h"
#include "tensor/kernel_options.h"
#include "tensor/room.h"

namespace imgcap::internal {

inline constexpr int64_t kMostWords = 100'000;
inline constexpr int64_t kNoNode = -1;

// Argument and shape errors begin with `op`. The decoder has to be in evaluation mode.
void expect_decoder(const Decoder& decoder, const Tensor& features, const char* op);
void expect_range(const WordRange& range, int64_t vocabulary, const char* op);
void expect_beam(const BeamOptions& options, int64_t vocabulary, const char* op);
// The decoder and the options that the searches of this program have.
void expect_decodable(const Decoder& decoder, const Tensor& features, const DecodingOptions& options,
                      const char* op);

// Rows of features (m, p, d), in the order of `which`.
Tensor rows_of(const Tensor& features, const std::vector<int64_t>& which);

// The most tokens that a hypothesis can have, <eos> included.
int64_t step_limit(const DecodingOptions& options);

// What the log-probability of so many tokens is divided by for its score.
double score_divisor(int64_t length, const DecodingOptions& options);
double score_of(double log_probability, int64_t length, const DecodingOptions& options);

// The tokens that a search never produces.
std::vector<int64_t> forbidden(const DecodingOptions& options);
tensor::TokenList token_list(const std::vector<int64_t>& tokens);  // for a kernel; three at most

// A token of a hypothesis; a hypothesis is the way from a node to the root. Beams that begin alike share
// nodes.
struct Node {
  int64_t parent = kNoNode;
  int64_t token = 0;
  int64_t row = 0;             // of the step's batch: where the attention is
  double log_probability = 0;  // of the token alone
};

struct Likely {
  int64_t token;
  double log_probability;
};

// Runs the decoder, one step per call, and keeps the tree. A way of decoding may feed the decoder otherwise.
// What a step needs is kept for the next one: with a FrozenDecoder the steps after the first few allocate
// nothing.
class Search {
 public:
  // `beams`: the hypotheses of an image, at most. `op` begins the error texts.
  Search(Decoder& decoder, const Tensor& features, const DecodingOptions& options, int64_t beams,
         const char* op);
  virtual ~Search() = default;

  int64_t steps() const { return steps_; }  // that have been run
  const tensor::Device& device() const { return device_; }

  // The log-probabilities (n, vocabulary), f32 or f64, of the next tokens of n hypotheses, on the decoder's device;
  // -inf where the rules forbid one, or it is no word of the options' range. parents: for each hypothesis its row of the
  // last batch (the first time: its image); nodes: the last one of each, kNoNode for the beginning. Nothing is waited for.
  Tensor next(const std::vector<int64_t>& parents, const std::vector<int64_t>& nodes);
  // The same of parents and tokens (n) i64 that are on the device, without regard to rules; undefined parents: the rows of
  // the last batch.
  Tensor next(const Tensor& parents, const Tensor& tokens);

  int64_t add(int64_t parent, const Likely& next, int64_t row);
  int64_t token(int64_t node) const { return nodes_[static_cast<size_t>(node)].token; }

  // The hypothesis that ends in `node` (kNoNode: the empty one).
  Hypothesis hypothesis(int64_t node, double log_probability);
  // The best score first, equals in the order given.
  template <class Beam>
  std::vector<Hypothesis> ranked(const std::vector<Beam>& beams) {
    std::vector<Hypothesis> list;
    for (const Beam& beam : beams) list.push_back(hypothesis(beam.node, beam.log_probability));
    std::stable_sort(list.begin(), list.end(),
                     [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
    return list;
  }

 protected:
  // The logits (n, vocabulary) after these tokens; `state` becomes the next one.
  virtual Tensor feed(DecodingState& state, const Tensor& tokens);
  Decoder& decoder() { return decoder_; }

 private:
  // Where the attention of a step's rows is in alphas_; no places: the decoder has none.
  struct StepAlpha {
    size_t begin, end;
    int64_t places;
  };

  std::vector<const Node*> path(int64_t node) const;  // from the root
  void find_banned(int64_t node);                     // into banned_
  void keep_rules(Tensor& log_probabilities, const std::vector<int64_t>& nodes);
  void keep_rules_on_device(Tensor& log_probabilities, const std::vector<int64_t>& nodes);
  void keep_range(Tensor& log_probabilities) const;
  void keep_attention();
  void fetch_attention();

  Decoder& decoder_;
  const tensor::Device device_;  // the decoder's
  const DecodingOptions& options_;
  const char* op_;
  DecodingState state_;
  int64_t rows_;
  int64_t steps_ = 0;
  std::vector<Node> nodes_;
  std::optional<RuleChecker> rules_;
  std::vector<float> alphas_;             // a step: (n, p)
  std::vector<Tensor> alphas_on_device_;  // those of the last steps, which have not been fetched yet
  std::vector<StepAlpha> step_alphas_;
  // Of the current step.
  tensor::Room parents_, tokens_, log_probabilities_;
  std::vector<int64_t> path_;
  std::vector<bool> banned_;
};

// Error of kind data where it is NaN. (A softmax makes a row NaN as a whole.)
void expect_number(double log_probability);

// How the rows of a step can go on; one object serves all steps.
class NextTokens {
 public:
  // Each row's tokens of (n, vocabulary) without those that are `forbidden`, the likeliest first, equals by
  // token; at most `count` of them and none of probability 0. Errors: data (one is NaN).
  void take_likeliest(const Tensor& log_probabilities, int64_t count, const std::vector<int64_t>& forbidden);
  // The same of rows' likeliest tokens (n, k), falling, that are on the host: k is `count` and those that are forbidden.
  void take_likeliest(const Tensor& top, const Tensor& indices, int64_t count,
                      const std::vector<int64_t>& forbidden);
  // The k likeliest, or as many as there are, (n, k) of them and i64, on the device; valid until the next call.
  struct Top {
    Tensor values, tokens;
  };
  Top likeliest(const Tensor& log_probabilities, int64_t k);

  int64_t rows() const { return std::ssize(ends_); }
  std::span<const Likely> operator[](int64_t row) const;

 private:
  std::vector<Likely> tokens_;     // row after row
  std::vector<size_t> ends_;       // of the rows
  tensor::Room values_, indices_;  // of the most likely
  tensor::Room both_;              // of a device, to be fetched at once
};

// Draws a token for each row of (n, vocabulary) with uniform numbers (n) f64 (tensor::DrawTokens), all on one device.
void draw_next(NextTokens& likely, const Tensor& tokens, const Tensor& chosen,
               const Tensor& log_probabilities, const Tensor& uniforms, const SamplingOptions& options);

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
