#include "tensor/tensor.h"

#include <algorithm>
#include <cstring>

#include "tensor/allocator.h"
#include "tensor/cuda/runtime.h"
#include "tensor/format.h"
#include "tensor/kernels.h"

namespace tensor {

namespace {
std::atomic<uint64_t> storages{0};  // that were made so far
}

Storage::Storage() : number(storages.fetch_add(1, std::memory_order_relaxed) + 1) {}

Storage::~Storage() {
  if (owner || data == nullptr) return;
  if (device.is_cpu())
    release(data, bytes);
  else if (cuda::device_count() > 0)  // 0 in a child of fork(), whose memory it is not
    cuda::linked_runtime()->release(device.index, data, bytes);
}

namespace {

std::byte* memory_of(Device device, int64_t bytes) {
  if (device.is_cpu()) return static_cast<std::byte*>(allocate(bytes));
  std::byte* block = cuda::runtime_of(device, "empty").allocate(device.index, bytes);
  check(block != nullptr, ErrorKind::cuda, "empty: {} has no room for {} bytes", to_string(device), bytes);
  return block;
}

}  // namespace

// --- making

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  for (const int64_t size : shape) check(size >= 0, ErrorKind::shape, "empty: a negative size in {}", shape);
  int64_t bytes = 0;
  check(!__builtin_mul_overflow(shape.numel(), size_of(dtype), &bytes), ErrorKind::shape,
        "empty: {} {} does not fit 64 bits", shape, name_of(dtype));
  auto storage = std::make_shared<Storage>();
  storage->device = device;
  storage->data = memory_of(device, bytes);
  storage->bytes = bytes;
  return Tensor(std::move(storage), shape, dtype);
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) { return full(shape, 0, dtype, device); }

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  t.fill_(value);
  return t;
}

Tensor Tensor::scalar(double value, DType dtype, Device device) { return full({}, value, dtype, device); }

Tensor Tensor::arange(int64_t n, DType dtype, Device device) {
  Tensor t = empty({n}, dtype);
  dispatch_number(dtype, "arange", [&]<class T>() {
    T* values = t.mutable_data<T>();
    for (int64_t i = 0; i < n; ++i) values[i] = static_cast<T>(i);
  });
  return t.to(device);
}

Tensor Tensor::wrap(const void* data, const Shape& shape, DType dtype, std::shared_ptr<const void> owner,
                    Device device) {
  check(reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(size_of(dtype)) == 0, ErrorKind::argument,
        "wrap: the memory is not aligned for {}", name_of(dtype));
  check(owner != nullptr, ErrorKind::argument, "wrap: an owner of the memory is needed");
  auto storage = std::make_shared<Storage>();
  storage->data = const_cast<std::byte*>(static_cast<const std::byte*>(data));
  storage->bytes = shape.numel() * size_of(dtype);
  storage->device = device;
  storage->read_only = true;
  storage->owner = std::move(owner);
  return Tensor(std::move(storage), shape, dtype);
}

// --- access

bool Tensor::is_contiguous() const {
  int64_t expected = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    if (shape_[i] == 0) return true;
    if (shape_[i] != 1 && strides_[i] != expected) return false;
    expected *= shape_[i];
  }
  return true;
}

bool Tensor::may_overlap(const Tensor& other) const {
  if (!shares_storage(other) || numel() == 0 || other.numel() == 0) return false;
  const auto range = [](const Tensor& t) {
    int64_t low = t.offset_, high = t.offset_;
    for (int i = 0; i < t.rank(); ++i) (t.strides_[i] < 0 ? low : high) += (t.shape_[i] - 1) * t.strides_[i];
    return std::pair(low * size_of(t.dtype_), (high + 1) * size_of(t.dtype_));
  };
  const auto [a_low, a_high] = range(*this);
  const auto [b_low, b_high] = range(other);
  return a_low < b_high && b_low < a_high;
}

void Tensor::wrong_dtype(DType dtype) const {
  fail(ErrorKind::dtype, "data: the tensor is {}, not {}", name_of(dtype_), name_of(dtype));
}

void Tensor::not_on_host() const {
  fail(ErrorKind::device, "data: the tensor {} is on {}; copy it with to(Device::cpu())", describe(*this),
       to_string(device()));
}

const std::byte* Tensor::device_raw() const {
  check(defined(), ErrorKind::argument, "data: the tensor is undefined");
  return storage_->data + offset_ * size_of(dtype_);
}

