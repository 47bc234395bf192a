// How the program ends, and what all verbs share.
#include <doctest/doctest.h>

#include <filesystem>
#include <stdexcept>

#include "imgcap/cli/cli.h"
#include "imgcap/cli/program.h"
#include "tensor/error.h"
#include "tensor/random.h"
#include "tensor/thread_pool.h"
#include "tests/cli/program.h"

using imgcap::cli::ending_of;
using tensor::ErrorKind;
using tests::Folder;
using tests::has;
using tests::Result;
using tests::run;

namespace {

template <class Exception>
void check_ending(const Exception& exception, int code, const std::string& sentence) {
  const auto ending = ending_of([&]() -> int { throw exception; });
  CHECK(ending.code == code);
  CHECK(ending.sentence == sentence);
}

}  // namespace

TEST_CASE("exit codes: 2 for what was given, 1 for a fault of the program, 130 for Ctrl-C") {
  CHECK(ending_of([] { return 0; }).code == 0);
  CHECK(ending_of([] { return 130; }).code == 130);
  CHECK(ending_of([] { return 2; }).sentence.empty());
  for (const ErrorKind kind : {ErrorKind::argument, ErrorKind::io, ErrorKind::data, ErrorKind::shape,
                               ErrorKind::dtype, ErrorKind::device, ErrorKind::index})
    check_ending(tensor::Error(kind, "a: what is wrong"), 2, "a: what is wrong");
  check_ending(tensor::Error(ErrorKind::internal, "b"), 1, "b");
  check_ending(std::logic_error("c"), 1, "c");
  check_ending(std::runtime_error("d"), 1, "d");
  check_ending(std::bad_alloc(), 2, "the system has no memory left");
  check_ending(imgcap::cli::Interrupted{}, 130, "interrupted");
  check_ending(std::filesystem::filesystem_error("status", "some/file",
                                                 std::make_error_code(std::errc::filename_too_long)),
               2, "some/file: File name too long");
}

TEST_CASE("a name that the system does not take is the user's mistake, told in one sentence") {
  const std::string name(300, 'a');
  const Result result = run({"train", "--captions", "c", "--images", "i", "--weights", "w", "--out", name});
  CHECK(result.code == 2);
  CHECK(result.err == "imgcap: " + name + "/last.safetensors: File name too long\n");
}

TEST_CASE("a closed pipe ends every verb quietly, with the code of programs that it kills") {
  CHECK(ending_of([]() -> int { throw imgcap::cli::ClosedPipe{}; }).code == 141);
  for (const auto& arguments : std::vector<std::vector<std::string>>{{"ops"},
                                                                     {"ops", "--json"},
                                                                     {"info"},
                                                                     {"info", "--json"},
                                                                     {"info", "--model", "plain"},
                                                                     {"gradcheck", "--op", "relu"},
                                                                     {"tokenize"}}) {
    const Result result = run(arguments, "a dog\n", tests::kClosedPipe);
    CHECK(result.code == 141);
    CHECK(result.err.empty());
  }
}

TEST_CASE("--seed and --threads are the whole program's") {
  const int threads = tensor::num_threads();
  const auto in_process = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "imgcap");
    std::vector<const char*> argv;
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    return imgcap::cli::run_program(static_cast<int>(argv.size()), argv.data());
  };
  const Folder folder;
  tests::write_text(folder / "captions", "image_name| comment_number| comment\na.jpg| 0| A dog .\n");
  const std::vector<std::string> build = {"vocab", "build",     "--captions", folder / "captions",
                                          "--out", folder / "v"};
  auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = build;
    all.insert(all.end(), more.begin(), more.end());
    return in_process(all);
  };
  CHECK(with({"--seed", "77", "--threads", "3"}) == 0);
  CHECK(tensor::default_generator().seed() == 77);
  CHECK(tensor::default_generator().offset() == 0);
  CHECK(tensor::num_threads() == 3);
  // By default the seed is 1, wherever the generator was; the threads stay.
  tensor::default_generator().set_state(5, 6);
  CHECK(with({}) == 0);
  CHECK(tensor::default_generator().seed() == 1);
  CHECK(tensor::default_generator().offset() == 0);
  CHECK(tensor::num_threads() == 3);
  tensor::set_num_threads(threads);
  for (const std::string bad : {"-1", "257", "x"}) {
    const Result result = run({"info", "--threads", bad});
    CHECK(result.code == 2);
    CHECK(has(result.err, "--threads: '" + bad + "' is not a number from 0 to 256"));
  }
  CHECK(has(run({"info", "--threads", "5", "--json"}).out, "\"threads\":5"));
}

TEST_CASE("a word that is no verb, and a line without one") {
  const Result unknown = run({"nonsense"});
  CHECK(unknown.code == 2);
  CHECK(unknown.err == "imgcap: 'nonsense' is no verb; imgcap --help lists them\n");
  CHECK(unknown.out.empty());
  const Result none = run({});
  CHECK(none.code == 2);
  CHECK(has(none.err, "A subcommand is required"));
  const Result option = run({"--nonsense"});
  CHECK(option.code == 2);
  CHECK_FALSE(option.err.empty());
}

TEST_CASE("a file to write needs its folder, and is no folder") {
  using imgcap::cli::expect_writable;
  const Folder folder;
  const auto refused = [](const std::string& file, const std::string& why) {
    try {
      expect_writable(file);
      FAIL(file);
    } catch (const tensor::Error& error) {
      CHECK(error.kind() == ErrorKind::io);
      CHECK(std::string(error.what()) == why);
    }
  };
  expect_writable(folder / "new");
  tests::write_text(folder / "old", "");
  expect_writable(folder / "old");
  expect_writable("a_name_alone");
  refused(folder / "none/file", (folder / "none/file") + ": there is no folder " + (folder / "none"));
  refused(folder / "old/file", (folder / "old/file") + ": there is no folder " + (folder / "old"));
  std::filesystem::create_directory(folder / "folder");
  refused(folder / "folder", (folder / "folder") + ": is a folder");
}
