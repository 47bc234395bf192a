#include "imgcap/training/dataset.h"

#include <doctest/doctest.h>

#include "tensor/error.h"
#include "tensor/io/safetensors.h"
#include "tests/folder.h"
#include "tests/training/toy.h"

using namespace imgcap;
using tensor::DType;

namespace {

using Folder = tests::TemporaryFolder;

}  // namespace

TEST_CASE("training takes views of the photos in turn") {
  const Toy toy;
  // The same photos in another order, with other features.
  std::vector<std::string> names(toy.names.rbegin(), toy.names.rend());
  tensor::Generator generator(9);
  Tensor values = Tensor::empty({8, 4, 12});
  tensor::fill_normal(values, 0, 1, generator);
  const FeatureCache changed(names, values.to(DType::f16), "toy mirror");
  const std::vector<const FeatureCache*> views = {&toy.features, &changed};
  for (const int64_t epoch : {0, 1, 2}) {
    const CaptionBatch batch = make_batch(toy.data, {3, 4}, views, epoch);
    CHECK(batch.words.to_vector<int64_t>() ==
          make_batch(toy.data, {3, 4}, toy.features).words.to_vector<int64_t>());
    for (const int64_t i : {0, 1}) {
      const bool plain = (3 + i + epoch) % 2 == 0;
      const Tensor expected = plain ? toy.features.rows({3 + i}) : changed.rows({7 - 3 - i});
      CHECK(batch.features.data().slice(0, i, i + 1).contiguous().to_vector<float>() ==
            expected.to_vector<float>());
    }
  }
  names.pop_back();
  const FeatureCache fewer(names, values.slice(0, 0, 7).to(DType::f16), "toy mirror");
  CHECK_THROWS_WITH_AS(make_batch(toy.data, {0}, {&fewer}, 0),
                       doctest::Contains("'red_dog.jpg' is missing among"), tensor::Error);
  CHECK_THROWS_AS(make_batch(toy.data, {0}, std::vector<const FeatureCache*>{}, 0), tensor::Error);
}

TEST_CASE("a data set's fingerprint tells names, captions and their order apart") {
  const auto of = [](const std::vector<std::pair<std::string, std::vector<std::string>>>& photos) {
    Dataset data;
    for (const auto& [name, captions] : photos) data.photos.push_back({name, 0, captions, {}});
    return data.fingerprint();
  };
  const std::string one = of({{"a", {"x", "y"}}, {"b", {"z"}}});
  CHECK(one == of({{"a", {"x", "y"}}, {"b", {"z"}}}));
  CHECK(one != of({{"a", {"x"}}, {"b", {"y", "z"}}}));
  CHECK(one != of({{"a", {"xy"}}, {"b", {"z"}}}));
  CHECK(one != of({{"a", {"y", "x"}}, {"b", {"z"}}}));
  CHECK(one != of({{"b", {"z"}}, {"a", {"x", "y"}}}));
  CHECK(one != of({{"c", {"x", "y"}}, {"b", {"z"}}}));
}

TEST_CASE("data sets and batches") {
  const Toy toy;
  const CaptionBatch batch = make_batch(toy.data, {1, 0}, toy.features);
  CHECK(batch.lengths == std::vector<int64_t>{7, 7, 6, 6});
  CHECK(batch.image.to_vector<int64_t>() == std::vector<int64_t>{0, 1, 0, 1});
  CHECK(batch.features.shape() == Shape{2, 4, 12});
  CHECK_THROWS_AS(make_dataset(toy.captions, {"nowhere.jpg"}, toy.features, toy.vocabulary), tensor::Error);
  const Dataset cut = make_dataset(toy.captions, toy.names, toy.features, toy.vocabulary, 4);
  CHECK(cut.photos[0].encoded[0].size() == 4);
  CHECK(cut.photos[0].encoded[0].back() == kEos);
  const auto first = epoch_batches(10, 4, 1, 0), again = epoch_batches(10, 4, 1, 0),
             next = epoch_batches(10, 4, 1, 1);
  CHECK(first == again);
  CHECK(first != next);
  CHECK(first.size() == 3);
  const Folder folder("cache");
  toy.features.save(folder.path / "f.safetensors");
  const FeatureCache back = FeatureCache::open(folder.path / "f.safetensors");
  CHECK(back.names() == toy.features.names());
  CHECK(back.rows({3}).to_vector<float>() == toy.features.rows({3}).to_vector<float>());
  CHECK_THROWS_AS(back.rows({8}), tensor::Error);
  // What could not be read is kept beside the features; caches of earlier versions know nothing of it.
  const Tensor row = Tensor::zeros({1, 2, 3}, DType::f16);
  FeatureCache({"a.jpg"}, row, "key", {{"cut.jpg", 3000}, {"shut.jpg", -1}})
      .save(folder.path / "u.safetensors");
  CHECK(FeatureCache::open(folder.path / "u.safetensors").unreadable() ==
        std::map<std::string, int64_t>{{"cut.jpg", 3000}, {"shut.jpg", -1}});
  const auto with = [&](std::map<std::string, std::string> more) {
    more.insert({{"names", "[\"a.jpg\"]"}, {"key", "key"}});
    tensor::io::write_safetensors(folder.path / "v.safetensors", {{"features", row}}, more);
    return FeatureCache::open(folder.path / "v.safetensors");
  };
  CHECK(with({}).unreadable().empty());
  for (const char* bad : {"[]", "{", "{\"a\":\"b\"}", "{\"a\":1.5}"}) {
    CAPTURE(bad);
    CHECK_THROWS_WITH_AS(with({{"unreadable", bad}}), doctest::Contains("unreadable photo"), tensor::Error);
  }
}
