#include "tensor/io/safetensors.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cstring>
#include <vector>

#include "tests/data_dir.h"
#include "tests/tensor/io_test_util.h"

using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
using tensor::io::read_safetensors;
using tensor::io::read_safetensors_header;
using tensor::io::SafetensorsFile;
using tensor::io::write_safetensors;
using tests::get_file;
using tests::put_file;

namespace {

std::string file_of(const std::string& header, const std::string& data = "") {
  return tests::little_endian(header.size(), 8) + header + data;
}

// A file with one tensor "w".
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets,
                size_t data_bytes) {
  return file_of(
      "{\"w\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}",
      std::string(data_bytes, '\0'));
}

}  // namespace

TEST_CASE("safetensors: every dtype and shape comes back, with the metadata") {
  const tests::TemporaryFolder folder;
  std::map<std::string, Tensor> tensors;
  for (const DType dtype :
       {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i32, DType::i64, DType::u8, DType::boolean}) {
    int n = 0;
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3}, Shape{0, 4}, Shape{2, 1, 3, 1, 1, 1, 1, 1}}) {
      Tensor t = Tensor::empty(shape, dtype);
      for (int64_t i = 0; i < t.bytes(); ++i) t.mutable_raw()[i] = static_cast<std::byte>((i + n) % 2);
      tensors[std::string(tensor::name_of(dtype)) + "." + std::to_string(n++)] = t;
    }
  }
  const std::map<std::string, std::string> metadata{
      {"format", "test"}, {"quote \" and \\", "line\nend \xc3\xa9"}, {"", ""}};
  write_safetensors(folder / "a", tensors, metadata);
  const SafetensorsFile back = read_safetensors(folder / "a");
  CHECK(back.metadata == metadata);
  REQUIRE(back.tensors.size() == tensors.size());
  for (const auto& [name, t] : tensors) {
    CAPTURE(name);
    const Tensor& b = back.tensors.at(name);
    CHECK(b.dtype() == t.dtype());
    CHECK(b.shape() == t.shape());
    const bool same = t.numel() == 0 || std::memcmp(b.raw(), t.raw(), static_cast<size_t>(t.bytes())) == 0;
    CHECK(same);
  }
  const auto header = read_safetensors_header(folder / "a");
  CHECK(header.metadata == metadata);
  CHECK(header.tensors.size() == tensors.size());
  CHECK(header.tensors.at("f16.2").dtype == DType::f16);
  CHECK(header.tensors.at("f16.2").shape == Shape{2, 3});
  CHECK(header.tensors.at("f16.2").end - header.tensors.at("f16.2").begin == 12);
  CHECK(header.file_bytes == static_cast<int64_t>(std::filesystem::file_size(folder / "a")));
  CHECK(folder.entries() == 1);
}

TEST_CASE("safetensors: the bytes are fixed: by element size, then name, the header padded to 8") {
  const tests::TemporaryFolder folder;
  const Tensor matrix = Tensor::from<float>({1, 2, 3, 4}, {2, 2});
  write_safetensors(
      folder / "a",
      {{"a", Tensor::from<uint8_t>({7}, {1})}, {"c", matrix.t()}, {"b", Tensor::from<int64_t>({-1}, {})}},
      {{"k", "v"}});
  std::string header =
      R"({"__metadata__":{"k":"v"},"b":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
      R"("c":{"dtype":"F32","shape":[2,2],"data_offsets":[8,24]},"a":{"dtype":"U8","shape":[1],"data_offsets":[24,25]}})";
  while (header.size() % 8 != 0) header += ' ';
  std::string data(8, '\xff');
  for (const float value : {1.f, 3.f, 2.f, 4.f})
    data += tests::little_endian(std::bit_cast<uint32_t>(value), 4);
  CHECK(get_file(folder / "a") == file_of(header, data + "\x07"));

  write_safetensors(folder / "empty", {});
  CHECK(get_file(folder / "empty") == file_of("{}      "));
  CHECK(read_safetensors(folder / "empty").tensors.empty());
}

