// The files golden/pth_*.pth were saved by PyTorch (golden/make_pth.py); the hostile ones are made here.
#include "tensor/io/pth.h"

#include <doctest/doctest.h>

#include <cstring>
#include <utility>
#include <vector>

#include "tensor/io/zip.h"
#include "tests/data_dir.h"
#include "tests/tensor/pth_pieces.h"

using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
using tensor::io::PthFile;
using tensor::io::read_pth;
using namespace tests;

using namespace std::string_literals;

namespace {

std::filesystem::path golden(const char* name) {
  return source_dir() / "tests/golden" / (std::string("pth_") + name + ".pth");
}

std::vector<double> values(const Tensor& t) { return t.to(DType::f64).to_vector<double>(); }

std::vector<double> counting(int n) {
  std::vector<double> result;
  for (int i = 0; i < n; ++i) result.push_back(i);
  return result;
}

}  // namespace

TEST_CASE("pth: a state dict with every dtype, in both protocols") {
  for (const char* name : {"state_dict", "protocol4"}) {
    CAPTURE(name);
    const PthFile file = read_pth(golden(name));
    CHECK(file.scalars.empty());  // _metadata is an attribute, not an entry
    REQUIRE(file.tensors.size() == 11);
    const std::pair<const char*, DType> dtypes[] = {{"a.float32", DType::f32}, {"a.float64", DType::f64},
                                                    {"a.float16", DType::f16}, {"a.bfloat16", DType::bf16},
                                                    {"a.int32", DType::i32},   {"a.int64", DType::i64},
                                                    {"a.uint8", DType::u8}};
    for (const auto& [key, dtype] : dtypes) {
      CAPTURE(key);
      const Tensor& t = file.tensors.at(key);
      CHECK(t.dtype() == dtype);
      CHECK(t.shape() == Shape{2, 3});
      CHECK(values(t) == counting(6));
    }
    CHECK(file.tensors.at("a.bool").dtype() == DType::boolean);
    CHECK(values(file.tensors.at("a.bool")) == std::vector<double>{1, 0, 1});
    CHECK(file.tensors.at("empty").shape() == Shape{0, 4});
    CHECK(file.tensors.at("scalar").shape() == Shape{});
    CHECK(file.tensors.at("scalar").item() == 7);
    CHECK(values(file.tensors.at("parameter")) == counting(3));
  }
}

TEST_CASE("pth: strides, offsets and shared storages") {
  const PthFile file = read_pth(golden("views"));
  const auto expect = [&](const char* name, const Shape& shape, const std::vector<double>& expected) {
    CAPTURE(name);
    CHECK(file.tensors.at(name).shape() == shape);
    CHECK(values(file.tensors.at(name)) == expected);
  };
  expect("base", {3, 4}, counting(12));
  expect("transposed", {4, 3}, {0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11});
  expect("window", {2, 2}, {5, 6, 9, 10});
  expect("row", {4}, {4, 5, 6, 7});
  expect("stepped", {3, 2}, {0, 2, 4, 6, 8, 10});
  expect("expanded", {2, 2}, {1, 1, 1, 1});
  expect("channels_last", {1, 2, 2, 3}, counting(12));
  expect("tied.0", {2, 2}, counting(4));
  expect("tied.1", {2, 2}, counting(4));
  CHECK(file.tensors.at("tied.0").raw() == file.tensors.at("tied.1").raw());
  CHECK(file.tensors.at("row").raw() == file.tensors.at("base").raw() + 16);
}

