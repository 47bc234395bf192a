// HEIC and AVIF by libheif: the primary picture, with the file's own turns and crops.
#include "imgcap/data/image_codecs.h"
#include "tensor/error.h"

#ifdef IMGCAP_HAVE_HEIF
#include <libheif/heif.h>

#include <memory>

#include "imgcap/data/utf8.h"

namespace imgcap::codecs {
namespace {

using tensor::check;
using tensor::ErrorKind;

constexpr int64_t kLongestSide = 32768;

template <class T, void (*release)(T*)>
struct Release {
  void operator()(T* object) const { release(object); }
};
struct ReleaseHandle {
  void operator()(heif_image_handle* handle) const { heif_image_handle_release(handle); }
};
struct ReleaseImage {
  void operator()(const heif_image* image) const { heif_image_release(image); }
};

void expect(const heif_error& error, const std::string& name) {
  check(error.code != heif_error_Unsupported_feature && error.code != heif_error_Unsupported_filetype &&
            error.code != heif_error_Plugin_loading_error,
        ErrorKind::data, "{}: a HEIF file that this libheif cannot read: {}", name,
        printable(error.message != nullptr ? error.message : ""));
  check(error.code == heif_error_Ok, ErrorKind::data, "{}: damaged HEIF: {}", name,
        printable(error.message != nullptr ? error.message : ""));
}

}  // namespace

Image decode_heif(Bytes bytes, const std::string& name, const ImageLimits& limits) {
  const std::unique_ptr<heif_context, Release<heif_context, heif_context_free>> context(heif_context_alloc());
  check(context != nullptr, ErrorKind::data, "{}: not enough memory for the HEIF file", name);
  expect(heif_context_read_from_memory_without_copy(context.get(), bytes.data(), bytes.size(), nullptr),
         name);
  heif_image_handle* primary = nullptr;
  expect(heif_context_get_primary_image_handle(context.get(), &primary), name);
  const std::unique_ptr<heif_image_handle, ReleaseHandle> handle(primary);
  // The stored size is what takes the memory; a crop may leave less.
  Header stored;
  stored.width = heif_image_handle_get_ispe_width(handle.get());
  stored.height = heif_image_handle_get_ispe_height(handle.get());
  check_size(stored, limits, name);
  // A picture may be put together of tiles, and say there that it is larger. libheif knows a limit for sides.
  const int64_t side = std::max(stored.width, stored.height);
  check(side <= kLongestSide, ErrorKind::data, "{}: a HEIF picture of {} x {}, the limit is {} for a side",
        name, stored.width, stored.height, kLongestSide);
  heif_context_set_maximum_image_size_limit(context.get(), static_cast<int>(side));
  Header header;
  header.width = heif_image_handle_get_width(handle.get());
  header.height = heif_image_handle_get_height(handle.get());
  check_size(header, limits, name);

  const bool transparent = heif_image_handle_has_alpha_channel(handle.get()) != 0;
  const bool premultiplied = heif_image_handle_is_premultiplied_alpha(handle.get()) != 0;
  const std::unique_ptr<heif_decoding_options, Release<heif_decoding_options, heif_decoding_options_free>>
      options(heif_decoding_options_alloc());
  check(options != nullptr, ErrorKind::data, "{}: not enough memory for the HEIF file", name);
  options->convert_hdr_to_8bit = 1;
  heif_image* decoded = nullptr;
  expect(heif_decode_image(handle.get(), &decoded, heif_colorspace_RGB,
                           transparent ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB,
                           options.get()),
         name);
  const std::unique_ptr<const heif_image, ReleaseImage> pixels(decoded);
  int stride = 0;
  const uint8_t* plane = heif_image_get_plane_readonly(decoded, heif_channel_interleaved, &stride);
  Header got;
  got.width = heif_image_get_primary_width(decoded);
  got.height = heif_image_get_primary_height(decoded);
  check_size(got, limits, name);
  check(plane != nullptr && heif_image_get_bits_per_pixel_range(decoded, heif_channel_interleaved) == 8,
        ErrorKind::data, "{}: damaged HEIF: it has no picture of 8 bits", name);

  Image image(got.height, got.width);
  for (int64_t y = 0; y < got.height; ++y) {
    const uint8_t* from = plane + y * stride;
    uint8_t* to = image.row(y);
    if (!transparent) {
      std::copy(from, from + got.width * 3, to);
      continue;
    }
    for (int64_t x = 0; x < got.width; ++x, from += 4, to += 3) {
      uint8_t colour[3] = {from[0], from[1], from[2]};
      if (premultiplied) separate_alpha(colour, from[3]);
      over_white(colour, from[3], to);
    }
  }
  return image;  // upright: libheif has turned it, and EXIF says no more
}

}  // namespace imgcap::codecs

#else

namespace imgcap::codecs {
Image decode_heif(Bytes, const std::string& name, const ImageLimits&) {
  tensor::fail(tensor::ErrorKind::data,
               "{}: a HEIC or AVIF file, which this build cannot read: build with libheif (Debian: "
               "libheif-dev, CMake: IMGCAP_HEIF=ON)",
               name);
}
}  // namespace imgcap::codecs

#endif
