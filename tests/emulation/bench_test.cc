// What `bench` measures of a device.
#include <doctest/doctest.h>

#include "imgcap/bench/jobs.h"
#include "tensor/cuda/emulation/emulation.h"
#include "tensor/error.h"

namespace bench = imgcap::bench;
using tensor::Device;
using tensor::Tensor;

TEST_CASE("calls are not waited for one by one on a device, and one call's launches are counted") {
  for (const Device& device : {Device::cuda(), Device::cuda(1)}) {
    Tensor x = Tensor::zeros({64}, tensor::DType::f32, device);
    std::vector<int64_t> waits;
    for (const int64_t wanted : {2, 7}) {
      int64_t calls = 0;
      const int64_t before = tensor::cuda::emulation::waits();
      const bench::Timing timing = bench::measure(
          [&] {
            ++calls;
            for (const double value : {1, 2, 3}) x.fill_(value);
          },
          2, wanted, device);
      waits.push_back(tensor::cuda::emulation::waits() - before);
      CHECK(calls == 2 + wanted + 1);
      CHECK(timing.calls == wanted);
      CHECK(timing.median > 0);
      CHECK(timing.min == timing.max);
      REQUIRE(timing.device);
      CHECK(timing.device->launches == 3);
      CHECK(timing.device->seconds >= 0);
      REQUIRE(timing.device->ops.size() == 1);
      const bench::DeviceWork::Op& fill = timing.device->ops.at("fill");
      CHECK(fill.count.launches == 3);
      CHECK(fill.count.bytes == 3 * 64 * 4);
      CHECK(fill.seconds == timing.device->seconds);
    }
    CHECK(waits[0] >= 2);
    CHECK(waits[0] == waits[1]);
  }
}

TEST_CASE("a measured training step is the same work on each device") {
  for (const imgcap::DecoderKind kind : {imgcap::DecoderKind::attention, imgcap::DecoderKind::plain}) {
    bench::TrainingWork work;
    work.config.kind = kind;
    work.config.vocabulary = 20;
    work.config.features = 8;
    work.config.embedding = work.config.hidden = work.config.attention = 8;
    work.captions = 2;
    work.tokens = 4;
    work.precision = kind == imgcap::DecoderKind::attention ? imgcap::Precision::f16 : imgcap::Precision::f32;
    std::vector<int64_t> launches;
    for (const Device& device : {Device::cuda(), Device::cuda(1)}) {
      work.device = device;
      const bench::Timing timing = bench::time_training(work, 1, 1);
      REQUIRE(timing.device);
      launches.push_back(timing.device->launches);
    }
    CHECK(launches[0] == launches[1]);
    CHECK(launches[0] > 50);
    CHECK(launches[0] < 1000);
  }
}

TEST_CASE("a device has rows of its own beside the CPU's, and says which") {
  const auto names = bench::row_names(imgcap::Precision::f16, Device::cuda());
  CHECK(names == std::vector<std::string>{"train-attention", "train-plain", "lstm", "resnet50-b1",
                                          "resnet50-b8", "lite2-b1", "lite2-b16", "prepare",
                                          "caption-resnet50", "resnet50-b256", "lite2-b256", "search-1000",
                                          "train-attention-640", "encode-31783"});
  CHECK_THROWS_WITH_AS(
      bench::run_row("lstm-2", {.precision = imgcap::Precision::f16, .device = Device::cuda(1)}),
      "bench: there is no row 'lstm-2' in f16 on cuda:1; there are train-attention, train-plain, lstm, resnet50-b1, "
      "resnet50-b8, lite2-b1, lite2-b16, prepare, caption-resnet50, resnet50-b256, lite2-b256, search-1000, "
      "train-attention-640, encode-31783",
      tensor::Error);
}
