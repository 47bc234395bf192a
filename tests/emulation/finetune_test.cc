// The encoder's last stage trained along on a device, by its own kernels: as on the CPU, but for rounding. To the bit it is
// compared in tests/fake_device/finetune_test.cc. It takes minutes and so is run when asked for:
//   build/bin/test_emulation -ns -sf="*finetune_test*"
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/instrumented.h"
#include "tests/training/finetune_run.h"
#include "tests/training/toy_run.h"

using namespace imgcap;

namespace {

struct Tuned {
  std::vector<double> losses;
  nn::StateDict encoder, decoder;
};

// Two steps with photos of 32 x 32, from what the frozen stages make of them.
Tuned tuned(const Device& device, Precision precision) {
  const tests::TemporaryFolder folder("run"), unused("unused");
  TrainOptions options = finetune_options();
  options.epochs = 1;
  options.precision = precision;
  options.validation.beam = 1;
  options.validation.max_words = 3;
  const ImageSource source = photos_in_the_box();
  LoadedEncoder encoder = small_encoder();
  encoder.preprocessing.height = encoder.preprocessing.width = 32;
  const FeatureCache features = encode(encoder, source);
  std::vector<int64_t> which;
  for (const std::string& name : kPhotos) which.push_back(*source.find(name));
  EncodeReport report;
  EncodeOptions before;
  before.left_out_stages = 1;
  const FeatureCache kept = encode_photos(encoder, source, which, report, before);
  const FinetuneRun made(unused.path);  // its captions and vocabulary
  const Dataset data = make_dataset({made.captions}, kPhotos, features, made.vocabulary);
  TrainedEncoder trained{encoder, source, 1};
  Checkpoint info = made.info();
  info.encoder_key = encoder.key;
  info.preprocessing = encoder.preprocessing;
  Trainer trainer(info, features, data, data, options, folder.path, {&kept}, &trained, device);
  Tuned result;
  TrainListener listener;
  std::atomic<bool> stop{false};
  listener.step = [&](const StepReport& r) { result.losses.push_back(r.loss); };
  trainer.run(listener, stop);
  for (auto* pair : {&result.encoder, &result.decoder}) {
    const nn::Module& module =
        pair == &result.encoder ? static_cast<const nn::Module&>(*encoder.encoder) : trainer.decoder();
    for (const auto& [name, value] : module.state_dict()) (*pair)[name] = value.to(Device::cpu());
  }
  return result;
}

// The worst relative error of a tensor, in the norm.
double worst_of(const nn::StateDict& got, const nn::StateDict& want) {
  REQUIRE(got.size() == want.size());
  double worst = 0;
  for (const auto& [name, value] : want) {
    if (!tensor::is_floating(value.dtype())) continue;
    const std::vector<double> a = got.at(name).to(tensor::DType::f64).to_vector<double>(),
                              b = value.to(tensor::DType::f64).to_vector<double>();
    double error = 0, size = 0;
    for (size_t i = 0; i < a.size(); ++i) error += (a[i] - b[i]) * (a[i] - b[i]), size += b[i] * b[i];
    if (size > 0) worst = std::max(worst, std::sqrt(error / size));
  }
  return worst;
}

}  // namespace

TEST_CASE("a stage of the encoder is trained on a device: losses and weights within bands of the CPU's" *
          doctest::skip()) {
  SKIP_IF_INSTRUMENTED();
  for (const Precision precision : {Precision::f32, Precision::f16}) {
    const Tuned want = tuned(Device::cpu(), precision), got = tuned(Device::cuda(), precision);
    const bool half = precision == Precision::f16;
    REQUIRE(got.losses.size() == want.losses.size());
    CHECK(got.losses.size() >= 2);
    for (size_t i = 0; i < got.losses.size(); ++i)
      CHECK(std::abs(got.losses[i] - want.losses[i]) / want.losses[i] <= (half ? 1e-3 : 1e-5));
    CHECK(worst_of(got.encoder, want.encoder) <= (half ? 1e-2 : 1e-5));  // seen: 4e-3, and 6.5e-7
    CHECK(worst_of(got.decoder, want.decoder) <= (half ? 1e-3 : 1e-5));  // seen: 1.6e-4, and 1.4e-7
  }
}
