#include "imgcap/data/feature_cache.h"

#include <doctest/doctest.h>

#include "tensor/error.h"
#include "tensor/io/safetensors.h"
#include "tests/data/byte_tensors.h"

using namespace imgcap;
using tensor::DType;
using tensor::Tensor;
using tests::contains;

namespace {

// Photo r, place p, channel c is 100 r + 10 p + c / 4: all exact in 16 bits.
double value(int64_t r, int64_t p, int64_t c) {
  return static_cast<double>(100 * r + 10 * p) + static_cast<double>(c) / 4;
}

Tensor three_photos() {
  std::vector<double> values;
  for (int64_t r = 0; r < 3; ++r)
    for (int64_t p = 0; p < 2; ++p)
      for (int64_t c = 0; c < 5; ++c) values.push_back(value(r, p, c));
  return Tensor::from(values, {3, 2, 5}).to(DType::f16);
}

const std::vector<std::string> kNames = {"b.jpg", "a.jpg", "\u00e9 x.jpg"};

void check_same(const FeatureCache& cache) {
  CHECK(cache.names() == kNames);
  CHECK(cache.key() == "the key");
  CHECK(cache.size() == 3);
  CHECK(cache.places() == 2);
  CHECK(cache.channels() == 5);
  CHECK(cache.find("b.jpg") == 0);
  CHECK(cache.find("a.jpg") == 1);
  CHECK(cache.find("\u00e9 x.jpg") == 2);
  CHECK_FALSE(cache.find("A.jpg").has_value());
  CHECK_FALSE(cache.find("").has_value());
  CHECK(cache.unreadable() == std::map<std::string, int64_t>{{"cut.jpg", 3000}, {"shut.jpg", -1}});
  const std::vector<int64_t> which = {2, 0, 2};
  const Tensor rows = cache.rows(which);
  CHECK(rows.dtype() == DType::f32);
  REQUIRE(rows.shape() == tensor::Shape{3, 2, 5});
  const auto got = rows.to_vector<float>();
  for (size_t i = 0; i < 3; ++i)
    for (int64_t p = 0; p < 2; ++p)
      for (int64_t c = 0; c < 5; ++c)
        CHECK(got[i * 10 + static_cast<size_t>(p * 5 + c)] == static_cast<float>(value(which[i], p, c)));
  const Tensor as_kept = cache.rows(which, FeaturesAs({}, DType::f16));
  CHECK(as_kept.dtype() == DType::f16);
  CHECK(as_kept.to(DType::f32).to_vector<float>() == got);
  CHECK(cache.rows({}).shape() == tensor::Shape{0, 2, 5});
}

std::string data_error(const std::function<void()>& call) {
  try {
    call();
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == tensor::ErrorKind::data);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("feature cache: what was put in comes out, from memory and from the file") {
  const FeatureCache cache(kNames, three_photos(), "the key", {{"cut.jpg", 3000}, {"shut.jpg", -1}});
  check_same(cache);
  const tests::TempFolder folder;
  cache.save(folder.path() / "f.safetensors");
  check_same(FeatureCache::open(folder.path() / "f.safetensors"));
  // A second file in its place is the whole of the second.
  FeatureCache({"z"}, Tensor::zeros({1, 2, 5}, DType::f16), "other").save(folder.path() / "f.safetensors");
  const FeatureCache other = FeatureCache::open(folder.path() / "f.safetensors");
  CHECK(other.names() == std::vector<std::string>{"z"});
  CHECK(other.key() == "other");
  CHECK(other.unreadable().empty());
}

TEST_CASE("feature cache: rows that are not there") {
  const FeatureCache cache(kNames, three_photos(), "the key");
  for (const int64_t row : {-1, 3}) {
    CAPTURE(row);
    try {
      cache.rows({0, row});
      FAIL("no error");
    } catch (const tensor::Error& error) {
      CHECK(error.kind() == tensor::ErrorKind::index);
      CHECK(error.what() == "feature cache: row " + std::to_string(row) + " of 3");
    }
  }
}

TEST_CASE("feature cache: names and features have to fit") {
  const auto error = [](std::vector<std::string> names, const Tensor& features) {
    return data_error([&] { FeatureCache(std::move(names), features, "k"); });
  };
  CHECK(error(kNames, three_photos()) == "");
  CHECK(contains(error({}, {}), "is needed"));
  CHECK(contains(error(kNames, three_photos().to(DType::f32)), "(images, places, channels) f16 is needed"));
  CHECK(contains(error(kNames, three_photos().reshape({3, 10})), "is needed"));
  CHECK(contains(error(kNames, three_photos().permute({0, 2, 1})), "is needed"));
  CHECK(contains(error({"a", "b"}, three_photos()), "2 names for 3 photos"));
  CHECK(contains(error({"a", "b", "c", "d"}, three_photos()), "4 names for 3 photos"));
  CHECK(contains(error({"a", "b", "a"}, three_photos()), "the photo 'a' is there twice"));
  CHECK(contains(error({"a", "b", "\xff"}, three_photos()), "'\\xff' is not UTF-8"));
}

TEST_CASE("feature cache: the readers of its photos are remembered") {
  const tests::TempFolder folder;
  const auto file = folder.path() / "f.safetensors";
  const auto saved = [&](const CacheReaders& readers) {
    FeatureCache(kNames, three_photos(), "k", {{"cut.jpg", 3}}, readers).save(file);
    return FeatureCache::open(file);
  };
  // Of today: nothing is older.
  const FeatureCache today = saved({});
  CHECK(today.readers().versions == reader_versions());
  CHECK(today.readers_until_today().older.empty());
  CHECK(reader_versions().at("JPEG") == 1);
  // A lower version of one format, or none of it: everything is, down to the unreadable.
  ReaderVersions before = reader_versions();
  before["GIF"] = 0;
  before["Other"] = 7;
  const FeatureCache old = saved({before, {}, {}});
  CacheReaders now = old.readers_until_today();
  CHECK(now.older == std::set<std::string>{"a.jpg", "b.jpg", "cut.jpg", "\u00e9 x.jpg"});
  CHECK(now.older_versions == before);
  CHECK(now.versions.at("GIF") == reader_version(PictureFormat::gif));
  CHECK(now.versions.at("Other") == 7);  // another build may read it
  before.erase("GIF");
  CHECK(saved({before, {}, {}}).readers_until_today().older.size() == 4);
  // Some that were older already keep the lowest versions.
  const FeatureCache mixed = saved({before, {"a.jpg"}, {{"JPEG", 0}, {"PNG", 1}, {"GIF", 1}}});
  CHECK(mixed.readers().older == std::set<std::string>{"a.jpg"});
  now = mixed.readers_until_today();
  CHECK(now.older.size() == 4);
  CHECK(now.older_versions == ReaderVersions{{"JPEG", 0}, {"PNG", 1}, {"GIF", 0}});
  const FeatureCache some = saved({reader_versions(), {"a.jpg"}, {{"PNG", 1}}});
  CHECK(some.readers_until_today().older == std::set<std::string>{"a.jpg"});
  CHECK(some.readers_until_today().older_versions == ReaderVersions{{"PNG", 1}});
  // Caches of the time before say nothing, and damaged ones are refused.
  const auto with = [&](const std::map<std::string, std::string>& more) {
    std::map<std::string, std::string> metadata = {{"names", "[\"a\"]"}, {"key", "k"}};
    metadata.insert(more.begin(), more.end());
    tensor::io::write_safetensors(file, {{"features", Tensor::zeros({1, 2, 3}, DType::f16)}}, metadata);
    return data_error([&] { CHECK(FeatureCache::open(file).readers_until_today().older.size() == 1); });
  };
  CHECK(with({}) == "");
  CHECK(with({{"readers", "{}"}}) == "");
  for (const char* bad :
       {"", "[]", "{\"versions\":[]}", "{\"versions\":{\"GIF\":\"1\"}}", "{\"versions\":{\"GIF\":-1}}",
        "{\"versions\":{\"GIF\":1e3}}", "{\"older\":{}}", "{\"older\":[1]}",
        "{\"versions\":{\"GIF\":99999999999}}", "{\"older\":[],\"older_versions\":3}"})
    CHECK(contains(with({{"readers", bad}}), "f.safetensors: "));
}

TEST_CASE("feature cache: the encoder's arithmetic is beside the key") {
  const tests::TempFolder folder;
  const auto file = folder.path() / "f.safetensors";
  const auto metadata = [&] { return tensor::io::read_safetensors_header(file).metadata; };
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    FeatureCache(kNames, three_photos(), "k", {}, {}, dtype).save(file);
    CHECK(FeatureCache::open(file).arithmetic() == dtype);
    CHECK(FeatureCache::open(file).key() == "k");
    CHECK(metadata().at("arithmetic") == tensor::name_of(dtype));
    CHECK(metadata().at("key") == "k");
  }
  CHECK(FeatureCache(kNames, three_photos(), "k").arithmetic() == DType::f32);
  CHECK(contains(data_error([&] { FeatureCache(kNames, three_photos(), "k", {}, {}, DType::f64); }),
                 "no encoder computes in f64"));

  // The key and the arithmetic of a file with this metadata, or why it is refused.
  const auto read = [&](std::map<std::string, std::string> with) {
    with["names"] = "[\"a\"]";
    tensor::io::write_safetensors(file, {{"features", Tensor::zeros({1, 2, 3}, DType::f16)}}, with);
    std::string found;
    const std::string refused = data_error([&] {
      const FeatureCache cache = FeatureCache::open(file);
      found = cache.key() + ", " + std::string(tensor::name_of(cache.arithmetic()));
    });
    return found + refused;
  };
  // Of earlier versions: in f32, or in bf16 where the key says it.
  CHECK(read({{"key", "eye 1 {}"}}) == "eye 1 {}, f32");
  CHECK(read({{"key", "eye 1 {} bf16 arithmetic"}}) == "eye 1 {}, bf16");
  CHECK(read({{"key", "eye 1 {} bf16 arithmetic mirror"}}) == "eye 1 {} mirror, bf16");
  // Where the field is there, the key is what it is.
  CHECK(read({{"key", "eye"}, {"arithmetic", "bf16"}}) == "eye, bf16");
  CHECK(read({{"key", "eye bf16 arithmetic"}, {"arithmetic", "f32"}}) == "eye bf16 arithmetic, f32");
  for (const std::string bad : {"", "f64", "BF16", "f32 ", "{}", "\n"}) {
    CAPTURE(bad);
    CHECK(contains(read({{"key", "eye"}, {"arithmetic", bad}}),
                   "f.safetensors: features of an encoder that computes in '"));
  }
}

TEST_CASE("feature cache: files that are none") {
  const tests::TempFolder folder;
  const auto file = folder.path() / "f.safetensors";
  const auto error = [&](const std::map<std::string, Tensor>& tensors,
                         const std::map<std::string, std::string>& metadata) {
    tensor::io::write_safetensors(file, tensors, metadata);
    return data_error([&] { FeatureCache::open(file); });
  };
  const std::map<std::string, Tensor> one = {{"features", Tensor::zeros({1, 2, 3}, DType::f16)}};
  CHECK(error(one, {{"names", "[\"a\"]"}, {"key", "k"}}) == "");
  CHECK(contains(error({{"feature", one.at("features")}}, {{"names", "[\"a\"]"}, {"key", "k"}}),
                 "f.safetensors: not a feature cache"));
  CHECK(contains(error(one, {{"key", "k"}}), "not a feature cache"));
  CHECK(contains(error(one, {{"names", "[\"a\"]"}}), "not a feature cache"));
  CHECK(contains(error(one, {{"names", "{}"}, {"key", "k"}}), "names are not a JSON array"));
  CHECK(contains(error(one, {{"names", "[\"a\""}, {"key", "k"}}), "names are not a JSON array"));
  CHECK(contains(error(one, {{"names", "[1]"}, {"key", "k"}}), "name is not a string"));
  CHECK(contains(error(one, {{"names", "[\"a\",\"b\"]"}, {"key", "k"}}), "2 names for 1 photos"));
}
