// What a run that was stopped goes on with.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <sstream>

#include "tensor/error.h"
#include "tests/training/course.h"

using namespace imgcap;
using tensor::io::Json;
using tests::read_json;

namespace {

namespace fs = std::filesystem;
using Folder = tests::TemporaryFolder;

std::string bytes_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

// A run in which everything that a checkpoint keeps is something else than at the start: loss scaling, rates
// that fall, coins, dropout, averages.
TrainOptions eventful_options() {
  TrainOptions options = toy_options();
  options.precision = Precision::f16;
  options.loss_scale = 0x1p21;  // the first steps overflow
  options.epochs = 5;
  options.lr = 3e-3;
  return options;
}

// Validations of which the third, of epoch 2, is the best and those behind it are worse.
struct Ups {
  Toy toy = trained_toy();
  FeatureCache wrong = mixed_up(toy, 7);  // one photo is left that can be captioned
  Views views = {&wrong, &wrong, &toy.features, &wrong, &wrong, &wrong, &wrong};

  TrainOptions options() const {
    TrainOptions options = toy_options();
    options.schedule = Schedule::plateau;
    options.average_decay = 0;
    options.teacher_forcing = 1;
    options.epochs = 7;
    options.batch_photos = 2;
    return options;
  }
};

}  // namespace

TEST_CASE("a resumed run has all that the checkpoint has: it would write the same file") {
  for (const std::string schedule : {"cosine", "plateau"}) {
    CAPTURE(schedule);
    Ups ups;
    TrainOptions options = ups.options();
    if (schedule == "cosine") options = eventful_options();
    options.batch_photos = 2;
    options.max_steps = 15;  // inside the fourth epoch, whose validation is worse than the third's
    const Folder folder("same_file");
    const fs::path file = folder.path / "last.safetensors";
    const std::atomic<bool> go{false};
    const auto make = [&] {
      auto trainer = std::make_unique<Trainer>(ups.toy.info, ups.toy.features, ups.toy.data, ups.toy.data,
                                               options, folder.path);
      trainer->validate_on(ups.views);
      return trainer;
    };
    make()->run({}, go);
    const std::string saved = bytes_of(file);
    const Json state = training_of(file);
    // None of it is what a new trainer begins with.
    CHECK(state.at("epoch") == 3);
    CHECK(state.at("batch") == 3);
    CHECK(state.at("step") == 15);
    CHECK(state.at("worse") == 1);
    CHECK(state.at("best").as_double() > 0);
    CHECK(state.at("generator").at(0) == options.seed);
    CHECK(state.at("generator").at(1).as_uint64() > 0);
    if (schedule == "cosine") {
      CHECK(state.at("scaler").at("skipped").as_double() > 0);
      CHECK(state.at("scaler").at("growth_tracker") != state.at("scaler").at("skipped_in_a_row"));
      CHECK(state.at("scaler").at("scale").as_double() < options.loss_scale);
      CHECK(state.at("average").at("updates").as_double() > 0);
      CHECK(state.at("scheduler").at("steps") == 15 - state.at("scaler").at("skipped").as_double());
    } else {
      CHECK(state.at("scheduler").at("has_best") == 1);
      CHECK(state.at("scheduler").at("bad_steps") == 1);
      CHECK(state.at("scheduler").at("steps") == 4);
    }
    const auto resumed = make();
    resumed->resume();
    fs::remove(file);
    CHECK(resumed->run({}, go) == Trainer::End::finished);  // no step is left: it only saves
    CHECK(bytes_of(file) == saved);
  }
}

TEST_CASE("a resumed run tells the rest of what the whole run tells, and ends with the same file") {
  struct Case {
    const char* name;
    TrainOptions options;
    Views views;
  };
  Ups ups;
  TrainOptions patient = ups.options();
  patient.patience = 3;
  patient.checkpoint_every = 5;
  for (const Case& c : {Case{"eventful", eventful_options(), {}}, Case{"plateau", ups.options(), ups.views},
                        Case{"patience", patient, ups.views}}) {
    CAPTURE(c.name);
    const auto trainer = [&](const fs::path& folder) {
      auto made = std::make_unique<Trainer>(ups.toy.info, ups.toy.features, ups.toy.data, ups.toy.data,
                                            c.options, folder);
      if (!c.views.empty()) made->validate_on(c.views);
      return made;
    };
    const Folder whole("whole_run");
    const Course all = follow(*trainer(whole.path), whole.path);
    const auto steps = static_cast<int64_t>(all.steps.size());
    // In an epoch, behind its last step, in the middle and near the end.
    for (const int64_t stop : {int64_t{1}, all.steps[0].steps_in_epoch, int64_t{14}, steps - 1}) {
      if (stop >= steps) continue;
      CAPTURE(stop);
      const Folder broken("broken_run");
      const Course first = follow(*trainer(broken.path), broken.path, stop);
      CHECK(first.end == Trainer::End::interrupted);
      CHECK(static_cast<int64_t>(first.steps.size()) == stop);
      const auto again = trainer(broken.path);
      again->resume();
      CHECK(again->step() == stop);
      const Course rest = follow(*again, broken.path);
      CHECK(rest.end == all.end);
      // What both parts tell is what the whole run tells.
      Course joined = rest;
      joined.steps = first.steps;
      joined.steps.insert(joined.steps.end(), rest.steps.begin(), rest.steps.end());
      joined.validations = first.validations;
      joined.validations.insert(joined.validations.end(), rest.validations.begin(), rest.validations.end());
      // Stopping saves, too.
      for (size_t i = static_cast<size_t>(stop); i < joined.steps.size(); ++i)
        joined.steps[i].saved = all.steps[i].saved;
      CHECK(difference(joined, all) == "");
      CHECK(bytes_of(broken.path / "last.safetensors") == bytes_of(whole.path / "last.safetensors"));
      CHECK(bytes_of(broken.path / "best.safetensors") == bytes_of(whole.path / "best.safetensors"));
      // The log is one for both parts.
      const auto lines = [](const fs::path& folder) {
        const std::string log = bytes_of(folder / "log.jsonl");
        return std::count(log.begin(), log.end(), '\n');
      };
      CHECK(lines(broken.path) == lines(whole.path));
    }
  }
}