TEST_CASE("pth: a training checkpoint's nested dictionaries and scalars") {
  const PthFile file = read_pth(golden("checkpoint"));
  CHECK(values(file.tensors.at("model_state_dict.weight")) == counting(4));
  CHECK(values(file.tensors.at("model_state_dict.bias")) == counting(2));
  CHECK(file.tensors.at("optimizer_state_dict.state.0.exp_avg").shape() == Shape{2, 2});
  CHECK(values(file.tensors.at("optimizer_state_dict.state.1.step")) == std::vector<double>{1});
  CHECK(file.tensors.at("val_loss").item() == 2.5);
  const std::pair<const char*, const char*> scalars[] = {
      {"epoch", "40"},
      {"train_loss", "2.375"},
      {"cider_score", "0.75"},
      {"bleu_score", "0.25"},
      {"steps", "-3"},
      {"best", "true"},
      {"note", "caf\xc3\xa9"},
      {"seed", "18446744073709551615"},
      {"negative", "-1180591620717411303424"},
      {"nothing", "none"},
      {"flag", "false"},
      {"size.0", "3"},
      {"size.1", "4"},
      {"optimizer_state_dict.param_groups.0.lr", "0.0004"},
      {"optimizer_state_dict.param_groups.0.betas.1", "0.999"},
      {"optimizer_state_dict.param_groups.0.params.1", "1"}};
  for (const auto& [key, value] : scalars) {
    CAPTURE(key);
    REQUIRE(file.scalars.contains(key));
    CHECK(file.scalars.at(key) == value);
  }
  const PthFile single = read_pth(golden("tensor"));
  CHECK(values(single.tensors.at("")) == counting(2));
}

TEST_CASE("pth: ResNet18 with torchvision's names") {
  const PthFile file = read_pth(golden("resnet18"));
  CHECK(file.tensors.size() == 122);
  CHECK(values(file.tensors.at("layer4.1.conv2.weight")) == counting(16));
  CHECK(file.tensors.at("layer1.0.bn1.num_batches_tracked").dtype() == DType::i64);
  CHECK(values(file.tensors.at("fc.bias")) == counting(2));
}

TEST_CASE("pth: what PyTorch can save and is refused, by name") {
  CHECK_ERROR(read_pth(golden("script")), "data", "TorchScript");
  CHECK_ERROR(read_pth(golden("compressed")), "data", "compressed zip entries");
}

TEST_CASE("pth: a file cut anywhere is refused, and so is a changed byte of the content") {
  const tests::TemporaryFolder folder;
  const auto path = folder / "a.pth";
  const std::string good = get_file(golden("views"));
  for (size_t size = 0; size < good.size(); ++size) {
    put_file(path, good.substr(0, size));
    CAPTURE(size);
    CHECK(tests::error_of([&] { read_pth(path); }).starts_with("data: "));
  }
  int refused = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << i % 8));
    put_file(path, bad);
    const std::string error = tests::error_of([&] {
      for (const auto& [name, t] : read_pth(path).tensors) (void)t.clone();
    });
    CAPTURE(error);
    CHECK((error == "no error" || error.starts_with("data: ")));
    refused += error != "no error";
  }
  CHECK(refused > 500);

  std::string content = pth(tensor_of(storage("IntStorage", "0", 2), 0, tuple({2}), tuple({1})));
  content[content.find("a/data/0") + 8] = 'x';
  put_file(path, content);
  CHECK_ERROR(read_pth(path), "data", "'a/data/0': the content is damaged: CRC-32");
}

