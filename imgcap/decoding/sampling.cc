#include "imgcap/decoding/sampling.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <span>

#include "imgcap/data/vocabulary.h"
#include "imgcap/decoding/search_steps.h"
#include "tensor/error.h"

namespace imgcap {
namespace {

using internal::kNoNode;
using internal::Likely;
using internal::NextTokens;
using tensor::check;
using tensor::ErrorKind;

// The next token of each row of log-probabilities (n, vocabulary); nothing where none can be produced. The
// second argument has the rows' images.
using Chooser = std::function<std::vector<std::optional<Likely>>(const Tensor&, const std::vector<size_t>&)>;

// images * copies captions, an image's side by side.
std::vector<Hypothesis> decode(internal::Search& search, size_t images, size_t copies,
                               const DecodingOptions& options, const Chooser& choose,
                               const SearchWatch& watch) {
  struct Row {
    int64_t node = kNoNode;
    double log_probability = 0;
    int64_t row = 0;  // in the last batch; at first the image
  };
  std::vector<Row> rows;
  std::vector<size_t> open;
  for (size_t image = 0; image < images; ++image)
    for (size_t copy = 0; copy < copies; ++copy) {
      open.push_back(rows.size());
      rows.push_back({kNoNode, 0, static_cast<int64_t>(image)});
    }
  const auto image_of = [&](size_t row) { return row / copies; };
  const auto each_image = [&](const std::vector<size_t>& of, const auto& call) {
    for (size_t i = 0; i < of.size(); ++i)
      if (i == 0 || image_of(of[i]) != image_of(of[i - 1])) call(image_of(of[i]));
  };
  const auto end_stopped = [&] {
    std::vector<bool> stopped(images, false);
    each_image(open, [&](size_t image) { stopped[image] = watch.stop(static_cast<int64_t>(image)); });
    std::erase_if(open, [&](size_t row) { return stopped[image_of(row)]; });
  };
  std::vector<int64_t> parents, nodes;
  std::vector<size_t> at;
  for (int64_t left = internal::step_limit(options); left > 0; --left) {
    if (watch.stop) end_stopped();
    if (open.empty()) break;
    parents.clear(), nodes.clear(), at.clear();
    for (const size_t i : open) {
      parents.push_back(rows[i].row);
      nodes.push_back(rows[i].node);
      at.push_back(image_of(i));
    }
    const auto chosen = choose(search.next(parents, nodes), at);
    std::vector<size_t> still;
    for (size_t r = 0; r < open.size(); ++r) {
      // A word after the last allowed one is only looked at: the caption is finished if it is <eos>.
      if (!chosen[r] || (left == 1 && chosen[r]->token != kEos)) continue;
      Row& row = rows[open[r]];
      row.row = static_cast<int64_t>(r);
      row.node = search.add(row.node, *chosen[r], row.row);
      row.log_probability += chosen[r]->log_probability;
      if (chosen[r]->token != kEos) still.push_back(open[r]);
    }
    if (watch.leading)
      each_image(open, [&](size_t image) {
        const Row& first = rows[image * copies];
        watch.leading(static_cast<int64_t>(image),
                      search.hypothesis(first.node, first.log_probability).words);
      });
    open = std::move(still);
  }
  std::vector<Hypothesis> captions;
  for (const Row& row : rows) captions.push_back(search.hypothesis(row.node, row.log_probability));
  return captions;
}

// Tokens with their weights: probabilities up to a factor.
struct Weighted {
  Likely token;
  double weight;
};

// Leaves the fewest of the heaviest tokens that have `share` of the weight together. A heap, as few of a
// large vocabulary are wanted in order.
void keep_nucleus(std::vector<Weighted>& tokens, double share) {
  const auto lighter = [](const Weighted& a, const Weighted& b) {
    return a.weight != b.weight ? a.weight < b.weight : a.token.token > b.token.token;
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

std::optional<Likely> draw(std::span<const Likely> row, const SamplingOptions& options, double uniform) {
  if (row.empty()) return std::nullopt;
  double top = -INFINITY;
  for (const Likely& token : row) top = std::max(top, token.log_probability);
  std::vector<Weighted> tokens;
  tokens.reserve(row.size());
  for (const Likely& token : row)
    tokens.push_back({token, std::exp((token.log_probability - top) / options.temperature)});
  if (options.top_p < 1) keep_nucleus(tokens, options.top_p);
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
  return chosen->token;
}

}  // namespace

std::vector<Hypothesis> greedy(Decoder& decoder, const Tensor& features, const DecodingOptions& options) {
  internal::expect_decodable(decoder, features, options, "greedy");
  if (features.size(0) == 0) return {};
  internal::Search search(decoder, features, options, 1, "greedy");
  NextTokens tokens;
  const std::vector<int64_t> forbidden = internal::forbidden(options);
  const Chooser likeliest = [&](const Tensor& log_probabilities, const std::vector<size_t>&) {
    std::vector<std::optional<Likely>> chosen;
    tokens.take_likeliest(log_probabilities, 1, forbidden);
    for (int64_t r = 0; r < tokens.rows(); ++r)
      chosen.push_back(tokens[r].empty() ? std::nullopt : std::optional(tokens[r].front()));
    return chosen;
  };
  return decode(search, static_cast<size_t>(features.size(0)), 1, options, likeliest, {});
}

std::vector<std::vector<Hypothesis>> sample(Decoder& decoder, const Tensor& features,
                                            const SamplingOptions& options,
                                            const std::vector<tensor::Generator*>& generators,
                                            const SearchWatch& watch) {
  internal::expect_decodable(decoder, features, options, "sample");
  check(std::isfinite(options.temperature) && options.temperature > 0, ErrorKind::argument,
        "sample: temperature is {}; it has to be over 0 (greedy() always takes the likeliest word)",
        options.temperature);
  check(options.top_k >= 0, ErrorKind::argument, "sample: top_k is {}; it has to be 0 (all) or more",
        options.top_k);
  check(options.top_p > 0 && options.top_p <= 1, ErrorKind::argument,
        "sample: top_p is {}; it has to be over 0 and at most 1", options.top_p);
  check(options.samples >= 1, ErrorKind::argument, "sample: samples is {}; it has to be at least 1",
        options.samples);
  const auto images = static_cast<size_t>(features.size(0));
  check(generators.size() == images, ErrorKind::argument, "sample: {} generators for {} images",
        generators.size(), images);
  if (images == 0) return {};
  internal::Search search(decoder, features, options, options.samples, "sample");
  NextTokens tokens;
  const std::vector<int64_t> forbidden = internal::forbidden(options);
  const Chooser drawn = [&](const Tensor& log_probabilities, const std::vector<size_t>& image) {
    const bool all = options.top_k == 0 || options.top_k >= log_probabilities.size(1);
    if (all)
      tokens.take_all(log_probabilities, forbidden);
    else
      tokens.take_likeliest(log_probabilities, options.top_k, forbidden);
    std::vector<std::optional<Likely>> chosen;
    for (int64_t r = 0; r < tokens.rows(); ++r)
      chosen.push_back(draw(tokens[r], options, generators[image[static_cast<size_t>(r)]]->uniform()));
    return chosen;
  };
  const auto captions = decode(search, images, static_cast<size_t>(options.samples), options, drawn, watch);
  std::vector<std::vector<Hypothesis>> lists(images);
  for (size_t i = 0; i < captions.size(); ++i)
    lists[i / static_cast<size_t>(options.samples)].push_back(captions[i]);
  return lists;
}

std::vector<std::vector<Hypothesis>> sample(Decoder& decoder, const Tensor& features,
                                            const SamplingOptions& options, tensor::Generator& generator) {
  const auto images = features.defined() && features.rank() > 0 ? features.size(0) : 0;
  return sample(decoder, features, options,
                std::vector<tensor::Generator*>(static_cast<size_t>(images), &generator));
}

}  // namespace imgcap
