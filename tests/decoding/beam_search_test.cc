#include "imgcap/decoding/beam_search.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "autograd/ops.h"
#include "imgcap/decoding/sampling.h"
#include "tensor/error.h"
#include "toy_decoder.h"

using namespace tests;

namespace {

struct Found {
  std::vector<int64_t> words;
  double log_probability;
  double score;
};

// Every finished caption of at most max_words words, the best first.
std::vector<Found> enumerate(const Table& table, int64_t image, const BeamOptions& options) {
  std::vector<Found> all;
  std::vector<int64_t> words;
  const std::function<void(int64_t, int64_t, double)> visit = [&](int64_t before, int64_t last, double sum) {
    const std::vector<double> p = log_probabilities(table(image, before, last));
    const double total = sum + p[kEos];
    if (total != -INFINITY)
      all.push_back(
          {words, total, total / std::pow(static_cast<double>(words.size() + 1), options.length_exponent)});
    if (static_cast<int64_t>(words.size()) == options.max_words) return;
    for (size_t token = 0; token < p.size(); ++token) {
      const bool word = token >= kSpecialTokens || (options.allow_unknown && token == kUnk);
      if (!word || p[token] == -INFINITY) continue;
      words.push_back(static_cast<int64_t>(token));
      visit(last, static_cast<int64_t>(token), sum + p[token]);
      words.pop_back();
    }
  };
  visit(0, kSos, 0);
  std::stable_sort(all.begin(), all.end(), [](const Found& a, const Found& b) { return a.score > b.score; });
  return all;
}

struct Open {
  std::vector<int64_t> tokens;  // with <eos>
  double sum = 0;
};

int64_t back(const std::vector<int64_t>& tokens, size_t from_end) {
  if (tokens.size() >= from_end) return tokens[tokens.size() - from_end];
  return tokens.size() + 1 == from_end ? kSos : 0;
}

// The search as its header describes it, without any early stop but the number of finished captions: all
// finished ones, best first.
std::vector<Found> plain_beam_search(const Table& table, int64_t image, const BeamOptions& options) {
  std::vector<Open> open{{}};
  std::vector<Found> finished;
  const auto width = static_cast<size_t>(options.beam);
  for (int64_t step = 0; step <= options.max_words && finished.size() < width; ++step) {
    std::vector<Open> all;
    for (const Open& parent : open) {
      const auto p = log_probabilities(table(image, back(parent.tokens, 2), back(parent.tokens, 1)));
      for (size_t token = kEos; token < p.size(); ++token) {
        Open child = parent;
        child.tokens.push_back(static_cast<int64_t>(token));
        child.sum += p[token];
        all.push_back(child);
      }
    }
    std::stable_sort(all.begin(), all.end(), [](const Open& a, const Open& b) { return a.sum > b.sum; });
    open.clear();
    for (size_t rank = 0; rank < all.size(); ++rank) {
      const Open& child = all[rank];
      if (child.tokens.back() != kEos) {
        if (open.size() < width) open.push_back(child);
      } else if (rank < width && finished.size() < width) {
        finished.push_back(
            {{child.tokens.begin(), child.tokens.end() - 1},
             child.sum,
             child.sum / std::pow(static_cast<double>(child.tokens.size()), options.length_exponent)});
      }
    }
  }
  std::stable_sort(finished.begin(), finished.end(),
                   [](const Found& a, const Found& b) { return a.score > b.score; });
  return finished;
}

// By the kernel, to the last bit what the search sees: within 100 steps the same transitions come in another
// order and give the same sum but for rounding, and then rounding decides.
std::vector<double> kernel_log_probabilities(const std::vector<double>& logits) {
  return autograd::log_softmax(Tensor::from(logits, {1, static_cast<int64_t>(logits.size())}))
      .data()
      .to_vector<double>();
}

// The original program's search, line by line; what it would print, and its sum.
std::pair<std::vector<int64_t>, double> original_beam_search(const Table& table, int64_t image, size_t k,
                                                             const std::vector<double>& first_logits) {
  struct State {
    std::vector<int64_t> ids;
    double sum;
  };
  const bool plain = !first_logits.empty();
  std::vector<State> beams{{{}, 0}}, done;
  for (int step = 0; step < 100; ++step) {
    std::vector<State> candidates;
    for (const State& beam : beams) {
      if (!beam.ids.empty() && beam.ids.back() == kEos) {
        done.push_back(beam);
        continue;
      }
      std::vector<double> p;
      if (plain && step == 0)
        p = kernel_log_probabilities(first_logits);
      else if (plain)  // its first word is fed by the model itself
        p = kernel_log_probabilities(
            table(image, beam.ids.size() > 1 ? beam.ids[beam.ids.size() - 2] : 0, beam.ids.back()));
      else
        p = kernel_log_probabilities(table(image, back(beam.ids, 2), back(beam.ids, 1)));
      std::vector<size_t> order(p.size());
      for (size_t i = 0; i < p.size(); ++i) order[i] = i;
      std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] > p[b]; });
      for (size_t i = 0; i < k; ++i) {
        State next = beam;
        next.ids.push_back(static_cast<int64_t>(order[i]));
        next.sum += p[order[i]];
        candidates.push_back(next);
      }
    }
    if (candidates.empty()) break;
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const State& a, const State& b) { return a.sum > b.sum; });
    candidates.resize(std::min(candidates.size(), k));
    beams = candidates;
    if (done.size() >= k) break;
  }
  if (done.empty()) done = beams;
  const State* best = &done.front();
  for (const State& state : done)
    if (state.sum > best->sum) best = &state;
  std::vector<int64_t> ids = best->ids;
  if (!plain) ids.insert(ids.begin(), kSos);
  return {ids, best->sum};
}

