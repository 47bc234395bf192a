// Whole training runs on a device: validation, self-critical training, checkpoints, going on on another device. The fake
// device runs the CPU's kernels, so all files are the CPU's to the byte.
#include "imgcap/training/trainer.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "autograd/autocast.h"
#include "imgcap/decoding/caption_search.h"
#include "imgcap/explain.h"
#include "imgcap/models/ensemble.h"
#include "imgcap/training/confidence.h"
#include "tensor/error.h"
#include "tests/fake_device/fake_device.h"
#include "tests/training/toy_run.h"

using namespace imgcap;

namespace {

using Folder = tests::TemporaryFolder;

}  // namespace

TEST_CASE("a run on a device writes the CPU's files") {
  const Toy toy;
  std::vector<TrainOptions> all(5, toy_options());
  all[1].precision = Precision::f16;
  all[1].loss_scale = 1e8;
  all[2].precision = Precision::bf16;
  all[2].average_decay = 0.9;
  all[2].clip_norm = 0.1;
  all[3] = all[4] = self_critical_options();
  all[4].precision = Precision::f16;
  for (const TrainOptions& options : all) {
    const Folder here("here"), there("there");
    run_toy(toy, options, here.path, Device::cpu());
    run_toy(toy, options, there.path, Device::cuda());
    check_same_files(here, there);
  }
}

// What was found out is read when the next step is under way; what a pause looks at is waited for besides.
TEST_CASE("a training step waits once") {
  Toy toy;
  toy.data.sets = {{.name = "one", .weight = 2}, {.name = "other"}};
  toy.data.photos.front().set = 1;
  for (const Precision precision : {Precision::f32, Precision::f16}) {
    TrainOptions options = toy_options();
    options.precision = precision;
    options.loss_scale = 1e8;
    options.batch_photos = 1;
    options.epochs = 2;
    options.average_decay = 0.9;
    options.clip_value = 0.5;
    const Folder folder("waits");
    Trainer trainer(toy.info, toy.features, toy.data, toy.data, options, folder.path, {}, nullptr,
                    Device::cuda());
    std::vector<int64_t> waits, steps;
    TrainListener listener;
    listener.step = [&](const StepReport& r) {
      steps.push_back(r.step);
      waits.push_back(tests::fake_device_counts().waits);
    };
    trainer.run(listener, std::atomic<bool>{false});
    REQUIRE(steps.size() == 16);
    for (size_t i = 1; i < steps.size(); ++i) {
      CHECK(steps[i] == steps[i - 1] + 1);
      if (i != 8) CHECK(waits[i] == waits[i - 1] + 1);  // between the epochs it is validated
    }
  }
}

TEST_CASE("a loss that is not finite ends a run on a device with the CPU's words") {
  Toy toy;
  for (const Device& device : {Device::cpu(), Device::cuda()}) {
    const Folder folder("diverged");
    Trainer trainer(toy.info, toy.features, toy.data, toy.data, toy_options(), folder.path, {}, nullptr,
                    device);
    autograd::Variable(trainer.decoder().named_parameters().front().second).mutable_data().fill_(NAN);
    const std::atomic<bool> go{false};
    CHECK_THROWS_WITH_AS(trainer.run({}, go),
                         "train: the loss of step 1 is nan; a lower learning rate may help", tensor::Error);
  }
}

TEST_CASE("a run goes on on another device, to the bit") {
  const Toy toy;
  TrainOptions options = toy_options();
  options.average_decay = 0.9;
  const Folder whole("whole"), changing("changing");
  run_toy(toy, options, whole.path, Device::cpu());
  run_toy(toy, options, changing.path, Device::cpu(), 3);
  run_toy(toy, options, changing.path, Device::cuda(1), 7);
  run_toy(toy, options, changing.path, Device::cuda(0), 9);
  run_toy(toy, options, changing.path, Device::cpu());
  check_same_files(whole, changing);
}

TEST_CASE("looking for what is not finite works on a device") {
  Toy toy;
  const Folder folder("anomaly");
  Trainer trainer(toy.info, toy.features, toy.data, toy.data, toy_options(), folder.path, {}, nullptr,
                  Device::cuda());
  trainer.detect_anomaly(true);
  const std::atomic<bool> go{false};
  CHECK(trainer.run({}, go) == Trainer::End::finished);
}

