// Training the encoder's last stages: with the encoder and photos in the box, made small.
#include "imgcap/training/finetune.h"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>

#include "autograd/ops.h"
#include "imgcap/training/trainer.h"
#include "tensor/error.h"
#include "tensor/kernels.h"
#include "tests/folder.h"
#include "tests/golden.h"
#include "tests/tensor/reference.h"
#include "tests/training/finetune_run.h"

using namespace imgcap;

namespace {

namespace fs = std::filesystem;

using Folder = tests::TemporaryFolder;

using Values = std::map<std::string, std::vector<double>>;

Values values_of(const std::map<std::string, Tensor>& tensors) {
  Values values;
  for (const auto& [name, value] : tensors)
    values[name] = value.to(tensor::DType::f64).contiguous().to_vector<double>();
  return values;
}

// In _blocks.15 the grid gets smaller for the last time.
bool is_in_last_stage(const std::string& name) {
  if (name.starts_with("_conv_head.") || name.starts_with("_bn1.")) return true;
  return name.starts_with("_blocks.") && std::stoi(name.substr(8)) >= 15;
}

bool is_buffer(const std::string& name) {
  return name.ends_with("running_mean") || name.ends_with("running_var") ||
         name.ends_with("num_batches_tracked");
}

// Weights with which gates do not saturate. A place of the features has a norm of about 90, and a small
// decoder's initial weights are large: a gate's input is about 13. There bf16's error of the features, 6 %
// after the encoder's layers, changes the gate's slope, and with it every gradient below, by a factor of two.
nn::StateDict unsaturated_decoder(const Checkpoint& info) {
  tensor::Generator generator(3);
  nn::StateDict weights = make_decoder(info.decoder, generator)->state_dict();
  for (auto& [name, value] : weights) {
    if (name != "lstm.weight_ih_l0" && !name.starts_with("attention.")) continue;
    value = value.clone();
    tensor::kernels::affine(value, value, 0.03, 0);
  }
  return weights;
}

// The validation that a checkpoint's model would have had.
double loss_of(const Checkpoint& checkpoint, const nn::StateDict& encoder_weights, const FinetuneRun& run) {
  LoadedEncoder encoder = load_encoder(checkpoint.encoder, encoder_weights, "a checkpoint");
  encoder.preprocessing = checkpoint.preprocessing;
  const auto decoder = checkpoint.make_decoder();
  decoder->eval();
  return mean_loss(*decoder, run.data, encode(encoder, run.source));
}

}  // namespace

TEST_CASE("fine-tuning changes the last stage's weights alone, and is resumed to the bit") {
  const Folder whole("whole"), broken("broken");
  const std::atomic<bool> go{false};
  std::vector<ValidationReport> validations;
  TrainListener listener;
  listener.validation = [&](const ValidationReport& report) { validations.push_back(report); };
  FinetuneRun straight(whole.path);
  const Values before = values_of(small_encoder().encoder->state_dict());
  CHECK(straight.trainer.run(listener, go) == Trainer::End::finished);
  CHECK(straight.trainer.step() == 4);
  const Values after = values_of(straight.encoder.encoder->state_dict());
  for (const auto& [name, values] : before) {
    CAPTURE(name);
    CHECK((after.at(name) != values) == (is_in_last_stage(name) && !is_buffer(name)));
  }

  {
    FinetuneRun first(broken.path);
    std::atomic<bool> stop{false};
    TrainListener stopper;
    stopper.step = [&](const StepReport& r) { stop = r.step == 3; };  // inside the second epoch
    CHECK(first.trainer.run(stopper, stop) == Trainer::End::interrupted);
  }
  FinetuneRun second(broken.path);
  second.trainer.resume();
  CHECK(second.trainer.step() == 3);
  CHECK(second.trainer.run({}, go) == Trainer::End::finished);
  CHECK(values_of(second.encoder.encoder->state_dict()) == after);
  const Checkpoint a = load_checkpoint(whole.path / "last.safetensors"),
                   b = load_checkpoint(broken.path / "last.safetensors");
  CHECK(values_of(a.encoder_weights) == after);
  CHECK(values_of(a.weights) == values_of(b.weights));
  CHECK(values_of(a.encoder_weights) == values_of(b.encoder_weights));
  CHECK(values_of(a.training_tensors) == values_of(b.training_tensors));
  CHECK(a.training == b.training);

  // Each validation saw the averages of both sets of weights as they were then.
  REQUIRE(validations.size() == 2);
  CHECK(validations[0].loss != validations[1].loss);
  const Checkpoint best = load_checkpoint(whole.path / "best.safetensors");
  CHECK(loss_of(best, best.encoder_weights, straight) == validations[validations[1].best ? 1 : 0].loss);
  CHECK(loss_of(best, small_encoder().encoder->state_dict(), straight) !=
        validations[validations[1].best ? 1 : 0].loss);
  Checkpoint averaged = a;
  size_t of_encoder = 0;
  for (const auto& [key, value] : a.training_tensors) {
    if (!key.starts_with("average.average.")) continue;
    const std::string name = key.substr(16);
    const bool encoder = name.starts_with("encoder.");
    of_encoder += encoder;
    (encoder ? averaged.encoder_weights.at(name.substr(8)) : averaged.weights.at(name)) = value;
  }
  CHECK(of_encoder == straight.trained.parameters().size());
  CHECK(loss_of(averaged, averaged.encoder_weights, straight) == validations[1].loss);
}

