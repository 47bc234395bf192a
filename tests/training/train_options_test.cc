// The settings of a run as values: their JSON, and which are refused.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "imgcap/training/train_options.h"
#include "tensor/error.h"
#include "tensor/format.h"
#include "tests/json.h"
#include "tests/tensor/reference.h"

using namespace imgcap;
using tensor::io::Json;
using tests::read_json;

namespace {

// Each setting with a value of its own, none of them the default.
TrainOptions unusual() {
  TrainOptions o;
  o.epochs = 9;
  o.max_steps = 11;
  o.batch_photos = 13;
  o.optimizer = OptimizerKind::adam;
  o.lr = 0.5;
  o.weight_decay = 0.03;
  o.schedule = Schedule::plateau;
  o.warmup_steps = 17;
  o.min_lr = 0.01;
  o.clip_norm = 2.5;
  o.clip_value = 0.75;
  o.teacher_forcing = 1;
  o.teacher_forcing_fall = 0.05;
  o.teacher_forcing_least = 0.25;
  o.label_smoothing = 0.125;
  o.objective = Objective::cross_entropy;
  o.samples = 7;
  o.augment = Augmentation::Kind::mild;
  o.augment_views = 4;
  o.finetune = 0;
  o.finetune_lr = 0.002;
  o.precision = Precision::bf16;
  o.loss_scale = 128;
  o.average_decay = 0.99;
  o.max_tokens = 21;
  o.validate_every = 3;
  o.patience = 6;
  o.checkpoint_every = 70;
  o.seed = 1234567890123;
  o.compat_original = true;
  o.validation.beam = 8;
  o.validation.max_words = 33;
  o.validation.length_exponent = 0.9;
  o.validation.batch_photos = 5;
  o.validation.kind = SearchKind::hundred_steps;
  return o;
}

constexpr const char* kUnusual = R"({"epochs":9,"max_steps":11,"batch_photos":13,"optimizer":"adam","lr":0.5,
  "weight_decay":0.03,"schedule":"plateau","warmup_steps":17,"min_lr":0.01,"clip_norm":2.5,"clip_value":0.75,
  "teacher_forcing":1.0,"teacher_forcing_fall":0.05,"teacher_forcing_least":0.25,"label_smoothing":0.125,
  "objective":"cross-entropy","samples":7,"augment":"mild","augment_views":4,"finetune":0,"finetune_lr":0.002,
  "precision":"bf16","loss_scale":128.0,"average_decay":0.99,"max_tokens":21,"validate_every":3,"patience":6,
  "checkpoint_every":70,"seed":1234567890123,"compat_original":true,"beam":8,"max_words":33,
  "length_exponent":0.9,"search_batch":5})";

using Change = std::function<void(TrainOptions&)>;

void accepted(const TrainOptions& base, const Change& change) {
  TrainOptions options = base;
  change(options);
  CHECK_NOTHROW(validate(options));
}

// Refused, by validate() and, as JSON, by what reads a checkpoint.
void refused(const TrainOptions& base, const char* text, const Change& change) {
  TrainOptions options = base;
  change(options);
  tests::check_error(tensor::ErrorKind::argument, {"train: ", text}, [&] { validate(options); });
}

// `field` may be `low` to `high` and nothing beside it.
template <class T>
void bounded(const char* text, T TrainOptions::*field, T low, T high, const TrainOptions& base = {}) {
  CAPTURE(text);
  const auto set = [&](T value) { return [=](TrainOptions& o) { o.*field = value; }; };
  T below, above;
  if constexpr (std::is_integral_v<T>) {
    below = low - 1, above = high == std::numeric_limits<T>::max() ? high : high + 1;
  } else {
    below = std::nextafter(low, -INFINITY), above = std::nextafter(high, INFINITY);
    refused(base, text, set(NAN));
  }
  accepted(base, set(low));
  accepted(base, set(high));
  refused(base, text, set(below));
  if (above != high) refused(base, text, set(above));
}

template <class T>
void bounded(const char* text, T SearchOptions::*field, T low, T high) {
  CAPTURE(text);
  const auto set = [&](T value) { return [=](TrainOptions& o) { o.validation.*field = value; }; };
  accepted({}, set(low));
  accepted({}, set(high));
  if constexpr (std::is_integral_v<T>) {
    refused({}, text, set(low - 1));
    if (high != std::numeric_limits<T>::max()) refused({}, text, set(high + 1));
  } else {
    refused({}, text, set(std::nextafter(low, -INFINITY)));
    refused({}, text, set(INFINITY));
    refused({}, text, set(NAN));
  }
}

