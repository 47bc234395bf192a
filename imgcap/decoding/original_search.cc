// The original program's beam search: what beam_search.h says of hundred_steps_search().
#include <algorithm>

#include "imgcap/data/vocabulary.h"
#include "imgcap/decoding/beam_search.h"
#include "imgcap/decoding/search_steps.h"
#include "tensor/error.h"

namespace imgcap {
namespace {

using internal::Beam;
using internal::Candidate;
using internal::kNoNode;
using internal::Likely;
using internal::NextTokens;

constexpr int64_t kSteps = 100;

class OriginalSteps final : public internal::Search {
 public:
  using Search::Search;

 private:
  // The plain model's first token, <sos>, comes from the state that the image has left; nothing is fed.
  Tensor feed(DecodingState& state, const Tensor& tokens) override {
    if (steps() > 0 || decoder().config().kind != DecoderKind::plain) return Search::feed(state, tokens);
    return decoder().logits(state.h.back());
  }
};

// One image's search. The open beams are in order of rank, with those that ended in the last step.
class ImageSearch {
 public:
  ImageSearch(internal::Search& search, const BeamOptions& options, int64_t image)
      : search_(search), options_(options) {
    open_.push_back({kNoNode, 0, image});
  }

  bool done() const { return done_; }
  void stop() { done_ = true; }
  std::vector<Beam>& open() { return open_; }
  bool ended(const Beam& beam) const { return beam.node != kNoNode && search_.token(beam.node) == kEos; }

  // likely[row]: how the beam in that row of the batch can go on.
  void advance(const NextTokens& likely) {
    std::vector<Candidate> ranked;
    for (size_t b = 0; b < open_.size(); ++b) {
      const Beam& beam = open_[b];
      if (ended(beam)) {
        counted_.push_back(beam);
        continue;
      }
      for (const Likely& next : likely[beam.row])
        ranked.push_back({static_cast<int64_t>(b), next, beam.log_probability + next.log_probability});
    }
    if (ranked.empty()) {
      done_ = true;
      return;
    }
    std::stable_sort(ranked.begin(), ranked.end(), [](const Candidate& a, const Candidate& b) {
      return a.log_probability > b.log_probability;
    });
    const size_t width = std::min(ranked.size(), static_cast<size_t>(options_.beam));
    std::vector<Beam> next;
    for (size_t rank = 0; rank < width; ++rank) {
      const Beam& parent = open_[static_cast<size_t>(ranked[rank].beam)];
      next.push_back({search_.add(parent.node, ranked[rank].next, parent.row), ranked[rank].log_probability,
                      parent.row});
    }
    open_ = std::move(next);
    done_ = counted_.size() >= static_cast<size_t>(options_.beam) || search_.steps() == kSteps;
  }

  std::vector<Hypothesis> results(bool prints_sos) const {
    std::vector<Hypothesis> list = search_.ranked(counted_.empty() ? open_ : counted_);
    if (list.size() > static_cast<size_t>(options_.nbest)) list.resize(static_cast<size_t>(options_.nbest));
    for (Hypothesis& each : list)
      if (!prints_sos) each.ids.erase(each.ids.begin());
    return list;
  }

  std::vector<int64_t> leading() const {
    std::vector<Beam> all = counted_;
    all.insert(all.end(), open_.begin(), open_.end());
    return search_.ranked(all).front().words;
  }

 private:
  internal::Search& search_;
  const BeamOptions& options_;
  std::vector<Beam> open_, counted_;
  bool done_ = false;
};

}  // namespace

std::vector<std::vector<Hypothesis>> hundred_steps_search(Decoder& decoder, const Tensor& features,
                                                          const BeamOptions& options,
                                                          const SearchWatch& watch) {
  constexpr const char* kOp = "hundred_steps_search";
  internal::expect_decoder(decoder, features, kOp);
  internal::expect_beam(options, decoder.config().vocabulary, kOp);
  tensor::check(!options.rules.given(), tensor::ErrorKind::argument,
                "{}: the original's search has no rules of what captions say", kOp);
  tensor::check(options.range == WordRange(), tensor::ErrorKind::argument,
                "{}: the original's search knows no languages", kOp);
  if (features.size(0) == 0) return {};

  BeamOptions sums = options;  // what the steps read
  sums.length_exponent = 0;
  OriginalSteps search(decoder, features, sums, sums.beam, kOp);
  std::vector<ImageSearch> images;
  for (int64_t image = 0; image < features.size(0); ++image) images.emplace_back(search, sums, image);
  const auto open = [&](const ImageSearch& image) { return !image.done(); };
  std::vector<int64_t> parents, nodes;
  NextTokens likely;
  while (std::any_of(images.begin(), images.end(), open)) {
    parents.clear(), nodes.clear();
    for (size_t i = 0; i < images.size(); ++i) {
      if (open(images[i]) && watch.stop && watch.stop(static_cast<int64_t>(i))) images[i].stop();
      if (!open(images[i])) continue;
      for (Beam& beam : images[i].open()) {
        if (images[i].ended(beam)) continue;
        parents.push_back(beam.row);
        nodes.push_back(beam.node);
        beam.row = static_cast<int64_t>(parents.size()) - 1;
      }
    }
    if (!parents.empty()) likely.take_likeliest(search.next(parents, nodes), options.beam, {});
    for (size_t i = 0; i < images.size(); ++i) {
      if (!open(images[i])) continue;
      images[i].advance(likely);
      if (watch.leading) watch.leading(static_cast<int64_t>(i), images[i].leading());
    }
  }
  std::vector<std::vector<Hypothesis>> captions;
  const bool prints_sos = decoder.config().kind != DecoderKind::plain;
  for (const ImageSearch& image : images) captions.push_back(image.results(prints_sos));
  return captions;
}

}  // namespace imgcap
