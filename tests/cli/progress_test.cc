// What a user sees of work that goes on.
#include <doctest/doctest.h>
#include <pty.h>

#include <thread>

#include "imgcap/cli/cli.h"
#include "imgcap/cli/train_lines.h"
#include "tests/cli/captured.h"

using namespace imgcap;
using namespace imgcap::cli;

namespace {

// stdout and stderr as a terminal while f runs: what it gets. Line ends become "\r\n" there.
template <class F>
std::string on_terminal(bool both, F&& f) {
  int terminal = -1, end = -1;
  REQUIRE(::openpty(&terminal, &end, nullptr, nullptr, nullptr) == 0);
  std::string shown;
  {
    const tests::Captured captured;
    ::dup2(end, 2);
    if (both) ::dup2(end, 1);
    f();
    std::fflush(stdout);
    std::fflush(stderr);
  }
  ::close(end);
  char buffer[4096];
  for (ssize_t n; (n = ::read(terminal, buffer, sizeof buffer)) > 0;)
    shown.append(buffer, static_cast<size_t>(n));
  ::close(terminal);
  return shown;
}

StepReport step() {
  StepReport report;
  report.epoch = 2;
  report.step = 7;
  report.total_steps = 30;
  report.loss = 5.43212;
  report.gradient_norm = 1.2346;
  report.lr = 4e-4;
  report.captions_per_second = 119.6;
  report.seconds_left = 754.9;
  return report;
}

}  // namespace

TEST_CASE("durations are minutes and seconds, with hours where there are some") {
  CHECK(duration(0) == "0:00");
  CHECK(duration(7.9) == "0:07");
  CHECK(duration(60) == "1:00");
  CHECK(duration(754) == "12:34");
  CHECK(duration(3599) == "59:59");
  CHECK(duration(3600) == "1:00:00");
  CHECK(duration(3723) == "1:02:03");
  CHECK(duration(100 * 3600) == "100:00:00");
}

TEST_CASE("a step's line has what counts; epochs are counted from 1") {
  StepReport report = step();
  const std::string rest = " grad 1.235 lr 4.00e-04 120 captions/s 12:34 left";
  CHECK(step_line(report) == "epoch 3 step 7/30 loss 5.4321" + rest);
  report.loss_scale = 32768;
  report.skipped = 2;
  CHECK(
      step_line(report) ==
      "epoch 3 step 7/30 loss 5.4321 grad 1.235 lr 4.00e-04 scale 32768 skipped 2 120 captions/s 12:34 left");
  report.loss_scale = 0;
  report.reward = 0.25;
  CHECK(step_line(report) == "epoch 3 step 7/30 reward 0.2500" + rest);
}

TEST_CASE("a bar is filled by the steps that are done") {
  StepReport report = step();
  report.total_steps = 10;
  const auto bar = [&](int64_t done) {
    report.step = done;
    return progress_line(report);
  };
  CHECK(bar(0).starts_with("[....................] epoch 3 step 0/10 "));
  CHECK(bar(1).starts_with("[##..................] epoch 3 step 1/10 "));
  CHECK(bar(5).starts_with("[##########..........] "));
  CHECK(bar(10).starts_with("[####################] "));
  CHECK(bar(5).ends_with(step_line(report).substr(6)));
}

TEST_CASE("a validation's line has each score by its name") {
  ValidationReport report;
  report.epoch = 4;
  report.loss = 4.321;
  report.scores.bleu = {0.6, 0.5, 0.4, 0.3};
  report.scores.rouge_l = 0.45;
  report.scores.cider = 0.75;
  report.seconds = 63;
  CHECK(
      validation_line(report) ==
      "epoch 5: validation loss 4.3210 BLEU 0.6000 0.5000 0.4000 0.3000 ROUGE-L 0.4500 CIDEr 0.7500 (1:03)");
  report.best = true;
  CHECK(validation_line(report).ends_with("CIDEr 0.7500, the best so far (1:03)"));
}

TEST_CASE(
    "of several sets a validation's line has each one's CIDEr, and what the scores are of a line for each") {
  ValidationReport report;
  report.scores.images = 1000;
  report.scores.split = "val.txt";
  report.scores.tokenizer = "ptb";
  report.scores.protocol = "standard";
  report.scores.references_min = report.scores.references_max = 5;
  report.beam = 3;
  const std::string of =
      ", 5 references each, Treebank words (PTBTokenizer), standard protocol (pycocoevalcap), beam 3\n";
  CHECK(validation_basis(report) == "validation: 1000 images of val.txt" + of);
  SetValidation set;
  set.scores = report.scores;
  set.set = "flickr8k";
  set.scores.cider = 0.53;
  report.sets.push_back(set);
  set.set = "coco_extra";
  set.scores.images = 300;
  set.scores.cider = 0.71;
  report.sets.push_back(set);
  report.scores.cider = 0.62;
  report.best = true;
  CHECK(validation_line(report).ends_with(
      " CIDEr 0.6200 (flickr8k 0.5300, coco_extra 0.7100), the best so far (0:00)"));
  CHECK(validation_basis(report) == "validation of flickr8k: 1000 images of val.txt" + of +
                                        "validation of coco_extra: 300 images of val.txt" + of +
                                        "the scores of a validation are the means over the sets\n");
}

TEST_CASE("a line that overwrites itself is for terminals alone") {
  const auto work = [] {
    ProgressLine line;
    CHECK(line.is_terminal());
    line.show("one");
    line.show("two");
    line.clear();
    line.clear();
    line.show("three");
  };
  CHECK(on_terminal(true, work) == "\r\x1b[Kone\r\x1b[Ktwo\r\x1b[K\r\x1b[Kthree\r\x1b[K");
  CHECK(on_terminal(true, [] { ProgressLine().clear(); }).empty());
  // stdout goes to a file, or both do.
  const auto quiet = [] {
    ProgressLine line;
    CHECK_FALSE(line.is_terminal());
    line.show("one");
    line.clear();
  };
  CHECK(on_terminal(false, quiet).empty());
  const auto said = tests::said_by(quiet);
  CHECK(said.out.empty());
  CHECK(said.err.empty());
}
