// A trained model with its encoder, as the verbs that caption photos need it.
#pragma once

#include <memory>
#include <string>

#include "imgcap/decoding/hypothesis.h"
#include "imgcap/report/report.h"
#include "imgcap/training/checkpoint.h"
#include "imgcap/training/encode.h"

namespace imgcap::cli {

struct LoadedModel {
  Checkpoint info;
  std::unique_ptr<Decoder> decoder;  // in evaluation mode
  Vocabulary vocabulary;
  LoadedEncoder encoder;
};

// `model` is a checkpoint's file, or "attention" or "plain": the models in the box. `weights` may be empty:
// then the checkpoint's own encoder is used when it has one (it was trained with the decoder), else the one
// in the box. Argument error for `weights` beside a checkpoint's own. Data error when the encoder's channels
// are not the decoder's. Other weights of the same encoder are taken as they are: the same ones in 16 bits
// have another key.
LoadedModel load_model(const std::string& model, const std::string& weights);

// With compat_original as the original prints it, <sos> and <eos> included.
std::string text_of(const Hypothesis& caption, const Vocabulary& vocabulary, bool compat_original = false);

// Of a caption that was searched with its attention; tokens that are blanks are left out.
AttentionMaps attention_maps(const Hypothesis& caption, const LoadedModel& model);

// The folder of the models in the box: IMGCAP_ASSETS when it is set, else ../../assets beside the program (a
// build in the source tree) or ../share/imgcap.
std::string assets_folder();

}  // namespace imgcap::cli
