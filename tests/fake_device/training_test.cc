// Both models trained, and searched with, on a device. The fake device runs the CPU's kernels, so all bits are the CPU's.
#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "autograd/autocast.h"
#include "imgcap/models/decoder.h"
#include "optim/adam.h"
#include "optim/average.h"
#include "optim/clip.h"
#include "optim/grad_scaler.h"
#include "tensor/error.h"
#include "tests/fake_device/fake_device.h"
#include "tests/training/small_batch.h"

namespace {

using imgcap::batch_on;
using imgcap::CaptionBatch;
using imgcap::CaptionRow;
using imgcap::Decoder;
using imgcap::DecoderKind;
using imgcap::features_on;
using imgcap::kImages;
using imgcap::kWords;
using imgcap::small_config;
using tensor::Device;
using tensor::DType;
using tensor::Tensor;

constexpr double kScale = 1e6;  // too much for f16 at first

// What a run of some steps leaves, on the host.
struct Run {
  std::vector<double> losses, norms;
  std::vector<std::vector<float>> weights, averages;
  double scale = 0;
};

Run run_on(const Device& device, DecoderKind kind, DType precision) {
  tensor::Generator generator(5);
  const std::unique_ptr<Decoder> decoder = imgcap::make_decoder(small_config(kind), generator);
  decoder->to(device);
  optim::AdamW optimizer(decoder->named_parameters(), {.lr = 0.01});
  optim::ParameterAverage average(decoder->named_parameters(), {.decay = 0.5});
  optim::GradScaler scaler({.init_scale = kScale, .enabled = precision == DType::f16});
  CaptionBatch batch = batch_on(device);
  imgcap::LossOptions options;
  options.teacher_forcing = 0.6;
  options.label_smoothing = 0.1;
  options.generator = &generator;
  Run run;
  for (int step = 0; step < 6; ++step) {
    if (step == 3) {
      options.label_smoothing = 0;  // it goes to all words, those that are shut out, too
      batch = batch_on(device, {1, 0.5, 2, 1});
      options.decodable = {{.end = 16}, {.end = 12}, {.end = 12}, {.end = kWords}};
    }
    optimizer.zero_grad();
    const imgcap::CaptionLoss result = [&] {
      const autograd::AutocastGuard autocast(precision);
      return decoder->loss(batch, options);
    }();
    CHECK(result.loss.device() == device);
    run.losses.push_back(result.loss.item());
    scaler.scale(result.loss).backward();
    scaler.unscale_(optimizer);
    run.norms.push_back(optim::grad_norm(optimizer.parameters()));
    const double coefficient = optim::clip_coefficient(run.norms.back(), 0.5);
    if (scaler.step(optimizer, coefficient)) average.update();
    scaler.update();
  }
  run.scale = scaler.is_enabled() ? scaler.scale() : 0;
  for (const auto& [name, parameter] : decoder->named_parameters()) {
    CHECK(parameter.device() == device);
    run.weights.push_back(parameter.data().to_vector<float>());
  }
  const optim::UseAverage averaged(average);
  for (const auto& [name, parameter] : decoder->named_parameters())
    run.averages.push_back(parameter.data().to_vector<float>());
  return run;
}

}  // namespace

TEST_CASE("training on a device gives the CPU's bits") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain})
    for (const DType precision : {DType::f32, DType::bf16, DType::f16}) {
      const Run there = run_on(Device::cuda(), kind, precision),
                here = run_on(Device::cpu(), kind, precision);
      CHECK(there.losses == here.losses);
      CHECK(there.norms == here.norms);
      CHECK(there.weights == here.weights);
      CHECK(there.averages == here.averages);
      CHECK(there.scale == here.scale);
      if (precision == DType::f16) CHECK(here.scale < kScale);  // a step was skipped, too
      CHECK(here.losses.back() < here.losses.front());
    }
}

TEST_CASE("tokens and images that there are not are found on the host, before a device has them") {
  tensor::Generator generator(5);
  const std::unique_ptr<Decoder> decoder =
      imgcap::make_decoder(small_config(DecoderKind::attention), generator);
  decoder->to(Device::cuda());
  imgcap::LossOptions options;
  options.generator = &generator;
  const auto loss = [&](std::vector<CaptionRow> rows) {
    decoder->loss(imgcap::pack(features_on(Device::cuda()), rows), options);
  };
  const int64_t before = tests::fake_device_counts().waits;
  CHECK_THROWS_WITH_AS(loss({{0, {imgcap::kSos, kWords, imgcap::kEos}}}),
                       doctest::Contains("decoder: token 17 of a vocabulary of 17"), tensor::Error);
  CHECK_THROWS_WITH_AS(loss({{kImages, {imgcap::kSos, 5, imgcap::kEos}}}),
                       doctest::Contains("decoder: caption 0 of the batch is of image 3 of 3"),
                       tensor::Error);
  CHECK(tests::fake_device_counts().waits == before);
}

TEST_CASE("a search's steps on a device give the CPU's bits") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    std::vector<std::vector<float>> logits[2];
    for (const Device& device : {Device::cpu(), Device::cuda()}) {
      tensor::Generator generator(5);
      const std::unique_ptr<Decoder> decoder = imgcap::make_decoder(small_config(kind), generator);
      decoder->to(device);
      decoder->eval();
      imgcap::DecodingState state = decoder->start(features_on(device));
      auto& found = logits[device.is_cpu() ? 0 : 1];
      found.push_back(
          decoder->step(state, Tensor::full({kImages}, 1, DType::i64, device)).to_vector<float>());
      state.select(Tensor::from<int64_t>({2, 0, 0, 1}, {4}, device));
      found.push_back(
          decoder->step(state, Tensor::from<int64_t>({5, 6, 7, 8}, {4}, device)).to_vector<float>());
      CHECK(state.image.to_vector<int64_t>() == std::vector<int64_t>{2, 0, 0, 1});
      if (kind == DecoderKind::attention) found.push_back(state.alpha.to_vector<float>());
    }
    CHECK(logits[0] == logits[1]);
  }
}

TEST_CASE("nothing of a device is left when its tensors are gone") {
  CHECK(tests::fake_device_counts().blocks_in_use == 0);
}
