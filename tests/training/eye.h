// Twenty photos, and an encoder that shows which photo a feature is of.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "imgcap/data/image_writer.h"
#include "imgcap/training/encode.h"
#include "tests/folder.h"

namespace imgcap {

// An encoder whose features are the picture's own pixels.
class Eye final : public Encoder {
 public:
  std::string name() const override { return "eye"; }
  std::string describe() const override { return "Eye"; }
  Preprocessing preprocessing() const override { return {}; }
  int64_t feature_channels() const override { return 3; }
  int64_t classes() const override { return 1; }
  Variable forward_head(const Variable& x) override { return x; }

  std::vector<int64_t> pictures;  // of each batch

 protected:
  std::vector<Stage> stages() const override { return {{3, {}}}; }
  Variable forward_stage(size_t, const Variable& x) override {
    pictures.push_back(x.size(0));
    return x;
  }
  int build_stage(size_t, CnnBuilder&, int x) const override { return x; }
  nn::Module& head() override { return *this; }
};

inline LoadedEncoder make_eye() {
  LoadedEncoder eye;
  eye.encoder = std::make_unique<Eye>();
  eye.preprocessing = {1, 2, PixelScale::byte, {0, 0, 0}, {1, 1, 1}};
  eye.key = "eye";
  return eye;
}

// A photo of two pixels that says which it is.
inline Image photo_of(int number) {
  Image image(1, 2);
  for (size_t i = 0; i < 6; ++i) image.pixels[i] = static_cast<uint8_t>(10 * number + static_cast<int>(i));
  return image;
}

inline void write(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
}

inline std::string name_of(int number) { return std::to_string(100 + number) + ".png"; }

// 20 photos, "100.png" to "119.png": more than one batch.
struct Photos {
  tests::TemporaryFolder folder{"features"};
  Photos() {
    for (int i = 0; i < 20; ++i) write(file(i), encode_png(photo_of(i)));
  }
  std::filesystem::path file(int number) const { return folder.path / name_of(number); }
  ImageSource source() const { return ImageSource({folder.path}); }
};

// Row `row` of the cache is the photo with this number.
inline void check_row(const FeatureCache& cache, int64_t row, int number) {
  CAPTURE(number);
  CHECK(cache.names()[static_cast<size_t>(row)] == name_of(number));
  const auto got = cache.rows({row}).to_vector<float>();
  const Image want = photo_of(number);
  CHECK(std::vector<float>(want.pixels.begin(), want.pixels.end()) == got);
}

}  // namespace imgcap
