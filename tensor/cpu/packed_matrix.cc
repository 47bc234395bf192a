#include "tensor/cpu/packed_gemm.h"
#include "tensor/cpu/panel_gemm.h"
#include "tensor/kernels.h"
#include "tensor/thread_pool.h"

namespace tensor::cpu {
namespace {

// Of few rows, and where oneDNN has no kernels for many.
void pack_own(Tensor& packed, const Tensor& b) {
  const int64_t k = b.size(0), n = b.size(1);
  packed = Tensor::empty({panels_size(k, n)}, DType::f32, b.device());
  pack_panels(packed.mutable_device_data<float>(), k, n,
              {b.device_data<float>(), b.strides()[0], b.strides()[1]});
}

void multiply_own(Tensor& out, const Tensor& a, const Tensor& packed, bool accumulate) {
  multiply_panels({a.size(0),
                   out.size(1),
                   a.size(1),
                   {a.device_data<float>(), a.strides()[0], a.strides()[1]},
                   packed.device_data<float>(),
                   out.mutable_device_data<float>(),
                   out.strides()[0],
                   accumulate});
}

// Of 16-bit operands and of many rows.
template <class T>
void pack_blocks(Tensor& packed, const Tensor& b) {
  const int64_t k = b.size(0), n = b.size(1);
  packed = Tensor::empty({packed_size<T>(k, n)}, dtype_of<T>::value, b.device());
  pack<T>(packed.mutable_device_data<T>(), k, n, {b.device_data<T>(), b.strides()[0], b.strides()[1]});
}

template <class T>
void multiply_blocks(Tensor& out, const Tensor& a, const Tensor& packed, bool accumulate) {
  const Tensor rows = a.contiguous();
  multiply_packed<T>({a.size(0), out.size(1), a.size(1), rows.device_data<T>(), packed.device_data<T>(),
                      out.mutable_device_raw(), out.dtype(), out.strides()[0], 1, accumulate ? 1.0f : 0.0f});
}

// For f32, and for 16-bit numbers that are widened.
bool has_wide_blocks(PackedFor use) { return use == PackedFor::many_rows && has_packed_gemm<float>(); }

}  // namespace

void pack_matrix(Tensor& packed, const Tensor& b, PackedFor use) {
  if (b.dtype() == DType::bf16 && has_packed_gemm<bf16>()) return pack_blocks<bf16>(packed, b);
  const Tensor wide = tensor::internal::widen(b);
  has_wide_blocks(use) ? pack_blocks<float>(packed, wide) : pack_own(packed, wide);
}

void packed_matmul(Tensor& out, const Tensor& a, const Tensor& packed, PackedFor use, bool accumulate) {
  const int64_t n = out.size(1), k = a.size(1);
  const bool native = packed.dtype() == DType::bf16, blocks = native || has_wide_blocks(use);
  check(packed.numel() == (native   ? packed_size<bf16>(k, n)
                           : blocks ? packed_size<float>(k, n)
                                    : panels_size(k, n)),
        ErrorKind::shape, "packed_matmul: {} by another packed matrix into {}", describe(a), describe(out));
  if (a.size(0) == 0) return;
  if (native && out.dtype() != DType::f16)
    return multiply_blocks<bf16>(out, a.to(DType::bf16), packed, accumulate);
  if (is_half(out.dtype())) {
    Tensor wide = out.to(DType::f32);
    packed_matmul(wide, a, packed, use, accumulate);
    out.copy_(wide);
    return;
  }
  const Tensor rows = tensor::internal::widen(a);
  blocks ? multiply_blocks<float>(out, rows, packed, accumulate)
         : multiply_own(out, rows, packed, accumulate);
}

}  // namespace tensor::cpu