TEST_CASE("pth: zip64 archives, and archives that are damaged") {
  const tests::TemporaryFolder folder;
  const auto path = folder / "a.pth";
  const Entries entries{
      {"a/data.pkl", pickle(tensor_of(storage("IntStorage", "0", 2), 0, tuple({2}), tuple({1})))},
      {"a/data/0", std::string("\1\0\0\0\2\0\0\0", 8)},
      {"a/byteorder", "little"}};
  for (const bool zip64 : {false, true}) {
    const std::string good = zip(entries, zip64);
    put_file(path, good);
    CHECK(read_pth(path).tensors.at("").to_vector<int32_t>() == std::vector<int32_t>{1, 2});
    for (size_t i = good.find("PK\1\2"); i < good.size(); ++i) {
      for (const char c : {'\x00', '\x01', '\x7f', '\xff'}) {
        std::string bad = good;
        bad[i] = c;
        put_file(path, bad);
        const std::string error = tests::error_of([&] { read_pth(path); });
        CAPTURE(error);
        CHECK((error == "no error" || error.starts_with("data: ")));
      }
    }
  }
  const auto refused = [&](const std::string& bytes, const char* expected) {
    put_file(path, bytes);
    CHECK_ERROR(read_pth(path), "data", "a.pth");
    CHECK_ERROR(read_pth(path), "data", expected);
  };
  const std::string good = zip(entries);
  refused("", "not a file of torch.save (no zip archive)");
  refused("hello", "no zip archive");
  refused("PK\3\4", "the end of the zip archive is missing");
  refused(good + "x", "the end of the zip archive is missing");
  refused(zip({}), "no zip archive");
  refused(zip({{"a/x", ""}}), "no data.pkl");
  refused(zip({{"data.pkl", "N."}}), "no data.pkl");
  refused(zip({{"a/data.pkl", "N."}, {"b/data.pkl", "N."}}), "two files data.pkl");
  refused(zip({{"a/data.pkl", "N."}, {"a/data.pkl", "N."}}), "'a/data.pkl': appears twice");
  refused(zip({{"a/data.pkl", "N."}, {"a/byteorder", "big"}}), "byte order 'big' is not supported");
  refused(zip({{"a/data.pkl", pickle(tensor_of(storage("IntStorage", "0", 2), 0, tuple({2}), tuple({1})))}}),
          "'a/data/0' is missing");
  const auto with = [&](const char* record, size_t offset, const std::string& bytes) {
    std::string bad = good;
    bad.replace(bad.find(std::string(record, 4)) + offset, bytes.size(), bytes);
    return bad;
  };
  refused(with("PK\1\2", 8, "\1"), "encrypted");
  refused(with("PK\1\2", 10, "\x08"), "its zip headers at bytes");
  refused(with("PK\1\2", 20, "\x01"), "stored, but with two sizes");
  refused(with("PK\1\2", 42, little_endian(1'000'000, 4)), "no zip header at byte 1000000");
  refused(with("PK\1\2", 20, little_endian(0xfffffffe, 4) + little_endian(0xfffffffe, 4)),
          "reach into the zip directory");
  refused(with("PK\1\2", 28, "\xff\xff"), "the zip directory is damaged");
  refused(with("PK\5\6", 4, "\1"), "split over several files");
  refused(with("PK\5\6", 10, little_endian(4, 2)), "the zip directory is damaged");
  refused(with("PK\5\6", 10, little_endian(2, 2)), "after the last entry of the zip directory");
  refused(with("PK\5\6", 12, little_endian(1, 4)), "does not end at");
  // The first entry grown over the second.
  const std::string small = zip({{"a/data.pkl", "N."}, {"a/x", "yz"}});
  std::string overlap = small;
  overlap.replace(small.find("PK\1\2") + 20, 8, little_endian(20, 4) + little_endian(20, 4));
  refused(overlap, "zip entries overlap");
  CHECK_ERROR(read_pth(folder / "missing"), "io", "No such file");
}

