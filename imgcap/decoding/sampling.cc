#include "imgcap/decoding/sampling.h"

#include <algorithm>
#include <cmath>

#include "imgcap/data/vocabulary.h"
#include "imgcap/decoding/device_search.h"
#include "imgcap/decoding/search_steps.h"
#include "tensor/error.h"
#include "tensor/fetched.h"

namespace imgcap {
namespace {

using internal::kNoNode;
using internal::Likely;
using internal::NextTokens;
using tensor::check;
using tensor::ErrorKind;

// The token of each row and its log-probability, on the host; -1: none can be produced.
std::vector<Likely> draw_here(NextTokens& likely, const Tensor& log_probabilities, const Tensor& uniforms,
                              const SamplingOptions& options) {
  const int64_t n = log_probabilities.size(0);
  const tensor::Device device = log_probabilities.device();
  Tensor tokens = Tensor::empty({n}, tensor::DType::i64, device),
         chosen = Tensor::empty({n}, tensor::DType::f64, device);
  internal::draw_next(likely, tokens, chosen, log_probabilities, uniforms.to(device), options);
  if (!device.is_cpu()) {  // in one piece, so that a step waits once
    Tensor both = Tensor::empty({2, n}, tensor::DType::f64, device);
    both.select(0, 0).copy_(tokens);
    both.select(0, 1).copy_(chosen);
    both = tensor::Fetched(both).take();
    tokens = both.select(0, 0).to(tensor::DType::i64);
    chosen = both.select(0, 1);
  }
  std::vector<Likely> drawn;
  for (int64_t r = 0; r < n; ++r) {
    drawn.push_back({std::as_const(tokens).data<int64_t>()[r], std::as_const(chosen).data<double>()[r]});
    if (drawn.back().token == tensor::DrawTokens::kNotANumber) internal::expect_number(NAN);
  }
  return drawn;
}

// An image's captions side by side.
std::vector<Hypothesis> decode(internal::Search& search, const SamplingOptions& options,
                               const std::vector<tensor::Generator*>& generators, const SearchWatch& watch) {
  const size_t images = generators.size(), copies = static_cast<size_t>(options.samples);
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
  NextTokens likely;
  for (int64_t left = internal::step_limit(options); left > 0; --left) {
    if (watch.stop) end_stopped();
    if (open.empty()) break;
    parents.clear(), nodes.clear();
    Tensor uniforms = Tensor::empty({std::ssize(open)}, tensor::DType::f64);
    double* uniform = uniforms.mutable_data<double>();
    for (const size_t i : open) {
      parents.push_back(rows[i].row);
      nodes.push_back(rows[i].node);
      *uniform++ = generators[image_of(i)]->uniform();
    }
    const std::vector<Likely> chosen = draw_here(likely, search.next(parents, nodes), uniforms, options);
    std::vector<size_t> still;
    for (size_t r = 0; r < open.size(); ++r) {
      // A word after the last allowed one is only looked at: the caption is finished if it is <eos>.
      if (chosen[r].token < 0 || (left == 1 && chosen[r].token != kEos)) continue;
      Row& row = rows[open[r]];
      row.row = static_cast<int64_t>(r);
      row.node = search.add(row.node, chosen[r], row.row);
      row.log_probability += chosen[r].log_probability;
      if (chosen[r].token != kEos) still.push_back(open[r]);
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

}  // namespace

std::vector<Hypothesis> greedy(Decoder& decoder, const Tensor& features, const DecodingOptions& options) {
  internal::expect_decodable(decoder, features, options, "greedy");
  BeamOptions one;
  static_cast<DecodingOptions&>(one) = options;
  one.beam = one.nbest = 1;
  std::vector<Hypothesis> captions;
  for (std::vector<Hypothesis>& list : beam_search(decoder, features, one))
    captions.push_back(std::move(list.front()));
  return captions;
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
  std::vector<Hypothesis> captions;
  if (internal::stays_on_device(decoder, options, watch)) {
    for (const auto& [node, log_probability, row] :
         internal::samples_on_device(search, options, generators, watch))
      captions.push_back(search.hypothesis(node, log_probability));
  } else {
    captions = decode(search, options, generators, watch);
  }
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
