#include "imgcap/training/feature_loading.h"

#include <doctest/doctest.h>

#include "tensor/error.h"
#include "tensor/io/safetensors.h"
#include "tests/training/eye.h"

using namespace imgcap;
using Names = std::vector<std::string>;

TEST_CASE("loading features tells what it does, in the order of its doing") {
  const Photos photos;
  const LoadedEncoder eye = make_eye();
  const tests::TemporaryFolder folder("loading");
  const std::filesystem::path file = folder.path / "cache.safetensors";
  Names told;
  FeatureListener listener;
  listener.opened = [&](const ImageSource& source) {
    told.push_back(tensor::format("opened {}", source.size()));
  };
  listener.remark = [&](const std::string& sentence) { told.push_back(sentence); };
  listener.begins = [&] { told.push_back("begins"); };
  listener.progress = [&](int64_t done, int64_t total) {
    told.push_back(tensor::format("{} of {}", done, total));
  };
  listener.encoded = [&](const EncodeReport& report) {
    told.push_back(tensor::format("encoded, {} skipped", report.skipped.size()));
    CHECK_FALSE(std::filesystem::exists(file));
  };
  listener.ends = [&] {
    told.push_back("ends");
    CHECK(std::filesystem::exists(file));
  };
  const std::string images = photos.folder.path.string();
  Names wanted = photos.source().photos().keys();
  const Names all = wanted;
  wanted.push_back("lost.png");
  const auto load = [&](const FeatureListener& to) {
    return load_or_encode_features(eye, {images}, wanted, file.string(), {}, to);
  };
  CHECK(load(listener).names() == all);
  CHECK(told == Names{"opened 20", "1 photos are missing (first: lost.png)", "begins", "16 of 20", "20 of 20",
                      "encoded, 0 skipped", "ends"});
  // All that is there is cached: nothing is encoded, and a listener that hears nothing is one, too.
  told.clear();
  CHECK(load(listener).names() == all);
  CHECK(told == Names{"opened 20", "1 photos are missing (first: lost.png)"});
  CHECK(load({}).size() == 20);
  wanted.pop_back();
  told.clear();
  CHECK(load_or_encode_features(eye, {"/nowhere"}, wanted, file.string(), {}, listener).size() == 20);
  CHECK(told.empty());
  CHECK_THROWS_WITH_AS(load_or_encode_features(eye, {images}, wanted, "/nowhere/cache", {}, listener),
                       "/nowhere/cache: there is no folder /nowhere", tensor::Error);
  CHECK(told.empty());
}

