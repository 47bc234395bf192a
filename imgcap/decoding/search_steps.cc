#include "imgcap/decoding/search_steps.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "imgcap/data/vocabulary.h"
#include "tensor/error.h"
#include "tensor/fetched.h"
#include "tensor/kernels.h"

namespace imgcap::internal {

using tensor::check;
using tensor::DType;
using tensor::ErrorKind;

void expect_decoder(const Decoder& decoder, const Tensor& features, const char* op) {
  check(features.defined() && features.rank() == 3, ErrorKind::shape,
        "{}: features {} where (images, places, channels) are needed", op, tensor::describe(features));
  check(decoder.config().vocabulary > kEos, ErrorKind::argument,
        "{}: a vocabulary of {} has no place for the special tokens", op, decoder.config().vocabulary);
  check(!decoder.training(), ErrorKind::argument,
        "{}: the decoder is in training mode and would drop out; call eval() first", op);
}

void expect_beam(const BeamOptions& options, int64_t vocabulary, const char* op) {
  check(options.beam >= 1 && options.beam <= vocabulary, ErrorKind::argument,
        "{}: beam is {}; it has to be from 1 to the vocabulary's {}", op, options.beam, vocabulary);
  check(options.nbest >= 1 && options.nbest <= options.beam, ErrorKind::argument,
        "{}: nbest is {}; it has to be from 1 to the beam's {}", op, options.nbest, options.beam);
}

void expect_range(const WordRange& range, int64_t vocabulary, const char* op) {
  if (range == WordRange()) return;
  check(range.start >= 0 && range.start < vocabulary && range.first >= kSpecialTokens &&
            range.first <= range.end && range.end <= vocabulary && !range.has(range.start),
        ErrorKind::argument, "{}: words from {} to {} that begin with {}, of a vocabulary of {}", op,
        range.first, range.end, range.start, vocabulary);
}

void expect_decodable(const Decoder& decoder, const Tensor& features, const DecodingOptions& options,
                      const char* op) {
  check(options.kind == SearchKind::standard, ErrorKind::argument,
        "{}: another kind of search is for find_captions(), which chooses", op);
  expect_decoder(decoder, features, op);
  check(options.max_words >= 1 && options.max_words <= kMostWords, ErrorKind::argument,
        "{}: max_words is {}; it has to be from 1 to {}", op, options.max_words, kMostWords);
  check(std::isfinite(options.length_exponent) && options.length_exponent >= 0, ErrorKind::argument,
        "{}: length_exponent is {}; it has to be a number from 0 on", op, options.length_exponent);
  expect_range(options.range, decoder.config().vocabulary, op);
  validate(options.rules, decoder.config().vocabulary, options.max_words, op);
}

Tensor rows_of(const Tensor& features, const std::vector<int64_t>& which) {
  Tensor rows = Tensor::empty({std::ssize(which), features.size(1), features.size(2)}, features.dtype(),
                              features.device());
  for (int64_t to = 0; const int64_t from : which) rows.select(0, to++).copy_(features.select(0, from));
  return rows;
}

int64_t step_limit(const DecodingOptions& options) { return options.max_words + 1; }

double score_divisor(int64_t length, const DecodingOptions& options) {
  return std::pow(static_cast<double>(std::max<int64_t>(length, 1)), options.length_exponent);
}

double score_of(double log_probability, int64_t length, const DecodingOptions& options) {
  return log_probability / score_divisor(length, options);
}

std::vector<int64_t> forbidden(const DecodingOptions& options) {
  std::vector<int64_t> tokens = {kPad, kSos};
  if (!options.allow_unknown) tokens.push_back(kUnk);
  return tokens;
}

tensor::TokenList token_list(const std::vector<int64_t>& tokens) {
  tensor::TokenList list;
  check(tokens.size() <= std::size(list.tokens), ErrorKind::internal, "decoding: {} forbidden tokens",
        tokens.size());
  std::copy(tokens.begin(), tokens.end(), list.tokens);
  return list;
}

// Numbers of attention that room is made for beforehand: of many long captions it grows.
constexpr size_t kUsualAlphas = size_t{1} << 22;

Search::Search(Decoder& decoder, const Tensor& features, const DecodingOptions& options, int64_t beams,
               const char* op)
    : decoder_(decoder),
      device_(decoder.device()),
      options_(options),
      op_(op),
      state_(decoder.start(features.to(device_))),
      rows_(features.size(0)) {
  if (options.rules.given()) rules_.emplace(options.rules, options.max_words, options.range);
  // The original's search has a limit of its own and does not look at this one.
  const auto steps = static_cast<size_t>(std::clamp<int64_t>(options.max_words, 0, kUsualWords - 1) + 1);
  const auto most_rows = static_cast<size_t>(rows_ * beams);
  nodes_.reserve((steps + 1) * most_rows);  // of those that are open, and one <eos> each
  path_.reserve(steps);
  if (!options.attention) return;
  step_alphas_.reserve(steps);
  if (decoder.config().kind != DecoderKind::attention) return;
  alphas_.reserve(std::min(steps * most_rows * static_cast<size_t>(features.size(1)), kUsualAlphas));
}

Tensor Search::next(const std::vector<int64_t>& parents, const std::vector<int64_t>& nodes) {
  const auto n = static_cast<int64_t>(parents.size());
  bool same = n == rows_;
  for (int64_t i = 0; same && i < n; ++i) same = parents[static_cast<size_t>(i)] == i;
  Tensor rows;
  if (!same) {
    rows = parents_.take({n}, DType::i64);
    std::copy(parents.begin(), parents.end(), rows.mutable_data<int64_t>());
    rows = rows.to(device_);
  }
  Tensor tokens = tokens_.take({n}, DType::i64);
  std::transform(nodes.begin(), nodes.end(), tokens.mutable_data<int64_t>(),
                 [&](int64_t node) { return node == kNoNode ? options_.range.start : token(node); });
  Tensor log_probabilities = next(rows, tokens.to(device_));
  if (rules_) keep_rules(log_probabilities, nodes);
  return log_probabilities;
}

Tensor Search::next(const Tensor& parents, const Tensor& tokens) {
  const autograd::NoGrad no_grad;
  if (parents.defined()) state_.select(parents);
  rows_ = tokens.numel();
  const Tensor logits = feed(state_, tokens);
  check(logits.rank() == 2 && logits.size(0) == rows_ && logits.size(1) == decoder_.config().vocabulary,
        ErrorKind::internal, "{}: the decoder gave {} where ({}, {}) is needed", op_,
        tensor::describe(logits), rows_, decoder_.config().vocabulary);
  ++steps_;
  if (options_.attention) keep_attention();
  const Tensor x = tensor::is_half(logits.dtype()) ? logits.to(DType::f32) : logits.contiguous();
  Tensor log_probabilities = log_probabilities_.take(x.shape(), x.dtype(), x.device());
  tensor::kernels::log_softmax(log_probabilities, x);
  if (options_.range != WordRange()) keep_range(log_probabilities);
  return log_probabilities;
}

Tensor Search::feed(DecodingState& state, const Tensor& tokens) { return decoder_.step(state, tokens); }

void Search::keep_attention() {
  const bool looks = state_.alpha.defined();
  const size_t begin = step_alphas_.empty() ? 0 : step_alphas_.back().end;
  step_alphas_.push_back({begin, begin + (looks ? static_cast<size_t>(state_.alpha.numel()) : 0),
                          looks ? state_.alpha.size(1) : 0});
  if (!looks) return;
  const Tensor alpha = state_.alpha.to(DType::f32).contiguous();
  if (!device_.is_cpu()) return alphas_on_device_.push_back(alpha);
  alphas_.insert(alphas_.end(), alpha.data<float>(), alpha.data<float>() + alpha.numel());
}

// All at once, when somebody asks: steps do not wait for what only the results have.
void Search::fetch_attention() {
  if (alphas_on_device_.empty()) return;
  int64_t end = 0;
  for (const Tensor& alpha : alphas_on_device_) end += alpha.numel();
  Tensor all = Tensor::empty({end}, DType::f32, device_);
  end = 0;
  for (const Tensor& alpha : alphas_on_device_) {
    all.slice(0, end, end + alpha.numel()).copy_(alpha.view({alpha.numel()}));
    end += alpha.numel();
  }
  alphas_on_device_.clear();
  const Tensor fetched = tensor::Fetched(all).take();
  alphas_.insert(alphas_.end(), fetched.data<float>(), fetched.data<float>() + fetched.numel());
}

void Search::find_banned(int64_t node) {
  path_.clear();
  for (int64_t at = node; at != kNoNode; at = nodes_[static_cast<size_t>(at)].parent)
    path_.push_back(token(at));
  std::reverse(path_.begin(), path_.end());
  banned_.assign(static_cast<size_t>(decoder_.config().vocabulary), false);
  rules_->ban(path_, banned_);
}

void Search::keep_rules(Tensor& log_probabilities, const std::vector<int64_t>& nodes) {
  if (!device_.is_cpu()) return keep_rules_on_device(log_probabilities, nodes);
  const int64_t vocabulary = log_probabilities.size(1);
  tensor::dispatch_float(log_probabilities.dtype(), op_, [&]<class T>() {
    T* row = log_probabilities.mutable_data<T>();
    for (const int64_t node : nodes) {
      expect_number(static_cast<double>(row[0]));
      find_banned(node);
      for (int64_t token = 0; token < vocabulary; ++token)
        if (banned_[static_cast<size_t>(token)]) row[token] = -std::numeric_limits<T>::infinity();
      row += vocabulary;
    }
  });
}

// Which tokens those are follows from the words alone: they go up, and nothing comes down.
void Search::keep_rules_on_device(Tensor& log_probabilities, const std::vector<int64_t>& nodes) {
  Tensor banned = Tensor::empty(log_probabilities.shape(), DType::boolean);
  bool* row = banned.mutable_data<bool>();
  for (const int64_t node : nodes) {
    find_banned(node);
    row = std::copy(banned_.begin(), banned_.end(), row);
  }
  const Tensor never = Tensor::full({1}, -INFINITY, log_probabilities.dtype(), device_);
  tensor::kernels::where(log_probabilities, banned.to(device_), never, log_probabilities);
}

// The special tokens are the caller's (forbidden()).
void Search::keep_range(Tensor& log_probabilities) const {
  const int64_t n = log_probabilities.size(0), vocabulary = log_probabilities.size(1);
  const auto first = static_cast<std::ptrdiff_t>(options_.range.first),
             end = static_cast<std::ptrdiff_t>(options_.range.end);
  if (!log_probabilities.device().is_cpu()) {  // whoever takes words of it looks for NaN
    log_probabilities.slice(1, kSpecialTokens, options_.range.first).fill_(-INFINITY);
    log_probabilities.slice(1, options_.range.end, vocabulary).fill_(-INFINITY);
    return;
  }
  tensor::dispatch_float(log_probabilities.dtype(), op_, [&]<class T>() {
    T* row = log_probabilities.mutable_data<T>();
    for (int64_t r = 0; r < n; ++r, row += vocabulary) {
      expect_number(static_cast<double>(row[0]));
      std::fill(row + kSpecialTokens, row + first, -std::numeric_limits<T>::infinity());
      std::fill(row + end, row + vocabulary, -std::numeric_limits<T>::infinity());
    }
  });
}

int64_t Search::add(int64_t parent, const Likely& next, int64_t row) {
  nodes_.push_back({parent, next.token, row, next.log_probability});
  return static_cast<int64_t>(nodes_.size()) - 1;
}

std::vector<const Node*> Search::path(int64_t node) const {
  std::vector<const Node*> path;
  for (int64_t at = node; at != kNoNode; at = nodes_[static_cast<size_t>(at)].parent)
    path.push_back(&nodes_[static_cast<size_t>(at)]);
  std::reverse(path.begin(), path.end());
  return path;
}

Hypothesis Search::hypothesis(int64_t node, double log_probability) {
  fetch_attention();
  const std::vector<const Node*> path = this->path(node);
  Hypothesis result;
  result.log_probability = log_probability;
  result.score = score_of(log_probability, static_cast<int64_t>(path.size()), options_);
  result.finished = !path.empty() && path.back()->token == kEos;
  result.ids.push_back(options_.range.start);
  for (size_t step = 0; step < path.size(); ++step) {
    const int64_t token = path[step]->token;
    result.ids.push_back(token);
    if (token != kSos) result.token_log_probabilities.push_back(path[step]->log_probability);
    if (token == kSos || token == kEos) continue;
    result.words.push_back(token);
    if (step >= step_alphas_.size() || step_alphas_[step].places == 0) continue;
    const auto [begin, end, places] = step_alphas_[step];
    const float* alpha = alphas_.data() + begin + path[step]->row * places;
    result.attention.emplace_back(alpha, alpha + places);
  }
  return result;
}

void expect_number(double log_probability) {
  check(!std::isnan(log_probability), ErrorKind::data,
        "decoding: the decoder's output is not a number; its weights or the features are damaged");
}

namespace {

bool is_one_of(const std::vector<int64_t>& tokens, int64_t token) {
  return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
}

}  // namespace

NextTokens::Top NextTokens::likeliest(const Tensor& log_probabilities, int64_t k) {
  const int64_t n = log_probabilities.size(0);
  k = std::min(k, log_probabilities.size(1));
  const Device& device = log_probabilities.device();
  Top top{values_.take({n, k}, log_probabilities.dtype(), device), indices_.take({n, k}, DType::i64, device)};
  tensor::kernels::topk(top.values, top.tokens, log_probabilities, k);
  return top;
}

void NextTokens::take_likeliest(const Tensor& log_probabilities, int64_t count,
                                const std::vector<int64_t>& forbidden) {
  const auto [values, tokens] = likeliest(log_probabilities, count + std::ssize(forbidden));
  const Device& device = log_probabilities.device();
  if (device.is_cpu()) return take_likeliest(values, tokens, count, forbidden);
  // Both in one piece, so that a step waits once. f64 has all values and numbers of tokens.
  Tensor both = both_.take({2, values.size(0), values.size(1)}, DType::f64, device);
  both.select(0, 0).copy_(values);
  both.select(0, 1).copy_(tokens);
  both = tensor::Fetched(both).take();
  take_likeliest(both.select(0, 0), both.select(0, 1).to(DType::i64), count, forbidden);
}

void NextTokens::take_likeliest(const Tensor& top, const Tensor& indices, int64_t count,
                                const std::vector<int64_t>& forbidden) {
  const int64_t n = top.size(0), k = top.size(1);
  const int64_t* tokens = indices.data<int64_t>();
  tokens_.clear(), ends_.clear();
  tokens_.reserve(static_cast<size_t>(n * k));  // rules may leave a step few and the next one all
  tensor::dispatch_float(top.dtype(), "likeliest", [&]<class T>() {
    const T* values = top.data<T>();
    for (int64_t row = 0; row < n; ++row) {
      const size_t full = tokens_.size() + static_cast<size_t>(count);
      if (k > 0) expect_number(static_cast<double>(values[row * k]));  // a row is NaN as a whole
      for (int64_t i = row * k; i < (row + 1) * k && tokens_.size() < full; ++i) {
        const auto value = static_cast<double>(values[i]);
        expect_number(value);
        if (value == -INFINITY) break;
        if (!is_one_of(forbidden, tokens[i])) tokens_.push_back({tokens[i], value});
      }
      ends_.push_back(tokens_.size());
    }
  });
}

void draw_next(NextTokens& likely, const Tensor& tokens, const Tensor& chosen,
               const Tensor& log_probabilities, const Tensor& uniforms, const SamplingOptions& options) {
  const std::vector<int64_t> never = forbidden(options);
  tensor::DrawTokens draw{.tokens = tokens,
                          .chosen = chosen,
                          .log_probabilities = log_probabilities,
                          .uniforms = uniforms,
                          .forbidden = token_list(never),
                          .temperature = options.temperature,
                          .top_p = options.top_p};
  if (options.top_k > 0 && options.top_k < log_probabilities.size(1)) {
    const auto [values, indices] = likely.likeliest(log_probabilities, options.top_k + std::ssize(never));
    draw.log_probabilities = values;
    draw.indices = indices;
    draw.most = options.top_k;
  }
  tensor::kernels::draw_tokens(draw);
}

std::span<const Likely> NextTokens::operator[](int64_t row) const {
  const auto r = static_cast<size_t>(row);
  const size_t begin = r == 0 ? 0 : ends_[r - 1];
  return {tokens_.data() + begin, ends_[r] - begin};
}

}  // namespace imgcap::internal
