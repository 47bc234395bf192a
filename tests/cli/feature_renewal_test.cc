// Feature caches that older readers of pictures made: which photos are encoded again.
#include <doctest/doctest.h>

#include "imgcap/cli/data_options.h"
#include "tensor/error.h"
#include "tensor/io/safetensors.h"
#include "tests/cli/captured.h"
#include "tests/cli/training_run.h"
#include "tests/data/byte_tensors.h"

using namespace imgcap;
using namespace imgcap::cli;
using tensor::DType;
using tests::Folder;
using tests::has;
using tests::said_by;

namespace {

using Names = std::vector<std::string>;

// Photos of every format of today, a cache that holds them all with features that no encoder makes, and a
// file that could not be read.
struct Scene {
  Folder folder;
  std::string photos = folder / "photos", file = folder / "features.safetensors";
  const LoadedEncoder& encoder = small();
  Names names = {"plain.jpg", "exif_6.jpg", "exif_6_xmp_3.jpg", "xmp_6.jpg", "xmp_1.jpg", "late_xmp_6.jpg",
                 "a.png",     "a.bmp",      "bmp.jpg",          "a.gif"};

  static const LoadedEncoder& small() {
    static const LoadedEncoder one = load_encoder("efficientnet_lite2", tests::encoder_in_the_box());
    return one;
  }

  Scene() {
    std::filesystem::create_directory(photos);
    const auto goldens = tests::read_byte_tensors(tests::source_dir() / "tests/golden/images.safetensors");
    const auto golden = [&](const std::string& name) {
      const auto& bytes = goldens.at("file/" + name).bytes;
      return std::string(bytes.begin(), bytes.end());
    };
    const auto with = [](std::string jpeg, const std::string& content, int marker = 0xE1) {
      const size_t size = content.size() + 2;
      const std::string head{'\xFF', static_cast<char>(marker), static_cast<char>(size >> 8),
                             static_cast<char>(size)};
      return jpeg.insert(2, head + content);
    };
    const auto xmp = [](int orientation) {
      return std::string("http://ns.adobe.com/xap/1.0/") + '\0' + "<rdf:Description tiff:Orientation=\"" +
             std::to_string(orientation) + "\"/>";
    };
    const std::string plain = golden("baseline_420.jpg"), turned = golden("orientation_6.jpg");
    write("plain.jpg", plain);
    write("exif_6.jpg", turned);
    write("exif_6_xmp_3.jpg", with(turned, xmp(3)));
    write("xmp_6.jpg", with(plain, xmp(6)));
    write("xmp_1.jpg", with(plain, xmp(1)));
    std::string late = with(plain, xmp(6));
    for (int i = 0; i < 2; ++i)
      late = with(late, std::string(60000, 'x'), 0xE2);  // behind what is read first
    write("late_xmp_6.jpg", late);
    write("a.png", golden("rgb.png"));
    write("a.bmp", golden("rgb.bmp"));
    write("bmp.jpg", golden("rgb.bmp"));
    write("a.gif", golden("still.gif"));
    write("bad.jpg", "x");
    save({{"names", json(names)}, {"key", encoder.key}, {"unreadable", R"({"bad.jpg":1})"}});
  }

  void write(const std::string& name, const std::string& bytes) {
    tests::write_text(photos + "/" + name, bytes);
  }
  static std::string json(const Names& list) {
    std::string text = "[";
    for (const std::string& name : list) text += (text.size() > 1 ? ",\"" : "\"") + name + "\"";
    return text + "]";
  }
  void save(const std::map<std::string, std::string>& metadata) const {
    const auto rows = static_cast<int64_t>(names.size());
    const auto features = encode_images(encoder, {Image(8, 8)});
    tensor::io::write_safetensors(
        file,
        {{"features", tensor::Tensor::full({rows, features.size(1), features.size(2)}, 0.5).to(DType::f16)}},
        metadata);
  }
  // The names whose features are no longer those that were put there.
  Names renewed(const FeatureCache& cache) const {
    Names all;
    for (int64_t row = 0; row < cache.size(); ++row) {
      const auto values = cache.rows({row}).to_vector<float>();
      if (values != std::vector<float>(values.size(), 0.5f))
        all.push_back(cache.names()[static_cast<size_t>(row)]);
    }
    std::sort(all.begin(), all.end());
    return all;
  }
  FeatureCache load(const Names& which, EncodeReport* report = nullptr) const {
    return load_features(encoder, {photos}, which, file, {}, report);
  }
};

}  // namespace

