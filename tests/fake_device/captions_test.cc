// Captions found on a device that the host may not touch: its kernels are the CPU's, so all bits are the CPU's.
#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "imgcap/decoding/caption_search.h"
#include "imgcap/decoding/follow.h"
#include "imgcap/models/frozen_decoder.h"
#include "tests/decoding/elsewhere.h"
#include "tests/decoding/small_decoder.h"
#include "tests/decoding/toy_decoder.h"
#include "tests/fake_device/fake_device.h"
#include "tests/models/eight_bits.h"
#include "tests/refused.h"

using namespace tests;
using tensor::DType;

namespace {

BeamOptions looking(int64_t beam) {
  BeamOptions options;
  options.beam = options.nbest = beam;
  options.max_words = 8;
  options.attention = true;
  return options;
}

using Found = std::vector<std::vector<Hypothesis>>;

void check_equal(const Found& a, const Found& b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CAPTURE(i);
    REQUIRE(a[i].size() == b[i].size());
    for (size_t k = 0; k < a[i].size(); ++k) {
      CAPTURE(k);
      CHECK(a[i][k].ids == b[i][k].ids);
      CHECK(a[i][k].words == b[i][k].words);
      CHECK(a[i][k].finished == b[i][k].finished);
      CHECK(a[i][k].log_probability == b[i][k].log_probability);
      CHECK(a[i][k].score == b[i][k].score);
      CHECK(a[i][k].token_log_probabilities == b[i][k].token_log_probabilities);
      CHECK(a[i][k].attention == b[i][k].attention);
    }
  }
}

// Logits on a coarse grid, so that sums are often equal.
Table tied_table(int64_t vocabulary, uint64_t seed) {
  return [dense = dense_table(vocabulary, seed, 3)](int64_t image, int64_t before, int64_t last) {
    std::vector<double> logits = dense(image, before, last);
    for (double& x : logits) x = std::floor(x);
    return logits;
  };
}

struct Scene {
  const char* name;
  int64_t vocabulary;
  Table table;
};
std::vector<Scene> scenes() {
  return {{"dense", 9, dense_table(9, 1)},
          {"ends soon", 12, dense_table(12, 2, 4, 2)},
          {"never ends", 9, dense_table(9, 3, 4, -1000)},
          {"ties", 8, tied_table(8, 4)},
          {"one way", 12, sparse_table(12, 5, 1)},
          {"two ways", 12, sparse_table(12, 6, 2)},
          {"dead ends", 7, [](int64_t image, int64_t, int64_t last) {
             std::vector<double> logits(7, -INFINITY);  // the end only behind 5, nothing behind 6
             if (last != 6) logits[4] = 0, logits[5] = 0.1 * static_cast<double>(image), logits[6] = 0.3;
             if (last == 5) logits[kEos] = -1;
             if (last == 6) logits[kPad] = 0;
             return logits;
           }}};
}

}  // namespace

TEST_CASE("a search that stays on a device finds what the host's finds: any table, beam, length and end") {
  for (const Scene& scene : scenes())
    for (const int64_t beam : {1, 2, 3, 5})
      for (const double exponent : {0.0, 1.0, 0.7})
        for (const int64_t most : {1, 4, 40}) {
          CAPTURE(scene.name);
          CAPTURE(beam);
          CAPTURE(exponent);
          CAPTURE(most);
          BeamOptions options = looking(beam);
          options.length_exponent = exponent;
          options.max_words = most;
          options.nbest = (beam + 1) / 2 + (most == 4 ? beam / 2 : 0);
          options.allow_unknown = beam == 3;
          if (beam == 2 && scene.vocabulary > 8) options.range = {.start = kSos, .first = 5, .end = 8};
          ToyDecoder here(scene.vocabulary, scene.table);
          Elsewhere there(here, Device::cuda());
          const Tensor features = images({0, 1, 2, 3});
          check_equal(beam_search(there, features, options), beam_search(here, features, options));
          if (beam == 1) check_equal({greedy(there, features, options)}, {greedy(here, features, options)});
        }
}

