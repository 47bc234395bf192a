// The measured jobs: random weights and data of the original's sizes, so that nothing has to be downloaded; the
// row prepare alone takes photos and an encoder's weights.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "imgcap/bench/timing.h"
#include "imgcap/training/train_options.h"

namespace imgcap::bench {

struct Row {
  std::string name;     // "train-attention"
  std::string what;     // in one line, for people
  std::string unit;     // what is counted: "captions", "photos"
  double per_call = 1;  // units per call
  Timing timing;
  double device_peak_mib = 0;  // of a device's memory, the most that was in use

  double per_second() const { return per_call / timing.median; }
};

struct RowOptions {
  int64_t calls = 5;  // short rows make several times as many
  Precision precision = Precision::f32;
  tensor::Device device{};
  // Of the row prepare: a folder, and a file for the encoder EfficientNet-Lite2.
  std::string photos{}, weights{};
};

// train-attention, train-plain: a training step of the original's decoder: 128 captions of 20 tokens of 128
//   images, forward, backward, clip, AdamW; the next word is the caption's with probability 0.9. In f16 and
//   bf16 under autocast, in f16 with a GradScaler, too.
// lstm: nn::LSTM alone, one layer of 1024 on 128 sequences of 20 steps of 512, forward and backward, in f16 and
//   bf16 under autocast.
// resnet50-b1, resnet50-b8, lite2-b1, lite2-b16, on devices also resnet50-b256 and lite2-b256: a frozen encoder's feature
//   map of so many photos of 224 x 224.
// prepare: photos from their files to features in a cache, with reading, decoding and resizing.
// caption-resnet50: one photo of 224 x 224 to a caption of 30 words, beam 5, ResNet50 and the original's
//   widths.
// search-1000: features of 1,000 images to captions of 30 words, beam 5, original widths, all images of a batch together;
//   on devices alone, as a processor takes minutes.
// train-attention-640: the training step with 128 images of 5 captions of 14 to 26 tokens; on devices alone.
// encode-31783: prepare with as many photos as Flickr30k has, once; on devices alone.
// By name, those that run in `precision` on `device`: all in f32 on the CPU; elsewhere those that it has code for.
std::vector<std::string> row_names(Precision precision, const tensor::Device& device = {});

// What such a list is of, in messages: "f32", "f16 on cuda:0".
std::string rows_of(Precision precision, const tensor::Device& device);

// Runs one in this process. Errors: argument (another name, a precision or a device that the row does not run in), those
// of reading photos and weights.
Row run_row(const std::string& name, const RowOptions& options = {});

}  // namespace imgcap::bench