TEST_CASE("pth: tensors that reach outside their storage") {
  const tests::TemporaryFolder folder;
  const auto path = folder / "a.pth";
  const auto refused = [&](const std::string& body, const char* expected) {
    put_file(path, pth("}"s + text("w") + body + "s"));
    CHECK_ERROR(read_pth(path), "data", expected);
  };
  const std::string two = storage("IntStorage", "0", 2);
  put_file(path, pth("}"s + text("w") + tensor_of(two, 1, tuple({3, 1}), tuple({0, 9})) + "s"));
  CHECK(read_pth(path).tensors.at("w").to_vector<int32_t>() == std::vector<int32_t>{2, 2, 2});
  refused(tensor_of(two, 0, tuple({3}), tuple({1})),
          "'w': (3) with strides (1) from element 0 reaches outside");
  refused(tensor_of(two, 1, tuple({2}), tuple({1})),
          "from element 1 reaches outside its storage of 2 elements");
  refused(tensor_of(two, 2, tuple({}), tuple({})), "reaches outside");
  refused(tensor_of(two, 3, tuple({0}), tuple({1})), "reaches outside");
  refused(tensor_of(two, 0, tuple({2}), tuple({2})), "reaches outside");
  refused(tensor_of(two, -1, tuple({1}), tuple({1})), "a tensor's offset: -1 is negative");
  refused(tensor_of(two, 0, tuple({-1}), tuple({1})), "a tensor's size: -1 is negative");
  refused(tensor_of(two, 0, tuple({1}), tuple({-1})), "a tensor's stride: -1 is negative");
  refused(tensor_of(two, 0, tuple({1}), tuple({})), "1 sizes and 0 strides");
  refused(tensor_of(two, 0, tuple({1, 1, 1, 1, 1, 1, 1, 1, 1}), tuple({1, 1, 1, 1, 1, 1, 1, 1, 1})),
          "9 dimensions");
  refused(tensor_of(two, 0, tuple({0x7fffffff, 0x7fffffff, 0x7fffffff}), tuple({0, 0, 0})), "overflows");
  refused(tensor_of(two, 0, tuple({0x7fffffff}), tuple({0})), "strided tensors of this size");
  const std::string huge = "\x8a\x08"s + little_endian(INT64_MAX, 8);
  refused(tensor_of(two, 0, tuple({3}), "("s + huge + "t"), "reaches outside");
  refused(tensor_of(two, 0, "("s + huge + "t", tuple({1})), "overflows");
  refused(tensor_of(storage("IntStorage", "0", 3), 0, tuple({2}), tuple({1})), "has 8 bytes, not 3 x 4");
  refused(tensor_of(storage("LongStorage", "0", 2), 0, tuple({1}), tuple({1})), "has 8 bytes, not 2 x 8");
  refused(tensor_of(storage("BoolStorage", "0", 8), 0, tuple({8}), tuple({1})),
          "element 4 is 2; a bool is 0 or 1");
  refused(tensor_of(storage("IntStorage", "../../0", 2), 0, tuple({2}), tuple({1})),
          "'a/data/../../0' is missing");
  refused(tensor_of(storage("ComplexFloatStorage", "0", 1), 0, tuple({1}), tuple({1})),
          "'w': elements of 'torch.ComplexFloatStorage' are not supported");
  refused(tensor_of(storage("CharStorage", "0", 8), 0, tuple({9}), tuple({1})), "reaches outside");
  refused("("s + two + storage("LongStorage", "0", 1) + "t",
          "the storage '0' is 'torch.IntStorage' of 2 elements and 'torch.LongStorage' of 1");
}

