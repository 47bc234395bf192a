// Checkpoints that lack what the encoder in the box has.
#include "imgcap/training/own_encoder.h"

#include <doctest/doctest.h>

#include "tensor/error.h"
#include "tensor/io/safetensors.h"
#include "tensor/kernels.h"
#include "tests/folder.h"
#include "tests/tensor/reference.h"
#include "tests/training/small_encoder.h"
#include "tests/training/toy.h"

using namespace imgcap;
using tests::check_error;

namespace {

namespace fs = std::filesystem;

const fs::path kBox = tests::source_dir() / "assets/model/efficientnet_lite2.safetensors";

// A model whose encoder's last convolution was trained.
Checkpoint trained() {
  Toy toy;
  Checkpoint model = toy.info;
  model.decoder.features = 1280;
  model.weights = make_decoder(model.decoder)->state_dict();
  const LoadedEncoder encoder = small_encoder();
  model.encoder = kEncoder;
  model.encoder_base = load_encoder(kEncoder, kBox).key;
  model.preprocessing = encoder.preprocessing;
  for (const auto& [name, value] : encoder.encoder->state_dict()) model.encoder_weights[name] = value.clone();
  Tensor& last = model.encoder_weights.at("_conv_head.weight");
  tensor::kernels::affine(last, last, 1.5, 0);
  return model;
}

}  // namespace

TEST_CASE("what an encoder's training left as it was can come from the box") {
  const tests::TemporaryFolder folder("own_encoder");
  const fs::path file = folder.path / "model.safetensors";
  const Checkpoint whole = trained();
  Checkpoint part = whole;
  CHECK(leave_out_base(part, kBox, "model") == 1);
  CHECK(part.encoder_weights.contains("_conv_head.weight"));
  const nn::StateDict expected = load_own_encoder(whole, kBox, "model").encoder->state_dict();
  for (const WeightFormat format : {WeightFormat::f32, WeightFormat::f16}) {
    save_checkpoint(file, part, format);
    const LoadedEncoder loaded = load_own_encoder(load_checkpoint(file), kBox, "model");
    CHECK(loaded.preprocessing == whole.preprocessing);
    for (const auto& [name, value] : loaded.encoder->state_dict()) {
      CAPTURE(name);
      if (format == WeightFormat::f32 || name != "_conv_head.weight")
        CHECK(tests::same_bits(value, expected.at(name)));
    }
    CHECK(load_own_encoder(load_checkpoint(file, WeightsAs::stored), kBox, "model", EncoderUse::captions)
              .encoder->frozen());
  }
  // A whole one needs no other file.
  CHECK_NOTHROW(load_own_encoder(whole, folder.path / "none.safetensors", "model"));
  check_error(tensor::ErrorKind::io, {"none.safetensors"},
              [&] { load_own_encoder(part, folder.path / "none.safetensors", "model"); });
}

TEST_CASE("an encoder's missing weights are those that its training began with, or none") {
  const tests::TemporaryFolder folder("own_encoder");
  const fs::path other = folder.path / "other.safetensors";
  auto weights = tensor::io::read_safetensors(kBox).tensors;
  Tensor changed = weights.at("_conv_stem.weight").clone();
  tensor::kernels::affine(changed, changed, 1.5, 0);
  weights["_conv_stem.weight"] = changed;
  tensor::io::write_safetensors(other, weights, {});
  Checkpoint part = trained();
  const auto refused = [&](const fs::path& base, const char* text) {
    Checkpoint copy = part;
    check_error(tensor::ErrorKind::data, {"model: ", text}, [&] { leave_out_base(copy, base, "model"); });
    CHECK(copy.encoder_weights.size() == part.encoder_weights.size());
  };
  refused(other, "began with other weights than those of");
  leave_out_base(part, kBox, "model");
  check_error(tensor::ErrorKind::data, {"model: ", "other.safetensors"},
              [&] { load_own_encoder(part, other, "model"); });
  part.encoder_base.clear();
  refused(kBox, "does not say which weights");
  check_error(tensor::ErrorKind::data, {"model: ", "missing"},
              [&] { load_own_encoder(part, kBox, "model"); });
}
