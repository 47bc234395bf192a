// The kernels of searches that stay on their device; whole searches are compared in tests/fake_device/captions_test.cc.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "tensor/kernels.h"
#include "tests/refused.h"
#include "tests/tensor/search_cases.h"

using namespace tests;
using tensor::BeamCount;
using tensor::BeamEnd;
using tensor::DrawTokens;
using tensor::DType;
using tensor::SearchState;
using tensor::Tensor;
namespace kernels = tensor::kernels;

namespace {

// The token drawn from probabilities with each of some numbers.
std::vector<int64_t> drawn(const std::vector<double>& probabilities, const std::vector<double>& numbers,
                           const std::function<void(DrawTokens&)>& change = {}) {
  const int64_t n = std::ssize(numbers), v = std::ssize(probabilities);
  std::vector<double> logs;
  for (const double p : probabilities) logs.push_back(std::log(p));
  DrawTokens draw{.tokens = Tensor::zeros({n}, DType::i64),
                  .chosen = Tensor::zeros({n}, DType::f64),
                  .log_probabilities = Tensor::from(logs, {1, v}).expand({n, v}).contiguous(),
                  .uniforms = Tensor::from(numbers, {n})};
  if (change) change(draw);
  kernels::draw_tokens(draw);
  return draw.tokens.to_vector<int64_t>();
}

using Tokens = std::vector<int64_t>;

}  // namespace

TEST_CASE("draw_tokens: in order of token, by probability; forbidden ones never") {
  const std::vector<double> numbers = {0, 0.09, 0.11, 0.49, 0.51, 0.999};
  CHECK(drawn({0.1, 0.4, 0, 0.5}, numbers) == Tokens{0, 0, 1, 1, 3, 3});
  CHECK(drawn({0.1, 0.4, 0, 0.5}, numbers, [](DrawTokens& a) {
          a.forbidden = {{1, -1, -1}};
        }) == Tokens{0, 0, 0, 3, 3, 3});
  CHECK(drawn({1, 0, 0}, {0.5}, [](DrawTokens& a) {
          a.forbidden = {{0, 1, -1}};
        }) == Tokens{DrawTokens::kNone});
  CHECK(drawn({1, NAN}, {0.5}) == Tokens{DrawTokens::kNotANumber});
}

TEST_CASE("draw_tokens: of the nucleus the likeliest first, of equals the lower tokens") {
  const auto nucleus = [](double share) { return [share](DrawTokens& a) { a.top_p = share; }; };
  CHECK(drawn({0.1, 0.4, 0.1, 0.4}, {0, 0.49, 0.51, 0.99}, nucleus(0.75)) == Tokens{1, 1, 3, 3});
  CHECK(drawn({0.1, 0.4, 0.1, 0.4}, {0, 0.44, 0.45, 0.88, 0.89, 0.99}, nucleus(0.85)) ==
        Tokens{1, 1, 3, 3, 0, 0});
  CHECK(drawn({0.25, 0.25, 0.25, 0.25}, {0.1, 0.6, 0.99}, nucleus(0.5)) == Tokens{0, 1, 1});
  CHECK(drawn({0.2, 0.8}, {0.99}, nucleus(1e-9)) == Tokens{1});
}

TEST_CASE("draw_tokens: of the first so many of a list that are not forbidden") {
  const auto first = [](int64_t most) {
    return [most](DrawTokens& a) {
      a.indices =
          Tensor::from<int64_t>({7, 9, 8, 6}, {1, 4}).expand(a.log_probabilities.shape()).contiguous();
      a.forbidden = {{9, -1, -1}};
      a.most = most;
    };
  };
  CHECK(drawn({0.4, 0.3, 0.2, 0.1}, {0, 0.65, 0.67, 0.99}, first(2)) == Tokens{7, 7, 8, 8});
  CHECK(drawn({0.4, 0.3, 0.2, 0.1}, {0.99}, first(1)) == Tokens{7});
  CHECK(drawn({0.4, 0.3, 0.2, 0.1}, {0.99}, first(3)) == Tokens{6});
  CHECK(drawn({0.4, 0.3, 0.2, 0.1}, {0.99}, first(100)) == Tokens{6});
}

TEST_CASE("sample_step: captions of one stream take its numbers in their order") {
  SampleRun run(4);
  run.stream = Tensor::from<int64_t>({0, 1, 0, 0}, {4});
  run.places = Tensor::from<int64_t>({5, 10, 6, 20, 5, 10, 5, 10}, {4, 2});
  run.tokens = Tensor::from<int64_t>({9, 3, 3, 8}, {4});
  const tensor::SampleStep step = run.step(3);
  kernels::sample_step(step);
  CHECK(step.words.to_vector<int64_t>() == Tokens{9, 0, 0, 8});
  CHECK(step.next_places.to_vector<int64_t>() == Tokens{5, 13, 6, 21, 5, 13, 5, 13});
  CHECK(step.tree.select(0, 0).to_vector<double>() == std::vector<double>{9, 3, 3, 8});
  const auto number = [](uint64_t seed, uint64_t block) {
    tensor::Generator generator(seed);
    generator.reserve(block);
    return generator.uniform();
  };
  const std::vector<double> uniforms = step.uniforms.to_vector<double>();
  CHECK(uniforms[0] == number(5, 13));
  CHECK(uniforms[3] == number(5, 14));
  run.state = step.next_state;
  CHECK(run.state.to_vector<uint8_t>() == std::vector<uint8_t>{0, 1, 1, 0});
}

TEST_CASE("kernels of searches refuse what does not fit") {
  BeamRun beams(2, 3, 4);
  const auto refuses_beams = [&](const std::function<void(tensor::BeamStep&)>& change) {
    tensor::BeamStep step = beams.step(1);
    change(step);
    return refused([&] { kernels::beam_step(step); }, tensor::ErrorKind::shape);
  };
  CHECK_NOTHROW(kernels::beam_step(beams.step(1)));
  CHECK(refuses_beams([](auto& s) { s.rows = Tensor::zeros({5}, DType::i64); }) ==
        "beam_step: rows and words (5) i64 where (6) i64, contiguous, is needed");
  CHECK(refuses_beams([](auto& s) {
          s.values = Tensor::zeros({4, 4});
        }) == "beam_step: values (4, 4) f32 for 2 images and a beam of 3");
  refuses_beams([](auto& s) { s.tree = Tensor::zeros({3, 2, 2}, DType::f64); });
  refuses_beams([](auto& s) { s.stop = Tensor::zeros({3}, DType::u8); });
  SampleRun samples(2);
  tensor::SampleStep step = samples.step(3);
  step.places = Tensor::zeros({2}, DType::i64);
  CHECK(refused([&] { kernels::sample_step(step); }, tensor::ErrorKind::shape) ==
        "sample_step: places (2) i64 where (2, 2) i64, contiguous, is needed");
  CHECK(refused(
            [] {
              drawn({0.5, 0.5}, {0}, [](DrawTokens& a) { a.temperature = 0; });
            },
            tensor::ErrorKind::argument)
            .find("a temperature of 0") != std::string::npos);
  CHECK(refused(
            [] {
              drawn({0.5, 0.5}, {0}, [](DrawTokens& a) { a.chosen = Tensor::zeros({1}); });
            },
            tensor::ErrorKind::shape)
            .find("what is chosen") != std::string::npos);
}

TEST_CASE("no images, no captions: nothing happens") {
  kernels::beam_step(BeamRun(0, 3, 4).step(1));
  kernels::sample_step(SampleRun(0).step(3));
  CHECK(drawn({0.5, 0.5}, {}).empty());
}
