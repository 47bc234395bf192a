#include "imgcap/training/trainer.h"

#include <doctest/doctest.h>
#include <malloc.h>

#include <chrono>
#include <cmath>
#include <fstream>

#include "autograd/node.h"
#include "optim/adam.h"
#include "optim/clip.h"
#include "tensor/allocator.h"
#include "tensor/error.h"
#include "tests/folder.h"
#include "tests/tensor/reference.h"
#include "tests/training/course.h"

using namespace imgcap;
using tensor::io::Json;
using tests::read_json;

namespace {

using Folder = tests::TemporaryFolder;

// What is allocated and not freed; 0 where another allocator than the C library's counts.
int64_t heap_bytes() {
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const struct mallinfo2 info = mallinfo2();
  return static_cast<int64_t>(info.uordblks + info.hblkhd);
#else
  return 0;
#endif
}

}  // namespace

TEST_CASE("a run that is stopped and resumed ends with the same bits") {
  const Toy toy;
  const std::atomic<bool> go{false};
  const Folder whole("whole"), broken("broken");
  Trainer straight(toy.info, toy.features, toy.data, toy.data, toy_options(), whole.path);
  CHECK(straight.run({}, go) == Trainer::End::finished);
  CHECK(straight.step() == 12);
  {
    Trainer first(toy.info, toy.features, toy.data, toy.data, toy_options(), broken.path);
    std::atomic<bool> stop{false};
    TrainListener listener;
    listener.step = [&](const StepReport& r) { stop = r.step == 5; };  // inside the second epoch
    CHECK(first.run(listener, stop) == Trainer::End::interrupted);
    CHECK(first.step() == 5);
  }
  Trainer second(toy.info, toy.features, toy.data, toy.data, toy_options(), broken.path);
  second.resume();
  CHECK(second.step() == 5);
  CHECK(second.run({}, go) == Trainer::End::finished);
  CHECK(second.step() == 12);
  CHECK(weights_of(second.decoder()) == weights_of(straight.decoder()));
  CHECK(second.best_score() == straight.best_score());
}

TEST_CASE("a trainer's memory is flat over a thousand steps and some validations") {
  const Toy toy;
  TrainOptions options = toy_options();
  options.batch_photos = 1;  // 8 steps per epoch
  options.epochs = 125;
  options.validate_every = 20;
  options.checkpoint_every = 0;  // it saves at the end of each epoch
  const Folder folder("flat");
  Trainer trainer(toy.info, toy.features, toy.data, toy.data, options, folder.path);
  int64_t blocks = 0, bytes = 0, heap = 0, growth = 0, measured = 0, wrong = 0;
  TrainListener listener;
  listener.step = [&](const StepReport& report) {
    // At other steps the next batch may be there, or not yet: another thread makes it.
    if (report.step_in_epoch != report.steps_in_epoch) return;
    const tensor::AllocatorStatistics now = tensor::allocator_statistics();
    ++measured;
    if (measured == 2) blocks = now.blocks_in_use, bytes = now.bytes_in_use;
    // The first validation leaves some memory that later ones use again.
    if (measured == 22) heap = heap_bytes();
    if (measured > 22) growth = heap_bytes() - heap;
    if (measured < 2) return;
    wrong += autograd::live_node_count() != 0;
    wrong += now.blocks_in_use != blocks;
    wrong += std::abs(now.bytes_in_use - bytes) > 4096;  // batches have captions of several lengths
  };
  const std::atomic<bool> go{false};
  CHECK(trainer.run(listener, go) == Trainer::End::finished);
  CHECK(trainer.step() == 1000);
  CHECK(measured == 125);
  CHECK(wrong == 0);
  // What is no tensor, too: 824 steps that leave 40 bytes each would show.
  MESSAGE("the heap grew by " << growth << " bytes");
  CHECK(growth < 32 << 10);
}

TEST_CASE("resuming refuses another run's checkpoint") {
  const Toy toy;
  const std::atomic<bool> go{false};
  const Folder folder("refuse");
  Trainer(toy.info, toy.features, toy.data, toy.data, toy_options(), folder.path).run({}, go);
  TrainOptions other = toy_options();
  other.lr = 2e-2;
  Trainer changed(toy.info, toy.features, toy.data, toy.data, other, folder.path);
  CHECK_THROWS_WITH_AS(changed.resume(), doctest::Contains("settings differ"), tensor::Error);
  const Folder empty("refuse_empty");
  Trainer none(toy.info, toy.features, toy.data, toy.data, toy_options(), empty.path);
  CHECK_THROWS_AS(none.resume(), tensor::Error);
}

