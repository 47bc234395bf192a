// Whole training runs and searches on a device, by its own kernels: as on the CPU, but for rounding.
#include "imgcap/training/trainer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "imgcap/decoding/caption_search.h"
#include "tests/emulation/seeds.h"
#include "tests/training/toy_run.h"

using namespace imgcap;

namespace {

using Folder = tests::TemporaryFolder;

}  // namespace

TEST_CASE("runs on a device: losses as the CPU's, and going on there is the same to the bit") {
  const Toy toy;
  std::vector<TrainOptions> all(3, toy_options());
  all[0].clip_norm = 0.1;
  all[1].precision = Precision::f16;
  all[1].loss_scale = 1e8;
  all[1].average_decay = 0.9;
  all[2] = self_critical_options();
  for (size_t i = 0; i < all.size(); ++i) {
    CAPTURE(i);
    const Folder here("here"), whole("whole"), parts("parts");
    const std::vector<double> want = run_toy(toy, all[i], here.path, Device::cpu()),
                              got = run_toy(toy, all[i], whole.path, Device::cuda());
    REQUIRE(got.size() == want.size());
    double worst = 0;
    for (size_t k = 0; k < got.size(); ++k)
      worst = std::max(worst, std::abs(got[k] - want[k]) / std::max(1.0, std::abs(want[k])));
    CHECK(worst <= (all[i].precision == Precision::f16 ? 1e-4 : 2e-6));  // seen: 1e-6, and 1.2e-7
    tests::set_order(9);
    run_toy(toy, all[i], parts.path, Device::cuda(), 3);
    run_toy(toy, all[i], parts.path, tests::second_device(), 7);
    run_toy(toy, all[i], parts.path, Device::cuda());
    check_same_files(whole, parts);
  }
}

TEST_CASE("searches on a device find the CPU's captions") {
  const Toy toy;
  BeamOptions wide, original;
  wide.beam = 5;
  wide.nbest = 3;
  wide.attention = true;
  original.kind = SearchKind::hundred_steps;
  const std::vector<SearchRequest> requests = {{}, {.search = wide}, {.search = original}, {.search = wide}};
  std::vector<std::vector<Hypothesis>> found[2];
  for (const Device& device : {Device::cpu(), Device::cuda()}) {
    tensor::Generator generator(5);
    const auto decoder = make_decoder(toy.info.decoder, generator);
    decoder->to(device);
    decoder->eval();
    found[device.is_cpu() ? 0 : 1] =
        find_captions(*decoder, toy.features.rows({0, 1, 2, 3}, device), requests);
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    REQUIRE(found[0][i].size() == found[1][i].size());
    for (size_t k = 0; k < found[0][i].size(); ++k) {
      const Hypothesis &a = found[0][i][k], &b = found[1][i][k];
      CHECK(a.words == b.words);
      REQUIRE(a.token_log_probabilities.size() == b.token_log_probabilities.size());
      for (size_t t = 0; t < a.token_log_probabilities.size(); ++t)
        CHECK(std::abs(a.token_log_probabilities[t] - b.token_log_probabilities[t]) <= 1e-5);
    }
  }
}