// The setting has these names in JSON, and none beside them.
template <class E>
void one_of(const std::string& setting, const char* called, E TrainOptions::*field,
            const std::vector<std::string>& names, const std::string& beside = "") {
  CAPTURE(setting);
  const auto json = [&](const std::string& name) {
    return "{\"" + setting + "\":\"" + name + "\"" + beside + "}";
  };
  for (size_t i = 0; i < names.size(); ++i) {
    CAPTURE(names[i]);
    const TrainOptions options = train_options_from_json(json(names[i]));
    CHECK(options.*field == static_cast<E>(i));
    CHECK(read_json(to_json(options)).at(setting) == names[i]);
  }
  for (const std::string& name : {std::string(), names[0] + "x", std::string("none of these")})
    tests::check_error(
        tensor::ErrorKind::argument,
        {("train: " + std::string(called) + " '" + name + "' is none of " + tensor::join(names, ", "))
             .c_str()},
        [&] { train_options_from_json(json(name)); });
}

}  // namespace

TEST_CASE("settings have their names and values in JSON, and come back from it") {
  CHECK(read_json(to_json(unusual())) == read_json(kUnusual));
  CHECK(train_options_from_json(kUnusual) == unusual());
  CHECK(train_options_from_json(to_json(TrainOptions{})) == TrainOptions{});
  CHECK(train_options_from_json("{}") == TrainOptions{});
  // Does not compile when a setting is added: it wants a value in `unusual` and a name in its JSON.
  const auto& [epochs, max_steps, batch_photos, optimizer, lr, weight_decay, schedule, warmup_steps, min_lr,
               clip_norm, clip_value, teacher_forcing, teacher_forcing_fall, teacher_forcing_least,
               label_smoothing, objective, samples, augment, augment_views, finetune, finetune_lr, precision,
               loss_scale, average_decay, max_tokens, validate_every, patience, checkpoint_every, seed,
               compat_original, validation] = TrainOptions{};
  const auto& [beam, max_words, length_exponent, search_batch, search_compat] = validation;
  CHECK(beam == SearchOptions{}.beam);
  // Each of them but `finetune` and `objective` differs from its default.
  size_t defaults = 0;
  const Json of_defaults = read_json(to_json(TrainOptions{}));
  const Json of_unusual = read_json(kUnusual);
  for (const std::string& name : of_unusual.keys()) defaults += of_defaults.at(name) == of_unusual.at(name);
  CHECK(defaults == 2);
  CHECK(of_defaults.size() == 34);
  CHECK(train_options_from_json(R"({"finetune":2,"augment":"none"})").finetune == 2);
  CHECK(train_options_from_json(R"({"objective":"self-critical","teacher_forcing":1})").objective ==
        Objective::self_critical);
}

// What the recipes and the manual leave out goes by these.
TEST_CASE("settings that are not given have the values that are documented") {
  const char* defaults = R"({"epochs":8,"max_steps":0,"batch_photos":16,"optimizer":"adamw","lr":4e-4,
    "weight_decay":1e-4,"schedule":"constant","warmup_steps":0,"min_lr":0.0,"clip_norm":1.0,"clip_value":0.0,
    "teacher_forcing":0.9,"teacher_forcing_fall":0.0,"teacher_forcing_least":0.0,"label_smoothing":0.0,
    "objective":"cross-entropy","samples":5,"augment":"none","augment_views":1,"finetune":0,"finetune_lr":1e-5,
    "precision":"f32","loss_scale":65536.0,"average_decay":0.0,"max_tokens":0,"validate_every":1,"patience":0,
    "checkpoint_every":500,"seed":1,"compat_original":false,"beam":3,"max_words":30,"length_exponent":1.0,
    "search_batch":32})";
  CHECK(read_json(to_json(TrainOptions{})) == read_json(defaults));
  CHECK(SearchOptions{}.kind == SearchKind::standard);
}

TEST_CASE("JSON that is no settings is refused") {
  const auto bad = [](const char* text, const char* part) {
    tests::check_error(tensor::ErrorKind::data, {part}, [&] { train_options_from_json(text); });
  };
  bad("[]", "not a JSON object");
  bad("{", "not a JSON object");
  bad("7", "not a JSON object");
  bad(R"({"lr":0.1,"Lr":0.1})", "does not know");
  bad(R"({"lr":"0.1"})", "'lr' has the wrong type");
  bad(R"({"seed":true})", "'seed' has the wrong type");
  // Values out of range are refused as those of a caller are.
  tests::check_error(tensor::ErrorKind::argument, {"epochs is 0"},
                     [] { train_options_from_json(R"({"epochs":0})"); });
  CHECK(train_options_from_json(R"({"lr":1})").lr == 1);
}

