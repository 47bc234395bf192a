// --device of verbs that compute.
#pragma once

#include <cstdint>
#include <string>

#include "imgcap/cli/cli.h"
#include "tensor/device.h"

namespace imgcap::cli {

// What `device` holds is the default, shown in --help.
Option add_device_option(Verb& verb, std::string& device);

// "cpu", "cuda[:N]", or "auto": the first device of type cuda that has `bytes` free and is a real one, else the CPU. Says
// on stderr in one line which one, where it is not the CPU by default. Errors: argument (another text), device (it is not
// there).
tensor::Device choose_device(const std::string& device, int64_t bytes);

// For a file's notes: "cuda:0 (NVIDIA H100 80GB HBM3, sm_90, ...)". Errors: device (it is not there).
std::string describe_device(const tensor::Device& device);

}  // namespace imgcap::cli
