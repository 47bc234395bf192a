#include "imgcap/models/decoder.h"

#include <algorithm>
#include <bit>

#include "autograd/ops.h"
#include "imgcap/data/vocabulary.h"
#include "imgcap/models/attention_decoder.h"
#include "imgcap/models/plain_decoder.h"
#include "nn/init.h"
#include "tensor/error.h"
#include "tensor/kernels.h"

namespace imgcap {
namespace {

void gather(Tensor& x, tensor::Room& room, const Tensor& rows) {
  if (!x.defined()) return;
  Tensor out = room.take({rows.size(0), x.size(1)}, x.dtype(), x.device());
  tensor::kernels::embedding(out, x, rows);
  x = out;
}

void gather(std::vector<Tensor>& layers, std::vector<tensor::Room>& rooms, const Tensor& rows) {
  rooms.resize(layers.size());
  for (size_t l = 0; l < layers.size(); ++l) gather(layers[l], rooms[l], rows);
}

}  // namespace

void DecodingState::select(const Tensor& rows) {
  gather(h, rooms.h, rows);
  gather(c, rooms.c, rows);
  gather(alpha, rooms.alpha, rows);
  for (DecodingState& member : members) member.select(rows);
  if (!image.defined()) return;
  Tensor column = image.unsqueeze(1);
  gather(column, rooms.image, rows);
  image = column.squeeze(1);
}

DecodingState Decoder::select(const DecodingState& state, const Tensor& rows) {
  DecodingState selected = state;
  selected.select(rows);
  return selected;
}

Tensor Decoder::logits(const Tensor& hidden) {
  const autograd::NoGrad no_grad;
  const autograd::PackedGuard packed(packed_);
  return autograd::linear(hidden, parameter(kOutputWeight), parameter(kOutputBias)).data();
}

void Decoder::tie_weights(tensor::Generator& generator) {
  // One matrix serves two ends: the smaller spread of the output layer suits both (Press and Wolf 2017).
  nn::init::uniform(parameter(kEmbedding).mutable_data(), -0.1, 0.1, generator);
  replace_parameter(kOutputWeight, parameter(kEmbedding));
}

CaptionBatch pack(const Variable& features, std::vector<CaptionRow>& rows, const Device& device) {
  std::stable_sort(rows.begin(), rows.end(),
                   [](const CaptionRow& a, const CaptionRow& b) { return a.ids.size() > b.ids.size(); });
  const auto n = static_cast<int64_t>(rows.size());
  const auto longest = n == 0 ? int64_t{0} : static_cast<int64_t>(rows.front().ids.size());
  CaptionBatch batch{features, {}, {}, {}, {}, 0};
  int64_t total = 0;
  for (const CaptionRow& row : rows) {
    batch.images.push_back(row.image);
    for (const int64_t id : row.ids) batch.greatest_word = std::max(batch.greatest_word, id);
    batch.lengths.push_back(std::ssize(row.ids));
    total += std::ssize(row.ids);
  }
  const bool weighted =
      std::any_of(rows.begin(), rows.end(), [](const CaptionRow& r) { return r.weight != 1; });
  // One tensor, and so one way to a device: the words, the images, the targets, what is fed, and the weights' bits.
  Tensor all = Tensor::full({n * longest + n + (weighted ? 3 : 2) * total}, kPad, tensor::DType::i64);
  int64_t *words = all.mutable_data<int64_t>(), *image = words + n * longest, *target = image + n,
          *fed = target + total, *factor = fed + total;
  for (const CaptionRow& row : rows) {
    *image++ = row.image;
    std::copy(row.ids.begin(), row.ids.end(), words);
    words += longest;
    if (weighted) batch.weights.push_back(row.weight);
  }
  for (size_t t = 0; t < static_cast<size_t>(longest); ++t)
    for (const CaptionRow& row : rows) {
      if (row.ids.size() <= t) break;
      *target++ = row.ids[t];
      *fed++ = t == 0 ? 0 : row.ids[t - 1];
      if (weighted) *factor++ = std::bit_cast<int64_t>(row.weight);
    }
  all = all.to(features.defined() ? features.device() : device);
  int64_t at = 0;
  const auto next = [&](int64_t size) {
    at += size;
    return all.slice(0, at - size, at);
  };
  batch.words = next(n * longest).view({n, longest});
  batch.image = next(n);
  batch.targets = next(total);
  batch.fed = next(total);
  if (weighted) batch.factors = next(total).bits_as(tensor::DType::f64);
  return batch;
}

Device Decoder::device() const {
  const auto parameters = named_parameters();
  return parameters.empty() ? Device::cpu() : parameters.front().second.device();
}

std::string Decoder::describe() const {
  return config_.kind == DecoderKind::attention ? "AttentionDecoder" : "PlainDecoder";
}

std::unique_ptr<Decoder> make_decoder(const DecoderConfig& config, tensor::Generator& generator) {
  if (config.kind == DecoderKind::attention) return std::make_unique<AttentionDecoder>(config, generator);
  return std::make_unique<PlainDecoder>(config, generator);
}

}  // namespace imgcap
