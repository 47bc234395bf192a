// Encoders from the files that users bring.
#include "imgcap/training/encode.h"

#include <doctest/doctest.h>

#include <fstream>
#include <set>

#include "autograd/grad_mode.h"
#include "imgcap/data/image_writer.h"
#include "tensor/error.h"
#include "tests/folder.h"
#include "tests/golden.h"
#include "tests/made.h"
#include "tests/tensor/reference.h"
#include "tests/training/small_encoder.h"

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

TEST_CASE("an encoder for captions keeps its file's weights and gives the same features") {
  const auto load = [](EncoderUse use) {
    return load_encoder(kEncoder, tests::source_dir() / ("assets/model/" + kEncoder + ".safetensors"), use);
  };
  const LoadedEncoder wide = load(EncoderUse::features), narrow = load(EncoderUse::captions);
  CHECK(narrow.key.empty());
  for (const auto& [name, parameter] : narrow.encoder->named_parameters())
    CHECK(parameter.dtype() == tensor::DType::f16);
  const tensor::Tensor x = made(1, {1, 3, 64, 64}).to(tensor::DType::f32);
  CHECK(narrow.encoder->features(x).to_vector<float>() == wide.encoder->features(x).to_vector<float>());
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

namespace {

// Twenty pictures of 64 x 64 with colours of their own, and two files that are none.
struct Pictures {
  tests::TemporaryFolder folder{"pictures"};
  std::vector<std::string> names;
  Pictures() {
    for (int i = 0; i < 20; ++i) {
      Image image(64, 64);
      for (size_t k = 0; k < image.pixels.size(); ++k)
        image.pixels[k] = static_cast<uint8_t>(k / 3 % 64 * 2 + k % 3 * static_cast<size_t>(i * 4) + k / 999);
      names.push_back(tensor::format("{:02}.png", i));
      write(names.back(), encode_png(image));
    }
    write("cut.png", "no picture");  // after the numbers
  }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder.path / name, std::ios::binary) << bytes;
  }
  ImageSource source() const { return ImageSource({folder.path}); }
};

std::vector<float> row(const FeatureCache& cache, const std::string& name) {
  return cache.rows({cache.find(name).value()}).to_vector<float>();
}

}  // namespace

TEST_CASE("an image's features are the encoder's map, place by place, whatever batch it is in") {
  const Pictures pictures;
  const ImageSource source = pictures.source();
  const LoadedEncoder encoder = small_encoder();
  const std::vector<Image> images = {source.read_image(3), source.read_image(0)};
  const tensor::Tensor features = encode_images(encoder, images);
  REQUIRE(features.shape() == tensor::Shape{2, 4, 1280});
  const auto found = features.to_vector<float>();
  for (size_t n = 0; n < 2; ++n) {
    tensor::Tensor picture = tensor::Tensor::empty({1, 3, 64, 64});
    to_chw(images[n], encoder.preprocessing, picture.mutable_data<float>());
    const auto map = encoder.encoder->features(picture).contiguous().to_vector<float>();
    for (size_t place = 0; place < 4; ++place)
      for (size_t c = 0; c < 1280; ++c)
        REQUIRE(found[(n * 4 + place) * 1280 + c] == doctest::Approx(map[c * 4 + place]).epsilon(1e-5));
  }
}

TEST_CASE(
    "features of an encoder that computes in bf16 say so, and none of another arithmetic are added to them") {
  using tensor::DType;
  const Pictures pictures;
  const ImageSource source = pictures.source();
  const LoadedEncoder encoder = small_encoder();
  EncodeReport report;
  const FeatureCache exact = encode_photos(encoder, source, {3}, report);
  encoder.encoder->set_arithmetic(DType::bf16);
  const FeatureCache rounded = encode_photos(encoder, source, {3}, report);
  CHECK(exact.arithmetic() == DType::f32);
  CHECK(rounded.arithmetic() == DType::bf16);
  CHECK(exact.key() == encoder.key);
  CHECK(rounded.key() == encoder.key);
  CHECK(relative_error(rounded.rows({0}), exact.rows({0})) > 1e-3);

  EncodeOptions options;
  options.known = &rounded;
  const FeatureCache grown = encode_photos(encoder, source, {5}, report, options);
  CHECK(grown.size() == 2);
  CHECK(grown.arithmetic() == DType::bf16);
  options.known = &exact;
  CHECK_THROWS_WITH_AS(encode_photos(encoder, source, {5}, report, options),
                       "encode: features in bf16 cannot be added to those in f32", tensor::Error);
  // Batch norm that learns goes through the graph, which has no bf16.
  options.batch_statistics = 2;
  CHECK(feature_arithmetic(encoder, options) == DType::f32);
}

