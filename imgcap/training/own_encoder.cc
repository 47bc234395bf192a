#include "imgcap/training/own_encoder.h"

#include <algorithm>

#include "tensor/error.h"
#include "tensor/io/safetensors.h"

namespace imgcap {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::Tensor;

bool same(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return false;
  const Tensor left = a.to(tensor::DType::f64).contiguous(), right = b.to(tensor::DType::f64).contiguous();
  return std::equal(left.raw(), left.raw() + left.bytes(), right.raw());
}

nn::StateDict read_base(const Checkpoint& checkpoint, const std::filesystem::path& base,
                        const std::string& name) {
  check(!checkpoint.encoder_base.empty(), ErrorKind::data,
        "{}: it does not say which weights its encoder's training began with", name);
  nn::StateDict weights = tensor::io::read_safetensors(base).tensors;
  check(checkpoint.encoder_base.starts_with(checkpoint.encoder + " " + fingerprint_of(weights) + " "),
        ErrorKind::data, "{}: the training of its encoder began with other weights than those of {}", name,
        base.string());
  return weights;
}

}  // namespace

size_t leave_out_base(Checkpoint& checkpoint, const std::filesystem::path& base, const std::string& name) {
  const nn::StateDict weights = read_base(checkpoint, base, name);
  std::erase_if(checkpoint.encoder_weights, [&](const auto& own) {
    const auto found = weights.find(own.first);
    return found != weights.end() && same(own.second, found->second);
  });
  return checkpoint.encoder_weights.size();
}

LoadedEncoder load_own_encoder(const Checkpoint& checkpoint, const std::filesystem::path& base,
                               const std::string& name, EncoderUse use) {
  nn::StateDict weights = checkpoint.encoder_weights;
  const auto whole = make_encoder(checkpoint.encoder, false);
  const std::string classifier = whole->classifier() + ".";
  const auto names = whole->state_dict();
  const bool lacks = std::any_of(names.begin(), names.end(), [&](const auto& wanted) {
    return !weights.contains(wanted.first) && !wanted.first.starts_with(classifier) &&
           !wanted.first.ends_with(".num_batches_tracked");
  });
  if (lacks && !checkpoint.encoder_base.empty()) weights.merge(read_base(checkpoint, base, name));
  LoadedEncoder loaded = load_encoder(checkpoint.encoder, std::move(weights), name, use);
  set_preprocessing(loaded, checkpoint.preprocessing);
  return loaded;
}

}  // namespace imgcap
