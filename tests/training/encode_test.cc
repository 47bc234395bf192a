// Encoders from the files that users bring.
#include "imgcap/training/encode.h"

#include <doctest/doctest.h>

#include "autograd/grad_mode.h"
#include "tensor/error.h"
#include "tests/golden.h"
#include "tests/made.h"

using namespace imgcap;
using tests::made;
using tests::relative_error;

// torchvision's ResNet50 with weights by a formula, saved by PyTorch: see make_encoder_pth.py.
TEST_CASE("an encoder from PyTorch's own file") {
  const auto expected = tests::golden("encoder_resnet50");
  const LoadedEncoder loaded =
      load_encoder("resnet50", tests::source_dir() / "tests/golden/encoder_resnet50.pth");
  const tensor::Tensor x = made(1, {1, 3, 64, 64}).to(tensor::DType::f32);
  const tensor::Tensor features = loaded.encoder->features(x);
  CHECK(relative_error(features, expected.at("features")) <= 1e-4);
  const autograd::NoGrad guard;
  CHECK(relative_error(loaded.encoder->forward_head(features).data(), expected.at("logits")) <= 1e-4);
  CHECK(loaded.key.starts_with("resnet50 "));
  // The weights of another network: one sentence.
  try {
    load_encoder("resnet18", tests::source_dir() / "tests/golden/encoder_resnet50.pth");
    FAIL("resnet18 took the weights of resnet50");
  } catch (const tensor::Error& error) {
    const std::string text = error.what();
    CHECK(error.kind() == tensor::ErrorKind::data);
    CHECK(text.find("encoder_resnet50.pth: ") != std::string::npos);
    CHECK(text.find('\n') == std::string::npos);
    CHECK(text.size() < 1500);
  }
}

// As the original: see EncodeOptions::batch_statistics.
TEST_CASE("batch norm that learns while photos are encoded") {
  const auto load = [] {
    return load_encoder("efficientnet_lite2",
                        tests::source_dir() / "assets/model/efficientnet_lite2.safetensors");
  };
  const ImageSource photos({tests::source_dir() / "assets/photos"});
  const std::vector<int64_t> which = {3, 1, 4, 0, 5};
  const LoadedEncoder still = load(), learns = load();
  const nn::StateDict before = still.encoder->state_dict();
  EncodeReport report;
  EncodeOptions options;
  const FeatureCache as_usual = encode_photos(still, photos, which, report, options);
  options.batch_statistics = 3;
  const FeatureCache learnt = encode_photos(learns, photos, which, report, options);
  CHECK(learnt.names() == as_usual.names());
  CHECK(learnt.key() != as_usual.key());

  // By hand: batches of three and two in training mode.
  const LoadedEncoder by_hand = load();
  by_hand.encoder->unfreeze();
  by_hand.encoder->train();
  int64_t row = 0;
  for (const std::vector<int64_t>& batch : {std::vector<int64_t>{3, 1, 4}, std::vector<int64_t>{0, 5}}) {
    std::vector<Image> images;
    for (const int64_t i : batch) images.push_back(photos.read_image(i));
    const tensor::Tensor expected = encode_images(by_hand, images);
    std::vector<int64_t> rows;
    for (size_t i = 0; i < batch.size(); ++i) rows.push_back(row++);
    CHECK(relative_error(learnt.rows(rows), expected) <= 1e-3);  // kept in 16 bits
    CHECK(relative_error(as_usual.rows(rows), expected) > 0.05);
  }
  // Running statistics moved, weights did not, and it is frozen again.
  CHECK(learns.encoder->frozen());
  bool moved = false;
  for (const auto& [name, value] : learns.encoder->state_dict()) {
    CAPTURE(name);
    if (name.ends_with("num_batches_tracked")) continue;
    CHECK(relative_error(value, by_hand.encoder->state_dict().at(name)) <= 1e-6);
    if (name.find("running_") != std::string::npos)
      moved |= relative_error(value, before.at(name)) > 1e-3;
    else
      CHECK(relative_error(value, before.at(name)) == 0);
  }
  CHECK(moved);
}
