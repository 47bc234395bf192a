#include "tensor/io/mapped_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "tests/tensor/file_calls.h"
#include "tests/tensor/io_test_util.h"

using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
using tensor::io::checked_numel;
using tensor::io::mapped_tensor;
using tensor::io::MappedFile;
using tests::get_file;
using tests::put_file;

namespace {

bool is_mapped(const std::filesystem::path& path) {
  return get_file("/proc/self/maps").find(path.filename().string() + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("a mapped file has the file's bytes, and goes with the last that uses it") {
  const tests::TemporaryFolder folder;
  const auto path = folder / "mapped-while-used";
  put_file(path, std::string("\1\0\0\0\2\0\0\0\3", 9));
  const int descriptors = tests::open_descriptors();
  std::optional<Tensor> tensor;
  {
    const auto file = MappedFile::open(path);
    CHECK(tests::open_descriptors() == descriptors);  // a mapping needs none
    CHECK(file->size() == 9);
    CHECK(file->bytes().size() == 9);
    CHECK(file->bytes()[8] == std::byte{3});
    CHECK(file->name() == path.string());
    CHECK(is_mapped(path));
    tensor = mapped_tensor(file, 4, {1}, DType::i32, "w");
    CHECK(static_cast<const void*>(tensor->raw()) == file->bytes().data() + 4);
  }
  CHECK(is_mapped(path));
  CHECK(tensor->to_vector<int32_t>() == std::vector<int32_t>{2});
  tensor.reset();
  CHECK(!is_mapped(path));
}

TEST_CASE("mapped tensors: aligned bytes are views, others copies, and bools are looked at") {
  const tests::TemporaryFolder folder;
  const auto path = folder / "a";
  put_file(path, std::string("\0\1\0\0\0\2\0\0\0\1\0\2\1\0\0\0", 16));
  const auto file = MappedFile::open(path);
  const Tensor copy = mapped_tensor(file, 1, {2}, DType::i32, "w");
  CHECK(copy.to_vector<int32_t>() == std::vector<int32_t>{1, 2});
  CHECK(static_cast<const void*>(copy.raw()) != file->bytes().data() + 1);
  // At an offset that is a multiple of half an element only.
  CHECK(static_cast<const void*>(mapped_tensor(file, 4, {1}, DType::i64, "w").raw()) !=
        file->bytes().data() + 4);
  CHECK(static_cast<const void*>(mapped_tensor(file, 8, {1}, DType::i64, "w").raw()) ==
        file->bytes().data() + 8);
  CHECK(static_cast<const void*>(mapped_tensor(file, 2, {3}, DType::f16, "w").raw()) ==
        file->bytes().data() + 2);
  const Tensor bools = mapped_tensor(file, 9, {2}, DType::boolean, "w");
  CHECK(bools.data<bool>()[0]);
  CHECK(!bools.data<bool>()[1]);
  CHECK_ERROR(mapped_tensor(file, 9, {3}, DType::boolean, "w"), "data",
              "'w': element 2 is 2; a bool is 0 or 1");
  CHECK(mapped_tensor(file, 11, {2}, DType::u8, "w").to_vector<uint8_t>() == std::vector<uint8_t>{2, 1});
  const Tensor empty = mapped_tensor(file, 16, {3, 0}, DType::f64, "w");
  CHECK(empty.shape() == Shape{3, 0});
  CHECK(empty.dtype() == DType::f64);
}

TEST_CASE("what cannot be mapped is an error with the reason, and leaves no descriptor open") {
  const tests::TemporaryFolder folder;
  const auto path = folder / "a";
  const int descriptors = tests::open_descriptors();
  CHECK_ERROR(MappedFile::open(path), "io", "a: cannot be read: No such file or directory");
  CHECK_ERROR(MappedFile::open(folder.path()), "io", ": cannot be read: Is a directory");
  CHECK_ERROR(MappedFile::open("/dev/null"), "io", "/dev/null: cannot be read: not a regular file");
  put_file(path, "");
  CHECK(MappedFile::open(path)->bytes().empty());
  CHECK(MappedFile::open(path)->size() == 0);
  // A pipe that nobody writes to is not waited for.
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_ERROR(MappedFile::open(folder / "pipe"), "io", "not a regular file");
  {
    tests::FileCalls calls;
    calls.fail("open", EMFILE);
    CHECK_ERROR(MappedFile::open(path), "io", "a: cannot be read: Too many open files");
    CHECK((calls.of("open")[0].flags & (O_CLOEXEC | O_NONBLOCK)) == (O_CLOEXEC | O_NONBLOCK));
  }
  // More than this process may map.
  std::filesystem::resize_file(path, int64_t{1} << 30);
  {
    rlimit before{};
    ::getrlimit(RLIMIT_AS, &before);
    const auto pages = std::stoull(get_file("/proc/self/statm"));
    const rlimit limit{pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + (64 << 20), before.rlim_max};
    ::setrlimit(RLIMIT_AS, &limit);
    const std::string error = tests::error_of([&] { MappedFile::open(path); });
    ::setrlimit(RLIMIT_AS, &before);
    CHECK(error == "io: " + path.string() + ": cannot be read: Cannot allocate memory");
  }
  CHECK(tests::open_descriptors() == descriptors);
}

TEST_CASE("checked_numel: sizes whose bytes or strides leave 63 bits have no number of elements") {
  CHECK(checked_numel({}, DType::f32) == 1);
  CHECK(checked_numel({2, 3, 4}, DType::f64) == 24);
  CHECK(checked_numel({2, 0, 4}, DType::f64) == 0);
  CHECK(checked_numel({-1}, DType::u8) == -1);
  CHECK(checked_numel({0, -1}, DType::u8) == -1);
  CHECK(checked_numel({INT64_MAX}, DType::u8) == INT64_MAX);
  CHECK(checked_numel({INT64_MAX}, DType::f16) == -1);
  CHECK(checked_numel({INT64_MAX / 4}, DType::f32) == INT64_MAX / 4);
  CHECK(checked_numel({INT64_MAX / 4 + 1}, DType::f32) == -1);
  CHECK(checked_numel({int64_t{1} << 31, int64_t{1} << 31}, DType::u8) == int64_t{1} << 62);
  CHECK(checked_numel({int64_t{1} << 31, int64_t{1} << 32}, DType::u8) == -1);
  // Nothing in it, but the strides would not fit.
  CHECK(checked_numel({0, int64_t{1} << 32, int64_t{1} << 32}, DType::u8) == -1);
  CHECK(checked_numel({0, int64_t{1} << 31, int64_t{1} << 31}, DType::u8) == 0);
}
