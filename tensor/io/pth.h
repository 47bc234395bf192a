// PyTorch's checkpoint files (.pth, .pt): what torch.save writes, and wrote before version 1.6.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "tensor/tensor.h"

namespace tensor::io {

struct PthFile {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> scalars;
  // What is neither, with what Python would print: "torch.device('cpu')", cut after 80 bytes. Both are as
  // they are in the file: for messages, in_quotes().
  std::map<std::string, std::string> others;
};

// All values of the file; names of nested dictionaries, lists and tuples are joined by dots
// ("model_state_dict.fc.weight", "optimizer_state_dict.param_groups.0.lr"), keys that are no text as Python
// prints them ("(1, 2)"). A module that was saved whole counts as its state_dict(). A single value has an
// empty name. Scalars are text: integers in decimal, other numbers in the shortest form that reads back
// equal, "true", "false", "none". Contiguous tensors are read-only views of the mapped file where it is
// aligned for them, tied weights views of the same bytes; strided ones are copied. float32 float64 float16
// bfloat16 int32 int64 uint8 bool, and int8 and int16, which become int32; CUDA tensors come to the CPU.
//
// Nothing in the file is executed (see pickle.h). A data error, which names the file, for a file that is
// damaged (CRC-32, where it has them), big-endian or TorchScript (it says what to do), or is over the limits:
// 64 MiB of pickle, 64 levels, 4,000,000 values.
PthFile read_pth(const std::filesystem::path& path);

}  // namespace tensor::io
