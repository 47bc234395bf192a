#include "tensor/cuda/emulation/cublaslt_problem.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "tensor/format.h"

namespace tensor::cuda::emulation {
namespace {

template <class... Args>
Refusal invalid(FormatString<std::type_identity_t<Args>...> text, const Args&... args) {
  return {CUBLAS_STATUS_INVALID_VALUE, tensor::format(text, args...)};
}

template <class... Args>
Refusal unsupported(FormatString<std::type_identity_t<Args>...> text, const Args&... args) {
  return {CUBLAS_STATUS_NOT_SUPPORTED, tensor::format(text, args...)};
}

const char* name_of(uint32_t type) {
#define NAME(name, number) \
  if (type == number) return #name;
  IMGCAP_CUDA_TYPES(NAME)
#undef NAME
  return "a type that the emulation does not have";
}

bool is_half(uint32_t type) { return type == CUDA_R_16F || type == CUDA_R_16BF; }

MaybeRefused refused_types(const Problem& p) {
  const bool wide = p.desc.compute == CUBLAS_COMPUTE_64F;
  if (!wide && p.desc.compute != CUBLAS_COMPUTE_32F)
    return unsupported("compute type {} is neither CUBLAS_COMPUTE_32F nor CUBLAS_COMPUTE_64F",
                       p.desc.compute);
  if (p.desc.scale != (wide ? CUDA_R_64F : CUDA_R_32F))
    return unsupported("scale type {} does not go with compute type {}", p.desc.scale, p.desc.compute);
  const uint32_t in = p.a.type, out = p.d.type;
  const bool known = wide ? in == CUDA_R_64F && out == CUDA_R_64F
                          : (in == CUDA_R_32F || is_half(in)) && (out == in || out == CUDA_R_32F);
  if (!known || p.b.type != in || p.c.type != out)
    return unsupported("no products of A {} and B {} with C {} and D {} in compute type {}", name_of(in),
                       name_of(p.b.type), name_of(p.c.type), name_of(out), p.desc.compute);
  return std::nullopt;
}

MaybeRefused refused_layout(const char* name, const MatrixLayout& x) {
  constexpr uint64_t most = std::numeric_limits<int32_t>::max();
  if (x.rows == 0 || x.columns == 0 || x.rows > most || x.columns > most)
    return invalid("{} is ({}, {}): sizes are 1 to 2^31 - 1", name, x.rows, x.columns);
  if (x.leading < static_cast<int64_t>(x.rows))
    return invalid("{} has leading dimension {} with {} rows", name, x.leading, x.rows);
  if (x.batches < 1) return invalid("{} has {} batches", name, x.batches);
  return std::nullopt;
}

MaybeRefused refused_sizes(const Problem& p) {
  for (const auto& [name, x] : {std::pair{"A", &p.a}, {"B", &p.b}, {"C", &p.c}, {"D", &p.d}})
    if (MaybeRefused refused = refused_layout(name, *x)) return refused;
  for (const int32_t op : {p.desc.transa, p.desc.transb})
    if (op != CUBLAS_OP_N && op != CUBLAS_OP_T && op != CUBLAS_OP_C)
      return invalid("{} is no cublasOperation_t", op);
  const auto [am, ak] =
      p.desc.transa == CUBLAS_OP_N ? std::pair(p.a.rows, p.a.columns) : std::pair(p.a.columns, p.a.rows);
  const auto [bk, bn] =
      p.desc.transb == CUBLAS_OP_N ? std::pair(p.b.rows, p.b.columns) : std::pair(p.b.columns, p.b.rows);
  if (ak != bk || am != p.d.rows || bn != p.d.columns)
    return invalid("op(A) ({}, {}) x op(B) ({}, {}) does not give D ({}, {})", am, ak, bk, bn, p.d.rows,
                   p.d.columns);
  if (p.c.rows != p.d.rows || p.c.columns != p.d.columns)
    return invalid("C is ({}, {}), D ({}, {})", p.c.rows, p.c.columns, p.d.rows, p.d.columns);
  if (p.a.batches != p.d.batches || p.b.batches != p.d.batches || p.c.batches != p.d.batches)
    return invalid("batches differ: {}, {}, {} and {}", p.a.batches, p.b.batches, p.c.batches, p.d.batches);
  const int64_t extent = p.d.leading * (p.n() - 1) + p.m();
  if (p.d.batches > 1 && p.d.batch_stride < extent)
    return invalid("the matrices of D, {} elements apart, overlap", p.d.batch_stride);
  return std::nullopt;
}

MaybeRefused refused_epilogue(const Problem& p) {
  switch (p.desc.epilogue) {
#define KNOWN(name, number) case number:
    IMGCAP_CUBLASLT_EPILOGUES(KNOWN)
#undef KNOWN
    break;
    default:
      return unsupported("epilogue {}: there is bias, ReLU and GELU alone", p.desc.epilogue);
  }
  if (p.desc.pointer_mode != CUBLASLT_POINTER_MODE_HOST &&
      p.desc.pointer_mode != CUBLASLT_POINTER_MODE_DEVICE)
    return unsupported("pointer mode {}", p.desc.pointer_mode);
  if (!p.has_bias() || p.desc.bias_type == -1 || p.desc.bias_type == static_cast<int32_t>(p.d.type))
    return std::nullopt;
  return unsupported("a bias {} with D {}", name_of(static_cast<uint32_t>(p.desc.bias_type)),
                     name_of(p.d.type));
}

// Short sums are not cut.
uint32_t reduction_of(const Problem& p, uint32_t allowed) {
  constexpr int64_t kLongSum = 512;
  if (p.k() < kLongSum) return CUBLASLT_REDUCTION_SCHEME_NONE;
  for (const uint32_t scheme :
       {CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE})
    if ((allowed & scheme) != 0) return scheme;
  return CUBLASLT_REDUCTION_SCHEME_NONE;
}

}  // namespace

std::optional<Problem> problem_of(cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                  cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                  cublasLtMatrixLayout_t d) {
  if (desc == nullptr || a == nullptr || b == nullptr || c == nullptr || d == nullptr) return std::nullopt;
  return Problem{inside<MatmulDesc>(desc), inside<MatrixLayout>(a), inside<MatrixLayout>(b),
                 inside<MatrixLayout>(c), inside<MatrixLayout>(d)};
}

int64_t size_of(uint32_t type) {
  return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : is_half(type) ? 2 : 0;
}

MaybeRefused refusal(const Problem& problem) {
  for (const auto check : {refused_types, refused_sizes, refused_epilogue})
    if (MaybeRefused refused = check(problem)) return refused;
  return std::nullopt;
}

Found find_algorithm(const Problem& p, const MatmulPreference& preference) {
  const Alignments told{preference.alignment_a, preference.alignment_b, preference.alignment_c,
                        preference.alignment_d, p.has_bias() ? alignment_of(p.desc.bias) : 1};
  const auto in = static_cast<uint32_t>(size_of(p.a.type)), out = static_cast<uint32_t>(size_of(p.d.type));
  if (told.a < in || told.b < in || told.c < out || told.d < out || (p.has_bias() && told.bias < out))
    return {std::nullopt,
            tensor::format(
                "no algorithm for elements that are not aligned to their size ({}, {}, {}, {}, bias {})",
                told.a, told.b, told.c, told.d, told.bias)};
  Algorithm found{.fingerprint = fingerprint(p), .aligned = told};
  const uint64_t parts = static_cast<uint64_t>(p.m() * p.n() * p.d.batches) * sizeof(float);
  const uint32_t reduction = reduction_of(p, preference.reduction_schemes);
  if (reduction != CUBLASLT_REDUCTION_SCHEME_NONE && parts <= preference.workspace_bytes) {
    found.reduction = reduction;
    found.workspace_bytes = parts;
  }
  return {found, {}};
}

uint64_t fingerprint(const Problem& p) {
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](auto... values) {
    ((hash = (hash ^ static_cast<uint64_t>(values)) * 0x100000001b3), ...);
  };
  add(p.desc.compute, p.desc.scale, p.desc.pointer_mode, p.desc.transa, p.desc.transb, p.desc.epilogue);
  for (const MatrixLayout* x : {&p.a, &p.b, &p.c, &p.d})
    add(x->type, x->batches, x->rows, x->columns, x->leading, x->batch_stride);
  return hash;
}

uint32_t alignment_of(const void* address) {
  const auto number = reinterpret_cast<uintptr_t>(address) | 256;
  return static_cast<uint32_t>(number & -number);
}

}  // namespace tensor::cuda::emulation
