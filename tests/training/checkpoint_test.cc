#include "imgcap/training/checkpoint.h"

#include <doctest/doctest.h>

#include <cmath>
#include <optional>

#include "tensor/error.h"
#include "tensor/io/safetensors.h"
#include "tests/folder.h"
#include "tests/tensor/reference.h"
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
    const Checkpoint as_stored = load_checkpoint(file, WeightsAs::stored);
    CHECK(as_stored.weights.empty());
    CHECK(as_stored.stored.size() == back.weights.size());
    for (const auto& [name, weight] : as_stored.stored)
      CHECK(weight.widened().to_vector<float>() == back.weights.at(name).to_vector<float>());
    CHECK(as_stored.make_frozen_decoder()->config() == toy.info.decoder);
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
  Tensor matrix = Tensor::empty({200, 100}), norm = Tensor::empty({50}), conv = Tensor::empty({64, 32, 3, 3});
  tensor::fill_normal(matrix, 0, 1, generator);
  tensor::fill_normal(conv, 0, 1, generator);
  tensor::fill_normal(norm, 0, 1e6, generator);  // variances may be too large for 16 bits
  toy.info.encoder_weights = {{"conv.weight", conv},
                              {"fc.weight", matrix},
                              {"bn.running_var", norm},
                              {"bn.num_batches_tracked", Tensor::arange(1)}};
  toy.info.encoder_base = "net 0123 {}";
  for (const WeightFormat bits : {WeightFormat::f32, WeightFormat::f16, WeightFormat::i8}) {
    save_checkpoint(file, toy.info, bits);
    CHECK(format() == "imgcap-checkpoint-2");
    const Checkpoint back = load_checkpoint(file);
    REQUIRE(back.encoder_weights.size() == 4);
    CHECK(back.encoder_base == "net 0123 {}");
    for (const auto& [name, weight] : nn::StateDict{{"conv.weight", conv}, {"fc.weight", matrix}}) {
      CAPTURE(name);
      const Tensor found = back.encoder_weights.at(name);
      REQUIRE(found.shape() == weight.shape());
      const auto values = found.to_vector<float>(), exact = weight.to_vector<float>();
      const auto narrow = weight.to(DType::f16).to(DType::f32).to_vector<float>();
      if (bits == WeightFormat::f32) CHECK(values == exact);
      if (bits == WeightFormat::f16) CHECK(values == narrow);
      if (bits != WeightFormat::i8) continue;
      // Each row, of an output channel, has a scale of its own: half a level of it is the most.
      const size_t row = values.size() / static_cast<size_t>(weight.size(0));
      for (size_t begin = 0; begin < values.size(); begin += row) {
        float top = 0, worst = 0;
        for (size_t i = begin; i < begin + row; ++i) top = std::max(top, std::fabs(exact[i]));
        for (size_t i = begin; i < begin + row; ++i) worst = std::max(worst, std::fabs(values[i] - exact[i]));
        CHECK(worst <= top / 127 * 0.5f + top / 1024);
      }
      CHECK(load_checkpoint(file, WeightsAs::stored).encoder_weights.at(name).to_vector<float>() == values);
    }
    CHECK(back.encoder_weights.at("bn.running_var").to_vector<float>() == norm.to_vector<float>());
    CHECK(back.encoder_weights.at("bn.num_batches_tracked").dtype() == DType::i64);
    CHECK(back.weights.size() == toy.info.weights.size());
  }
  // Rows that are none.
  const auto damaged = [&](const std::string& key, const std::optional<Tensor>& value, const char* text) {
    tensor::io::SafetensorsFile wrong = tensor::io::read_safetensors(file);
    REQUIRE(wrong.tensors.erase(key) == 1);
    if (value) wrong.tensors[key] = *value;
    const fs::path other = folder.path / "damaged.safetensors";
    tensor::io::write_safetensors(other, wrong.tensors, wrong.metadata);
    CHECK_THROWS_WITH_AS(load_checkpoint(other), doctest::Contains(text), tensor::Error);
  };
  damaged("encoder.conv.weight#scales", std::nullopt, "'conv.weight' has no scales");
  damaged("encoder.conv.weight#scales", Tensor::zeros({63}, DType::f16), "'conv.weight': rows");
  damaged("encoder.conv.weight#rows", Tensor::zeros({64, 0, 3, 3}, DType::u8), "'conv.weight': rows");
  damaged("encoder.conv.weight#rows", Tensor::zeros({64}, DType::u8), "'conv.weight': rows");
  damaged("encoder.conv.weight#rows", Tensor::zeros({64, 32}, DType::f16), "'conv.weight': rows");
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