TEST_CASE("fine-tuning in 16 bits follows f32") {
  const std::atomic<bool> go{false};
  const nn::StateDict weights = [] {
    const Folder folder("shapes");
    return unsaturated_decoder(FinetuneRun(folder.path).info());
  }();
  std::map<Precision, std::vector<StepReport>> steps;
  for (const Precision precision : {Precision::f32, Precision::f16, Precision::bf16}) {
    CAPTURE(to_string(precision));
    const Folder folder("rounded");
    TrainOptions options = finetune_options();
    options.precision = precision;
    options.epochs = 1;
    TrainListener listener;
    listener.step = [&](const StepReport& r) { steps[precision].push_back(r); };
    FinetuneRun run(folder.path, options, weights);
    const Values before = values_of(run.encoder.encoder->state_dict());
    CHECK(run.trainer.run(listener, go) == Trainer::End::finished);
    for (const auto& [name, values] : values_of(run.encoder.encoder->state_dict())) {
      CAPTURE(name);
      CHECK((before.at(name) != values) == (is_in_last_stage(name) && !is_buffer(name)));
    }
    for (const auto& [name, value] : run.encoder.encoder->named_parameters())
      CHECK(value.dtype() == tensor::DType::f32);
    REQUIRE(steps[precision].size() == 2);
    CHECK(steps[precision].back().skipped == 0);
  }
  // Over six seeds the largest were: of a loss 8e-5 and 8e-4, of the first gradient's norm 1.3e-3 and 1.4e-2.
  for (const auto& [precision, bar] :
       std::map<Precision, double>{{Precision::f16, 5e-4}, {Precision::bf16, 5e-3}}) {
    CAPTURE(to_string(precision));
    for (size_t k = 0; k < 2; ++k) {
      CAPTURE(k);
      const StepReport &exact = steps[Precision::f32][k], &rounded = steps[precision][k];
      CHECK(rounded.gradient_norm != exact.gradient_norm);
      CHECK(rounded.loss == doctest::Approx(exact.loss).epsilon(bar).scale(0));
    }
    CHECK(steps[precision][0].gradient_norm ==
          doctest::Approx(steps[Precision::f32][0].gradient_norm).epsilon(10 * bar).scale(0));
  }
}

TEST_CASE("fine-tuning goes together with self-critical training in every precision") {
  const std::atomic<bool> go{false};
  std::map<Precision, StepReport> first;
  for (const Precision precision : {Precision::f32, Precision::f16, Precision::bf16}) {
    CAPTURE(to_string(precision));
    const Folder folder("critical");
    TrainOptions options = finetune_options();
    options.precision = precision;
    options.objective = Objective::self_critical;
    options.teacher_forcing = 1;
    options.samples = 3;
    options.epochs = 1;
    TrainListener listener;
    listener.step = [&](const StepReport& r) {
      if (r.step == 1) first[precision] = r;
    };
    FinetuneRun run(folder.path, options);
    const Values before = values_of(run.encoder.encoder->state_dict());
    CHECK(run.trainer.run(listener, go) == Trainer::End::finished);
    CHECK(values_of(run.encoder.encoder->state_dict()) != before);
    CHECK(std::isfinite(first[precision].loss));
    CHECK(first[precision].gradient_norm > 0);
  }
}

