// Files of weights, whoever made them: tensors by name, and names that stand under a prefix.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace imgcap {

struct WeightsFile {
  std::map<std::string, tensor::Tensor> tensors;
  std::map<std::string, std::string> metadata;  // of safetensors, or the scalars of a .pth file
  std::vector<std::string> remarks;             // sentences for the user, which name the file
};

// A .safetensors file, or with any other name one of torch.save. Errors as those readers have them.
WeightsFile read_weights(const std::filesystem::path& file);
WeightsFile read_torch_file(const std::filesystem::path& file);  // whatever its name

// A sentence on values that are NaN or infinite, with the names of the first tensors; none when there are
// none.
std::vector<std::string> not_finite(const std::string& file,
                                    const std::map<std::string, tensor::Tensor>& tensors);

// What a training checkpoint or a wrapper (DataParallel, torch.compile, a backbone of a larger model) puts in
// front of names: when all of `wanted` stand under one prefix, "state_dict.module." or none, it is taken off,
// and tensors of other parts are left out: those elsewhere, and those whose names then begin with none of
// `parts` ("layer3."). What was done is put in `remarks`. When nothing fits, the prefix that fits best is
// taken off and all under it is kept, for the error that follows. A data error when all are there under
// several prefixes, and none without.
void take_prefix(std::map<std::string, tensor::Tensor>& tensors, const std::vector<std::string>& wanted,
                 const std::set<std::string>& parts, const std::string& origin,
                 std::vector<std::string>& remarks);

// "layer3." of "layer3.0.conv1.weight".
std::string first_part(const std::string& name);

}  // namespace imgcap
