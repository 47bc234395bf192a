// The encoders against PyTorch and against the published weights' expected results.
#include "imgcap/models/encoder.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "autograd/ops.h"
#include "imgcap/data/archive.h"
#include "imgcap/models/resnet.h"
#include "tensor/io/safetensors.h"
#include "tests/golden.h"
#include "tests/made.h"
#include "tests/models/fill.h"
#include "tests/tensor/reference.h"

using namespace imgcap;
using tensor::DType;
using tensor::ErrorKind;
using tests::check_error;
using tests::fill;
using tests::golden;
using tests::made;
using tests::relative_error;

namespace {

std::unique_ptr<Encoder> lite2_of(const std::filesystem::path& file) {
  auto encoder = make_encoder("efficientnet_lite2", false);
  encoder->load_state_dict(tensor::io::read_safetensors(file).tensors);
  encoder->freeze();
  return encoder;
}

std::unique_ptr<Encoder> lite2(const std::filesystem::path& data) {
  return lite2_of(data / "efficientnet_lite2" / "efficientnet_lite2_imagenet.safetensors");
}

// IMGCAP_TEST_PHOTOS: how many of the 300 ImageNet photos to use (default 40).
int64_t photo_limit() {
  const char* wanted = std::getenv("IMGCAP_TEST_PHOTOS");
  return wanted != nullptr ? std::atoi(wanted) : 40;
}

double worst_absolute(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const auto x = tests::values(a), y = tests::values(b);
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - y[i]));
  return worst;
}

}  // namespace

TEST_CASE("encoders have the published numbers of parameters and torchvision's names") {
  const std::map<std::string, int64_t> counts = {{"resnet18", 11689512},
                                                 {"resnet34", 21797672},
                                                 {"resnet50", 25557032},
                                                 {"resnet101", 44549160},
                                                 {"efficientnet_lite2", 6092072}};
  for (const std::string& name : encoder_names()) {
    const auto encoder = make_encoder(name, false);
    CAPTURE(name);
    CHECK(encoder->name() == name);
    CHECK(encoder->parameter_count() == counts.at(name));
  }
  const auto encoder = make_encoder("resnet50", false);
  const nn::StateDict state = encoder->state_dict();
  CHECK(state.size() == 320);
  for (const char* name :
       {"conv1.weight", "bn1.num_batches_tracked", "layer1.0.downsample.0.weight",
        "layer1.0.downsample.1.running_var", "layer3.5.conv3.weight", "layer4.2.bn3.bias", "fc.bias"})
    CHECK_MESSAGE(state.contains(name), name);
  CHECK(to_string(state.at("layer2.0.conv2.weight").shape()) == "(128, 128, 3, 3)");
  check_error(ErrorKind::argument, {"'vgg16'", "resnet50"}, [] { make_encoder("vgg16"); });
  check_error(ErrorKind::argument, {"resnet: depth 19"}, [] { ResNet bad(19); });
}

// torchvision.models.resnet50 with weights made by a formula: see make_cnn.py.
TEST_CASE("ResNet50 equals torchvision, as a graph and as a frozen network") {
  const auto all = golden("cnn");
  ResNet model(50);
  fill(model);
  const Tensor x = made(1, {2, 3, 64, 64}).to(DType::f32);
  model.eval();
  CHECK(relative_error(model.features(x), all.at("resnet50/features")) <= 1e-5);
  model.freeze();
  CHECK(relative_error(model.features(x), all.at("resnet50/features")) <= 1e-5);
  const autograd::NoGrad guard;
  CHECK(relative_error(model.forward_head(model.features(x)).data(), all.at("resnet50/logits")) <= 1e-5);
}

