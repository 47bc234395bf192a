// Frozen encoders on a device that the host may not touch.
#include "imgcap/models/encoder.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/fake_device/fake_device.h"
#include "tests/instrumented.h"
#include "tests/models/fill.h"
#include "tests/tensor/reference.h"
#include "tests/training/finetune_run.h"

using namespace imgcap;
using tensor::Device;
using tensor::DType;

TEST_CASE("a frozen encoder's features on a device are made without the host, and are the CPU's to the bit") {
  for (const std::string name : {"resnet18", "efficientnet_lite2"}) {
    const auto encoder = make_encoder(name, false);
    tests::fill(*encoder);
    encoder->freeze();
    const Tensor x = tests::made(5, {3, 3, 33, 40}).to(DType::f32);
    for (const DType dtype : {DType::f32, DType::f16}) {
      encoder->to(Device::cpu());
      encoder->set_arithmetic(dtype);
      const Tensor want = encoder->features(x);
      encoder->to(Device::cuda());
      const Tensor there = x.to(Device::cuda());
      encoder->compile();
      const tests::FakeDeviceCounts before = tests::fake_device_counts();
      const Tensor got = encoder->features(there);
      const tests::FakeDeviceCounts after = tests::fake_device_counts();
      CHECK(after.waits == before.waits);
      CHECK(after.uploads == before.uploads);
      CHECK(after.bytes_downloaded == before.bytes_downloaded);
      CHECK(tests::same_bits(got.to(Device::cpu()), want));
    }
  }
}

TEST_CASE("batch norm that learns on a device while photos are encoded learns what it learns on the CPU") {
  SKIP_IF_INSTRUMENTED();
  const ImageSource photos = photos_in_the_box();
  std::vector<int64_t> which;
  for (const std::string& name : kPhotos) which.push_back(*photos.find(name));
  EncodeOptions options;
  options.batch_statistics = 2;
  const LoadedEncoder here = small_encoder(), there = small_encoder();
  there.encoder->to(Device::cuda());
  EncodeReport report;
  const FeatureCache want = encode_photos(here, photos, which, report, options),
                     got = encode_photos(there, photos, which, report, options);
  CHECK(got.key() == want.key());
  CHECK(tests::same_bits(got.features(), want.features()));
  for (const auto& [name, value] : there.encoder->state_dict()) {
    CHECK(value.device() == Device::cuda());
    CHECK_MESSAGE(tests::same_bits(value.to(Device::cpu()), here.encoder->state_dict().at(name)), name);
  }
}
