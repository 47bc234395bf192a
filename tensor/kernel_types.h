// Which element types each kernel takes: `native` ones as they are, `widened` ones converted to f32 on the
// way in and rounded once on the way out (widening.h). Code for devices of type cuda may take some of those
// as they are, when all numbers of a call are of one type. The types are those of a kernel's numbers; beside
// them, indices are i64 and conditions bool.
#pragma once

#include <initializer_list>
#include <string_view>

#include "tensor/dtype.h"

namespace tensor {

class DTypeSet {
 public:
  constexpr DTypeSet(std::initializer_list<DType> types) {
    for (const DType type : types) bits_ |= 1u << static_cast<unsigned>(type);
  }
  constexpr bool has(DType type) const { return (bits_ >> static_cast<unsigned>(type) & 1u) != 0; }
  constexpr bool empty() const { return bits_ == 0; }

 private:
  unsigned bits_ = 0;
};

struct KernelTypes {
  std::string_view kernel;
  DTypeSet native, widened;
  DTypeSet cuda_native{};  // of the widened ones
  bool adds = false;       // to what its outputs hold
};

inline constexpr DTypeSet kAllTypes{DType::f32, DType::f64, DType::f16, DType::bf16,
                                    DType::i32, DType::i64, DType::u8,  DType::boolean};
inline constexpr DTypeSet kFloats{DType::f32, DType::f64};
inline constexpr DTypeSet kFloatsAndI64{DType::f32, DType::f64, DType::i64};
inline constexpr DTypeSet kFloatsAndHalves{DType::f32, DType::f64, DType::f16, DType::bf16};
inline constexpr DTypeSet kF32{DType::f32};
inline constexpr DTypeSet kF64{DType::f64};
inline constexpr DTypeSet kF32AndHalves{DType::f32, DType::f16, DType::bf16};
inline constexpr DTypeSet kHalves{DType::f16, DType::bf16};
inline constexpr DTypeSet kStored{DType::f32, DType::f16, DType::bf16, DType::u8};
inline constexpr DTypeSet kNone{};

inline constexpr KernelTypes kKernelTypes[] = {
    {"copy", kAllTypes, kNone},
    {"copy_pieces", kAllTypes, kNone},
    {"fill", kAllTypes, kNone},
    {"unary", kFloats, kHalves, kHalves},
    {"binary", kFloatsAndI64, kHalves, kHalves},  // i64: add, sub, mul and comparisons
    {"affine", kFloats, kHalves, kHalves},
    {"clamp", kFloats, kHalves, kHalves},
    {"where", kFloatsAndI64, kHalves, kHalves},
    {"add_inplace", kFloats, kHalves, kHalves, true},
    {"reduce", kFloats, kHalves, kHalves},
    {"argmax", kFloats, kHalves},
    {"topk", kFloats, kHalves},
    {"cumsum", kFloats, kHalves},
    {"sum_squares", kFloats, kHalves},
    {"matmul", kFloatsAndHalves, kNone},
    {"pack_matrix", kF32AndHalves, kNone},
    {"packed_matmul", kF32AndHalves, kNone},
    {"pack_narrow", kStored, kNone},
    {"narrow_matmul", kF32, kNone},
    {"stored_rows", kStored, kNone},
    {"softmax", kFloats, kHalves, kHalves},
    {"log_softmax", kFloats, kHalves, kHalves},
    {"cross_entropy", kFloats, kHalves},
    {"cross_entropy_backward", kFloats, kHalves},
    {"conv2d", kFloatsAndHalves, kNone},
    {"conv2d_backward_input", kFloatsAndHalves, kNone},
    {"conv2d_backward_weight", kFloatsAndHalves, kNone},
    {"nhwc_from_nchw", kF32, kNone},
    {"pack_conv2d", kFloatsAndHalves, kNone},
    {"conv2d_nhwc", kF32AndHalves, kNone},
    {"max_pool2d_nhwc", kF32AndHalves, kNone},
    {"max_pool2d", kFloats, kHalves},
    {"max_pool2d_backward", kFloats, kHalves},
    {"adaptive_avg_pool2d", kFloats, kHalves},
    {"adaptive_avg_pool2d_backward", kFloats, kHalves},
    {"batch_norm_statistics", kFloats, kHalves},
    {"batch_norm_apply", kFloats, kHalves},
    {"batch_norm_backward", kFloats, kHalves},
    {"embedding", kAllTypes, kNone},
    {"embedding_backward", kFloats, kHalves, kNone, true},
    {"dropout", kFloats, kHalves, kHalves},
    {"lstm_cell", kFloats, kHalves},
    {"lstm_cell_backward", kFloats, kHalves},
    {"additive_attention", kFloats, kHalves},
    {"additive_attention_backward", kFloats, kHalves, kNone, true},
    {"adamw", kFloats, kNone},  // an update is often less than a 16-bit weight's rounding
    {"sgd", kFloats, kNone},
    {"average", kFloats, kHalves, kNone, true},
    {"first_not_finite", kFloats, kHalves},
    {"finish_step", kF64, kNone},
    {"beam_step", kFloats, kHalves},
    {"sample_step", kF64, kNone},
    {"draw_tokens", kFloats, kHalves},
};

// A kernel without a row does not compile.
consteval KernelTypes types_of(std::string_view kernel) {
  for (const KernelTypes& row : kKernelTypes)
    if (row.kernel == kernel) return row;
  throw "a kernel without a row in kKernelTypes";
}

}  // namespace tensor
