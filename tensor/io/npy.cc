#include "tensor/io/npy.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <utility>

#include "tensor/format.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/mapped_file.h"
#include "tensor/io/text.h"

namespace tensor::io {
namespace {

constexpr std::string_view kMagic("\x93NUMPY\x01\x00", 8);
constexpr size_t kPrefix = 10;  // magic, version and the 16-bit length of the header
constexpr std::pair<std::string_view, DType> kDTypes[] = {
    {"<f4", DType::f32}, {"<f8", DType::f64}, {"<f2", DType::f16},    {"<i4", DType::i32},
    {"<i8", DType::i64}, {"|u1", DType::u8},  {"|b1", DType::boolean}};

// Reads the header, which is a Python dictionary of three fixed keys.
class Header {
 public:
  Header(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  std::pair<Shape, DType> parse() {
    Shape shape;
    DType dtype = DType::f32;
    bool seen[3] = {};
    expect("{");
    while (!accept("}")) {
      const std::string_view key = quoted_text();
      expect(":");
      const int which = key == "descr" ? 0 : key == "fortran_order" ? 1 : key == "shape" ? 2 : -1;
      if (which < 0 || std::exchange(seen[which], true)) fail_at("an unknown or repeated key");
      if (which == 0) dtype = parse_dtype(quoted_text());
      if (which == 1 && !accept("False")) fail_at("only fortran_order False is supported");
      if (which == 2) shape = parse_shape();
      if (!accept(",")) {
        expect("}");
        break;
      }
    }
    skip_spaces();
    if (!seen[0] || !seen[1] || !seen[2]) fail_at("descr, fortran_order or shape is missing");
    if (text_.substr(position_) != "\n") fail_at("more text than one dictionary and a line end");
    return {shape, dtype};
  }

 private:
  [[noreturn]] void fail_at(const char* what) const {
    fail(ErrorKind::data, "{}: byte {} of the header: {}", file_, position_, what);
  }
  void skip_spaces() {
    while (position_ < text_.size() && text_[position_] == ' ') ++position_;
  }
  bool accept(std::string_view token) {
    skip_spaces();
    if (!text_.substr(position_).starts_with(token)) return false;
    position_ += token.size();
    return true;
  }
  void expect(std::string_view token) {
    if (!accept(token)) fail_at("not a dictionary as NumPy writes it");
  }
  std::string_view quoted_text() {
    expect("'");
    const size_t end = text_.find('\'', position_);
    if (end == std::string_view::npos) fail_at("a quote is not closed");
    const std::string_view result = text_.substr(position_, end - position_);
    position_ = end + 1;
    return result;
  }
  DType parse_dtype(std::string_view text) const {
    for (const auto& [name, dtype] : kDTypes) {
      if (name == text) return dtype;
    }
    fail(ErrorKind::data, "{}: dtype {}; <f4 <f8 <f2 <i4 <i8 |u1 |b1 are supported", file_, in_quotes(text));
  }
  Shape parse_shape() {
    Shape shape;
    expect("(");
    while (!accept(")")) {
      skip_spaces();
      int64_t size = 0;
      const char* begin = text_.data() + position_;
      const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), size);
      if (error != std::errc{} || size < 0) fail_at("not a size");
      if (shape.rank() == kMaxRank) fail_at("more than 8 dimensions");
      position_ += static_cast<size_t>(end - begin);
      shape.push_back(size);
      if (!accept(",")) {
        // (5) is a number in Python, (5,) a tuple.
        if (shape.rank() == 1) fail_at("the shape is not a tuple");
        expect(")");
        break;
      }
    }
    return shape;
  }

  std::string_view text_;
  const std::string& file_;
  size_t position_ = 0;
};

}  // namespace

void write_npy(const std::filesystem::path& path, const Tensor& values) {
  check(values.defined(), ErrorKind::argument, "{}: an undefined tensor cannot be written", path.string());
  const auto* found = std::find_if(std::begin(kDTypes), std::end(kDTypes),
                                   [&](const auto& d) { return d.second == values.dtype(); });
  check(found != std::end(kDTypes), ErrorKind::dtype, "{}: NumPy has no {}; convert the tensor to f32 first",
        path.string(), name_of(values.dtype()));
  std::string sizes;
  for (const int64_t size : values.shape()) sizes += tensor::format("{}{}", sizes.empty() ? "" : ", ", size);
  if (values.rank() == 1) sizes += ",";
  std::string header =
      tensor::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", found->first, sizes);
  // The data begins at a multiple of 64.
  header.resize((kPrefix + header.size() + 1 + 63) / 64 * 64 - kPrefix - 1, ' ');
  header += '\n';
  const char length[2] = {static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};

  const Tensor t = values.to(Device{}).contiguous();
  write_file_atomically(path, [&](FileWriter& writer) {
    writer.write(kMagic);
    writer.write(std::string_view(length, 2));
    writer.write(header);
    if (t.numel() > 0) writer.write(std::span(t.raw(), static_cast<size_t>(t.bytes())));
  });
}

Tensor read_npy(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  const std::string& name = file->name();
  const std::string_view bytes(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  check(bytes.size() >= kPrefix && bytes.starts_with(kMagic), ErrorKind::data,
        "{}: not a .npy file of version 1.0", name);
  const size_t length =
      static_cast<unsigned char>(bytes[8]) + size_t{static_cast<unsigned char>(bytes[9])} * 256;
  check(length <= bytes.size() - kPrefix, ErrorKind::data,
        "{}: the header of {} bytes is longer than the file", name, length);
  const auto [shape, dtype] = Header(bytes.substr(kPrefix, length), name).parse();
  const int64_t numel = checked_numel(shape, dtype);
  const int64_t available = file->size() - static_cast<int64_t>(kPrefix + length);
  check(numel >= 0, ErrorKind::data, "{}: the size of {} {} overflows", name, to_string(shape),
        name_of(dtype));
  check(numel * size_of(dtype) == available, ErrorKind::data, "{}: {} {} takes {} bytes, but the file has {}",
        name, to_string(shape), name_of(dtype), numel * size_of(dtype), available);
  return mapped_tensor(file, file->size() - available, shape, dtype, "the array");
}

}  // namespace tensor::io