TEST_CASE(
    "a cache of the time before versions: what is read otherwise now is encoded again, the rest is kept") {
  const Scene scene;
  const Names changed = {"a.bmp", "a.gif", "bmp.jpg", "late_xmp_6.jpg", "xmp_6.jpg"};
  Names all = scene.names;
  all.emplace_back("bad.jpg");
  EncodeReport report;
  auto said = said_by([&] {
    const FeatureCache cache = scene.load(all, &report);
    CHECK(scene.renewed(cache) == changed);
    CHECK(cache.size() == 10);
    for (const std::string name : {"a.bmp", "xmp_6.jpg"}) {
      const auto row = cache.rows({*cache.find(name)}).to_vector<float>();
      const auto want = encode_images(scene.encoder, {read_image(scene.photos + "/" + name)}).to(DType::f16);
      CHECK(row == want.to(DType::f32).to_vector<float>());
    }
  });
  CHECK(has(said.err, scene.file +
                          ": 5 photos are read otherwise than by the version that encoded them, and are "
                          "encoded again (first: a.bmp)\n"));
  CHECK(has(said.err, ": 1 photos are added\n"));
  REQUIRE(report.skipped.size() == 1);  // it was tried again
  CHECK(report.skipped[0].first == "bad.jpg");
  // Now the cache is of today: nothing is looked at again.
  const FeatureCache kept = FeatureCache::open(scene.file);
  CHECK(kept.readers().versions == reader_versions());
  CHECK(kept.readers().older.empty());
  report = {};
  said = said_by([&] { CHECK(scene.renewed(scene.load(all, &report)) == changed); });
  CHECK(said.err == "1 photos cannot be read and are skipped (first: bad.jpg)\n");
  CHECK(report.skipped.empty());
}

TEST_CASE(
    "photos of JPEGs that are read as before: an old cache is used without a word, and stays as it is") {
  const Scene scene;
  const std::string before = tests::read_text(scene.file);
  const Names same = {"plain.jpg", "exif_6.jpg", "exif_6_xmp_3.jpg", "xmp_1.jpg", "a.png"};
  const auto said = said_by([&] { CHECK(scene.renewed(scene.load(same)).empty()); });
  CHECK(said.err.empty());
  CHECK(tests::read_text(scene.file) == before);
}

TEST_CASE("only the named photos of an old cache are looked at, and the others later") {
  const Scene scene;
  said_by([&] { CHECK(scene.renewed(scene.load({"a.bmp", "plain.jpg"})) == Names{"a.bmp"}); });
  const FeatureCache part = FeatureCache::open(scene.file);
  CHECK(part.size() == 10);
  CHECK(part.readers().versions == reader_versions());
  CHECK(part.readers().older.size() == 9);
  CHECK_FALSE(part.readers().older.contains("a.bmp"));
  CHECK_FALSE(part.readers().older.contains("plain.jpg"));
  const auto said = said_by([&] {
    CHECK(scene.renewed(scene.load({"a.gif", "a.bmp"})) == Names{"a.bmp", "a.gif"});
  });
  CHECK(has(said.err, ": 1 photos are read otherwise"));
}

TEST_CASE("an old cache without its photos is used as it is, with a word") {
  const Scene scene;
  const auto said = said_by([&] {
    CHECK(scene.renewed(load_features(scene.encoder, {"/nowhere"}, {"a.bmp"}, scene.file)).empty());
  });
  CHECK(said.err ==
        scene.file + ": made by an earlier version, and used as it is: the photos are not there\n");
  // One that is gone, beside others.
  std::filesystem::remove(scene.photos + "/a.gif");
  CHECK(said_by([&] { CHECK(scene.renewed(scene.load({"a.gif"})).empty()); }).err.empty());
}

TEST_CASE("a photo whose turned PNG is read otherwise is encoded again") {
  Scene scene;
  // EXIF with orientation 6 in an eXIf part.
  std::string png = tests::read_text(scene.photos + "/a.png");
  std::string part("eXIfMM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0", 30);
  uint32_t crc = 0xFFFFFFFFu;
  for (const char c : part) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? 0xEDB88320u ^ (crc >> 1) : crc >> 1;
  }
  const auto big = [](uint32_t v) {
    return std::string{static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8),
                       static_cast<char>(v)};
  };
  scene.write("a.png", png.insert(33, big(26) + part + big(~crc)));
  const bool turned = read_image(scene.photos + "/a.png").width == 23;
  said_by([&] { CHECK(scene.renewed(scene.load({"a.png"})) == (turned ? Names{"a.png"} : Names{})); });
}

TEST_CASE("features of an encoder in training mode stay as they are") {
  const Scene scene;
  EncodeOptions options;
  options.batch_statistics = 4;
  scene.save({{"names", Scene::json(scene.names)}, {"key", feature_key(scene.encoder, options)}});
  const auto said = said_by([&] {
    CHECK(scene.renewed(load_features(scene.encoder, {scene.photos}, scene.names, scene.file, options))
              .empty());
  });
  CHECK(said.err.empty());
}
