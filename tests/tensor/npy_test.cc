#include "tensor/io/npy.h"

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "tests/tensor/io_test_util.h"

using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
using tensor::io::read_npy;
using tensor::io::write_npy;
using tests::get_file;
using tests::put_file;

using namespace std::string_literals;

namespace {

std::string npy(const std::string& header, const std::string& data = "") {
  return std::string("\x93NUMPY\x01\x00", 8) + tests::little_endian(header.size(), 2) + header + data;
}

}  // namespace

TEST_CASE("npy: every dtype and shape comes back") {
  const tests::TemporaryFolder folder;
  for (const DType dtype :
       {DType::f32, DType::f64, DType::f16, DType::i32, DType::i64, DType::u8, DType::boolean}) {
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3}, Shape{0, 4}, Shape{2, 1, 3, 1, 1, 1, 1, 2}}) {
      CAPTURE(tensor::name_of(dtype));
      CAPTURE(to_string(shape));
      Tensor t = Tensor::empty(shape, dtype);
      for (int64_t i = 0; i < t.bytes(); ++i) t.mutable_raw()[i] = static_cast<std::byte>(i % 2);
      write_npy(folder / "a.npy", t);
      const Tensor back = read_npy(folder / "a.npy");
      CHECK(back.dtype() == dtype);
      CHECK(back.shape() == shape);
      const bool same =
          t.numel() == 0 || std::memcmp(back.raw(), t.raw(), static_cast<size_t>(t.bytes())) == 0;
      CHECK(same);
    }
  }
}

TEST_CASE("npy: the bytes are NumPy's, strided tensors in row-major order") {
  const tests::TemporaryFolder folder;
  // numpy.save of numpy.arange(6, dtype='<i4').reshape(2, 3).T
  write_npy(folder / "a.npy", Tensor::from<int32_t>({0, 1, 2, 3, 4, 5}, {2, 3}).t());
  std::string header = "{'descr': '<i4', 'fortran_order': False, 'shape': (3, 2), }";
  header.resize(117, ' ');
  header += "\n";
  std::string data;
  for (const int value : {0, 3, 1, 4, 2, 5}) data += tests::little_endian(static_cast<uint64_t>(value), 4);
  CHECK(get_file(folder / "a.npy") == npy(header, data));
}

TEST_CASE("npy: a header that is not aligned is copied") {
  const tests::TemporaryFolder folder;
  put_file(folder / "a.npy",
           npy("{'shape':(2,),'fortran_order':False,'descr':'<i4'}\n", std::string("\1\0\0\0\2\0\0\0", 8)));
  CHECK(read_npy(folder / "a.npy").to_vector<int32_t>() == std::vector<int32_t>{1, 2});
}

TEST_CASE("npy: headers of more than 255 bytes, spaces anywhere, and keys in any order") {
  const tests::TemporaryFolder folder;
  const auto read = [&](const std::string& header, const std::string& data) {
    put_file(folder / "a.npy", npy(header, data));
    return read_npy(folder / "a.npy");
  };
  const std::string data("\1\0\0\0\2\0\0\0", 8);
  for (const size_t spaces : {0, 206, 207, 300, 60'000}) {
    const std::string header =
        "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }" + std::string(spaces, ' ') + "\n";
    CHECK(read(header, data).to_vector<int32_t>() == std::vector<int32_t>{1, 2});
  }
  CHECK(read("  {  'shape' : ( 2 , 1 ) ,'fortran_order':False,'descr' :'<i4'  }  \n", data).shape() ==
        Shape{2, 1});
  CHECK(read("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 1, ), }\n", data).shape() == Shape{2, 1});
  CHECK(read("{'descr': '<i4', 'fortran_order': False, 'shape': ( ), }\n", "\1"s + std::string(3, '\0'))
            .rank() == 0);
  CHECK(read("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,2), }\n", data).rank() == 8);
  // NumPy's data begins at a multiple of 64, however long the shape.
  for (int rank = 0; rank <= 8; ++rank) {
    Shape shape = Shape::filled(rank, 1);
    if (rank > 0) shape[0] = 12345;
    tensor::io::write_npy(folder / "b.npy", Tensor::zeros(shape, DType::u8));
    const std::string bytes = get_file(folder / "b.npy");
    const size_t length = static_cast<unsigned char>(bytes[8]) + 256u * static_cast<unsigned char>(bytes[9]);
    CHECK((10 + length) % 64 == 0);
    CHECK(bytes[9 + length] == '\n');
    CHECK(bytes.size() == 10 + length + static_cast<size_t>(shape.numel()));
  }
}

TEST_CASE("npy: everything else is refused") {
  const tests::TemporaryFolder folder;
  const auto path = folder / "a.npy";
  const auto refused = [&](const std::string& bytes, const char* text) {
    put_file(path, bytes);
    CAPTURE(bytes);
    CHECK_ERROR(read_npy(path), "data", "a.npy");
    CHECK_ERROR(read_npy(path), "data", text);
  };
  refused("", "not a .npy file");
  refused(std::string("\x93NUMPY\x02\x00\x00\x00", 10), "version 1.0");
  refused(std::string("\x93NUMPY\x01\x00\xff\x00", 10), "longer than the file");
  refused(npy("{'descr': '>f4', 'fortran_order': False, 'shape': (), }\n", "1234"), "dtype '>f4'");
  refused(npy("{'descr': '|O', 'fortran_order': False, 'shape': (), }\n", "1234"), "dtype '|O'");
  refused(npy("{'descr': '<f4', 'fortran_order': True, 'shape': (), }\n", "1234"), "fortran_order False");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", "123"),
          "takes 4 bytes, but the file has 3");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", "12345"), "the file has 5");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x\n", "1234"), "more text");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "1234"), "more text");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1), }\n", "1234"), "not a tuple");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n", "1234"), "not a size");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }\n"),
          "not a size");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }\n"),
          "overflows");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }\n"), "8 dimensions");
  refused(npy("{'descr': '<f4', 'descr': '<f4', 'shape': (), }\n"), "repeated key");
  refused(npy("{'descr': '<f4', 'shape': (), }\n"), "missing");
  refused(npy("{'descr\n"), "not closed");
  refused(npy("{"), "not a dictionary");
  refused(npy("{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }\n", "\1\2"), "element 1 is 2");
  CHECK_ERROR(read_npy(folder / "missing"), "io", "No such file");
  CHECK_ERROR(write_npy(path, Tensor::zeros({1}, DType::bf16)), "dtype", "NumPy has no bf16");
  CHECK_ERROR(write_npy(path, Tensor()), "argument", "undefined");
}
