#include "imgcap/training/precision.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "tensor/cuda/runtime.h"
#include "tensor/error.h"
#include "tensor/io/json.h"
#include "tensor/io/safetensors.h"
#include "tensor/native_types.h"
#include "tensor/packed_matrix.h"

namespace imgcap {
namespace {

using tensor::DType;

// A step's share of the gates: what most of a training step's products are like.
class Product {
 public:
  explicit Product(DType type)
      : rows_(Tensor::full({128, 1024}, 0.5).to(type)),
        weight_(Tensor::full({1024, 4096}, 0.5).to(type), tensor::PackedFor::many_rows),
        out_(Tensor::empty({128, 4096})) {}

  double seconds() {
    const auto start = std::chrono::steady_clock::now();
    weight_.multiply(out_, rows_, false);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  Tensor rows_;
  tensor::PackedMatrix weight_;
  Tensor out_;
};

}  // namespace

std::string describe_16_bits(const tensor::Device& device) {
  if (!device.is_cpu()) return "by the device's own units, with sums in f32";
  return tensor::has_native_products(DType::bf16) ? "bf16 by the processor's own instructions, f16 emulated"
                                                  : "bf16 and f16 emulated, no faster than f32";
}

PrecisionChoice choose_precision(const tensor::Device& device) {
  if (!device.is_cpu() && tensor::cuda::runtime_of(device, "--precision").is_emulated())
    return {Precision::f32, "16 bits save an emulated device no time"};
  if (!device.is_cpu()) return {Precision::f16, "the device has units for it"};
  if (!tensor::has_native_products(DType::bf16))
    return {Precision::f32, "bf16 is emulated here: it needs AVX512-BF16 or AMX, and oneDNN"};
  Product exact(DType::f32), rounded(DType::bf16);
  // In turn, so that what else the machine does is shared; the first ones warm up.
  std::vector<double> ratios;
  for (int k = 0; k < 12; ++k) {
    const double f32 = exact.seconds(), bf16 = rounded.seconds();
    if (k >= 3) ratios.push_back(bf16 / f32);
  }
  std::nth_element(ratios.begin(), ratios.begin() + 4, ratios.end());
  return {ratios[4] < 0.9 ? Precision::bf16 : Precision::f32,
          tensor::format("a step's product in bf16 takes {:.2f} of f32's time", ratios[4])};
}

Precision precision_of_run(const std::string& checkpoint) {
  const auto metadata = tensor::io::read_safetensors_header(checkpoint).metadata;
  const auto training = metadata.find("training");
  tensor::check(training != metadata.end(), tensor::ErrorKind::data, "{}: it is no checkpoint of a run",
                checkpoint);
  return tensor::about_file(checkpoint, [&] {
    const auto json = tensor::io::Json::parse(training->second, checkpoint);
    return train_options_from_json(json.at("options").dump()).precision;
  });
}

}  // namespace imgcap