TEST_CASE("safetensors: tensors are read-only views that outlive the file's name") {
  const tests::TemporaryFolder folder;
  write_safetensors(folder / "a", {{"w", Tensor::from<float>({1, 2}, {2})}});
  Tensor w = read_safetensors(folder / "a").tensors.at("w");
  write_safetensors(folder / "a", {{"w", Tensor::from<float>({3, 4}, {2})}});
  std::filesystem::remove(folder / "a");
  CHECK(w.to_vector<float>() == std::vector<float>{1, 2});
  CHECK_ERROR(w.mutable_data<float>(), "argument", "");
  CHECK(w.clone().mutable_data<float>()[1] == 2);
}

TEST_CASE("safetensors: a header of odd length leaves the data unaligned, which is allowed") {
  const tests::TemporaryFolder folder;
  std::string header = R"({"w":{"dtype":"I32","shape":[2],"data_offsets":[0,8]}})";
  for (int i = 0; i < 4; ++i, header += ' ') {
    put_file(folder / "a", file_of(header, std::string("\1\0\0\0\2\0\0\0", 8)));
    CHECK(read_safetensors(folder / "a").tensors.at("w").to_vector<int32_t>() == std::vector<int32_t>{1, 2});
  }
  // A byte tensor before a wide one is another thing: no writer of the format makes that.
  put_file(folder / "a", file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                 R"("w":{"dtype":"I32","shape":[],"data_offsets":[1,5]}})",
                                 std::string("\5\6\0\0\0", 5)));
  CHECK_ERROR(read_safetensors(folder / "a"), "data", "'w': misaligned: it begins at byte 1 of the data");
}

