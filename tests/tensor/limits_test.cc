// How far the readers of PyTorch's files go, to the byte, and what they make of each opcode.
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cstring>
#include <stdexcept>

#include "tensor/io/pickle.h"
#include "tensor/io/pth.h"
#include "tensor/io/text.h"
#include "tests/tensor/pth_pieces.h"

using tensor::io::PickleValue;
using tensor::io::read_pth;
using tensor::io::read_zip_directory;
using namespace tests;
using Kind = PickleValue::Kind;

namespace {

tensor::io::Pickle read(const std::string& bytes) {
  return tensor::io::read_pickle(std::as_bytes(std::span(bytes)), "a.pkl");
}
PickleValue root(const std::string& body) {
  const auto result = read(pickle(body));
  return result.values.at(result.root);
}
std::string error(const std::string& body) {
  return error_of([&] { read(pickle(body)); });
}
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string many(int n, const std::string& piece) {
  std::string all;
  for (int i = 0; i < n; ++i) all += piece;
  return all;
}

std::string big_endian(double value) {
  std::string bytes = little_endian(std::bit_cast<uint64_t>(value), 8);
  return {bytes.rbegin(), bytes.rend()};
}

std::map<std::string, tensor::io::ZipEntry> entries_of(const std::string& archive) {
  return read_zip_directory(std::as_bytes(std::span(archive)), "a.zip");
}

// Bytes that end where the process's memory ends: reading one more is a crash.
class AtTheEdge {
 public:
  explicit AtTheEdge(const std::string& bytes) : size_(bytes.size()), pages_((size_ / page() + 1) * page()) {
    memory_ = static_cast<char*>(
        ::mmap(nullptr, pages_ + page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (memory_ == MAP_FAILED) throw std::runtime_error("mmap");
    ::mprotect(memory_ + pages_, page(), PROT_NONE);
    std::memcpy(memory_ + pages_ - size_, bytes.data(), size_);
  }
  AtTheEdge(const AtTheEdge&) = delete;
  AtTheEdge& operator=(const AtTheEdge&) = delete;
  ~AtTheEdge() { ::munmap(memory_, pages_ + page()); }
  std::span<const std::byte> bytes() const {
    return std::as_bytes(std::span(memory_ + pages_ - size_, size_));
  }

 private:
  static size_t page() { return static_cast<size_t>(::sysconf(_SC_PAGESIZE)); }
  size_t size_, pages_;
  char* memory_;
};

}  // namespace

TEST_CASE("zip, pickle and crc32 read nothing behind the last byte, whole or cut off") {
  const std::string body =
      "}" + text("w") + tensor_of(storage("IntStorage", "0", 2), 0, tuple({2}), tuple({1})) + "s";
  for (const bool zip64 : {false, true}) {
    const std::string archive = zip({{"a/data.pkl", "N."}, {"a/data/0", "12345678"}}, zip64);
    for (size_t size = 0; size <= archive.size(); ++size) {
      const AtTheEdge edge(archive.substr(archive.size() - size)), cut(archive.substr(0, size));
      for (const AtTheEdge* bytes : {&edge, &cut}) {
        const std::string result = error_of([&] { read_zip_directory(bytes->bytes(), "a.zip"); });
        CHECK(result.starts_with(size == archive.size() ? "no error" : "data: "));
      }
    }
  }
  const std::string whole = pickle(body);
  for (size_t size = 0; size <= whole.size(); ++size) {
    const AtTheEdge edge(whole.substr(0, size));
    const std::string result = error_of([&] { tensor::io::read_pickle(edge.bytes(), "a.pkl"); });
    CHECK(result.starts_with(size == whole.size() ? "no error" : "data: "));
    const std::string prefix = whole.substr(0, size);
    CHECK(tensor::io::crc32(edge.bytes()) == tensor::io::crc32(std::as_bytes(std::span(prefix))));
  }
}

TEST_CASE("pickle: each way to write a number, a text and a container") {
  const std::pair<std::string, int64_t> integers[] = {
      {"J\x01\x02\x03\x04"s, 0x04030201},
      {"J\xfe\xff\xff\xff"s, -2},
      {"K\xfe"s, 254},
      {"M\x01\x02"s, 0x0201},
      {"\x8a\x00"s, 0},
      {"\x8a\x01\x7f"s, 127},
      {"\x8a\x01\x80"s, -128},
      {"\x8a\x03\x00\x00\x80"s, -8388608},
      {"\x8a\x08\x01\x02\x03\x04\x05\x06\x07\x08"s, 0x0807060504030201},
      {"\x8b\x02\x00\x00\x00\x00\x80"s, -32768}};
  for (const auto& [bytes, value] : integers) {
    CAPTURE(value);
    CHECK(root(bytes).kind == Kind::integer);
    CHECK(root(bytes).integer == value);
  }
  CHECK(root("\x88").kind == Kind::boolean);
  CHECK(root("\x88").integer == 1);
  CHECK(root("\x89").integer == 0);
  CHECK(root("N").kind == Kind::none);
  CHECK(root("G" + big_endian(-0.1)).real == -0.1);
  CHECK(root("G" + big_endian(-0.1)).kind == Kind::real);

  const std::string length[] = {"X\3\0\0\0abc"s, "\x8c\3abc"s, "\x8d\3\0\0\0\0\0\0\0abc"s, "T\3\0\0\0abc"s,
                                "U\3abc"s};
  for (const std::string& bytes : length) {
    CHECK(root(bytes).kind == Kind::text);
    CHECK(root(bytes).text == "abc");
  }
  for (const std::string& bytes : {"B\3\0\0\0abc"s, "C\3abc"s, "\x8e\3\0\0\0\0\0\0\0abc"s}) {
    CHECK(root(bytes).kind == Kind::bytes);
    CHECK(root(bytes).text == "abc");
  }

  const auto numbers = [](const std::string& body) {
    const auto result = read(pickle(body));
    std::vector<int64_t> all;
    for (const auto ref : result.values.at(result.root).items) all.push_back(result.values.at(ref).integer);
    return all;
  };
  using Numbers = std::vector<int64_t>;
  for (const auto& [body, kind, items] :
       {std::tuple{")"s, Kind::tuple, Numbers{}},
        std::tuple{"(K\1K\2K\3K\4t"s, Kind::tuple, Numbers{1, 2, 3, 4}},
        std::tuple{"K\1\x85"s, Kind::tuple, Numbers{1}},
        std::tuple{"K\1K\2\x86"s, Kind::tuple, Numbers{1, 2}},
        std::tuple{"K\1K\2K\3\x87"s, Kind::tuple, Numbers{1, 2, 3}}, std::tuple{"]"s, Kind::list, Numbers{}},
        std::tuple{"(K\1K\2l"s, Kind::list, Numbers{1, 2}},
        std::tuple{"]K\1aK\2a"s, Kind::list, Numbers{1, 2}},
        std::tuple{"](K\1K\2e(K\3e"s, Kind::list, Numbers{1, 2, 3}}, std::tuple{"}"s, Kind::dict, Numbers{}},
        std::tuple{"(K\1K\2K\3K\4d"s, Kind::dict, Numbers{1, 2, 3, 4}},
        std::tuple{"}K\1K\2s(K\3K\4u"s, Kind::dict, Numbers{1, 2, 3, 4}},
        // What is popped and duplicated, put and got.
        std::tuple{"K\1K\2"
                   "0\x85"s,
                   Kind::tuple, Numbers{1}},
        std::tuple{"K\1(K\2K\3"
                   "1\x85"s,
                   Kind::tuple, Numbers{1}},
        std::tuple{"K\1"
                   "2\x86"s,
                   Kind::tuple, Numbers{1, 1}},
        std::tuple{"K\7q\5"
                   "0K\x08\x94"
                   "0h\5h\6\x86"s,
                   Kind::tuple, Numbers{7, 8}},
        std::tuple{"K\7r\5\1\0\0"
                   "0j\5\1\0\0\x85"s,
                   Kind::tuple, Numbers{7}},
        std::tuple{"\x95\x03\0\0\0\0\0\0\0K\1\x85"s, Kind::tuple, Numbers{1}}}) {
    CAPTURE(body);
    CHECK(root(body).kind == kind);
    CHECK(numbers(body) == items);
  }
}

TEST_CASE("pickle: integers over 64 bits in decimal") {
  const auto decimal = [](const std::string& bytes) {
    const PickleValue value = root("\x8a" + little_endian(bytes.size(), 1) + bytes);
    CHECK(value.kind == Kind::big_integer);
    return value.text;
  };
  CHECK(decimal(std::string(8, '\0') + "\1") == "18446744073709551616");  // 2^64
  CHECK(decimal(std::string(8, '\xff') + std::string(1, '\0')) == "18446744073709551615");
  CHECK(decimal(std::string(8, '\0') + "\xff") == "-18446744073709551616");    // -2^64
  CHECK(decimal(std::string(8, '\0') + "\x80") == "-2361183241434822606848");  // -2^71
  CHECK(decimal(std::string(9, '\xff')) == "-1");
  CHECK(decimal("\x0a" + std::string(8, '\0')) == "10");
}

TEST_CASE("pickle: the limits, to the one") {
  CHECK(root("\x8a\xff" + std::string(255, '\0')).text == "0");
  CHECK(has(error("\x8b" + little_endian(256, 4) + std::string(256, '\0')), "an integer of 256 bytes"));
  CHECK(error_of([] { read("\x80\x02N."); }) == "no error");
  CHECK(error_of([] { read("\x80\x05N."); }) == "no error");
  CHECK(
      has(error_of([] { read("\x80\x01N."); }), "a.pkl: pickle, byte 0: pickle protocol 1; 2 to 5 are read"));
  CHECK(has(error_of([] { read("\x80\x06N."); }), "pickle protocol 6"));
  // Opcodes: with the protocol's, the first value's and the end's.
  const std::string pair = "h\1"s + "0";
  const std::string begin = "Nq\1"s;
  CHECK(error(begin + many(1'999'998, pair)) == "no error");  // 4,000,000
  CHECK(has(error(begin + many(1'999'998, pair) + "\x95" + little_endian(0, 8)),
            "more opcodes than the limit"));
  // Memos.
  CHECK(error("Nr" + little_endian(3'999'999, 4)) == "no error");
  CHECK(has(error("Nr" + little_endian(4'000'000, 4)), "memo 4000000 is over the limit"));
  CHECK(has(error("Nr" + little_endian(7, 4) + "0h\6"), "memo 6 was never set"));
  CHECK(has(error("Nr" + little_endian(7, 4) + "0h\x08"), "memo 8 was never set"));
  // Names: a line of 255 bytes and its end.
  CHECK(root("c" + std::string(255, 'x') + "\ny\n").text == std::string(255, 'x') + ".y");
  CHECK(has(error("c" + std::string(256, 'x') + "\ny\n"), "a name without an end"));
  CHECK(root(text(std::string(256, 'm')) + text(std::string(256, 'n')) + "\x93").text.size() == 513);
  CHECK(
      has(error(text(std::string(256, 'm')) + text(std::string(257, 'n')) + "\x93"), "a name of 513 bytes"));
  // A storage's key.
  CHECK(read(pickle(storage("IntStorage", std::string(256, 'k'), 2))).storages.at(0).key.size() == 256);
  CHECK(has(error(storage("IntStorage", std::string(257, 'k'), 2)), "a storage's key of 257 bytes"));
  // Bytes as text.
  const auto encoded = [](const std::string& s) {
    return global("_codecs", "encode") + text(s) + text("latin1") + "\x86R";
  };
  CHECK(root(encoded(std::string(1000, 'x'))).text == std::string(1000, 'x'));
  CHECK(root(encoded("a\xc2\x80\xc2\xbf\xc3\x80\xc3\xbf")).text == "a\x80\xbf\xc0\xff");
  CHECK(root(encoded("a")).kind == Kind::bytes);
  for (const char* bad : {"\xc4\x80", "\xc1\xbf", "\x80", "\xc2", "\xc2x", "\xc3\xc0"})
    CHECK_MESSAGE(has(error(encoded(bad)), "a character above 255"), bad);
}

TEST_CASE("pickle: NumPy's scalars of every type that is read, and of no other size") {
  const auto scalar = [](const char* module, const std::string& type, const std::string& raw) {
    return global(module, "scalar") + global("numpy", "dtype") + text(type) + "\x89\x88\x87R(K\3" +
           text("<") + "NNNtb" + "C" + little_endian(raw.size(), 1) + raw + "\x86R";
  };
  for (const char* module : {"numpy.core.multiarray", "numpy._core.multiarray"}) {
    CHECK(root(scalar(module, "f8", little_endian(std::bit_cast<uint64_t>(0.1), 8))).real == 0.1);
    CHECK(root(scalar(module, "f4", little_endian(std::bit_cast<uint32_t>(0.5f), 4))).real == 0.5);
    CHECK(root(scalar(module, "i8", little_endian(static_cast<uint64_t>(-5), 8))).integer == -5);
    CHECK(root(scalar(module, "i4", little_endian(static_cast<uint32_t>(-5), 4))).integer == -5);
    CHECK(root(scalar(module, "b1", "\2")).integer == 1);
    CHECK(root(scalar(module, "b1", "\2")).kind == Kind::boolean);
    CHECK(root(scalar(module, "b1", std::string(1, '\0'))).integer == 0);
  }
  for (const auto& [type, size] : {std::pair{"f8", 4}, std::pair{"f4", 8}, std::pair{"i8", 7},
                                   std::pair{"i4", 5}, std::pair{"b1", 2}, std::pair{"u8", 8}})
    CHECK(root(scalar("numpy.core.multiarray", type, std::string(static_cast<size_t>(size), 'x'))).kind ==
          Kind::object);
  // Byte order | is of types of one byte; a state needs both of its first fields.
  const std::string type = global("numpy", "dtype") + text("b1") + "\x85R";
  CHECK(root(type + "K\3" + text("|") + "\x86" + "b").kind == Kind::numpy_dtype);
  CHECK(has(error(type + "K\3\x85" + "b"), "state is too short"));
  CHECK(root(global("numpy", "dtype") + ")R").kind == Kind::object);
  // A scalar of the other byte order is none that we know.
  std::string swapped = scalar("numpy.core.multiarray", "f8", std::string(8, 'x'));
  swapped[swapped.find('<')] = '>';
  CHECK(root(swapped).kind == Kind::object);
}

TEST_CASE("pickle: calls with too few or too many arguments are kept as calls") {
  const std::string t = tensor_of(storage("IntStorage", "0", 2), 0, tuple({2}), tuple({1}));
  for (const auto& [name, good] :
       {std::pair{global("torch._utils", "_rebuild_parameter"), 3}, std::pair{global("_codecs", "encode"), 2},
        std::pair{global("numpy.core.multiarray", "scalar"), 2}, std::pair{global("torch", "Size"), 1}})
    for (const int n : {good - 1, good + 1})
      CHECK(root(name + "(" + many(n, "N") + "tR").kind == Kind::object);
  for (const int n : {5, 8})
    CHECK(root(global("torch._utils", "_rebuild_tensor_v2") + "(" + many(n, "N") + "tR").kind ==
          Kind::object);
  CHECK(root(global("torch._utils", "_rebuild_parameter") + "(" + t + "\x88NtR").kind == Kind::tensor);
  CHECK(root(global("torch", "Size") + "K\1K\2\x86\x85R").items.size() == 2);
  // With metadata, which nobody needs.
  CHECK(root(global("torch._utils", "_rebuild_tensor_v2") + "(" + storage("IntStorage", "0", 2) + "K\0"s +
             tuple({2}) + tuple({1}) + "\x89N}tR")
            .kind == Kind::tensor);
  // A persistent id: each of its five parts.
  const auto id = [](const std::string& parts) { return "(" + parts + "tQ"; };
  const std::string type = global("torch", "IntStorage");
  CHECK(has(error(id(text("storage") + type + text("0") + text("cpu"))), "not a storage's"));
  CHECK(has(error(id(text("stor") + type + text("0") + text("cpu") + integer(1))), "not a storage's"));
  CHECK(has(error(id(text("storage") + text("x") + text("0") + text("cpu") + integer(1))),
            "a storage's class is text"));
  CHECK(has(error(id(text("storage") + type + "N" + text("cpu") + integer(1))), "a storage's key is None"));
  CHECK(has(error(id(text("storage") + type + text("0") + "N" + integer(1))), "a storage's device is None"));
  CHECK(has(error(id(text("storage") + type + text("0") + text("cpu") + "N")), "a storage's size is None"));
  CHECK(has(error(id(text("storage") + type + text("0") + text("cpu") + integer(-1))), "-1 is negative"));
  // 8 dimensions are read.
  CHECK(root(tensor_of(storage("IntStorage", "0", 2), 0, tuple({1, 1, 1, 1, 1, 1, 1, 2}),
                       tuple({2, 2, 2, 2, 2, 2, 2, 1})))
            .kind == Kind::tensor);
}

TEST_CASE("pth: 64 levels, names of 4,096 bytes and 4,000,000 values are read, one more is not") {
  const TemporaryFolder folder;
  const auto path = folder / "a.pth";
  const auto read_body = [&](const std::string& body) {
    put_file(path, zip({{"a/data.pkl", pickle(body)}}));
    return error_of([&] { read_pth(path); });
  };
  // A list of a list of ... of None: None is at level n.
  const auto levels = [](int n) { return many(n, "]") + "N" + many(n, "a"); };
  CHECK(read_body(levels(64)) == "no error");
  CHECK(has(read_body(levels(65)), "over the limits of 64 levels"));
  const auto key = [](size_t n) { return "}" + text(std::string(n, 'k')) + "Ns"; };
  CHECK(read_body(key(4096)) == "no error");
  CHECK(has(read_body(key(4097)), "a key of 4097 bytes"));
  // "k...k.k" through two levels.
  const auto joined = [](size_t n) { return "}" + text(std::string(n, 'k')) + "}" + text("k") + "Nss"; };
  CHECK(read_body(joined(4094)) == "no error");
  CHECK(has(read_body(joined(4095)), "names of 4096 bytes"));
  // Integers as keys, in decimal.
  put_file(path, zip({{"a/data.pkl", pickle("}K\7Ns\x8a\x02\xff\xff\x88s")}}));
  CHECK(read_pth(path).scalars == std::map<std::string, std::string>{{"7", "none"}, {"-1", "true"}});
  // Scalars, and what PyTorch's own numbers look like as text.
  put_file(path,
           zip({{"a/data.pkl", pickle("](G" + big_endian(0.1) + "G" + big_endian(1e300) + "C\2xyNe")}}));
  CHECK(read_pth(path).scalars ==
        std::map<std::string, std::string>{{"0", "0.1"}, {"1", "1e+300"}, {"2", "xy"}, {"3", "none"}});
}

TEST_CASE(
    "pth: tensors of nothing keep their shape and type, and end where their storage ends at the latest") {
  const TemporaryFolder folder;
  const auto path = folder / "a.pth";
  const auto of = [&](int64_t offset, const std::vector<int64_t>& sizes,
                      const std::vector<int64_t>& strides) {
    put_file(path, pth(tensor_of(storage("IntStorage", "0", 2), offset, tuple(sizes), tuple(strides))));
    return read_pth(path).tensors.at("");
  };
  const tensor::Tensor empty = of(2, {3, 0}, {7, 9});
  CHECK(empty.dtype() == tensor::DType::i32);
  CHECK(empty.shape() == tensor::Shape{3, 0});
  CHECK_ERROR(of(3, {3, 0}, {7, 9}), "data", "reaches outside its storage of 2 elements");
  // Sizes of 1 have any stride, and a stride of 0 repeats.
  CHECK(of(1, {1, 1, 1}, {5, 1, 9}).to_vector<int32_t>() == std::vector<int32_t>{2});
  CHECK(of(0, {1, 2}, {9, 1}).to_vector<int32_t>() == std::vector<int32_t>{1, 2});
  CHECK(of(0, {2, 1, 2}, {1, 9, 0}).to_vector<int32_t>() == std::vector<int32_t>{1, 1, 2, 2});
  CHECK(of(0, {2, 1, 2}, {0, 9, 1}).to_vector<int32_t>() == std::vector<int32_t>{1, 2, 1, 2});
  CHECK(of(0, {2, 2, 2}, {0, 1, 0}).to_vector<int32_t>() == std::vector<int32_t>{1, 1, 2, 2, 1, 1, 2, 2});
}

TEST_CASE("pth: a pickle of 64 MiB is read, a byte more is not") {
  const TemporaryFolder folder;
  const auto path = folder / "a.pth";
  for (const int64_t size : {int64_t{64} << 20, (int64_t{64} << 20) + 1}) {
    // An archive whose pickle is a hole in the file: its checksum cannot be right.
    const std::string empty = zip({{"a/data.pkl", ""}});
    const size_t directory = empty.find("PK\1\2"), end = empty.find("PK\5\6");
    const auto with_size = [&](std::string record, size_t at) {
      return record.replace(
          at, 8,
          little_endian(static_cast<uint64_t>(size), 4) + little_endian(static_cast<uint64_t>(size), 4));
    };
    std::string tail = with_size(empty.substr(directory, end - directory), 20) + empty.substr(end);
    tail.replace(tail.find("PK\5\6") + 16, 4, little_endian(directory + static_cast<uint64_t>(size), 4));
    put_file(path, with_size(empty.substr(0, directory), 18));
    std::filesystem::resize_file(path, directory + static_cast<uint64_t>(size));
    std::ofstream(path, std::ios::binary | std::ios::app) << tail;
    CHECK_ERROR(read_pth(path), "data",
                size == int64_t{64} << 20 ? "the content is damaged: CRC-32"
                                          : "a pickle of 67108865 bytes is over the limit of 67108864");
  }
}

TEST_CASE("zip: an archive of nothing, one with a comment, and zip64 fields one by one") {
  const std::string nothing = zip({});
  CHECK(nothing.size() == 22);
  CHECK(entries_of(nothing).empty());
  CHECK_ERROR(entries_of(nothing.substr(1)), "data", "the end of the zip archive is missing");
  const std::string good = zip({{"a", "xyz"}, {"b", ""}});
  const auto entries = entries_of(good);
  REQUIRE(entries.size() == 2);
  CHECK(entries.at("a").size == 3);
  CHECK(good.substr(static_cast<size_t>(entries.at("a").offset), 3) == "xyz");
  CHECK(entries.at("b").size == 0);
  CHECK(!entries.at("a").compressed);
  const auto commented = [&](size_t bytes, const std::string& comment) {
    std::string archive = good;
    archive.replace(archive.size() - 2, 2, little_endian(bytes, 2));
    return archive + comment;
  };
  CHECK(entries_of(commented(65'535, std::string(65'535, 'c'))).size() == 2);
  CHECK(entries_of(commented(40, "PK\5\6" + std::string(36, 'c'))).size() ==
        2);  // looks like an end, but is none
  CHECK_ERROR(entries_of(commented(65'535, std::string(65'536, 'c'))), "data",
              "the end of the zip archive is missing");
  CHECK_ERROR(entries_of(commented(3, "cc")), "data", "the end of the zip archive is missing");
  // Split archives, by either number.
  for (const size_t at : {4, 6}) {
    std::string split = good;
    split[split.find("PK\5\6") + at] = 1;
    CHECK_ERROR(entries_of(split), "data", "split over several files");
  }
  // Positions and sizes of every remainder.
  for (size_t size = 0; size < 8; ++size) {
    const std::string content(size, 'x'), archive = zip({{"a", content}, {"b", "y"}}, true);
    const auto its = entries_of(archive);
    CHECK(its.at("a").size == static_cast<int64_t>(size));
    CHECK(archive.substr(static_cast<size_t>(its.at("b").offset), 1) == "y");
  }
  const std::string large = zip({{"a", "xyz"}}, true);
  for (const size_t at : {16, 20}) {
    std::string split = large;
    split[split.find("PK\6\6") + at] = 1;
    CHECK_ERROR(entries_of(split), "data", "split over several files");
  }
  // The zip64 field without the offset that it should have, and without the second size.
  const size_t extra = large.find(little_endian(1, 2) + little_endian(24, 2), large.find("PK\1\2"));
  for (const int size : {16, 8, 0}) {
    std::string shorter = large;
    shorter.replace(extra, 4, little_endian(1, 2) + little_endian(static_cast<uint64_t>(size), 2));
    CHECK_ERROR(entries_of(shorter), "data", "zip64 header is damaged");
  }
  std::string longer = large;
  longer.replace(extra + 2, 2, little_endian(25, 2));
  CHECK_ERROR(entries_of(longer), "data", "'a': its zip header is damaged");
  std::string located = large;
  located.replace(located.find("PK\6\7") + 8, 1, "\1");
  CHECK_ERROR(entries_of(located), "data", "zip64 end record is damaged");
}