TEST_CASE("a trained encoder's features follow its weights, with a graph and without") {
  const ImageSource source = photos_in_the_box();
  LoadedEncoder encoder = small_encoder();
  TrainedEncoder trained(encoder, source, 1);
  const std::vector<std::string> names = {kPhotos[2], kPhotos[0]};
  const auto distance = [](const Tensor& a, const Tensor& b) {
    const auto x = a.contiguous().to_vector<float>(), y = b.contiguous().to_vector<float>();
    REQUIRE(x.size() == y.size());
    double difference = 0, norm = 0;
    for (size_t i = 0; i < x.size(); ++i)
      difference += std::pow(x[i] - y[i], 2.0), norm += std::pow(y[i], 2.0);
    return std::sqrt(difference / norm);
  };
  const auto with_graph = [&] { return trained.forward(trained.read(names)); };
  const Tensor first = trained.encode(names).rows({0, 1});
  CHECK(first.shape() == Shape{2, 4, 1280});
  CHECK(distance(first, with_graph().data()) < 1e-3);  // a cache has 16 bits

  optim::NamedParameters parameters = trained.parameters();
  const size_t count = parameters.size();
  CHECK(count > 0);
  autograd::sum(with_graph()).backward();
  for (auto& [name, parameter] : parameters) {
    CAPTURE(name);
    REQUIRE(parameter.grad().defined());
    tensor::kernels::add_inplace(parameter.mutable_data(), parameter.grad().data(), 1e-4);
  }
  const Tensor changed = trained.encode(names).rows({0, 1});
  CHECK(distance(changed, first) > 1e-2);
  CHECK(distance(changed, with_graph().data()) < 1e-3);
  // Encoding freezes for its time only.
  CHECK(trained.parameters().size() == count);
  CHECK(with_graph().requires_grad());
  CHECK_FALSE(encoder.encoder->frozen());
  for (const auto& [name, module] : encoder.encoder->named_modules()) CHECK_FALSE(module->training());
}

TEST_CASE("the encoder's weights have a learning rate and a schedule of their own, and the run's decay") {
  const std::atomic<bool> go{false};
  const auto changes = [&](const std::function<void(TrainOptions&)>& change) {
    TrainOptions options = finetune_options();
    options.optimizer = OptimizerKind::sgd;
    options.weight_decay = 0;
    options.schedule = Schedule::constant;
    options.max_steps = 1;
    options.average_decay = 0;
    change(options);
    const Folder folder("rates");
    FinetuneRun run(folder.path, options);
    const Values encoder = values_of(run.encoder.encoder->state_dict()),
                 decoder = values_of(run.trainer.decoder().state_dict());
    run.trainer.run({}, go);
    const auto largest = [](const Values& before, const Values& after) {
      double most = 0;
      for (const auto& [name, values] : before)
        for (size_t i = 0; i < values.size(); ++i)
          most = std::max(most, std::fabs(after.at(name)[i] - values[i]));
      return most;
    };
    return std::pair(largest(encoder, values_of(run.encoder.encoder->state_dict())),
                     largest(decoder, values_of(run.trainer.decoder().state_dict())));
  };
  const auto [encoder, decoder] = changes([](auto&) {});
  CHECK(encoder > 0);
  const auto [twice, same] = changes([](auto& o) { o.finetune_lr *= 2; });
  CHECK(twice == doctest::Approx(2 * encoder).epsilon(1e-3));
  CHECK(same == decoder);
  const auto [none, still] = changes([](auto& o) { o.finetune_lr = 0; });
  CHECK(none == 0);
  CHECK(still == decoder);
  const auto [as_before, faster] = changes([](auto& o) { o.lr *= 2; });
  CHECK(as_before == encoder);
  CHECK(faster == doctest::Approx(2 * decoder).epsilon(1e-3));
  // A warm-up begins with a thousandth of both.
  const auto [slow, slow_decoder] =
      changes([](auto& o) { o.schedule = Schedule::cosine, o.warmup_steps = 9; });
  CHECK(slow == doctest::Approx(1e-3 * encoder).epsilon(0.05));
  CHECK(slow_decoder == doctest::Approx(1e-3 * decoder).epsilon(0.05));
  const auto [decayed, decayed_decoder] = changes([](auto& o) { o.weight_decay = 50; });
  CHECK(decayed != encoder);
  CHECK(decayed_decoder != decoder);
}

