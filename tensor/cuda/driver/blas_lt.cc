#include "tensor/cuda/driver/blas_lt.h"

#include <compare>
#include <limits>
#include <map>
#include <mutex>
#include <utility>

#include "tensor/cuda/driver/blas_lt_library.h"
#include "tensor/cuda/driver/check.h"
#include "tensor/cuda/driver/per_device.h"
#include "tensor/cuda/driver/streams.h"
#include "tensor/cuda/launch.h"
#include "tensor/tensor.h"

namespace tensor::cuda {
namespace {

// More than a program's products of different sizes; a server's, whose sizes vary, begin anew there.
constexpr size_t kMaxPlans = 4096;

void check_status(cublasStatus_t status, const char* op, Device device, const char* call) {
  check(status == CUBLAS_STATUS_SUCCESS, ErrorKind::cuda, "{}: {}: {}: {}", op, to_string(device), call,
        blas_lt(op).cublasLtGetStatusName(status));
}

cudaDataType_t cuda_type(DType type) {
  switch (type) {
    case DType::f64:
      return CUDA_R_64F;
    case DType::f16:
      return CUDA_R_16F;
    case DType::bf16:
      return CUDA_R_16BF;
    default:
      return CUDA_R_32F;
  }
}

// What the choice of an algorithm depends on. The heuristic takes about 100 microseconds, so it is asked once for
// each.
struct Key {
  int64_t m, n, k, batches;
  int64_t a_row, a_batch, b_row, b_batch, out_row, out_batch;
  uint32_t a_aligned, b_aligned, out_aligned, bias_aligned;  // bias: 0 without one
  DType input, output;
  bool a_transposed, b_transposed, relu;

  auto operator<=>(const Key&) const = default;
};

// In bytes, at most 256, which is what an allocation has.
uint32_t alignment_of(const void* address) {
  const auto number = reinterpret_cast<uintptr_t>(address) | 256;
  return static_cast<uint32_t>(number & -number);
}

Key key_of(const BlasProduct& p) {
  return {p.m,
          p.n,
          p.k,
          p.batches,
          p.a.row_stride,
          p.a.batch_stride,
          p.b.row_stride,
          p.b.batch_stride,
          p.out_row_stride,
          p.out_batch_stride,
          alignment_of(p.a.data),
          alignment_of(p.b.data),
          alignment_of(p.out),
          p.bias == nullptr ? 0 : alignment_of(p.bias),
          p.input,
          p.output,
          p.a.transposed,
          p.b.transposed,
          p.relu};
}

// One of cuBLASLt's descriptors.
template <class Opaque>
class Descriptor {
 public:
  using Handle = Opaque*;
  explicit Descriptor(cublasStatus_t (*destroy)(Handle)) : destroy_(destroy) {}
  Descriptor(Descriptor&& other) noexcept
      : handle(std::exchange(other.handle, nullptr)), destroy_(other.destroy_) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (handle != nullptr) static_cast<void>(destroy_(handle));
  }

  Handle handle = nullptr;

 private:
  cublasStatus_t (*destroy_)(Handle);
};
using Layout = Descriptor<cublasLtMatrixLayoutOpaque_t>;
using Desc = Descriptor<cublasLtMatmulDescOpaque_t>;
using Preference = Descriptor<cublasLtMatmulPreferenceOpaque_t>;

// A product's descriptors and algorithm. As the operands change places, the library's A is our b.
struct Plan {
  Desc desc;
  Layout a, b, out;
  cublasLtMatmulAlgo_t algo;
};

// cuBLASLt on one device. Its workspace is used by one product at a time, because those of a device run one after
// the other; a product may be several kernels, so they are queued under a lock.
class DeviceBlas {
 public:
  explicit DeviceBlas(int index) : device_(Device::cuda(index)) {}

