#include "imgcap/training/event_log.h"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "tensor/error.h"
#include "tests/data_dir.h"
#include "tests/folder.h"

using namespace imgcap;
using tensor::io::EventWriter;

namespace {

TrainingLog log_of(const std::vector<tensor::io::ScalarEvent>& scalars) {
  TrainingLog log;
  add_events({scalars, false}, "events", log);
  return log;
}

tensor::io::ScalarEvent scalar(const char* tag, int64_t step, float value) { return {tag, step, 0, value}; }

}  // namespace

TEST_CASE("a run's event file gives the log that its log.jsonl gives") {
  const tests::TemporaryFolder folder("event_log");
  std::string file;
  {
    EventWriter writer(folder.path);
    file = writer.file();
    writer.add(1, {{"Train/Loss", 5.5f}, {"Train/Gradient Norm", 0.5f}, {"Train/Learning_Rate", 0.1f}});
    writer.add(2, {{"Train/Loss", 4.5f}});
    writer.add(2, {{"Validation/Loss", 4.25f}, {"Validation/BLEU", 0.125f}, {"Validation/CIDEr", 0.5f}});
    writer.add(3, {{"Train/Loss", 4}});
  }
  const TrainingLog log = read_training_log(file);
  REQUIRE(log.steps.size() == 3);
  CHECK(log.steps[1].step == 2);
  CHECK(log.steps[1].loss == 4.5);
  REQUIRE(log.validations.size() == 1);
  CHECK(log.validations[0].step == 2);
  CHECK(log.validations[0].loss == 4.25);
  CHECK(log.validations[0].bleu4 == 0.125);
  CHECK(log.validations[0].cider == 0.5);
  CHECK(log.validations[0].best);
  // While the next event is being written.
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
  CHECK(read_training_log(file).steps.size() == 2);
  // Damage is not taken for such an end.
  std::filesystem::resize_file(file, std::filesystem::file_size(file) + 1);
  CHECK_THROWS_WITH_AS(read_training_log(file), doctest::Contains("is damaged"), tensor::Error);
}

TEST_CASE("the sets of a validation stand before its means in the events") {
  using Sets = std::vector<std::pair<std::string, double>>;
  const TrainingLog log = log_of(
      {scalar("Train/Loss", 4, 2), scalar("Validation/Loss/a", 4, 9), scalar("Validation/CIDEr/a", 4, 0.25f),
       scalar("Validation/CIDEr/b", 4, 0.75f), scalar("Validation/Loss", 4, 3),
       scalar("Validation/BLEU", 4, 0.125f), scalar("Validation/CIDEr", 4, 0.5f), scalar("Train/Loss", 8, 1),
       scalar("Validation/CIDEr/a", 8, NAN), scalar("Validation/CIDEr/b", 8, 0.5f),
       scalar("Validation/Loss", 8, 3), scalar("Validation/BLEU", 8, 0.125f),
       scalar("Validation/CIDEr", 8, 0.5f), scalar("Validation/CIDEr/", 9, 0.5f)});
  REQUIRE(log.validations.size() == 2);
  CHECK(log.validations[0].cider == 0.5);
  CHECK(log.validations[0].loss == 3);
  CHECK(log.validations[0].sets == Sets{{"a", 0.25}, {"b", 0.75}});
  CHECK(log.validations[1].sets == Sets{{"b", 0.5}});
}

TEST_CASE("the event files of a resumed run are one log: what was taken back is") {
  const tests::TemporaryFolder folder("event_log");
  for (const int64_t first : {1, 3, 5}) {
    EventWriter writer(folder.path);
    for (int64_t step = first; step < first + 4 && first < 5; ++step)
      writer.add(step, {{"Train/Loss", static_cast<float>(10 * first + step)}});
    if (first == 1) writer.add(4, {{"Validation/Loss", 1}, {"Validation/BLEU", 1}, {"Validation/CIDEr", 1}});
  }
  const TrainingLog log = read_training_log(folder.path);
  std::vector<double> losses;
  for (const auto& s : log.steps) losses.push_back(s.loss);
  CHECK(losses == std::vector<double>{11, 12, 33, 34, 35, 36});
  CHECK(log.validations.empty());
  const tests::TemporaryFolder other("event_log");
  CHECK_THROWS_WITH_AS(read_training_log(other.path), doctest::Contains("a folder without event files"),
                       tensor::Error);
}

