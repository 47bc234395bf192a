#include "tensor/io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "tensor/format.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/json.h"
#include "tensor/io/mapped_file.h"
#include "tensor/io/text.h"

namespace tensor::io {
namespace {

using nlohmann::json;

constexpr uint64_t kLargestHeader = 100'000'000;  // as in the reference implementation
constexpr std::string_view kMetadata = "__metadata__";
constexpr std::pair<std::string_view, DType> kDTypes[] = {
    {"F32", DType::f32}, {"F64", DType::f64}, {"F16", DType::f16}, {"BF16", DType::bf16},
    {"I32", DType::i32}, {"I64", DType::i64}, {"U8", DType::u8},   {"BOOL", DType::boolean}};

std::string_view dtype_text(DType dtype) {
  for (const auto& [text, value] : kDTypes) {
    if (value == dtype) return text;
  }
  fail(ErrorKind::internal, "safetensors: no name for {}", name_of(dtype));
}

// Builds the header from the parser's events. The JSON library's own tree would silently keep one of two
// equal names and would be built before its depth is known.
class HeaderHandler {
 public:
  using number_integer_t = json::number_integer_t;
  using number_unsigned_t = json::number_unsigned_t;
  using number_float_t = json::number_float_t;
  using string_t = json::string_t;
  using binary_t = json::binary_t;

  HeaderHandler(const std::string& file, SafetensorsHeader& header) : file_(file), header_(header) {}

  bool null() { return unexpected("null"); }
  bool boolean(bool) { return unexpected("a boolean"); }
  bool number_integer(number_integer_t) { return number_problem("a negative number"); }
  bool number_float(number_float_t, const string_t&) {
    return number_problem("a fraction or a number over 64 bits");
  }
  bool binary(binary_t&) { return unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) {
    if (at_ != At::shape && at_ != At::offsets) return unexpected("a number");
    if (value > uint64_t{INT64_MAX}) return number_problem("a number over 63 bits");
    if (at_ == At::shape) {
      check(entry_.shape.rank() < kMaxRank, ErrorKind::data, "{}: {}: more than {} dimensions", file_,
            in_quotes(name_), kMaxRank);
      entry_.shape.push_back(static_cast<int64_t>(value));
    } else {
      check(offsets_ < 2, ErrorKind::data, "{}: {}: data_offsets has more than two numbers", file_,
            in_quotes(name_));
      (offsets_++ == 0 ? entry_.begin : entry_.end) = static_cast<int64_t>(value);
    }
    return true;
  }

  bool string(string_t& value) {
    if (at_ == At::metadata) {
      header_.metadata[field_] = std::move(value);
      return true;
    }
    if (at_ != At::tensor || field_ != "dtype") return unexpected("text");
    const auto* found =
        std::find_if(std::begin(kDTypes), std::end(kDTypes), [&](const auto& d) { return d.first == value; });
    check(found != std::end(kDTypes), ErrorKind::data,
          "{}: {}: unknown dtype {}; F32 F64 F16 BF16 I32 I64 U8 BOOL are supported", file_, in_quotes(name_),
          in_quotes(value));
    entry_.dtype = found->second;
    return true;
  }

  bool start_object(size_t) {
    if (at_ == At::start) {
      at_ = At::names;
    } else if (at_ == At::names && name_ == kMetadata) {
      at_ = At::metadata;
    } else if (at_ == At::names) {
      at_ = At::tensor;
      entry_ = {};
      offsets_ = 0;
      fields_.clear();
    } else {
      return unexpected("an object");
    }
    return true;
  }

  bool key(string_t& value) {
    if (at_ == At::names) {
      check(value.find('\0') == std::string::npos, ErrorKind::data, "{}: {}: the name has a NUL character",
            file_, in_quotes(value));
      const bool is_new =
          value == kMetadata ? !std::exchange(seen_metadata_, true) : !header_.tensors.contains(value);
      check(is_new, ErrorKind::data, "{}: {}: the name appears twice in the header", file_, in_quotes(value));
      name_ = std::move(value);
      return true;
    }
    field_ = std::move(value);
    if (at_ == At::metadata) {
      check(!header_.metadata.contains(field_), ErrorKind::data, "{}: __metadata__: {} appears twice", file_,
            in_quotes(field_));
      return true;
    }
    check(field_ == "dtype" || field_ == "shape" || field_ == "data_offsets", ErrorKind::data,
          "{}: {}: unknown field {}", file_, in_quotes(name_), in_quotes(field_));
    check(fields_.insert(field_).second, ErrorKind::data, "{}: {}: {} appears twice", file_, in_quotes(name_),
          field_);
    return true;
  }