TEST_CASE("each setting takes the values up to its bounds and none beyond them") {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  using O = TrainOptions;
  CHECK_NOTHROW(validate(TrainOptions{}));
  bounded<int64_t>("epochs is", &O::epochs, 1, kMost);
  const char* steps = "steps and intervals cannot be negative";
  bounded<int64_t>(steps, &O::max_steps, 0, kMost);
  bounded<int64_t>(steps, &O::batch_photos, 1, kMost);
  bounded<int64_t>(steps, &O::validate_every, 1, kMost);
  bounded<int64_t>(steps, &O::patience, 0, kMost);
  bounded<int64_t>(steps, &O::warmup_steps, 0, kMost);
  bounded<int64_t>(steps, &O::max_tokens, 0, kMost);
  bounded<int64_t>(steps, &O::checkpoint_every, 0, kMost);
  bounded<int64_t>("1 to 1000 are possible", &O::augment_views, 1, 1000);
  bounded<int64_t>("samples per photo", &O::samples, 2, 1000);
  bounded<int64_t>("stages of the encoder", &O::finetune, 0, 1000);
  bounded<double>("lr is", &O::lr, 0, 1e3);
  bounded<double>("encoder's learning rate is", &O::finetune_lr, 0, 1e3);
  bounded<double>("weight decay is", &O::weight_decay, 0, 1e3);
  bounded<double>("clip norm is", &O::clip_norm, 0, 1e9);
  bounded<double>("clip value is", &O::clip_value, 0, 1e9);
  bounded<double>("teacher forcing is", &O::teacher_forcing, 0, 1);
  bounded<double>("fall of teacher forcing is", &O::teacher_forcing_fall, 0, 1);
  bounded<double>("least teacher forcing is", &O::teacher_forcing_least, 0, 1);
  bounded<double>("average decay is", &O::average_decay, 0, 0.999999);
  bounded<double>("loss scale is", &O::loss_scale, std::nextafter(0.0, 1.0), 1e38);
  bounded<double>("label smoothing", &O::label_smoothing, 0, std::nextafter(1.0, 0.0));
  O lively;
  lively.lr = 0.25;
  bounded<double>("least learning rate is", &O::min_lr, 0, 0.25, lively);
  using S = SearchOptions;
  bounded<int64_t>("beam is", &S::beam, 1, 1000);
  bounded<int64_t>("max_words is", &S::max_words, 1, 100'000);
  bounded<int64_t>("search_batch is", &S::batch_photos, 1, kMost);
  bounded<double>("length_exponent is", &S::length_exponent, 0, std::numeric_limits<double>::max());
  one_of("optimizer", "optimizer", &O::optimizer, {"adam", "adamw", "sgd"});
  one_of("schedule", "schedule", &O::schedule, {"constant", "cosine", "plateau"});
  one_of("augment", "augmentation", &O::augment, {"none", "mirror", "mild", "original"});
  one_of("precision", "precision", &O::precision, {"f32", "f16", "bf16"});
  one_of("objective", "objective", &O::objective, {"cross-entropy", "self-critical"},
         ",\"teacher_forcing\":1");
}

TEST_CASE("settings that do not go together are refused") {
  using O = TrainOptions;
  O critical;
  critical.objective = Objective::self_critical;
  critical.teacher_forcing = 1;
  CHECK_NOTHROW(validate(critical));
  const char* own_words = "self-critical training feeds the model its own words";
  refused(critical, own_words, [](O& o) { o.teacher_forcing = 0.99; });
  refused(critical, own_words, [](O& o) { o.label_smoothing = 0.01; });
  refused(critical, own_words, [](O& o) { o.compat_original = true; });
  O tuned;
  tuned.finetune = 1;
  CHECK_NOTHROW(validate(tuned));
  using Kind = Augmentation::Kind;
  for (const Kind augment : {Kind::mirror, Kind::mild}) accepted(tuned, [&](O& o) { o.augment = augment; });
  refused(tuned, "does not go with --finetune", [&](O& o) { o.augment = Kind::original; });
  // A cosine ends in min_lr for both groups; other schedules do not.
  tuned.lr = 1e-2;
  tuned.finetune_lr = 1e-3;
  tuned.schedule = Schedule::cosine;
  accepted(tuned, [](O& o) { o.min_lr = 1e-3; });
  refused(tuned, "is over the encoder's", [](O& o) { o.min_lr = 1.001e-3; });
  for (const Schedule schedule : {Schedule::constant, Schedule::plateau})
    accepted(tuned, [&](O& o) { o.min_lr = 2e-3, o.schedule = schedule; });
  accepted(tuned, [&](O& o) { o.min_lr = 2e-3, o.finetune = 0; });
}
