#include "imgcap/models/decoder.h"

#include "imgcap/models/attention_decoder.h"
#include "imgcap/models/plain_decoder.h"
#include "tensor/error.h"
#include "tensor/kernels.h"

namespace imgcap {
namespace {

Tensor gather(const Tensor& x, const Tensor& rows) {
  if (!x.defined()) return {};
  Tensor out = Tensor::empty({rows.size(0), x.size(1)}, x.dtype(), x.device());
  tensor::kernels::embedding(out, x, rows);
  return out;
}

}  // namespace

DecodingState Decoder::select(const DecodingState& state, const Tensor& rows) {
  DecodingState selected = state;
  for (Tensor& h : selected.h) h = gather(h, rows);
  for (Tensor& c : selected.c) c = gather(c, rows);
  selected.alpha = gather(state.alpha, rows);
  if (state.image.defined()) {
    selected.image = Tensor::empty(rows.shape(), tensor::DType::i64);
    const int64_t *from = state.image.data<int64_t>(), *row = rows.data<int64_t>();
    int64_t* to = selected.image.mutable_data<int64_t>();
    for (int64_t i = 0; i < rows.numel(); ++i) to[i] = from[row[i]];
  }
  return selected;
}

Tensor Decoder::logits(const Tensor& hidden) {
  return packed_.linear("fc", hidden, parameter("fc.weight").data(), parameter("fc.bias").data());
}

std::string Decoder::describe() const {
  return config_.kind == DecoderKind::attention ? "AttentionDecoder" : "PlainDecoder";
}

std::unique_ptr<Decoder> make_decoder(const DecoderConfig& config, tensor::Generator& generator) {
  if (config.kind == DecoderKind::attention) return std::make_unique<AttentionDecoder>(config, generator);
  return std::make_unique<PlainDecoder>(config, generator);
}

}  // namespace imgcap
