#include "imgcap/decoding/device_search.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>

#include "imgcap/data/vocabulary.h"
#include "tensor/fetched.h"
#include "tensor/kernels.h"
#include "tensor/philox.h"

namespace imgcap::internal {

using tensor::BeamCount;
using tensor::BeamEnd;
using tensor::DType;
using tensor::Fetched;
using tensor::SearchState;

namespace {

// What each step leaves, in blocks of some steps: how many there will be nobody knows.
class Trees {
 public:
  Trees(const Shape& of_a_step, const Device& device) : shape_(of_a_step), device_(device) {}

  Tensor next() {
    if (steps_ % kSteps == 0) {
      Shape shape{kSteps};
      for (int d = 0; d < shape_.rank(); ++d) shape.push_back(shape_[d]);
      blocks_.push_back(Tensor::empty(shape, DType::f64, device_));
    }
    return blocks_.back().select(0, steps_++ % kSteps);
  }
  // A tensor (steps, ...) each.
  std::vector<Tensor> written() const {
    std::vector<Tensor> blocks;
    for (size_t i = 0; i < blocks_.size(); ++i)
      blocks.push_back(blocks_[i].slice(0, 0, std::min(kSteps, steps_ - static_cast<int64_t>(i) * kSteps)));
    return blocks;
  }

 private:
  static constexpr int64_t kSteps = 32;

  Shape shape_;
  Device device_;
  int64_t steps_ = 0;
  std::vector<Tensor> blocks_;
};

// The numbers of all, one after the other, on the host: in one piece, so that they are waited for once.
std::vector<double> fetch_together(const std::vector<Tensor>& tensors, const Device& device) {
  int64_t end = 0;
  for (const Tensor& each : tensors) end += each.numel();
  const Tensor all = Tensor::empty({end}, DType::f64, device);
  end = 0;
  for (const Tensor& each : tensors) {
    all.slice(0, end, end + each.numel()).view(each.shape()).copy_(each);
    end += each.numel();
  }
  return Fetched(all).take().to_vector<double>();
}

// Which of the device's images, or captions, go on, as it was one step ago, and which somebody has stopped.
class Going {
  static constexpr uint8_t number(SearchState state) { return static_cast<uint8_t>(state); }

 public:
  Going(int64_t count, const Device& device)
      : device_(device),
        states_(static_cast<size_t>(count), number(SearchState::goes_on)),
        stopped_(static_cast<size_t>(count), 0) {}

  // Asks for those that go on; image(i) is whose hypotheses i are.
  template <class Image>
  void ask(const SearchWatch& watch, const Image& image) {
    if (!watch.stop) return;
    bool news = false;
    std::optional<int64_t> last;  // asked once for all of an image
    bool stops = false;
    for (size_t i = 0; i < states_.size(); ++i) {
      if (states_[i] != number(SearchState::goes_on) || stopped_[i] != 0) continue;
      const int64_t of = image(static_cast<int64_t>(i));
      if (last != of) stops = watch.stop(of), last = of;
      if (stops) stopped_[i] = 1, news = true;
    }
    if (news) stop_ = Tensor::from(stopped_, {std::ssize(stopped_)}).to(device_);
  }
  const Tensor& stop() const { return stop_; }  // undefined while nobody has
  bool stopped(size_t i) const { return stopped_[i] != 0; }
  // The states before the first step.
  Tensor as_asked() const {
    static_assert(number(SearchState::goes_on) == 0 && number(SearchState::done) == 1);
    return Tensor::from(stopped_, {std::ssize(stopped_)}).to(device_);
  }

  bool any() const {
    for (size_t i = 0; i < states_.size(); ++i)
      if (states_[i] == number(SearchState::goes_on) && stopped_[i] == 0) return true;
    return false;
  }

  // The states after a step. What they were after the one before is known from now on.
  void note(const Tensor& states) {
    Fetched now(states);
    if (before_) states_ = before_->take().to_vector<uint8_t>();
    before_.emplace(std::move(now));
  }

  static void expect_numbers(const double* states, int64_t count) {
    for (int64_t i = 0; i < count; ++i)
      if (states[i] == number(SearchState::not_a_number)) expect_number(NAN);
  }

