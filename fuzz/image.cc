#include "imgcap/data/image.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A million pixels at most, and of some JPEGs after a reduction: larger ones only take longer.
  const imgcap::ImageLimits limits{
      .pixels = int64_t{1} << 20, .jpeg_pixels = int64_t{1} << 22, .file_bytes = int64_t{1} << 20};
  fuzz::expect_data_errors([&] {
    const imgcap::Image image = imgcap::decode_image({data, size}, "input", limits);
    fuzz::require(image.height > 0 && image.width > 0 && image.height * image.width <= limits.pixels);
    fuzz::require(static_cast<int64_t>(image.pixels.size()) == image.height * image.width * 3);
  });
  return 0;
}