  bool end_object() {
    if (at_ == At::tensor) {
      for (const char* field : {"dtype", "shape", "data_offsets"}) {
        check(fields_.contains(field), ErrorKind::data, "{}: {}: no {}", file_, in_quotes(name_), field);
      }
      header_.tensors[name_] = entry_;
    }
    at_ = at_ == At::names ? At::end : At::names;
    return true;
  }

  bool start_array(size_t) {
    if (at_ != At::tensor || field_ == "dtype") return unexpected("an array");
    at_ = field_ == "shape" ? At::shape : At::offsets;
    return true;
  }

  bool end_array() {
    check(at_ != At::offsets || offsets_ == 2, ErrorKind::data, "{}: {}: data_offsets needs two numbers",
          file_, in_quotes(name_));
    at_ = At::tensor;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const json::exception& error) {
    // Not the library's own text: it quotes raw bytes of the file.
    const std::string_view what = error.what();
    const bool utf8 = what.find("UTF-8") != std::string_view::npos;
    fail(ErrorKind::data, "{}: the header is not valid {} (byte {} of the header)", file_,
         utf8 ? "UTF-8" : "JSON", position);
  }

 private:
  enum class At { start, names, metadata, tensor, shape, offsets, end };

  bool number_problem(const char* what) {
    if (at_ != At::shape && at_ != At::offsets) return unexpected("a number");
    fail(ErrorKind::data, "{}: {}: {} holds {}", file_, in_quotes(name_), field_, what);
  }

  [[noreturn]] bool unexpected(const char* what) const {
    switch (at_) {
      case At::start:
        fail(ErrorKind::data, "{}: the header is {}, not an object", file_, what);
      case At::names:
        fail(ErrorKind::data, "{}: {}: {} instead of an object", file_, in_quotes(name_), what);
      case At::metadata:
        fail(ErrorKind::data, "{}: __metadata__: {} is {}; only text is allowed", file_, in_quotes(field_),
             what);
      default:
        fail(ErrorKind::data, "{}: {}: {} in {}", file_, in_quotes(name_), what, field_);
    }
  }

  const std::string& file_;
  SafetensorsHeader& header_;
  At at_ = At::start;
  std::string name_, field_;
  SafetensorsEntry entry_;
  int offsets_ = 0;
  bool seen_metadata_ = false;
  std::set<std::string> fields_;
};

// Each tensor's range has to fit its shape, and together the ranges have to cover the data exactly.
void check_layout(const std::string& file, const SafetensorsHeader& header, int64_t data_bytes) {
  std::vector<const std::pair<const std::string, SafetensorsEntry>*> order;
  for (const auto& item : header.tensors) {
    const SafetensorsEntry& e = item.second;
    const std::string name = in_quotes(item.first);
    check(e.begin <= e.end, ErrorKind::data, "{}: {}: data_offsets are reversed: {} > {}", file, name,
          e.begin, e.end);
    check(e.end <= data_bytes, ErrorKind::data,
          "{}: {}: ends at byte {} of the data, which has {} (cut off?)", file, name, e.end, data_bytes);
    const int64_t numel = checked_numel(e.shape, e.dtype);
    check(numel >= 0, ErrorKind::data, "{}: {}: the size of {} {} overflows", file, name, to_string(e.shape),
          name_of(e.dtype));
    check(numel * size_of(e.dtype) == e.end - e.begin, ErrorKind::data,
          "{}: {}: {} {} takes {} bytes, but has {}", file, name, to_string(e.shape), name_of(e.dtype),
          numel * size_of(e.dtype), e.end - e.begin);
    order.push_back(&item);
  }
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::tie(a->second.begin, a->second.end) < std::tie(b->second.begin, b->second.end);
  });
  int64_t position = 0;
  const std::string* previous = nullptr;
  for (const auto* item : order) {
    check(item->second.begin >= position, ErrorKind::data, "{}: {}: overlaps {}", file,
          in_quotes(item->first), previous ? in_quotes(*previous) : "");
    check(item->second.begin == position, ErrorKind::data, "{}: {}: a hole of {} bytes before it", file,
          in_quotes(item->first), item->second.begin - position);
    // The format says nothing of it; its writers order tensors so that this holds, and a file where it does
    // not was made by none of them.
    check(item->second.begin == item->second.end || item->second.begin % size_of(item->second.dtype) == 0,
          ErrorKind::data,
          "{}: {}: misaligned: it begins at byte {} of the data, in the middle of an element of {} bytes",
          file, in_quotes(item->first), item->second.begin, size_of(item->second.dtype));
    position = item->second.end;
    previous = &item->first;
  }
  check(position == data_bytes, ErrorKind::data, "{}: {} bytes after the last tensor", file,
        data_bytes - position);
}

