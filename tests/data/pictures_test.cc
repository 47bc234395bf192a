// Files of BMP, GIF, PNG and JPEG that few programs write and browsers read (tests/golden/make_pictures.py).
#include <doctest/doctest.h>

#include <cstdlib>

#include "imgcap/data/image.h"
#include "tests/data/byte_tensors.h"
#include "tests/data_dir.h"

using namespace imgcap;
using tests::contains;

TEST_CASE("pictures of rare kinds are what Pillow reads, or what was written where it can't") {
  const auto all = tests::read_byte_tensors(tests::source_dir() / "tests/golden/pictures.safetensors");
  int count = 0;
  for (const auto& [key, file] : all) {
    if (!key.starts_with("file/")) continue;
    const std::string name = key.substr(5);
    CAPTURE(name);
    ++count;
    const tests::ByteTensor& want = all.at("pixels/" + name);
    Image image;
    REQUIRE(tests::error_of([&] { image = decode_image(file.bytes, "f"); }) == "");
    CHECK(image.warning == (!contains(name, ".endless") ? ""
                            : contains(name, ".gif")    ? "the GIF has no end; its first frame is whole"
                                                        : "the JPEG has no end mark; its picture is whole"));
    if (jpeg_is_turbo() || !name.ends_with(".jpg")) {
      CHECK(tests::difference(image, want) == "");
      continue;
    }
    // stb_image's transform and upsampling round differently.
    REQUIRE(image.height == want.shape[0]);
    REQUIRE(image.width == want.shape[1]);
    int64_t total = 0;
    for (size_t i = 0; i < want.bytes.size(); ++i) total += std::abs(image.pixels[i] - want.bytes[i]);
    CHECK(static_cast<double>(total) / static_cast<double>(want.bytes.size()) < 4.0);
  }
  CHECK(count == 250);
}