TEST_CASE("a worse validation behind a resumption does not replace the best model") {
  const Ups ups;
  const Folder folder("best");
  const auto trainer = [&] {
    auto made = std::make_unique<Trainer>(ups.toy.info, ups.toy.features, ups.toy.data, ups.toy.data,
                                          ups.options(), folder.path);
    made->validate_on(ups.views);
    return made;
  };
  const Course first = follow(*trainer(), folder.path, 13);  // the best is that of step 12
  REQUIRE(first.validations.size() == 3);
  REQUIRE(first.validations[2].best);
  const fs::path best = folder.path / "best.safetensors";
  const std::string kept = bytes_of(best);
  const auto again = trainer();
  again->resume();
  CHECK(again->best_score() == first.validations[2].scores.cider);
  const Course rest = follow(*again, folder.path);
  REQUIRE(rest.validations.size() == 4);
  for (const Course::Validation& v : rest.validations) {
    CHECK(v.scores.cider > 0);
    CHECK_FALSE(v.best);
  }
  CHECK(bytes_of(best) == kept);
  CHECK(load_checkpoint(best).notes.at("step") == "12");
  CHECK(load_checkpoint(best).notes.at("epoch") == "3");
}

TEST_CASE("a run goes on with settings that change nothing of what is trained, and with no others") {
  const Toy toy;
  const Folder folder("other_settings");
  TrainOptions options = toy_options();
  options.epochs = 2;
  const std::atomic<bool> go{false};
  Trainer(toy.info, toy.features, toy.data, toy.data, options, folder.path).run({}, go);
  using Change = std::function<void(TrainOptions&)>;
  const std::map<std::string, Change> free = {
      {"epochs", [](auto& o) { o.epochs = 3; }},
      {"max_steps", [](auto& o) { o.max_steps = 7; }},
      {"patience", [](auto& o) { o.patience = 4; }},
      {"validate_every", [](auto& o) { o.validate_every = 2; }},
      {"checkpoint_every", [](auto& o) { o.checkpoint_every = 1; }},
  };
  const std::map<std::string, Change> fixed = {
      {"batch_photos", [](auto& o) { o.batch_photos = 4; }},
      {"optimizer", [](auto& o) { o.optimizer = OptimizerKind::adam; }},
      {"lr", [](auto& o) { o.lr = 2e-2; }},
      {"weight_decay", [](auto& o) { o.weight_decay = 0; }},
      {"schedule", [](auto& o) { o.schedule = Schedule::constant; }},
      {"warmup_steps", [](auto& o) { o.warmup_steps = 1; }},
      {"min_lr", [](auto& o) { o.min_lr = 1e-3; }},
      {"clip_norm", [](auto& o) { o.clip_norm = 2; }},
      {"clip_value", [](auto& o) { o.clip_value = 2; }},
      {"teacher_forcing", [](auto& o) { o.teacher_forcing = 0.7; }},
      {"teacher_forcing_fall", [](auto& o) { o.teacher_forcing_fall = 0.1; }},
      {"teacher_forcing_least", [](auto& o) { o.teacher_forcing_least = 0.1; }},
      {"label_smoothing", [](auto& o) { o.label_smoothing = 0; }},
      {"objective",
       [](auto& o) { o.objective = Objective::self_critical, o.teacher_forcing = 1, o.label_smoothing = 0; }},
      {"samples", [](auto& o) { o.samples = 6; }},
      {"augment", [](auto& o) { o.augment = Augmentation::Kind::mirror; }},
      {"augment_views", [](auto& o) { o.augment_views = 2; }},
      {"finetune_lr", [](auto& o) { o.finetune_lr = 1e-4; }},
      {"precision", [](auto& o) { o.precision = Precision::bf16; }},
      {"loss_scale", [](auto& o) { o.loss_scale = 2; }},
      {"average_decay", [](auto& o) { o.average_decay = 0.8; }},
      {"max_tokens", [](auto& o) { o.max_tokens = 9; }},
      {"seed", [](auto& o) { o.seed = 2; }},
      {"compat_original", [](auto& o) { o.compat_original = true; }},
      {"beam", [](auto& o) { o.validation.beam = 3; }},
      {"max_words", [](auto& o) { o.validation.max_words = 9; }},
      {"length_exponent", [](auto& o) { o.validation.length_exponent = 0; }},
      {"search_batch", [](auto& o) { o.validation.batch_photos = 3; }},
  };
  // `finetune` needs an encoder to make a trainer at all.
  CHECK(free.size() + fixed.size() + 1 == read_json(to_json(options)).size());
  for (const auto& [name, change] : fixed) {
    CAPTURE(name);
    TrainOptions other = options;
    change(other);
    Trainer changed(toy.info, toy.features, toy.data, toy.data, other, folder.path);
    try {
      changed.resume();
      FAIL_CHECK("no error");
    } catch (const tensor::Error& error) {
      CHECK(error.kind() == tensor::ErrorKind::data);
      const std::string text = error.what();
      const auto value = [&](const TrainOptions& o) { return read_json(to_json(o)).at(name).dump(); };
      CHECK_MESSAGE(text.find(tensor::format("{} is {}, here {}", name, value(options), value(other))) !=
                        std::string::npos,
                    text);
    }
    CHECK(changed.step() == 0);
  }
  for (const auto& [name, change] : free) {
    CAPTURE(name);
    TrainOptions other = options;
    change(other);
    Trainer changed(toy.info, toy.features, toy.data, toy.data, other, folder.path);
    CHECK_NOTHROW(changed.resume());
    CHECK(changed.step() == 6);
  }
}

