// How searches that stay on their device go on from step to step (BeamStep and SampleStep in kernel_options.h): once, for
// the host and for devices. What they do is what beam_search() and sample() of imgcap/decoding say.
#pragma once

#include <cstdint>

#include "tensor/host_device.h"
#include "tensor/kernel_options.h"
#include "tensor/philox.h"

namespace tensor {

// The memory of a BeamStep, and what it says beside it. `stop` may be null.
template <class T>
struct BeamMemory {
  int64_t *rows, *words;
  double *next_scores, *tree, *ended;
  int64_t* counts;
  uint8_t* state;
  const T* values;
  const int64_t* tokens;
  const double* scores;
  const uint8_t* stop;
  int64_t images, beam, width, k;
  int64_t nbest, end_token, step;
  TokenList forbidden;
  bool last;
  double divisor, divisor_before, divisor_at_last;

  explicit BeamMemory(BeamStep& s)
      : rows(s.rows.mutable_device_data<int64_t>()),
        words(s.words.mutable_device_data<int64_t>()),
        next_scores(s.next_scores.mutable_device_data<double>()),
        tree(s.tree.mutable_device_data<double>()),
        ended(s.ended.mutable_device_data<double>()),
        counts(s.counts.mutable_device_data<int64_t>()),
        state(s.state.mutable_device_data<uint8_t>()),
        values(s.values.device_data<T>()),
        tokens(s.tokens.device_data<int64_t>()),
        scores(s.scores.device_data<double>()),
        stop(s.stop.defined() ? s.stop.device_data<uint8_t>() : nullptr),
        images(s.scores.size(0)),
        beam(s.scores.size(1)),
        width(images == 0 ? 1 : s.values.size(0) / images),
        k(s.values.size(1)),
        nbest(s.nbest),
        end_token(s.end_token),
        step(s.step),
        forbidden(s.forbidden),
        last(s.last),
        divisor(s.divisor),
        divisor_before(s.divisor_before),
        divisor_at_last(s.divisor_at_last) {}
};

// One image's part of a BeamStep.
template <class T>
class BeamOfImage {
 public:
  IMGCAP_HOST_DEVICE BeamOfImage(const BeamMemory<T>& memory, int64_t image)
      : m_(memory),
        image_(image),
        count_(memory.counts + image * BeamCount::count),
        scores_(memory.scores + image * memory.beam) {}

  IMGCAP_HOST_DEVICE void advance() {
    clear_next();
    uint8_t& state = m_.state[image_];
    if (state != number(SearchState::goes_on)) return;
    const int64_t open = count_[BeamCount::open];
    if (m_.stop != nullptr && m_.stop[image_] != 0) {
      for (int64_t b = 0; b < open; ++b) add_unfinished(b);
      state = number(SearchState::done);
    } else if (has_nan(open)) {
      state = number(SearchState::not_a_number);
    } else {
      take_best(open);
      for (int64_t b = 0; b < open; ++b)
        if (m_.last ? !ends_now(b) : !goes_on(b)) add_unfinished(b);
      if (next_ == 0 || count_[BeamCount::finished] >= m_.beam || cannot_improve())
        state = number(SearchState::done);
    }
    count_[BeamCount::open] = state == number(SearchState::goes_on) ? next_ : 0;
  }

 private:
  // An open hypothesis gone on by a token.
  struct Candidate {
    double sum, log_probability;
    int64_t token, rank;

    IMGCAP_HOST_DEVICE bool before(const Candidate& other) const {
      if (sum != other.sum) return sum > other.sum;
      return token != other.token ? token < other.token : rank < other.rank;
    }
  };

  IMGCAP_HOST_DEVICE static constexpr uint8_t number(SearchState state) {
    return static_cast<uint8_t>(state);
  }
  IMGCAP_HOST_DEVICE int64_t place(int64_t rank) const { return image_ * m_.beam + rank; }
  IMGCAP_HOST_DEVICE int64_t row(int64_t rank) const { return image_ * m_.width + rank; }
  IMGCAP_HOST_DEVICE double* ended(int64_t list, int64_t i) const {
    return m_.ended + ((2 * image_ + list) * m_.beam + i) * BeamEnd::count;
  }

