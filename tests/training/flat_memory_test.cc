// A thousand training steps leave nothing behind: no graph node, no block of tensor memory, no page.
#include <doctest/doctest.h>
#include <unistd.h>

#include <fstream>
#include <functional>

#include "autograd/node.h"
#include "autograd/ops.h"
#include "imgcap/models/decoder.h"
#include "imgcap/models/resnet.h"
#include "nn/sequential.h"
#include "optim/adam.h"
#include "optim/clip.h"
#include "optim/sgd.h"
#include "tensor/allocator.h"
#include "tensor/random.h"
#include "tests/skip.h"

using namespace imgcap;

namespace {

constexpr int kSteps = 1000;
// The first steps make what stays: the optimiser's state, cached blocks, the threads' stacks.
constexpr int kWarmUp = 100;
// The heap's free lists move a little; a leak of 4 bytes per element of the smallest gradient would pass this
// in a few hundred steps.
constexpr int64_t kResidentBand = int64_t{4} << 20;

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// Runs `step` kSteps times. Live memory is the same after each step once warm, and resident memory stays in
// its band.
void check_flat(const std::function<void()>& step) {
  int64_t nodes = 0, blocks = 0, bytes = 0, resident = 0, largest = 0;
  for (int i = 0; i < kSteps; ++i) {
    step();
    const tensor::AllocatorStatistics now = tensor::allocator_statistics();
    if (i == kWarmUp) {
      nodes = autograd::live_node_count(), blocks = now.blocks_in_use, bytes = now.bytes_in_use;
      resident = resident_bytes();
    }
    if (i <= kWarmUp) continue;
    REQUIRE(autograd::live_node_count() == nodes);
    REQUIRE(now.blocks_in_use == blocks);
    REQUIRE(now.bytes_in_use == bytes);
    if (i % 100 == 0) largest = std::max(largest, resident_bytes() - resident);
  }
  MESSAGE("resident memory grew by " << largest / 1024 << " KiB in " << kSteps - kWarmUp << " steps, "
                                     << nodes << " nodes stay");
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  SKIP("instrumented code keeps freed memory for a while");
#endif
  CHECK(largest < kResidentBand);
}

Tensor normal(const Shape& shape, tensor::Generator& generator) {
  Tensor values = Tensor::empty(shape);
  tensor::fill_normal(values, 0, 1, generator);
  return values;
}

}  // namespace

TEST_CASE("memory is flat over a thousand steps of either captioner") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    CAPTURE(to_string(kind));
    tensor::Generator generator(5);
    DecoderConfig config;
    config.kind = kind;
    config.vocabulary = 30;
    config.features = 8;
    config.embedding = config.hidden = config.attention = 12;
    config.layers = 2;
    config.layer_dropout = 0.2;
    const auto decoder = make_decoder(config, generator);
    optim::AdamW optimizer(decoder->named_parameters(), optim::AdamWOptions{.lr = 1e-3});
    CaptionBatch batch;
    batch.features = normal({2, 4, 8}, generator);
    batch.image = Tensor::from<int64_t>({0, 1, 1}, {3});
    batch.words = Tensor::from<int64_t>({2, 5, 9, 11, 7, 3, 2, 5, 17, 12, 3, 1, 2, 8, 3, 1, 1, 1}, {3, 6});
    batch.lengths = {6, 5, 3};
    LossOptions options;
    options.label_smoothing = 0.1;
    options.generator = &generator;
    int step = 0;
    check_flat([&] {
      // Coins alternate with an all-teacher step, and every tenth step takes the composed path.
      options.teacher_forcing = step % 2 == 0 ? 1 : 0.8;
      options.composed = step++ % 10 == 0;
      decoder->zero_grad();
      const CaptionLoss loss = decoder->loss(batch, options);
      loss.loss.backward();
      optimizer.step(optim::clip_coefficient(optim::grad_norm(decoder->parameters()), 1));
    });
  }
}

TEST_CASE("memory is flat over a thousand steps of a small residual network") {
  tensor::Generator generator(6);
  nn::Sequential net;
  net.emplace<ResidualBlock>(3, 4, 1, false);
  net.emplace<ResidualBlock>(4, 4, 2, true);
  optim::SGD optimizer(net.named_parameters(), {.lr = 1e-3, .momentum = 0.9});
  const Tensor images = normal({2, 3, 8, 8}, generator);
  const Tensor targets = Tensor::from<int64_t>({3, 11}, {2});
  check_flat([&] {
    net.zero_grad();
    const Variable logits = autograd::mean(net.forward(images), {2, 3});
    autograd::cross_entropy(logits, targets).backward();
    optimizer.step();
  });
}
