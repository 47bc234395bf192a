#include "imgcap/training/checkpoint.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tensor/error.h"
#include "tensor/io/safetensors.h"
#include "tests/folder.h"
#include "tests/training/toy.h"

using namespace imgcap;
using tensor::DType;

namespace {

namespace fs = std::filesystem;
using Folder = tests::TemporaryFolder;

}  // namespace

TEST_CASE("checkpoints come back whole, in three formats") {
  Toy toy;
  toy.info.decoder.tie_weights = true;
  toy.info.decoder.embedding = toy.info.decoder.hidden = 128;
  tensor::Generator generator(3);
  const auto decoder = make_decoder(toy.info.decoder, generator);
  toy.info.weights = decoder->state_dict();
  toy.info.notes["epoch"] = "7";
  const Folder folder("formats");
  const fs::path file = folder.path / "model.safetensors";
  for (const auto& [format, bar] : std::map<WeightFormat, double>{
           {WeightFormat::f32, 0.0}, {WeightFormat::f16, 1e-3}, {WeightFormat::i8, 1.0 / 127}}) {
    save_checkpoint(file, toy.info, format);
    const Checkpoint back = load_checkpoint(file);
    CHECK(back.decoder == toy.info.decoder);
    CHECK(back.vocabulary == toy.info.vocabulary);
    CHECK(back.preprocessing == toy.info.preprocessing);
    CHECK(back.notes == toy.info.notes);
    const auto expected = weights_of(*decoder), found = weights_of(*back.make_decoder());
    for (const auto& [name, values] : expected) {
      CAPTURE(name);
      float top = 0, worst = 0;
      for (const float v : values) top = std::max(top, std::fabs(v));
      for (size_t i = 0; i < values.size(); ++i)
        worst = std::max(worst, std::fabs(values[i] - found.at(name)[i]));
      CHECK(worst <= bar * top);
    }
  }
  Checkpoint wrong = toy.info;
  wrong.vocabulary.pop_back();
  save_checkpoint(file, wrong);
  CHECK_THROWS_WITH_AS(load_checkpoint(file), doctest::Contains("tokens for a decoder of"), tensor::Error);
}

TEST_CASE("checkpoints keep the weights of a trained encoder") {
  Toy toy;
  toy.info.weights = make_decoder(toy.info.decoder)->state_dict();
  const Folder folder("encoder_weights");
  const fs::path file = folder.path / "model.safetensors";
  const auto format = [&] { return tensor::io::read_safetensors(file).metadata.at("format"); };
  save_checkpoint(file, toy.info);
  CHECK(format() == "imgcap-checkpoint-1");
  CHECK(load_checkpoint(file).encoder_weights.empty());

  tensor::Generator generator(4);
  Tensor matrix = Tensor::empty({200, 100}), norm = Tensor::empty({50});
  tensor::fill_normal(matrix, 0, 1, generator);
  tensor::fill_normal(norm, 0, 1e6, generator);  // variances may be too large for 16 bits
  toy.info.encoder_weights = {
      {"conv.weight", matrix}, {"bn.running_var", norm}, {"bn.num_batches_tracked", Tensor::arange(1)}};
  for (const WeightFormat bits : {WeightFormat::f32, WeightFormat::f16, WeightFormat::i8}) {
    save_checkpoint(file, toy.info, bits);
    CHECK(format() == "imgcap-checkpoint-2");
    const Checkpoint back = load_checkpoint(file);
    REQUIRE(back.encoder_weights.size() == 3);
    const Tensor expected = bits == WeightFormat::f32 ? matrix : matrix.to(DType::f16).to(DType::f32);
    CHECK(back.encoder_weights.at("conv.weight").to_vector<float>() == expected.to_vector<float>());
    CHECK(back.encoder_weights.at("bn.running_var").to_vector<float>() == norm.to_vector<float>());
    CHECK(back.encoder_weights.at("bn.num_batches_tracked").dtype() == DType::i64);
    CHECK(back.weights.size() == toy.info.weights.size());
  }
  // Neither format with the other's contents.
  tensor::io::SafetensorsFile contents = tensor::io::read_safetensors(file);
  contents.metadata["format"] = "imgcap-checkpoint-1";
  tensor::io::write_safetensors(file, contents.tensors, contents.metadata);
  CHECK_THROWS_WITH_AS(load_checkpoint(file), doctest::Contains("'imgcap-checkpoint-1' with encoder weights"),
                       tensor::Error);
  std::erase_if(contents.tensors, [](const auto& entry) { return entry.first.starts_with("encoder."); });
  contents.metadata["format"] = "imgcap-checkpoint-2";
  tensor::io::write_safetensors(file, contents.tensors, contents.metadata);
  CHECK_THROWS_WITH_AS(load_checkpoint(file),
                       doctest::Contains("'imgcap-checkpoint-2' without encoder weights"), tensor::Error);
}

TEST_CASE("what a damaged checkpoint says is a data error that names the file and is safe to print") {
  Toy toy;
  toy.info.weights = make_decoder(toy.info.decoder)->state_dict();
  const Folder folder("damaged");
  const fs::path file = folder.path / "model.safetensors";
  const auto refused = [&](const std::string& key, const std::string& value, const char* text) {
    save_checkpoint(file, toy.info);
    tensor::io::SafetensorsFile contents = tensor::io::read_safetensors(file);
    contents.metadata[key] = value;
    tensor::io::write_safetensors(file, contents.tensors, contents.metadata);
    CAPTURE(value);
    try {
      load_checkpoint(file);
      FAIL("no error");
    } catch (const tensor::Error& error) {
      const std::string what = error.what();
      CAPTURE(what);
      CHECK(error.kind() == tensor::ErrorKind::data);
      CHECK(what.starts_with(file.string() + ": "));
      CHECK(what.find(text) != std::string::npos);
      for (const char c : what) CHECK((c >= ' ' && c < '\x7f'));
    }
  };
  DecoderConfig config = toy.info.decoder;
  config.hidden = 0;
  refused("decoder", to_json(config), "hidden is 0");
  refused("decoder", R"({"kind":"\u001b[31m\n"})", R"('\x1b[31m\x0a' is neither)");
  refused("format", "\x1b[31m", R"('\x1b[31m')");
  std::string same = "[";
  for (int64_t i = 0; i < toy.info.decoder.vocabulary; ++i) same += i == 0 ? "\"a\"" : ",\"a\"";
  refused("vocabulary", same + "]", "");

  CHECK(train_options_from_json(R"({"lr":1,"epochs":3})").epochs == 3);
  for (const char* bad : {R"({"epochs":1e300})", R"({"epochs":2.5})", R"({"seed":-1.5})", R"({"lr":"1"})",
                          R"({"compat_original":1})", R"({"optimizer":1})"}) {
    CAPTURE(bad);
    CHECK_THROWS_WITH_AS(train_options_from_json(bad), doctest::Contains("wrong type"), tensor::Error);
  }
}
