// Training and validation with several data sets at once.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "autograd/ops.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"
#include "tests/training/course.h"

using namespace imgcap;
using tests::read_json;

namespace {

using Folder = tests::TemporaryFolder;

// The toy's red and blue photos as one set, the others, with one caption each, as another one.
struct Sets {
  Toy toy;
  Dataset colours, rest;

  explicit Sets(DecoderKind kind = DecoderKind::attention) : toy(kind) {
    toy.info.decoder.layer_dropout = 0;
    toy.info.decoder.tanh_image = kind == DecoderKind::plain;  // the other head has dropout of its own
    std::map<std::string, std::vector<std::string>> single = toy.captions;
    for (auto& [name, texts] : single) texts.pop_back();
    const std::vector<std::string>& names = toy.names;
    colours = make_dataset({toy.captions}, {names.begin(), names.begin() + 4}, toy.features, toy.vocabulary);
    rest = make_dataset({single}, {names.begin() + 4, names.end()}, toy.features, toy.vocabulary);
    colours.split = "colours.txt";
    rest.split = "rest.txt";
  }
  Dataset joined(double first = 1, double second = 1) const {
    return join_sets({colours, rest}, {{"colours", first, ""}, {"rest", second, ""}});
  }
  TrainOptions options() const {
    TrainOptions options = toy_options();
    options.batch_photos = 5;
    return options;
  }
};

struct Run {
  Course course;
  std::string last, best, log;
};

// To its end; with `stop` it is stopped after that step and gone on with.
Run trained(const Sets& sets, const Dataset& training, const Dataset& validation, const TrainOptions& options,
            int64_t stop = 0) {
  const Folder folder("sets");
  const auto make = [&] {
    return Trainer(sets.toy.info, sets.toy.features, training, validation, options, folder.path);
  };
  if (stop > 0) {
    Trainer first = make();
    follow(first, folder.path, stop);
  }
  Trainer trainer = make();
  if (stop > 0) trainer.resume();
  Run run{follow(trainer, folder.path), {}, {}, {}};
  run.last = tensor::io::read_file(folder.path / "last.safetensors");
  if (std::filesystem::exists(folder.path / "best.safetensors"))
    run.best = tensor::io::read_file(folder.path / "best.safetensors");
  std::ifstream log(folder.path / "log.jsonl");
  for (std::string line; std::getline(log, line);)
    run.log += tests::without(read_json(line), "captions_per_second").dump() + "\n";
  return run;
}

// One step of plain gradient descent from the same weights, with the loss summed set by set.
std::map<std::string, std::vector<float>> stepped_by_hand(const Sets& sets, const Dataset& training,
                                                          const TrainOptions& o, double& loss_of_step) {
  tensor::Generator generator(o.seed);
  const auto decoder = make_decoder(sets.toy.info.decoder, generator);
  decoder->train();
  const std::vector<int64_t> batch =
      epoch_batches(std::ssize(training.photos), o.batch_photos, o.seed, 0).front();
  double tokens = 0;
  Variable sum;
  for (size_t s = 0; s < training.sets.size(); ++s) {
    std::vector<int64_t> own;
    for (const int64_t p : batch)
      if (training.photos[static_cast<size_t>(p)].set == s) own.push_back(p);
    REQUIRE_FALSE(own.empty());
    LossOptions with;
    with.teacher_forcing = 1;
    with.label_smoothing = o.label_smoothing;
    with.composed = true;
    with.generator = &generator;
    const autograd::AutocastGuard autocast(dtype_of(o.precision));
    CaptionBatch captions = make_batch(training, own, sets.toy.features);
    captions.weights.clear(), captions.factors = Tensor();
    const CaptionLoss loss = decoder->loss(captions, with);
    const Variable part = loss.loss * (training.sets[s].weight * static_cast<double>(loss.tokens));
    sum = sum.defined() ? sum + part : part;
    tokens += static_cast<double>(loss.tokens);
  }
  const Variable loss = sum * (1 / tokens);
  loss_of_step = loss.item();
  loss.backward();
  std::map<std::string, std::vector<float>> weights;
  for (const auto& [name, parameter] : decoder->named_parameters()) {
    std::vector<float> values = parameter.data().to_vector<float>();
    const std::vector<float> gradient =
        parameter.grad().data().to(tensor::DType::f32).contiguous().to_vector<float>();
    for (size_t i = 0; i < values.size(); ++i) values[i] -= static_cast<float>(o.lr) * gradient[i];
    weights[name] = values;
  }
  return weights;
}

}  // namespace

