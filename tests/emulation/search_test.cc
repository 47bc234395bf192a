// The kernels of searches that stay on the device: steps are the CPU's to the bit; of words that are drawn, the CPU's but
// where a number falls on the border between two.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "tensor/kernels.h"
#include "tests/emulation/seeds.h"
#include "tests/emulation/twins.h"
#include "tests/tensor/search_cases.h"

using namespace tests;
using tensor::Device;
using tensor::DrawTokens;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
namespace kernels = tensor::kernels;

namespace {

const Device kThere = Device::cuda();

struct Drawing {
  DType type;
  int64_t rows, length;
  double top_p = 1, temperature = 1;
  int64_t most = 0;  // of a list
};

// The tokens and their log-probabilities; values have equals and impossible ones.
Tensor drawn(const Drawing& d, const Device& device) {
  Tensor values = made(3, {d.rows, d.length}, -6, 0).to(DType::f64);
  double* v = values.mutable_data<double>();
  for (int64_t i = 0; i < values.numel(); ++i) {
    if (i % 3 == 0) v[i] = std::floor(v[i]);
    if (i % 7 == 5) v[i] = -INFINITY;
  }
  if (d.rows > 2) values.select(0, 1).fill_(-INFINITY);
  if (d.rows > 3) v[2 * d.length + d.length / 2] = NAN;
  std::vector<double> uniforms;
  for (int64_t i = 0; i < d.rows; ++i)
    uniforms.push_back(std::fmod(0.618033988 * static_cast<double>(i + 1), 1));
  DrawTokens draw{.tokens = Tensor::empty({d.rows}, DType::i64, device),
                  .chosen = Tensor::empty({d.rows}, DType::f64, device),
                  .log_probabilities = values.to(d.type).to(device),
                  .uniforms = Tensor::from(uniforms, {d.rows}).to(device),
                  .forbidden = {{1, 0, d.length / 2}},
                  .most = d.most,
                  .temperature = d.temperature,
                  .top_p = d.top_p};
  if (d.most > 0) {
    Tensor top = Tensor::empty({d.rows, d.length}, draw.log_probabilities.dtype(), device),
           indices = Tensor::empty(top.shape(), DType::i64, device);
    kernels::topk(top, indices, draw.log_probabilities, d.length);
    draw.log_probabilities = top, draw.indices = indices;
  }
  kernels::draw_tokens(draw);
  Tensor both = Tensor::empty({2, d.rows}, DType::f64);
  both.select(0, 0).copy_(draw.tokens.to(Device::cpu()));
  both.select(0, 1).copy_(draw.chosen.to(Device::cpu()));
  return both;
}

}  // namespace

TEST_CASE("a beam search's steps on the emulated device are the CPU's to the bit") {
  for (const int64_t images : {1, 5, 300})
    for (const int64_t beam : {1, 3, 4}) {
      CAPTURE(images);
      CAPTURE(beam);
      BeamRun here(images, beam, beam + 3), there(images, beam, beam + 3, kThere);
      for (int64_t tokens = 1; tokens <= 6; ++tokens) {
        CAPTURE(tokens);
        const bool last = tokens == 6, nan = tokens == 5 && images > 1 && beam == 4;
        tensor::BeamStep a = here.step(tokens, last, nan), b = there.step(tokens, last, nan);
        if (tokens == 3) {
          Tensor stop = Tensor::zeros({images}, DType::u8);
          if (images > 1) stop.mutable_data<uint8_t>()[0] = 1;
          a.stop = stop, b.stop = stop.to(kThere);
        }
        kernels::beam_step(a);
        kernels::beam_step(b);
        for (const auto& [x, y] : {std::pair(a.rows, b.rows),
                                   {a.words, b.words},
                                   {a.next_scores, b.next_scores},
                                   {a.tree, b.tree},
                                   {a.ended, b.ended},
                                   {a.counts, b.counts},
                                   {a.state, b.state}})
          CHECK(same_values(y.to(Device::cpu()), x));
        if (nan) CHECK(b.state.to(Device::cpu()).to_vector<uint8_t>().back() == 2);
      }
    }
}

TEST_CASE("no images and no captions on the emulated device: nothing happens") {
  kernels::beam_step(BeamRun(0, 3, 4, kThere).step(1));
  kernels::sample_step(SampleRun(0, kThere).step(3));
  CHECK(drawn({DType::f32, 0, 5}, kThere).numel() == 0);
}

TEST_CASE("captions that are drawn go on on the emulated device as on the CPU, to the bit") {
  for (const int64_t n : {1, 6, 300}) {
    SampleRun here(n), there(n, kThere);
    std::vector<int64_t> tokens, streams, places;
    std::vector<uint8_t> states, stops;
    for (int64_t i = 0; i < n; ++i) {
      tokens.push_back(i % 5 == 1 ? 3 : (i % 11 == 4 ? DrawTokens::kNotANumber : (i % 7 == 6 ? -1 : i + 4)));
      streams.push_back(i % 3);
      places.push_back(i % 3 + 5), places.push_back(100 * (i % 3));
      states.push_back(i % 4 == 3 ? 1 : 0);
      stops.push_back(i % 13 == 8 ? 1 : 0);
    }
    for (SampleRun* run : {&here, &there}) {
      const Device device = run == &here ? Device::cpu() : kThere;
      run->tokens = Tensor::from(tokens, {n}).to(device);
      run->stream = Tensor::from(streams, {n}).to(device);
      run->places = Tensor::from(places, {n, 2}).to(device);
      run->state = Tensor::from(states, {n}).to(device);
    }
    for (const bool last : {false, true}) {
      tensor::SampleStep a = here.step(3, last), b = there.step(3, last);
      a.stop = Tensor::from(stops, {n}), b.stop = a.stop.to(kThere);
      kernels::sample_step(a);
      kernels::sample_step(b);
      for (const auto& [x, y] : {std::pair(a.words, b.words),
                                 {a.uniforms, b.uniforms},
                                 {a.next_state, b.next_state},
                                 {a.next_places, b.next_places},
                                 {a.tree, b.tree}})
        CHECK(same_values(y.to(Device::cpu()), x));
    }
  }
}

TEST_CASE("words are drawn on the emulated device as on the CPU: around the edges of warps and blocks") {
  std::vector<Drawing> all;
  for (const DType type : {DType::f32, DType::f64})
    for (const int64_t length : {3, 31, 33})
      for (const double top_p : {1.0, 0.9, 0.2})
        for (const int64_t most : {0, 1, 5})
          all.push_back({type, 19, length, top_p, top_p == 0.9 ? 1.7 : 1.0, std::min(most, length)});
  for (const int64_t length : {1024, 1025, 2600}) all.push_back({DType::f32, 5, length});
  all.push_back({DType::f64, 5, 1025, 1.0, 2.0, 7});
  all.push_back({DType::f32, 4, 1025, 0.9});
  for (const Drawing& d : all) {
    CAPTURE(tensor::name_of(d.type));
    CAPTURE(d.length);
    CAPTURE(d.top_p);
    CAPTURE(d.most);
    CHECK(same_values(drawn(d, kThere), drawn(d, Device::cpu())));
  }
  const Drawing half{DType::f16, 19, 33, 0.9};
  CHECK(same_values(drawn(half, kThere), drawn(half, Device::cpu())));
}

TEST_CASE("words are drawn in any order the same") {
  for (const double top_p : {1.0, 0.5})
    for (const int64_t length : {40, 1030})
      expect_same_in_any_order([&] { return drawn({DType::f32, 6, length, top_p}, kThere); });
}