TEST_CASE("pictures are read in the order of their names, and the trained parameters are the last stages'") {
  const ImageSource source = photos_in_the_box();
  LoadedEncoder encoder = small_encoder();
  TrainedEncoder trained(encoder, source, 1);
  const Tensor pictures = trained.read({kPhotos[3], kPhotos[1], kPhotos[3]});
  REQUIRE(pictures.shape() == Shape{3, 3, 64, 64});
  const std::vector<float> values = pictures.to_vector<float>();
  std::vector<float> expected(size_t{3} * 64 * 64);
  for (const auto& [at, photo] : {std::pair{0, 3}, {1, 1}, {2, 3}}) {
    const auto index = source.find(kPhotos[static_cast<size_t>(photo)]);
    to_chw(source.read_image(*index), encoder.preprocessing, expected.data());
    const auto begin = values.begin() + at * static_cast<int64_t>(expected.size());
    CHECK(std::equal(expected.begin(), expected.end(), begin));
  }
  // Place y * width + x of the features is that of the map.
  const Variable features = trained.forward(pictures), map = encoder.encoder->forward_features(pictures);
  REQUIRE(map.shape() == Shape{3, 1280, 2, 2});
  REQUIRE(features.shape() == Shape{3, 4, 1280});
  const auto f = features.data().to_vector<float>(), m = map.data().contiguous().to_vector<float>();
  for (size_t n = 0; n < 3; ++n)
    for (size_t place = 0; place < 4; ++place)
      for (size_t c = 0; c < 1280; c += 97)
        CHECK(f[(n * 4 + place) * 1280 + c] == m[(n * 1280 + c) * 4 + place]);

  std::set<std::string> names, expected_names;
  for (const auto& [name, parameter] : trained.parameters()) names.insert(name);
  for (const auto& [name, parameter] : encoder.encoder->named_parameters())
    if (is_in_last_stage(name)) expected_names.insert("encoder." + name);
  CHECK(names == expected_names);
  TrainedEncoder more(encoder, source, 2);
  CHECK(more.parameters().size() > names.size());
  const FeatureCache cache = more.encode({kPhotos[1], kPhotos[0]});
  CHECK(cache.names() == std::vector<std::string>{kPhotos[1], kPhotos[0]});
  CHECK(more.parameters().size() > names.size());  // as many as before

  tests::check_error(tensor::ErrorKind::argument, {"no photos"}, [&] { trained.encode({}); });
  Dataset data;
  data.photos = {{kPhotos[0], 0, {}, {}}, {"gone.jpg", 0, {}, {}}};
  tests::check_error(tensor::ErrorKind::data, {"'gone.jpg' is not there"},
                     [&] { trained.expect_photos(data); });
  data.photos.pop_back();
  trained.expect_photos(data);
  // One that cannot be read would shift the rows.
  const Folder folder("damaged_photo");
  fs::copy_file(tests::source_dir() / "assets/photos" / kPhotos[0], folder.path / kPhotos[0]);
  std::ofstream(folder.path / "bad.jpg") << "no picture";
  const ImageSource damaged({folder.path});
  TrainedEncoder with_damage(encoder, damaged, 1);
  for (const auto& names_of : {std::vector<std::string>{kPhotos[0], "bad.jpg"}, {"bad.jpg"}}) {
    tests::check_error(tensor::ErrorKind::data, {"bad.jpg"}, [&] { with_damage.encode(names_of); });
    CHECK(with_damage.parameters().size() == names.size());  // as before, though it failed
    tests::check_error(tensor::ErrorKind::data, {"bad.jpg"}, [&] { with_damage.read(names_of); });
  }
}