TEST_CASE("a trainer refuses what cannot be trained or validated") {
  const Toy toy;
  const Folder folder("impossible");
  const auto refused = [&](tensor::ErrorKind kind, const char* text, const Checkpoint& info,
                           const TrainOptions& options) {
    tests::check_error(kind, {text},
                       [&] { Trainer(info, toy.features, toy.data, toy.data, options, folder.path); });
  };
  TrainOptions options = toy_options();
  options.batch_photos = 8;
  options.validation.beam = toy.vocabulary.size();
  CHECK_NOTHROW(Trainer(toy.info, toy.features, toy.data, toy.data, options, folder.path));
  options.validation.beam += 1;
  refused(tensor::ErrorKind::argument, "for a vocabulary of", toy.info, options);
  options = toy_options();
  options.batch_photos = 9;
  refused(tensor::ErrorKind::argument, "a batch of 9 photos, but the training set has 8", toy.info, options);
  options = toy_options();
  options.lr = -1;
  refused(tensor::ErrorKind::argument, "lr is -1", toy.info, options);
  Checkpoint info = toy.info;
  info.decoder.features = 11;
  refused(tensor::ErrorKind::data, "features of 12 channels for a decoder of 11", info, toy_options());
}

TEST_CASE("a loss that is not finite ends the run, and anomaly detection says where it comes from") {
  Toy toy;
  toy.features = FeatureCache(toy.names, Tensor::full({8, 4, 12}, NAN, tensor::DType::f16), "nan");
  const std::atomic<bool> go{false};
  for (const bool detect : {false, true}) {
    const Folder folder("nan");
    Trainer trainer(toy.info, toy.features, toy.data, toy.data, toy_options(), folder.path);
    trainer.detect_anomaly(detect);
    std::string what;
    try {
      trainer.run({}, go);
    } catch (const tensor::Error& error) {
      what = error.what();
    }
    const std::string sentence = "train: the loss of step 1 is ";
    CHECK(what.starts_with(sentence + "nan") == !detect);
    CHECK((what.find("AttentionDecoder") != std::string::npos) == detect);
    CHECK(trainer.step() == 0);
    CHECK(training_of(folder.path / "last.safetensors").at("step") == 0);
  }
}

TEST_CASE("the log has a line of JSON for each step and each validation") {
  const Toy toy;
  const std::atomic<bool> go{false};
  for (const std::string kind : {"f32", "f16", "self-critical"}) {
    CAPTURE(kind);
    TrainOptions options = toy_options();
    options.epochs = 2;
    if (kind == "f16") options.precision = Precision::f16, options.loss_scale = 0x1p30;
    if (kind == "self-critical")
      options.objective = Objective::self_critical, options.teacher_forcing = 1, options.label_smoothing = 0;
    const Folder folder("log");
    Trainer trainer(toy.info, toy.features, toy.data, toy.data, options, folder.path);
    std::vector<Json> expected;
    const auto number = [](double v) { return std::isfinite(v) ? Json(v) : Json(); };
    int64_t skipped = 0, tokens = 0;
    TrainListener listener;
    listener.step = [&](const StepReport& r) {
      expected.push_back(Json::object({{"step", r.step},
                                       {"epoch", r.epoch},
                                       {"loss", r.loss},
                                       {"tokens", r.tokens},
                                       {"gradient_norm", number(r.gradient_norm)},
                                       {"lr", r.lr},
                                       {"teacher_forcing", r.teacher_forcing},
                                       {"captions_per_second", r.captions_per_second}}));
      skipped += r.was_skipped;
      tokens += r.tokens;
      CHECK(r.skipped == skipped);
      if (kind == "f16") {
        expected.back()["loss_scale"] = r.loss_scale;
        expected.back()["skipped_steps"] = r.skipped;
        expected.back()["skipped"] = r.was_skipped;
      }
      if (kind == "self-critical") expected.back()["reward"] = r.reward.value();
    };
    listener.validation = [&](const ValidationReport& r) {
      CHECK(r.seconds > 0);
      Json& line = expected.emplace_back(
          Json::object({{"validation", true}, {"step", r.step}, {"epoch", r.epoch}, {"loss", r.loss}}));
      const Json scores = read_json(to_json(r.scores).dump());
      for (const std::string& key : scores.keys()) line[key] = scores.at(key);
      line["beam"] = 2;
      line["best"] = r.best;
    };
    trainer.run(listener, go);
    CHECK(expected.size() == 8);
    CHECK((skipped > 0) == (kind == "f16"));
    // Two epochs of eight photos with captions of 4 and 5 words, and the ends; self-critical ones are drawn.
    if (kind == "self-critical")
      CHECK(tokens > 0);
    else
      CHECK(tokens == 2 * 8 * (5 + 6));
    std::ifstream file(folder.path / "log.jsonl");
    std::string line;
    size_t lines = 0;
    while (std::getline(file, line)) {
      REQUIRE(lines < expected.size());
      CHECK(read_json(line) == expected[lines++]);
    }
    CHECK(lines == expected.size());
  }
}