TEST_CASE("a checkpoint keeps every field that it has") {
  Toy toy;
  toy.info.weights = make_decoder(toy.info.decoder)->state_dict();
  toy.info.encoder = "resnet18";
  toy.info.encoder_key = "the key";
  toy.info.preprocessing.height = 96;
  toy.info.preprocessing.mean = {0.25f, 0.5f, 0.75f};
  toy.info.notes = {{"a", "1"}, {"b", "two words"}};
  toy.info.training = R"({"step":3})";
  toy.info.training_tensors = {{"optimizer.exp_avg.w", Tensor::from<double>({1, 2}, {2})},
                               {"average.average.w", Tensor::from<float>({3}, {1})}};
  const Folder folder("fields");
  const fs::path file = folder.path / "model.safetensors";
  for (const WeightFormat format : {WeightFormat::f32, WeightFormat::f16, WeightFormat::i8}) {
    save_checkpoint(file, toy.info, format);
    const Checkpoint back = load_checkpoint(file);
    CHECK(back.decoder == toy.info.decoder);
    CHECK(back.vocabulary == toy.info.vocabulary);
    CHECK(back.encoder == "resnet18");
    CHECK(back.encoder_key == "the key");
    CHECK(back.preprocessing == toy.info.preprocessing);
    CHECK(back.notes == toy.info.notes);
    CHECK(back.training == toy.info.training);
    // What a run needs is exact in every format.
    REQUIRE(back.training_tensors.size() == 2);
    CHECK(back.training_tensors.at("optimizer.exp_avg.w").to_vector<double>() == std::vector<double>{1, 2});
    CHECK(back.training_tensors.at("average.average.w").to_vector<float>() == std::vector<float>{3});
    CHECK(back.make_vocabulary().tokens() == toy.info.vocabulary);
    for (const auto& [name, value] : back.weights) CHECK(value.dtype() == DType::f32);
    CHECK(back.weights.size() == toy.info.weights.size());
  }
  toy.info.training.clear();
  save_checkpoint(file, toy.info);
  CHECK(load_checkpoint(file).training.empty());
  CHECK_FALSE(tensor::io::read_safetensors(file).metadata.contains("training"));
}

TEST_CASE("8 bits are rows of levels around 128 with a scale each, for matrices of 2^14 elements and more") {
  Toy toy;
  toy.info.decoder.embedding = 128;
  toy.info.weights = make_decoder(toy.info.decoder)->state_dict();
  const Folder folder("levels");
  const fs::path file = folder.path / "model.safetensors";
  const auto with = [&](const Tensor& matrix) {
    toy.info.weights["some.weight"] = matrix;
    save_checkpoint(file, toy.info, WeightFormat::i8);
    return tensor::io::read_safetensors(file).tensors;
  };
  // A row with levels that are known, one of zeros, one whose largest is negative.
  Tensor matrix = Tensor::zeros({128, 128});
  const std::vector<double> levels = {127, -127, 64, 1.4, 1.6, -0.4, -0.6};
  for (size_t j = 0; j < levels.size(); ++j)
    matrix.select(0, 0).select(0, static_cast<int64_t>(j)).fill_(levels[j] * 0.5);
  matrix.select(0, 2).select(0, 0).fill_(-127 * 0.25);
  const auto stored = with(matrix);
  CHECK(stored.at("model.some.weight#scales").dtype() == DType::f16);
  const auto scales = stored.at("model.some.weight#scales").to(DType::f32).to_vector<float>();
  CHECK(scales[0] == 0.5f);
  CHECK(scales[1] == 0);
  CHECK(scales[2] == 0.25f);
  const auto rows = stored.at("model.some.weight#rows").to_vector<uint8_t>();
  CHECK(std::vector<int>(rows.begin(), rows.begin() + 8) ==
        std::vector<int>{255, 1, 192, 129, 130, 128, 127, 128});
  CHECK(rows[128] == 128);
  CHECK(rows[256] == 1);
  const auto back = load_checkpoint(file).weights.at("some.weight").to_vector<float>();
  CHECK(std::vector<float>(back.begin(), back.begin() + 8) ==
        std::vector<float>{63.5f, -63.5f, 32, 0.5f, 1, 0, -0.5f, 0});
  CHECK(back[128] == 0);
  CHECK(back[256] == -31.75f);
  // One element less, or one dimension: 16 bits.
  for (const Shape& shape :
       {Shape{127, 129}, Shape{1, (1 << 14) - 1}, Shape{1 << 14}, Shape{2, 1 << 13, 1}}) {
    const auto small = with(Tensor::full(shape, 1.5));
    CHECK_FALSE(small.contains("model.some.weight#rows"));
    CHECK(small.at("model.some.weight").dtype() == DType::f16);
  }
  // The scale is rounded to 16 bits before levels are taken, so that a level is never more than 127.
  const auto odd = with(Tensor::full({128, 128}, 0.1));
  CHECK(odd.at("model.some.weight#rows").to_vector<uint8_t>()[5] == 255);
}