  // visit(token, its log-probability) for those that the open hypothesis may go on with, the likeliest first.
  template <class Visit>
  IMGCAP_HOST_DEVICE void for_each_next(int64_t rank, const Visit& visit) const {
    const T* values = m_.values + row(rank) * m_.k;
    const int64_t* tokens = m_.tokens + row(rank) * m_.k;
    int64_t left = m_.beam + 1;  // one more, as an end takes no place among the open ones
    for (int64_t i = 0; i < m_.k && left > 0; ++i) {
      const auto value = static_cast<double>(values[i]);
      if (value < -kLargest) return;  // -inf; a NaN is not
      if (m_.forbidden.has(tokens[i])) continue;
      visit(tokens[i], value);
      --left;
    }
  }

  IMGCAP_HOST_DEVICE bool has_nan(int64_t open) const {
    bool found = false;
    for (int64_t b = 0; b < open; ++b) {
      if (const T first = m_.values[row(b) * m_.k]; first != first) found = true;
      for_each_next(b, [&](int64_t, double value) { found = found || value != value; });
    }
    return found;
  }
  IMGCAP_HOST_DEVICE bool goes_on(int64_t rank) const {
    bool any = false;
    for_each_next(rank, [&](int64_t, double) { any = true; });
    return any;
  }
  IMGCAP_HOST_DEVICE bool ends_now(int64_t rank) const {
    for (int64_t i = 0; i < count_[BeamCount::finished]; ++i) {
      const double* end = ended(0, i);
      if (end[BeamEnd::tokens] == static_cast<double>(m_.step) &&
          end[BeamEnd::rank] == static_cast<double>(rank))
        return true;
    }
    return false;
  }

  // The places of the next step as if no hypothesis were open; rows and words are such as there are.
  IMGCAP_HOST_DEVICE void clear_next() const {
    const int64_t plane = m_.images * m_.beam;
    for (int64_t r = 0; r < m_.beam; ++r) {
      const int64_t at = place(r);
      m_.rows[at] = row(0);
      m_.words[at] = 0;
      m_.next_scores[at] = 0;
      m_.tree[at] = 0;
      m_.tree[plane + at] = -1;
      m_.tree[2 * plane + at] = 0;
    }
  }

  // The best candidates one after the other: twice the beam has all that can be taken, as a hypothesis has one end at most.
  // Time grows with the beam's third power, which small ones do not feel.
  IMGCAP_HOST_DEVICE void take_best(int64_t open) {
    Candidate taken{};
    const int64_t most = m_.last ? m_.beam : 2 * m_.beam;
    for (int64_t i = 0; i < most && (i < m_.beam || next_ < m_.beam); ++i) {
      Candidate best{};
      bool found = false;
      for (int64_t b = 0; b < open; ++b)
        for_each_next(b, [&](int64_t token, double value) {
          const Candidate here{scores_[b] + value, value, token, b};
          if ((i == 0 || taken.before(here)) && (!found || here.before(best))) best = here, found = true;
        });
      if (!found) return;
      taken = best;
      if (best.token != m_.end_token) {
        if (!m_.last && next_ < m_.beam) add_open(best);
      } else if (i < m_.beam && count_[BeamCount::finished] < m_.beam) {
        write_end(ended(0, count_[BeamCount::finished]++),
                  {m_.step, best.rank, best.log_probability, best.sum, best.sum / m_.divisor});
      }
    }
  }

  IMGCAP_HOST_DEVICE void add_open(const Candidate& candidate) {
    const int64_t at = place(next_++), plane = m_.images * m_.beam;
    m_.rows[at] = row(candidate.rank);
    m_.words[at] = candidate.token;
    m_.next_scores[at] = candidate.sum;
    m_.tree[at] = static_cast<double>(candidate.rank);
    m_.tree[plane + at] = static_cast<double>(candidate.token);
    m_.tree[2 * plane + at] = candidate.log_probability;
  }

  struct End {
    int64_t tokens, rank;
    double log_probability, sum, score;
  };
  IMGCAP_HOST_DEVICE static void write_end(double* to, const End& end) {
    to[BeamEnd::tokens] = static_cast<double>(end.tokens);
    to[BeamEnd::rank] = static_cast<double>(end.rank);
    to[BeamEnd::log_probability] = end.log_probability;
    to[BeamEnd::sum] = end.sum;
    to[BeamEnd::score] = end.score;
  }