SafetensorsHeader parse(const MappedFile& file) {
  const std::string& name = file.name();
  const auto bytes = file.bytes();
  check(bytes.size() >= 8, ErrorKind::data, "{}: {} bytes are too few for a safetensors file", name,
        bytes.size());
  uint64_t length = 0;
  for (size_t i = 0; i < 8; ++i) length |= static_cast<uint64_t>(bytes[i]) << (8 * i);
  // Before the length is spoken of, which is nonsense in any other file.
  check(length > 0 && bytes.size() > 8 && bytes[8] == std::byte{'{'}, ErrorKind::data,
        "{}: not a safetensors file: its header does not begin with {{", name);
  check(length <= kLargestHeader, ErrorKind::data, "{}: a header of {} bytes is over the limit of {}", name,
        length, kLargestHeader);
  check(length <= bytes.size() - 8, ErrorKind::data, "{}: the header of {} bytes is longer than the file",
        name, length);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + 8, length);
  // The JSON library takes a zero byte for the end of the text and does not look behind it.
  check(text.find('\0') == std::string_view::npos && text.find_last_not_of(' ') == text.rfind('}'),
        ErrorKind::data, "{}: the header is not valid JSON: only spaces may follow its last }}", name);

  SafetensorsHeader header;
  header.file_bytes = file.size();
  HeaderHandler handler(name, header);
  check(json::sax_parse(text.begin(), text.end(), &handler), ErrorKind::data,
        "{}: the header is not valid JSON", name);
  const int64_t start = 8 + static_cast<int64_t>(length);
  check_layout(name, header, file.size() - start);
  for (auto& [key, entry] : header.tensors) {
    entry.begin += start;
    entry.end += start;
  }
  return header;
}

void expect_utf8(const std::filesystem::path& path, const std::string& text) {
  check(is_utf8(text), ErrorKind::argument, "{}: {} is not UTF-8", path.string(), in_quotes(text));
}

}  // namespace

SafetensorsHeader read_safetensors_header(const std::filesystem::path& path) {
  return parse(*MappedFile::open(path));
}

SafetensorsFile read_safetensors(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  SafetensorsHeader header = parse(*file);
  SafetensorsFile result;
  result.metadata = std::move(header.metadata);
  for (const auto& [name, entry] : header.tensors) {
    result.tensors.emplace_hint(result.tensors.end(), name,
                                mapped_tensor(file, entry.begin, entry.shape, entry.dtype, name));
  }
  return result;
}

void write_safetensors(const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<const std::pair<const std::string, Tensor>*> order;
  for (const auto& item : tensors) {
    check(item.second.defined(), ErrorKind::argument, "{}: {}: an undefined tensor cannot be written",
          path.string(), in_quotes(item.first));
    check(item.first != kMetadata, ErrorKind::argument, "{}: a tensor must not be called __metadata__",
          path.string());
    check(item.first.find('\0') == std::string::npos, ErrorKind::argument,
          "{}: {}: a tensor's name must not have a NUL character", path.string(), in_quotes(item.first));
    order.push_back(&item);
  }
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return size_of(a->second.dtype()) > size_of(b->second.dtype());
  });

  for (const auto& [key, value] : metadata) expect_utf8(path, key), expect_utf8(path, value);
  Json entries = Json::object();
  if (!metadata.empty()) entries.add(std::string(kMetadata), metadata);
  int64_t position = 0;
  for (const auto* item : order) {
    const Tensor& t = item->second;
    expect_utf8(path, item->first);
    entries.add(item->first,
                Json::object({{"dtype", dtype_text(t.dtype())},
                              {"shape", std::vector<int64_t>(t.shape().begin(), t.shape().end())},
                              {"data_offsets", Json::array({position, position + t.bytes()})}}));
    position += t.bytes();
  }
  std::string header = entries.dump();
  header.resize((header.size() + 7) / 8 * 8, ' ');
  check(header.size() <= kLargestHeader, ErrorKind::argument,
        "{}: a header of {} bytes is over the limit of {}", path.string(), header.size(), kLargestHeader);

  write_file_atomically(path, [&](FileWriter& writer) {
    std::byte length[8];
    for (size_t i = 0; i < 8; ++i) length[i] = static_cast<std::byte>(uint64_t{header.size()} >> (8 * i));
    writer.write(length);
    writer.write(header);
    for (const auto* item : order) {
      const Tensor t = item->second.to(Device{}).contiguous();
      if (t.numel() > 0) writer.write(std::span(t.raw(), static_cast<size_t>(t.bytes())));
    }
  });
}

}  // namespace tensor::io
