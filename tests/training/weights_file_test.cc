// Weights that other people saved: names under prefixes, parts that are not there, values that are no
// numbers.
#include "imgcap/training/weights_file.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "imgcap/training/encode.h"
#include "imgcap/training/original_checkpoint.h"
#include "nn/init.h"
#include "tensor/error.h"
#include "tests/data_dir.h"
#include "tests/folder.h"
#include "tests/text.h"

using namespace imgcap;
using tensor::DType;
using Tensors = std::map<std::string, tensor::Tensor>;

namespace {

// All zeros, of these names.
Tensors named(const std::vector<std::string>& names) {
  Tensors result;
  for (const std::string& name : names) result[name] = tensor::Tensor::zeros({1});
  return result;
}

std::vector<std::string> names_of(const Tensors& tensors) {
  std::vector<std::string> names;
  for (const auto& [name, value] : tensors) names.push_back(name);
  return names;
}

struct Taken {
  std::vector<std::string> names, remarks;
};

// What is left for a model of a.x, a.y and b.z, which can have a.w, too.
Taken take(const std::vector<std::string>& names) {
  Tensors tensors = named(names);
  Taken result;
  take_prefix(tensors, {"a.x", "a.y", "b.z"}, {"a.", "b."}, "f.pth", result.remarks);
  result.names = names_of(tensors);
  return result;
}

template <class F>
std::string data_error(F&& f) {
  try {
    f();
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == tensor::ErrorKind::data);
    return error.what();
  }
  return "no error";
}

// A small network that is quick to make: all of its weights are 0.01.
const Tensors& resnet18() {
  static const Tensors state = [] {
    Tensors result;
    for (const auto& [name, value] : make_encoder("resnet18", false)->state_dict())
      result[name] =
          tensor::Tensor::full(value.shape(), tensor::is_floating(value.dtype()) ? 0.01 : 3, value.dtype());
    return result;
  }();
  return state;
}

LoadedEncoder load(Tensors tensors, EncoderUse use = EncoderUse::features) {
  return load_encoder("resnet18", std::move(tensors), "r.pth", use);
}

Tensors with_bad(const std::string& name, double bad) {
  Tensors tensors = resnet18();
  tensors[name] = tensors[name].clone();
  tensors[name].mutable_data<float>()[tensors[name].numel() - 1] = static_cast<float>(bad);
  return tensors;
}

}  // namespace

TEST_CASE("names under one prefix lose it, and what else is there is named") {
  const std::vector<std::string> own{"a.x", "a.y", "b.z"};
  CHECK(take(own).names == own);
  CHECK(take(own).remarks.empty());
  CHECK(take({"a.w", "a.x", "a.y", "b.z"}).names == std::vector<std::string>{"a.w", "a.x", "a.y", "b.z"});
  for (const std::string prefix : {"module.", "state_dict.", "model.", "backbone.", "_orig_mod.",
                                   "model_state_dict._orig_mod.module.", "a."}) {
    CAPTURE(prefix);
    const Taken taken = take({prefix + "a.x", prefix + "a.y", prefix + "b.z", prefix + "a.w"});
    CHECK(taken.names == std::vector<std::string>{"a.w", "a.x", "a.y", "b.z"});
    CHECK(taken.remarks ==
          std::vector<std::string>{"f.pth: its names begin with '" + prefix + "', which is left out"});
  }
  // A training checkpoint, and a part of a larger model.
  const Taken run =
      take({"net.a.x", "net.a.y", "net.b.z", "optimizer.state.0.m", "optimizer.state.1.m", "ema"});
  CHECK(run.names == own);
  CHECK(run.remarks.back() == "f.pth: 3 tensors of other parts are not used: 'ema', 'optimizer.'");
  const Taken larger = take({"a.x", "a.y", "b.z", "rpn.a"});
  CHECK(larger.names == own);
  CHECK(larger.remarks == std::vector<std::string>{"f.pth: a tensor of other parts is not used: 'rpn.'"});
  CHECK(take({"a.x", "a.y", "b.z", "c", "d", "e", "f"}).remarks.front() ==
        "f.pth: 4 tensors of other parts are not used: 'c', 'd', 'e', ...");
  // Names without a prefix are what is meant, though others are complete, too.
  CHECK(take({"a.x", "a.y", "b.z", "ema.a.x", "ema.a.y", "ema.b.z"}).names == own);
}

TEST_CASE("names that do not fit stay for the error, under the prefix that fits best") {
  CHECK(take({"q.x", "q.y"}).names == std::vector<std::string>{"q.x", "q.y"});
  CHECK(take({"m.a.x", "m.a.y", "m.c"}).names == std::vector<std::string>{"a.x", "a.y", "c"});
  CHECK(take({"a.x", "a.y"}).names == std::vector<std::string>{"a.x", "a.y"});
  CHECK(take({}).names.empty());
  CHECK(tests::has(data_error([] {
                     take({"p.a.x", "p.a.y", "p.b.z", "q.a.x", "q.a.y", "q.b.z"});
                   }),
                   "f.pth: such weights are there 2 times, under 'p.', 'q.'; choose: imgcap convert f.pth "
                   "FILE.safetensors --rename p.="));
}