  // As many of the best as can be wanted; equals in the order in which they come.
  IMGCAP_HOST_DEVICE void add_unfinished(int64_t rank) {
    const End end{m_.step - 1, rank, 0, scores_[rank], scores_[rank] / m_.divisor_before};
    int64_t& n = count_[BeamCount::unfinished];
    int64_t at = n;
    while (at > 0 && ended(1, at - 1)[BeamEnd::score] < end.score) --at;
    if (at >= m_.beam) return;
    if (n < m_.beam) ++n;
    for (int64_t i = n - 1; i > at; --i)
      for (int64_t part = 0; part < BeamEnd::count; ++part) ended(1, i)[part] = ended(1, i - 1)[part];
    write_end(ended(1, at), end);
  }

  // No open hypothesis can come to a score above that of the nbest finished ones.
  IMGCAP_HOST_DEVICE bool cannot_improve() const {
    const double best = m_.next_scores[place(0)], bound = (best < 0 ? best : 0) / m_.divisor_at_last;
    int64_t above = 0;
    for (int64_t i = 0; i < count_[BeamCount::finished]; ++i)
      if (ended(0, i)[BeamEnd::score] >= bound) ++above;
    return above >= m_.nbest;
  }

  static constexpr double kLargest = 0x1.fffffffffffffp+1023;

  const BeamMemory<T>& m_;
  int64_t image_;
  int64_t* count_;
  const double* scores_;
  int64_t next_ = 0;  // open hypotheses of the next step
};

// The memory of a SampleStep. `stop` may be null.
struct SampleMemory {
  int64_t* words;
  double* uniforms;
  uint8_t* next_state;
  int64_t* next_places;
  double* tree;
  const int64_t* tokens;
  const double* chosen;
  const uint8_t* state;
  const int64_t *places, *stream;
  const uint8_t* stop;
  int64_t n, end_token;
  bool last;

  explicit SampleMemory(SampleStep& s)
      : words(s.words.mutable_device_data<int64_t>()),
        uniforms(s.uniforms.mutable_device_data<double>()),
        next_state(s.next_state.mutable_device_data<uint8_t>()),
        next_places(s.next_places.mutable_device_data<int64_t>()),
        tree(s.tree.mutable_device_data<double>()),
        tokens(s.tokens.device_data<int64_t>()),
        chosen(s.chosen.device_data<double>()),
        state(s.state.device_data<uint8_t>()),
        places(s.places.device_data<int64_t>()),
        stream(s.stream.device_data<int64_t>()),
        stop(s.stop.defined() ? s.stop.device_data<uint8_t>() : nullptr),
        n(s.tokens.numel()),
        end_token(s.end_token),
        last(s.last) {}

  IMGCAP_HOST_DEVICE bool open(int64_t i) const {
    return state[i] == static_cast<uint8_t>(SearchState::goes_on);
  }
  // Whether this step gave it a token.
  IMGCAP_HOST_DEVICE bool goes(int64_t i) const {
    return open(i) && tokens[i] >= 0 && (!last || tokens[i] == end_token);
  }
  IMGCAP_HOST_DEVICE bool stays_open(int64_t i) const {
    return goes(i) && tokens[i] != end_token && (stop == nullptr || stop[i] == 0);
  }
};

// Caption i's part of a SampleStep.
IMGCAP_HOST_DEVICE inline void sample_step(const SampleMemory& m, int64_t i) {
  const bool open = m.open(i), goes = m.goes(i), stays = m.stays_open(i);
  const bool nan = open && m.tokens[i] == DrawTokens::kNotANumber;
  const int64_t none = open ? SampleStep::kNothing : SampleStep::kEnded;
  m.tree[i] = static_cast<double>(goes ? m.tokens[i] : none);
  m.tree[m.n + i] = goes ? m.chosen[i] : 0.0;
  m.words[i] = stays ? m.tokens[i] : 0;
  m.next_state[i] = nan ? static_cast<uint8_t>(SearchState::not_a_number)
                        : (open && !stays ? static_cast<uint8_t>(SearchState::done) : m.state[i]);
  int64_t drawn = 0, before = 0;  // of the stream: in this step; in the next one, before this caption
  for (int64_t other = 0; other < m.n; ++other) {
    if (m.stream[other] != m.stream[i]) continue;
    if (m.open(other)) ++drawn;
    if (other < i && m.stays_open(other)) ++before;
  }
  const int64_t seed = m.places[2 * i], next = m.places[2 * i + 1] + drawn;
  m.next_places[2 * i] = seed;
  m.next_places[2 * i + 1] = next;
  const PhiloxBlock block = philox(static_cast<uint64_t>(seed), static_cast<uint64_t>(next + before));
  m.uniforms[i] = uniform_double(block[0], block[1]);
}

}  // namespace tensor
