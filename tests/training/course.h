// What a training run did, as its trainer tells it and as a plain loop by hand works it out.
#pragma once

#include <cmath>
#include <map>
#include <memory>
#include <numbers>
#include <string>
#include <vector>

#include "autograd/autocast.h"
#include "autograd/ops.h"
#include "imgcap/training/trainer.h"
#include "optim/adam.h"
#include "optim/sgd.h"
#include "tensor/format.h"
#include "tests/folder.h"
#include "tests/json.h"
#include "tests/training/toy.h"

namespace imgcap {

using Views = std::vector<const FeatureCache*>;

// A toy whose captions are found nearly always, so that scores say something.
inline const Toy& trained_toy() {
  static const Toy toy = [] {
    Toy made;
    made.info.decoder.layer_dropout = 0;
    tensor::Generator generator(5);
    const auto decoder = make_decoder(made.info.decoder, generator);
    optim::Adam optimizer(decoder->named_parameters(), {.lr = 1e-2});
    LossOptions options;
    options.teacher_forcing = 1;
    const CaptionBatch batch = make_batch(made.data, {0, 1, 2, 3, 4, 5, 6, 7}, made.features);
    for (int step = 0; step < 120; ++step) {
      decoder->zero_grad();
      decoder->loss(batch, options).loss.backward();
      optimizer.step();
    }
    for (const auto& [name, value] : decoder->state_dict()) made.info.weights[name] = value.clone();
    return made;
  }();
  return toy;
}

// The toy's features; those of the first `wrong` photos go round by one, so that they get each other's
// captions: the more of them, the lower the score and the higher the loss.
inline FeatureCache mixed_up(const Toy& toy, int64_t wrong) {
  std::vector<std::string> names = toy.names;
  std::rotate(names.begin(), names.begin() + std::min<int64_t>(wrong, 1), names.begin() + wrong);
  return FeatureCache(names, toy.features.features(), "mixed up");
}

struct Course {
  struct Step {
    int64_t epoch = 0, step_in_epoch = 0, steps_in_epoch = 0, total = 0;
    double loss = 0, norm = 0, lr = 0, teacher_forcing = 0, reward = 0, loss_scale = 0;
    bool skipped = false;
    int64_t saved = 0;  // the step of last.safetensors before this one
  };
  struct Validation {
    int64_t epoch = 0, step = 0;
    double loss = 0;
    Scores scores;
    bool best = false;
  };
  std::vector<Step> steps;
  std::vector<Validation> validations;
  Trainer::End end = Trainer::End::finished;
  std::map<std::string, std::vector<float>> weights, averages;
};

inline tensor::io::Json training_of(const std::filesystem::path& file) {
  return tests::read_json(load_checkpoint(file).training);
}

// Runs the trainer to its end, or until `last` steps are done.
inline Course follow(Trainer& trainer, const std::filesystem::path& folder, int64_t last = 0) {
  Course course;
  std::atomic<bool> stop{false};
  TrainListener listener;
  const std::filesystem::path file = folder / "last.safetensors";
  listener.step = [&](const StepReport& r) {
    course.steps.push_back({r.epoch, r.step_in_epoch, r.steps_in_epoch, r.total_steps, r.loss,
                            r.gradient_norm, r.lr, r.teacher_forcing, r.reward.value_or(0), r.loss_scale,
                            r.was_skipped, training_of(file).at("step").as_int64()});
    stop = r.step == last;
  };
  listener.validation = [&](const ValidationReport& r) {
    course.validations.push_back({r.epoch, r.step, r.loss, r.scores, r.best});
  };
  course.end = trainer.run(listener, stop);
  course.weights = weights_of(trainer.decoder());
  for (const auto& [name, value] : load_checkpoint(file).training_tensors)
    if (name.starts_with("average.average.")) course.averages[name.substr(16)] = value.to_vector<float>();
  return course;
}

inline Course run_toy(const Toy& toy, const TrainOptions& options, const Views& validate_on = {}) {
  const tests::TemporaryFolder folder("toy_run");
  Trainer trainer(toy.info, toy.features, toy.data, toy.data, options, folder.path);
  if (!validate_on.empty()) trainer.validate_on(validate_on);
  return follow(trainer, folder.path);
}

// The same run with a loop, rates, clipping and averages of its own. Of the trainer's settings each is used
// here for what its comment says.
inline Course by_hand(const Toy& toy, const TrainOptions& o) {
  tensor::Generator generator(o.seed);
  const auto decoder = make_decoder(toy.info.decoder, generator);
  if (!toy.info.weights.empty()) decoder->load_state_dict(toy.info.weights);
  const optim::NamedParameters parameters = decoder->named_parameters();
  std::unique_ptr<optim::Optimizer> optimizer;
  if (o.optimizer == OptimizerKind::adam)
    optimizer = std::make_unique<optim::Adam>(parameters, optim::AdamOptions{.weight_decay = o.weight_decay});
  if (o.optimizer == OptimizerKind::adamw)
    optimizer =
        std::make_unique<optim::AdamW>(parameters, optim::AdamWOptions{.weight_decay = o.weight_decay});
  if (o.optimizer == OptimizerKind::sgd)
    optimizer = std::make_unique<optim::SGD>(parameters, optim::SgdOptions{.weight_decay = o.weight_decay});
  std::optional<SelfCritical> critic;
  if (o.objective == Objective::self_critical)
    critic.emplace(toy.data, o.samples, o.max_tokens > 0 ? o.max_tokens : o.validation.max_words);

  const auto photos = static_cast<int64_t>(toy.data.photos.size());
  const int64_t in_epoch = (photos + o.batch_photos - 1) / o.batch_photos;
  const int64_t total = o.max_steps > 0 ? std::min(o.max_steps, o.epochs * in_epoch) : o.epochs * in_epoch;
  const auto rate = [&](int64_t step) {
    const auto t = static_cast<double>(step), w = static_cast<double>(o.warmup_steps),
               end = static_cast<double>(std::max(total, o.warmup_steps + 1));
    if (o.schedule != Schedule::cosine) return o.lr;
    if (t < w) return o.lr * (1e-3 + (1 - 1e-3) * t / w);
    return o.min_lr + (o.lr - o.min_lr) * (1 + std::cos(std::numbers::pi * (t - w) / (end - w))) / 2;
  };

  Course course;
  std::map<std::string, std::vector<double>> average;
  int64_t step = 0, made = 0, saved = 0, worse = 0, updates = 0;
  double best = -1, scale = o.precision == Precision::f16 ? o.loss_scale : 0;

  const auto validate = [&](int64_t epoch) {
    Checkpoint model = toy.info;
    model.weights.clear();
    for (const auto& [name, value] : decoder->state_dict()) {
      if (average.empty()) {
        model.weights[name] = value;
      } else {
        const std::vector<double>& values = average.at(name);
        model.weights[name] = Tensor::from<double>(values, value.shape()).to(tensor::DType::f32);
      }
    }
    const auto validated = model.make_decoder();
    validated->eval();
    SearchOptions search = o.validation;
    if (o.compat_original) search.kind = SearchKind::hundred_steps;
    ScoreOptions score;
    if (o.compat_original) score.protocol = Protocol::torcheval;
    score.undefined_is_zero = true;
    score.split = "toy";
    Course::Validation v;
    v.epoch = epoch;
    v.step = step;
    v.loss = mean_loss(*validated, toy.data, toy.features,
                       o.compat_original ? course.steps.back().teacher_forcing : 1, o.compat_original,
                       o.seed + static_cast<uint64_t>(epoch));
    v.scores = score_captions(caption_photos(*validated, toy.data, toy.features, toy.vocabulary, search),
                              scored_references(toy.data, toy.vocabulary, form_of(search.kind)), score);
    v.best = v.scores.cider > best;
    best = std::max(best, v.scores.cider);
    worse = v.best ? 0 : worse + 1;
    course.validations.push_back(v);
  };

  for (int64_t epoch = 0; epoch < o.epochs && step < total; ++epoch) {
    const auto batches = epoch_batches(photos, o.batch_photos, o.seed, epoch);
    int64_t done = 0;
    for (const std::vector<int64_t>& numbers : batches) {
      if (step == total) break;
      Course::Step s{epoch, ++done, in_epoch, total};
      s.saved = saved;
      s.teacher_forcing = o.teacher_forcing - o.teacher_forcing_fall * static_cast<double>(epoch);
      if (s.teacher_forcing < o.teacher_forcing_least)
        s.teacher_forcing = std::min(o.teacher_forcing_least, o.teacher_forcing);
      if (s.teacher_forcing < 0) s.teacher_forcing = 0;
      s.lr = rate(made);
      optimizer->set_lr(s.lr);
      optimizer->zero_grad();
      const CaptionBatch batch = make_batch(toy.data, numbers, toy.features);
      Variable loss;
      {
        std::optional<autograd::AutocastGuard> autocast;
        std::optional<SampledCaptions> drawn;
        if (critic) drawn = critic->draw(*decoder, batch.features, numbers, generator);
        if (o.precision == Precision::f16) autocast.emplace(tensor::DType::f16);
        if (o.precision == Precision::bf16) autocast.emplace(tensor::DType::bf16);
        if (drawn) {
          s.reward = drawn->reward;
          loss = SelfCritical::loss(*decoder, *drawn, generator).loss;
        } else {
          LossOptions with;
          with.teacher_forcing = s.teacher_forcing;
          with.label_smoothing = o.label_smoothing;
          with.count_start = o.compat_original;
          with.generator = &generator;
          decoder->train();
          loss = decoder->loss(batch, with).loss;
        }
      }
      s.loss = loss.item();
      (scale > 0 ? loss * scale : loss).backward();
      double squares = 0;
      for (const auto& [name, parameter] : parameters) {
        std::vector<double> values =
            parameter.grad().data().to(tensor::DType::f64).contiguous().to_vector<double>();
        for (double& g : values) {
          if (scale > 0) g = static_cast<double>(static_cast<float>(g / scale));
          if (o.clip_value > 0) g = std::clamp(g, -o.clip_value, o.clip_value);
          squares += g * g;
        }
        Variable(parameter).set_grad(Tensor::from<double>(values, parameter.shape()).to(tensor::DType::f32));
      }
      s.norm = std::sqrt(squares);
      s.skipped = scale > 0 && !std::isfinite(s.norm);
      if (s.skipped) {
        scale /= 2;
      } else {
        optimizer->step(o.clip_norm > 0 ? std::min(1.0, o.clip_norm / (s.norm + 1e-6)) : 1);
        ++made;
        if (o.average_decay > 0) {
          const auto t = static_cast<double>(updates++);
          const double decay = t == 0 ? 0 : std::min(o.average_decay, (1 + t) / (10 + t));
          for (const auto& [name, parameter] : parameters) {
            const std::vector<float> now = parameter.data().to_vector<float>();
            std::vector<double>& values = average[name];
            values.resize(now.size());
            for (size_t i = 0; i < now.size(); ++i)
              values[i] = decay * values[i] + (1 - decay) * static_cast<double>(now[i]);
          }
        }
      }
      s.loss_scale = scale;
      course.steps.push_back(s);
      ++step;
      if (o.checkpoint_every > 0 && step % o.checkpoint_every == 0) saved = step;
    }
    if (step == total || (epoch + 1) % o.validate_every == 0) validate(epoch);
    saved = step;
    if (done == in_epoch && o.patience > 0 && worse == o.patience) {
      course.end = Trainer::End::patience;
      break;
    }
  }
  course.weights = weights_of(*decoder);
  for (const auto& [name, values] : average) course.averages[name].assign(values.begin(), values.end());
  return course;
}

// The first thing in which two runs differ by more than rounding; empty: none.
inline std::string difference(const Course& a, const Course& b) {
  const auto near = [](double x, double y) {
    if (!std::isfinite(x) || !std::isfinite(y)) return std::isfinite(x) == std::isfinite(y);
    return std::fabs(x - y) <= 1e-5 * std::max({1e-3, std::fabs(x), std::fabs(y)});
  };
  if (a.end != b.end) return "the end's reason";
  if (a.steps.size() != b.steps.size())
    return tensor::format("{} steps, not {}", a.steps.size(), b.steps.size());
  for (size_t i = 0; i < a.steps.size(); ++i) {
    const Course::Step &x = a.steps[i], &y = b.steps[i];
    const auto at = [&](const char* what, double p, double q) {
      return tensor::format("step {}: {} {}, not {}", i + 1, what, p, q);
    };
    if (x.epoch != y.epoch || x.step_in_epoch != y.step_in_epoch || x.steps_in_epoch != y.steps_in_epoch ||
        x.total != y.total)
      return at("its number of", static_cast<double>(x.total), static_cast<double>(y.total));
    // Rates are formulas in 64 bits.
    if (std::fabs(x.lr - y.lr) > 1e-12 * y.lr) return at("lr", x.lr, y.lr);
    if (std::fabs(x.teacher_forcing - y.teacher_forcing) > 1e-12)
      return at("teacher forcing", x.teacher_forcing, y.teacher_forcing);
    if (!near(x.loss, y.loss)) return at("loss", x.loss, y.loss);
    if (!near(x.norm, y.norm)) return at("norm", x.norm, y.norm);
    if (!near(x.reward, y.reward)) return at("reward", x.reward, y.reward);
    if (x.loss_scale != y.loss_scale) return at("loss scale", x.loss_scale, y.loss_scale);
    if (x.skipped != y.skipped) return at("skipped", x.skipped, y.skipped);
    if (x.saved != y.saved) return at("saved at", static_cast<double>(x.saved), static_cast<double>(y.saved));
  }
  if (a.validations.size() != b.validations.size())
    return tensor::format("{} validations, not {}", a.validations.size(), b.validations.size());
  for (size_t i = 0; i < a.validations.size(); ++i) {
    const Course::Validation &x = a.validations[i], &y = b.validations[i];
    if (x.epoch != y.epoch || x.step != y.step)
      return tensor::format("validation {} after step {}, not {}", i, x.step, y.step);
    if (!near(x.loss, y.loss)) return tensor::format("validation {}: loss {}, not {}", i, x.loss, y.loss);
    if (!near(x.scores.cider, y.scores.cider) || !near(x.scores.bleu[0], y.scores.bleu[0]) ||
        !near(x.scores.rouge_l, y.scores.rouge_l) || x.scores.protocol != y.scores.protocol ||
        x.scores.split != y.scores.split)
      return tensor::format("validation {}: CIDEr {}, not {}", i, x.scores.cider, y.scores.cider);
    if (x.best != y.best) return tensor::format("validation {}: best {}, not {}", i, x.best, y.best);
  }
  for (const auto& [own, other] : {std::pair{&a.weights, &b.weights}, {&a.averages, &b.averages}}) {
    if (own->size() != other->size()) return "the number of weights or averages";
    for (const auto& [name, values] : *own)
      for (size_t i = 0; i < values.size(); ++i)
        if (std::fabs(values[i] - other->at(name)[i]) > 2e-5f)
          return tensor::format("{}[{}] is {}, not {}", name, i, values[i], other->at(name)[i]);
  }
  return {};
}

}  // namespace imgcap