TEST_CASE("a set's weight multiplies the loss of its captions, in every precision") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain})
    for (const Precision precision : {Precision::f32, Precision::f16, Precision::bf16})
      for (const double smoothing : {0.0, 0.1}) {
        CAPTURE(to_string(kind));
        CAPTURE(to_string(precision));
        CAPTURE(smoothing);
        const Sets sets(kind);
        const Dataset training = sets.joined(0.25, 3);
        TrainOptions o = sets.options();
        o.optimizer = OptimizerKind::sgd;
        o.weight_decay = o.clip_norm = o.average_decay = 0;
        o.schedule = Schedule::constant;
        o.teacher_forcing = 1;
        o.label_smoothing = smoothing;
        o.precision = precision;
        o.loss_scale = 1024;
        o.lr = 0.5;
        o.max_steps = 1;
        const Run run = trained(sets, training, training, o);
        double loss = 0;
        const auto expected = stepped_by_hand(sets, training, o, loss);
        // The two round their products in another order; in 16 bits that shows.
        const double near = precision == Precision::f32 ? 1e-5 : 4e-3;
        REQUIRE(run.course.steps.size() == 1);
        CHECK(std::fabs(run.course.steps[0].loss - loss) < near * loss);
        double moved = 0;
        Sets fresh(kind);
        tensor::Generator generator(o.seed);
        const auto before = weights_of(*make_decoder(fresh.toy.info.decoder, generator));
        for (const auto& [name, values] : expected) {
          CAPTURE(name);
          const std::vector<float>& found = run.course.weights.at(name);
          double scale = 0;
          for (size_t i = 0; i < values.size(); ++i)
            scale = std::max(scale, static_cast<double>(std::fabs(values[i] - before.at(name)[i])));
          moved = std::max(moved, scale);
          double worst = 0;
          for (size_t i = 0; i < values.size(); ++i)
            worst = std::max(worst, static_cast<double>(std::fabs(values[i] - found[i])));
          CHECK(worst <= std::max(1e-6, (precision == Precision::f32 ? 1e-4 : 2e-2) * scale));
        }
        CHECK(moved > 1e-3);
      }
}

TEST_CASE("the original's <sos> terms have their captions' weights, too") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    CAPTURE(to_string(kind));
    const Sets sets(kind);
    const Dataset training = sets.joined();
    tensor::Generator generator(3);
    const auto decoder = make_decoder(sets.toy.info.decoder, generator);
    decoder->eval();
    LossOptions with;
    with.teacher_forcing = 1;
    with.count_start = true;
    const auto loss_of = [&](const std::vector<int64_t>& photos) {
      return decoder->loss(make_batch(training, photos, sets.toy.features), with);
    };
    const CaptionLoss first = loss_of({0, 1}), second = loss_of({5, 6});
    CaptionBatch batch = make_batch(training, {0, 1, 5, 6}, sets.toy.features);
    for (const int64_t image : batch.image.to_vector<int64_t>()) batch.weights.push_back(image < 2 ? 0.5 : 2);
    const CaptionLoss both = decoder->loss(batch, with);
    CHECK(both.tokens == first.tokens + second.tokens);
    CHECK(both.loss.item() == doctest::Approx((0.5 * first.loss.item() * static_cast<double>(first.tokens) +
                                               2 * second.loss.item() * static_cast<double>(second.tokens)) /
                                              static_cast<double>(both.tokens))
                                  .epsilon(1e-5));
  }
}

TEST_CASE("sets of weight 1 train as one set with all the photos, to the bit") {
  const Sets sets;
  const Dataset joined = sets.joined();
  Dataset one = joined;
  one.sets.clear();
  for (Dataset::Photo& photo : one.photos) photo.set = 0;
  const Run together = trained(sets, joined, sets.colours, sets.options()),
            alone = trained(sets, one, sets.colours, sets.options());
  CHECK(together.course.weights == alone.course.weights);
  CHECK(together.log == alone.log);
  CHECK(together.course.weights !=
        trained(sets, sets.joined(1, 0.5), sets.colours, sets.options()).course.weights);
}

