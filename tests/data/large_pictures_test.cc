// JPEGs over the limit of pixels are decoded at a reduced size; memory is bounded, of WebP and TIFF, too.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "imgcap/data/image.h"
#include "imgcap/data/picture_format.h"
#include "tensor/error.h"
#include "tests/data/byte_tensors.h"
#include "tests/data_dir.h"

using namespace imgcap;
using tests::contains;
using tests::error_of;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

using Bytes = std::vector<uint8_t>;

std::map<std::string, tests::ByteTensor> goldens(const std::string& name) {
  return tests::read_byte_tensors(tests::source_dir() / "tests/golden" / (name + ".safetensors"));
}

void append(Bytes& out, std::initializer_list<int> bytes) {
  for (const int byte : bytes) out.push_back(static_cast<uint8_t>(byte));
}

// A grey picture of any size in few bytes: every block is one or two bits of zeros. `sampling` is that of the
// first component ("2 x 2" is 0x22); the others' is 1 x 1.
Bytes flat_jpeg(int width, int height, int components, int sampling, bool progressive) {
  Bytes out{0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0};
  out.insert(out.end(), 64, 1);
  append(out, {0xFF, progressive ? 0xC2 : 0xC0, 0, 8 + 3 * components, 8, height >> 8, height & 255,
               width >> 8, width & 255, components});
  for (int c = 0; c < components; ++c) append(out, {c + 1, c == 0 ? sampling : 0x11, 0});
  for (const int kind : {0x00, 0x10}) {  // one code of one bit: no difference, and end of block
    append(out, {0xFF, 0xC4, 0, 20, kind, 1});
    out.insert(out.end(), 15, 0);
    out.push_back(0);
  }
  append(out, {0xFF, 0xDA, 0, 6 + 2 * components, components});
  for (int c = 0; c < components; ++c) append(out, {c + 1, 0});
  append(out, {0, progressive ? 0 : 63, 0});
  const int64_t h = sampling >> 4, v = sampling & 15;
  const int64_t mcus = ((width + 8 * h - 1) / (8 * h)) * ((height + 8 * v - 1) / (8 * v));
  const int64_t bits = (h * v + components - 1) * (progressive ? 1 : 2) * mcus;
  out.insert(out.end(), static_cast<size_t>((bits + 7) / 8), 0);
  append(out, {0xFF, 0xD9});
  return out;
}

// Decodes 8192 x 8192 pixels that end in one value in a child process and says how far its memory grew over
// the parent's, in MiB; -1: it failed.
int64_t peak_of(const Bytes& bytes, int value) {
  const auto used = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  const pid_t child = fork();
  if (child == 0) {
    // The peak is a new process's own: fork begins it with what is resident now.
    const auto before = used();
    int code = 255;
    try {
      const Image image = decode_image(bytes, "x.jpg");
      if (image.width == 8192 && image.height == 8192 && image.pixels.back() == value)
        code = static_cast<int>(std::min<int64_t>(254, (used() - before) / 1024 / 8));
    } catch (const tensor::Error&) {
    }
    _exit(code);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) != 255 ? WEXITSTATUS(status) * 8 : -1;
}

}  // namespace

TEST_CASE("reduced JPEGs equal those of Pillow's draft") {
  if (!jpeg_is_turbo()) SKIP("built without libjpeg-turbo");
  const auto files = goldens("images");
  int count = 0;
  for (const auto& [name, want] : goldens("formats")) {
    if (!name.starts_with("draft/")) continue;
    CAPTURE(name);
    const std::string base = name.substr(6, name.find_last_of('/') - 6);
    ImageLimits limits;
    limits.pixels = want.shape[0] * want.shape[1];
    const Image image = decode_image(files.at("file/" + base).bytes, base, limits);
    CHECK(tests::difference(image, want) == "");
    ++count;
  }
  CHECK(count == 18);
}

TEST_CASE("a JPEG is reduced by the least that is needed, or refused") {
  const Bytes bytes = goldens("images").at("file/baseline_420.jpg").bytes;  // 37 x 23
  const auto size = [&](int64_t pixels, int64_t jpeg_pixels) {
    const Image image = decode_image(bytes, "x", {.pixels = pixels, .jpeg_pixels = jpeg_pixels});
    return std::pair(image.width, image.height);
  };
  using Size = std::pair<int64_t, int64_t>;
  CHECK(size(851, 0) == Size(37, 23));
  if (!jpeg_is_turbo()) {
    CHECK(contains(
        error_of([&] { size(850, 851); }),
        "x: a picture of 37 x 23 has 851 pixels, the limit is 850: up to 851 are read, at a reduced size, "
        "by a build with libjpeg-turbo"));
    return;
  }
  CHECK(size(850, 851) == Size(19, 12));
  CHECK(size(228, 851) == Size(19, 12));
  CHECK(size(227, 851) == Size(10, 6));
  CHECK(size(60, 851) == Size(10, 6));
  CHECK(size(59, 851) == Size(5, 3));
  CHECK(size(15, 851) == Size(5, 3));
  CHECK(contains(error_of([&] { size(14, 851); }), "a picture of 37 x 23 has 851 pixels, the limit is 14"));
  CHECK(contains(error_of([&] { size(100, 850); }), "a picture of 37 x 23 has 851 pixels, the limit is 850"));
  CHECK(contains(error_of([&] { decode_image(flat_jpeg(16385, 16384, 1, 0x11, false), "x"); }),
                 "has 268451840 pixels, the limit is 268435456"));
}

TEST_CASE("very large JPEGs take no more memory than is stated") {
  if (!jpeg_is_turbo()) SKIP("built without libjpeg-turbo");
  if (kSanitized) SKIP("the sanitizer keeps memory of its own");
  struct Case {
    std::string what;
    int components, sampling;
    bool progressive;
    int64_t least, most;  // MiB
  };
  // The picture of 64 MiPixel takes 192 MiB; CMYK 256 more; progressive files 1 GiB of coefficients at most.
  for (const Case& c : {Case{"grey", 1, 0x11, false, 184, 224},
                        {"colour", 3, 0x22, false, 184, 224},
                        {"cmyk", 4, 0x11, false, 440, 480},
                        {"progressive", 3, 0x22, true, 952, 992}}) {
    CAPTURE(c.what);
    const int64_t peak = peak_of(flat_jpeg(16384, 16384, c.components, c.sampling, c.progressive),
                                 c.components == 4 ? 64 : 128);
    CAPTURE(peak);
    CHECK(peak >= c.least);
    CHECK(peak <= c.most);
  }
  const std::string text = error_of([&] { decode_image(flat_jpeg(16384, 16384, 3, 0x11, true), "x"); });
  CHECK(contains(text, "x: damaged JPEG: a progressive file of this size takes more than 1024 MiB"));
}

TEST_CASE("large WebP and TIFF files take no more memory than is stated") {
  if (kSanitized) SKIP("the sanitizer keeps memory of its own");
  const auto files = goldens("formats");
  struct Case {
    std::string name;
    int64_t most;  // MiB
  };
  for (const Case& c :
       {Case{"opaque.webp", 192 + 256}, Case{"alpha.webp", 192 + 512}, Case{"alpha.tif", 192 + 256}}) {
    CAPTURE(c.name);
    const Bytes& bytes = files.at("huge/" + c.name).bytes;
    if (!can_read(picture_format(bytes))) continue;
    const int64_t peak = peak_of(bytes, 30);
    CAPTURE(peak);
    CHECK(peak >= 192);
    CHECK(peak <= c.most + 32);
  }
}