// torchvision.models.resnet18(num_classes=10) in training mode, float64: see make_cnn.py.
TEST_CASE("a ResNet18 that is trained has PyTorch's gradients") {
  const auto all = golden("cnn");
  ResNet model(18, 10);
  fill(model);
  model.to(DType::f64);
  const Variable x(made(1, {3, 3, 32, 32}), true);
  const Variable y = model.forward(x);
  CHECK(relative_error(y.data(), all.at("resnet18/out")) <= 1e-9);
  y.backward(made(99, y.shape()));
  CHECK(relative_error(x.grad().data(), all.at("resnet18/grad.x")) <= 1e-8);
  for (const auto& [name, p] : model.named_parameters()) {
    CAPTURE(name);
    const Tensor gradient = p.grad().data().contiguous();
    const int64_t n = gradient.numel(), step = std::max<int64_t>(1, n / 32);
    const auto values = gradient.to_vector<double>();
    std::vector<double> samples;
    double norm = 0;
    for (int64_t i = 0; i < n; i += step)
      if (samples.size() < 32) samples.push_back(values[static_cast<size_t>(i)]);
    for (const double v : values) norm += v * v;
    const Tensor expected = all.at("resnet18/samples." + name);
    CHECK(relative_error(Tensor::from(samples, {static_cast<int64_t>(samples.size())}), expected) <= 1e-8);
    CHECK(std::sqrt(norm) == doctest::Approx(all.at("resnet18/norm." + name).item()).epsilon(1e-9));
  }
  CHECK(relative_error(model.buffer("layer4.1.bn2.running_mean"), all.at("resnet18/running_mean")) <= 1e-9);
  CHECK(relative_error(model.buffer("layer4.1.bn2.running_var"), all.at("resnet18/running_var")) <= 1e-9);
}

TEST_CASE("frozen features depend on neither threads nor batch, and follow the weights") {
  for (const std::string name : {"resnet18", "efficientnet_lite2"}) {
    CAPTURE(name);
    const auto encoder = make_encoder(name, false);
    fill(*encoder);
    encoder->eval();
    const Tensor x = made(5, {9, 3, 45, 64}).to(DType::f32);  // odd sizes, more than one chunk
    const Tensor graph = encoder->features(x);
    encoder->freeze();
    const Tensor frozen = encoder->features(x);
    CHECK(relative_error(frozen, graph) <= 1e-5);
    tests::check_threads([&] { return encoder->features(x); });
    for (const int64_t i : {0, 8})
      CHECK(tests::same_bits(encoder->features(x.slice(0, i, i + 1)), frozen.slice(0, i, i + 1)));
    CHECK(encoder->features(Tensor::empty({0, 3, 64, 64})).size(0) == 0);
    const auto parameters = encoder->named_parameters();
    Variable first = parameters.front().second;
    tensor::kernels::affine(first.mutable_data(), first.data().clone(), 1.5, 0);
    const Tensor changed = encoder->features(x);
    CHECK_FALSE(tests::same_bits(changed, frozen));
    encoder->unfreeze();
    encoder->eval();
    CHECK(relative_error(changed, encoder->features(x)) <= 1e-5);
    check_error(ErrorKind::shape, {name, "(1, 4, 8, 8)"}, [&] {
      encoder->features(Tensor::zeros({1, 4, 8, 8}));
    });
  }
}

TEST_CASE("features in 16 bits lie near those in f32, and depend on neither threads nor batch") {
  for (const std::string name : {"resnet50", "efficientnet_lite2"}) {
    CAPTURE(name);
    const auto encoder = make_encoder(name, false);
    fill(*encoder);
    encoder->freeze();
    const Tensor x = made(5, {9, 3, 45, 64}).to(DType::f32);
    const Tensor exact = encoder->features(x);
    for (const DType dtype : {DType::bf16, DType::f16}) {
      encoder->set_arithmetic(dtype);
      const Tensor rounded = encoder->features(x);
      CHECK(rounded.dtype() == DType::f32);
      CHECK(rounded.permute({0, 2, 3, 1}).is_contiguous());
      const double error = relative_error(rounded, exact), unit = dtype == DType::bf16 ? 1 : 0.125;
      CHECK(error > 1e-4 * unit);
      CHECK(error <= 2e-2 * unit);
      tests::check_threads([&] { return encoder->features(x); });
      for (const int64_t i : {0, 8})
        CHECK(tests::same_bits(encoder->features(x.slice(0, i, i + 1)), rounded.slice(0, i, i + 1)));
    }
    encoder->set_arithmetic(DType::f32);
    CHECK(tests::same_bits(encoder->features(x), exact));
    check_error(ErrorKind::argument, {name, "f64"}, [&] { encoder->set_arithmetic(DType::f64); });
  }
}

