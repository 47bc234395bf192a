#include "tensor/fetched.h"

#include <cstring>

namespace tensor {

Fetched::Fetched(const Tensor& source) : shape_(source.shape()), dtype_(source.dtype()) {
  if (source.device().is_cpu()) {
    values_ = source.clone();
    return;
  }
  const Tensor dense = source.contiguous();
  fetch_ = cuda::runtime_of(dense.device(), "fetch")
               .fetch(dense.device().index, dense.device_raw(), dense.bytes());
}

Tensor Fetched::take() {
  if (!fetch_) return values_;
  values_ = Tensor::empty(shape_, dtype_);
  std::memcpy(values_.mutable_raw(), fetch_->wait(), static_cast<size_t>(values_.bytes()));
  fetch_.reset();
  return values_;
}

}  // namespace tensor