TEST_CASE("photos are encoded in the order that is asked for, and those that cannot be read are told") {
  const Pictures pictures;
  const ImageSource source = pictures.source();
  REQUIRE(source.size() == 21);
  const LoadedEncoder encoder = small_encoder();
  EncodeReport report;
  std::vector<std::pair<int64_t, int64_t>> progress;
  EncodeOptions options;
  options.progress = [&](int64_t done, int64_t total) { progress.emplace_back(done, total); };
  const FeatureCache all = encode_photos(encoder, source, {}, report, options);
  CHECK(all.names() == pictures.names);
  CHECK(all.key() == encoder.key);
  CHECK(all.unreadable() == std::map<std::string, int64_t>{{"cut.png", 10}});
  REQUIRE(report.skipped.size() == 1);
  CHECK(report.skipped[0].first == "cut.png");
  CHECK(report.skipped[0].second.find("cut.png") != std::string::npos);
  CHECK_FALSE(report.stopped);
  using Progress = std::vector<std::pair<int64_t, int64_t>>;
  CHECK(progress == Progress{{16, 21}, {21, 21}});
  for (const int64_t i : {0, 15, 16, 19}) {
    const tensor::Tensor expected = encode_images(encoder, {source.read_image(i)});
    CHECK(relative_error(all.rows({i}), expected) < 1e-3);  // 16 bits
    CHECK(relative_error(all.rows({(i + 1) % 20}), expected) > 1e-2);
  }

  EncodeReport some_report;
  const FeatureCache some = encode_photos(encoder, source, {7, 20, 2}, some_report);
  CHECK(some.names() == std::vector<std::string>{"07.png", "02.png"});
  CHECK(row(some, "02.png") == row(all, "02.png"));
  CHECK(some_report.skipped.size() == 1);

  // A cache that grows: what is known comes first, and what could not be read may be readable by now.
  pictures.write("cut.png", [&] {
    const auto bytes = source.read(4);
    return std::string(bytes.begin(), bytes.end());
  }());
  const ImageSource later = pictures.source();
  const FeatureCache known(some.names(), some.features(), some.key(), {{"cut.png", 10}, {"other.png", 5}});
  EncodeOptions grow;
  grow.known = &known;
  EncodeReport grown_report;
  const FeatureCache grown = encode_photos(encoder, later, {20, 0}, grown_report, grow);
  CHECK(grown.names() == std::vector<std::string>{"07.png", "02.png", "cut.png", "00.png"});
  CHECK(grown.unreadable() == std::map<std::string, int64_t>{{"other.png", 5}});
  CHECK(row(grown, "07.png") == row(all, "07.png"));
  CHECK(row(grown, "cut.png") == row(all, "04.png"));
  CHECK(row(grown, "00.png") == row(all, "00.png"));
}

TEST_CASE("encoding that is stopped keeps the batches that are done") {
  const Pictures pictures;
  const ImageSource source = pictures.source();
  const LoadedEncoder encoder = small_encoder();
  std::atomic<bool> stop{false};
  EncodeOptions options;
  options.stop = &stop;
  options.progress = [&](int64_t, int64_t) { stop = true; };
  EncodeReport report;
  const FeatureCache part = encode_photos(encoder, source, {}, report, options);
  CHECK(report.stopped);
  CHECK(part.size() == 16);
  CHECK(part.names().size() == 16);
  // Before anything is done it is no error, either.
  const FeatureCache none = encode_photos(encoder, source, {}, report, options);
  CHECK(report.stopped);
  CHECK(none.size() == 0);
}

TEST_CASE("photos of which none can be read are an error with the first one's reason") {
  const Pictures pictures;
  pictures.write("worse.png", "neither");
  const ImageSource source = pictures.source();
  const LoadedEncoder encoder = small_encoder();
  EncodeReport report;
  try {
    encode_photos(encoder, source, {20, 21}, report);
    FAIL_CHECK("no error");
  } catch (const tensor::Error& error) {
    const std::string what = error.what();
    CHECK(error.kind() == tensor::ErrorKind::data);
    CHECK(what.find("none of 2 photos can be read") != std::string::npos);
    CHECK(what.find("cut.png") != std::string::npos);
    CHECK(what.find("cut.png") == what.rfind("cut.png"));  // once
    CHECK(what.find("worse.png") == std::string::npos);
  }
  // With others that are known it is none.
  const FeatureCache known({"a.png"}, tensor::Tensor::zeros({1, 4, 1280}, tensor::DType::f16), encoder.key);
  EncodeOptions options;
  options.known = &known;
  const FeatureCache same = encode_photos(encoder, source, {20, 21}, report, options);
  CHECK(same.names() == known.names());
  CHECK(same.unreadable() == std::map<std::string, int64_t>{{"cut.png", 10}, {"worse.png", 7}});
  // A name that is no UTF-8 could not be kept; nothing is remembered of it.
  pictures.write("\xff.png", "x");
  const ImageSource odd = pictures.source();
  EncodeReport odd_report;
  const FeatureCache without = encode_photos(encoder, odd, {0, odd.size() - 1}, odd_report);
  CHECK(without.names() == std::vector<std::string>{"00.png"});
  REQUIRE(odd_report.skipped.size() == 1);
  CHECK(odd_report.skipped[0].second == "its name is not UTF-8");
  CHECK(without.unreadable().empty());
}