TEST_CASE("what the trained stages take can come from a cache, of changed photos, too") {
  const std::atomic<bool> go{false};
  const Folder folder("cached"), changed("changed"), anew("anew");
  FinetuneRun run(folder.path);
  CHECK(keeps_stage_inputs(run.encoder, 1));
  CHECK_FALSE(keeps_stage_inputs(run.encoder, 5));  // all: there is nothing to keep
  const auto kept = [&](Augmentation::Kind kind) {
    LoadedEncoder frozen = small_encoder();
    std::vector<int64_t> which;
    for (const std::string& name : kPhotos) which.push_back(*run.source.find(name));
    EncodeReport report;
    EncodeOptions options;
    options.augmentation.kind = kind;
    options.left_out_stages = 1;
    return encode_photos(frozen, run.source, which, report, options);
  };
  const FeatureCache plain = kept(Augmentation::Kind::none), mirror = kept(Augmentation::Kind::mirror);
  CHECK(plain.places() == 4 * 4);
  CHECK(plain.channels() == 120);
  CHECK(plain.key() == run.encoder.key + " before the last 1 stages");
  CHECK(mirror.key() == run.encoder.key + " mirror before the last 1 stages");

  // The same features but for 16 bits.
  const std::vector<std::string> names = {kPhotos[2], kPhotos[0]};
  const Tensor whole = run.trained.forward(run.trained.read(names)).data(),
               cached = run.trained.forward_cached(plain.rows({2, 0})).data();
  CHECK(cached.shape() == Shape{2, 4, 1280});
  CHECK(tests::relative_error(cached, whole) < 2e-3);
  CHECK(tests::relative_error(cached, whole) > 0);
  CHECK(tests::relative_error(run.trained.forward_cached(mirror.rows({2, 0})).data(), whole) > 0.05);

  // And the same steps, on those of the views that the epoch has.
  const auto losses = [&](const fs::path& out, const std::vector<const FeatureCache*>& views) {
    std::vector<double> all;
    FinetuneRun fresh(out);
    Trainer trainer(fresh.info(), fresh.features, fresh.data, fresh.data, finetune_options(), out, views,
                    &fresh.trained);
    TrainListener listener;
    listener.step = [&](const StepReport& r) { all.push_back(r.loss); };
    CHECK(trainer.run(listener, go) == Trainer::End::finished);
    return all;
  };
  const std::vector<double> from_photos = losses(anew.path, {}), from_plain = losses(folder.path, {&plain}),
                            in_turn = losses(changed.path, {&plain, &mirror});
  REQUIRE(from_photos.size() == 4);
  for (size_t i = 0; i < 4; ++i) {
    CAPTURE(i);
    CHECK(from_plain[i] == doctest::Approx(from_photos[i]).epsilon(1e-2));
  }
  CHECK(in_turn != from_plain);
}

TEST_CASE("what cannot be fine-tuned is refused") {
  const ImageSource source = photos_in_the_box();
  LoadedEncoder encoder = small_encoder();
  CHECK_THROWS_WITH_AS((TrainedEncoder{encoder, source, 7}), doctest::Contains("7 stages to train"),
                       tensor::Error);
  CHECK_THROWS_AS((TrainedEncoder{encoder, source, 0}), tensor::Error);
  TrainedEncoder trained(encoder, source, 1);
  CHECK_THROWS_WITH_AS(trained.read({"nowhere.jpg"}), doctest::Contains("'nowhere.jpg' is not there"),
                       tensor::Error);
  CHECK_THROWS_WITH_AS(trained.encode({"nowhere.jpg"}), doctest::Contains("'nowhere.jpg' is not there"),
                       tensor::Error);

  TrainOptions options = finetune_options();
  options.augment = Augmentation::Kind::original;
  CHECK_THROWS_WITH_AS(validate(options), doctest::Contains("does not go with --finetune"), tensor::Error);
  options = finetune_options();
  options.min_lr = 2e-3;
  CHECK_THROWS_WITH_AS(validate(options), doctest::Contains("is over the encoder's"), tensor::Error);
  options.schedule = Schedule::constant;
  CHECK_NOTHROW(validate(options));
  options = finetune_options();
  options.finetune = -1;
  CHECK_THROWS_AS(validate(options), tensor::Error);
  CHECK(train_options_from_json(to_json(finetune_options())) == finetune_options());

  const Folder folder("refused");
  // Changed photos are there from caches alone.
  options = finetune_options();
  options.augment = Augmentation::Kind::mirror;
  CHECK_THROWS_WITH_AS(FinetuneRun(folder.path, options), doctest::Contains("--augment changes what is kept"),
                       tensor::Error);
  {
    FinetuneRun run(folder.path);
    CHECK_THROWS_WITH_AS(
        Trainer(run.info(), run.features, run.data, run.data, finetune_options(), folder.path,
                {&run.features}, &run.trained),
        doctest::Contains("the trained stages take 120 channels, and what is kept of photos has 1280"),
        tensor::Error);
  }
  options = finetune_options();
  options.finetune = 0;
  CHECK_THROWS_WITH_AS(FinetuneRun(folder.path, options), doctest::Contains("come together"), tensor::Error);
  // The photos may have gone since they were encoded.
  fs::copy_file(tests::source_dir() / "assets/photos" / kPhotos[0], folder.path / kPhotos[0]);
  const ImageSource fewer({folder.path});
  FinetuneRun run(folder.path);
  TrainedEncoder without(encoder, fewer, 1);
  CHECK_THROWS_WITH_AS(
      Trainer(run.info(), run.features, run.data, run.data, finetune_options(), folder.path, {}, &without),
      doctest::Contains("'coco_000000000785.jpg' is not there"), tensor::Error);
}
