// TIFF and BigTIFF by libtiff: the first picture of a file, its samples taken as Pillow takes them.
#include "imgcap/data/image_codecs.h"
#include "imgcap/data/orientation.h"
#include "tensor/error.h"

#ifdef IMGCAP_HAVE_TIFF
#include <tiffio.h>

#include <cstring>
#include <memory>

#include "imgcap/data/tiff_session.h"

namespace imgcap::codecs {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::fail;

// What the tags of the first picture say.
struct Layout {
  Header header;
  uint16_t bits = 1, samples = 1, photometric = 0, planes = PLANARCONFIG_CONTIG,
           compression = COMPRESSION_NONE;
  int used = 1;    // samples that count: colours, and alpha where there is one
  int alpha = -1;  // which of them
  bool premultiplied = false;
};

class Reader {
 public:
  Reader(Bytes bytes, const std::string& name, const ImageLimits& limits) : name_(name), limits_(limits) {
    session_.bytes = bytes;
    const std::unique_ptr<TIFFOpenOptions, void (*)(TIFFOpenOptions*)> options(TIFFOpenOptionsAlloc(),
                                                                               TIFFOpenOptionsFree);
    check(options != nullptr, ErrorKind::data, "{}: not enough memory for the TIFF", name);
    // The tags' own values: what a file's bytes explain, widened to 64 bits.
    const auto most = static_cast<tmsize_t>(8 * bytes.size() + (size_t{4} << 20));
    TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), most);
    TIFFOpenOptionsSetErrorHandlerExtR(options.get(), TiffSession::on_error, &session_);
    TIFFOpenOptionsSetWarningHandlerExtR(options.get(), TiffSession::on_warning, &session_);
    file_.reset(TIFFClientOpenExt("TIFF", "r", &session_, TiffSession::read, TiffSession::write,
                                  TiffSession::seek, TiffSession::close, TiffSession::size, TiffSession::map,
                                  TiffSession::unmap, options.get()));
    if (file_ == nullptr) damaged();
  }

  Image decode() {
    read_layout();
    Image image = through_rgba_ ? decode_rgba() : decode_samples();
    return upright(std::move(image), layout_.header.orientation);
  }

 private:
  [[noreturn]] void damaged() {
    fail(ErrorKind::data, "{}: damaged TIFF: {}", name_,
         session_.message.empty() ? "it cannot be read" : session_.message);
  }
  // libtiff goes on after some of its complaints, with pixels that are not in the file.
  void expect(bool good) {
    if (!good || !session_.message.empty()) damaged();
  }

  uint16_t tag16(uint32_t tag) {
    uint16_t value = 0;
    TIFFGetFieldDefaulted(file_.get(), tag, &value);
    return value;
  }
  void read_layout();
  void read_tags();
  void expect_readable_compression() const;
  void read_colours();
  void read_alpha();
  void read_palette();
  void read_orientation();
  void expect_bounded_memory();
  Image decode_rgba();
  Image decode_samples();
  void read_plane(std::vector<uint8_t>& out, uint16_t plane);
  void take_row(const uint8_t* row, int64_t y, int64_t x, int64_t count, int plane, uint8_t* out) const;
  uint8_t sample(const uint8_t* row, int64_t index) const;
  void to_rgb(const uint8_t* from, uint8_t* to) const;

  const std::string& name_;
  const ImageLimits& limits_;
  TiffSession session_;
  std::unique_ptr<TIFF, void (*)(TIFF*)> file_{nullptr, TIFFClose};
  Layout layout_;
  bool through_rgba_ = false;
  std::vector<uint8_t> palette_;  // 3 bytes a colour
};

void Reader::read_orientation() {
  uint16_t value = 0;
  if (TIFFGetField(file_.get(), TIFFTAG_ORIENTATION, &value) == 1) {
    if (value >= 1 && value <= 8) layout_.header.orientation = value;
    return;
  }
  uint32_t size = 0;
  const uint8_t* xmp = nullptr;
  if (TIFFGetField(file_.get(), TIFFTAG_XMLPACKET, &size, &xmp) == 1 && xmp != nullptr)
    layout_.header.orientation = orientation_of({}, text_of({xmp, size}));
}

void Reader::read_layout() {
  read_tags();
  expect_readable_compression();
  read_colours();
  read_alpha();
  read_orientation();
  if (layout_.photometric == PHOTOMETRIC_YCBCR) {
    if (layout_.compression == COMPRESSION_JPEG && layout_.planes == PLANARCONFIG_CONTIG)
      TIFFSetField(file_.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);  // libjpeg converts
    else
      through_rgba_ = true;  // subsampled by libtiff's own layout
  }
  if (layout_.photometric == PHOTOMETRIC_PALETTE) read_palette();
  expect_bounded_memory();
  expect(true);
}

