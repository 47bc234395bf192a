#include "tensor/io/atomic_file.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>
#include <stdexcept>
#include <vector>

#include "tests/tensor/io_test_util.h"

using tensor::io::FileWriter;
using tensor::io::read_file;
using tensor::io::write_file_atomically;
using tests::get_file;
using tests::put_file;

namespace {

// No file of the process may grow beyond `bytes`: a full disk without a disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    old_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_{};
  void (*old_handler_)(int) = nullptr;
};

}  // namespace

TEST_CASE("write_file_atomically: new and replaced files hold exactly the bytes") {
  const tests::TemporaryFolder folder;
  write_file_atomically(folder / "a", "one");
  CHECK(get_file(folder / "a") == "one");
  const std::string large(300'000, 'x');
  write_file_atomically(folder / "a", [&](FileWriter& out) {
    for (int i = 0; i < 1000; ++i) out.write("0123456789");
    out.write(large);
    out.write("end");
    CHECK(out.bytes_written() == 310'003);
  });
  const std::string content = get_file(folder / "a");
  CHECK(content.size() == 310'003);
  CHECK(content.substr(9'990, 12) == "0123456789xx");
  CHECK(content.ends_with("xend"));
  const std::vector<std::byte> bytes{std::byte{0}, std::byte{255}};
  write_file_atomically(folder / "b", bytes);
  CHECK(get_file(folder / "b") == std::string("\x00\xff", 2));
  write_file_atomically(folder / "empty", "");
  CHECK(get_file(folder / "empty").empty());
  CHECK(folder.entries() == 3);
}

TEST_CASE("write_file_atomically: long names, links, and names without a folder") {
  const tests::TemporaryFolder folder;
  const auto long_name = folder.path() / std::string(255, 'n');
  write_file_atomically(long_name, "long");
  CHECK(get_file(long_name) == "long");

  put_file(folder / "target", "old");
  std::filesystem::create_symlink("target", folder / "link");
  write_file_atomically(folder / "link", "new");
  CHECK(std::filesystem::is_symlink(folder / "link"));
  CHECK(get_file(folder / "target") == "new");

  const auto here = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  write_file_atomically("plain", "here");
  std::filesystem::current_path(here);
  CHECK(get_file(folder / "plain") == "here");
  CHECK(folder.entries() == 4);
}

TEST_CASE("write_file_atomically: an exception of the caller leaves the old file and no temporary") {
  const tests::TemporaryFolder folder;
  put_file(folder / "a", "old");
  CHECK_THROWS_AS(write_file_atomically(folder / "a",
                                        [](FileWriter& out) {
                                          out.write(std::string(100'000, 'x'));
                                          throw std::runtime_error("stop");
                                        }),
                  std::runtime_error);
  CHECK(get_file(folder / "a") == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("write_file_atomically: folders that cannot be written to") {
  const tests::TemporaryFolder folder;
  CHECK_ERROR(write_file_atomically(folder / "missing/a", "x"), "io",
              "a: cannot be written: No such file or directory");
  CHECK_ERROR(write_file_atomically("/dev/null/a", "x"), "io",
              "/dev/null/a: cannot be written: Not a directory");
  CHECK_ERROR(write_file_atomically(folder.path(), "x"), "io", "Is a directory");
  CHECK_ERROR(write_file_atomically(folder.path() / "", "x"), "io", "cannot be written");
  CHECK_ERROR(write_file_atomically("", "x"), "io", "no file name");
  CHECK(folder.entries() == 0);
}

TEST_CASE("write_file_atomically: a full disk leaves the old file and no temporary") {
  const tests::TemporaryFolder folder;
  put_file(folder / "a", "old");
  {
    const FileSizeLimit limit(100'000);
    CHECK_ERROR(write_file_atomically(folder / "a", std::string(200'000, 'x')), "io", "File too large");
    write_file_atomically(folder / "fits", std::string(100'000, 'x'));
  }
  CHECK(get_file(folder / "a") == "old");
  CHECK(folder.entries() == 2);
}

TEST_CASE("write_file_atomically: devices are written to, never replaced") {
  CHECK_ERROR(write_file_atomically("/dev/full", "x"), "io",
              "/dev/full: cannot be written: No space left on device");
  CHECK(std::filesystem::is_character_file("/dev/full"));
  write_file_atomically("/dev/null", "x");
  CHECK(std::filesystem::is_character_file("/dev/null"));
}

TEST_CASE("read_file: content, limits and clear errors") {
  const tests::TemporaryFolder folder;
  const std::string content(200'000, 'x');
  put_file(folder / "a", content);
  CHECK(read_file(folder / "a") == content);
  CHECK(read_file(folder / "a", 200'000) == content);
  CHECK_ERROR(read_file(folder / "a", 199'999), "data", "a: 200000 bytes or more; at most 199999 are read");
  CHECK_ERROR(read_file(folder / "missing"), "io", "missing: cannot be read: No such file or directory");
  CHECK_ERROR(read_file(folder.path()), "io", "cannot be read: Is a directory");
  CHECK(!read_file("/proc/self/status").empty());  // its size claims to be 0
  CHECK_ERROR(read_file("/dev/zero", 1'000'000), "data", "at most 1000000 are read");
}