TEST_CASE("words that are drawn on a device are the host's, and so is where the generators are afterwards") {
  for (const Scene& scene : scenes())
    for (const int64_t samples : {1, 3})
      for (const int64_t top_k : {0, 2, 100})
        for (const double top_p : {1.0, 0.6})
          for (const bool shared : {false, true}) {
            CAPTURE(scene.name);
            SamplingOptions options;
            options.samples = samples;
            options.top_k = top_k;
            options.top_p = top_p;
            options.temperature = top_k == 2 ? 1.5 : 1;
            options.max_words = 7;
            options.attention = true;
            ToyDecoder here(scene.vocabulary, scene.table);
            Elsewhere there(here, Device::cuda());
            Found found[2];
            std::vector<tensor::Generator> generators[2];
            for (Decoder* decoder : std::initializer_list<Decoder*>{&here, &there}) {
              const int at = decoder == &there;
              for (uint64_t seed : {3, 4, 5}) generators[at].emplace_back(seed).reserve(seed);
              auto& g = generators[at];
              found[at] = shared ? sample(*decoder, images({0, 1, 2}), options, {&g[0], &g[1], &g[0]})
                                 : sample(*decoder, images({0, 1, 2}), options, {&g[0], &g[1], &g[2]});
            }
            check_equal(found[1], found[0]);
            for (size_t i = 0; i < 3; ++i) CHECK(generators[1][i].state() == generators[0][i].state());
          }
}

TEST_CASE("a search on a device can be stopped, image by image or as a whole") {
  ToyDecoder here(9, dense_table(9, 3, 4, -1000));
  Elsewhere there(here, Device::cuda());
  BeamOptions beam = looking(3);
  beam.max_words = 12;
  SamplingOptions drawn;
  drawn.samples = 2;
  drawn.max_words = 12;
  for (const std::vector<int64_t>& leaves :
       std::vector<std::vector<int64_t>>{{1, 1, 1}, {3, 3, 3}, {1, 100, 2}, {2, 100, 5}, {100, 100, 4}})
    for (const bool shared : {false, true}) {
      Found beams[2], samples[2];
      std::vector<tensor::GeneratorState> states[2];
      for (Decoder* decoder : std::initializer_list<Decoder*>{&here, &there}) {
        const int at = decoder == &there;
        std::vector<int64_t> asked(3);
        SearchWatch watch;
        watch.stop = [&](int64_t image) {
          return ++asked[static_cast<size_t>(image)] >= leaves[static_cast<size_t>(image)];
        };
        beams[at] = beam_search(*decoder, images({0, 1, 2}), beam, watch);
        asked = {0, 0, 0};
        tensor::Generator a(1), b(2), c(3);
        samples[at] = sample(*decoder, images({0, 1, 2}), drawn, {&a, &b, shared ? &a : &c}, watch);
        states[at] = {a.state(), b.state(), c.state()};
      }
      check_equal(beams[1], beams[0]);
      check_equal(samples[1], samples[0]);
      CHECK(states[1] == states[0]);
      CHECK(beams[1][2][0].words.size() == static_cast<size_t>(std::min<int64_t>(leaves[2] - 1, 12)));
    }
}

TEST_CASE("a beam that is too wide for a device's one thread per image is searched by the host") {
  ToyDecoder here(50, dense_table(50, 7));
  Elsewhere there(here, Device::cuda());
  for (const int64_t beam : {32, 33}) {
    BeamOptions options = looking(beam);
    options.max_words = 3;
    const int64_t before = fake_device_counts().bytes_downloaded;
    const Found found = beam_search(there, images({1}), options);
    check_equal(found, beam_search(here, images({1}), options));
    CHECK(fake_device_counts().bytes_downloaded > before);
  }
}

TEST_CASE("numbers that are none are an error of a search on a device, too") {
  ToyDecoder here(9, [](int64_t image, int64_t before, int64_t last) {
    std::vector<double> logits = dense_table(9, 3)(image, before, last);
    if (image == 1 && before != 0) logits[5] = NAN;
    return logits;
  });
  Elsewhere there(here, Device::cuda());
  tensor::Generator generator(1);
  SamplingOptions drawn;
  for (const int64_t top_k : {0, 2}) {
    drawn.top_k = top_k;
    CHECK(refused(
              [&] {
                sample(there, images({0, 1}), drawn, generator);
              },
              tensor::ErrorKind::data)
              .find("not a number") != std::string::npos);
  }
  CHECK(refused(
            [&] {
              beam_search(there, images({0, 1}), looking(2));
            },
            tensor::ErrorKind::data)
            .find("not a number") != std::string::npos);
}

