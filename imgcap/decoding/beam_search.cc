#include "imgcap/decoding/beam_search.h"

#include <algorithm>
#include <functional>

#include "imgcap/data/vocabulary.h"
#include "imgcap/decoding/device_search.h"
#include "imgcap/decoding/search_steps.h"

namespace imgcap {
namespace {

using internal::Beam;
using internal::Candidate;
using internal::kNoNode;
using internal::Likely;
using internal::NextTokens;
using internal::Search;

// The best finished ones; where there are too few, the best unfinished ones after them.
std::vector<Hypothesis> best_of(Search& search, const std::vector<Beam>& finished,
                                const std::vector<Beam>& unfinished, const BeamOptions& options) {
  std::vector<Hypothesis> list = search.ranked(finished);
  const auto wanted = static_cast<size_t>(options.nbest);
  if (list.size() < wanted) {
    std::vector<Hypothesis> rest = search.ranked(unfinished);
    std::move(rest.begin(), rest.end(), std::back_inserter(list));
  }
  if (list.size() > wanted) list.resize(wanted);
  return list;
}

// One image's search. The open beams are always in order of rank.
class ImageSearch {
 public:
  ImageSearch(Search& search, const BeamOptions& options, int64_t image)
      : search_(search), options_(options) {
    const auto width = static_cast<size_t>(options.beam);
    for (std::vector<Beam>* beams : {&open_, &next_, &finished_}) beams->reserve(width);
    unfinished_.reserve(2 * width);  // those that could not go on, and what is open at the end
    scores_.reserve(width);
    open_.push_back({kNoNode, 0, image});
  }

  bool done() const { return done_; }
  std::vector<Beam>& open() { return open_; }

  // likely[row]: how the beam in that row of the batch can go on.
  void advance(const NextTokens& likely) {
    find_candidates(likely);
    const auto better = [](const Candidate& a, const Candidate& b) {
      if (a.log_probability != b.log_probability) return a.log_probability > b.log_probability;
      return a.next.token != b.next.token ? a.next.token < b.next.token : a.beam < b.beam;
    };
    // A beam gives at most one <eos>, so twice the width has all that can be taken.
    const size_t kept = std::min(candidates_.size(), 2 * static_cast<size_t>(options_.beam));
    std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(kept),
                      candidates_.end(), better);
    const bool last = search_.steps() == internal::step_limit(options_);
    const auto width = static_cast<size_t>(options_.beam);
    goes_on_.assign(open_.size(), false);
    next_.clear();
    for (size_t rank = 0; rank < kept; ++rank) {
      const Candidate& candidate = candidates_[rank];
      if (candidate.next.token == kEos) {
        if (rank >= width || finished_.size() >= width) continue;
        goes_on_[static_cast<size_t>(candidate.beam)] = true;
        finished_.push_back(extend(candidate));
        scores_.push_back(internal::score_of(candidate.log_probability, search_.steps(), options_));
      } else if (!last && next_.size() < width) {
        next_.push_back(extend(candidate));
      }
    }
    // A beam without any continuation, or at the limit of words, is a caption only when there are no better.
    for (size_t b = 0; b < open_.size(); ++b)
      if (!goes_on_[b] && (last || likely[open_[b].row].empty())) unfinished_.push_back(open_[b]);
    std::swap(open_, next_);
    done_ = open_.empty() || finished_.size() >= width || cannot_improve();
  }

  // Ends it here: what is open are captions when there are no better.
  void stop() {
    unfinished_.insert(unfinished_.end(), open_.begin(), open_.end());
    done_ = true;
  }

  std::vector<Hypothesis> results() const { return best_of(search_, finished_, unfinished_, options_); }

  std::vector<int64_t> leading() const {
    std::vector<Beam> all = finished_;
    if (!open_.empty()) all.push_back(open_.front());
    return search_.ranked(all.empty() ? unfinished_ : all).front().words;
  }

 private:
  // Every continuation of every open beam, in the order of the beams.
  void find_candidates(const NextTokens& likely) {
    candidates_.clear();
    for (size_t b = 0; b < open_.size(); ++b)
      for (const Likely& next : likely[open_[b].row])
        candidates_.push_back(
            {static_cast<int64_t>(b), next, open_[b].log_probability + next.log_probability});
  }

  Beam extend(const Candidate& candidate) {
    const Beam& parent = open_[static_cast<size_t>(candidate.beam)];
    return {search_.add(parent.node, candidate.next, parent.row), candidate.log_probability, parent.row};
  }

  // No open beam can come to a score above the nbest finished ones: log-probabilities only fall and the
  // longest caption divides them by most. Equals come later and so stand behind.
  bool cannot_improve() {
    const auto wanted = static_cast<size_t>(options_.nbest);
    if (scores_.size() < wanted) return false;
    std::sort(scores_.begin(), scores_.end(), std::greater<>());
    const double bound = internal::score_of(std::min(open_.front().log_probability, 0.0),
                                            internal::step_limit(options_), options_);
    return bound <= scores_[wanted - 1];
  }

  Search& search_;
  const BeamOptions& options_;
  std::vector<Beam> open_, finished_, unfinished_;
  std::vector<double> scores_;  // of the finished ones
  // Of the current step.
  std::vector<Candidate> candidates_;
  std::vector<bool> goes_on_;
  std::vector<Beam> next_;
  bool done_ = false;
};

}  // namespace

std::vector<std::vector<Hypothesis>> beam_search(Decoder& decoder, const Tensor& features,
                                                 const BeamOptions& options, const SearchWatch& watch) {
  internal::expect_decodable(decoder, features, options, "beam_search");
  internal::expect_beam(options, decoder.config().vocabulary, "beam_search");
  if (features.size(0) == 0) return {};

  Search search(decoder, features, options, options.beam, "beam_search");
  std::vector<std::vector<Hypothesis>> captions;
  if (internal::stays_on_device(decoder, options, watch, options.beam)) {
    for (const auto& [finished, unfinished] :
         internal::beams_on_device(search, features.size(0), options, watch))
      captions.push_back(best_of(search, finished, unfinished, options));
    return captions;
  }
  std::vector<ImageSearch> images;
  for (int64_t image = 0; image < features.size(0); ++image) images.emplace_back(search, options, image);
  const std::vector<int64_t> forbidden = internal::forbidden(options);
  std::vector<int64_t> parents, nodes;
  NextTokens likely;
  while (true) {
    parents.clear(), nodes.clear();
    for (size_t i = 0; i < images.size(); ++i) {
      if (!images[i].done() && watch.stop && watch.stop(static_cast<int64_t>(i))) images[i].stop();
      if (images[i].done()) continue;
      for (Beam& beam : images[i].open()) {
        parents.push_back(beam.row);
        nodes.push_back(beam.node);
        beam.row = static_cast<int64_t>(parents.size()) - 1;
      }
    }
    if (parents.empty()) break;
    // One more than the beam, for an <eos> that takes no place among the open ones.
    likely.take_likeliest(search.next(parents, nodes), options.beam + 1, forbidden);
    for (size_t i = 0; i < images.size(); ++i) {
      if (images[i].done()) continue;
      images[i].advance(likely);
      if (watch.leading) watch.leading(static_cast<int64_t>(i), images[i].leading());
    }
  }
  for (const ImageSearch& image : images) captions.push_back(image.results());
  return captions;
}

}  // namespace imgcap