TEST_CASE("each set is validated for itself, and the mean says what is best") {
  Sets sets;
  sets.toy.info.weights = trained_toy().info.weights;  // which knows what to say
  TrainOptions o = sets.options();
  o.epochs = 3;
  const Dataset joined = sets.joined();
  // A validation changes nothing of what is trained, so that the parts can be had one at a time.
  const Run both = trained(sets, joined, joined, o), first = trained(sets, joined, sets.colours, o),
            second = trained(sets, joined, sets.rest, o);
  CHECK(both.course.weights == first.course.weights);
  REQUIRE(both.course.validations.size() == 3);
  std::vector<tensor::io::Json> lines;
  for (const tensor::io::Json& line : tests::json_lines(both.log))
    if (line.find("validation") != nullptr) lines.push_back(line);
  REQUIRE(lines.size() == 3);
  double best = -1;
  for (size_t i = 0; i < 3; ++i) {
    const auto &all = both.course.validations[i], &a = first.course.validations[i],
               &b = second.course.validations[i];
    CHECK(all.scores.cider == doctest::Approx((a.scores.cider + b.scores.cider) / 2).epsilon(1e-12));
    CHECK(all.scores.bleu[3] == doctest::Approx((a.scores.bleu[3] + b.scores.bleu[3]) / 2).epsilon(1e-12));
    CHECK(all.loss == doctest::Approx((a.loss + b.loss) / 2).epsilon(1e-12));
    CHECK(all.scores.images == 8);
    CHECK(all.scores.split == "colours.txt, rest.txt");
    CHECK(all.best == (all.scores.cider > best));
    best = std::max(best, all.scores.cider);
    const tensor::io::Json &own = lines[i].at("sets").at("colours"), &other = lines[i].at("sets").at("rest");
    CHECK(own.at("CIDEr").as_double() == a.scores.cider);
    CHECK(own.at("loss").as_double() == a.loss);
    CHECK(own.at("split") == "colours.txt");
    CHECK(other.at("CIDEr").as_double() == b.scores.cider);
    CHECK(other.at("references") == 1);
    CHECK(a.scores.cider != b.scores.cider);
  }
}

TEST_CASE("the best model of several sets says what each scores") {
  const Sets sets;
  const Folder folder("sets_best");
  const Dataset joined = sets.joined(1, 0.5);
  Trainer trainer(sets.toy.info, sets.toy.features, joined, joined, sets.options(), folder.path);
  const Course course = follow(trainer, folder.path);
  const auto notes = load_checkpoint(folder.path / "best.safetensors").notes;
  const double mean = std::stod(notes.at("validation_cider")),
               first = std::stod(notes.at("validation_cider.colours")),
               second = std::stod(notes.at("validation_cider.rest"));
  CHECK(std::fabs(mean - (first + second) / 2) < 2e-6);
  CHECK(std::fabs(mean - trainer.best_score()) < 1e-6);
  CHECK(notes.contains("validation_bleu4.rest"));
  const tensor::io::Json training = training_of(folder.path / "last.safetensors");
  CHECK(training.at("sets") == read_json(R"([{"name":"colours","weight":1.0,"photos":4,"captions":8},
                      {"name":"rest","weight":0.5,"photos":4,"captions":4}])"));
}

TEST_CASE("a run with sets that is stopped and resumed ends with the same bits") {
  const Sets sets;
  for (const Precision precision : {Precision::f32, Precision::f16, Precision::bf16})
    for (const Objective objective : {Objective::cross_entropy, Objective::self_critical}) {
      CAPTURE(to_string(precision));
      CAPTURE(to_string(objective));
      const Dataset training = sets.joined(1, 0.5), validation = sets.joined();
      TrainOptions o = sets.options();
      o.precision = precision;
      o.objective = objective;
      if (objective == Objective::self_critical) o.teacher_forcing = 1, o.label_smoothing = 0;
      const Run whole = trained(sets, training, validation, o),
                parts = trained(sets, training, validation, o, 3);
      CHECK(whole.last == parts.last);
      CHECK(whole.best == parts.best);
      CHECK(whole.log == parts.log);
    }
}

TEST_CASE("a run goes on with the sets that it has had, and with no others") {
  const Sets sets;
  const Folder folder("sets_other");
  const TrainOptions o = sets.options();
  const auto begin = [&](const Dataset& training) {
    Trainer trainer(sets.toy.info, sets.toy.features, training, sets.colours, o, folder.path);
    follow(trainer, folder.path, 1);
  };
  const auto refused = [&](const Dataset& training) -> std::string {
    Trainer trainer(sets.toy.info, sets.toy.features, training, sets.colours, o, folder.path);
    try {
      trainer.resume();
    } catch (const tensor::Error& error) {
      CHECK(error.kind() == tensor::ErrorKind::data);
      return std::string(error.what()).substr((folder.path / "last.safetensors").string().size());
    }
    return "";
  };
  const Dataset joined = sets.joined(1, 0.5);
  Dataset one = joined;
  one.sets.clear();
  for (Dataset::Photo& photo : one.photos) photo.set = 0;
  const std::string ours =
      "colours (weight 1.0, 4 photos with 8 captions), rest (weight 0.5, 4 photos with 4 captions)";
  begin(joined);
  CHECK(refused(joined) == "");
  CHECK(refused(one) == ": it was trained on " + ours + ", this run on one set");
  CHECK(
      refused(sets.joined()) ==
      ": it was trained on " + ours +
          ", this run on colours (weight 1.0, 4 photos with 8 captions), rest (weight 1.0, 4 photos with 4 captions)");
  CHECK(refused(join_sets({sets.colours, sets.rest}, {{"colours", 1, ""}, {"other", 0.5, ""}}))
            .starts_with(": it was trained on " + ours));
  begin(one);
  CHECK(training_of(folder.path / "last.safetensors").find("sets") == nullptr);  // as ever
  CHECK(refused(one) == "");
  CHECK(refused(joined) == ": it was trained on one set, this run on " + ours);
}

