// A model as files for other programs.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "imgcap/cli/model_options.h"

namespace imgcap::cli {

// Writes encoder.onnx, decoder_start.onnx, decoder_step.onnx (imgcap/onnx) and model.json, which has what
// captioning needs besides: preprocessing, vocabulary and the special tokens' numbers. The files' names.
// Throws Interrupted when stop_flag() is set between two of them.
std::vector<std::string> export_model(const LoadedModel& model, const std::filesystem::path& folder);

}  // namespace imgcap::cli
