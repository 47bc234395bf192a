#include "imgcap/training/training_log.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <fstream>

#include "tensor/error.h"
#include "tensor/io/atomic_file.h"
#include "tests/folder.h"
#include "tests/json.h"

using namespace imgcap;

namespace {

std::string step(int64_t number, double loss) {
  return tensor::format("{{\"step\":{},\"epoch\":0,\"loss\":{},\"lr\":0.001}}\n", number, loss);
}

std::string validation(int64_t number, double cider) {
  return tensor::format(
      "{{\"validation\":true,\"step\":{},\"epoch\":0,\"loss\":2.5,\"BLEU-4\":0.125,\"CIDEr\":{},\"best\":"
      "true}}\n",
      number, cider);
}

void check_refused(const std::string& text, const std::string& message) {
  CAPTURE(text);
  try {
    parse_training_log(text, "log.jsonl");
    FAIL("it is taken");
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == tensor::ErrorKind::data);
    CHECK(std::string(error.what()) == message);
  }
}

std::string text_of(const std::filesystem::path& file) { return tensor::io::read_file(file); }

void write(const std::filesystem::path& file, const std::string& text) {
  tensor::io::write_file_atomically(file, text);
}

}  // namespace

TEST_CASE("what is written is read") {
  const tests::TemporaryFolder folder("log_written");
  const TrainingLogWriter writer(folder.path / "log.jsonl");
  StepReport first;
  first.step = 1;
  first.loss = 5.25;
  first.gradient_norm = INFINITY;  // of a step that was skipped: JSON has no number for it
  first.loss_scale = 1024;
  first.was_skipped = true;
  writer.add(first);
  StepReport second;
  second.step = 2;
  second.epoch = 1;
  second.loss = -0.5;
  second.reward = 0;
  writer.add(second);
  ValidationReport validation;
  validation.step = 2;
  validation.loss = 1.75;
  validation.scores.bleu[3] = 0.125;
  validation.scores.cider = 0.5;
  validation.best = true;
  validation.beam = 3;
  writer.add(validation);

  const TrainingLog log = read_training_log(folder.path / "log.jsonl");
  REQUIRE(log.steps.size() == 2);
  CHECK(log.steps[0].step == 1);
  CHECK(log.steps[0].loss == 5.25);
  CHECK(log.steps[1].loss == -0.5);
  REQUIRE(log.validations.size() == 1);
  CHECK(log.validations[0].step == 2);
  CHECK(log.validations[0].loss == 1.75);
  CHECK(log.validations[0].bleu4 == 0.125);
  CHECK(log.validations[0].cider == 0.5);
  CHECK(log.validations[0].best);

  const auto lines = tests::json_lines(text_of(folder.path / "log.jsonl"));
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].at("gradient_norm") == tensor::io::Json());
  CHECK(lines[0].at("loss_scale") == 1024);
  CHECK(lines[0].at("skipped") == true);
  CHECK(lines[0].find("reward") == nullptr);
  CHECK(lines[1].find("loss_scale") == nullptr);
  CHECK(lines[1].at("reward") == 0);  // a reward of nothing is one, too
  CHECK(lines[2].at("beam") == 3);

  CHECK_THROWS_WITH_AS(TrainingLogWriter("/nowhere/log.jsonl").add(first),
                       "/nowhere/log.jsonl: cannot be written", tensor::Error);
}

TEST_CASE("a log is taken back to a checkpoint: what is made again is there once, all else stays") {
  const tests::TemporaryFolder folder("log_rewound");
  const std::filesystem::path file = folder.path / "log.jsonl";
  const TrainingLogWriter writer(file);
  const auto rewound = [&](const std::string& text, int64_t step, int64_t validated) {
    write(file, text);
    writer.rewind(step, validated);
    return text_of(file);
  };
  const std::string to_two = step(1, 5) + step(2, 4) + validation(2, 0.1);
  CHECK(rewound(to_two + step(3, 3) + step(4, 2) + validation(4, 0.2), 2, 2) == to_two);
  CHECK(rewound(to_two, 2, 2) == to_two);
  CHECK(rewound(to_two, 5, 2) == to_two);  // a log that lacks lines
  CHECK(rewound(to_two, 0, 0).empty());
  // The checkpoint was saved after the step and before its validation.
  CHECK(rewound(to_two, 2, 0) == step(1, 5) + step(2, 4));
  // What a write that was cut short has left; the end of a whole line may be what is missing.
  const std::string cut = step(3, 3);
  for (size_t size = 0; size + 1 < cut.size(); ++size)
    CHECK(rewound(to_two + cut.substr(0, size), 3, 2) == to_two);
  CHECK(rewound(to_two + cut.substr(0, cut.size() - 1), 3, 2) == to_two + cut);
  CHECK(rewound(to_two + cut.substr(0, cut.size() - 1), 2, 2) == to_two);
  // Logs of earlier versions have steps twice.
  CHECK(rewound(to_two + step(3, 9) + step(4, 9) + validation(4, 0.9) + step(3, 3) + step(4, 2) + step(5, 1),
                4, 2) == to_two + step(3, 3) + step(4, 2));
  CHECK(rewound(to_two + validation(2, 0.2), 2, 2) == step(1, 5) + step(2, 4) + validation(2, 0.2));
  // Lines of others, and such as this version does not know, are none of its business.
  const std::string others = "# my notes\n\n{\"step\":\"7\"}\n{\"step\":-7}\n{\"step\":1e30}\r\n[7]\n\xff\n";
  CHECK(rewound(others + to_two + others + step(3, 3) + others, 2, 2) == others + to_two + others + others);
  CHECK(rewound(to_two, INT64_MAX, INT64_MAX) == to_two);

  // Nothing is written where nothing changes, and no file is made.
  write(file, to_two);
  const auto before = std::filesystem::last_write_time(file) - std::chrono::hours(1);
  std::filesystem::last_write_time(file, before);
  writer.rewind(2, 2);
  CHECK(std::filesystem::last_write_time(file) == before);
  std::filesystem::remove(file);
  writer.rewind(2, 2);
  CHECK_FALSE(std::filesystem::exists(file));
}

