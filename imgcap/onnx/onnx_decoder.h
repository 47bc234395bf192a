// A decoder as two ONNX graphs: what is done once for a photo, and what is done for each word.
#pragma once

#include "imgcap/models/decoder.h"
#include "imgcap/onnx/onnx_graph.h"

namespace imgcap {

// `features` (batch, places, channels) -> `h0`, `c0` (layers, batch, hidden): the state before <sos>. The
// plain model has seen the photo then.
OnnxGraph onnx_decoder_start(const Decoder& decoder);

// `features` (attention model only), `word` (batch) i64, `h`, `c` (layers, batch, hidden) ->
// `log_probabilities` (batch, vocabulary) of the next word, `next_h`, `next_c`, and, of the attention model,
// `attention` (batch, places).
OnnxGraph onnx_decoder_step(const Decoder& decoder);

}  // namespace imgcap