TEST_CASE("finetune trains the last stages only, and batch norm of the others stays as it is") {
  for (const std::string name : {"resnet18", "efficientnet_lite2"}) {
    CAPTURE(name);
    const auto encoder = make_encoder(name);
    encoder->finetune(1);
    encoder->train();
    const std::string first = name == "resnet18" ? "bn1" : "_bn0",
                      last = name == "resnet18" ? "layer4.1.bn2" : "_bn1";
    const Tensor before = encoder->buffer(first + ".running_mean").clone(),
                 after = encoder->buffer(last + ".running_mean").clone();
    autograd::sum(encoder->forward_features(made(1, {2, 3, 64, 64}).to(DType::f32))).backward();
    CHECK(tests::same_bits(encoder->buffer(first + ".running_mean"), before));
    CHECK_FALSE(tests::same_bits(encoder->buffer(last + ".running_mean"), after));
    CHECK(encoder->parameter(last + ".weight").grad().defined());
    CHECK_FALSE(encoder->parameter(first + ".weight").grad().defined());
    CHECK(encoder->parameter_count(true) < encoder->parameter_count());
    CHECK(encoder->parameter_count(true) > 0);
    encoder->finetune(0);
    CHECK(encoder->frozen());
    encoder->finetune(5);
    CHECK_FALSE(encoder->frozen());
    check_error(ErrorKind::argument, {name, "7 stages"}, [&] { encoder->finetune(7); });
  }
}

TEST_CASE("the last stages go on from what they take, as a graph and frozen") {
  for (const std::string name : {"resnet18", "efficientnet_lite2"}) {
    CAPTURE(name);
    const auto encoder = make_encoder(name);
    fill(*encoder);
    encoder->freeze();
    CHECK(encoder->stage_count() == 5);
    const Tensor x = made(1, {2, 3, 70, 64}).to(DType::f32), whole = encoder->features(x);
    CHECK(encoder->channels_before(5) == 3);
    CHECK(encoder->channels_before(0) == encoder->feature_channels());
    for (int last = 0; last <= 5; ++last) {
      CAPTURE(last);
      const Tensor before = encoder->features(x, last);
      const Encoder::Grid grid = Encoder::grid(70, 64, last);
      CHECK(before.shape() == Shape{2, encoder->channels_before(last), grid.rows, grid.columns});
      const autograd::NoGrad guard;
      CHECK(relative_error(encoder->forward_last(last, before).data(), whole) <= 1e-5);
    }
    CHECK(tests::same_bits(encoder->features(x), whole));
    check_error(ErrorKind::argument, {name, "6 stages", "there are 5"}, [&] { encoder->features(x, 6); });
    check_error(ErrorKind::argument, {name, "-1 stages"}, [&] { encoder->forward_last(-1, x); });
    check_error(ErrorKind::argument, {name, "6 stages"}, [&] { encoder->channels_before(6); });
  }
}

