#include "tensor/cuda/grid.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/nhwc_conv.h"
#include "tensor/kernels.h"

namespace tensor::cuda {
namespace {

// What a product's rows are filled up to with zeros: 16-bit ones begin at multiples of 16 bytes then, as cuBLASLt's fast
// algorithms want.
constexpr int64_t kFilled = 8;

// Where the weights are: (o, c, taps) to (o, row) with a row's numbers in the order of a window, or (taps, o).
struct Packing {
  int64_t o, c, taps, row;
  bool depthwise;
};

// A number a thread, scaled in f64 and rounded to f32 first, as on the CPU. Bytes: weight, scale and packed.
// FLOPs: 1 a weight.
template <class To, class From>
__global__ void pack_weights(To* packed, const From* weight, const double* scale, Packing p) {
  const int64_t i = thread_index();
  if (i >= p.o * p.row) return;
  const Division at = p.depthwise ? divide(i, p.o) : divide(i, p.row);
  const int64_t channel = p.depthwise ? at.rest : at.quotient, in_row = p.depthwise ? at.quotient : at.rest;
  float value = 0;
  if (in_row < p.c * p.taps) {
    const Division tap = divide(in_row, p.c);
    const From source = weight[(channel * p.c + tap.rest) * p.taps + tap.quotient];
    value = static_cast<float>(static_cast<double>(static_cast<Computed<From>>(source)) * scale[channel]);
  }
  packed[i] = static_cast<To>(value);
}

template <class F>
void dispatch_weights(DType dtype, F&& f) {
  if (dtype == DType::f64) return f.template operator()<double>();
  dispatch_pictures(dtype, f);
}

}  // namespace

void pack_conv2d(PackedConv2d& out, const Tensor& weight, const std::vector<double>& scale,
                 const std::vector<double>& bias) {
  check(is_floating(weight.dtype()), ErrorKind::dtype, "packed conv2d: f32 or f64 is needed, not {}",
        name_of(weight.dtype()));
  const Shape& shape = weight.shape();
  const Device device = weight.device();
  const int64_t o = shape[0], c = shape[1], taps = shape[2] * shape[3],
                filled = (c * taps + kFilled - 1) / kFilled;
  const bool depthwise = out.depthwise();
  const Packing packing{o, c, taps, depthwise ? taps : std::max<int64_t>(filled, 1) * kFilled, depthwise};
  out.weight = Tensor::empty(depthwise ? Shape{taps, o} : Shape{o, packing.row}, out.dtype, device);
  // A product adds a bias of its result's type.
  out.bias = Tensor::from<double>(bias, {o}).to(DType::f32).to(depthwise ? DType::f32 : out.dtype).to(device);
  if (o == 0) return;
  const Tensor source = weight.contiguous(), factors = Tensor::from<double>(scale, {o}, device);
  const Launch config{.op = "pack_conv2d",
                      .device = device,
                      .grid = grid_of(out.weight.numel()),
                      .block = kThreads,
                      .flops = static_cast<double>(source.numel()),
                      .bytes = static_cast<double>(source.bytes() + factors.bytes() + out.weight.bytes())};
  dispatch_pictures(out.dtype, [&]<class To>() {
    dispatch_weights(source.dtype(), [&]<class From>() {
      launch(config, pack_weights<To, From>, out.weight.mutable_device_data<To>(), source.device_data<From>(),
             factors.device_data<double>(), packing);
    });
  });
}

}  // namespace tensor::cuda