void check_equal(const std::vector<Hypothesis>& got, const std::vector<Found>& expected, size_t count) {
  REQUIRE(got.size() >= count);
  REQUIRE(expected.size() >= count);
  for (size_t i = 0; i < count; ++i) {
    CAPTURE(i);
    CHECK(got[i].words == expected[i].words);
    CHECK(got[i].finished);
    CHECK(got[i].log_probability == doctest::Approx(expected[i].log_probability).epsilon(1e-12));
    CHECK(got[i].score == doctest::Approx(expected[i].score).epsilon(1e-12));
  }
}

}  // namespace

TEST_CASE("a wide beam finds what enumeration finds, for every length exponent") {
  struct Case {
    int64_t branches, max_words;
    bool unknown;
  };
  for (const Case c : {Case{2, 4, false}, Case{3, 2, false}, Case{6, 1, false}, Case{2, 2, true}})
    for (const double exponent : {0.0, 0.7, 1.0, 2.0})
      for (uint64_t seed = 0; seed < 4; ++seed) {
        CAPTURE(c.branches);
        CAPTURE(exponent);
        CAPTURE(seed);
        const Table table = sparse_table(64, seed, c.branches);
        ToyDecoder decoder(64, table);
        BeamOptions options;
        options.beam = 64;
        options.max_words = c.max_words;
        options.length_exponent = exponent;
        options.allow_unknown = c.unknown;
        for (const int64_t nbest : {1, 3, 7}) {
          options.nbest = nbest;
          const auto found = beam_search(decoder, images({0, 5}), options);
          REQUIRE(found.size() == 2);
          for (size_t i = 0; i < 2; ++i) {
            REQUIRE(found[i].size() == static_cast<size_t>(nbest));
            check_equal(found[i], enumerate(table, i == 0 ? 0 : 5, options), static_cast<size_t>(nbest));
          }
        }
      }
}

TEST_CASE("stopping early changes no result") {
  int64_t fewer = 0;
  for (uint64_t seed = 0; seed < 12; ++seed)
    for (const double exponent : {0.0, 0.7, 1.0, 1.5})
      for (const int64_t beam : {1, 2, 3, 5})
        for (const int64_t nbest : {int64_t{1}, (beam + 1) / 2, beam}) {
          CAPTURE(seed);
          CAPTURE(exponent);
          CAPTURE(beam);
          CAPTURE(nbest);
          const Table table = dense_table(10, seed, 6, 2);
          ToyDecoder decoder(10, table);
          BeamOptions options;
          options.beam = beam;
          options.nbest = nbest;
          options.max_words = 9;
          options.length_exponent = exponent;
          const auto found = beam_search(decoder, images({3}), options);
          const auto expected = plain_beam_search(table, 3, options);
          const size_t count = std::min(static_cast<size_t>(nbest), expected.size());
          check_equal(found[0], expected, count);
          CHECK(found[0].size() >= count);
          if (nbest == 1 && beam == 5) fewer += decoder.steps < 10;
        }
  CHECK(fewer > 0);  // or the stop would never come
}

TEST_CASE("a beam of one is greedy") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    ToyDecoder decoder(12, dense_table(12, seed, 5, 1));
    BeamOptions options;
    options.beam = 1;
    options.max_words = 6;
    options.attention = true;
    const auto found = beam_search(decoder, images({0, 1, 2, 3}), options);
    const auto expected = greedy(decoder, images({0, 1, 2, 3}), options);
    for (size_t i = 0; i < 4; ++i) {
      REQUIRE(found[i].size() == 1);
      CHECK(found[i][0].words == expected[i].words);
      CHECK(found[i][0].ids == expected[i].ids);
      CHECK(found[i][0].finished == expected[i].finished);
      CHECK(found[i][0].log_probability == expected[i].log_probability);
      CHECK(found[i][0].score == expected[i].score);
      CHECK(found[i][0].attention == expected[i].attention);
    }
  }
}