TEST_CASE("pth: malformed pickles and limits") {
  const tests::TemporaryFolder folder;
  const auto path = folder / "a.pth";
  const auto refused = [&](const std::string& raw, const char* expected) {
    put_file(path, zip({{"a/data.pkl", raw}}));
    CHECK_ERROR(read_pth(path), "data", expected);
  };
  refused("", "cut off");
  refused("\x80", "cut off");
  refused("\x80\x06.", "pickle protocol 6");
  refused("N", "cut off");
  refused(".", "other than one value");
  refused("NN.", "other than one value");
  refused("(N.", "other than one value");
  refused("N.N", "bytes follow its end");
  refused("0.", "empty stack");
  refused("(R.", "empty stack");
  refused("N(0.", "empty stack");
  refused("t.", "no mark on the stack");
  refused("]N(s.", "empty stack");
  refused("](NNu.", "what gets items is a list, not a dictionary");
  refused("}(Nu.", "a key without a value");
  refused("}Na.", "what is appended to is a dictionary");
  refused("X\xff\xff\xff\xffx.", "cut off");
  refused(std::string("\x8d\xff\xff\xff\xff\xff\xff\xff\xff", 9) + "x.", "cut off");
  refused(std::string("\x95\xff\0\0\0\0\0\0\0", 9) + "N.", "cut off");
  refused("cos", "a name without an end");
  refused("c"s + std::string(1000, 'x') + "\n\n", "a name without an end");
  refused("h\x05.", "memo 5 was never set");
  refused("Nr\xff\xff\xff\xff.", "memo 4294967295 is over the limit");
  refused("\x8b\xff\xff\xff\x7f", "an integer of 2147483647 bytes");
  refused("}"s + text("a") + "K\1s" + text("a") + "K\2s.", "'a': the name appears twice");
  refused("}"s + text("a.b") + "K\1s" + text("a") + "}" + text("b") + "K\2ss.",
          "'a.b': the name appears twice");
  refused("}"s + text(std::string(5000, 'k')) + "Ns.", "a key of 5000 bytes");
  // A list in itself.
  refused(
      "]q\x01h\x01"
      "a.",
      "over the limits of 64 levels");
  // A call of a call of a call ...: as text only its first levels.
  std::string calls = global("a", "b") +
                      "q\1"
                      "0}" +
                      text("x") + "h\1";
  for (int i = 0; i < 100'000; ++i) calls += ")R";
  put_file(path, zip({{"a/data.pkl", calls + "s."}}));
  CHECK(read_pth(path).others.at("x") == "...()()()()()");
  refused(std::string(100'000, ']') + std::string(99'999, 'a') + ".", "over the limits of 64 levels");
  refused(std::string(100'000, ')') + std::string(99'999, '\x86') + ".", "over the limits of 64 levels");
  // 60 lists, each twice the one before: 2^60 values from 400 bytes.
  std::string doubled = "N";
  for (int i = 0; i < 60; ++i) doubled += "2\x86";
  refused(doubled + ".", "values");
  refused(std::string(4'000'001, '('), "more opcodes than the limit");
  // Names made of two texts again and again: 5 bytes for 400.
  const std::string half(200, 'x');
  std::string names = text(half) + "q\1" + text(half) + "q\2]";
  for (int i = 0; i < 700'000; ++i)
    names +=
        "h\1h\2\x93"
        "0";
  refused(names + "h\1.", "names, calls and storages over the limit");
  // A list of 60,000 pairs made a dictionary of 6,000 times.
  std::string pairs = global("collections", "OrderedDict") + "q\1](";
  for (int i = 0; i < 60'000; ++i)
    pairs +=
        ")\x85"
        "0KaN\x86";
  pairs += "e\x85q\2";
  for (int i = 0; i < 6'000; ++i) pairs += "h\1h\2R0";
  refused(pairs + "N.", "names, calls and storages over the limit");
  // Integers of every width.
  put_file(
      path,
      zip({{"a/data.pkl", std::string("](\x8a\x00\x8a\x01\xff\x8a\x02\xff\x00K\xffM\xff\xffJ\xff\xff\xff\xff"
                                      "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00"
                                      "e.",
                                      34)}}));
  const auto scalars = read_pth(path).scalars;
  const std::vector<std::string> expected{"0", "-1", "255", "255", "65535", "-1", "0"};
  for (size_t i = 0; i < expected.size(); ++i) CHECK(scalars.at(std::to_string(i)) == expected[i]);
}

TEST_CASE("crc32: the check value, and every length around the step of eight") {
  const std::string check = "123456789";
  CHECK(tensor::io::crc32(std::as_bytes(std::span(check))) == 0xcbf43926u);
  std::string bytes;
  for (int i = 0; i < 40; ++i) {
    uint32_t slow = 0xffffffffu;
    for (const char c : bytes) {
      slow ^= static_cast<unsigned char>(c);
      for (int bit = 0; bit < 8; ++bit) slow = slow >> 1 ^ (slow & 1 ? 0xedb88320u : 0u);
    }
    CHECK(tensor::io::crc32(std::as_bytes(std::span(bytes))) == (slow ^ 0xffffffffu));
    bytes += static_cast<char>(i * 37);
  }
}
