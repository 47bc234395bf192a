// n-dimensional arrays: shape, strides, offset, dtype and device over shared storage. Views are cheap.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tensor/device.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace tensor {

// Memory shared by a tensor and its views. `version` counts the writes, so that a graph notices when a tensor
// that it saved was changed in place.
struct Storage {
  std::byte* data = nullptr;
  int64_t bytes = 0;
  Device device;
  bool read_only = false;
  std::shared_ptr<const void> owner;  // keeps foreign memory (a mapped file) alive; empty for our own
  std::atomic<uint64_t> version{0};
  const uint64_t number;  // no other storage of the process ever has it, as it may have the same `data`

  Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  ~Storage();
};

class Tensor {
 public:
  Tensor() = default;  // undefined

  static Tensor empty(const Shape& shape, DType dtype = DType::f32, Device device = {});
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32, Device device = {});
  static Tensor full(const Shape& shape, double value, DType dtype = DType::f32, Device device = {});
  static Tensor arange(int64_t n, DType dtype = DType::i64, Device device = {});
  static Tensor scalar(double value, DType dtype = DType::f32, Device device = {});
  // A copy of `values`; a shape error when their number differs from the shape's.
  template <class T>
  static Tensor from(std::span<const T> values, const Shape& shape, Device device = {}) {
    check(static_cast<int64_t>(values.size()) == shape.numel(), ErrorKind::shape,
          "from: {} values for shape {}", values.size(), shape);
    Tensor t = empty(shape, dtype_of<T>::value);
    T* elements = t.mutable_data<T>();
    for (size_t i = 0; i < values.size(); ++i) elements[i] = values[i];
    return t.to(device);
  }
  template <class T>
  static Tensor from(const std::vector<T>& values, const Shape& shape, Device device = {}) {
    return from(std::span<const T>(values), shape, device);
  }
  // A read-only tensor over foreign memory of `device`, which `owner` keeps alive; aligned to the element
  // size.
  static Tensor wrap(const void* data, const Shape& shape, DType dtype, std::shared_ptr<const void> owner,
                     Device device = {});

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  const Shape& strides() const { return strides_; }
  int64_t offset() const { return offset_; }
  DType dtype() const { return dtype_; }
  Device device() const { return storage_ ? storage_->device : Device{}; }
  int rank() const { return shape_.rank(); }
  int64_t size(int dim) const { return shape_.at(dim); }
  int64_t numel() const { return shape_.numel(); }
  int64_t bytes() const { return numel() * size_of(dtype_); }
  bool is_contiguous() const;
  bool shares_storage(const Tensor& other) const { return storage_ && storage_ == other.storage_; }
  // No other tensor shares the storage.
  bool is_unique() const { return storage_.use_count() == 1; }
  // The lowest and one past the highest element touched overlap with the other's: a conservative test.
  bool may_overlap(const Tensor& other) const;
  // Those of the storage; 0 for an undefined tensor.
  uint64_t storage_number() const { return storage_ ? storage_->number : 0; }
  uint64_t version() const { return storage_ ? storage_->version.load(std::memory_order_relaxed) : 0; }

  // The first element of a tensor on the CPU. Errors: dtype (T is not the element type), device (it lives
  // elsewhere; copy it with to(Device::cpu())).
  template <class T>
  const T* data() const {
    expect_host();
    return device_data<T>();
  }
  // The same for writing. Counts as a write (see version). Errors also: argument, for read-only memory
  // and for an expanded tensor, whose elements share memory.
  template <class T>
  T* mutable_data() {
    expect_host();
    return mutable_device_data<T>();
  }
  const std::byte* raw() const {
    expect_host();
    return device_raw();
  }
  std::byte* mutable_raw() {
    expect_host();
    return mutable_device_raw();
  }
  // The same wherever the tensor lives: for the kernels of its device.
  template <class T>
  const T* device_data() const {
    expect_dtype(dtype_of<T>::value);
    return reinterpret_cast<const T*>(device_raw());
  }
  template <class T>
  T* mutable_device_data() {
    expect_dtype(dtype_of<T>::value);
    return reinterpret_cast<T*>(mutable_device_raw());
  }
  const std::byte* device_raw() const;
  std::byte* mutable_device_raw();
  // The value of a tensor of one element, wherever it lives; an i64 past 2^53 is rounded: ask for
  // item<int64_t>().
  double item() const;
  // The same in the element type T, exactly; a dtype error when it is another.
  template <class T>
  T item() const {
    check(numel() == 1, ErrorKind::shape, "item: one element is needed, not {}", shape_);
    return *to(Device::cpu()).data<T>();
  }
  // The elements in row-major order, wherever they live.
  template <class T>
  std::vector<T> to_vector() const {
    const Tensor source = to(Device::cpu()).contiguous();
    const T* elements = source.data<T>();
    return std::vector<T>(elements, elements + source.numel());
  }

  // Views. Index and shape errors name the op and the shape.
  Tensor view(const Shape& shape) const;  // contiguous tensors only; one size may be -1
  // The same bits as numbers of another type of the same size. Errors: dtype (another size; bool).
  Tensor bits_as(DType dtype) const;
  // A view where the strides allow it, else a copy; one size may be -1.
  Tensor reshape(const Shape& shape) const;
  Tensor flatten(int first = 0, int last = -1) const;
  Tensor permute(const std::vector<int>& order) const;
  Tensor transpose(int a, int b) const;
  Tensor t() const { return transpose(-2, -1); }
  // 0 <= start <= stop <= size, step > 0.
  Tensor slice(int dim, int64_t start, int64_t stop, int64_t step = 1) const;
  Tensor select(int dim, int64_t index) const;  // drops the dimension; a negative index counts from the end
  Tensor expand(const Shape& shape) const;      // size-1 and new leading dimensions get stride 0
  Tensor unsqueeze(int dim) const;
  Tensor squeeze(int dim) const;  // the dimension has to have size 1

  // Copies.
  Tensor contiguous() const;  // itself when it is contiguous
  Tensor clone() const;       // always new and contiguous
  Tensor to(DType dtype) const;
  Tensor to(Device device) const;
  void copy_(const Tensor& source);  // broadcasts and converts
  void fill_(double value);
  void zero_() { fill_(0); }

 private:
  Tensor(std::shared_ptr<Storage> storage, const Shape& shape, DType dtype)  // contiguous
      : storage_(std::move(storage)), shape_(shape), strides_(contiguous_strides(shape)), dtype_(dtype) {}

  void expect_dtype(DType dtype) const {
    if (dtype != dtype_) [[unlikely]]
      wrong_dtype(dtype);
  }
  void expect_host() const {
    if (!device().is_cpu()) [[unlikely]]
      not_on_host();
  }
  [[noreturn]] void wrong_dtype(DType dtype) const;
  [[noreturn]] void not_on_host() const;

  std::shared_ptr<Storage> storage_;
  Shape shape_, strides_;
  int64_t offset_ = 0;
  DType dtype_ = DType::f32;
};

// Errors: device, naming `op`, unless both are on one device.
void expect_same_device(const Tensor& a, const Tensor& b, const char* op);
namespace internal {
[[noreturn]] void devices_differ(const char* op, const Device& a, const Device& b);
}
// "(2, 3) f32": for error messages, and made only when there is one.
struct TensorText {
  const Tensor& tensor;
  std::string text() const;
};
inline TensorText describe(const Tensor& t) { return {t}; }
// Values, in rows, with an ellipsis for what is too long: for people.
std::string to_string(const Tensor& t);

}  // namespace tensor
