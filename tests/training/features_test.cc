// How features are made and kept apart: keys, changed photos, and caches that grow.
#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "imgcap/data/image_writer.h"
#include "imgcap/training/encode.h"
#include "tensor/error.h"
#include "tensor/io/safetensors.h"
#include "tests/data_dir.h"
#include "tests/folder.h"
#include "tests/training/eye.h"

using namespace imgcap;
using tensor::DType;
using tensor::Tensor;
using Kind = Augmentation::Kind;
using Names = std::vector<std::string>;

TEST_CASE("changed photos have keys that tell kind, view and seed apart") {
  const auto key = [](Kind kind, int64_t view, uint64_t seed) {
    return Augmentation{kind, view, seed}.key();
  };
  // These texts are in files, which have to stay valid.
  CHECK(key(Kind::none, 3, 7) == "");
  CHECK(key(Kind::mirror, 3, 7) == " mirror");
  CHECK(key(Kind::mild, 3, 7) == " mild augmentation 3 of seed 7");
  CHECK(key(Kind::original, 3, 7) == " original augmentation 3 of seed 7");
  std::set<std::string> all;
  const LoadedEncoder eye = make_eye();
  int count = 0;
  for (const int64_t photos : {0, 2, 3})
    for (const Kind kind : {Kind::mild, Kind::original})
      for (const int64_t view : {0, 1, 11})
        for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, UINT64_MAX}) {
          EncodeOptions options;
          options.augmentation = {kind, view, seed};
          options.batch_statistics = photos;
          const std::string whole = feature_key(eye, options);
          CHECK(whole.starts_with("eye" + options.augmentation.key()));
          all.insert(whole);
          ++count;
        }
  CHECK(static_cast<int>(all.size()) == count);
  CHECK(feature_key(eye, {}) == "eye");
}

TEST_CASE("what changed photos are: the dice of their kind for seed, view and photo") {
  Image image(40, 50);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * 31 % 256);
  const auto changed = [&](Kind kind, int64_t view, uint64_t seed, int64_t index) {
    return Augmentation{kind, view, seed}(image, index).pixels;
  };
  CHECK(changed(Kind::none, 1, 2, 3) == image.pixels);
  CHECK(changed(Kind::mirror, 1, 2, 3) == flip_horizontal(image).pixels);
  for (const auto& [kind, options] :
       {std::pair{Kind::mild, mild_augmentation()}, {Kind::original, AugmentOptions{}}}) {
    const auto base = changed(kind, 1, 2, 3);
    CHECK(base == augment(image, options, plan_augmentation(options, 2, 1, 3)).pixels);
    CHECK(base != changed(kind, 4, 2, 3));
    CHECK(base != changed(kind, 1, 4, 3));
    CHECK(base != changed(kind, 1, 2, 4));
  }
}

TEST_CASE(
    "an encoder's key changes with its name, each weight, their precision and how photos are made ready") {
  const auto file = tests::source_dir() / "assets/model/efficientnet_lite2.safetensors";
  const auto weights = tensor::io::read_safetensors(file).tensors;
  const auto key = [](std::map<std::string, Tensor> tensors) {
    return load_encoder("efficientnet_lite2", std::move(tensors), "here").key;
  };
  const std::string base = key(weights);
  CHECK(base == load_encoder("efficientnet_lite2", file).key);
  CHECK(base.starts_with("efficientnet_lite2 "));
  CHECK(base.ends_with(" " + to_json(efficientnet_lite_preprocessing())));
  // One weight, a little, in the last tensor and in the first.
  for (const std::string& name : {weights.begin()->first, weights.rbegin()->first}) {
    CAPTURE(name);
    auto other = weights;
    Tensor& tensor = other.at(name);
    tensor = tensor.clone();
    auto* last = reinterpret_cast<uint8_t*>(const_cast<std::byte*>(tensor.raw())) + tensor.bytes() - 2;
    *last ^= 1;
    CHECK(key(other) != base);
  }
  std::map<std::string, Tensor> wide;
  for (const auto& [name, tensor] : weights)
    wide[name] = tensor::is_floating(tensor.dtype()) ? tensor.to(DType::f32) : tensor;
  CHECK(key(wide) != base);
}