// A stage ends where the grid gets smaller; worked out from the papers' tables.
TEST_CASE("finetune trains exactly the last stages, whose batch norm learns, and never the classifier") {
  const std::map<std::string, std::vector<std::vector<std::string>>> stages = {
      {"resnet18", {{"conv1.", "bn1."}, {"layer1."}, {"layer2."}, {"layer3."}, {"layer4."}}},
      // Blocks of 1, 3, 3, 4 + 4 and 5 + 1; the first of all but the first group and of the fifth and last
      // halve the grid.
      {"efficientnet_lite2",
       {{"_conv_stem.", "_bn0.", "_blocks.0."},
        {"_blocks.1.", "_blocks.2.", "_blocks.3."},
        {"_blocks.4.", "_blocks.5.", "_blocks.6."},
        {"_blocks.7.", "_blocks.8.", "_blocks.9.", "_blocks.10.", "_blocks.11.", "_blocks.12.", "_blocks.13.",
         "_blocks.14."},
        {"_blocks.15.", "_blocks.16.", "_blocks.17.", "_blocks.18.", "_blocks.19.", "_blocks.20.",
         "_conv_head.", "_bn1."}}}};
  for (const auto& [name, of] : stages) {
    CAPTURE(name);
    const auto encoder = make_encoder(name, false);
    for (const int count : {5, 0, 1, 2, 3, 4}) {
      CAPTURE(count);
      encoder->finetune(count);
      encoder->train();
      std::set<std::string> learning;
      for (size_t i = of.size() - static_cast<size_t>(count); i < of.size(); ++i)
        learning.insert(of[i].begin(), of[i].end());
      const auto learns = [&](const std::string& key) {
        return std::any_of(learning.begin(), learning.end(),
                           [&](const auto& p) { return key.starts_with(p); });
      };
      for (const auto& [key, parameter] : encoder->named_parameters())
        CHECK_MESSAGE(parameter.requires_grad() == learns(key), key);
      for (const auto& [key, module] : encoder->named_modules()) {
        if (!module->children().empty() || key.empty()) continue;
        CHECK_MESSAGE(module->training() == learns(key + "."), key);
      }
      CHECK(encoder->frozen() == (count == 0));
    }
    check_error(ErrorKind::argument, {name, "6 stages", "there are 5"}, [&] { encoder->finetune(6); });
    check_error(ErrorKind::argument, {name, "-1 stages"}, [&] { encoder->finetune(-1); });
  }
}

TEST_CASE("encoders say what they give: channels, classes, a grid of a 32nd, and how photos are made ready") {
  const std::map<std::string, int64_t> channels = {{"resnet18", 512},
                                                   {"resnet34", 512},
                                                   {"resnet50", 2048},
                                                   {"resnet101", 2048},
                                                   {"efficientnet_lite2", 1280}};
  for (const std::string& name : encoder_names()) {
    CAPTURE(name);
    const auto encoder = make_encoder(name, false);
    CHECK(encoder->feature_channels() == channels.at(name));
    CHECK(encoder->classes() == 1000);
    CHECK(encoder->preprocessing() ==
          (name == "efficientnet_lite2" ? efficientnet_lite_preprocessing() : imagenet_preprocessing()));
    CHECK(encoder->describe() == (name == "efficientnet_lite2" ? "EfficientNetLite" : "ResNet"));
    if (name != "resnet18" && name != "efficientnet_lite2") continue;  // the others cost more and share all
    fill(*encoder);
    encoder->eval();
    const Tensor x = made(1, {2, 3, 64, 96}).to(DType::f32);
    const Tensor grid = encoder->features(x);
    CHECK(grid.shape() == Shape{2, channels.at(name), 2, 3});
    for (const auto& [h, w] : {std::pair<int64_t, int64_t>{64, 96}, {65, 33}, {1, 31}, {32, 97}}) {
      const Tensor map = encoder->features(Tensor::zeros({1, 3, h, w}));
      CHECK(map.size(2) == Encoder::grid(h, w).rows);
      CHECK(map.size(3) == Encoder::grid(h, w).columns);
    }
    // classify: softmax of the head of the mean over the grid.
    const Tensor p = encoder->classify(x);
    REQUIRE(p.shape() == Shape{2, 1000});
    const std::string head = name == "efficientnet_lite2" ? "_fc" : "fc";
    const auto w = tests::values(encoder->parameter(head + ".weight").data()),
               b = tests::values(encoder->parameter(head + ".bias").data()), g = tests::values(grid),
               q = tests::values(p);
    const auto d = static_cast<size_t>(channels.at(name));
    for (size_t photo = 0; photo < 2; ++photo) {
      std::vector<double> logits(1000);
      double sum = 0;
      for (size_t k = 0; k < 1000; ++k) {
        logits[k] = b[k];
        for (size_t c = 0; c < d; ++c) {
          double mean = 0;
          for (size_t place = 0; place < 6; ++place) mean += g[(photo * d + c) * 6 + place] / 6;
          logits[k] += w[k * d + c] * mean;
        }
        sum += std::exp(logits[k]);
      }
      double worst = 0;
      for (size_t k = 0; k < 1000; ++k)
        worst = std::max(worst, std::abs(q[photo * 1000 + k] - std::exp(logits[k]) / sum));
      CHECK(worst <= 1e-5);
    }
  }
}