TEST_CASE("safetensors: what looks odd but is allowed") {
  const tests::TemporaryFolder folder;
  const auto read = [&](const std::string& bytes) {
    put_file(folder / "a", bytes);
    return read_safetensors(folder / "a");
  };
  CHECK(read(one("F32", "[]", "[0,4]", 4)).tensors.at("w").shape() == Shape{});
  CHECK(read(one("F32", "[0]", "[0,0]", 0)).tensors.at("w").numel() == 0);
  CHECK(read(one("F32", "[3,0,9223372036854775]", "[0,0]", 0)).tensors.at("w").rank() == 3);
  // Two tensors of nothing share their place with the beginning of a third.
  const SafetensorsFile three = read(file_of(R"({"b":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                                             R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                             R"("c":{"dtype":"I64","shape":[0,2],"data_offsets":[0,0]}})",
                                             "x"));
  CHECK(three.tensors.size() == 3);
  CHECK(three.tensors.at("a").to_vector<uint8_t>() == std::vector<uint8_t>{'x'});
  CHECK(read(file_of(R"({"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x")).tensors.contains(""));
  CHECK(read(file_of(R"({"__metadata__":{}})")).metadata.empty());
  CHECK(read(file_of("{ \n\t\"__metadata__\" : {\"k\":\"\"} }")).metadata.at("k").empty());
}

TEST_CASE("safetensors: whatever is not exactly right is refused with file and tensor") {
  const tests::TemporaryFolder folder;
  const auto path = folder / "bad.safetensors";
  const auto refused = [&](const std::string& bytes, const char* text) {
    put_file(path, bytes);
    CAPTURE(bytes.substr(0, 300));
    CHECK_ERROR(read_safetensors(path), "data", "bad.safetensors: ");
    CHECK_ERROR(read_safetensors(path), "data", text);
    CHECK_ERROR(read_safetensors_header(path), "data", text);
  };
  // The frame.
  refused("", "0 bytes are too few");
  refused("1234567", "7 bytes are too few");
  refused(tests::little_endian(100'000'001, 8) + "{}", "100000001 bytes is over the limit");
  refused(std::string(8, '\xff') + "{}", "over the limit");
  refused(tests::little_endian(3, 8) + "{}", "longer than the file");
  refused(tests::little_endian(100'000'000, 8) + "{}", "longer than the file");
  refused(file_of(""), "does not begin with {");
  refused("\x80\x02}q" + std::string(100, 'x'), "not a safetensors file: its header does not begin with {");
  refused(file_of(" {}"), "does not begin with {");
  refused(file_of("[]"), "does not begin with {");
  refused(file_of("{}x"), "only spaces may follow");
  refused(file_of("{}\n"), "only spaces may follow");
  refused(file_of(std::string("{}\0}", 4)), "only spaces may follow");
  refused(file_of("{"), "not valid JSON");
  refused(file_of("{}}"), "not valid JSON");
  refused(file_of("{\"a\" 1}"), "not valid JSON");
  refused(file_of("{\"\xff\":{}}"), "not valid UTF-8");
  refused(file_of("{\"\xc0\xaf\":{}}"), "not valid UTF-8");
  refused(file_of("{\"\\ud800\":{}}"), "not valid JSON");
  // Nesting: refused at the second level, whatever follows.
  refused(file_of("{\"w\":" + std::string(1'000'000, '[') + "}"), "'w': an array instead of an object");
  refused(file_of("{\"w\":{\"shape\":" + std::string(1'000'000, '[') + "}"), "'w': an array in shape");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"shape\":";
  refused(file_of("{\"w\":" + objects + "}"), "'w': an object in shape");
  // Names and fields.
  const std::string w = R"("w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  refused(file_of("{" + w + "," + w + "}", "x"), "'w': the name appears twice");
  refused(file_of("{\"__metadata__\":{},\"__metadata__\":{}}"), "'__metadata__': the name appears twice");
  refused(file_of(R"({"__metadata__":{"k":"1","k":"2"}})"), "__metadata__: 'k' appears twice");
  refused(file_of(R"({"__metadata__":{"k":1}})"), "__metadata__: 'k' is a number; only text is allowed");
  refused(file_of(R"({"__metadata__":{"k":null}})"), "'k' is null");
  refused(file_of(R"({"__metadata__":{"k":{"a":"b"}}})"), "'k' is an object");
  refused(file_of(R"({"__metadata__":{"k":["b"]}})"), "'k' is an array");
  refused(file_of(R"({"__metadata__":"text"})"), "'__metadata__': text instead of an object");
  refused(file_of(R"({"w":1})"), "'w': a number instead of an object");
  refused(file_of(R"({"w":{}})"), "'w': no dtype");
  refused(file_of(R"({"w":{"dtype":"U8","data_offsets":[0,1]}})", "x"), "'w': no shape");
  refused(file_of(R"({"w":{"dtype":"U8","shape":[1]}})", "x"), "'w': no data_offsets");
  refused(file_of(R"({"w":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}})", "x"),
          "shape appears twice");
  refused(file_of(R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", "x"),
          "unknown field 'x'");
  refused(file_of(R"({"w":{"dtype":1,"shape":[1],"data_offsets":[0,1]}})", "x"), "'w': a number in dtype");
  refused(file_of(R"({"w":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})", "x"), "'w': a number in shape");
  refused(one("F8_E4M3", "[1]", "[0,1]", 1), "'w': unknown dtype 'F8_E4M3'");
  refused(one("I16", "[1]", "[0,2]", 2), "'w': unknown dtype 'I16'");
  refused(one("f32", "[1]", "[0,4]", 4), "'w': unknown dtype 'f32'");
  // Sizes and offsets.
  refused(one("U8", "[-1]", "[0,1]", 1), "'w': shape holds a negative number");
  refused(one("U8", "[1.0]", "[0,1]", 1), "'w': shape holds a fraction");
  refused(one("U8", "[18446744073709551616]", "[0,1]", 1), "or a number over 64 bits");
  refused(one("U8", "[9223372036854775808]", "[0,1]", 1), "a number over 63 bits");
  refused(one("U8", "[\"1\"]", "[0,1]", 1), "'w': text in shape");
  refused(one("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]", 1), "'w': more than 8 dimensions");
  refused(one("U8", "[1]", "[-1,0]", 1), "'w': data_offsets holds a negative number");
  refused(one("U8", "[1]", "[1,0]", 1), "'w': data_offsets are reversed: 1 > 0");
  refused(one("U8", "[1]", "[0]", 1), "'w': data_offsets needs two numbers");
  refused(one("U8", "[1]", "[0,1,1]", 1), "more than two numbers");
  refused(one("U8", "[2]", "[0,2]", 1), "'w': ends at byte 2 of the data, which has 1");
  refused(one("U8", "[1]", "[9223372036854775806,9223372036854775807]", 1),
          "'w': ends at byte 9223372036854775807");
  refused(one("F32", "[2]", "[0,4]", 4), "'w': (2) f32 takes 8 bytes, but has 4");
  refused(one("F32", "[1]", "[0,8]", 8), "takes 4 bytes, but has 8");
  refused(one("F32", "[4294967296,4294967296]", "[0,0]", 0),
          "'w': the size of (4294967296, 4294967296) f32 overflows");
  refused(one("F32", "[4611686018427387904]", "[0,0]", 0), "overflows");
  refused(one("U8", "[9223372036854775807,9223372036854775807,0]", "[0,0]", 0), "overflows");
  refused(one("U8", "[1]", "[0,1]", 2), "1 bytes after the last tensor");
  refused(file_of("{}", "x"), "1 bytes after the last tensor");
  refused(one("U8", "[1]", "[1,2]", 2), "'w': a hole of 1 bytes before it");
  refused(
      file_of(
          R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
          "xyz"),
      "'b': overlaps 'a'");
  refused(
      file_of(
          R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
          "xy"),
      "'b': overlaps 'a'");
  refused(
      file_of(
          R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
          "xyz"),
      "'b': a hole of 1 bytes");
  // A range that cuts an element, and one of nothing inside of another tensor.
  refused(one("F32", "[1]", "[0,3]", 3), "'w': (1) f32 takes 4 bytes, but has 3");
  refused(one("F32", "[1]", "[1,5]", 5), "'w': a hole of 1 bytes before it");
  refused(
      file_of(
          R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}})",
          "xy"),
      "'b': overlaps 'a'");
  refused(one("U8", "[0]", "[1,1]", 0), "'w': ends at byte 1 of the data, which has 0");
  refused(one("U8", "[1]", "[0,1.5]", 1), "'w': data_offsets holds a fraction");
  refused(one("U8", "[1]", "[0,18446744073709551615]", 1), "a number over 63 bits");
  refused(one("U8", "null", "[0,1]", 1), "'w': null in shape");
  refused(file_of(R"({"__metadata__":[]})"), "'__metadata__': an array instead of an object");
  refused(file_of(R"({"__metadata__":null})"), "'__metadata__': null instead of an object");
  refused(file_of("{\"__metadata__\":{\"k\":" + std::string(1'000'000, '[') + "}"), "'k' is an array");
  // C programs would take two such names for one.
  refused(file_of(R"({"w\u0000x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x"),
          "'w\\x00x': the name has a NUL character");
  refused(file_of(std::string("{\"w\0\":{}}", 9)), "not valid JSON");
  // A name must not reach a terminal as it is.
  refused(file_of(R"({"\u001b[31m\n":1})"), "'\\x1b[31m\\x0a': a number");
  // Values of bool are only looked at when tensors are made.
  put_file(path, file_of(R"({"w":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})", "\1\2"));
  CHECK_ERROR(read_safetensors(path), "data", "'w': element 1 is 2; a bool is 0 or 1");
  CHECK_ERROR(read_safetensors(folder / "missing"), "io",
              "missing: cannot be read: No such file or directory");
  CHECK_ERROR(read_safetensors(folder.path()), "io", "Is a directory");
  CHECK_ERROR(read_safetensors("/dev/null"), "io", "not a regular file");
}

TEST_CASE("safetensors: a file cut anywhere or with any byte flipped is read as some tensors or refused") {
  const tests::TemporaryFolder folder;
  write_safetensors(folder / "a",
                    {{"x", Tensor::from<float>({1, 2, 3}, {3})}, {"y", Tensor::zeros({2}, DType::boolean)}},
                    {{"k", "v"}});
  const std::string good = get_file(folder / "a");
  for (size_t size = 0; size < good.size(); ++size) {
    put_file(folder / "b", good.substr(0, size));
    CAPTURE(size);
    CHECK(tests::error_of([&] { read_safetensors(folder / "b"); }).starts_with("data: "));
  }
  int refused = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char mask : {'\x01', '\x02', '\x20', '\x80'}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ mask);
      put_file(folder / "b", bad);
      const std::string error = tests::error_of([&] {
        for (const auto& [name, t] : read_safetensors(folder / "b").tensors) (void)t.clone();
      });
      CAPTURE(error);
      CHECK((error == "no error" || error.starts_with("data: ")));
      refused += error != "no error";
    }
  }
  CHECK(refused > 300);
}