void Reader::read_tags() {
  uint32_t width = 0, height = 0;
  TIFFGetField(file_.get(), TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField(file_.get(), TIFFTAG_IMAGELENGTH, &height);
  layout_.header.width = width;
  layout_.header.height = height;
  check_size(layout_.header, limits_, name_);
  layout_.bits = tag16(TIFFTAG_BITSPERSAMPLE);
  layout_.samples = tag16(TIFFTAG_SAMPLESPERPIXEL);
  layout_.planes = tag16(TIFFTAG_PLANARCONFIG);
  layout_.compression = tag16(TIFFTAG_COMPRESSION);
  const uint16_t kind = tag16(TIFFTAG_SAMPLEFORMAT);
  check(kind == SAMPLEFORMAT_UINT || kind == SAMPLEFORMAT_VOID, ErrorKind::data,
        "{}: a TIFF of {} samples cannot be read: save it with 8 or 16 bits", name_,
        kind == SAMPLEFORMAT_IEEEFP ? "floating-point" : "signed");
  check(TIFFGetField(file_.get(), TIFFTAG_PHOTOMETRIC, &layout_.photometric) == 1, ErrorKind::data,
        "{}: damaged TIFF: it does not say what its samples mean", name_);
}

void Reader::expect_readable_compression() const {
  switch (layout_.compression) {
    case COMPRESSION_NONE:
    case COMPRESSION_CCITTRLE:
    case COMPRESSION_CCITTFAX3:
    case COMPRESSION_CCITTFAX4:
    case COMPRESSION_LZW:
    case COMPRESSION_JPEG:
    case COMPRESSION_ADOBE_DEFLATE:
    case COMPRESSION_DEFLATE:
    case COMPRESSION_PACKBITS:
    case COMPRESSION_ZSTD:
      break;
    default:
      fail(ErrorKind::data, "{}: a TIFF of compression {} cannot be read: save it with LZW or Deflate", name_,
           layout_.compression);
  }
  check(TIFFIsCODECConfigured(layout_.compression) != 0, ErrorKind::data,
        "{}: a TIFF of compression {}, which this libtiff lacks", name_, layout_.compression);
}

void Reader::read_colours() {
  const uint16_t photometric = layout_.photometric;
  const int colours = photometric == PHOTOMETRIC_SEPARATED                                 ? 4
                      : photometric == PHOTOMETRIC_RGB || photometric == PHOTOMETRIC_YCBCR ? 3
                      : photometric == PHOTOMETRIC_MINISWHITE || photometric == PHOTOMETRIC_MINISBLACK ||
                              photometric == PHOTOMETRIC_PALETTE
                          ? 1
                          : 0;
  check(colours > 0, ErrorKind::data, "{}: a TIFF of the colour kind {} cannot be read: save it as RGB",
        name_, photometric);
  const int bits = layout_.bits;
  check(bits == 8 || (bits == 16 && photometric != PHOTOMETRIC_PALETTE && photometric != PHOTOMETRIC_YCBCR) ||
            (colours == 1 && (bits == 1 || bits == 2 || bits == 4)),
        ErrorKind::data, "{}: a TIFF of {} bits per sample in this colour kind cannot be read", name_, bits);
  check(layout_.samples >= colours && layout_.samples <= 16, ErrorKind::data,
        "{}: a TIFF of {} samples per pixel where {} are needed", name_, layout_.samples, colours);
  layout_.used = colours;
}

void Reader::read_alpha() {
  const int colours = layout_.used;
  const bool may_be_clear = colours != 4 && (layout_.photometric != PHOTOMETRIC_PALETTE || layout_.bits == 8);
  if (!may_be_clear || layout_.samples <= colours) return;
  uint16_t extras = 0;
  uint16_t* kinds = nullptr;
  if (TIFFGetField(file_.get(), TIFFTAG_EXTRASAMPLES, &extras, &kinds) != 1) extras = 0;
  // A fourth sample of RGB without a word about it is alpha, as every reader has it.
  const int extra = extras > 0 ? kinds[0] : colours == 3 ? EXTRASAMPLE_UNASSALPHA : EXTRASAMPLE_UNSPECIFIED;
  if (extra != EXTRASAMPLE_ASSOCALPHA && extra != EXTRASAMPLE_UNASSALPHA) return;
  layout_.alpha = layout_.used++;
  layout_.premultiplied = extra == EXTRASAMPLE_ASSOCALPHA;
}

void Reader::read_palette() {
  uint16_t *red = nullptr, *green = nullptr, *blue = nullptr;
  check(TIFFGetField(file_.get(), TIFFTAG_COLORMAP, &red, &green, &blue) == 1, ErrorKind::data,
        "{}: damaged TIFF: a palette picture without a palette", name_);
  for (int i = 0; i < 1 << layout_.bits; ++i)
    for (const uint16_t* map : {red, green, blue}) palette_.push_back(static_cast<uint8_t>(map[i] >> 8));
}

void Reader::expect_bounded_memory() {
  const int64_t width = layout_.header.width, height = layout_.header.height;
  const int bytes = (layout_.bits + 7) / 8;           // per sample
  constexpr int64_t kLongestRow = int64_t{64} << 20;  // bytes; one is in memory
  check(width * layout_.samples * bytes <= kLongestRow, ErrorKind::data,
        "{}: a TIFF of {} x {} pixels with {} samples of {} bits: rows of more than {} bytes cannot be read",
        name_, width, height, layout_.samples, layout_.bits, kLongestRow);
  if (TIFFIsTiled(file_.get()) == 0) return;
  // A tile may be far larger than its part of the picture, and each costs its whole size.
  const auto picture = static_cast<uint64_t>(width * height * layout_.samples * bytes);
  const uint64_t tile = TIFFTileSize64(file_.get()), tiles = TIFFNumberOfTiles(file_.get());
  const uint64_t most = 4 * picture + (uint64_t{16} << 20);
  check(tile > 0 && tiles > 0 && tile <= most && tiles <= most / tile, ErrorKind::data,
        "{}: damaged TIFF: {} tiles of {} bytes for a picture of {} x {}", name_, tiles, tile, width, height);
}

Image Reader::decode_rgba() {
  char text[1024] = "";
  TIFFRGBAImage all;
  if (TIFFRGBAImageOK(file_.get(), text) == 0 || TIFFRGBAImageBegin(&all, file_.get(), 1, text) == 0) {
    if (session_.message.empty()) session_.message = printable(text);
    damaged();
  }
  // As stored: what the tag says is done afterwards, once.
  all.orientation = all.req_orientation = ORIENTATION_TOPLEFT;
  const int64_t width = layout_.header.width, height = layout_.header.height;
  std::vector<uint32_t> raster(static_cast<size_t>(width * height));
  const int good =
      TIFFRGBAImageGet(&all, raster.data(), static_cast<uint32_t>(width), static_cast<uint32_t>(height));
  TIFFRGBAImageEnd(&all);
  expect(good != 0);
  Image image(height, width);
  uint8_t* to = image.pixels.data();
  for (const uint32_t pixel : raster) {
    *to++ = static_cast<uint8_t>(TIFFGetR(pixel));
    *to++ = static_cast<uint8_t>(TIFFGetG(pixel));
    *to++ = static_cast<uint8_t>(TIFFGetB(pixel));
  }
  return image;
}

// The high 8 bits of a sample; a palette's index as it is; fewer bits are spread over 0..255.
uint8_t Reader::sample(const uint8_t* row, int64_t index) const {
  if (layout_.bits == 8) return row[index];
  if (layout_.bits == 16) {
    uint16_t value;
    std::memcpy(&value, row + index * 2, 2);  // libtiff has turned it to this machine's order
    return static_cast<uint8_t>(value >> 8);
  }
  const int64_t bit = index * layout_.bits;
  const int most = (1 << layout_.bits) - 1;
  const int value = row[bit / 8] >> (8 - layout_.bits - bit % 8) & most;
  return static_cast<uint8_t>(palette_.empty() ? value * 255 / most : value);
}

// `count` pixels of one row from column x on; `plane` is -1 where a row holds all samples of a pixel.
void Reader::take_row(const uint8_t* row, int64_t y, int64_t x, int64_t count, int plane,
                      uint8_t* out) const {
  uint8_t* to = out + (y * layout_.header.width + x) * layout_.used;
  for (int64_t i = 0; i < count; ++i, to += layout_.used) {
    if (plane >= 0) {
      to[plane] = sample(row, i);
    } else {
      for (int c = 0; c < layout_.used; ++c) to[c] = sample(row, i * layout_.samples + c);
    }
  }
}

void Reader::read_plane(std::vector<uint8_t>& out, uint16_t plane) {
  TIFF* file = file_.get();
  const int64_t width = layout_.header.width, height = layout_.header.height;
  const int which = layout_.planes == PLANARCONFIG_SEPARATE ? plane : -1;
  const bool tiled = TIFFIsTiled(file) != 0;
  // Zeros: a decoder that stops early leaves the rest.
  std::vector<uint8_t> buffer(static_cast<size_t>(tiled ? TIFFTileSize64(file) : TIFFScanlineSize64(file)));
  const int64_t samples = which < 0 ? layout_.samples : 1;
  if (!tiled) {
    const int64_t row_bytes = (width * samples * layout_.bits + 7) / 8;
    if (static_cast<int64_t>(buffer.size()) < row_bytes) damaged();
    for (int64_t y = 0; y < height; ++y) {
      expect(TIFFReadScanline(file, buffer.data(), static_cast<uint32_t>(y), plane) == 1);
      take_row(buffer.data(), y, 0, width, which, out.data());
    }
    return;
  }
  uint32_t tile_width = 0, tile_height = 0;
  TIFFGetField(file, TIFFTAG_TILEWIDTH, &tile_width);
  TIFFGetField(file, TIFFTAG_TILELENGTH, &tile_height);
  const int64_t tile_row = TIFFTileRowSize(file);
  if (tile_width == 0 || tile_height == 0 || tile_row < (tile_width * samples * layout_.bits + 7) / 8 ||
      static_cast<uint64_t>(tile_row) * tile_height > buffer.size())
    damaged();
  for (int64_t y = 0; y < height; y += tile_height)
    for (int64_t x = 0; x < width; x += tile_width) {
      const tmsize_t got =
          TIFFReadTile(file, buffer.data(), static_cast<uint32_t>(x), static_cast<uint32_t>(y), 0, plane);
      expect(got >= 0 && static_cast<size_t>(got) == buffer.size());
      const int64_t rows = std::min<int64_t>(tile_height, height - y);
      for (int64_t row = 0; row < rows; ++row)
        take_row(buffer.data() + row * tile_row, y + row, x, std::min<int64_t>(tile_width, width - x), which,
                 out.data());
    }
}

void Reader::to_rgb(const uint8_t* from, uint8_t* to) const {
  uint8_t rgb[3];
  switch (layout_.photometric) {
    case PHOTOMETRIC_MINISWHITE:
      rgb[0] = rgb[1] = rgb[2] = static_cast<uint8_t>(255 - from[0]);
      break;
    case PHOTOMETRIC_MINISBLACK:
      rgb[0] = rgb[1] = rgb[2] = from[0];
      break;
    case PHOTOMETRIC_PALETTE:
      std::memcpy(rgb, palette_.data() + size_t{from[0]} * 3, 3);
      break;
    case PHOTOMETRIC_SEPARATED:
      inks_to_rgb(from, rgb);
      break;
    default:
      std::memcpy(rgb, from, 3);
  }
  if (layout_.alpha < 0) {
    std::memcpy(to, rgb, 3);
    return;
  }
  const int alpha = from[layout_.alpha];
  if (layout_.premultiplied) separate_alpha(rgb, alpha);
  over_white(rgb, alpha, to);
}

Image Reader::decode_samples() {
  const auto pixels = static_cast<size_t>(layout_.header.width * layout_.header.height);
  Image image(layout_.header.height, layout_.header.width);
  std::vector<uint8_t> samples(pixels * static_cast<size_t>(layout_.used));
  const int planes = layout_.planes == PLANARCONFIG_SEPARATE ? layout_.used : 1;
  for (int plane = 0; plane < planes; ++plane) read_plane(samples, static_cast<uint16_t>(plane));
  const uint8_t* from = samples.data();
  uint8_t* to = image.pixels.data();
  for (size_t i = 0; i < pixels; ++i, from += layout_.used, to += 3) to_rgb(from, to);
  return image;
}

}  // namespace

Image decode_tiff(Bytes bytes, const std::string& name, const ImageLimits& limits) {
  return Reader(bytes, name, limits).decode();
}

}  // namespace imgcap::codecs

#else

namespace imgcap::codecs {
Image decode_tiff(Bytes, const std::string& name, const ImageLimits&) {
  tensor::fail(tensor::ErrorKind::data,
               "{}: a TIFF, which this build cannot read: build with libtiff 4.5 or later (Debian: "
               "libtiff-dev, CMake: IMGCAP_TIFF=ON)",
               name);
}
}  // namespace imgcap::codecs

#endif