// No durations: what follows from the order of things, however slow the machine is.
TEST_CASE(
    "the time that is left is that of a step so far for each to come; validating does not count as slow") {
  const Toy toy;
  const std::atomic<bool> go{false};
  const Folder folder("seconds");
  TrainOptions options = toy_options();
  options.epochs = 2;
  options.batch_photos = 2;
  Trainer trainer(toy.info, toy.features, toy.data, toy.data, options, folder.path);
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  const auto now = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  std::vector<double> clock;
  double validating = 0;
  TrainListener listener;
  listener.step = [&](const StepReport& r) {
    CHECK(r.total_steps == 8);
    if (r.step < 8) {
      const double run = r.seconds_left * static_cast<double>(r.step) / static_cast<double>(8 - r.step);
      CHECK(run <= now());
      if (r.step > 1) CHECK(run >= clock.back() - clock.front());
      // Two photos a step with two captions each, in the time that was not spent on other things.
      const double training = static_cast<double>(4 * r.step) / r.captions_per_second, other = run - training;
      if (r.epoch == 0) {
        CHECK(training == doctest::Approx(run).epsilon(1e-9));
      } else {
        CHECK(other >= validating);
        CHECK(other <= now() - clock[3]);
      }
    } else {
      CHECK(r.seconds_left == 0);
    }
    clock.push_back(now());
  };
  listener.validation = [&](const ValidationReport& r) { validating += r.seconds; };
  trainer.run(listener, go);
  CHECK(clock.size() == 8);
  CHECK(validating > 0);
}

TEST_CASE("one step is measured: the third of this run, or the last") {
  const Toy toy;
  TrainOptions options = toy_options();
  options.epochs = 2;
  const auto measured = [&](Trainer& trainer, int64_t last) {
    std::vector<int64_t> before;  // steps that were done when a profile came
    int64_t done = 0;
    std::atomic<bool> stop{false};
    TrainListener listener;
    listener.step = [&](const StepReport& r) { ++done, stop = r.step == last; };
    listener.profile = [&](const autograd::Profile& profile) {
      CHECK(!profile.events.empty());
      before.push_back(done);
    };
    trainer.run(listener, stop);
    return before;
  };
  using Steps = std::vector<int64_t>;
  const Folder folder("profile");
  {
    Trainer trainer(toy.info, toy.features, toy.data, toy.data, options, folder.path);
    CHECK(measured(trainer, 4) == Steps{2});
  }
  {  // Two are left.
    Trainer trainer(toy.info, toy.features, toy.data, toy.data, options, folder.path);
    trainer.resume();
    CHECK(measured(trainer, 0) == Steps{1});
  }
}

TEST_CASE("the best model is the averaged one that was validated, and says where it comes from") {
  const Toy& toy = trained_toy();
  const FeatureCache wrong = mixed_up(toy, 7);
  TrainOptions options = toy_options();
  options.epochs = 2;
  options.seed = 5;
  const Folder folder("best_model");
  Trainer trainer(toy.info, toy.features, toy.data, toy.data, options, folder.path);
  trainer.validate_on({&toy.features, &wrong});
  const Course course = follow(trainer, folder.path);
  REQUIRE(course.validations.size() == 2);
  REQUIRE(course.validations[0].best);
  REQUIRE_FALSE(course.validations[1].best);
  const Checkpoint best = load_checkpoint(folder.path / "best.safetensors");
  CHECK(best.training.empty());
  CHECK(best.training_tensors.empty());
  CHECK(best.encoder_key == toy.info.encoder_key);
  const Scores& scores = course.validations[0].scores;
  CHECK(best.notes ==
        std::map<std::string, std::string>{{"epoch", "1"},
                                           {"step", "3"},
                                           {"options", to_json(options)},
                                           {"validation_cider", tensor::format("{:.6f}", scores.cider)},
                                           {"validation_bleu4", tensor::format("{:.6f}", scores.bleu[3])}});
  CHECK(trainer.best_score() == scores.cider);
  const auto decoder = best.make_decoder();
  decoder->eval();
  CHECK(mean_loss(*decoder, toy.data, toy.features) == course.validations[0].loss);
  CHECK(evaluate(*decoder, toy.data, toy.features, toy.vocabulary, options.validation, {}).scores.cider ==
        scores.cider);
}

