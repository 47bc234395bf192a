#include "autograd/anomaly.h"

#include <cmath>
#include <optional>

#include "autograd/node.h"
#include "tensor/error.h"

namespace autograd {
namespace {

// The first element that is not finite, in reading order: "nan at (0, 2)".
std::optional<std::string> first_bad(const Tensor& x) {
  if (!x.defined() || !tensor::is_floating(x.dtype()) || x.numel() == 0) return std::nullopt;
  const Tensor dense =
      x.to(tensor::Device::cpu()).to(x.dtype() == DType::f64 ? DType::f64 : DType::f32).contiguous();
  std::optional<std::string> found;
  tensor::dispatch_float(dense.dtype(), "anomaly", [&]<class T>() {
    const T* values = dense.data<T>();
    for (int64_t i = 0; i < dense.numel() && !found; ++i) {
      if (std::isfinite(values[i])) continue;
      std::vector<int64_t> index(static_cast<size_t>(dense.rank()));
      int64_t rest = i;
      for (int d = dense.rank(); d-- > 0;) {
        index[static_cast<size_t>(d)] = rest % dense.size(d);
        rest /= dense.size(d);
      }
      std::string place;
      for (const int64_t k : index) place += (place.empty() ? "" : ", ") + std::to_string(k);
      found = tensor::format("{} at ({})", values[i], place);
    }
  });
  return found;
}

std::string input_shapes(const Node& node) { return tensor::join(node.input_metas(), ", "); }

// " that were finite", or which of them was not.
template <class List, class Of>
std::string state_of(const List& list, const char* what, const Of& tensor_of) {
  for (size_t i = 0; i < list.size(); ++i)
    if (const auto bad = first_bad(tensor_of(list[i])))
      return tensor::format("; {} {} already had {}", what, i, *bad);
  return " that were finite";
}

Tensor data_of(const Variable& v) { return v.defined() ? v.data() : Tensor(); }

}  // namespace

void DetectAnomaly::op(const Node* node, const std::vector<Tensor>& outputs, const Variables& inputs) {
  if (node == nullptr) return;
  for (size_t i = 0; i < outputs.size(); ++i)
    if (const auto bad = first_bad(outputs[i]))
      tensor::fail(ErrorKind::autograd, "{}: {} of its result{} {}, from inputs {}{}", node->name(), *bad,
                   outputs.size() > 1 ? " " + std::to_string(i) : "", tensor::describe(outputs[i]),
                   input_shapes(*node), state_of(inputs, "input", data_of));
}

void DetectAnomaly::backward_ended(const Node& node, const Variables& gradients, const Variables& results) {
  for (size_t i = 0; i < results.size(); ++i)
    if (const auto bad = first_bad(data_of(results[i])))
      tensor::fail(
          ErrorKind::autograd,
          "{}: its backward pass gave {} of the gradient of input {}; the inputs were {}; from gradients{}",
          node.name(), *bad, i, input_shapes(node), state_of(gradients, "gradient", data_of));
}

void DetectAnomaly::module_left_out(const std::string& what) {
  tensor::fail(ErrorKind::autograd, "{}", what);
}

}  // namespace autograd