TEST_CASE("a batch of images gives what one image at a time gives, and ended ones leave it") {
  const Table table = dense_table(15, 8, 5, 1.5);
  BeamOptions options;
  options.beam = 4;
  options.nbest = 4;
  options.max_words = 12;
  options.attention = true;
  std::vector<double> numbers;
  for (int i = 0; i < 9; ++i) numbers.push_back(i);
  ToyDecoder together(15, table), alone(15, table);
  const auto found = beam_search(together, images(numbers), options);
  REQUIRE(found.size() == 9);
  for (size_t i = 0; i < 9; ++i) {
    const auto one = beam_search(alone, images({numbers[i]}), options)[0];
    REQUIRE(found[i].size() == one.size());
    for (size_t j = 0; j < one.size(); ++j) {
      CHECK(found[i][j].ids == one[j].ids);
      CHECK(found[i][j].log_probability == one[j].log_probability);
      CHECK(found[i][j].attention == one[j].attention);
    }
  }
  CHECK(together.rows == alone.rows);
  CHECK(together.steps < alone.steps);
}

TEST_CASE("hypotheses are in order, distinct, without special tokens, with the attention of each word") {
  const Table table = dense_table(9, 77, 3, 1);
  ToyDecoder decoder(9, table);
  BeamOptions options;
  options.beam = options.nbest = 6;
  options.max_words = 5;
  options.attention = true;
  const auto found = beam_search(decoder, images({4}), options)[0];
  REQUIRE(found.size() == 6);
  for (size_t i = 0; i < found.size(); ++i) {
    const Hypothesis& h = found[i];
    if (i > 0 && found[i - 1].finished == h.finished) CHECK(found[i - 1].score >= h.score);
    for (size_t j = 0; j < i; ++j) CHECK((found[j].words != h.words || found[j].finished != h.finished));
    std::vector<int64_t> ids = h.words;
    ids.insert(ids.begin(), kSos);
    if (h.finished) ids.push_back(kEos);
    CHECK(h.ids == ids);
    REQUIRE(h.attention.size() == h.words.size());
    for (size_t w = 0; w < h.words.size(); ++w) {
      CHECK(h.words[w] >= kSpecialTokens);
      CHECK(h.attention[w] == std::vector<float>{static_cast<float>(w == 0 ? kSos : h.words[w - 1]), 4});
    }
  }
  options.attention = false;
  CHECK(beam_search(decoder, images({4}), options)[0][0].attention.empty());
}

TEST_CASE("the length exponent decides between short and long captions") {
  // <eos> at once has 0.4; the word 4 has 0.6 and goes on surely, through 5 and 6, to <eos> with 0.5.
  const Table table = [](int64_t, int64_t, int64_t last) {
    std::vector<double> logits(8, -INFINITY);
    if (last == kSos) logits[kEos] = std::log(0.4), logits[4] = std::log(0.6);
    if (last == 4) logits[5] = 0;
    if (last == 5) logits[6] = 0;
    if (last == 6) logits[kEos] = logits[7] = std::log(0.5);
    if (last == 7) logits[kEos] = 0;
    return logits;
  };
  ToyDecoder decoder(8, table);
  BeamOptions options;
  options.beam = 3;
  options.length_exponent = 0;
  CHECK(beam_search(decoder, images({0}), options)[0][0].words.empty());
  CHECK(beam_search(decoder, images({0}), options)[0][0].score == doctest::Approx(std::log(0.4)));
  options.length_exponent = 1;
  const Hypothesis best = beam_search(decoder, images({0}), options)[0][0];
  CHECK(best.words == std::vector<int64_t>{4, 5, 6, 7});
  CHECK(best.score == doctest::Approx(std::log(0.3) / 5));
}

TEST_CASE("equals come in order of token, then of finishing") {
  const Table table = [](int64_t, int64_t, int64_t) { return std::vector<double>(10, 0.0); };
  ToyDecoder decoder(10, table);
  BeamOptions options;
  options.beam = options.nbest = 3;
  for (int repeat = 0; repeat < 2; ++repeat) {
    const auto found = beam_search(decoder, images({1, 1}), options);
    for (const auto& list : found) {
      REQUIRE(list.size() == 3);
      CHECK(list[0].words.empty());
      CHECK(list[1].words == std::vector<int64_t>{4});
      CHECK(list[2].words == std::vector<int64_t>{5});
      CHECK(list[0].score == list[2].score);
    }
  }
}