TEST_CASE("searches on a device find the CPU's captions") {
  const Toy toy;
  BeamOptions wide, ruled, original;
  wide.beam = 4;
  wide.nbest = 3;
  wide.attention = true;
  ruled.rules.no_repeat_ngram = 1;
  ruled.rules.tokens = toy.vocabulary.tokens();
  original.kind = SearchKind::hundred_steps;
  SamplingOptions drawn;
  drawn.samples = 3;
  tensor::Generator draws(3);
  std::vector<SearchRequest> requests = {
      {}, {.search = wide}, {.search = ruled}, {.search = original}, {.search = drawn, .generator = &draws}};
  std::vector<std::vector<Hypothesis>> found[2];
  for (const Device& device : {Device::cpu(), Device::cuda()}) {
    tensor::Generator generator(5);
    const auto decoder = make_decoder(toy.info.decoder, generator);
    decoder->to(device);
    decoder->eval();
    draws = tensor::Generator(3);
    std::vector<int64_t> rows;
    for (size_t i = 0; i < requests.size(); ++i) rows.push_back(static_cast<int64_t>(i));
    found[device.is_cpu() ? 0 : 1] = find_captions(*decoder, toy.features.rows(rows, device), requests);
    // Features that are elsewhere are brought.
    CHECK(find_captions(*decoder, toy.features.rows({0}), {requests[0]})[0][0].words ==
          found[device.is_cpu() ? 0 : 1][0][0].words);
  }
  REQUIRE(found[0].size() == found[1].size());
  for (size_t i = 0; i < found[0].size(); ++i) {
    REQUIRE(found[0][i].size() == found[1][i].size());
    for (size_t k = 0; k < found[0][i].size(); ++k) {
      CHECK(found[0][i][k].words == found[1][i][k].words);
      CHECK(found[0][i][k].token_log_probabilities == found[1][i][k].token_log_probabilities);
      CHECK(found[0][i][k].attention == found[1][i][k].attention);
    }
  }
}

TEST_CASE("an ensemble on a device captions as on the CPU, and gradient maps are made there") {
  std::vector<std::vector<Hypothesis>> found;
  std::vector<std::vector<std::vector<float>>> maps;
  for (const Device& device : {Device::cpu(), Device::cuda()}) {
    std::vector<std::unique_ptr<Decoder>> members;
    const Toy toy;
    for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain, DecoderKind::attention}) {
      tensor::Generator generator(5 + members.size());
      members.push_back(make_decoder(Toy(kind).info.decoder, generator));
      members.back()->to(device);
      members.back()->eval();
    }
    maps.push_back(gradient_maps(*members[1], toy.features.rows({0}), {5, 6, 7}, kSos));
    Ensemble ensemble(std::move(members));
    BeamOptions options;
    options.nbest = options.beam = 4;
    options.attention = true;
    found.push_back(find_captions(ensemble, toy.features.rows({2}), {{.search = options}})[0]);
  }
  REQUIRE(found[0].size() == 4);
  CHECK_FALSE(found[0][3].attention.empty());
  for (size_t i = 0; i < 4; ++i) {
    CHECK(found[0][i].words == found[1][i].words);
    // A device adds probabilities up by kernels, the CPU in one loop.
    REQUIRE(found[0][i].token_log_probabilities.size() == found[1][i].token_log_probabilities.size());
    for (size_t t = 0; t < found[0][i].token_log_probabilities.size(); ++t)
      CHECK(std::abs(found[0][i].token_log_probabilities[t] - found[1][i].token_log_probabilities[t]) <=
            1e-5);
    CHECK(found[0][i].attention == found[1][i].attention);
  }
  CHECK(maps[0].size() == 3);
  CHECK(maps[0] == maps[1]);
}

TEST_CASE(
    "a batch goes to a device in two parts, its features in 16 bits, where they stay if that is wanted") {
  const Toy toy;
  const CaptionBatch here = make_batch(toy.data, {0, 3, 5}, toy.features);
  for (const tensor::DType dtype : {tensor::DType::f32, tensor::DType::f16}) {
    const tests::FakeDeviceCounts before = tests::fake_device_counts();
    const CaptionBatch batch =
        make_batch(toy.data, {0, 3, 5}, toy.features, FeaturesAs(Device::cuda(), dtype));
    const tests::FakeDeviceCounts after = tests::fake_device_counts();
    CHECK(after.uploads == before.uploads + 2);
    CHECK(after.bytes_uploaded - before.bytes_uploaded ==
          batch.features.data().numel() * 2 +
              (batch.words.numel() + batch.image.numel() + batch.targets.numel() + batch.fed.numel()) * 8);
    CHECK(after.waits == before.waits);
    // The uploads, and the widening.
    CHECK(after.launches - before.launches == (dtype == tensor::DType::f32 ? 3 : 2));
    CHECK(batch.features.dtype() == dtype);
    CHECK(batch.features.data().to(tensor::DType::f32).to_vector<float>() ==
          here.features.data().to_vector<float>());
    for (const auto part :
         {&CaptionBatch::words, &CaptionBatch::image, &CaptionBatch::targets, &CaptionBatch::fed})
      CHECK((batch.*part).to_vector<int64_t>() == (here.*part).to_vector<int64_t>());
  }
  // Weights go with the words.
  const Dataset weighted = join_sets({toy.data}, {{.name = "toy", .weight = 0.5}});
  const tests::FakeDeviceCounts before = tests::fake_device_counts();
  const CaptionBatch batch = make_batch(weighted, {0, 3, 5}, toy.features, FeaturesAs(Device::cuda()));
  CHECK(tests::fake_device_counts().uploads == before.uploads + 2);
  CHECK(batch.factors.to_vector<double>() ==
        std::vector<double>(static_cast<size_t>(batch.targets.numel()), 0.5));
  // Without features, for an encoder that is trained.
  const CaptionBatch bare = make_batch(toy.data, {0, 3, 5}, Device::cuda(1));
  CHECK(bare.words.device() == Device::cuda(1));
  CHECK(bare.targets.to_vector<int64_t>() == here.targets.to_vector<int64_t>());
}