TEST_CASE("a log of steps and validations") {
  const TrainingLog log =
      parse_training_log(step(1, 5.5) + "\n" + step(2, 4.5) + validation(2, 0.25) + step(3, 4), "log.jsonl");
  REQUIRE(log.steps.size() == 3);
  CHECK(log.steps[1].step == 2);
  CHECK(log.steps[1].loss == 4.5);
  REQUIRE(log.validations.size() == 1);
  CHECK(log.validations[0].step == 2);
  CHECK(log.validations[0].loss == 2.5);
  CHECK(log.validations[0].bleu4 == 0.125);
  CHECK(log.validations[0].cider == 0.25);
  CHECK(log.validations[0].best);
}

TEST_CASE("a run that was killed and resumed counts each step once, with its later line") {
  const TrainingLog log = parse_training_log(step(1, 5) + step(2, 4) + validation(2, 0.1) + step(3, 3) +
                                                 step(2, 4.25) + validation(2, 0.2) + step(3, 3.25),
                                             "log.jsonl");
  REQUIRE(log.steps.size() == 3);
  CHECK(log.steps[1].loss == 4.25);
  CHECK(log.steps[2].loss == 3.25);
  REQUIRE(log.validations.size() == 1);
  CHECK(log.validations[0].cider == 0.2);
}

TEST_CASE("a resumed run takes back what was done after its checkpoint, and no more") {
  // Validated after steps 2 and 4; resumed from the checkpoint of step 2, and killed again before step 4.
  const TrainingLog log = parse_training_log(step(1, 9) + step(2, 8) + validation(2, 0.1) + step(3, 7) +
                                                 step(4, 6) + validation(4, 0.2) + step(3, 5),
                                             "log.jsonl");
  REQUIRE(log.steps.size() == 3);
  CHECK(log.steps[2].step == 3);
  CHECK(log.steps[2].loss == 5);
  REQUIRE(log.validations.size() == 1);
  CHECK(log.validations[0].step == 2);
  // Resumed from the very beginning.
  const TrainingLog again =
      parse_training_log(step(1, 9) + step(2, 8) + validation(2, 0.1) + step(1, 7), "log");
  CHECK(again.steps.size() == 1);
  CHECK(again.validations.empty());
}

TEST_CASE("lines of a log have more than what is read") {
  const TrainingLog log = parse_training_log(
      " \t \n{\"loss\":1e100,\"step\":1125899906842624,\"skipped\":false,\"gradient_norm\":null}\r\n"
      "{\"validation\":true,\"step\":1125899906842624,\"loss\":-1,\"BLEU-4\":0.5,\"CIDEr\":2,\"references\":["
      "1,5],"
      "\"split\":\"val\"}",
      "log.jsonl");
  REQUIRE(log.steps.size() == 1);
  CHECK(log.steps[0].step == int64_t{1} << 50);
  CHECK(log.steps[0].loss == 1e100);
  REQUIRE(log.validations.size() == 1);
  CHECK(log.validations[0].loss == -1);
  CHECK_FALSE(log.validations[0].best);
  // A step may say that it is no validation.
  CHECK(parse_training_log("{\"validation\":false,\"step\":0,\"loss\":1}", "log").steps.size() == 1);
  // A validation alone is a log, too.
  CHECK(parse_training_log(validation(3, 0.1), "log").validations.size() == 1);
}

