#include "imgcap/bench/rows.h"

#include <algorithm>
#include <cmath>

#include "autograd/autocast.h"
#include "imgcap/data/vocabulary.h"
#include "imgcap/decoding/beam_search.h"
#include "imgcap/models/decoder.h"
#include "imgcap/models/encoder.h"
#include "optim/adam.h"
#include "optim/clip.h"
#include "optim/grad_scaler.h"
#include "tensor/error.h"
#include "tensor/kernels.h"

namespace imgcap::bench {
namespace {

using tensor::DType;

constexpr int64_t kPlaces = 49, kChannels = 2048;

Tensor random_normal(tensor::Shape shape, tensor::Generator& generator) {
  Tensor out = Tensor::empty(std::move(shape));
  tensor::fill_normal(out, 0, 1, generator);
  return out;
}

// `captions` captions of `tokens` tokens, <sos> and <eos> among them, each of an image of its own.
CaptionBatch random_batch(int64_t captions, int64_t tokens, int64_t vocabulary,
                          tensor::Generator& generator) {
  const Tensor features = random_normal({captions, kPlaces, kChannels}, generator);
  Tensor draws = Tensor::empty({captions, tokens});
  tensor::fill_uniform(draws, 4, static_cast<double>(vocabulary), generator);
  const float* draw = draws.data<float>();
  std::vector<CaptionRow> rows;
  for (int64_t r = 0; r < captions; ++r, draw += tokens) {
    std::vector<int64_t> ids{kSos};
    for (int64_t t = 1; t + 1 < tokens; ++t)
      ids.push_back(std::min(vocabulary - 1, static_cast<int64_t>(draw[t])));
    ids.push_back(kEos);
    rows.push_back({r, std::move(ids)});
  }
  return pack(features, rows);
}

autograd::Variable step_loss(Decoder& decoder, const CaptionBatch& batch, const LossOptions& options,
                             DType precision) {
  const autograd::AutocastGuard autocast(precision);
  return decoder.loss(batch, options).loss;
}

Row train_step(DecoderKind kind, int64_t calls, Precision precision) {
  constexpr int64_t kCaptions = 128, kTokens = 20;
  tensor::Generator generator(1);
  DecoderConfig config;
  config.kind = kind;
  const auto decoder = make_decoder(config, generator);
  decoder->train();
  optim::AdamW optimizer(decoder->named_parameters(), {.lr = 4e-4, .weight_decay = 1e-4});
  const CaptionBatch batch = random_batch(kCaptions, kTokens, config.vocabulary, generator);
  LossOptions options;
  options.teacher_forcing = 0.9;
  options.generator = &generator;
  const DType dtype = dtype_of(precision);
  optim::GradScaler scaler({.enabled = dtype == DType::f16});
  Row row;
  row.what = tensor::format("training step, 128 captions of 20 tokens, 128 images, original widths, {}",
                            precision == Precision::f32 ? "float32" : "autocast to " + to_string(precision));
  row.unit = "captions";
  row.per_call = kCaptions;
  row.timing = measure(
      [&] {
        decoder->zero_grad();
        scaler.scale(step_loss(*decoder, batch, options, dtype)).backward();
        scaler.unscale_(optimizer);
        scaler.step(optimizer, optim::clip_coefficient(optim::grad_norm(decoder->parameters()), 1));
        scaler.update();
      },
      2, calls);
  return row;
}

std::unique_ptr<Encoder> random_resnet50() {
  auto encoder = make_encoder("resnet50");
  encoder->freeze();
  return encoder;
}

Row resnet50(int64_t photos, int64_t calls) {
  tensor::Generator generator(1);
  const auto encoder = random_resnet50();
  const Tensor pictures = random_normal({photos, 3, 224, 224}, generator);
  Row row;
  row.what = photos == 1 ? "frozen ResNet50, 1 photo, float32"
                         : tensor::format("frozen ResNet50, {} photos at once, float32", photos);
  row.unit = "photos";
  row.per_call = static_cast<double>(photos);
  row.timing = measure([&] { encoder->features(pictures); }, 2, calls);
  return row;
}

// Untrained features are huge and saturate the attention; divided by their deviation they cost what trained
// ones do.
Tensor of_order_one(const Tensor& features) {
  const Tensor dense = features.permute({0, 2, 3, 1}).contiguous();
  const float* x = dense.data<float>();
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < dense.numel(); ++i) sum += x[i], squares += static_cast<double>(x[i]) * x[i];
  const auto n = static_cast<double>(dense.numel());
  const double deviation = std::sqrt(squares / n - sum / n * (sum / n));
  Tensor scaled = Tensor::empty(dense.shape());
  float* y = scaled.mutable_data<float>();
  for (int64_t i = 0; i < dense.numel(); ++i) y[i] = static_cast<float>(x[i] / deviation);
  return scaled;
}

Row caption_resnet50(int64_t calls) {
  tensor::Generator generator(1);
  const auto encoder = random_resnet50();
  DecoderConfig config;
  const auto decoder = make_decoder(config, generator);
  decoder->eval();
  // Random weights would end a caption anywhere: no end, so that each run makes all steps.
  decoder->parameter(Decoder::kOutputBias).mutable_data().mutable_data<float>()[kEos] = -100;
  const Tensor picture = random_normal({1, 3, 224, 224}, generator);
  BeamOptions search;
  search.beam = 5;
  search.max_words = 30;
  Row row;
  row.what = "one photo to a caption of 30 words, beam 5, ResNet50, original widths, float32";
  row.unit = "photos";
  row.timing = measure(
      [&] {
        const Tensor map = encoder->features(picture);
        beam_search(*decoder, of_order_one(map).reshape({1, kPlaces, kChannels}), search);
      },
      2, calls);
  return row;
}

}  // namespace

std::vector<std::string> row_names(Precision precision) {
  if (precision != Precision::f32) return {"train-attention", "train-plain"};
  return {"train-attention", "train-plain", "resnet50-b1", "resnet50-b8", "caption-resnet50"};
}

Row run_row(const std::string& name, int64_t calls, Precision precision) {
  const std::vector<std::string> names = row_names(precision);
  tensor::check(std::find(names.begin(), names.end(), name) != names.end(), tensor::ErrorKind::argument,
                "bench: there is no row '{}' in {}; there are {}", name, to_string(precision),
                tensor::join(names, ", "));
  Row row;
  if (name == "train-attention")
    row = train_step(DecoderKind::attention, calls, precision);
  else if (name == "train-plain")
    row = train_step(DecoderKind::plain, calls, precision);
  else if (name == "resnet50-b1")
    row = resnet50(1, calls * 4);
  else if (name == "resnet50-b8")
    row = resnet50(8, calls);
  else
    row = caption_resnet50(calls * 2);
  row.name = name;
  return row;
}

}  // namespace imgcap::bench