// Of a step in f16 that reads features as they came: neither copies in f32 nor a conversion of them.
TEST_CASE("a step in f16 takes a batch's features as they are, with the same bits") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    Toy toy(kind);
    toy.info.decoder.initial_state = toy.info.decoder.gate = kind == DecoderKind::attention;
    std::vector<float> losses;
    std::vector<int64_t> launches;
    for (const tensor::DType dtype : {tensor::DType::f32, tensor::DType::f16}) {
      tensor::Generator generator(5), draws(6);
      const auto decoder = make_decoder(toy.info.decoder, generator);
      decoder->to(Device::cuda());
      const CaptionBatch batch =
          make_batch(toy.data, {0, 3, 5}, toy.features, FeaturesAs(Device::cuda(), dtype));
      LossOptions options;
      options.generator = &draws;
      const int64_t before = tests::fake_device_counts().launches;
      const autograd::AutocastGuard autocast(tensor::DType::f16);
      const CaptionLoss loss = decoder->loss(batch, options);
      launches.push_back(tests::fake_device_counts().launches - before);
      loss.loss.backward();
      losses.push_back(static_cast<float>(loss.loss.item()));
      for (const auto& [name, parameter] : decoder->named_parameters())
        for (const float g : parameter.grad().data().to_vector<float>()) losses.push_back(g);
    }
    const size_t half = losses.size() / 2;
    CHECK(std::equal(losses.begin(), losses.begin() + static_cast<int64_t>(half),
                     losses.begin() + static_cast<int64_t>(half), losses.end()));
    // Keys' operand and values are no more converted, the mean is; the plain model has that alone.
    CHECK(launches[1] - launches[0] == (kind == DecoderKind::attention ? -1 : 1));
  }
}

TEST_CASE("a search fetches the likeliest words of a device, not all") {
  Toy toy;
  toy.info.decoder.vocabulary = 5000;
  tensor::Generator generator(5);
  const auto decoder = make_decoder(toy.info.decoder, generator);
  decoder->to(Device::cuda());
  decoder->eval();
  BeamOptions options;
  options.max_words = 8;
  options.range = {.first = 100, .end = 4000};
  const tests::FakeDeviceCounts before = tests::fake_device_counts();
  const auto found = find_captions(*decoder, toy.features.rows({0, 1, 2, 3}),
                                   std::vector<SearchRequest>(4, {.search = options}));
  CHECK(found.size() == 4);
  // At most 9 steps of 20 rows, of each 9 words with their numbers, in f64.
  CHECK(tests::fake_device_counts().bytes_downloaded - before.bytes_downloaded <= 9 * 20 * 9 * 16);
}

TEST_CASE("a decoder on a device whose numbers are none is an error, not a caption") {
  const Toy toy;
  for (const Device& device : {Device::cpu(), Device::cuda()}) {
    tensor::Generator generator(5);
    const auto decoder = make_decoder(toy.info.decoder, generator);
    decoder->parameter(Decoder::kOutputBias).mutable_data().fill_(NAN);
    decoder->to(device);
    decoder->eval();
    BeamOptions ranged;
    ranged.range = {.first = 5, .end = 12};
    for (const BeamOptions& options : {BeamOptions{}, ranged})
      CHECK_THROWS_WITH_AS(find_captions(*decoder, toy.features.rows({0}), {{.search = options}}),
                           doctest::Contains("the decoder's output is not a number"), tensor::Error);
  }
}

TEST_CASE("nothing of a device is left when its runs are over") {
  CHECK(tests::fake_device_counts().blocks_in_use == 0);
}
