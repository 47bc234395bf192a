// The encoder's last stage trained on a device along with the decoder: all files are the CPU's to the byte.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/fake_device/fake_device.h"
#include "tests/instrumented.h"
#include "tests/training/finetune_run.h"
#include "tests/training/toy_run.h"

using namespace imgcap;

namespace {

using Folder = tests::TemporaryFolder;

void train(const TrainOptions& options, const Folder& folder, const Device& device, int64_t last = 0,
           const FeatureCache* kept = nullptr) {
  const bool resumes = std::filesystem::exists(folder.path / "last.safetensors");
  FinetuneRun run(folder.path, options);
  std::vector<const FeatureCache*> views;
  if (kept != nullptr) views.push_back(kept);
  Trainer trainer(run.info(), run.features, run.data, run.data, options, folder.path, views, &run.trained,
                  device);
  if (resumes) trainer.resume();
  std::atomic<bool> stop{false};
  TrainListener listener;
  listener.step = [&](const StepReport& r) { stop = r.step == last; };
  trainer.run(listener, stop);
  // It is where it is trained, after validations, too.
  for (const auto& [name, parameter] : run.encoder.encoder->named_parameters())
    CHECK(parameter.device() == device);
}

}  // namespace

TEST_CASE("an encoder is trained on a device as on the CPU, from photos, and goes on on another device") {
  SKIP_IF_INSTRUMENTED();
  TrainOptions options = finetune_options();
  options.epochs = 1;
  const Folder here("here"), parts("parts");
  train(options, here, Device::cpu());
  train(options, parts, Device::cuda(1), 1);
  train(options, parts, Device::cuda());
  check_same_files(here, parts);
}

TEST_CASE("an encoder is trained on a device in f16 from what its frozen stages make of photos") {
  SKIP_IF_INSTRUMENTED();
  const ImageSource source = photos_in_the_box();
  const LoadedEncoder frozen = small_encoder();
  std::vector<int64_t> which;
  for (const std::string& name : kPhotos) which.push_back(*source.find(name));
  EncodeReport report;
  EncodeOptions before;
  before.left_out_stages = 1;
  const FeatureCache kept = encode_photos(frozen, source, which, report, before);
  TrainOptions options = finetune_options();
  options.precision = Precision::f16;
  options.epochs = 1;
  const Folder here("here"), there("there");
  train(options, here, Device::cpu(), 0, &kept);
  train(options, there, Device::cuda(), 0, &kept);
  check_same_files(here, there);
}
