// An encoder whose last stages are trained along with the decoder.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "imgcap/data/archive.h"
#include "imgcap/training/dataset.h"
#include "imgcap/training/encode.h"
#include "optim/optimizer.h"

namespace imgcap {

// Whether what the last `stages` stages take is worth keeping for each photo: something has been made of it, which
// takes no more than four times the features. Errors: argument (there are not that many).
bool keeps_stage_inputs(const LoadedEncoder& encoder, int stages);

// Convolutions and the affine parameters of batch norm are trained. The encoder stays in evaluation mode, so
// that batch norm keeps its running statistics: a batch of a few photos has poor ones of its own, and what
// validation and later use see is then what was trained. The weights of the last stages change from step to step;
// what the frozen ones before them make of a photo can come from a cache (EncodeOptions::left_out_stages).
class TrainedEncoder {
 public:
  // Keeps references to both. An argument error when the encoder has fewer stages; `stages` is at least 1.
  TrainedEncoder(LoadedEncoder& encoder, const ImageSource& source, int stages);

  // A data error that names the first photo of `data` that the source does not have.
  void expect_photos(const Dataset& data) const;

  // The named photos, decoded and preprocessed: (n, 3, height, width) f32. Uses no weights, so that a thread
  // may read ahead. Errors: io, data (a photo that is missing or cannot be read).
  tensor::Tensor read(const std::vector<std::string>& names) const;
  // Features (n, p, d) of pictures (n, 3, h, w), with a graph.
  Variable forward(const tensor::Tensor& pictures);
  // The same of what the trained stages take, rows (n, places, channels) of a cache.
  Variable forward_cached(const Variable& rows);
  // Features of the named photos with the present weights and without a graph, rows in the order of the
  // names: as a later encode_photos gives them to the bit. Errors: io, data (a photo that is missing or
  // cannot be read).
  FeatureCache encode(const std::vector<std::string>& names);

  Encoder& encoder() { return *encoder_.encoder; }
  // What is trained, as "encoder.NAME".
  optim::NamedParameters parameters() const;

 private:
  int64_t index_of(const std::string& name) const;
  Variable as_rows(const Variable& map) const;

  LoadedEncoder& encoder_;
  const ImageSource& source_;
  int stages_;
};

}  // namespace imgcap