TEST_CASE("self-critical training counts documents and weighs advantages by set") {
  const Sets sets;
  const Dataset training = sets.joined(1, 0.5);
  tensor::Generator generator(3);
  const auto decoder = make_decoder(sets.toy.info.decoder, generator);
  constexpr size_t kSamples = 4;
  const std::vector<int64_t> photos = {6, 1, 4, 3};
  SelfCritical critic(training, kSamples, 8);
  const SampledCaptions drawn = critic.draw(*decoder, sets.toy.features.rows(photos), photos, generator);
  // Tokens are words that no photo of the other set need know.
  const auto text = [](const auto& ids) {
    std::string joined;
    for (const auto id : ids) joined += (joined.empty() ? "" : " ") + std::to_string(id);
    return joined;
  };
  const auto cider_of = [&](const Dataset& set, size_t photo, const std::string& caption) {
    std::vector<std::vector<std::string>> references;
    for (const Dataset::Photo& each : set.photos) {
      references.emplace_back();
      for (const std::vector<int32_t>& ids : each.encoded)
        references.back().push_back(text(std::vector<int32_t>(ids.begin() + 1, ids.end())));
    }
    std::vector<std::string> candidates(references.size(), "nothing");
    candidates[photo] = caption;
    return cider(candidates, references).images[photo];
  };
  const std::vector<int64_t> image = drawn.batch.image.to_vector<int64_t>(),
                             words = drawn.batch.words.to_vector<int64_t>();
  std::vector<std::vector<double>> rewards(photos.size());
  std::vector<double> of_row;
  double other_counts = 0;
  for (size_t r = 0; r < image.size(); ++r) {
    const auto begin = words.begin() + static_cast<int64_t>(r) * drawn.batch.words.size(1);
    const std::string caption = text(std::vector<int64_t>(begin + 1, begin + drawn.batch.lengths[r]));
    const auto p = static_cast<size_t>(photos[static_cast<size_t>(image[r])]);
    of_row.push_back(p < 4 ? cider_of(sets.colours, p, caption) : cider_of(sets.rest, p - 4, caption));
    Dataset all = training;
    other_counts = std::max(other_counts, std::fabs(of_row.back() - cider_of(all, p, caption)));
    rewards[static_cast<size_t>(image[r])].push_back(of_row.back());
  }
  CHECK(other_counts > 0.01);  // the photos of both sets together would give other rewards
  double sum = 0;
  for (size_t r = 0; r < image.size(); ++r) {
    const auto i = static_cast<size_t>(image[r]);
    double others = -of_row[r];
    for (const double reward : rewards[i]) others += reward;
    const double weight = photos[i] < 4 ? 1 : 0.5;
    CHECK(std::fabs(drawn.batch.weights[r] - weight * (of_row[r] - others / (kSamples - 1))) < 1e-9);
    sum += of_row[r];
  }
  CHECK(drawn.reward == doctest::Approx(sum / static_cast<double>(image.size())).epsilon(1e-12));
}

TEST_CASE("photos of few captions can be left out") {
  const Sets sets;
  Dataset data = sets.joined();
  data.photos[5].captions.push_back("a second one");
  const Dataset kept = with_captions(2, data);
  REQUIRE(kept.photos.size() == 5);
  CHECK(kept.photos[4].name == data.photos[5].name);
  CHECK(with_captions(1, data).photos.size() == 8);
  CHECK_THROWS_WITH_AS(with_captions(2, sets.joined()),
                       doctest::Contains("no photo of the set rest has 2 captions"), tensor::Error);
  CHECK_THROWS_WITH_AS(with_captions(3, sets.colours), doctest::Contains("no photo has 3 captions"),
                       tensor::Error);
}
