// Requests of one batch that want different searches: each is answered as if it were alone.
#include "imgcap/decoding/caption_search.h"

#include <doctest/doctest.h>

#include <thread>

#include "small_decoder.h"
#include "tensor/error.h"
#include "toy_decoder.h"

using namespace tests;
using tensor::ErrorKind;

namespace {

constexpr int64_t kPlaces = 9, kChannels = 64;

// Large enough that a library does the products, and another kernel for another number of rows.
DecoderConfig larger_config(DecoderKind kind) {
  DecoderConfig config = small_config(kind);
  config.vocabulary = 301;
  config.features = kChannels;
  config.embedding = 48;
  config.hidden = 96;
  config.attention = 64;
  return config;
}

std::vector<DecoderConfig> configs() {
  DecoderConfig tanh = larger_config(DecoderKind::plain);
  tanh.tanh_image = true;
  return {larger_config(DecoderKind::attention), larger_config(DecoderKind::plain), tanh};
}

BeamOptions beam_of(int64_t beam, int64_t nbest, int64_t max_words) {
  BeamOptions options;
  options.beam = beam;
  options.nbest = nbest;
  options.max_words = max_words;
  options.attention = true;
  return options;
}

// Every kind of search, in turn.
CaptionSearch search_of(size_t request) {
  BeamOptions original = beam_of(3, 2, 10);
  original.kind = SearchKind::hundred_steps;
  SamplingOptions drawn;
  drawn.max_words = 8;
  drawn.samples = 3;
  drawn.top_p = 0.9;
  BeamOptions ruled = beam_of(2, 1, 6);
  ruled.rules.no_repeat_ngram = 1;
  for (int64_t i = 0; i < 301; ++i) ruled.rules.tokens.push_back(" w" + std::to_string(i));
  const CaptionSearch all[] = {beam_of(5, 3, 10), beam_of(1, 1, 12), original, drawn, ruled};
  return all[request % std::size(all)];
}

using Lists = std::vector<std::vector<Hypothesis>>;

// The requests [begin, end) as one batch.
Lists find(Decoder& decoder, const Tensor& features, size_t begin, size_t end) {
  std::vector<tensor::Generator> generators;
  for (size_t i = begin; i < end; ++i) generators.emplace_back(100 + i);
  std::vector<SearchRequest> requests(end - begin);
  for (size_t i = begin; i < end; ++i) {
    requests[i - begin].search = search_of(i);
    requests[i - begin].generator = &generators[i - begin];
  }
  const Tensor rows = features.slice(0, static_cast<int64_t>(begin), static_cast<int64_t>(end));
  return find_captions(decoder, rows.contiguous(), requests);
}

bool equal(const Hypothesis& a, const Hypothesis& b) {
  return a.words == b.words && a.ids == b.ids && a.log_probability == b.log_probability &&
         a.score == b.score && a.finished == b.finished && a.attention == b.attention;
}

bool equal(const std::vector<Hypothesis>& a, const std::vector<Hypothesis>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Hypothesis& x, const Hypothesis& y) { return equal(x, y); });
}

}  // namespace

TEST_CASE("what is found has the same bits alone and in any batch, whatever the others want") {
  constexpr size_t kRequests = 40;
  for (const DecoderConfig& config : configs()) {
    CAPTURE(to_string(config.kind));
    CAPTURE(config.tanh_image);
    const auto decoder = decoder_of(config);
    const Tensor features = random_features(kRequests, kPlaces, kChannels);
    const Lists together = find(*decoder, features, 0, kRequests);
    REQUIRE(together.size() == kRequests);
    std::vector<std::vector<int64_t>> different;
    for (size_t i = 0; i < kRequests; ++i) {
      CAPTURE(i);
      CHECK(equal(find(*decoder, features, i, i + 1).front(), together[i]));
      different.push_back(together[i].front().words);
    }
    std::sort(different.begin(), different.end());
    CHECK(std::unique(different.begin(), different.end()) - different.begin() > 10);
    for (size_t begin = 0; begin < kRequests; begin += 7) {
      const size_t end = std::min(kRequests, begin + 7);
      const Lists some = find(*decoder, features, begin, end);
      for (size_t i = begin; i < end; ++i) CHECK(equal(some[i - begin], together[i]));
    }
  }
}

TEST_CASE("each search finds what it finds by itself") {
  const auto decoder = decoder_of(larger_config(DecoderKind::attention));
  const Tensor features = random_features(5, kPlaces, kChannels);
  const Lists found = find(*decoder, features, 0, 5);
  const auto one = [&](int64_t i) { return features.slice(0, i, i + 1).contiguous(); };
  tensor::Generator generator(103);
  CHECK(equal(found[0], beam_search(*decoder, one(0), std::get<BeamOptions>(search_of(0)))[0]));
  CHECK(equal(found[1], beam_search(*decoder, one(1), std::get<BeamOptions>(search_of(1)))[0]));
  CHECK(equal(found[2], hundred_steps_search(*decoder, one(2), std::get<BeamOptions>(search_of(2)))[0]));
  CHECK(equal(found[3], sample(*decoder, one(3), std::get<SamplingOptions>(search_of(3)), generator)[0]));
  CHECK(equal(found[4], beam_search(*decoder, one(4), std::get<BeamOptions>(search_of(4)))[0]));
  CHECK(found[0].size() == 3);
  CHECK(found[2].size() == 2);
  CHECK(found[3].size() == 3);
}