TEST_CASE("safetensors: what cannot be written leaves nothing behind") {
  const tests::TemporaryFolder folder;
  const Tensor t = Tensor::zeros({2});
  CHECK_ERROR(write_safetensors(folder / "a", {{"__metadata__", t}}), "argument",
              "must not be called __metadata__");
  CHECK_ERROR(write_safetensors(folder / "a", {{std::string("w\0", 2), t}}), "argument", "NUL character");
  CHECK_ERROR(write_safetensors(folder / "a", {{"w", Tensor()}}), "argument", "'w': an undefined tensor");
  CHECK_ERROR(write_safetensors(folder / "a", {{"\xff", t}}), "argument", "'\\xff' is not UTF-8");
  CHECK_ERROR(write_safetensors(folder / "a", {{"w", t}}, {{"k", "\xff"}}), "argument", "is not UTF-8");
  CHECK_ERROR(write_safetensors(folder / "missing/a", {{"w", t}}), "io", "No such file");
  CHECK_ERROR(write_safetensors("/dev/null/a", {{"w", t}}), "io", "Not a directory");
  CHECK_ERROR(write_safetensors("/dev/full", {{"w", t}}), "io", "No space left on device");
  CHECK(folder.entries() == 0);
}

TEST_CASE("safetensors: EfficientNet-Lite2's real weights") {
  const auto data = tests::data_dir();
  if (data.empty()) SKIP(tests::kNoData);
  const auto path = data / "efficientnet_lite2/efficientnet_lite2_imagenet.safetensors";
  const auto start = std::chrono::steady_clock::now();
  const SafetensorsFile file = read_safetensors(path);
  const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
  MESSAGE("read in " << time.count() << " ms");
  CHECK(time.count() < 1000);  // a copy of the file or a slow parser would show, a busy machine would not
  CHECK(file.tensors.size() == 386);
  int64_t parameters = 0;
  for (const auto& [name, t] : file.tensors) {
    const bool buffer =
        name.ends_with("running_mean") || name.ends_with("running_var") || t.dtype() == DType::i64;
    if (!buffer) parameters += t.numel();
  }
  CHECK(parameters == 6'092'072);

  const tests::TemporaryFolder folder;
  write_safetensors(folder / "copy", file.tensors, file.metadata);
  const SafetensorsFile copy = read_safetensors(folder / "copy");
  REQUIRE(copy.tensors.size() == 386);
  bool same = copy.metadata == file.metadata;
  for (const auto& [name, t] : file.tensors) {
    const Tensor& c = copy.tensors.at(name);
    same = same && c.shape() == t.shape() && c.dtype() == t.dtype() &&
           std::memcmp(c.raw(), t.raw(), static_cast<size_t>(t.bytes())) == 0;
  }
  CHECK(same);
}
