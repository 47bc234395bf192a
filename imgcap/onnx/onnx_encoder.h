// An encoder as an ONNX graph.
#pragma once

#include "imgcap/models/encoder.h"
#include "imgcap/onnx/onnx_graph.h"

namespace imgcap {

// `pixels` (batch, 3, height, width) f32, preprocessed -> `features` (batch, places, channels) f32, rows of
// the map one after the other, as decoders want them. Batch norm is folded into the convolutions, in the
// encoder's evaluation mode.
OnnxGraph onnx_encoder(const Encoder& encoder, int64_t height, int64_t width);

}  // namespace imgcap