TEST_CASE("a photo is resized and normalised for its encoder") {
  Image photo(30, 50);
  for (size_t i = 0; i < photo.pixels.size(); ++i) photo.pixels[i] = static_cast<uint8_t>(i * 7);
  for (const std::string name : {"resnet18", "efficientnet_lite2"}) {
    const auto encoder = make_encoder(name, false);
    const Tensor x = encoder->preprocess(photo);
    REQUIRE(x.shape() == Shape{1, 3, 224, 224});
    std::vector<float> expected(3 * 224 * 224);
    to_chw(photo, encoder->preprocessing(), expected.data());
    CHECK(x.to_vector<float>() == expected);
  }
}

// He et al. 2015: deviation sqrt(2 / fan out), the fan out the kernel's size times the outputs.
TEST_CASE("fresh convolutions have normal weights for the number of their outputs") {
  tensor::default_generator().set_state(3, 0);
  ResNet model(18, 10);
  for (const auto& [name, fan_out] : std::map<std::string, double>{{"layer4.1.conv2.weight", 512 * 9},
                                                                   {"layer4.0.downsample.0.weight", 512},
                                                                   {"conv1.weight", 64 * 49}}) {
    CAPTURE(name);
    const auto values = tests::values(model.parameter(name).data());
    const double n = static_cast<double>(values.size()), deviation = std::sqrt(2 / fan_out);
    double mean = 0, squares = 0;
    for (const double v : values) mean += v / n, squares += v * v / n;
    CHECK(std::abs(mean) <= 4 * deviation / std::sqrt(n));  // four standard deviations
    CHECK(std::abs(squares / (deviation * deviation) - 1) <= 4 * std::sqrt(2 / n));
  }
}

TEST_CASE("TensorFlow's same padding") {
  const auto total = [](int64_t size, int64_t kernel, int64_t stride) {
    const Conv2dOptions o = same_padding(nn::conv2d_options(stride), kernel, kernel, size, size);
    CHECK((size + o.pad_top + o.pad_bottom - kernel) / stride + 1 == (size + stride - 1) / stride);
    return std::pair(o.pad_top, o.pad_bottom);
  };
  CHECK(total(224, 3, 2) == std::pair<int64_t, int64_t>(0, 1));
  CHECK(total(225, 3, 2) == std::pair<int64_t, int64_t>(1, 1));
  CHECK(total(14, 5, 1) == std::pair<int64_t, int64_t>(2, 2));
  CHECK(total(56, 5, 2) == std::pair<int64_t, int64_t>(1, 2));
  CHECK(total(7, 1, 2) == std::pair<int64_t, int64_t>(0, 0));
}

TEST_CASE("EfficientNet-Lite2 gives the golden feature map") {
  const auto data = tests::data_dir();
  if (data.empty()) SKIP(tests::kNoData);
  const auto encoder = lite2(data);
  const auto expected = tensor::io::read_safetensors(data / "efficientnet_lite2" /
                                                     "expected_features_coco_000000000285.safetensors")
                            .tensors;
  Image picture(224, 224);
  picture.pixels = expected.at("pixels_224_hwc").to_vector<uint8_t>();
  const Tensor x = encoder->preprocess(picture);
  const Tensor frozen = encoder->features(x);
  CHECK(worst_absolute(frozen, expected.at("features_1x1280x7x7")) <= 1e-4);
  encoder->unfreeze();
  CHECK(worst_absolute(encoder->features(x), expected.at("features_1x1280x7x7")) <= 1e-4);
}