std::byte* Tensor::mutable_device_raw() {
  check(defined(), ErrorKind::argument, "data: the tensor is undefined");
  // Every kernel comes through here: sentences are made only when they are needed.
  if (storage_->read_only) [[unlikely]]
    fail(ErrorKind::argument, "data: {} is read-only memory; clone it first", describe(*this));
  // Only expand() makes two indices mean one element, by a stride of 0. This is the one door to writing.
  bool repeated = false, empty = false;
  for (int d = 0; d < rank(); ++d) {
    repeated = repeated || (shape_[d] > 1 && strides_[d] == 0);
    empty = empty || shape_[d] == 0;
  }
  if (repeated && !empty) [[unlikely]]
    fail(ErrorKind::argument,
         "data: more than one element of the written-to tensor refers to a single memory location: {} is "
         "expanded; clone it first",
         describe(*this));
  storage_->version.fetch_add(1, std::memory_order_relaxed);
  return storage_->data + offset_ * size_of(dtype_);
}

double Tensor::item() const {
  check(numel() == 1, ErrorKind::shape, "item: one element is needed, not {}", shape_);
  const Tensor here = to(Device::cpu());
  return dispatch_any(dtype_, "item", [&]<class T>() { return static_cast<double>(*here.data<T>()); });
}

// --- views

namespace {

// Replaces a single -1 by what is left over.
Shape infer_size(const Shape& wanted, int64_t numel, const Shape& from, const char* op) {
  Shape shape = wanted;
  int unknown = -1;
  int64_t known = 1;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] == -1) {
      check(unknown < 0, ErrorKind::shape, "{}: more than one -1 in {}", op, wanted);
      unknown = i;
    } else {
      check(shape[i] >= 0, ErrorKind::shape, "{}: a negative size in {}", op, wanted);
      known *= shape[i];
    }
  }
  check(unknown < 0 || known > 0, ErrorKind::shape,
        "{}: {} to {}: beside a size of 0 the -1 could be any size; write it out", op, from, wanted);
  if (unknown >= 0) shape[unknown] = numel / known;
  check(shape.numel() == numel, ErrorKind::shape, "{}: {} elements of {} do not fit {}", op, numel, from,
        wanted);
  return shape;
}

}  // namespace

Tensor Tensor::view(const Shape& wanted) const {
  check(is_contiguous(), ErrorKind::argument, "view: {} is not contiguous; use reshape", describe(*this));
  Tensor t = *this;
  t.shape_ = infer_size(wanted, numel(), shape_, "view");
  t.strides_ = contiguous_strides(t.shape_);
  return t;
}

Tensor Tensor::bits_as(DType dtype) const {
  check(size_of(dtype) == size_of(dtype_) && dtype != DType::boolean, ErrorKind::dtype,
        "bits_as: {} as {}: another type of the same size is needed, not bool", describe(*this),
        name_of(dtype));
  Tensor t = *this;
  t.dtype_ = dtype;
  return t;
}

Tensor Tensor::reshape(const Shape& wanted) const {
  infer_size(wanted, numel(), shape_, "reshape");  // so that an error names reshape, not view
  return contiguous().view(wanted);
}

Tensor Tensor::flatten(int first, int last) const {
  if (rank() == 0) return reshape({1});
  const int a = normalize_dim(first, rank(), "flatten"), b = normalize_dim(last, rank(), "flatten");
  check(a <= b, ErrorKind::argument, "flatten: dimension {} comes after {}", first, last);
  Shape shape;
  for (int i = 0; i < rank(); ++i) {
    if (i > a && i <= b)
      shape[a] *= shape_[i];
    else
      shape.push_back(shape_[i]);
  }
  return reshape(shape);
}

Tensor Tensor::permute(const std::vector<int>& order) const {
  check(static_cast<int>(order.size()) == rank(), ErrorKind::argument, "permute: {} dimensions given for {}",
        order.size(), shape_);
  Tensor t = *this;
  unsigned seen = 0;
  for (int i = 0; i < rank(); ++i) {
    const int from = normalize_dim(order[static_cast<size_t>(i)], rank(), "permute");
    check((seen >> from & 1u) == 0, ErrorKind::argument, "permute: dimension {} of {} is given twice", from,
          shape_);
    seen |= 1u << from;
    t.shape_[i] = shape_[from];
    t.strides_[i] = strides_[from];
  }
  return t;
}

Tensor Tensor::transpose(int a, int b) const {
  a = normalize_dim(a, rank(), "transpose");
  b = normalize_dim(b, rank(), "transpose");
  Tensor t = *this;
  std::swap(t.shape_[a], t.shape_[b]);
  std::swap(t.strides_[a], t.strides_[b]);
  return t;
}

Tensor Tensor::slice(int dim, int64_t start, int64_t stop, int64_t step) const {
  dim = normalize_dim(dim, rank(), "slice");
  check(0 <= start && start <= stop && stop <= shape_[dim] && step > 0, ErrorKind::index,
        "slice: [{}, {}) in steps of {} is not inside dimension {} of {}", start, stop, step, dim, shape_);
  Tensor t = *this;
  t.offset_ += start * strides_[dim];
  t.shape_[dim] = (stop - start + step - 1) / step;
  t.strides_[dim] = strides_[dim] * step;
  return t;
}