TEST_CASE("each part of a checkpoint that is missing or does not fit is named") {
  Toy toy;
  toy.info.weights = make_decoder(toy.info.decoder)->state_dict();
  toy.info.weights["some.weight"] = Tensor::full({128, 128}, 1);
  const Folder folder("parts");
  const fs::path file = folder.path / "model.safetensors";
  save_checkpoint(file, toy.info, WeightFormat::i8);
  const tensor::io::SafetensorsFile good = tensor::io::read_safetensors(file);
  REQUIRE(good.tensors.contains("model.some.weight#rows"));
  const auto refused = [&](const std::string& text, const auto& change) {
    tensor::io::SafetensorsFile changed = good;
    change(changed.metadata, changed.tensors);
    // Under another name: the tensors are still mapped from the first file.
    const fs::path bad = folder.path / "bad.safetensors";
    tensor::io::write_safetensors(bad, changed.tensors, changed.metadata);
    tests::check_error(tensor::ErrorKind::data, {bad.string(), text}, [&] { load_checkpoint(bad); });
  };
  for (const char* key :
       {"format", "decoder", "vocabulary", "encoder", "encoder_key", "preprocessing", "notes"})
    refused(tensor::format("'{}' is missing", key), [&](auto& metadata, auto&) { metadata.erase(key); });
  for (const char* bad : {"{", "{}", "[1]", "\"a\""})
    refused("not an array of strings", [&](auto& metadata, auto&) { metadata["vocabulary"] = bad; });
  refused("", [&](auto& metadata, auto&) { metadata["preprocessing"] = "{}"; });
  refused("has no scales", [](auto&, auto& tensors) { tensors.erase("model.some.weight#scales"); });
  const auto with = [&](const char* part, const Tensor& value) {
    refused("'some.weight': rows",
            [&](auto&, auto& tensors) { tensors[std::string("model.some.weight#") + part] = value; });
  };
  with("rows", Tensor::zeros({128, 128}));
  with("rows", Tensor::zeros({128 * 128}, DType::u8));
  with("rows", Tensor::zeros({127, 128}, DType::u8));
  with("scales", Tensor::zeros({128}));
  with("scales", Tensor::zeros({127}, DType::f16));
  with("scales", Tensor::zeros({128, 1}, DType::f16));
  // Notes are free: what is no text is left out.
  tensor::io::SafetensorsFile noted = good;
  for (const auto& [notes, expected] : std::map<std::string, std::map<std::string, std::string>>{
           {"[]", {}}, {"{", {}}, {R"({"a":1,"b":"c"})", {{"b", "c"}}}}) {
    noted.metadata["notes"] = notes;
    const fs::path other = folder.path / "noted.safetensors";
    tensor::io::write_safetensors(other, noted.tensors, noted.metadata);
    CHECK(load_checkpoint(other).notes == expected);
  }
}

TEST_CASE("a tied matrix is stored once, under the embedding's name") {
  for (const bool tied : {false, true}) {
    Toy toy;
    toy.info.decoder.tie_weights = tied;
    toy.info.weights = make_decoder(toy.info.decoder)->state_dict();
    const Folder folder("tied");
    const fs::path file = folder.path / "model.safetensors";
    save_checkpoint(file, toy.info);
    const auto tensors = tensor::io::read_safetensors(file).tensors;
    CHECK(tensors.contains("model.embedding.weight"));
    CHECK(tensors.contains("model.fc.weight") != tied);
    CHECK(tensors.contains("model.fc.bias"));
  }
}