TEST_CASE("an encoder from a file with a prefix, of another number of classes, without a classifier") {
  const LoadedEncoder plain = load(resnet18());
  CHECK(plain.remarks.empty());
  Tensors wrapped;
  for (const auto& [name, value] : resnet18()) wrapped["state_dict.module." + name] = value;
  wrapped["optimizer.step"] = tensor::Tensor::zeros({1});
  const LoadedEncoder unwrapped = load(wrapped);
  CHECK(unwrapped.key == plain.key);  // the same weights: features are made once
  CHECK(unwrapped.remarks.size() == 2);

  Tensors ten = resnet18();
  ten["fc.weight"] = tensor::Tensor::zeros({10, 512});
  ten["fc.bias"] = tensor::Tensor::zeros({10});
  CHECK(load(ten, EncoderUse::classes).encoder->classes() == 10);

  Tensors none = resnet18();
  none.erase("fc.weight");
  CHECK(data_error([&] { load(none, EncoderUse::classes); }) ==
        "r.pth: it has no classifier (fc.weight, fc.bias)");
  none.erase("fc.bias");
  CHECK(load(none).encoder->state_dict().at("fc.weight").to_vector<float>() ==
        std::vector<float>(512'000, 0));
  none["fc.0.weight"] = none["fc.3.weight"] = tensor::Tensor::zeros({1});
  CHECK(load(none).remarks ==
        std::vector<std::string>{
            "r.pth: its classifier is not one linear layer; what is under 'fc.' is left out"});

  Tensors old = resnet18();
  CHECK(std::erase_if(old, [](const auto& t) { return t.first.ends_with(".num_batches_tracked"); }) == 20);
  CHECK(load(old).encoder->state_dict().at("bn1.num_batches_tracked").item() == 0);
  // Deeper networks of the same family are no ResNet18 with something beside it.
  Tensors deeper = resnet18();
  deeper["layer1.2.conv1.weight"] = tensor::Tensor::zeros({64, 64, 3, 3});
  CHECK(tests::has(data_error([&] { load(deeper); }), "unexpected: layer1.2.conv1.weight"));
}

TEST_CASE("NaN and infinity in weights are refused by name where they are used") {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()}) {
    CHECK(data_error([&] { load(with_bad("layer1.0.bn1.running_var", bad)); }) ==
          "r.pth: layer1.0.bn1.running_var: 1 of 64 values NaN or infinite");
    CHECK(data_error([&] { load(with_bad("conv1.weight", bad)); }) ==
          "r.pth: conv1.weight: 1 of 9408 values NaN or infinite");
    CHECK(data_error([&] { load(with_bad("fc.bias", bad), EncoderUse::classes); }) ==
          "r.pth: fc.bias: 1 of 1000 values NaN or infinite");
    CHECK(data_error([&] { load(with_bad("fc.bias", bad)); }) == "no error");
    CHECK(data_error([&] { load(with_bad("conv1.weight", bad), EncoderUse::conversion); }) == "no error");
  }
  Checkpoint checkpoint;
  checkpoint.decoder.vocabulary = 5;
  checkpoint.decoder.features = checkpoint.decoder.embedding = checkpoint.decoder.hidden =
      checkpoint.decoder.attention = 2;
  checkpoint.weights = make_decoder(checkpoint.decoder)->state_dict();
  checkpoint.make_decoder();
  checkpoint.weights["fc.bias"].mutable_data<float>()[2] = std::numeric_limits<float>::infinity();
  CHECK(data_error([&] { checkpoint.make_decoder(); }) == "fc.bias: 1 of 5 values NaN or infinite");

  CHECK(not_finite("f", resnet18()).empty());
  CHECK(not_finite("f", with_bad("conv1.weight", std::numeric_limits<double>::quiet_NaN())) ==
        std::vector<std::string>{"f: 1 value is NaN or infinite: 'conv1.weight' (1)"});
  Tensors bad;
  for (const char* name : {"a", "b", "c", "d", "e"})
    bad[name] = tensor::Tensor::full({2}, std::numeric_limits<double>::infinity());
  CHECK(not_finite("f", bad) ==
        std::vector<std::string>{
            "f: 10 values are NaN or infinite: 'a' (2), 'b' (2), 'c' (2) and 2 more tensors"});
}

