#include <algorithm>
#include <cmath>
#include <vector>

#include "tensor/kernels.h"
#include "tensor/search_step.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

// A token with its weight: its probability up to a factor.
struct Weighted {
  int64_t token;
  double log_probability, weight;
};

// Leaves the fewest of the heaviest tokens that have `share` of the weight together. A heap, as few of a
// large vocabulary are wanted in order.
void keep_nucleus(std::vector<Weighted>& tokens, double share) {
  const auto lighter = [](const Weighted& a, const Weighted& b) {
    return a.weight != b.weight ? a.weight < b.weight : a.token > b.token;
  };
  double total = 0, kept = 0;
  for (const Weighted& token : tokens) total += token.weight;
  std::make_heap(tokens.begin(), tokens.end(), lighter);
  auto end = tokens.end();
  while (end != tokens.begin() && kept < share * total) {
    std::pop_heap(tokens.begin(), end, lighter);
    --end;
    kept += end->weight;
  }
  tokens.erase(tokens.begin(), end);
  std::reverse(tokens.begin(), tokens.end());  // heaviest first
}

struct Drawn {
  int64_t token;
  double log_probability;
};

Drawn draw(std::vector<Weighted>& tokens, const DrawTokens& a, double uniform) {
  if (tokens.empty()) return {DrawTokens::kNone, 0};
  double top = -INFINITY;
  for (const Weighted& token : tokens) top = std::max(top, token.log_probability);
  for (Weighted& token : tokens) token.weight = std::exp((token.log_probability - top) / a.temperature);
  if (a.top_p < 1) keep_nucleus(tokens, a.top_p);
  double total = 0;
  for (const Weighted& token : tokens) total += token.weight;
  double left = uniform * total;
  const Weighted* chosen = nullptr;
  for (const Weighted& token : tokens) {
    if (token.weight == 0) continue;  // underflow; never to be drawn
    chosen = &token;
    if (left < token.weight) break;
    left -= token.weight;
  }
  return {chosen->token, chosen->log_probability};
}

template <class T>
Drawn draw_from(const DrawTokens& a, const T* values, const int64_t* indices, double uniform) {
  const int64_t length = a.log_probabilities.size(1);
  int64_t left = a.most > 0 ? a.most : length;
  std::vector<Weighted> tokens;
  tokens.reserve(static_cast<size_t>(std::min(left, length)));
  for (int64_t i = 0; i < length && left > 0; ++i) {
    const auto value = static_cast<double>(values[i]);
    if (std::isnan(value)) return {DrawTokens::kNotANumber, 0};
    const int64_t token = indices != nullptr ? indices[i] : i;
    if (a.forbidden.has(token)) continue;
    if (value != -INFINITY) tokens.push_back({token, value, 0});
    --left;
  }
  return draw(tokens, a, uniform);
}

}  // namespace

void beam_step(BeamStep step) {
  dispatch_float(step.values.dtype(), "beam_step", [&]<class T>() {
    const BeamMemory<T> memory(step);
    for (int64_t image = 0; image < memory.images; ++image) BeamOfImage<T>(memory, image).advance();
  });
}

void sample_step(SampleStep step) {
  const SampleMemory memory(step);
  for (int64_t i = 0; i < memory.n; ++i) tensor::sample_step(memory, i);
}

void draw_tokens(DrawTokens a) {
  dispatch_float(a.log_probabilities.dtype(), "draw_tokens", [&]<class T>() {
    const int64_t rows = a.log_probabilities.size(0), length = a.log_probabilities.size(1);
    const T* values = a.log_probabilities.device_data<T>();
    const int64_t* indices = a.indices.defined() ? a.indices.device_data<int64_t>() : nullptr;
    const double* uniforms = a.uniforms.device_data<double>();
    auto* tokens = a.tokens.mutable_device_data<int64_t>();
    auto* chosen = a.chosen.mutable_device_data<double>();
    constexpr int64_t kTogether = 1 << 14;  // numbers that are not worth another thread
    parallel_for(rows, std::max<int64_t>(1, kTogether / std::max<int64_t>(length, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t row = begin; row < end; ++row) {
                     const Drawn drawn =
                         draw_from(a, values + row * length,
                                   indices != nullptr ? indices + row * length : nullptr, uniforms[row]);
                     tokens[row] = drawn.token;
                     chosen[row] = drawn.log_probability;
                   }
                 });
  });
}

}  // namespace tensor::cpu
