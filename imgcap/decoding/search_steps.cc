#include "imgcap/decoding/search_steps.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/ops.h"
#include "imgcap/data/vocabulary.h"
#include "tensor/error.h"

namespace imgcap::internal {

using tensor::check;
using tensor::DType;
using tensor::ErrorKind;

void expect_decodable(const Decoder& decoder, const Tensor& features, const DecodingOptions& options,
                      const char* op) {
  check(features.defined() && features.rank() == 3, ErrorKind::shape,
        "{}: features {} where (images, places, channels) are needed", op, tensor::describe(features));
  check(decoder.config().vocabulary > kEos, ErrorKind::argument,
        "{}: a vocabulary of {} has no place for the special tokens", op, decoder.config().vocabulary);
  check(options.max_words >= 1 && options.max_words <= kMostWords, ErrorKind::argument,
        "{}: max_words is {}; it has to be from 1 to {}", op, options.max_words, kMostWords);
  check(std::isfinite(options.length_exponent) && options.length_exponent >= 0, ErrorKind::argument,
        "{}: length_exponent is {}; it has to be a number from 0 on", op, options.length_exponent);
  check(!options.compat_original || !options.rules.given(), ErrorKind::argument,
        "{}: the original's search has no rules of what captions say", op);
  validate(options.rules, decoder.config().vocabulary, options.max_words, op);
  check(!decoder.training(), ErrorKind::argument,
        "{}: the decoder is in training mode and would drop out; call eval() first", op);
}

int64_t step_limit(const DecodingOptions& options) {
  return options.compat_original ? kOriginalSteps : options.max_words + 1;
}

double score_of(double log_probability, int64_t length, const DecodingOptions& options) {
  if (options.compat_original) return log_probability;
  return log_probability /
         std::pow(static_cast<double>(std::max<int64_t>(length, 1)), options.length_exponent);
}

bool allowed(int64_t token, const DecodingOptions& options) {
  if (options.compat_original) return true;
  return token != kPad && token != kSos && (options.allow_unknown || token != kUnk);
}

int64_t banned(const DecodingOptions& options) {
  if (options.compat_original) return 0;
  return options.allow_unknown ? 2 : 3;
}

Search::Search(Decoder& decoder, const Tensor& features, const DecodingOptions& options, const char* op)
    : decoder_(decoder),
      options_(options),
      op_(op),
      state_(decoder.start(features)),
      rows_(features.size(0)) {
  if (options.rules.given()) rules_.emplace(options.rules, options.max_words);
}

Tensor Search::next(const std::vector<int64_t>& parents, const std::vector<int64_t>& nodes) {
  const autograd::NoGrad no_grad;
  const auto n = static_cast<int64_t>(parents.size());
  bool same = n == rows_;
  for (int64_t i = 0; same && i < n; ++i) same = parents[static_cast<size_t>(i)] == i;
  if (!same) state_ = Decoder::select(state_, Tensor::from(parents, {n}));
  rows_ = n;
  Tensor logits;
  if (steps_ == 0 && options_.compat_original && decoder_.config().kind == DecoderKind::plain) {
    // The image has been fed; the original takes the first token, <sos>, from there.
    logits = decoder_.logits(state_.h.back());
  } else {
    std::vector<int64_t> tokens;
    for (const int64_t node : nodes) tokens.push_back(node == kNoNode ? int64_t{kSos} : token(node));
    logits = decoder_.step(state_, Tensor::from(tokens, {n}));
  }
  check(logits.rank() == 2 && logits.size(0) == n && logits.size(1) == decoder_.config().vocabulary,
        ErrorKind::internal, "{}: the decoder gave {} where ({}, {}) is needed", op_,
        tensor::describe(logits), n, decoder_.config().vocabulary);
  ++steps_;
  if (options_.attention)
    alphas_.push_back(state_.alpha.defined() ? state_.alpha.to(tensor::Device{}).to(DType::f32).clone()
                                             : Tensor());
  const Tensor result = autograd::log_softmax(logits).data().to(tensor::Device{}).contiguous();
  return rules_ ? keep_rules(result, nodes) : result;
}

Tensor Search::keep_rules(const Tensor& log_probabilities, const std::vector<int64_t>& nodes) const {
  Tensor result = log_probabilities.to(DType::f64).clone();
  const int64_t vocabulary = result.size(1);
  double* row = result.mutable_data<double>();
  for (const int64_t node : nodes) {
    expect_number(row[0]);
    std::vector<int64_t> tokens;
    for (const Node* each : path(node)) tokens.push_back(each->token);
    std::vector<bool> banned(static_cast<size_t>(vocabulary), false);
    rules_->ban(tokens, banned);
    for (int64_t token = 0; token < vocabulary; ++token)
      if (banned[static_cast<size_t>(token)]) row[token] = -INFINITY;
    row += vocabulary;
  }
  return result;
}

int64_t Search::add(int64_t parent, int64_t token, int64_t row) {
  nodes_.push_back({parent, token, row});
  return static_cast<int64_t>(nodes_.size()) - 1;
}

std::vector<const Node*> Search::path(int64_t node) const {
  std::vector<const Node*> path;
  for (int64_t at = node; at != kNoNode; at = nodes_[static_cast<size_t>(at)].parent)
    path.push_back(&nodes_[static_cast<size_t>(at)]);
  std::reverse(path.begin(), path.end());
  return path;
}

Hypothesis Search::hypothesis(int64_t node, double log_probability) const {
  const std::vector<const Node*> path = this->path(node);
  Hypothesis result;
  result.log_probability = log_probability;
  result.score = score_of(log_probability, static_cast<int64_t>(path.size()), options_);
  result.finished = !path.empty() && path.back()->token == kEos;
  if (!(options_.compat_original && decoder_.config().kind == DecoderKind::plain)) result.ids.push_back(kSos);
  for (size_t step = 0; step < path.size(); ++step) {
    const int64_t token = path[step]->token;
    result.ids.push_back(token);
    if (token == kSos || token == kEos) continue;
    result.words.push_back(token);
    if (step >= alphas_.size() || !alphas_[step].defined()) continue;
    const int64_t places = alphas_[step].size(1);
    const float* alpha = alphas_[step].data<float>() + path[step]->row * places;
    result.attention.emplace_back(alpha, alpha + places);
  }
  return result;
}

void expect_number(double log_probability) {
  check(!std::isnan(log_probability), ErrorKind::data,
        "decoding: the decoder's output is not a number; its weights or the features are damaged");
}

std::vector<std::vector<Likely>> likeliest(const Tensor& log_probabilities, int64_t count,
                                           const DecodingOptions& options) {
  const int64_t k = std::min(count + banned(options), log_probabilities.size(1));
  const autograd::TopK top = autograd::topk(log_probabilities, k);
  const std::vector<double> values = top.values.to(DType::f64).to_vector<double>();
  const int64_t* tokens = top.indices.data<int64_t>();
  std::vector<std::vector<Likely>> rows(static_cast<size_t>(log_probabilities.size(0)));
  for (size_t r = 0; r < rows.size(); ++r) {
    rows[r].reserve(static_cast<size_t>(count));
    for (int64_t j = 0; j < k && static_cast<int64_t>(rows[r].size()) < count; ++j) {
      const size_t i = r * static_cast<size_t>(k) + static_cast<size_t>(j);
      expect_number(values[i]);
      if (values[i] == -INFINITY) break;
      if (allowed(tokens[i], options)) rows[r].push_back({tokens[i], values[i]});
    }
  }
  return rows;
}

}  // namespace imgcap::internal