TEST_CASE("features are made in the order that was asked for, over batches") {
  const Photos photos;
  const ImageSource source = photos.source();
  const LoadedEncoder eye = make_eye();
  std::vector<std::pair<int64_t, int64_t>> progress;
  EncodeOptions options;
  options.progress = [&](int64_t done, int64_t total) { progress.emplace_back(done, total); };
  EncodeReport report;
  const FeatureCache all = encode_photos(eye, source, {}, report, options);
  REQUIRE(all.size() == 20);
  CHECK(all.places() == 2);
  CHECK(all.channels() == 3);
  for (int i = 0; i < 20; ++i) check_row(all, i, i);
  CHECK(all.key() == "eye");
  CHECK(all.unreadable().empty());
  CHECK(report.skipped.empty());
  CHECK_FALSE(report.stopped);
  REQUIRE(progress.size() == 2);
  CHECK(progress.front() == std::pair<int64_t, int64_t>{16, 20});
  CHECK(progress.back() == std::pair<int64_t, int64_t>{20, 20});
  CHECK(static_cast<Eye&>(*eye.encoder).pictures == std::vector<int64_t>{16, 4});

  const FeatureCache some = encode_photos(eye, source, {7, 0, 19}, report);
  REQUIRE(some.size() == 3);
  check_row(some, 0, 7);
  check_row(some, 1, 0);
  check_row(some, 2, 19);
}

TEST_CASE("a cache grows: what is known stays as it is and comes first, what cannot be read is remembered") {
  const Photos photos;
  write(photos.file(1), "no picture");
  write(photos.file(18), "not one, either");
  const LoadedEncoder eye = make_eye();
  // Features of photo 5 that no encoder made: they show that they were kept.
  const Tensor made = Tensor::full({1, 2, 3}, 0.5).to(DType::f16);
  const FeatureCache known({name_of(5)}, made, "eye", {{"gone.png", 77}, {name_of(2), 5}});
  EncodeOptions options;
  options.known = &known;
  EncodeReport report;
  const FeatureCache grown = encode_photos(eye, photos.source(), {18, 2, 1, 4}, report, options);
  REQUIRE(grown.size() == 3);
  CHECK(grown.names() == Names{name_of(5), name_of(2), name_of(4)});
  CHECK(grown.rows({0}).to_vector<float>() == std::vector<float>(6, 0.5f));
  check_row(grown, 1, 2);
  check_row(grown, 2, 4);
  // Photo 2 can be read now; the others are kept with the bytes of their files.
  CHECK(grown.unreadable() ==
        std::map<std::string, int64_t>{{"gone.png", 77}, {name_of(1), 10}, {name_of(18), 15}});
  REQUIRE(report.skipped.size() == 2);
  CHECK(report.skipped[0].first == name_of(18));
  CHECK(report.skipped[1].first == name_of(1));
  CHECK(report.skipped[1].second.find("no picture of a known format") != std::string::npos);

  // Nothing new that can be read: what is known is still a cache.
  EncodeReport second;
  const FeatureCache same = encode_photos(eye, photos.source(), {1}, second, options);
  CHECK(same.names() == Names{name_of(5)});
  CHECK(same.unreadable().at(name_of(1)) == 10);
  // Without any it is none.
  try {
    EncodeReport third;
    encode_photos(eye, photos.source(), {1, 18}, third);
    FAIL("no error");
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == tensor::ErrorKind::data);
    CHECK(std::string(error.what()).find("encode: none of 2 photos can be read; the first: ") == 0);
    CHECK(std::string(error.what()).find(name_of(1)) != std::string::npos);
  }
}

TEST_CASE("photos whose names are not UTF-8 are skipped, and are no reason to look again at every start") {
  const Photos photos;
  write(photos.folder.path / "\xff.png", encode_png(photo_of(3)));
  EncodeReport report;
  const FeatureCache cache = encode_photos(make_eye(), photos.source(), {}, report);
  CHECK(cache.size() == 20);
  CHECK(cache.unreadable().empty());
  REQUIRE(report.skipped.size() == 1);
  CHECK(report.skipped[0].second == "its name is not UTF-8");
}

TEST_CASE("encoding that is stopped keeps whole batches and says so") {
  const Photos photos;
  const LoadedEncoder eye = make_eye();
  std::atomic<bool> stop = false;
  EncodeOptions options;
  options.stop = &stop;
  options.progress = [&](int64_t, int64_t) { stop = true; };  // after the first batch
  EncodeReport report;
  const FeatureCache first = encode_photos(eye, photos.source(), {}, report, options);
  CHECK(report.stopped);
  REQUIRE(first.size() == 16);
  for (int i = 0; i < 16; ++i) check_row(first, i, i);
  // Before any: nothing, and no error.
  EncodeReport second;
  const FeatureCache none = encode_photos(eye, photos.source(), {}, second, options);
  CHECK(second.stopped);
  CHECK(none.size() == 0);
  CHECK(none.names().empty());
}

TEST_CASE("a photo's bytes are counted, and those that cannot be read are unknown") {
  const Photos photos;
  write(photos.file(0), "12345");
  const ImageSource source = photos.source();
  CHECK(file_bytes(source, 0) == 5);
  std::filesystem::remove(photos.file(0));
  CHECK(file_bytes(source, 0) == -1);
}
