#include "imgcap/data/image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "imgcap/data/image_codecs.h"
#include "imgcap/data/picture_format.h"
#include "tensor/error.h"

namespace imgcap {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::fail;

bool starts_with(std::span<const uint8_t> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

std::string first_bytes(std::span<const uint8_t> bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size() && i < 4; ++i)
    text += tensor::format("{}{:02x}", i == 0 ? "" : " ", bytes[i]);
  return text;
}

// Closes what it opened, on errors too.
struct File {
  int descriptor;
  explicit File(const std::filesystem::path& path)
      : descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~File() {
    if (descriptor >= 0) ::close(descriptor);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
};

}  // namespace

namespace codecs {

void check_size(const Header& header, const ImageLimits& limits, const std::string& name) {
  check(header.width > 0 && header.height > 0, ErrorKind::data, "{}: a picture of {} x {} has no pixels",
        name, header.width, header.height);
  // Each side fits 32 bits, so the product fits 64 without a sign.
  const uint64_t pixels = static_cast<uint64_t>(header.width) * static_cast<uint64_t>(header.height);
  check(limits.pixels > 0 && pixels <= static_cast<uint64_t>(limits.pixels), ErrorKind::data,
        "{}: a picture of {} x {} has {} pixels, the limit is {}: make it smaller", name, header.width,
        header.height, pixels, limits.pixels);
}

void cut(const char* format, Bytes bytes, const std::string& name) {
  fail(ErrorKind::data, "{}: the {} is cut short after {} bytes", name, format, bytes.size());
}

}  // namespace codecs

Image::Image(int64_t rows, int64_t columns) : height(rows), width(columns) {
  check(rows > 0 && columns > 0 && rows <= INT64_MAX / 3 / columns, ErrorKind::argument,
        "image: {} x {} is no size for a picture", columns, rows);
  pixels.resize(static_cast<size_t>(rows * columns * 3));
}

Image decode_image(std::span<const uint8_t> bytes, const std::string& name, const ImageLimits& limits) {
  check(!bytes.empty(), ErrorKind::data, "{}: the file is empty", name);
  check(static_cast<int64_t>(bytes.size()) <= limits.file_bytes, ErrorKind::data,
        "{}: a picture file of {} bytes, the limit is {}", name, bytes.size(), limits.file_bytes);
  switch (picture_format(bytes)) {
    case PictureFormat::webp:
      return codecs::decode_webp(bytes, name, limits);
    case PictureFormat::tiff:
      return codecs::decode_tiff(bytes, name, limits);
    case PictureFormat::heif:
      return codecs::decode_heif(bytes, name, limits);
    default:
      break;
  }
  using namespace std::string_view_literals;
  if (starts_with(bytes, "\xff\xd8\xff"sv)) {
    const codecs::Header header = codecs::check_jpeg(bytes, name, limits);
    const auto decode = header.data_end > 0 ? codecs::decode_endless_jpeg : codecs::decode_jpeg;
    return codecs::upright(decode(bytes, header, name), header.orientation);
  }
  if (starts_with(bytes, "\x89PNG\r\n\x1a\n"sv)) {
    const codecs::Header header = codecs::check_png(bytes, name, limits);
    return codecs::upright(codecs::decode_png(bytes, header, name), header.orientation);
  }
  if (starts_with(bytes, "GIF87a"sv) || starts_with(bytes, "GIF89a"sv))
    return codecs::decode_gif(bytes, name, limits);
  if (starts_with(bytes, "BM"sv)) return codecs::decode_bmp(bytes, name, limits);
  fail(ErrorKind::data, "{}: no picture of a known format ({}): it begins with the bytes {}", name,
       readable_formats(), first_bytes(bytes));
}

Image read_image(const std::filesystem::path& path, const ImageLimits& limits) {
  return decode_image(read_file_bytes(path, limits.file_bytes), path.string(), limits);
}

std::vector<uint8_t> read_file_bytes(const std::filesystem::path& path, int64_t limit) {
  const std::string name = path.string();
  const File file(path);
  check(file.descriptor >= 0, ErrorKind::io, "{}: cannot be opened: {}", name, std::strerror(errno));
  struct stat info {};
  check(::fstat(file.descriptor, &info) == 0, ErrorKind::io, "{}: cannot be read: {}", name,
        std::strerror(errno));
  check(!S_ISDIR(info.st_mode), ErrorKind::io, "{}: is a folder, not a file", name);
  check(S_ISREG(info.st_mode), ErrorKind::io, "{}: is not a regular file", name);
  check(info.st_size <= limit, ErrorKind::data, "{}: a file of {} bytes, the limit is {}", name, info.st_size,
        limit);
  std::vector<uint8_t> bytes(static_cast<size_t>(info.st_size));
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::read(file.descriptor, bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    check(got >= 0, ErrorKind::io, "{}: cannot be read: {}", name, std::strerror(errno));
    if (got == 0) break;  // shrunk meanwhile; the decoder says what is missing
    done += static_cast<size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

Image codecs::upright(Image image, int orientation) {
  Image turned = apply_orientation(std::move(image), orientation);
  turned.orientation = orientation;
  return turned;
}

Image apply_orientation(Image image, int orientation) {
  check(orientation >= 1 && orientation <= 8, ErrorKind::argument, "image: {} is no EXIF orientation (1..8)",
        orientation);
  if (orientation == 1) return image;
  // 5..8 swap the axes; then the upright pixel (y, x) is the stored (x', y') or (y', x'), each perhaps
  // mirrored.
  const bool swap = orientation >= 5;
  const bool flip_rows = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const bool flip_columns = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  const int64_t rows = swap ? image.width : image.height, columns = swap ? image.height : image.width;
  Image out(rows, columns);
  out.warning = std::move(image.warning);
  for (int64_t y = 0; y < rows; ++y) {
    uint8_t* to = out.row(y);
    const int64_t v = flip_rows ? rows - 1 - y : y;
    for (int64_t x = 0; x < columns; ++x, to += 3) {
      const int64_t u = flip_columns ? columns - 1 - x : x;
      const uint8_t* from = swap ? image.row(u) + v * 3 : image.row(v) + u * 3;
      to[0] = from[0], to[1] = from[1], to[2] = from[2];
    }
  }
  return out;
}

}  // namespace imgcap
