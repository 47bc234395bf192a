// PyTorch's checkpoint files (.pth, .pt): what torch.save writes since version 1.6.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "tensor/tensor.h"

namespace tensor::io {

struct PthFile {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> scalars;
};

// All tensors and scalars of the file; names of nested dictionaries, lists and tuples are joined by dots
// ("model_state_dict.fc.weight", "optimizer_state_dict.param_groups.0.lr"). A single tensor or scalar has an
// empty name. Scalars are text: integers in decimal, other numbers in the shortest form that reads back
// equal, "true", "false", "none". Contiguous tensors are read-only views of the mapped file, tied weights
// views of the same bytes; strided ones are copied. float32 float64 float16 bfloat16 int32 int64 uint8 bool;
// CUDA tensors come to the CPU.
//
// Nothing in the file is executed (see pickle.h). A data error, which names the file, for a file that asks
// for code, is damaged (CRC-32), big-endian, TorchScript or of PyTorch before 1.6 (it says how to convert),
// or is over the limits: 64 MiB of pickle, 64 levels, 4,000,000 values.
PthFile read_pth(const std::filesystem::path& path);

}  // namespace tensor::io
