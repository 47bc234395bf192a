#include <algorithm>

#include "autograd/autocast.h"
#include "autograd/ops.h"
#include "imgcap/bench/jobs.h"
#include "imgcap/data/vocabulary.h"
#include "imgcap/models/decoder.h"
#include "nn/lstm.h"
#include "optim/adam.h"
#include "optim/clip.h"
#include "optim/grad_scaler.h"
#include "optim/step_block.h"
#include "tensor/kernels.h"

namespace imgcap::bench {
namespace {

using tensor::DType;

constexpr int64_t kPlaces = 49;

std::string arithmetic(Precision precision) {
  return precision == Precision::f32 ? "float32" : "autocast to " + to_string(precision);
}

// Random captions of random photos.
CaptionBatch random_batch(const TrainingWork& work, tensor::Generator& generator) {
  const int64_t of_a_photo = work.five ? 5 : 1;
  const Tensor features =
      random_normal({work.captions / of_a_photo, kPlaces, work.config.features}, generator).to(work.device);
  const int64_t longest = work.tokens + (work.five ? 6 : 0);
  Tensor draws = Tensor::empty({work.captions, longest});
  tensor::fill_uniform(draws, 4, static_cast<double>(work.config.vocabulary), generator);
  const float* draw = draws.data<float>();
  std::vector<CaptionRow> rows;
  for (int64_t r = 0; r < work.captions; ++r, draw += longest) {
    const int64_t tokens = work.tokens + (work.five ? 3 * (r % 5 - 2) : 0);
    std::vector<int64_t> ids{kSos};
    for (int64_t t = 1; t + 1 < tokens; ++t)
      ids.push_back(std::min(work.config.vocabulary - 1, static_cast<int64_t>(draw[t])));
    ids.push_back(kEos);
    rows.push_back({r / of_a_photo, std::move(ids)});
  }
  return pack(features, rows);
}

autograd::Variable step_loss(Decoder& decoder, const CaptionBatch& batch, const LossOptions& options,
                             DType precision) {
  const autograd::AutocastGuard autocast(precision);
  return decoder.loss(batch, options).loss;
}

Row train_step(DecoderKind kind, const RowOptions& options) {
  TrainingWork work;
  work.config.kind = kind;
  work.precision = options.precision;
  work.device = options.device;
  Row row;
  row.what = tensor::format("training step, {} captions of {} tokens, {} images, original widths, {}",
                            work.captions, work.tokens, work.captions, arithmetic(options.precision));
  row.unit = "captions";
  row.per_call = static_cast<double>(work.captions);
  row.timing = time_training(work, 2, options.calls);
  return row;
}

}  // namespace

tensor::Tensor random_normal(tensor::Shape shape, tensor::Generator& generator) {
  Tensor out = Tensor::empty(std::move(shape));
  tensor::fill_normal(out, 0, 1, generator);
  return out;
}

Timing time_training(const TrainingWork& work, int64_t warm_up, int64_t calls) {
  tensor::Generator generator(1);
  const auto decoder = make_decoder(work.config, generator);
  decoder->to(work.device);
  decoder->train();
  optim::AdamW optimizer(decoder->named_parameters(), {.lr = 4e-4, .weight_decay = 1e-4});
  const CaptionBatch batch = random_batch(work, generator);
  LossOptions options;
  options.teacher_forcing = 0.9;
  options.generator = &generator;
  const DType dtype = dtype_of(work.precision);
  optim::GradScaler scaler({.enabled = dtype == DType::f16});
  if (!work.device.is_cpu()) {
    // As a run does (TrainStep): the host waits for the step before.
    optim::StepBlock block(optimizer, scaler, {.generator = &generator, .clip_norm = 1});
    return measure(
        [&] {
          decoder->zero_grad();
          block.begin();
          const autograd::Variable loss = step_loss(*decoder, batch, options, dtype);
          block.scale(loss).backward();
          block.queue(loss);
          if (block.queued() > 1) block.settle();
        },
        warm_up, calls, work.device);
  }
  return measure(
      [&] {
        decoder->zero_grad();
        scaler.scale(step_loss(*decoder, batch, options, dtype)).backward();
        scaler.unscale_(optimizer);
        scaler.step(optimizer, optim::clip_coefficient(optim::grad_norm(decoder->parameters()), 1));
        scaler.update();
      },
      warm_up, calls);
}

double operations(const TrainingWork& work) {
  const DecoderConfig& c = work.config;
  const bool attends = c.kind == DecoderKind::attention;
  const int64_t input = c.embedding + (attends ? c.features : 0);
  // Of one word: the layers' gates, the scores of the vocabulary, and the attention's query, scores and context.
  int64_t word =
      4 * c.hidden * (input + c.hidden) + (c.layers - 1) * 8 * c.hidden * c.hidden + c.hidden * c.vocabulary;
  if (attends) word += c.hidden * c.attention + kPlaces * (c.attention + c.features);
  // Of one photo: the attention's keys, or the head.
  const int64_t photo = attends ? kPlaces * c.features * c.attention : c.features * c.embedding;
  // Backward makes two products of each, and a gradient of the photo's features is wanted by nobody.
  return 2.0 * static_cast<double>(work.captions) *
         (3.0 * static_cast<double>(work.tokens - 1) * static_cast<double>(word) +
          2.0 * static_cast<double>(photo));
}

Row train_attention(const RowOptions& options) { return train_step(DecoderKind::attention, options); }
Row train_plain(const RowOptions& options) { return train_step(DecoderKind::plain, options); }
Row train_attention_640(const RowOptions& options) {
  TrainingWork work;
  work.config.kind = DecoderKind::attention;
  work.precision = options.precision;
  work.device = options.device;
  work.captions = 640;
  work.five = true;
  Row row;
  row.what =
      tensor::format("training step, 128 photos with 5 captions of 14 to 26 tokens each, original widths, {}",
                     arithmetic(options.precision));
  row.unit = "captions";
  row.per_call = static_cast<double>(work.captions);
  row.timing = time_training(work, 2, options.calls);
  return row;
}

Row lstm(const RowOptions& options) {
  constexpr int64_t kSteps = 20, kSequences = 128, kInput = 512, kHidden = 1024;
  tensor::Generator generator(1);
  nn::LSTM layer(kInput, kHidden, {}, generator);
  layer.to(options.device);
  Variable x(random_normal({kSteps, kSequences, kInput}, generator).to(options.device), true);
  const DType dtype = dtype_of(options.precision);
  Row row;
  row.what = tensor::format("LSTM, 1 layer of {}, {} sequences of {} steps of {}, forward and backward, {}",
                            kHidden, kSequences, kSteps, kInput, arithmetic(options.precision));
  row.unit = "sequences";
  row.per_call = kSequences;
  row.timing = measure(
      [&] {
        layer.zero_grad();
        x.zero_grad();
        const autograd::AutocastGuard autocast(dtype);
        autograd::sum(layer(x).outputs).backward();
      },
      2, options.calls, options.device);
  return row;
}

}  // namespace imgcap::bench