TEST_CASE("of several sets a validation has the means and each set's own") {
  const tests::TemporaryFolder folder("log_sets");
  ValidationReport report;
  report.step = 7;
  report.loss = 2;
  report.scores.cider = 0.625;
  for (const auto& [name, cider] : {std::pair("flickr8k", 0.5), std::pair("coco_extra", 0.75)}) {
    SetValidation set;
    set.set = name;
    set.loss = 4 * cider;
    set.scores.cider = cider;
    set.scores.references_min = 1;
    set.scores.references_max = 6;
    report.sets.push_back(set);
  }
  const TrainingLogWriter writer(folder.path / "log.jsonl");
  writer.add(report);
  const tensor::io::Json line = tests::read_json(text_of(folder.path / "log.jsonl"));
  CHECK(line.at("CIDEr") == 0.625);
  CHECK(line.at("sets").keys() == std::vector<std::string>{"flickr8k", "coco_extra"});
  CHECK(line.at("sets").at("coco_extra").at("CIDEr") == 0.75);
  CHECK(line.at("sets").at("coco_extra").at("loss") == 3.0);
  const TrainingLog log = read_training_log(folder.path / "log.jsonl");
  REQUIRE(log.validations.size() == 1);
  CHECK(log.validations[0].cider == 0.625);
  CHECK(log.validations[0].sets ==
        std::vector<std::pair<std::string, double>>{{"flickr8k", 0.5}, {"coco_extra", 0.75}});
  // It is taken back as any other.
  writer.rewind(7, 6);
  CHECK(text_of(folder.path / "log.jsonl").empty());
  // One set alone has none.
  report.sets.clear();
  writer.add(report);
  CHECK(tests::read_json(text_of(folder.path / "log.jsonl")).find("sets") == nullptr);
  const std::string begin = "{\"validation\":true,\"step\":2,\"loss\":1,\"BLEU-4\":0,\"CIDEr\":0,\"sets\":";
  check_refused(begin + "3}", "log.jsonl:1: \"sets\" is no JSON object");
  check_refused(begin + "{\"a\":{}}}", "log.jsonl:1: a: \"CIDEr\" is missing");
  check_refused(begin + "{\"a\":{\"CIDEr\":null}}}", "log.jsonl:1: a: \"CIDEr\" is no finite number");
}

TEST_CASE("the first bad line of a log is named") {
  const std::string no_object = "log.jsonl:2: no JSON object, as each line of a training log is";
  for (const char* line : {"{\"step\":2,\"loss\":", "[]", "3", "null", "text", "{\"step\":2,\"loss\":NaN}",
                           "{\"step\":2,\"loss\":1e999}", "{} {}"})
    check_refused(step(1, 5) + line + "\n" + step(3, 4), no_object);
  check_refused(step(1, 5) + std::string(100000, '['), no_object);
  check_refused(step(1, 5) + "{}", "log.jsonl:2: \"step\" is missing");
  check_refused(step(1, 5) + "{\"step\":2}", "log.jsonl:2: \"loss\" is missing");
  for (const char* number : {"-1", "1.5", "\"2\"", "18446744073709551615", "1125899906842625", "[2]"})
    check_refused(step(1, 5) + "{\"loss\":1,\"step\":" + number + "}",
                  "log.jsonl:2: \"step\" is no step number");
  for (const char* number : {"\"x\"", "1e200", "-1e200", "1.001e100", "null", "{}"})
    check_refused(step(1, 5) + "{\"step\":2,\"loss\":" + number + "}",
                  "log.jsonl:2: \"loss\" is no finite number");
  check_refused("\n\n{\"validation\":true,\"step\":2,\"loss\":1,\"BLEU-4\":0}",
                "log.jsonl:3: \"CIDEr\" is missing");
  for (const char* name : {"loss", "BLEU-4", "CIDEr"}) {
    std::string line = validation(2, 0.5);
    line.replace(line.find(name), std::string(name).size(), "other");
    check_refused(line, std::string("log.jsonl:1: \"") + name + "\" is missing");
  }
  check_refused("{\"validation\":true,\"step\":2,\"loss\":1,\"BLEU-4\":0,\"CIDEr\":0,\"best\":1}",
                "log.jsonl:1: \"best\" is neither true nor false");
  check_refused("{\"validation\":1,\"step\":2,\"loss\":1}",
                "log.jsonl:1: \"validation\" is neither true nor false");
  check_refused("", "log.jsonl: no line of a training run");
  check_refused("\n \n", "log.jsonl: no line of a training run");
  CHECK_THROWS_WITH_AS(parse_training_log(step(1, 5) + "\xff\n", "log.jsonl"),
                       doctest::Contains("log.jsonl:2"), tensor::Error);
  try {
    read_training_log("/nowhere/log.jsonl");
    FAIL("it is read");
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == tensor::ErrorKind::io);
  }
}

TEST_CASE("a log is read from its file, which may not be too large") {
  const tests::TemporaryFolder folder("log");
  const std::filesystem::path file = folder.path / "log.jsonl";
  std::ofstream(file) << step(1, 5) + "{}";
  CHECK_THROWS_WITH_AS(read_training_log(file), (file.string() + ":2: \"step\" is missing").c_str(),
                       tensor::Error);
  std::ofstream(file) << step(1, 5);
  CHECK(read_training_log(file).steps.at(0).loss == 5);
  std::filesystem::resize_file(file, kMaxTrainingLogBytes + 1);  // all holes
  try {
    read_training_log(file);
    FAIL("it is read");
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == tensor::ErrorKind::data);
    CHECK(std::string(error.what()).starts_with(file.string()));
  }
}