Tensor Tensor::select(int dim, int64_t index) const {
  dim = normalize_dim(dim, rank(), "select");
  const int64_t at = index < 0 ? index + shape_[dim] : index;
  check(at >= 0 && at < shape_[dim], ErrorKind::index, "select: index {} is outside dimension {} of {}",
        index, dim, shape_);
  Tensor t = slice(dim, at, at + 1);
  t.shape_.erase(dim);
  t.strides_.erase(dim);
  return t;
}

Tensor Tensor::expand(const Shape& shape) const {
  check(shape.rank() >= rank(), ErrorKind::shape, "expand: {} to {}", shape_, shape);
  Tensor t = *this;
  t.shape_ = shape;
  t.strides_ = Shape::filled(shape.rank(), 0);
  const int lead = shape.rank() - rank();
  for (int i = 0; i < rank(); ++i) {
    check(shape_[i] == shape[lead + i] || shape_[i] == 1, ErrorKind::shape, "expand: {} to {}", shape_,
          shape);
    if (shape_[i] == shape[lead + i]) t.strides_[lead + i] = strides_[i];
  }
  return t;
}

Tensor Tensor::unsqueeze(int dim) const {
  dim = normalize_dim(dim, rank() + 1, "unsqueeze");
  Tensor t = *this;
  t.strides_.insert(dim, dim < rank() ? shape_[dim] * strides_[dim] : 1);
  t.shape_.insert(dim, 1);
  return t;
}

Tensor Tensor::squeeze(int dim) const {
  dim = normalize_dim(dim, rank(), "squeeze");
  check(shape_[dim] == 1, ErrorKind::shape, "squeeze: dimension {} of {} does not have size 1", dim, shape_);
  Tensor t = *this;
  t.shape_.erase(dim);
  t.strides_.erase(dim);
  return t;
}

// --- copies

namespace {

// What is on its way from a device is here when this returns.
void copy_into(Tensor& target, const Tensor& source) {
  kernels::copy(target, source);
  const Device from = source.device();
  if (target.device().is_cpu() && !from.is_cpu()) cuda::runtime_of(from, "copy").wait(from.index);
}

Tensor copy_of(const Tensor& source, DType dtype, Device device) {
  Tensor t = Tensor::empty(source.shape(), dtype, device);
  copy_into(t, source);
  return t;
}

}  // namespace

Tensor Tensor::contiguous() const { return is_contiguous() ? *this : clone(); }
Tensor Tensor::clone() const { return copy_of(*this, dtype_, device()); }
Tensor Tensor::to(DType dtype) const { return dtype == dtype_ ? *this : copy_of(*this, dtype, device()); }
Tensor Tensor::to(Device device) const {
  return device == this->device() ? *this : copy_of(*this, dtype_, device);
}
void Tensor::copy_(const Tensor& source) { copy_into(*this, source); }
void Tensor::fill_(double value) { kernels::fill(*this, value); }

// --- messages

void expect_same_device(const Tensor& a, const Tensor& b, const char* op) {
  if (a.device() != b.device()) internal::devices_differ(op, a.device(), b.device());
}

void internal::devices_differ(const char* op, const Device& a, const Device& b) {
  fail(ErrorKind::device, "{}: one tensor is on {}, another on {}; move one with to()", op, to_string(a),
       to_string(b));
}

std::string TensorText::text() const {
  return tensor.defined() ? tensor::format("{} {}", tensor.shape(), name_of(tensor.dtype())) : "undefined";
}

namespace {

void print(std::string& text, const Tensor& t, int indent) {
  constexpr int64_t kEdge = 4;
  if (t.rank() == 0) {
    text += dispatch_any(t.dtype(), "to_string", [&]<class T>() {
      if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
        return tensor::format("{}", t.item<T>());
      else
        return tensor::format("{:.5g}", t.item());
    });
    return;
  }
  text += '[';
  const int64_t n = t.size(0);
  for (int64_t i = 0; i < n; ++i) {
    if (i > 0) text += t.rank() == 1 ? ", " : ",\n" + std::string(static_cast<size_t>(indent) + 1, ' ');
    if (n > 2 * kEdge + 1 && i == kEdge) {
      text += "...";
      i = n - kEdge - 1;
      continue;
    }
    print(text, t.select(0, i), indent + 1);
  }
  text += ']';
}

}  // namespace

std::string to_string(const Tensor& t) {
  if (!t.defined()) return "undefined";
  std::string text;
  print(text, t.to(Device::cpu()), 0);
  return tensor::format("{} {} {}", text, t.shape(), name_of(t.dtype()));
}

}  // namespace tensor