TEST_CASE("a search on a device hears each step only which images are done") {
  const int64_t kImages = 3, kMost = 9;
  const auto decoder = decoder_of(small_config(DecoderKind::plain));
  decoder->parameter(Decoder::kOutputBias).mutable_data().slice(0, kEos, kEos + 1).fill_(-1000);
  FrozenDecoder there(decoder->config(), stored_weights(*decoder), Device::cuda());
  BeamOptions beam = looking(4);
  beam.attention = false;
  SamplingOptions drawn;
  drawn.samples = 2;
  const Tensor features = random_features(kImages).to(Device::cuda());
  const auto run = [&](const std::function<void()>& search, int64_t most) {
    beam.max_words = drawn.max_words = most;
    const FakeDeviceCounts before = fake_device_counts();
    search();
    const FakeDeviceCounts after = fake_device_counts();
    return std::pair(after.waits - before.waits, after.bytes_downloaded - before.bytes_downloaded);
  };
  const auto beams = [&] { beam_search(there, features, beam); };
  const auto samples = [&] {
    tensor::Generator generator(1);
    sample(there, features, drawn, generator);
  };
  // A step more is a wait more, for a byte of each image (of each caption), and its part of what is read at the end.
  for (const int64_t most : {kMost, 2 * kMost}) {
    const auto [waits, bytes] = run(beams, most);
    CHECK(waits == most + 1);
    CHECK(run(beams, most + 1).second - bytes == kImages + 3 * kImages * beam.beam * 8);
    const auto [drawn_waits, drawn_bytes] = run(samples, most);
    CHECK(drawn_waits == most + 1);
    CHECK(run(samples, most + 1).second - drawn_bytes == 2 * kImages + 2 * 2 * kImages * 8);
  }
  // What is said is known beforehand: nothing is waited for in between.
  const Tensor one = random_features(1).to(Device::cuda());
  for (const size_t words : {size_t{1}, size_t{6}}) {
    const FakeDeviceCounts before = fake_device_counts();
    follow(there, one, std::vector<int64_t>(words, 9), {}, 4);
    CHECK(fake_device_counts().waits - before.waits == 1);
  }
}

TEST_CASE("frozen decoders on a device find the CPU's captions, from weights of any type") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain})
    for (const DType type : {DType::f32, DType::f16, DType::bf16, DType::u8}) {
      const StoredWeights stored = stored_as(*decoder_of(small_config(kind)), type);
      std::vector<std::vector<Hypothesis>> found[2];
      for (const Device& device : {Device::cpu(), Device::cuda()}) {
        FrozenDecoder decoder(small_config(kind), stored, device);
        CHECK(decoder.device() == device);
        tensor::Generator generator(4);
        SamplingOptions drawn;
        drawn.samples = 2;
        drawn.max_words = 8;
        found[device.is_cpu() ? 0 : 1] = find_captions(
            decoder, random_features(3),
            {{.search = looking(1)}, {.search = looking(4)}, {.search = drawn, .generator = &generator}});
      }
      for (size_t i = 0; i < 3; ++i) {
        REQUIRE(found[0][i].size() == found[1][i].size());
        for (size_t k = 0; k < found[0][i].size(); ++k) {
          CHECK(found[0][i][k].ids == found[1][i][k].ids);
          CHECK(found[0][i][k].token_log_probabilities == found[1][i][k].token_log_probabilities);
          CHECK(found[0][i][k].attention == found[1][i][k].attention);
        }
      }
    }
}

TEST_CASE("a frozen decoder's weights are as narrow on a device as in their file") {
  DecoderConfig wide = small_config(DecoderKind::attention);
  // A kernel's layout fills its blocks up, on each processor others.
  wide.vocabulary = 400;
  wide.features = wide.embedding = wide.hidden = wide.attention = 128;
  const auto decoder = decoder_of(wide);
  const auto bytes_of = [&](DType type) {
    const int64_t before = fake_device_counts().bytes_in_use;
    const FrozenDecoder frozen(decoder->config(), stored_as(*decoder, type), Device::cuda());
    return fake_device_counts().bytes_in_use - before;
  };
  CHECK(static_cast<double>(bytes_of(DType::f16)) < 0.6 * static_cast<double>(bytes_of(DType::f32)));
  CHECK(static_cast<double>(bytes_of(DType::u8)) < 0.6 * static_cast<double>(bytes_of(DType::f16)));
  CHECK(fake_device_counts().blocks_in_use == 0);
}
