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