TEST_CASE("a run does not go on from what is not its own checkpoint") {
  const Toy toy;
  const Folder folder("not_its_own");
  TrainOptions options = toy_options();
  options.epochs = 1;
  const std::atomic<bool> go{false};
  const auto refused = [&](const Toy& other, const char* text) {
    Trainer trainer(other.info, other.features, other.data, other.data, options, folder.path);
    try {
      trainer.resume();
      FAIL_CHECK("no error");
    } catch (const tensor::Error& error) {
      CHECK(error.kind() == tensor::ErrorKind::data);
      const std::string what = error.what();
      CHECK_MESSAGE(what.find(text) != std::string::npos, what);
      CHECK(what.starts_with((folder.path / "last.safetensors").string()));
    }
  };
  Trainer(toy.info, toy.features, toy.data, toy.data, options, folder.path).run({}, go);
  Toy other;
  other.info.encoder_key = "another";
  refused(other, "made with other encoder weights");
  other = Toy();
  std::swap(other.info.vocabulary[5], other.info.vocabulary[6]);
  refused(other, "made with another vocabulary");
  other = Toy();
  other.info.decoder.hidden = 20;
  refused(other, "its model differs from this run's: hidden is 24, here 20");
  other = Toy();
  other.data.photos.pop_back();
  refused(other, "trained on 8 photos with 16 captions, this run has 7 with 14");
  other = Toy();
  other.data.photos[2].captions.pop_back();
  refused(other, "trained on 8 photos with 16 captions, this run has 8 with 15");
  other = Toy();
  other.data.photos[2].captions[0] += "!";
  refused(other, "trained on other photos or captions");

  // Without the data set's fingerprint, as earlier versions wrote it, it goes on.
  const fs::path file = folder.path / "last.safetensors";
  const Checkpoint whole = load_checkpoint(file);
  const auto change = [&](const std::function<void(Json&)>& f) {
    Checkpoint changed = whole;
    Json json = read_json(whole.training);
    f(json);
    changed.training = json.dump();
    save_checkpoint(file, changed);
  };
  change([](Json& json) { json = tests::without(json, "data"); });
  Trainer older(toy.info, toy.features, toy.data, toy.data, options, folder.path);
  CHECK_NOTHROW(older.resume());
  CHECK(older.step() == 3);
  for (const char* key : {"options", "photos", "captions", "epoch", "batch", "step", "worse", "best",
                          "generator", "optimizer", "scheduler", "average"}) {
    CAPTURE(key);
    change([&](Json& json) { json = tests::without(json, key); });
    refused(toy, "it holds no training run to go on with");
  }
  for (const char* key : {"epoch", "batch", "step", "worse"}) {
    CAPTURE(key);
    change([&](Json& json) { json[key] = -1; });
    refused(toy, "it holds no training run to go on with");
  }
  change([](Json& json) { json["optimizer"] = tests::without(json.at("optimizer"), "group.0.lr"); });
  refused(toy, "AdamW: the state is not one of this optimiser");
  change([](Json& json) { json["options"]["lr"] = "fast"; });
  refused(toy, "'lr' has the wrong type");
  Checkpoint model = whole;  // as best.safetensors is
  model.training.clear();
  save_checkpoint(file, model);
  refused(toy, "it holds no training run to go on with");
}