TEST_CASE("zip: no entry may reach over another, the directory or the archive") {
  const std::string good = zip({{"a", "xyz"}, {"b", "pq"}});
  const size_t first = good.find("PK\1\2"), second = good.find("PK\1\2", first + 1);
  const auto with = [&](size_t at, const std::string& bytes) {
    std::string bad = good;
    return bad.replace(at, bytes.size(), bytes);
  };
  CHECK(entries_of(good).size() == 2);
  // Both sizes of the last entry: to the directory, and one byte further.
  CHECK_ERROR(entries_of(with(second + 20, little_endian(3, 4) + little_endian(3, 4))), "data",
              "'b': 3 bytes at byte 65 reach into the zip directory");
  CHECK_ERROR(entries_of(with(first + 20, little_endian(4, 4) + little_endian(4, 4))), "data",
              "zip entries overlap at byte 34");
  CHECK_ERROR(entries_of(with(second + 42, little_endian(0, 4))), "data", "zip headers at bytes");
  CHECK_ERROR(entries_of(with(second + 24, little_endian(3, 4))), "data",
              "stored, but with two sizes, 2 and 3");
  CHECK_ERROR(entries_of(with(34 + 26, little_endian(2, 2))), "data", "'b': its zip headers at bytes 34");
  CHECK_ERROR(entries_of(with(34 + 30, "c")), "data", "'b': its zip headers at bytes 34");
  const size_t end = good.find("PK\5\6");
  CHECK_ERROR(entries_of(with(end + 12, little_endian(end - first - 1, 4))), "data", "does not end at byte");
  CHECK_ERROR(entries_of(with(end + 16, little_endian(first + 1, 4))), "data", "does not end at byte");
  // An entry's comment is left out, and counts.
  std::string commented = good;
  commented.insert(second, "note");
  commented.replace(first + 32, 2, little_endian(4, 2));
  commented.replace(end + 4 + 12, 4, little_endian(end - first + 4, 4));
  CHECK(entries_of(commented).size() == 2);
}

TEST_CASE("text from files in errors: quoted, escaped, and at most 100 bytes of it") {
  using tensor::io::in_quotes;
  CHECK(in_quotes("") == "''");
  CHECK(in_quotes("a b~") == "'a b~'");
  CHECK(in_quotes("\x1f\x20\x7e\x7f\x80\xff") == "'\\x1f ~\\x7f\\x80\\xff'");
  CHECK(in_quotes(std::string(100, 'x')) == "'" + std::string(100, 'x') + "'");
  CHECK(in_quotes(std::string(101, 'x')) == "'" + std::string(100, 'x') + "...'");
}