TEST_CASE("eight threads at once find what one finds") {
  constexpr size_t kRequests = 20, kThreads = 8;
  for (const DecoderConfig& config : configs()) {
    const Tensor features = random_features(kRequests, kPlaces, kChannels);
    const Lists expected = find(*decoder_of(config), features, 0, kRequests);
    const auto decoder = decoder_of(config);  // has not searched yet
    std::vector<Lists> found(kThreads);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        for (size_t begin = 0; begin < kRequests; begin += t + 1)
          for (auto& list : find(*decoder, features, begin, std::min(kRequests, begin + t + 1)))
            found[t].push_back(std::move(list));
      });
    for (std::thread& thread : threads) thread.join();
    for (const Lists& lists : found)
      CHECK(std::equal(lists.begin(), lists.end(), expected.begin(), expected.end(),
                       [](const auto& a, const auto& b) { return equal(a, b); }));
  }
}

TEST_CASE("a search that is stopped ends before its next step, and the others go on") {
  const Tensor features = random_features(10, kPlaces, kChannels);
  const auto decoder = decoder_of(larger_config(DecoderKind::attention));
  const Lists expected = find(*decoder, features, 0, 10);
  for (size_t stopped = 0; stopped < 5; ++stopped)
    for (const size_t steps : {0, 1, 3}) {
      CAPTURE(stopped);
      CAPTURE(steps);
      std::vector<tensor::Generator> generators;
      for (size_t i = 0; i < 10; ++i) generators.emplace_back(100 + i);
      std::vector<SearchRequest> requests(10);
      std::atomic<bool> stop = steps == 0;
      size_t seen = 0;
      for (size_t i = 0; i < 10; ++i) {
        requests[i].search = search_of(i);
        requests[i].generator = &generators[i];
      }
      requests[stopped].stop = &stop;
      requests[stopped].on_step = [&](const std::vector<int64_t>& words) {
        CHECK(words.size() <= ++seen);
        stop = seen == steps;
      };
      const Lists found = find_captions(*decoder, features, requests);
      CHECK(seen <= steps);
      for (size_t i = 0; i < 10; ++i) {
        if (i != stopped) CHECK(equal(found[i], expected[i]));
        REQUIRE(!found[i].empty());
      }
      for (const Hypothesis& h : found[stopped]) CHECK(h.words.size() <= steps);
    }
}

TEST_CASE("words are told as they are found") {
  for (const DecoderConfig& config : configs()) {
    const auto decoder = decoder_of(config);
    const Tensor features = random_features(5, kPlaces, kChannels);
    std::vector<tensor::Generator> generators;
    for (size_t i = 0; i < 5; ++i) generators.emplace_back(100 + i);
    std::vector<SearchRequest> requests(5);
    std::vector<std::vector<std::vector<int64_t>>> told(5);
    for (size_t i = 0; i < 5; ++i) {
      requests[i].search = search_of(i);
      requests[i].generator = &generators[i];
      requests[i].on_step = [&told, i](const std::vector<int64_t>& words) { told[i].push_back(words); };
    }
    const Lists found = find_captions(*decoder, features, requests);
    const Lists silent = find(*decoder, features, 0, 5);
    for (size_t i = 0; i < 5; ++i) CHECK(equal(found[i], silent[i]));
    for (const size_t i : {1, 3}) {  // one word after the other
      CAPTURE(i);
      std::vector<std::vector<int64_t>> expected;
      const Hypothesis& caption = found[i].front();
      for (size_t n = 1; n <= caption.words.size(); ++n)
        expected.emplace_back(caption.words.begin(), caption.words.begin() + static_cast<std::ptrdiff_t>(n));
      REQUIRE(told[i].size() >= expected.size());
      for (size_t n = 0; n < expected.size(); ++n) CHECK(told[i][n] == expected[n]);
      for (size_t n = expected.size(); n < told[i].size(); ++n) CHECK(told[i][n] == caption.words);
    }
    for (const auto& words : told) CHECK(words.size() > 1);
  }
}

TEST_CASE("requests that cannot be searched are refused") {
  const auto decoder = decoder_of(small_config(DecoderKind::attention));
  const auto refused = [&](const Tensor& features, const std::vector<SearchRequest>& requests) {
    try {
      find_captions(*decoder, features, requests);
    } catch (const tensor::Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  SearchRequest drawn;
  drawn.search = SamplingOptions{};
  CHECK(refused(random_features(2), {{}, drawn}) ==
        "find_captions: request 1 draws words and has no generator");
  tensor::Generator generator(1);
  drawn.generator = &generator;
  CHECK(refused(random_features(2), {{}, drawn}) == "");
  std::get<SamplingOptions>(drawn.search).kind = SearchKind::hundred_steps;
  CHECK(refused(random_features(1), {drawn}) ==
        "sample: another kind of search is for find_captions(), which chooses");
  CHECK(refused(random_features(2), {{}}) == "find_captions: features (2, 4, 6) f32 for 1 requests");
  CHECK(refused(Tensor(), {{}}) == "find_captions: features undefined for 1 requests");
  BeamOptions ruled;
  ruled.kind = SearchKind::hundred_steps;
  ruled.rules.min_words = 2;
  CHECK(refused(random_features(1), {{.search = ruled}}) ==
        "hundred_steps_search: the original's search has no rules of what captions say");
  CHECK(find_captions(*decoder, Tensor::zeros({0, 4, 6}), {}).empty());
}