// Top-1 of all 300 is 68.67 %.
TEST_CASE("EfficientNet-Lite2 gives the expected classes of the ImageNet photos") {
  // The expected probabilities were made from libjpeg's pixels; stb_image's differ by a few levels.
  if (!jpeg_is_turbo()) SKIP("built without libjpeg-turbo");
  const auto data = tests::data_dir();
  if (data.empty()) SKIP(tests::kNoData);
  const int64_t limit = photo_limit();
  const auto encoder = lite2(data);
  const ImageSource photos({data / "imagenet_val300" / "images.tar"});
  std::ifstream file(data / "efficientnet_lite2" / "expected_top5.tsv");
  std::string line, name;
  std::getline(file, line);  // image, label, class1, prob1, ..., class5, prob5
  int count = 0, right = 0, right5 = 0;
  double worst = 0;
  while (count < limit && std::getline(file, line)) {
    std::istringstream fields(line);
    int64_t label = -1;
    fields >> name >> label;
    const auto index = photos.find(name);
    REQUIRE(index.has_value());
    const Tensor p = encoder->classify(encoder->preprocess(photos.read_image(*index)));
    const autograd::TopK top = autograd::topk(p, 5);
    const auto ids = top.indices.to_vector<int64_t>();
    const auto all = p.to_vector<float>();
    size_t id = 0;
    for (double probability = 0; fields >> id >> probability;)
      worst = std::max(worst, std::abs(static_cast<double>(all.at(id)) - probability));
    ++count;
    right += ids[0] == label;
    right5 += std::count(ids.begin(), ids.end(), label) > 0;
  }
  MESSAGE(count, " photos, top-1 ", right, ", top-5 ", right5, ", worst probability error ", worst);
  REQUIRE(count == std::min<int64_t>(limit, 300));
  CHECK(worst <= 1e-4);
  if (count == 300) {
    CHECK(right == 206);   // 68.67 %
    CHECK(right5 == 281);  // 93.67 %
  }
}

// Rounding to 16 bits changes a weight by 2^-11 of itself at most. Were the errors of all 65 convolutions to
// add up, that would be 3e-2 of the features' norm; as they are independent, some 1e-3 are expected.
TEST_CASE("the encoder in the box, with 16-bit weights, sees what the 32-bit one sees") {
  const auto data = tests::data_dir();
  if (data.empty()) SKIP(tests::kNoData);
  const auto whole = lite2(data),
             half = lite2_of(tests::source_dir() / "assets/model/efficientnet_lite2.safetensors");
  const auto expected = tensor::io::read_safetensors(data / "efficientnet_lite2" /
                                                     "expected_features_coco_000000000285.safetensors")
                            .tensors;
  Image picture(224, 224);
  picture.pixels = expected.at("pixels_224_hwc").to_vector<uint8_t>();
  const Tensor features = half->features(half->preprocess(picture));
  CHECK(relative_error(features, expected.at("features_1x1280x7x7")) <= 1e-2);
  CHECK(relative_error(features, expected.at("features_1x1280x7x7")) > 1e-5);  // they are other weights
  // The first class of the two may differ only where the 32-bit model has two nearly equal ones.
  const ImageSource photos({data / "imagenet_val300" / "images.tar"});
  const int64_t count = std::min(photo_limit(), photos.size());
  int64_t other = 0;
  double worst = 0, widest = 0;
  for (int64_t i = 0; i < count; ++i) {
    const Tensor x = whole->preprocess(photos.read_image(i));
    const Tensor a = whole->classify(x), b = half->classify(x);
    worst = std::max(worst, worst_absolute(a, b));
    const int64_t first = autograd::topk(a, 1).indices.item(), second = autograd::topk(b, 1).indices.item();
    const auto p = a.to_vector<float>();
    other += first != second;
    widest = std::max(
        widest, static_cast<double>(p.at(static_cast<size_t>(first)) - p.at(static_cast<size_t>(second))));
  }
  MESSAGE(count, " photos, ", other, " with another first class, ", widest,
          " apart at most; worst difference of a probability ", worst);
  CHECK(widest <= 0.01);
  CHECK(worst <= 0.02);
  CHECK(other <= count / 100);  // how often two are that near: in no more than one photo of a hundred
}