TEST_CASE("a file of features has one arithmetic, which is followed or refused") {
  using tensor::DType;
  const Photos photos;
  const LoadedEncoder eye = make_eye();
  const tests::TemporaryFolder folder("arithmetic");
  const std::string file = (folder.path / "cache.safetensors").string(), images = photos.folder.path.string();
  Names told;
  FeatureListener listener;
  listener.remark = [&](const std::string& sentence) { told.push_back(sentence); };
  EncodeOptions keep;
  keep.keep_arithmetic = true;
  const auto load = [&](DType asked, const EncodeOptions& options, const Names& names) {
    eye.encoder->set_arithmetic(asked);
    told.clear();
    return load_or_encode_features(eye, {images}, names, file, options, listener);
  };
  const auto refused = [&](DType made, DType asked, const EncodeOptions& options, const Names& names) {
    CHECK_THROWS_WITH_AS(
        load(asked, options, names),
        (file + ": its features are in " + std::string(tensor::name_of(made)) + ", and " +
         std::string(tensor::name_of(asked)) +
         " is asked for, which one file cannot have beside it; name another file, or remove this one")
            .c_str(),
        tensor::Error);
  };
  for (const DType made : {DType::bf16, DType::f32}) {
    const DType other = made == DType::f32 ? DType::bf16 : DType::f32;
    std::filesystem::remove(file);
    CHECK(load(made, keep, {name_of(0)}).arithmetic() == made);
    CHECK(told.empty());
    // What is there and what is not, with the other one asked for.
    for (const Names& names : {Names{name_of(0)}, Names{name_of(0), name_of(1)}})
      refused(made, other, keep, names);
    CHECK(FeatureCache::open(file).size() == 1);
    // Followed, what is added is of the file's.
    const FeatureCache grown = load(other, {}, {name_of(0), name_of(1)});
    const std::string name(tensor::name_of(made));
    CHECK(told == Names{file + ": its features are in " + name + ", and so is what is added",
                        file + ": 1 photos are added"});
    CHECK(grown.size() == 2);
    CHECK(grown.arithmetic() == made);
    CHECK(eye.encoder->arithmetic() == made);
    CHECK(FeatureCache::open(file).arithmetic() == made);
    CHECK(FeatureCache::open(file).key() == "eye");
    CHECK(load(made, keep, {name_of(1)}).size() == 2);
    CHECK(told.empty());
  }
  // An encoder whose batch norm learns has f32 alone.
  EncodeOptions learning;
  learning.batch_statistics = 2;
  FeatureCache({}, tensor::Tensor::empty({0, 2, 3}, DType::f16), feature_key(eye, learning), {}, {},
               DType::bf16)
      .save(file);
  refused(DType::bf16, DType::f32, learning, {name_of(0)});
  // Another encoder's is refused whatever its arithmetic.
  FeatureCache({}, tensor::Tensor::empty({0, 2, 3}, DType::f16), "ear", {}, {}, DType::bf16).save(file);
  CHECK_THROWS_WITH_AS(
      load(DType::f32, {}, {name_of(0)}),
      (file + ": these features are of another encoder, other weights or another way to make photos "
              "ready; name another file, or remove this one")
          .c_str(),
      tensor::Error);
  CHECK(eye.encoder->arithmetic() == DType::f32);
}

TEST_CASE("a cache of the time when the key named the arithmetic grows on, and has the field then") {
  using tensor::DType;
  const Photos photos;
  const LoadedEncoder eye = make_eye();
  const tests::TemporaryFolder folder("old_arithmetic");
  const std::string file = (folder.path / "cache.safetensors").string(), images = photos.folder.path.string();
  const FeatureCache one = load_or_encode_features(eye, {images}, {name_of(3)}, "", {}, {});
  for (const bool rounded : {false, true}) {
    const std::string suffix = rounded ? " bf16 arithmetic" : "";
    tensor::io::write_safetensors(file, {{"features", one.features()}},
                                  {{"names", "[\"" + name_of(3) + "\"]"},
                                   {"key", "eye" + suffix},
                                   {"readers", "{\"versions\":{\"PNG\":1}}"}});
    const DType made = rounded ? DType::bf16 : DType::f32;
    eye.encoder->set_arithmetic(DType::f32);
    const FeatureCache grown = load_or_encode_features(eye, {images}, {name_of(3), name_of(4)}, file, {}, {});
    CHECK(grown.arithmetic() == made);
    const auto metadata = tensor::io::read_safetensors_header(file).metadata;
    CHECK(metadata.at("key") == "eye");
    CHECK(metadata.at("arithmetic") == tensor::name_of(made));
    CHECK(FeatureCache::open(file).size() == 2);
  }
}

TEST_CASE("loading features that is stopped keeps what is encoded, and goes on from there") {
  const Photos photos;
  const LoadedEncoder eye = make_eye();
  const tests::TemporaryFolder folder("loading_stopped");
  const std::string file = (folder.path / "cache.safetensors").string(), images = photos.folder.path.string();
  std::atomic<bool> stop = false;
  bool ended = false;
  FeatureListener listener;
  listener.stop = &stop;
  listener.progress = [&](int64_t, int64_t) { stop = true; };  // after the first batch
  listener.ends = [&] { ended = true; };
  CHECK_THROWS_AS(load_or_encode_features(eye, {images}, {}, file, {}, listener), LoadingStopped);
  CHECK(ended);
  CHECK(FeatureCache::open(file).size() == 16);
  Names told;
  listener = {};
  listener.remark = [&](const std::string& sentence) { told.push_back(sentence); };
  CHECK(load_or_encode_features(eye, {images}, {}, file, {}, listener).size() == 20);
  CHECK(told == Names{file + ": 4 photos are added"});
}