TEST_CASE("the bytes of a photo's file, or -1 where it is gone") {
  const Pictures pictures;
  const ImageSource source = pictures.source();
  CHECK(file_bytes(source, 20) == 10);
  CHECK(file_bytes(source, 3) ==
        static_cast<int64_t>(std::filesystem::file_size(pictures.folder.path / "03.png")));
  std::filesystem::remove(pictures.folder.path / "cut.png");
  CHECK(file_bytes(source, 20) == -1);
}

TEST_CASE("an augmentation is its kind, its view and its seed, and so is the key of what it makes") {
  using Kind = Augmentation::Kind;
  const Pictures pictures;
  const ImageSource source = pictures.source();
  Image image = source.read_image(5);
  const auto same = [](const Image& a, const Image& b) {
    return a.width == b.width && a.height == b.height && a.pixels == b.pixels;
  };
  CHECK(same(Augmentation{}(image, 3), image));
  CHECK(same(Augmentation{Kind::mirror, 2, 9}(image, 3), flip_horizontal(image)));
  for (const Kind kind : {Kind::mild, Kind::original}) {
    const AugmentOptions options = kind == Kind::mild ? mild_augmentation() : AugmentOptions{};
    for (const int64_t view : {0, 1})
      for (const uint64_t seed : {1, 2})
        for (const int64_t index : {0, 3})
          CHECK(same(Augmentation{kind, view, seed}(image, index),
                     augment(image, options, plan_augmentation(options, seed, view, index))));
  }
  std::set<std::string> keys = {Augmentation{}.key(), Augmentation{Kind::mirror}.key()};
  CHECK(Augmentation{}.key().empty());
  CHECK(Augmentation{Kind::mirror, 1, 2}.key() == Augmentation{Kind::mirror}.key());
  for (const Kind kind : {Kind::mild, Kind::original})
    for (const int64_t view : {0, 1})
      for (const uint64_t seed : {5, 6}) keys.insert(Augmentation{kind, view, seed}.key());
  CHECK(keys.size() == 10);

  LoadedEncoder encoder;
  encoder.key = "encoder";
  EncodeOptions options;
  CHECK(feature_key(encoder, options) == "encoder");
  options.augmentation = {Kind::mirror};
  CHECK(feature_key(encoder, options) == "encoder mirror");
  options.batch_statistics = 128;
  CHECK(feature_key(encoder, options) == "encoder mirror statistics of 128 photos");
  // What is encoded is the changed picture.
  const LoadedEncoder small = small_encoder();
  EncodeReport report;
  EncodeOptions mirrored;
  mirrored.augmentation = {Kind::mirror};
  const FeatureCache cache = encode_photos(small, source, {5}, report, mirrored);
  CHECK(cache.key() == small.key + " mirror");
  CHECK(relative_error(cache.rows({0}), encode_images(small, {flip_horizontal(image)})) < 1e-3);
  CHECK(relative_error(cache.rows({0}), encode_images(small, {image})) > 1e-3);
}

TEST_CASE("an encoder's key stands for its name, weights and preprocessing; each has its own preprocessing") {
  const LoadedEncoder lite = small_encoder();
  CHECK(lite.encoder->frozen());
  Preprocessing expected = efficientnet_lite_preprocessing();
  CHECK(lite.key.starts_with("efficientnet_lite2 "));
  CHECK(lite.key.ends_with(" " + to_json(expected)));
  nn::StateDict weights = make_encoder("resnet18")->state_dict();
  const LoadedEncoder residual = load_encoder("resnet18", weights, "memory");
  CHECK(residual.preprocessing == imagenet_preprocessing());
  CHECK(residual.key.ends_with(" " + to_json(imagenet_preprocessing())));
  CHECK(load_encoder("resnet18", weights, "elsewhere").key == residual.key);
  nn::StateDict changed = weights;
  tensor::Tensor bias = changed.at("fc.bias").clone();
  bias.select(0, 999).fill_(7);
  changed["fc.bias"] = bias;
  CHECK(load_encoder("resnet18", changed, "memory").key != residual.key);
  // 16-bit weights are widened.
  nn::StateDict half;
  for (const auto& [name, value] : weights)
    half[name] = tensor::is_floating(value.dtype()) ? value.to(tensor::DType::f16) : value;
  const LoadedEncoder widened = load_encoder("resnet18", half, "memory");
  for (const auto& [name, value] : widened.encoder->named_parameters())
    CHECK(value.dtype() == tensor::DType::f32);
  changed.erase("bn1.bias");
  tests::check_error(tensor::ErrorKind::data, {"from afar: ", "missing: bn1.bias"},
                     [&] { load_encoder("resnet18", changed, "from afar"); });
  tests::check_error(tensor::ErrorKind::argument, {"resnet19"},
                     [&] { load_encoder("resnet19", weights, "memory"); });
}