TEST_CASE("the original's validations, which count epochs, stand at the training step before them") {
  const TrainingLog log = log_of({scalar("Train/Loss", 1116, 3.5f), scalar("Train/Loss", 1117, 3.25f),
                                  scalar("Train/Learning_Rate", 0, 4e-4f), scalar("Validation/Loss", 0, 3),
                                  scalar("Validation/BLEU", 0, 0.25f), scalar("Validation/CIDEr", 0, 0.5f),
                                  scalar("Train/Loss", 1118, 3)});
  CHECK(log.steps.size() == 3);
  REQUIRE(log.validations.size() == 1);
  CHECK(log.validations[0].step == 1117);
  CHECK(log.validations[0].bleu4 == 0.25);
  // A part of a resumed run that begins with a validation.
  const TrainingLog alone = log_of({scalar("Validation/CIDEr", 7, 0.5f), scalar("Validation/Loss", 7, 3),
                                    scalar("Validation/BLEU", 7, 0.25f)});
  CHECK(alone.steps.empty());
  REQUIRE(alone.validations.size() == 1);
  CHECK(alone.validations[0].step == 7);
}

TEST_CASE("scalars that are no part of a training log are passed over") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const TrainingLog log = log_of({scalar("Train/Loss", 1, nan), scalar("Train/Loss", 2, inf),
                                  scalar("Train/Loss", 3, 1), scalar("loss", 4, 1), scalar("", 5, 1),
                                  // not whole: its CIDEr is missing
                                  scalar("Validation/Loss", 3, 3), scalar("Validation/BLEU", 3, 0.25f),
                                  // parts of two
                                  scalar("Validation/CIDEr", 4, 1), scalar("Validation/Loss", 4, 3)});
  REQUIRE(log.steps.size() == 1);
  CHECK(log.steps[0].step == 3);
  CHECK(log.validations.empty());
  CHECK_THROWS_WITH_AS(log_of({scalar("Train/Loss", (int64_t{1} << 50) + 1, 1)}),
                       "events: 'Train/Loss' is of step 1125899906842625", tensor::Error);
}

TEST_CASE("an event file of something else") {
  const tests::TemporaryFolder folder("event_log");
  EventWriter writer(folder.path);
  writer.add(1, {{"accuracy", 1}});
  CHECK_THROWS_WITH_AS(read_training_log(writer.file()),
                       (writer.file() + ": no Train/Loss and no validation among its scalars").c_str(),
                       tensor::Error);
}

TEST_CASE("the original's event files are training logs") {
  const std::filesystem::path dir = tests::data_dir();
  if (dir.empty()) SKIP(tests::kNoData);
  // Numbers as tensorboard 2.21.0 reads them (tests/tensor/events_test.cc).
  const std::filesystem::path events = dir / "original/events";
  const TrainingLog first =
      read_training_log(events / "events.out.tfevents.1725727710.ip-10-192-11-171.22819.0");
  CHECK(first.steps.size() == 142);
  CHECK(first.steps[0].loss == 8.310831069946289);
  CHECK(first.steps[141].step == 141);
  CHECK(first.steps[141].loss == 4.084286689758301);
  const TrainingLog second =
      read_training_log(events / "events.out.tfevents.1725728255.ip-10-192-11-171.32910.0");
  CHECK(second.steps.size() == 1118);
  CHECK(second.steps[1117].loss == 3.4351160526275635);
  const TrainingLog third =
      read_training_log(events / "events.out.tfevents.1725762539.ip-10-192-12-102.39841.0");
  CHECK(third.steps.size() == 81);
  CHECK(third.validations.empty());
  // All together: the second began anew, the third goes on.
  const TrainingLog all = read_training_log(events);
  CHECK(all.steps.size() == 1118 + 81);
  CHECK(all.steps[0].loss == 8.310693740844727);
}
