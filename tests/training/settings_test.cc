// Every setting of a run has the effect that it is said to have: a trainer does with it what a plain loop by
// hand (course.h) does, and something else than with the setting's former value.
#include <doctest/doctest.h>

#include <functional>
#include <set>

#include "tests/training/course.h"

using namespace imgcap;
using tensor::io::Json;
using tests::read_json;

namespace {

using Folder = tests::TemporaryFolder;

TrainOptions base_options() {
  TrainOptions options = toy_options();
  options.epochs = 3;
  options.checkpoint_every = 0;
  return options;
}

TrainOptions with(const std::function<void(TrainOptions&)>& change, TrainOptions options = base_options()) {
  change(options);
  return options;
}

// A trainer follows `after` as it is worked out by hand, and `before` would have been another run.
void check_effect(const TrainOptions& after, const TrainOptions& before = base_options()) {
  const Toy toy;
  const Course expected = by_hand(toy, after);
  CHECK(difference(run_toy(toy, after), expected) == "");
  CHECK(difference(by_hand(toy, before), expected) != "");
}

void check_effect(const std::function<void(TrainOptions&)>& change,
                  const TrainOptions& before = base_options()) {
  check_effect(with(change, before), before);
}

TrainOptions self_critical() {
  return with([](TrainOptions& o) {
    o.objective = Objective::self_critical;
    o.teacher_forcing = 1;
    o.label_smoothing = 0;
    o.samples = 3;
    o.epochs = 2;
  });
}

// Steps that change no caption: what validations say is then up to the photos alone.
TrainOptions idle_options() {
  TrainOptions options = base_options();
  options.optimizer = OptimizerKind::sgd;
  options.lr = 4e-6;
  options.clip_norm = 1e-3;
  options.schedule = Schedule::constant;
  options.average_decay = 0;
  options.batch_photos = 8;  // a step per epoch
  options.epochs = 8;
  options.teacher_forcing = 1;
  options.label_smoothing = 0;
  return options;
}

std::vector<double> rates(const Course& course) {
  std::vector<double> all;
  for (const Course::Step& step : course.steps) all.push_back(step.lr);
  return all;
}

// Where validations get better and better, or worse and worse.
Course plateau_run(bool better, const std::function<void(TrainOptions&)>& change) {
  TrainOptions options = idle_options();
  options.schedule = Schedule::plateau;
  change(options);
  std::vector<FeatureCache> caches;
  // By pairs: mixing up one more photo does not have to change the score.
  for (const int64_t wrong : {0, 2, 4, 6, 8}) caches.push_back(mixed_up(trained_toy(), wrong));
  Views views;
  for (const FeatureCache& cache : caches) views.push_back(&cache);
  if (better) std::reverse(views.begin(), views.end());
  options.epochs = static_cast<int64_t>(views.size());
  const Course course = run_toy(trained_toy(), options, views);
  REQUIRE(course.validations.size() == views.size());
  for (size_t i = 1; i < views.size(); ++i) {
    const Course::Validation &a = course.validations[i - 1], &b = course.validations[i];
    REQUIRE((b.scores.cider > a.scores.cider) == better);
    REQUIRE((b.loss < a.loss) == better);
  }
  return course;
}

void check_schedule() {
  check_effect([](TrainOptions& o) { o.schedule = Schedule::constant; });
  const double lr = idle_options().lr;
  const auto same = [](TrainOptions&) {};
  // The rate is halved after two validations without a better CIDEr.
  CHECK(rates(plateau_run(false, same)) == std::vector<double>{lr, lr, lr, lr / 2, lr / 2});
  CHECK(rates(plateau_run(true, same)) == std::vector<double>(5, lr));
}

void check_min_lr() {
  check_effect([](TrainOptions& o) { o.min_lr = 4e-3; });
  const double lr = idle_options().lr;
  const Course bounded = plateau_run(false, [](TrainOptions& o) { o.min_lr = 3e-6; });
  CHECK(rates(bounded) == std::vector<double>{lr, lr, lr, 3e-6, 3e-6});
}

// The original's plateau waits for a loss that falls, and for six validations.
void check_compat_original() {
  check_effect([](TrainOptions& o) { o.compat_original = true; });
  for (const bool better : {false, true}) {
    TrainOptions options = idle_options();
    options.schedule = Schedule::plateau;
    options.compat_original = true;
    options.epochs = 8;
    std::vector<FeatureCache> caches;
    for (int64_t i = 0; i < 8; ++i) caches.push_back(mixed_up(trained_toy(), better ? 8 - i : i + 1));
    Views views;
    for (const FeatureCache& cache : caches) views.push_back(&cache);
    const Course course = run_toy(trained_toy(), options, views);
    REQUIRE(course.validations.size() == 8);
    CHECK((course.validations[7].loss < course.validations[0].loss) == better);
    const double lr = options.lr;
    // With photos that get worse the first loss is the best one.
    const std::vector<double> expected =
        better ? std::vector<double>(8, lr) : std::vector<double>{lr, lr, lr, lr, lr, lr, lr, lr / 2};
    CHECK(rates(course) == expected);
    CHECK(course.validations[0].scores.protocol == "original");
  }
}

// An equal score is no better one, and the run ends with the validation that is one too many.
void check_patience() {
  const auto run = [](int64_t patience, int64_t every) {
    TrainOptions options = idle_options();
    options.patience = patience;
    options.validate_every = every;
    return run_toy(trained_toy(), options);
  };
  const Course endless = run(0, 1);
  CHECK(endless.end == Trainer::End::finished);
  CHECK(endless.steps.size() == 8);
  for (size_t i = 0; i < endless.validations.size(); ++i) {
    CHECK(endless.validations[i].scores.cider == endless.validations[0].scores.cider);
    CHECK(endless.validations[i].best == (i == 0));
  }
  CHECK(endless.validations[0].scores.cider > 1);
  const Course patient = run(3, 1);
  CHECK(patient.end == Trainer::End::patience);
  CHECK(patient.steps.size() == 4);
  CHECK(patient.validations.size() == 4);
  const Course rare = run(2, 2);
  CHECK(rare.end == Trainer::End::patience);
  CHECK(rare.steps.size() == 6);
  CHECK(rare.validations.size() == 3);
}

// Of the search: the scores of what was kept as the best model are those of a search with these settings, and
// a search with others finds something else.
void check_search(const std::function<void(SearchOptions&)>& change, const Toy& toy = Toy()) {
  TrainOptions options = base_options();
  options.epochs = 1;
  options.validation.beam = 1;
  const SearchOptions before = options.validation;
  change(options.validation);
  const Folder folder("search");
  Trainer trainer(toy.info, toy.features, toy.data, toy.data, options, folder.path);
  const Course course = follow(trainer, folder.path);
  const auto best = load_checkpoint(folder.path / "best.safetensors").make_decoder();
  best->eval();
  const auto scores = [&](const SearchOptions& search) {
    return evaluate(*best, toy.data, toy.features, toy.vocabulary, search, {}).scores;
  };
  const Scores found = course.validations.at(0).scores, expected = scores(options.validation),
               otherwise = scores(before);
  CHECK(found.cider == expected.cider);
  CHECK(found.bleu == expected.bleu);
  CHECK((found.bleu != otherwise.bleu || found.rouge_l != otherwise.rouge_l));
}

// The trainer leaves these to whoever makes its caches and data sets, and keeps them with the run.
void check_kept(const std::function<void(TrainOptions&)>& change) {
  const Toy toy;
  const TrainOptions options = with(change), before = base_options();
  CHECK(difference(run_toy(toy, options), by_hand(toy, before)) == "");
  CHECK(train_options_from_json(to_json(options)) == options);
  CHECK_FALSE(options == before);
}

using Check = std::function<void()>;

const std::map<std::string, Check>& checks() {
  // A setting that needs another one to have an effect: `given` first, then the change.
  static const auto beside = [](const std::function<void(TrainOptions&)>& given,
                                const std::function<void(TrainOptions&)>& change) {
    check_effect(change, with(given));
  };
  static const std::map<std::string, Check> all = {
      {"epochs", [] { check_effect([](auto& o) { o.epochs = 2; }); }},
      {"max_steps",
       [] {
         check_effect([](auto& o) { o.max_steps = 4; });
         check_effect([](auto& o) { o.max_steps = 3; });
       }},
      {"batch_photos", [] { check_effect([](auto& o) { o.batch_photos = 4; }); }},
      {"optimizer",
       [] {
         for (const OptimizerKind kind : {OptimizerKind::adam, OptimizerKind::sgd}) {
           CAPTURE(to_string(kind));
           check_effect([&](auto& o) { o.optimizer = kind; });
         }
       }},
      {"lr", [] { check_effect([](auto& o) { o.lr = 5e-3; }); }},
      {"weight_decay",
       [] {
         for (const OptimizerKind kind : {OptimizerKind::adamw, OptimizerKind::adam, OptimizerKind::sgd}) {
           CAPTURE(to_string(kind));
           beside([&](auto& o) { o.optimizer = kind; }, [](auto& o) { o.weight_decay = 0.2; });
         }
       }},
      {"schedule", check_schedule},
      {"warmup_steps", [] { check_effect([](auto& o) { o.warmup_steps = 4; }); }},
      {"min_lr", check_min_lr},
      {"clip_norm",
       [] {
         beside([](auto& o) { o.optimizer = OptimizerKind::sgd; }, [](auto& o) { o.clip_norm = 0.1; });
         beside([](auto& o) { o.optimizer = OptimizerKind::sgd, o.clip_norm = 0.1; },
                [](auto& o) { o.clip_norm = 0; });
       }},
      {"clip_value", [] { check_effect([](auto& o) { o.clip_value = 0.01; }); }},
      {"teacher_forcing", [] { check_effect([](auto& o) { o.teacher_forcing = 0.3; }); }},
      {"teacher_forcing_fall", [] { check_effect([](auto& o) { o.teacher_forcing_fall = 0.35; }); }},
      {"teacher_forcing_least",
       [] {
         const auto falls = [](auto& o) { o.teacher_forcing_fall = 0.5; };
         beside(falls, [](auto& o) { o.teacher_forcing_least = 0.4; });
         // Over the ratio that it begins with it does not raise that.
         beside(falls, [](auto& o) { o.teacher_forcing_least = 0.9; });
       }},
      {"label_smoothing", [] { check_effect([](auto& o) { o.label_smoothing = 0.3; }); }},
      {"objective",
       [] {
         const auto before = [](auto& o) { o.teacher_forcing = 1, o.label_smoothing = 0, o.epochs = 2; };
         check_effect(self_critical(), with(before));
       }},
      {"samples", [] { check_effect([](auto& o) { o.samples = 4; }, self_critical()); }},
      {"augment", [] { check_kept([](auto& o) { o.augment = Augmentation::Kind::mirror; }); }},
      {"augment_views", [] { check_kept([](auto& o) { o.augment_views = 3; }); }},
      // finetune_test.cc has the two with an encoder.
      {"finetune",
       [] {
         const Toy toy;
         const Folder folder("finetune");
         CHECK_THROWS_WITH_AS(Trainer(toy.info, toy.features, toy.data, toy.data,
                                      with([](auto& o) { o.finetune = 1; }), folder.path),
                              doctest::Contains("come together"), tensor::Error);
       }},
      {"finetune_lr", [] { check_kept([](auto& o) { o.finetune_lr = 1e-3; }); }},
      {"precision",
       [] {
         for (const Precision precision : {Precision::f16, Precision::bf16}) {
           CAPTURE(to_string(precision));
           check_effect([&](auto& o) { o.precision = precision; });
         }
       }},
      {"loss_scale",
       [] {
         const auto f16 = [](auto& o) { o.precision = Precision::f16, o.epochs = 2; };
         beside(f16, [](auto& o) { o.loss_scale = 1024; });
         beside(f16, [](auto& o) { o.loss_scale = 0.5; });  // under the scaler's own floor of 1
         // The first steps overflow, are skipped, and move neither the schedule nor the average.
         const TrainOptions large =
             with([](auto& o) { o.loss_scale = 0x1p22, o.warmup_steps = 2; }, with(f16));
         const Course course = by_hand(Toy(), large);
         CHECK(course.steps.front().skipped);
         CHECK_FALSE(course.steps.back().skipped);
         check_effect(large, with(f16));
       }},
      {"average_decay",
       [] {
         check_effect([](auto& o) { o.average_decay = 0; });
         check_effect([](auto& o) { o.average_decay = 0.15; });
       }},
      {"max_tokens", [] { check_effect([](auto& o) { o.max_tokens = 3; }, self_critical()); }},
      {"validate_every",
       [] {
         check_effect([](auto& o) { o.validate_every = 2; });
         check_effect([](auto& o) { o.validate_every = 3; });
       }},
      {"patience", check_patience},
      {"checkpoint_every",
       [] {
         check_effect([](auto& o) { o.checkpoint_every = 1; });
         check_effect([](auto& o) { o.checkpoint_every = 2; });
       }},
      {"seed", [] { check_effect([](auto& o) { o.seed = 3; }); }},
      {"compat_original", check_compat_original},
      {"beam", [] { check_search([](auto& s) { s.beam = 3; }); }},
      {"max_words", [] { check_search([](auto& s) { s.max_words = 3; }, trained_toy()); }},
      {"length_exponent",
       [] {
         check_search([](auto& s) { s.beam = 3; });
         check_search([](auto& s) { s.beam = 3, s.length_exponent = 0; });
       }},
      // How many photos are searched at once changes nothing of what is found.
      {"search_batch", [] { check_kept([](auto& o) { o.validation.batch_photos = 3; }); }},
  };
  return all;
}

}  // namespace

TEST_CASE("the run that settings are compared with is the one by hand") {
  const Toy toy;
  CHECK(difference(run_toy(toy, base_options()), by_hand(toy, base_options())) == "");
  const Toy plain(DecoderKind::plain);
  CHECK(difference(run_toy(plain, base_options()), by_hand(plain, base_options())) == "");
}

TEST_CASE("each setting of a training run has its effect") {
  for (const auto& [name, check] : checks()) {
    CAPTURE(name);
    check();
  }
}

TEST_CASE("no setting is left out of the checks") {
  std::set<std::string> checked, kept;
  for (const auto& [name, check] : checks()) checked.insert(name);
  const Json json = read_json(to_json(TrainOptions{}));
  kept.insert(json.keys().begin(), json.keys().end());
  CHECK(checked == kept);
}
