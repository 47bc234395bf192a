// Pictures as 8-bit RGB, and how they are read: JPEG, PNG, BMP, GIF, WebP, TIFF and, on request, HEIC and
// AVIF, told apart by content, never by name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace imgcap {

// `pixels` holds height x width x 3 bytes: rows from the top, then columns, then red, green, blue.
struct Image {
  int64_t height = 0, width = 0;
  std::vector<uint8_t> pixels;
  std::string warning;  // of decoding: what is wrong with a file whose picture is whole; mostly empty
  int orientation = 1;  // EXIF's 1..8: how decoding turned the stored picture (HEIF: 1)

  Image() = default;
  // A black picture. Errors: argument (a side that is not positive).
  Image(int64_t rows, int64_t columns);

  const uint8_t* row(int64_t y) const { return pixels.data() + y * width * 3; }
  uint8_t* row(int64_t y) { return pixels.data() + y * width * 3; }
};

// What a file may claim before it is refused. A picture is measured by its header, before memory is taken for
// it. A JPEG over `pixels` and up to `jpeg_pixels` is decoded at the largest of 1/2, 1/4 and 1/8 of its sides
// that is not over `pixels`.
struct ImageLimits {
  int64_t pixels = int64_t{64} * 1024 * 1024;
  int64_t jpeg_pixels = int64_t{256} * 1024 * 1024;
  int64_t file_bytes = int64_t{256} * 1024 * 1024;
};

// Decodes a picture; `name` stands in front of every error text.
// - JPEG: baseline, progressive, grey, CMYK and YCCK. With libjpeg-turbo the pixels are those of PIL's
//   `ImageOps.exif_transpose(Image.open(f)).convert("RGB")`. CMYK values are taken as inverted, as PIL does
//   (every program since Photoshop 2.5 writes them so).
// - PNG: alpha is blended over white, 16-bit samples keep their high byte.
// - BMP: of Windows and OS/2; the fourth byte of a 32-bit pixel is alpha only when the header says so.
// - GIF: the first frame on its canvas, white where there is nothing.
// JPEG and PNG are turned upright as EXIF says, or XMP where EXIF says nothing.
// - WebP and TIFF (the first picture), where the build has their libraries: as PNG, and upright.
// - HEIC and AVIF, likewise: upright by the file's own properties.
// Errors: data (not a picture, damaged, cut short, too large, of a format that this build lacks).
Image decode_image(std::span<const uint8_t> bytes, const std::string& name, const ImageLimits& limits = {});

// Reads and decodes a file. Errors: io (missing, a folder, unreadable), and those of decode_image.
Image read_image(const std::filesystem::path& path, const ImageLimits& limits = {});

// The whole of a regular file. Errors: io (missing, a folder, not a regular file, unreadable), data (over the
// limit).
std::vector<uint8_t> read_file_bytes(const std::filesystem::path& path, int64_t limit);

// Turns stored pixels upright. `orientation` is EXIF's 1..8 (1 changes nothing); errors: argument for others.
Image apply_orientation(Image image, int orientation);

// Whether this build decodes JPEG by libjpeg-turbo (true) or by stb_image (false: small differences in
// pixels, and no arithmetic coding).
bool jpeg_is_turbo();

}  // namespace imgcap
