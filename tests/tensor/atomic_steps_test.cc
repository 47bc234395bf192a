// Each step of writing a file as a whole: that it is taken, in which order, and what is left when it fails.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <thread>
#include <vector>

#include "tensor/io/atomic_file.h"
#include "tensor/io/mapped_file.h"
#include "tests/rights.h"
#include "tests/skip.h"
#include "tests/tensor/file_calls.h"
#include "tests/tensor/io_test_util.h"

using tensor::io::FileWriter;
using tensor::io::read_file;
using tensor::io::remove_stale_temporaries;
using tensor::io::write_file_atomically;
using tests::FileCall;
using tests::FileCalls;
using tests::get_file;
using tests::put_file;

namespace fs = std::filesystem;

namespace {

std::string text_of(int error) { return std::generic_category().message(error); }

// ".a.PROCESS-7.tmp" in the folder of `target`.
bool is_temporary(const fs::path& path, const fs::path& target) {
  const std::string name = path.filename().string();
  return path.parent_path() == target.parent_path() &&
         name.starts_with("." + target.filename().string() + "." + std::to_string(::getpid()) + "-") &&
         name.ends_with(".tmp");
}

// Runs `child` in a process of its own, which ends with it.
template <class F>
pid_t start(const F& child) {
  std::fflush(nullptr);  // or what waits to be printed would be printed twice
  const pid_t pid = ::fork();
  if (pid == 0) {
    child();
    ::_exit(0);
  }
  return pid;
}

int end_of(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// A process number that nobody has any more.
pid_t ended_process() {
  const pid_t pid = start([] {});
  end_of(pid);
  return pid;
}

}  // namespace

TEST_CASE("write_file_atomically: the content is on disk before the name, and then the name") {
  const tests::TemporaryFolder folder;
  const fs::path path = folder / "a";
  for (const bool replaced : {false, true}) {
    for (const size_t size : {size_t{0}, size_t{5}, size_t{300'000}}) {
      CAPTURE(replaced);
      CAPTURE(size);
      fs::remove(path);
      if (replaced) put_file(path, "old");
      const std::string content(size, 'x');
      const int descriptors = tests::open_descriptors();
      const FileCalls calls;
      write_file_atomically(path, content);
      CHECK(calls.order() == (size == 0 ? "open fsync close rename open fsync close"
                                        : "open write fsync close rename open fsync close"));
      const auto opened = calls.of("open"), synced = calls.of("fsync"), closed = calls.of("close"),
                 renamed = calls.of("rename");
      REQUIRE(opened.size() == 2);
      REQUIRE(synced.size() == 2);
      REQUIRE(closed.size() == 2);
      REQUIRE(renamed.size() == 1);
      const std::string temporary = opened[0].path;
      CHECK(is_temporary(temporary, path));
      CHECK((opened[0].flags & (O_CREAT | O_EXCL | O_CLOEXEC)) == (O_CREAT | O_EXCL | O_CLOEXEC));
      CHECK(opened[0].mode == 0666);
      CHECK(synced[0].path == temporary);
      CHECK(closed[0].path == temporary);
      CHECK(renamed[0].path == temporary);
      CHECK(renamed[0].to == path);
      CHECK(opened[1].path == folder.path());
      CHECK(synced[1].path == folder.path());
      CHECK(closed[1].path == folder.path());
      long bytes = 0;
      for (const FileCall& write : calls.of("write")) {
        CHECK(write.path == temporary);
        bytes += write.result;
      }
      CHECK(bytes == static_cast<long>(size));
      CHECK(tests::open_descriptors() == descriptors);
      CHECK(get_file(path) == content);
      CHECK(folder.entries() == 1);
    }
  }
  // The folder of a name without one is the current one.
  const auto here = fs::current_path();
  fs::current_path(folder.path());
  {
    const FileCalls calls;
    write_file_atomically("plain", "x");
    CHECK(calls.of("fsync")[1].path == ".");
  }
  fs::current_path(here);
}

TEST_CASE("write_file_atomically: whatever step fails, the old file stays and nothing lies beside it") {
  const tests::TemporaryFolder folder;
  const fs::path path = folder / "a";
  const std::string content(200'000, 'n');
  struct Step {
    const char* call;
    int good;  // such calls before it
    std::vector<int> errors;
    const char* text;
  };
  const Step steps[] = {{"open", 0, {EACCES, ENOSPC, EDQUOT, EROFS, EMFILE}, "cannot be written"},
                        {"write", 0, {ENOSPC, EDQUOT, EIO, EFBIG}, "cannot be written"},
                        {"write", 1, {ENOSPC, EDQUOT, EIO, EFBIG}, "cannot be written"},
                        {"fsync", 0, {EIO, ENOSPC, EDQUOT, EINVAL, ENOTSUP}, "cannot be flushed to disk"},
                        {"close", 0, {EIO, EDQUOT, ENOSPC}, "cannot be written"},
                        {"rename", 0, {EIO, ENOSPC, EACCES, EPERM, EXDEV}, "cannot be replaced"}};
  for (const bool replaced : {false, true}) {
    if (replaced) put_file(path, "old");
    const int entries = replaced ? 1 : 0, descriptors = tests::open_descriptors();
    for (const Step& step : steps) {
      for (const int error : step.errors) {
        CAPTURE(std::string(step.call));
        CAPTURE(step.good);
        CAPTURE(error);
        {
          FileCalls calls;
          calls.at_most(150'000);
          calls.fail(step.call, error, step.good);
          CHECK_ERROR(write_file_atomically(path, content), "io",
                      folder.path().string() + "/a: " + step.text + ": " + text_of(error));
          // Nothing that comes later was tried.
          const std::string order = calls.order(), all = "open write fsync close rename";
          CHECK(order.starts_with(all.substr(0, all.find(step.call))));
          CHECK((order.find("rename") != std::string::npos) == (std::string(step.call) == "rename"));
          CHECK(calls.of("fsync").size() <= 1);
        }
        CHECK(folder.entries() == entries);
        CHECK(tests::open_descriptors() == descriptors);
        if (replaced) CHECK(get_file(path) == "old");
      }
    }
  }
  write_file_atomically(path, content);
  CHECK(get_file(path) == content);
}

TEST_CASE(
    "write_file_atomically: a folder that cannot be flushed is an error, after the file took its name") {
  const tests::TemporaryFolder folder;
  const fs::path path = folder / "a";
  const auto write_with = [&](const char* call, int error) {
    put_file(path, "old");
    const int descriptors = tests::open_descriptors();
    FileCalls calls;
    calls.fail(call, error, 1);  // the first is of the file itself
    const std::string result = tests::error_of([&] { write_file_atomically(path, "new"); });
    CHECK(calls.of("rename").size() == 1);
    CHECK(get_file(path) == "new");
    CHECK(folder.entries() == 1);
    CHECK(tests::open_descriptors() == descriptors);
    return result;
  };
  for (const int error : {EIO, ENOSPC, EDQUOT}) {
    CHECK(write_with("fsync", error) ==
          "io: " + path.string() +
              ": was written, but its folder could not be flushed to disk: " + text_of(error));
  }
  for (const int error : {EIO, EMFILE, ENOENT})
    CHECK(write_with("open", error).starts_with("io: " + path.string() + ": was written, but its folder"));
  // File systems that cannot flush folders, and folders that may be written to but not read.
  for (const int error : {EINVAL, ENOTSUP}) CHECK(write_with("fsync", error) == "no error");
  for (const int error : {EACCES, EPERM}) CHECK(write_with("open", error) == "no error");
}

TEST_CASE(
    "write_file_atomically: interrupted calls are made again, and short writes go on where they ended") {
  const tests::TemporaryFolder folder;
  const fs::path path = folder / "a";
  std::string content;
  for (int i = 0; i < 40'000; ++i) content += static_cast<char>(i * 31 + i / 256);
  const auto check_written = [&](const std::function<void(FileCalls&)>& prepare) {
    put_file(path, "old");
    {
      FileCalls calls;
      prepare(calls);
      write_file_atomically(path, content);
      CHECK(calls.order() == "open write fsync close rename open fsync close");
    }
    CHECK(get_file(path) == content);
    CHECK(folder.entries() == 1);
  };
  for (const char* call : {"open", "write", "fsync"}) {
    for (const int good : {0, 1}) {
      CAPTURE(std::string(call));
      CAPTURE(good);
      check_written([&](FileCalls& calls) {
        calls.at_most(30'000);
        calls.fail(call, EINTR, good, 3);
      });
    }
  }
  check_written([](FileCalls& calls) { calls.at_most(7); });
  // A call that says neither how much was written nor why nothing was: no endless loop.
  {
    FileCalls calls;
    calls.at_most(0);
    CHECK_ERROR(write_file_atomically(path, "new"), "io", "cannot be written: " + text_of(ENOSPC));
  }
  CHECK(get_file(path) == content);
  CHECK(folder.entries() == 1);
}

TEST_CASE("write_file_atomically: a disk that gets full while writing") {
  const tests::TemporaryFolder folder;
  const fs::path path = folder / "a";
  put_file(path, "old");
  for (const size_t space : {size_t{0}, size_t{65'536}, size_t{199'999}}) {
    FileCalls calls;
    calls.disk_space(space);
    CHECK_ERROR(write_file_atomically(path, std::string(200'000, 'x')), "io",
                "a: cannot be written: No space left on device");
    CHECK(get_file(path) == "old");
    CHECK(folder.entries() == 1);
  }
  FileCalls calls;
  calls.disk_space(200'000);
  write_file_atomically(path, std::string(200'000, 'x'));
  CHECK(get_file(path) == std::string(200'000, 'x'));
}

TEST_CASE("write_file_atomically: a temporary of the same name is stepped over, not overwritten") {
  const tests::TemporaryFolder folder;
  const fs::path path = folder / "a";
  std::string used;
  {
    const FileCalls calls;
    write_file_atomically(path, "x");
    used = calls.of("open")[0].path;
  }
  // As a process that had this number and was killed may have left it.
  const size_t dash = used.rfind('-'), dot = used.rfind('.');
  const int count = std::stoi(used.substr(dash + 1, dot - dash - 1));
  const fs::path next = used.substr(0, dash + 1) + std::to_string(count + 1) + ".tmp";
  put_file(next, "somebody's");
  write_file_atomically(path, "new");
  CHECK(get_file(path) == "new");
  CHECK(get_file(next) == "somebody's");
  CHECK(folder.entries() == 2);
  // Where every name is taken it ends.
  FileCalls calls;
  calls.fail("open", EEXIST, 0, INT_MAX);
  CHECK_ERROR(write_file_atomically(path, "newer"), "io", "cannot be written: " + text_of(EEXIST));
  CHECK(get_file(path) == "new");
}

TEST_CASE("write_file_atomically: a name that becomes a folder meanwhile") {
  const tests::TemporaryFolder folder;
  const fs::path path = folder / "a";
  CHECK_ERROR(write_file_atomically(path,
                                    [&](FileWriter& out) {
                                      out.write("x");
                                      fs::create_directory(path);
                                    }),
              "io", "a: cannot be replaced: " + text_of(EISDIR));
  CHECK(fs::is_directory(path));
  CHECK(folder.entries() == 1);
}

TEST_CASE("write_file_atomically: links to files elsewhere, to links and to nothing stay links") {
  const tests::TemporaryFolder folder;
  fs::create_directory(folder / "there");
  const fs::path target = folder / "there" / "target";
  put_file(target, "old");
  fs::create_symlink("there/target", folder / "link");
  fs::create_symlink("link", folder / "second");
  fs::create_symlink("there/none", folder / "dangling");
  {
    const FileCalls calls;
    write_file_atomically(folder / "second", "new");
    // Beside the target, which may be on another disk than the link.
    CHECK(is_temporary(calls.of("open")[0].path, fs::canonical(target)));
    CHECK(calls.of("fsync")[1].path == fs::canonical(target.parent_path()));
  }
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(fs::is_symlink(folder / "second"));
  CHECK(get_file(target) == "new");
  write_file_atomically(folder / "dangling", "here now");
  CHECK(fs::is_symlink(folder / "dangling"));
  CHECK(get_file(folder / "there/none") == "here now");
  CHECK(folder.entries() == 4);

  // As many links in a row as Linux follows.
  fs::create_directory(folder / "chain");
  const auto link = [&](int k) { return folder / "chain" / std::to_string(k); };
  for (int k = 1; k <= 41; ++k) fs::create_symlink(k == 1 ? "end" : std::to_string(k - 1), link(k));
  CHECK_ERROR(write_file_atomically(link(41), "x"), "io", "41: cannot be written: " + text_of(ELOOP));
  write_file_atomically(link(40), "far");
  CHECK(get_file(folder / "chain/end") == "far");
  fs::remove_all(folder / "chain");

  fs::create_symlink("loop", folder / "loop");
  CHECK_ERROR(write_file_atomically(folder / "loop", "x"), "io",
              "loop: cannot be written: " + text_of(ELOOP));
  CHECK(fs::is_symlink(folder / "loop"));
  CHECK(folder.entries() == 5);
}

TEST_CASE("descriptor 0 is one like any other") {
  const tests::TemporaryFolder folder;
  const fs::path path = folder / "a";
  put_file(path, "old");
  const int input = ::fcntl(0, F_DUPFD_CLOEXEC, 10);
  ::close(0);
  std::string order, read, error;
  size_t opened = 0, closed = 0;
  {
    const FileCalls calls;
    error = tests::error_of([&] {
      write_file_atomically(path, [](FileWriter& out) {
        out.write("new");
        errno = EACCES;  // of something else, and calls that succeed leave it there
      });
      write_file_atomically("/dev/null", "x");
      read = read_file(path);
      read += tensor::io::MappedFile::open(path)->size() == 3 ? " mapped" : "";
    });
    order = calls.order();
    opened = calls.of("open").size(), closed = calls.of("close").size();
  }
  const bool free = ::fcntl(0, F_GETFD) < 0;
  if (input >= 0) ::dup2(input, 0);
  ::close(input);
  CHECK(error == "no error");
  CHECK(order ==
        "open write fsync close rename open fsync close open write close open read close open close");
  CHECK(opened == 5);
  CHECK(closed == 5);
  CHECK(free);
  CHECK(read == "new mapped");
}

TEST_CASE("write_file_atomically: a pipe gets the bytes themselves") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const std::string name = "/proc/self/fd/" + std::to_string(ends[1]);
  {
    const FileCalls calls;
    write_file_atomically(name, [](FileWriter& out) { out.write("one"), out.write(" two"); });
    CHECK(calls.order() == "open write close");
  }
  ::close(ends[1]);
  CHECK(read_file("/proc/self/fd/" + std::to_string(ends[0])) == "one two");
  ::close(ends[0]);
}

TEST_CASE("write_file_atomically: the file may be read by whom the process's mask allows") {
  const tests::TemporaryFolder folder;
  for (const mode_t mask : {mode_t{022}, mode_t{077}, mode_t{0}}) {
    const mode_t before = ::umask(mask);
    write_file_atomically(folder / "a", "x");
    ::umask(before);
    CHECK(static_cast<mode_t>(fs::status(folder / "a").permissions()) == (0666 & ~mask));
  }
}

TEST_CASE("write_file_atomically: writers at the same time, and readers meanwhile, see whole files") {
  const tests::TemporaryFolder folder;
  const fs::path path = folder / "a";
  const auto content = [](int k) {
    return std::string(static_cast<size_t>(20'000 + k), static_cast<char>('a' + k));
  };
  write_file_atomically(path, content(0));
  std::vector<std::thread> writers;
  for (int k = 1; k < 4; ++k)
    writers.emplace_back([&, k] {
      for (int i = 0; i < 10; ++i) write_file_atomically(path, content(k));
    });
  for (int i = 0; i < 50; ++i) {
    const std::string seen = read_file(path);
    REQUIRE(!seen.empty());
    REQUIRE(seen == content(seen[0] - 'a'));
  }
  for (std::thread& writer : writers) writer.join();
  CHECK(folder.entries() == 1);
}

TEST_CASE("write_file_atomically: permissions of the folder bind it") {
  const tests::TemporaryFolder folder;
  const bool ran = tests::bound_by_permissions([&] {
    put_file(folder / "a", "old");
    ::chmod(folder.path().c_str(), 0555);
    CHECK_ERROR(write_file_atomically(folder / "a", "x"), "io", "a: cannot be written: Permission denied");
    CHECK(get_file(folder / "a") == "old");
    CHECK(folder.entries() == 1);
    // Writable but not readable: the folder cannot be opened to be flushed.
    ::chmod(folder.path().c_str(), 0333);
    write_file_atomically(folder / "a", "new");
    ::chmod(folder.path().c_str(), 0755);
    CHECK(get_file(folder / "a") == "new");
    CHECK(folder.entries() == 1);
    ::chmod((folder / "a").c_str(), 0);
    CHECK_ERROR(read_file(folder / "a"), "io", "a: cannot be read: Permission denied");
  });
  if (!ran) SKIP(tests::kRightsStay);
}

TEST_CASE("a process that is killed while it writes leaves the old file, and a temporary that can be told") {
  const tests::TemporaryFolder folder;
  const fs::path path = folder / "a";
  put_file(path, "old");
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t writer = start([&] {
    write_file_atomically(path, [&](FileWriter& out) {
      out.write(std::string(100'000, 'x'));
      if (::write(ready[1], "x", 1) != 1) ::_exit(1);
      for (;;) ::pause();
    });
  });
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  CHECK(folder.entries() == 2);
  remove_stale_temporaries(folder.path());  // of a living process: it still writes
  CHECK(folder.entries() == 2);
  CHECK(get_file(path) == "old");
  ::kill(writer, SIGKILL);
  CHECK(WIFSIGNALED(end_of(writer)));
  CHECK(folder.entries() == 2);
  CHECK(get_file(path) == "old");
  remove_stale_temporaries(folder.path());
  CHECK(folder.entries() == 1);
  CHECK(get_file(path) == "old");
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("remove_stale_temporaries: only what a process that is gone left under such a name") {
  const tests::TemporaryFolder folder;
  const std::string gone = std::to_string(ended_process()), own = std::to_string(::getpid());
  const std::vector<std::string> stale = {".a." + gone + "-1.tmp",
                                          ".model.best.safetensors." + gone + "-12.tmp",
                                          ".with-dash." + gone + "-3.tmp", "..." + gone + "-1.tmp"};
  const std::vector<std::string> kept = {
      ".a." + own + "-1.tmp",    // this process may be writing it
      ".a.1-1.tmp",              // somebody else's process, which lives
      "a." + gone + "-1.tmp",    // names that write_file_atomically does not make
      ".a." + gone + ".tmp",     //
      ".a." + gone + "-1.tmp~",  //
      ".a." + gone + "-1",       //
      "." + gone + "-1.tmp",     //
      ".a.x" + gone + "-1.tmp",  //
      ".a." + gone + "x-1.tmp",  //
      ".a.-1.tmp",               //
      ".a.0-1.tmp",              //
      ".a.-" + gone + "-1.tmp",  //
      ".a.99999999999-1.tmp",    //
      "a",                       //
      ".tmp",                    //
      "-.tmp"};
  for (const std::string& name : stale) put_file(folder.path() / name, "x");
  for (const std::string& name : kept) put_file(folder.path() / name, "x");
  remove_stale_temporaries(folder.path());
  for (const std::string& name : stale) CHECK_MESSAGE(!fs::exists(folder.path() / name), name);
  for (const std::string& name : kept) CHECK_MESSAGE(fs::exists(folder.path() / name), name);
  CHECK(folder.entries() == static_cast<int>(kept.size()));
  remove_stale_temporaries(folder / "missing");  // no error
  remove_stale_temporaries(folder / "a");
}

TEST_CASE("remove_stale_temporaries: a process that this user may not signal lives all the same") {
  const tests::TemporaryFolder folder;
  ::chmod(folder.path().c_str(), 0777);
  const std::string gone = std::to_string(ended_process());
  put_file(folder / ".a.1-1.tmp", "x");
  put_file(folder.path() / (".a." + gone + "-1.tmp"), "x");
  const pid_t child = start([&] {
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(2);
    remove_stale_temporaries(folder.path());
  });
  const int status = end_of(child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 2) SKIP(tests::kRightsStay);
  CHECK(status == 0);
  CHECK(fs::exists(folder / ".a.1-1.tmp"));
  CHECK(folder.entries() == 1);
}

TEST_CASE("read_file: interrupted and short reads give the whole file, failed ones an error") {
  const tests::TemporaryFolder folder;
  const fs::path path = folder / "a";
  std::string content;
  for (int i = 0; i < 100'000; ++i) content += static_cast<char>(i * 31 + i / 256);
  put_file(path, content);
  const int descriptors = tests::open_descriptors();
  {
    FileCalls calls;
    calls.at_most(30'001);
    calls.fail("open", EINTR, 0, 2);
    calls.fail("read", EINTR, 0, 2);
    calls.fail("read", EINTR, 2, 2);
    CHECK(read_file(path) == content);
    CHECK(calls.order() == "open read close");
    CHECK((calls.of("open")[2].flags & O_CLOEXEC) != 0);
  }
  for (const int good : {0, 1}) {
    FileCalls calls;
    calls.at_most(30'000);
    calls.fail("read", EIO, good);
    CHECK_ERROR(read_file(path), "io", "a: cannot be read: " + text_of(EIO));
  }
  FileCalls calls;
  calls.fail("open", EMFILE);
  CHECK_ERROR(read_file(path), "io", "a: cannot be read: " + text_of(EMFILE));
  CHECK(tests::open_descriptors() == descriptors);
}

TEST_CASE("read_file: the limit holds for pipes, to the byte") {
  for (const int64_t limit : {4, 5}) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    REQUIRE(::write(ends[1], "12345", 5) == 5);
    ::close(ends[1]);
    const std::string name = "/proc/self/fd/" + std::to_string(ends[0]);
    if (limit == 5) {
      CHECK(read_file(name, limit) == "12345");
    } else {
      CHECK_ERROR(read_file(name, limit), "data", "5 bytes or more; at most 4 are read");
    }
    ::close(ends[0]);
  }
}