TEST_CASE("open captions are the fallback") {
  ToyDecoder endless(12, dense_table(12, 5, 4, -INFINITY));
  BeamOptions options;
  options.beam = options.nbest = 3;
  options.max_words = 4;
  const auto found = beam_search(endless, images({0}), options)[0];
  REQUIRE(found.size() == 3);
  for (const Hypothesis& h : found) {
    CHECK(!h.finished);
    CHECK(h.words.size() == 4);
    CHECK(h.ids.size() == 5);
    CHECK(h.score == doctest::Approx(h.log_probability / 4));
  }
  CHECK(found[0].score >= found[1].score);

  // Nothing may follow <sos>: only <pad> has probability.
  ToyDecoder stuck(6, [](int64_t, int64_t, int64_t) {
    std::vector<double> logits(6, -INFINITY);
    logits[kPad] = 0;
    return logits;
  });
  const auto nothing = beam_search(stuck, images({0}), options)[0];
  REQUIRE(nothing.size() == 1);
  CHECK(nothing[0].words.empty());
  CHECK(!nothing[0].finished);
  CHECK(nothing[0].score == 0);
  CHECK(!greedy(stuck, images({0}), options)[0].finished);
}

TEST_CASE("the original's search does what the original does") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain})
    for (uint64_t seed = 0; seed < 12; ++seed)
      for (const int64_t beam : {1, 2, 3, 5})
        for (const double eos : {2.0, -1.0, -200.0}) {
          CAPTURE(to_string(kind));
          CAPTURE(seed);
          CAPTURE(beam);
          CAPTURE(eos);
          const Table table = dense_table(11, seed, 4, eos);
          ToyDecoder decoder(11, table, kind);
          BeamOptions options;
          options.beam = beam;
          const auto found = hundred_steps_search(decoder, images({2, 0}), options);
          for (size_t i = 0; i < 2; ++i) {
            const int64_t image = i == 0 ? 2 : 0;
            std::vector<double> first;
            if (kind == DecoderKind::plain) {
              for (int64_t t = 0; t < 11; ++t) first.push_back(0.1 * static_cast<double>(t % 5));
              first[kSos] = 3;
              first[4] += 0.7 * static_cast<double>(image);
            }
            const auto [ids, sum] = original_beam_search(table, image, static_cast<size_t>(beam), first);
            REQUIRE(found[i].size() == 1);
            CHECK(found[i][0].ids == ids);
            CHECK(found[i][0].score == doctest::Approx(sum).epsilon(1e-12));
            CHECK(found[i][0].finished == (ids.back() == kEos));
          }
        }
}

TEST_CASE("errors name the option") {
  ToyDecoder decoder(8, dense_table(8, 1));
  const auto message = [&](const BeamOptions& options, const Tensor& features) -> std::string {
    try {
      beam_search(decoder, features, options);
    } catch (const tensor::Error& e) {
      return e.what();
    }
    return "";
  };
  const auto with = [](const std::function<void(BeamOptions&)>& change) {
    BeamOptions options;
    change(options);
    return options;
  };
  const Tensor one = images({0});
  CHECK(message(with([](auto& o) { o.beam = 0; }), one) ==
        "beam_search: beam is 0; it has to be from 1 to the vocabulary's 8");
  CHECK(message(with([](auto& o) { o.beam = 9; }), one) ==
        "beam_search: beam is 9; it has to be from 1 to the vocabulary's 8");
  CHECK(message(with([](auto& o) { o.beam = 8; }), one) == "");
  CHECK(message(with([](auto& o) { o.nbest = 6; }), one) ==
        "beam_search: nbest is 6; it has to be from 1 to the beam's 5");
  CHECK(message(with([](auto& o) { o.nbest = 0; }), one).find("nbest is 0") != std::string::npos);
  CHECK(message(with([](auto& o) { o.max_words = 0; }), one).find("max_words is 0") != std::string::npos);
  CHECK(message(with([](auto& o) { o.max_words = INT64_MAX; }), one).find("max_words is") !=
        std::string::npos);
  CHECK(message(with([](auto& o) { o.length_exponent = -1; }), one).find("length_exponent is -1") !=
        std::string::npos);
  CHECK(message(with([](auto& o) { o.length_exponent = NAN; }), one).find("length_exponent") !=
        std::string::npos);
  CHECK(message({}, Tensor::zeros({1, 1})).find("features (1, 1) f32") != std::string::npos);
  CHECK(message({}, {}).find("features undefined") != std::string::npos);
  CHECK(beam_search(decoder, Tensor::zeros({0, 1, 1}), {}).empty());
  decoder.train();
  CHECK(message({}, one).find("call eval()") != std::string::npos);
  ToyDecoder damaged(8, [](int64_t, int64_t, int64_t) { return std::vector<double>(8, NAN); });
  CHECK_THROWS_AS(beam_search(damaged, one, {}), tensor::Error);
  CHECK_THROWS_AS(greedy(damaged, one, {}), tensor::Error);
}
