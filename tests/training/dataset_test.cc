#include "imgcap/training/dataset.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tensor/error.h"
#include "tensor/io/safetensors.h"
#include "tests/folder.h"
#include "tests/tensor/reference.h"
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

TEST_CASE("data sets are joined, and come apart as they were") {
  const Toy toy;
  Dataset red =
      make_dataset({toy.captions}, {toy.names[0], toy.names[1], "none.jpg"}, toy.features, toy.vocabulary);
  Dataset blue = make_dataset({toy.captions}, {toy.names[2], toy.names[1]}, toy.features, toy.vocabulary);
  red.split = "red.txt";
  blue.split = "blue.txt";
  blue.without_captions = {"bare.jpg"};
  const Dataset all = join_sets({red, blue}, {{"red", 1, ""}, {"blue", 0.5, ""}});
  REQUIRE(all.photos.size() == 4);
  CHECK(all.caption_count() == red.caption_count() + blue.caption_count());
  CHECK(all.without_captions == std::vector<std::string>{"bare.jpg"});
  for (int64_t p = 0; p < 4; ++p) {
    const Dataset::Photo& own =
        p < 2 ? red.photos[static_cast<size_t>(p)] : blue.photos[static_cast<size_t>(p - 2)];
    const Dataset::Photo& joined = all.photos[static_cast<size_t>(p)];
    CHECK(joined.name == own.name);
    CHECK(joined.row == own.row);
    CHECK(joined.encoded == own.encoded);
    CHECK(all.weight_of(p) == (p < 2 ? 1 : 0.5));
  }
  const std::vector<Dataset> parts = parts_of(all);
  REQUIRE(parts.size() == 2);
  CHECK(parts[0].fingerprint() == red.fingerprint());
  CHECK(parts[1].fingerprint() == blue.fingerprint());
  CHECK(parts[1].split == "blue.txt");
  CHECK(parts[1].sets.empty());
  CHECK(parts[1].photos[0].set == 0);
  // One without a name is what it was.
  const Dataset alone = join_sets({red}, {{"", 1, ""}});
  CHECK(alone.sets.empty());
  CHECK(alone.split == "red.txt");
  CHECK(alone.weight_of(1) == 1);
  REQUIRE(parts_of(alone).size() == 1);
  CHECK(parts_of(alone)[0].fingerprint() == red.fingerprint());
  CHECK_THROWS_AS(join_sets({}, {}), tensor::Error);
  CHECK_THROWS_AS(join_sets({red}, {{"a", 1, ""}, {"b", 1, ""}}), tensor::Error);
  CHECK_THROWS_AS(join_sets({all, red}, {{"a", 1, ""}, {"b", 1, ""}}), tensor::Error);
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
  CHECK_THROWS_AS(make_dataset({toy.captions}, {"nowhere.jpg"}, toy.features, toy.vocabulary), tensor::Error);
  const Dataset cut = make_dataset({toy.captions}, toy.names, toy.features, toy.vocabulary, 4);
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

TEST_CASE("a data set has the photos with captions and features, in the order of the names") {
  const Toy toy;
  std::map<std::string, std::vector<std::string>> captions = toy.captions;
  captions["blue_dog.jpg"].clear();
  captions.erase("blue_ball.jpg");
  captions["elsewhere.jpg"] = {"a dog"};
  const std::vector<std::string> names = {"red_ball.jpg",  "elsewhere.jpg", "blue_dog.jpg",
                                          "blue_ball.jpg", "nowhere.jpg",   "black_dog.jpg"};
  const Dataset data = make_dataset({captions}, names, toy.features, toy.vocabulary);
  REQUIRE(data.photos.size() == 2);
  CHECK(data.photos[0].name == "red_ball.jpg");
  CHECK(data.photos[1].name == "black_dog.jpg");
  // Photos of the cache alone: the others may be typing mistakes.
  CHECK(data.without_captions == std::vector<std::string>{"blue_dog.jpg", "blue_ball.jpg"});
  CHECK(data.photos[0].row == 1);
  CHECK(data.photos[1].row == 6);
  CHECK(data.photos[0].captions == captions.at("red_ball.jpg"));
  REQUIRE(data.photos[0].encoded.size() == 2);
  for (size_t i = 0; i < 2; ++i)
    CHECK(data.photos[0].encoded[i] == toy.vocabulary.encode(data.photos[0].captions[i]));
  CHECK(data.caption_count() == 4);
  CHECK(data.references() ==
        std::map<std::string, std::vector<std::string>>{{"red_ball.jpg", captions.at("red_ball.jpg")},
                                                        {"black_dog.jpg", captions.at("black_dog.jpg")}});
  tests::check_error(tensor::ErrorKind::data, {"none of 2 photos", "first: 'blue_dog.jpg'"}, [&] {
    make_dataset({captions}, {"blue_dog.jpg", "nowhere.jpg"}, toy.features, toy.vocabulary);
  });
  tests::check_error(tensor::ErrorKind::data, {"none of 0 photos"},
                     [&] { make_dataset({captions}, {}, toy.features, toy.vocabulary); });
}

TEST_CASE("captions are cut to the most tokens and still end") {
  const Toy toy;
  // <sos> a red dog . <eos>
  const std::vector<int32_t> whole = toy.vocabulary.encode("a red dog .");
  REQUIRE(whole.size() == 6);
  const auto cut = [&](int64_t most) {
    return make_dataset({toy.captions}, toy.names, toy.features, toy.vocabulary, most).photos[0].encoded[0];
  };
  CHECK(cut(0) == whole);
  CHECK(cut(7) == whole);
  CHECK(cut(6) == whole);
  CHECK(cut(5) == std::vector<int32_t>{whole[0], whole[1], whole[2], whole[3], kEos});
  CHECK(cut(3) == std::vector<int32_t>{kSos, whole[1], kEos});
  CHECK(cut(2) == std::vector<int32_t>{kSos, kEos});
  CHECK(cut(1) == std::vector<int32_t>{kSos, kEos});
}

TEST_CASE("a batch has its photos' captions, the longest first, filled up with <pad>") {
  Toy toy;
  toy.data.photos[4].encoded = {toy.vocabulary.encode("a"), toy.vocabulary.encode("the dog is red ."),
                                toy.vocabulary.encode("the ball is red .")};
  const CaptionBatch batch = make_batch(toy.data, {2, 4}, toy.features);
  // Of photo 2: six and seven tokens; of photo 4: three, seven, seven. Equal lengths keep their order.
  const std::vector<std::pair<int64_t, std::vector<int32_t>>> expected = {{0, toy.data.photos[2].encoded[1]},
                                                                          {1, toy.data.photos[4].encoded[1]},
                                                                          {1, toy.data.photos[4].encoded[2]},
                                                                          {0, toy.data.photos[2].encoded[0]},
                                                                          {1, toy.data.photos[4].encoded[0]}};
  REQUIRE(batch.words.shape() == Shape{5, 7});
  CHECK(batch.lengths == std::vector<int64_t>{7, 7, 7, 6, 3});
  const std::vector<int64_t> words = batch.words.to_vector<int64_t>(),
                             image = batch.image.to_vector<int64_t>();
  for (size_t r = 0; r < expected.size(); ++r) {
    CAPTURE(r);
    CHECK(image[r] == expected[r].first);
    for (size_t k = 0; k < 7; ++k)
      CHECK(words[7 * r + k] == (k < expected[r].second.size() ? expected[r].second[k] : kPad));
  }
  CHECK(batch.features.data().to_vector<float>() == toy.features.rows({2, 4}).to_vector<float>());
  const CaptionBatch without = make_batch(toy.data, {2, 4});
  CHECK(without.words.to_vector<int64_t>() == words);
  CHECK_FALSE(without.features.defined());
  CHECK_THROWS_AS(make_batch(toy.data, {8}), std::out_of_range);
  // Features come from the row, which need not be the photo's place.
  std::swap(toy.data.photos[2].row, toy.data.photos[5].row);
  CHECK(make_batch(toy.data, {2, 4}, toy.features).features.data().to_vector<float>() ==
        toy.features.rows({5, 4}).to_vector<float>());
}

TEST_CASE("rows of another cache go by the photos' names") {
  const Toy toy;
  const FeatureCache turned({toy.names.rbegin(), toy.names.rend()}, toy.features.features(), "turned");
  const Dataset data = with_rows_of(turned, toy.data);
  for (size_t i = 0; i < 8; ++i) {
    CHECK(data.photos[i].name == toy.data.photos[i].name);
    CHECK(data.photos[i].row == static_cast<int64_t>(7 - i));
    CHECK(data.photos[i].encoded == toy.data.photos[i].encoded);
  }
  const FeatureCache one({"red_dog.jpg"}, toy.features.features().slice(0, 0, 1), "one");
  tests::check_error(tensor::ErrorKind::data, {"'red_ball.jpg' is missing among augmented photos"},
                     [&] { with_rows_of(one, toy.data); });
}

TEST_CASE("an epoch's batches are all photos once, in an order of the seed and the epoch alone") {
  for (const auto& [photos, size] : {std::pair{10, 4}, {10, 5}, {10, 10}, {10, 1}, {1, 1}, {0, 3}}) {
    CAPTURE(photos);
    CAPTURE(size);
    const auto batches = epoch_batches(photos, size, 3, 2);
    CHECK(static_cast<int>(batches.size()) == (photos + size - 1) / size);
    std::vector<int64_t> all;
    for (size_t i = 0; i < batches.size(); ++i) {
      const bool last = i + 1 == batches.size();
      CHECK(static_cast<int>(batches[i].size()) == (last && photos % size != 0 ? photos % size : size));
      all.insert(all.end(), batches[i].begin(), batches[i].end());
    }
    std::sort(all.begin(), all.end());
    std::vector<int64_t> expected(static_cast<size_t>(photos));
    for (size_t i = 0; i < expected.size(); ++i) expected[i] = static_cast<int64_t>(i);
    CHECK(all == expected);
  }
  // The size of batches does not change the order.
  const auto order = [](uint64_t seed, int64_t epoch, int64_t size) {
    std::vector<int64_t> all;
    for (const auto& batch : epoch_batches(40, size, seed, epoch))
      all.insert(all.end(), batch.begin(), batch.end());
    return all;
  };
  CHECK(order(1, 0, 7) == order(1, 0, 40));
  CHECK(order(1, 0, 7) != order(2, 0, 7));
  CHECK(order(1, 0, 7) != order(1, 1, 7));
  CHECK(order(1, 1, 7) != order(1, 2, 7));
  // Nor is it that of the generator which weights are drawn from.
  std::vector<int64_t> drawn(40);
  for (size_t i = 0; i < 40; ++i) drawn[i] = static_cast<int64_t>(i);
  tensor::Generator(1).shuffle(drawn);
  CHECK(order(1, 0, 7) != drawn);
  tests::check_error(tensor::ErrorKind::argument, {"0 photos per batch"}, [] { epoch_batches(10, 0, 1, 0); });
}

TEST_CASE("fingerprints tell every byte and every length apart") {
  const auto of = [](const std::string& text) {
    Dataset data;
    data.photos.push_back({"photo", 0, {text}, {}});
    return data.fingerprint();
  };
  std::set<std::string> seen;
  size_t texts = 0;
  // A changed byte at each place, words of eight bytes and what is left over.
  for (size_t length = 0; length < 20; ++length)
    for (size_t at = 0; at <= length; ++at) {
      std::string text(length, 'a');
      if (at < length) text[at] = 'b';
      seen.insert(of(text));
      ++texts;
      CHECK(of(text).size() == 16);
    }
  CHECK(seen.size() == texts);
  CHECK(of("a") == of("a"));
}