TEST_CASE("8 bits keep a row that is not finite from becoming one that is") {
  Checkpoint checkpoint;
  checkpoint.decoder.vocabulary = 128;
  for (int i = 0; i < 128; ++i)
    checkpoint.vocabulary.push_back(
        i < 4 ? std::vector<std::string>{"<unk>", "<pad>", "<sos>", "<eos>"}[static_cast<size_t>(i)]
              : " w" + std::to_string(i));
  checkpoint.decoder.features = checkpoint.decoder.embedding = checkpoint.decoder.attention = 2;
  checkpoint.decoder.hidden = 128;
  checkpoint.weights = make_decoder(checkpoint.decoder)->state_dict();
  float* values = checkpoint.weights.at("fc.weight").mutable_data<float>();
  values[5] = std::numeric_limits<float>::quiet_NaN();
  values[128 + 5] = std::numeric_limits<float>::infinity();
  values[256 + 5] = 1e30f;  // over what an f16 scale can say
  const tests::TemporaryFolder folder("weights");
  save_checkpoint(folder.path / "m.safetensors", checkpoint, WeightFormat::i8);
  const Checkpoint read = load_checkpoint(folder.path / "m.safetensors");
  const auto got = read.weights.at("fc.weight").to_vector<float>();
  for (size_t i = 0; i < 3 * 128; ++i) CHECK_FALSE(std::isfinite(got[i]));
  for (size_t i = 3 * 128; i < got.size(); ++i) CHECK(std::isfinite(got[i]));
}

TEST_CASE("read_weights names what it leaves out, escaped") {
  const WeightsFile file = read_weights(tests::source_dir() / "tests/golden/pth_attack.pth");
  CHECK(names_of(file.tensors) == std::vector<std::string>{"weight"});
  REQUIRE(file.remarks.size() == 1);
  CHECK(
      file.remarks[0].ends_with("pth_attack.pth: a value that is neither a tensor nor a number is left out: "
                                "'payload' (posix.system('echo executed'))"));
  const WeightsFile others = read_weights(tests::source_dir() / "tests/golden/pth_others.pth");
  REQUIRE(others.remarks.size() == 1);
  CHECK(tests::has(others.remarks[0],
                   "12 values that are neither tensors nor numbers are left out: 'args' "
                   "(argparse.Namespace()), 'array' ("));
  CHECK(others.remarks[0].ends_with(" and 9 more"));
}

TEST_CASE("a checkpoint of the original's, and files that are none") {
  const Vocabulary words(std::vector<std::string>{"<unk>", "<pad>", "<sos>", "<eos>", " a"});
  std::vector<std::string> remarks;
  const auto convert = [&](const Tensors& tensors) {
    return original_checkpoint({tensors, {{"epoch", "30"}}, {}}, words, "o.pth", remarks);
  };
  DecoderConfig config;
  config.vocabulary = 5, config.features = 6, config.embedding = 3, config.hidden = 4, config.attention = 2,
  config.layers = 3;
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    config.kind = kind;
    Tensors tensors;
    for (const auto& [name, value] : make_decoder(config)->state_dict())
      tensors[name.starts_with("head.") ? "m.cnn.ResNet50.fc." + name.substr(5) : "m.lstm." + name] = value;
    const Checkpoint got = convert(tensors);
    if (kind == DecoderKind::plain) config.attention = DecoderConfig().attention;  // it has none
    CHECK(got.decoder == config);
    CHECK(got.encoder == "resnet50");
    CHECK(got.encoder_weights.empty());
    CHECK(got.notes.at("epoch") == "30");
    CHECK(got.preprocessing == imagenet_preprocessing());
    const auto refused = [&](const std::string& name, const tensor::Tensor& value, const std::string& why) {
      Tensors changed = tensors;
      value.defined() ? changed[name] = value : (changed.erase(name), value);
      const std::string said = data_error([&] { convert(changed); });
      CAPTURE(said);
      CHECK(said.starts_with("o.pth: "));
      CHECK(tests::has(said, why));
    };
    refused("m.lstm.lstm.weight_hh_l0", {},
            "not a checkpoint of the original ImgCap: lstm.lstm.weight_hh_l0 is");
    refused("m.lstm.fc.bias", {}, "missing: fc.bias");
    refused("m.lstm.lstm.weight_hh_l1", tensor::Tensor::zeros({16, 5}), "does not fit: lstm.weight_hh_l1");
    refused("m.lstm.embedding.weight", tensor::Tensor::zeros({4}), "lstm.embedding.weight is");
    refused("m.lstm.embedding.weight", tensor::Tensor::zeros({7, 3}), "has 7 tokens, the vocabulary 5");
    refused("m.cnn.other", tensor::Tensor::zeros({4}), "'cnn.other' is of no model of the original's");
    refused("m.cnn.ResNet50.conv1.weight", tensor::Tensor::zeros({4}), "missing: bn1.");
  }
  CHECK(tests::has(data_error([&] { convert(named({"conv1.weight"})); }),
                   "not a checkpoint of the original ImgCap"));
}