  void multiply(const BlasProduct& p) {
    const std::lock_guard lock(mutex_);
    select(device_);
    if (handle_ == nullptr) start(p.op);
    const Plan& plan = plan_for(p);
    if (p.bias != nullptr) set(plan.desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias, p.op);
    const float alpha32 = static_cast<float>(p.alpha), beta32 = static_cast<float>(p.beta);
    const bool wide = p.input == DType::f64;
    const void* alpha = wide ? static_cast<const void*>(&p.alpha) : &alpha32;
    const void* beta = wide ? static_cast<const void*>(&p.beta) : &beta32;
    const Launch launch = launch_of(p);
    const cudaStream_t stream = begin_launch(launch);
    const cublasStatus_t status = blas_->cublasLtMatmul(
        handle_, plan.desc.handle, alpha, p.b.data, plan.b.handle, p.a.data, plan.a.handle, beta, p.out,
        plan.out.handle, p.out, plan.out.handle, &plan.algo, workspace_.mutable_device_raw(),
        static_cast<size_t>(workspace_.bytes()), stream);
    end_launch(launch, cudaSuccess);
    check_status(status, p.op, device_, "cublasLtMatmul");
  }

 private:
  void start(const char* op) {
    cudaDeviceProp properties{};
    check_result(cudaGetDeviceProperties(&properties, device_.index), op, device_);
    // What NVIDIA recommends: algorithms of Hopper and later want more.
    const int64_t mib = properties.major >= 9 ? 32 : 8;
    blas_ = &blas_lt(op);
    workspace_ = Tensor::empty({mib << 20}, DType::u8, device_);
    check_status(blas_->cublasLtCreate(&handle_), op, device_, "cublasLtCreate");
  }

  const Plan& plan_for(const BlasProduct& p) {
    const Key key = key_of(p);
    if (const auto known = plans_.find(key); known != plans_.end()) return known->second;
    if (plans_.size() >= kMaxPlans) plans_.clear();
    return plans_.emplace(key, make_plan(p)).first->second;
  }

  Plan make_plan(const BlasProduct& p) {
    Plan plan{make_desc(p), make_layout(p, p.a, p.m, p.k), make_layout(p, p.b, p.k, p.n), make_out(p), {}};
    const Preference preference = make_preference(p);
    cublasLtMatmulHeuristicResult_t result{};
    int found = 0;
    const cublasStatus_t status = blas_->cublasLtMatmulAlgoGetHeuristic(
        handle_, plan.desc.handle, plan.b.handle, plan.a.handle, plan.out.handle, plan.out.handle,
        preference.handle, 1, &result, &found);
    check(status == CUBLAS_STATUS_SUCCESS && found > 0, ErrorKind::cuda,
          "{}: {}: cuBLASLt has no algorithm for ({}, {}) x ({}, {}), {} into {} ({})", p.op,
          to_string(device_), p.m, p.k, p.k, p.n, name_of(p.input), name_of(p.output),
          status == CUBLAS_STATUS_SUCCESS ? "none found" : blas_->cublasLtGetStatusName(status));
    plan.algo = result.algo;
    return plan;
  }

  Desc make_desc(const BlasProduct& p) {
    Desc desc(blas_->cublasLtMatmulDescDestroy);
    const bool wide = p.input == DType::f64;
    check_status(blas_->cublasLtMatmulDescCreate(&desc.handle, wide ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F,
                                                 wide ? CUDA_R_64F : CUDA_R_32F),
                 p.op, device_, "cublasLtMatmulDescCreate");
    set(desc, CUBLASLT_MATMUL_DESC_TRANSA, operation(p.b), p.op);
    set(desc, CUBLASLT_MATMUL_DESC_TRANSB, operation(p.a), p.op);
    const bool has_bias = p.bias != nullptr;
    set(desc, CUBLASLT_MATMUL_DESC_EPILOGUE,
        static_cast<uint32_t>(has_bias && p.relu ? CUBLASLT_EPILOGUE_RELU_BIAS
                              : has_bias         ? CUBLASLT_EPILOGUE_BIAS
                              : p.relu           ? CUBLASLT_EPILOGUE_RELU
                                                 : CUBLASLT_EPILOGUE_DEFAULT),
        p.op);
    if (!has_bias) return desc;
    set(desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, static_cast<int32_t>(cuda_type(p.output)), p.op);
    set(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias, p.op);  // of which the heuristic asks the alignment
    return desc;
  }

  static int32_t operation(const BlasOperand& x) { return x.transposed ? CUBLAS_OP_T : CUBLAS_OP_N; }

