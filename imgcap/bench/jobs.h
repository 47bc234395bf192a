// What the rows and the table of growth measure, one function for each kind of job.
#pragma once

#include <cstdint>

#include "imgcap/bench/rows.h"
#include "imgcap/models/decoder_config.h"
#include "imgcap/models/encoder.h"

namespace imgcap::bench {

tensor::Tensor random_normal(tensor::Shape shape, tensor::Generator& generator);

// training_rows.cc

// A training step with random features of photos, 49 places each.
struct TrainingWork {
  DecoderConfig config;
  // Of a photo each; or, with `five`, five of each photo, of which these have 14, 17, 20, 23 and 26 tokens.
  int64_t captions = 128;
  int64_t tokens = 20;  // <sos> and <eos> among them
  bool five = false;
  Precision precision = Precision::f32;
  tensor::Device device{};
};
Timing time_training(const TrainingWork& work, int64_t warm_up, int64_t calls);
// Of the step's matrix products, forward and backward; a multiply-add counts as 2.
double operations(const TrainingWork& work);

Row train_attention(const RowOptions& options);
Row train_plain(const RowOptions& options);
Row train_attention_640(const RowOptions& options);
Row lstm(const RowOptions& options);

// search_rows.cc
Row search_1000(const RowOptions& options);

// encoder_rows.cc

// A frozen encoder's features in one of the precisions that it has (encoder_arithmetic.h). Errors: argument.
tensor::Tensor encode(Encoder& encoder, const tensor::Tensor& pictures, Precision precision);

Row resnet50_b1(const RowOptions& options);
Row resnet50_b8(const RowOptions& options);
Row resnet50_b256(const RowOptions& options);
Row lite2_b1(const RowOptions& options);
Row lite2_b16(const RowOptions& options);
Row lite2_b256(const RowOptions& options);
Row prepare(const RowOptions& options);
Row encode_31783(const RowOptions& options);
Row caption_resnet50(const RowOptions& options);

// Seconds from files to a cache that is written, by the number of photos: all that `folder` has, again and
// again under other names.
double time_prepare(const std::string& folder, const std::string& weights, int64_t photos);

}  // namespace imgcap::bench