 private:
  Device device_;
  std::vector<uint8_t> states_, stopped_;
  Tensor stop_;
  std::optional<Fetched> before_;
};

}  // namespace

bool stays_on_device(const Decoder& decoder, const DecodingOptions& options, const SearchWatch& watch,
                     int64_t beam) {
  constexpr int64_t kWidest = 32;
  return !decoder.device().is_cpu() && !options.rules.given() && !watch.leading && beam <= kWidest;
}

std::vector<EndedBeams> beams_on_device(Search& search, int64_t images, const BeamOptions& options,
                                        const SearchWatch& watch) {
  const Device device = search.device();
  const int64_t beam = options.beam, last = step_limit(options);
  const std::vector<int64_t> never = forbidden(options);
  const auto empty = [&](const Shape& shape, DType type) { return Tensor::empty(shape, type, device); };
  const auto zeros = [&](const Shape& shape, DType type) { return Tensor::zeros(shape, type, device); };
  Tensor rows, words = Tensor::full({images}, static_cast<double>(options.range.start), DType::i64, device);
  Tensor scores = zeros({images, beam}, DType::f64), next_scores = empty({images, beam}, DType::f64);
  const Tensor ended = zeros({images, 2, beam, BeamEnd::count}, DType::f64);
  const Tensor counts = zeros({images, BeamCount::count}, DType::i64), state = zeros({images}, DType::u8);
  counts.slice(1, BeamCount::open, BeamCount::open + 1).fill_(1);
  Trees trees({3, images, beam}, device);
  Going going(images, device);
  NextTokens likely;
  while (search.steps() < last) {
    going.ask(watch, [](int64_t image) { return image; });
    if (!going.any()) break;
    const Tensor log_probabilities = search.next(rows, words);
    const auto [values, tokens] = likely.likeliest(log_probabilities, beam + 1 + std::ssize(never));
    // Those of this step are read while the next ones are written.
    rows = empty({images * beam}, DType::i64), words = empty({images * beam}, DType::i64);
    const int64_t step = search.steps();
    tensor::kernels::beam_step({.rows = rows,
                                .words = words,
                                .next_scores = next_scores,
                                .tree = trees.next(),
                                .ended = ended,
                                .counts = counts,
                                .state = state,
                                .values = values,
                                .tokens = tokens,
                                .scores = scores,
                                .stop = going.stop(),
                                .nbest = options.nbest,
                                .end_token = kEos,
                                .forbidden = token_list(never),
                                .step = step,
                                .last = step == last,
                                .divisor = score_divisor(step, options),
                                .divisor_before = score_divisor(step - 1, options),
                                .divisor_at_last = score_divisor(last, options)});
    std::swap(scores, next_scores);
    going.note(state);
  }

  std::vector<Tensor> left{state, counts, ended, scores};
  for (const Tensor& block : trees.written()) left.push_back(block);
  const std::vector<double> numbers = fetch_together(left, device);
  const double* states = numbers.data();
  const double* count = states + images;
  const double* ends = count + counts.numel();
  const double* open_scores = ends + ended.numel();
  const double* tree = open_scores + scores.numel();
  Going::expect_numbers(states, images);
  const int64_t plane = images * beam;
  // nodes[s]: those of the hypotheses that were open after s tokens
  std::vector<std::vector<int64_t>> nodes{std::vector<int64_t>(static_cast<size_t>(images), kNoNode)};
  const auto width = [&](int64_t tokens) { return tokens == 0 ? 1 : beam; };
  for (int64_t step = 0; step < search.steps(); ++step, tree += 3 * plane) {
    std::vector<int64_t> after(static_cast<size_t>(plane), kNoNode);
    for (int64_t i = 0; i < plane; ++i) {
      const auto token = static_cast<int64_t>(tree[plane + i]);
      if (token < 0) continue;
      const int64_t row = i / beam * width(step) + static_cast<int64_t>(tree[i]);
      after[static_cast<size_t>(i)] =
          search.add(nodes.back()[static_cast<size_t>(row)], {token, tree[2 * plane + i]}, row);
    }
    nodes.push_back(std::move(after));
  }
  const auto node_at = [&](int64_t image, int64_t tokens, int64_t rank) {
    return nodes[static_cast<size_t>(tokens)][static_cast<size_t>(image * width(tokens) + rank)];
  };
  std::vector<EndedBeams> all(static_cast<size_t>(images));
  for (int64_t image = 0; image < images; ++image) {
    EndedBeams& beams = all[static_cast<size_t>(image)];
    const auto end = [&](int64_t list, int64_t i) {
      const double* e = ends + ((2 * image + list) * beam + i) * BeamEnd::count;
      return std::tuple(static_cast<int64_t>(e[BeamEnd::tokens]), static_cast<int64_t>(e[BeamEnd::rank]),
                        e[BeamEnd::log_probability], e[BeamEnd::sum]);
    };
    const auto how_many = [&](int64_t what) {
      return static_cast<int64_t>(count[image * BeamCount::count + what]);
    };
    for (int64_t i = 0; i < how_many(BeamCount::finished); ++i) {
      const auto [tokens, rank, of_end, sum] = end(0, i);
      const int64_t row = image * width(tokens - 1) + rank;
      beams.finished.push_back({search.add(node_at(image, tokens - 1, rank), {kEos, of_end}, row), sum, row});
    }
    for (int64_t i = 0; i < how_many(BeamCount::unfinished); ++i) {
      const auto [tokens, rank, of_end, sum] = end(1, i);
      beams.unfinished.push_back({node_at(image, tokens, rank), sum, 0});
    }
    // Those of an image that was stopped, where no step came after.
    for (int64_t rank = 0; rank < how_many(BeamCount::open); ++rank)
      beams.unfinished.push_back({node_at(image, search.steps(), rank), open_scores[image * beam + rank], 0});
  }
  return all;
}

std::vector<Beam> samples_on_device(Search& search, const SamplingOptions& options,
                                    const std::vector<tensor::Generator*>& generators,
                                    const SearchWatch& watch) {
  const Device device = search.device();
  const int64_t copies = options.samples, n = std::ssize(generators) * copies, last = step_limit(options);
  const auto there = [&](const std::vector<int64_t>& values, const Shape& shape) {
    return Tensor::from(values, shape).to(device);
  };
  const auto empty = [&](const Shape& shape, DType type) { return Tensor::empty(shape, type, device); };
  std::vector<int64_t> image(static_cast<size_t>(n)), stream, seeds_and_blocks;
  std::vector<double> first;
  std::vector<uint64_t> drawn(generators.size(), 0);  // at the first one of those that are equal
  const auto stream_of = [&](size_t image_of) {
    return static_cast<size_t>(std::find(generators.begin(), generators.end(), generators[image_of]) -
                               generators.begin());
  };
  Going going(n, device);
  const auto image_of = [&](int64_t row) { return row / copies; };
  going.ask(watch, image_of);
  for (size_t i = 0; i < image.size(); ++i) {
    image[i] = image_of(static_cast<int64_t>(i));
    const size_t from = stream_of(static_cast<size_t>(image[i]));
    const auto [seed, offset] = generators[from]->state();
    stream.push_back(static_cast<int64_t>(from));
    seeds_and_blocks.push_back(static_cast<int64_t>(seed));
    seeds_and_blocks.push_back(static_cast<int64_t>(offset));
    const auto block = tensor::philox(seed, offset + drawn[from]);
    if (!going.stopped(i)) ++drawn[from];
    first.push_back(tensor::uniform_double(block[0], block[1]));
  }
  std::fill(drawn.begin(), drawn.end(), 0);
  Tensor rows = copies == 1 ? Tensor() : there(image, {n}), uniforms = Tensor::from(first, {n}).to(device);
  Tensor words = Tensor::full({n}, static_cast<double>(options.range.start), DType::i64, device);
  Tensor places = there(seeds_and_blocks, {n, 2}), state = going.as_asked();
  const Tensor streams = there(stream, {n});
  Trees trees({2, n}, device);
  NextTokens likely;
  while (search.steps() < last && going.any()) {
    const Tensor log_probabilities = search.next(rows, words);
    rows = {};  // each caption goes on in its row
    const Tensor tokens = empty({n}, DType::i64), chosen = empty({n}, DType::f64);
    draw_next(likely, tokens, chosen, log_probabilities, uniforms, options);
    const bool ends = search.steps() == last;
    if (!ends) going.ask(watch, image_of);  // before the numbers of the next step are drawn
    tensor::SampleStep step{.words = empty({n}, DType::i64),
                            .uniforms = empty({n}, DType::f64),
                            .next_state = empty({n}, DType::u8),
                            .next_places = empty({n, 2}, DType::i64),
                            .tree = trees.next(),
                            .tokens = tokens,
                            .chosen = chosen,
                            .state = state,
                            .places = places,
                            .stream = streams,
                            .stop = going.stop(),
                            .end_token = kEos,
                            .last = ends};
    tensor::kernels::sample_step(step);
    words = step.words, uniforms = step.uniforms, state = step.next_state, places = step.next_places;
    going.note(state);
  }

  std::vector<Tensor> left{state};
  for (const Tensor& block : trees.written()) left.push_back(block);
  const std::vector<double> numbers = fetch_together(left, device);
  Going::expect_numbers(numbers.data(), n);
  const double* tree = numbers.data() + n;
  std::vector<Beam> captions(static_cast<size_t>(n));
  for (int64_t step = 0; step < search.steps(); ++step, tree += 2 * n)
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<size_t>(i);
      const auto token = static_cast<int64_t>(tree[i]);
      if (token == tensor::SampleStep::kEnded) continue;
      ++drawn[static_cast<size_t>(stream[at])];
      if (token == tensor::SampleStep::kNothing) continue;
      captions[at].node = search.add(captions[at].node, {token, tree[n + i]}, i);
      captions[at].log_probability += tree[n + i];
    }
  for (size_t i = 0; i < generators.size(); ++i) generators[i]->reserve(drawn[i]);
  return captions;
}

}  // namespace imgcap::internal