  // The rows of what lies in memory are cuBLASLt's columns.
  Layout make_layout(const BlasProduct& p, const BlasOperand& x, int64_t rows, int64_t columns) {
    if (x.transposed) std::swap(rows, columns);
    return make_layout(p, p.input, rows, columns, x.row_stride, x.batch_stride);
  }
  Layout make_out(const BlasProduct& p) {
    return make_layout(p, p.output, p.m, p.n, p.out_row_stride, p.out_batch_stride);
  }
  Layout make_layout(const BlasProduct& p, DType type, int64_t rows, int64_t columns, int64_t row_stride,
                     int64_t batch_stride) {
    Layout layout(blas_->cublasLtMatrixLayoutDestroy);
    check_status(
        blas_->cublasLtMatrixLayoutCreate(&layout.handle, cuda_type(type), static_cast<uint64_t>(columns),
                                          static_cast<uint64_t>(rows), row_stride),
        p.op, device_, "cublasLtMatrixLayoutCreate");
    set(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<int32_t>(p.batches), p.op);
    set(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, batch_stride, p.op);
    return layout;
  }

  Preference make_preference(const BlasProduct& p) {
    Preference preference(blas_->cublasLtMatmulPreferenceDestroy);
    check_status(blas_->cublasLtMatmulPreferenceCreate(&preference.handle), p.op, device_,
                 "cublasLtMatmulPreferenceCreate");
    set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(workspace_.bytes()),
        p.op);
    // Parts of a sum that is cut along k are added in f32, not in the output's 16 bits.
    set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
        static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE), p.op);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(p.b.data), p.op);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(p.a.data), p.op);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(p.out), p.op);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(p.out), p.op);
    return preference;
  }

  template <class T>
  void set(const Desc& desc, cublasLtMatmulDescAttributes_t attribute, T value, const char* op) {
    check_status(blas_->cublasLtMatmulDescSetAttribute(desc.handle, attribute, &value, sizeof value), op,
                 device_, "cublasLtMatmulDescSetAttribute");
  }
  template <class T>
  void set(const Layout& layout, cublasLtMatrixLayoutAttribute_t attribute, T value, const char* op) {
    check_status(blas_->cublasLtMatrixLayoutSetAttribute(layout.handle, attribute, &value, sizeof value), op,
                 device_, "cublasLtMatrixLayoutSetAttribute");
  }
  template <class T>
  void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, T value,
           const char* op) {
    check_status(
        blas_->cublasLtMatmulPreferenceSetAttribute(preference.handle, attribute, &value, sizeof value), op,
        device_, "cublasLtMatmulPreferenceSetAttribute");
  }

  // 2 m n k operations for each matrix; a, b and bias are read and out is written, and read with a beta.
  static Launch launch_of(const BlasProduct& p) {
    const auto product = [](auto... sizes) { return (static_cast<double>(sizes) * ...); };
    const int64_t in = size_of(p.input), out = size_of(p.output);
    Launch launch{.op = p.op, .device = p.device};
    launch.flops = 2 * product(p.m, p.n, p.k, p.batches);
    launch.bytes = product(p.m, p.k, p.a.batch_stride == 0 ? 1 : p.batches, in) +
                   product(p.k, p.n, p.b.batch_stride == 0 ? 1 : p.batches, in) +
                   product(p.m, p.n, p.batches, out, p.beta == 0 ? 1 : 2) +
                   (p.bias == nullptr ? 0 : product(p.n, out));
    return launch;
  }

  const Device device_;
  std::mutex mutex_;
  const BlasLt* blas_ = nullptr;
  cublasLtHandle_t handle_ = nullptr;
  Tensor workspace_;
  std::map<Key, Plan> plans_;
};

}  // namespace

void multiply(const BlasProduct& product) {
  for (const int64_t size : {product.m, product.n, product.k, product.batches})
    check(size >= 1 && size <= std::numeric_limits<int32_t>::max(), ErrorKind::argument,
          "{}: {}: a size of {}, cuBLASLt takes 1 to 2^31 - 1", product.op, to_string(product.device), size);
  of_device<DeviceBlas>(product.device.index).multiply(product);
}

}  // namespace tensor::cuda
