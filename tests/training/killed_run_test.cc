// What a run that was killed goes on with, and its log.
#include <doctest/doctest.h>

#include <fstream>

#include "tensor/io/atomic_file.h"
#include "tests/training/course.h"

using namespace imgcap;
using tensor::io::Json;
using Folder = tests::TemporaryFolder;

// What a process leaves that is killed with SIGKILL in step `last`: that step is in the log, and no more is
// saved. (The program itself is killed in tests/cli/train_test.cc.)
TEST_CASE("a step that was logged before a kill and made again is in the log once") {
  struct Killed {};
  const Toy& toy = trained_toy();
  TrainOptions options = toy_options();  // three steps in an epoch
  options.checkpoint_every = 2;
  const Folder whole("log_whole");
  const std::atomic<bool> go{false};
  const auto make = [&](const Folder& folder) {
    return std::make_unique<Trainer>(toy.info, toy.features, toy.data, toy.data, options, folder.path);
  };
  make(whole)->run({}, go);
  // Of each line what does not depend on the time it took.
  const auto log_of = [](const Folder& folder) {
    std::vector<std::string> lines;
    for (const Json& line : tests::json_lines(tensor::io::read_file(folder.path / "log.jsonl")))
      lines.push_back(tests::without(line, "captions_per_second").dump());
    return lines;
  };
  const std::vector<std::string> expected = log_of(whole);
  CHECK(expected.size() == 12 + 4);
  int64_t behind = 0;
  for (int64_t last = 1; last <= 12; ++last)
    for (const bool in_validation : {false, true}) {
      if (in_validation && last % 3 != 0) continue;
      CAPTURE(last);
      CAPTURE(in_validation);
      const Folder broken("log_broken");
      TrainListener listener;
      if (in_validation)
        listener.validation = [&](const ValidationReport& r) {
          if (r.step == last) throw Killed{};
        };
      else
        listener.step = [&](const StepReport& r) {
          if (r.step == last) throw Killed{};
        };
      CHECK_THROWS_AS(make(broken)->run(listener, go), Killed);
      const std::string before = tensor::io::read_file(broken.path / "log.jsonl");
      // The kill came while the next line was written.
      std::ofstream(broken.path / "log.jsonl", std::ios::app) << before.substr(0, 9 + 2 * last);
      const auto again = make(broken);
      again->resume();
      behind += again->step() < last;
      // Until it goes on, nothing is changed: it might be refused yet.
      CHECK(tensor::io::read_file(broken.path / "log.jsonl").starts_with(before));
      again->run({}, go);
      CHECK(log_of(broken) == expected);
      CHECK(tensor::io::read_file(broken.path / "last.safetensors") ==
            tensor::io::read_file(whole.path / "last.safetensors"));
    }
  CHECK(behind > 8);
}
