// Frozen encoders on the emulated device, by its own kernels: as on the CPU, but for rounding.
#include "imgcap/models/encoder.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "imgcap/models/frozen_cnn.h"
#include "imgcap/training/encode.h"
#include "tensor/cuda/driver/launches.h"
#include "tests/emulation/seeds.h"
#include "tests/golden.h"
#include "tests/models/fill.h"
#include "tests/refused.h"
#include "tests/tensor/reference.h"
#include "tests/training/small_encoder.h"

using namespace imgcap;
using tensor::Device;
using tensor::DType;
using tensor::ErrorKind;
using tests::made;
using tests::relative_error;

TEST_CASE(
    "features on the emulated device: near the CPU's in f32, in any order, and a rounding away in 16 bits") {
  for (const std::string name : {"resnet18", "efficientnet_lite2"}) {
    CAPTURE(name);
    const auto encoder = make_encoder(name, false);
    tests::fill(*encoder);
    encoder->freeze();
    // The last stage has most of the weights, each of which takes a microsecond here.
    constexpr int kLeftOut = 1;
    const Tensor x = made(5, {2, 3, 33, 40}).to(DType::f32);
    const Tensor want = encoder->features(x, kLeftOut), early = encoder->features(x, 3);
    CHECK(encoder->device() == Device::cpu());
    encoder->to(Device::cuda());
    CHECK(encoder->device() == Device::cuda());
    const Tensor there = x.to(Device::cuda());
    const Tensor got = encoder->features(there, kLeftOut);
    CHECK(got.device() == Device::cuda());
    CHECK(got.dtype() == DType::f32);
    CHECK(got.permute({0, 2, 3, 1}).is_contiguous());
    CHECK(relative_error(got.to(Device::cpu()), want) <= 1e-4);
    for (const DType dtype : {DType::f16, DType::bf16}) {
      encoder->set_arithmetic(dtype);
      const Tensor rounded = encoder->features(there, kLeftOut);
      CHECK(rounded.dtype() == DType::f32);
      const double error = relative_error(rounded.to(Device::cpu()), want);
      MESSAGE(name << " in " << tensor::name_of(dtype) << ": " << error << " from the CPU's f32");
      CHECK(error > 1e-4);
      CHECK(error <= (dtype == DType::f16 ? 5e-3 : 2e-2));
    }
    encoder->set_arithmetic(DType::f32);
    CHECK(relative_error(encoder->features(there, 3).to(Device::cpu()), early) <= 1e-4);
    tests::expect_same_in_any_order([&] { return encoder->features(there, 3); });
    CHECK(tests::refused([&] { encoder->features(x); }, ErrorKind::device) ==
          name + ": pictures on cpu for weights on cuda:0");
  }
}

// It takes minutes, and so is run when asked for: build/bin/test_emulation -ns -tc="*photos of 224 x 224*"
TEST_CASE(
    "features of three photos of 224 x 224, whole networks: near the CPU's in f32, and a rounding away in f16" *
    doctest::skip()) {
  for (const std::string name : {"resnet50", "efficientnet_lite2"}) {
    CAPTURE(name);
    const auto encoder = make_encoder(name, false);
    tests::fill(*encoder);
    encoder->freeze();
    const Tensor x = made(5, {3, 3, 224, 224}).to(DType::f32), want = encoder->features(x);
    encoder->to(Device::cuda());
    for (const DType dtype : {DType::f32, DType::f16}) {
      encoder->set_arithmetic(dtype);
      const double error = relative_error(encoder->features(x.to(Device::cuda())).to(Device::cpu()), want);
      MESSAGE(name << " in " << tensor::name_of(dtype) << ": " << error << " from the CPU's f32");
      CHECK(error <= (dtype == DType::f32 ? 1e-4 : 2e-2));
    }
  }
}

TEST_CASE("a batch that has no room at once goes through a device's network in parts") {
  nn::Conv2d conv(3, 8, 3, nn::conv2d_options(1, 1));
  nn::BatchNorm2d norm(8);
  tests::fill(conv);
  norm.eval();
  const Tensor x = made(7, {5, 3, 6, 6}).to(DType::f32);
  const auto network = [&](int64_t bytes) {
    FrozenCnn plan(DType::f32, bytes);
    plan.max_pool(plan.conv(FrozenCnn::kInput, conv, norm, tensor::Activation::relu), {});
    return plan.run(x.to(conv.weight().device()));
  };
  const Tensor want = network(FrozenCnn::kDeviceBytes);
  conv.to(Device::cuda());
  norm.to(Device::cuda());
  // The input's 108 numbers and the convolution's 288, then those and the pool's 72: 1584 bytes a picture at most.
  for (const auto& [bytes, parts] :
       {std::pair<int64_t, int64_t>{1, 5}, {2 * 1584 - 1, 5}, {2 * 1584, 3}, {5 * 1584, 1}}) {
    const auto before = tensor::cuda::launch_statistics()["max_pool2d_nhwc"].launches;
    CHECK(relative_error(network(bytes).to(Device::cpu()), want) <= 1e-6);
    CHECK(tensor::cuda::launch_statistics()["max_pool2d_nhwc"].launches - before == parts);
  }
}

TEST_CASE("photos are encoded on the emulated device as on the CPU, to caches of the same key") {
  LoadedEncoder encoder = small_encoder();
  encoder.preprocessing.height = encoder.preprocessing.width = 32;
  const ImageSource source({(tests::source_dir() / "assets/photos").string()});
  const std::vector<int64_t> which = {3, 0};
  EncodeReport report;
  std::vector<FeatureCache> caches;
  std::vector<std::pair<int64_t, int64_t>> progress;
  EncodeOptions options;
  options.progress = [&](int64_t done, int64_t total) { progress.emplace_back(done, total); };
  const auto make = [&](DType dtype, int left_out = 0) {
    encoder.encoder->set_arithmetic(dtype);
    options.left_out_stages = left_out;
    return encode_photos(encoder, source, which, report, options);
  };
  const auto rows = [](const FeatureCache& cache) { return cache.features().to(DType::f32); };
  const FeatureCache want = make(DType::f32), early_want = make(DType::f32, 1);
  const Tensor image_want = encode_images(encoder, {source.read_image(3)});
  encoder.encoder->to(Device::cuda());
  const FeatureCache early = make(DType::f32, 1), rounded = make(DType::f16);
  CHECK(progress == std::vector<std::pair<int64_t, int64_t>>(4, {2, 2}));
  CHECK(early.key() == early_want.key());
  CHECK(early.arithmetic() == DType::f32);
  CHECK(relative_error(rows(early), rows(early_want)) <= 1e-3);  // both are rounded to 16 bits
  CHECK(rounded.key() == want.key());
  CHECK(rounded.arithmetic() == DType::f16);
  CHECK(rounded.names() == want.names());
  CHECK(rounded.features().device() == Device::cpu());
  const double error = relative_error(rows(rounded), rows(want));
  MESSAGE("f16's features are " << error << " from f32's");
  CHECK(error <= 2e-2);
  CHECK(error > 0);
  const Tensor image = encode_images(encoder, {source.read_image(3)});
  CHECK(image.device() == Device::cuda());
  CHECK(relative_error(image.to(Device::cpu()), image_want) <= 2e-2);
}
