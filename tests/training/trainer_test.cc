#include "imgcap/training/trainer.h"

#include <doctest/doctest.h>
#include <malloc.h>

#include <cmath>

#include "autograd/node.h"
#include "optim/adam.h"
#include "optim/clip.h"
#include "tensor/allocator.h"
#include "tensor/error.h"
#include "tests/folder.h"
#include "tests/training/toy.h"

using namespace imgcap;

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
  options.batch_photos = 1;  // 8 steps an epoch
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
  TrainOptions large = toy_options();
  large.batch_photos = 9;
  CHECK_THROWS_WITH_AS(Trainer(toy.info, toy.features, toy.data, toy.data, large, folder.path),
                       doctest::Contains("a batch of 9 photos"), tensor::Error);
}

TEST_CASE("one batch over-fits, and its captions come back") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    CAPTURE(to_string(kind));
    Toy toy(kind);
    toy.info.decoder.layer_dropout = 0;
    toy.info.decoder.hidden = toy.info.decoder.embedding = 48;
    // One caption a photo: two captions of one photo have a loss that cannot vanish.
    for (auto& [name, texts] : toy.captions) texts.resize(1);
    const Dataset data = make_dataset(toy.captions, toy.names, toy.features, toy.vocabulary);
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
  options.compat_original = true;
  options.generator = &generator;
  CHECK(std::fabs(decoder->loss(batch, options).loss.item() - 8.318) < 0.01);
}