TEST_CASE("a run that is stopped by a validation has saved it, and goes on behind it") {
  const Toy toy;
  const Folder whole("stop_whole"), broken("stop_broken");
  Trainer straight(toy.info, toy.features, toy.data, toy.data, toy_options(), whole.path);
  const Course all = follow(straight, whole.path);
  std::atomic<bool> stop{false};
  TrainListener listener;
  listener.validation = [&](const ValidationReport& r) { stop = r.epoch == 1; };
  Trainer first(toy.info, toy.features, toy.data, toy.data, toy_options(), broken.path);
  CHECK(first.run(listener, stop) == Trainer::End::interrupted);
  CHECK(first.step() == 6);
  const Json state = training_of(broken.path / "last.safetensors");
  CHECK(state.at("epoch") == 2);
  CHECK(state.at("batch") == 0);
  Trainer second(toy.info, toy.features, toy.data, toy.data, toy_options(), broken.path);
  second.resume();
  const Course rest = follow(second, broken.path);
  CHECK(rest.validations.size() == 2);
  CHECK(rest.weights == all.weights);
}

TEST_CASE("training photos come from the views, validations from the features") {
  const Toy toy;
  Toy other;
  tensor::Generator generator(8);
  Tensor values = Tensor::empty({8, 4, 12});
  tensor::fill_normal(values, 0, 1, generator);
  other.features = FeatureCache(toy.names, values.to(tensor::DType::f16), "other");
  const Folder folder("views");
  Trainer trainer(toy.info, toy.features, toy.data, toy.data, toy_options(), folder.path, {&other.features});
  Course course = follow(trainer, folder.path), expected = by_hand(other, toy_options());
  REQUIRE(course.validations.size() == expected.validations.size());
  for (size_t i = 0; i < course.validations.size(); ++i)
    CHECK(course.validations[i].loss != doctest::Approx(expected.validations[i].loss).epsilon(1e-4));
  course.validations = expected.validations;
  CHECK(difference(course, expected) == "");
  Checkpoint averaged = toy.info;
  for (const auto& [name, value] : load_checkpoint(folder.path / "last.safetensors").training_tensors)
    if (name.starts_with("average.average.")) averaged.weights[name.substr(16)] = value;
  const auto decoder = averaged.make_decoder();
  decoder->eval();
  std::ifstream log(folder.path / "log.jsonl");
  std::string line, last;
  while (std::getline(log, line)) last = line;
  CHECK(read_json(last).at("loss") == mean_loss(*decoder, toy.data, toy.features));
}

TEST_CASE("one batch over-fits, and its captions come back") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    CAPTURE(to_string(kind));
    Toy toy(kind);
    toy.info.decoder.layer_dropout = 0;
    toy.info.decoder.hidden = toy.info.decoder.embedding = 48;
    // One caption per photo: two captions of one photo have a loss that cannot vanish.
    for (auto& [name, texts] : toy.captions) texts.resize(1);
    const Dataset data = make_dataset({toy.captions}, toy.names, toy.features, toy.vocabulary);
    tensor::Generator generator(5);
    const auto decoder = make_decoder(toy.info.decoder, generator);
    // Evaluation mode: the plain model's head would else drop half of its inputs.
    decoder->eval();
    optim::AdamW optimizer(decoder->named_parameters(), optim::AdamWOptions{.lr = 2e-3, .weight_decay = 0});
    const CaptionBatch batch = make_batch(data, {0, 1, 2, 3, 4, 5, 6, 7}, toy.features);
    LossOptions options;
    options.teacher_forcing = 1;
    double loss = 1e9;
    for (int step = 0; step < 1500 && loss >= 0.005; ++step) {
      decoder->zero_grad();
      const CaptionLoss result = decoder->loss(batch, options);
      loss = result.loss.item();
      result.loss.backward();
      optimizer.step(optim::clip_coefficient(optim::grad_norm(decoder->parameters()), 1));
    }
    CHECK(loss < 0.01);
    SearchOptions search;
    search.beam = 1;
    const auto captions = caption_photos(*decoder, data, toy.features, toy.vocabulary, search);
    for (const auto& [name, texts] : toy.captions) CHECK(captions.at(name) == texts[0]);
  }
}

TEST_CASE("the original's first loss") {
  // With the <sos> slot of zero logits and its own widths it starts at ln 4096 = 8.318.
  DecoderConfig config;
  config.features = 64;
  tensor::Generator generator(1);
  const auto decoder = make_decoder(config, generator);
  CaptionBatch batch;
  batch.features = Tensor::empty({2, 9, 64});
  tensor::fill_normal(batch.features.mutable_data(), 0, 1, generator);
  batch.image = Tensor::arange(2);
  batch.words = Tensor::from(std::vector<int64_t>{2, 5, 40, 99, 700, 3, 2, 5, 17, 12, 3, 1}, {2, 6});
  batch.lengths = {6, 5};
  LossOptions options;
  options.count_start = true;
  options.generator = &generator;
  CHECK(std::fabs(decoder->loss(batch, options).loss.item() - 8.318) < 0.01);
}
