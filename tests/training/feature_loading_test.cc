#include "imgcap/training/feature_loading.h"

#include <doctest/doctest.h>

#include "tensor/error.h"
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
