#include "autograd/testing/op_suite.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>

#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "autograd/testing/gradcheck.h"
#include "autograd/testing/layouts.h"
#include "tensor/allocator.h"
#include "tensor/cuda/runtime.h"
#include "tensor/error.h"
#include "tensor/thread_pool.h"

namespace autograd::testing {
namespace {

using Derivatives = OpRecord::Derivatives;
using tensor::Device;

std::string index_text(const Shape& shape, int64_t place) {
  Shape index = shape;
  for (int d = shape.rank(); d-- > 0;) {
    index[d] = place % shape[d];
    place /= shape[d];
  }
  return to_string(index);
}

// The outputs of an op and, where there are any, the gradients of its inputs for fixed cotangents.
struct Outcome {
  std::vector<Tensor> outputs, gradients;
};

class Suite {
 public:
  Suite(const OpRecord& record, const Device& device) : record_(record), device_(device) {
    report_.name = record.name;
  }

  OpReport run() {
    const auto start = std::chrono::steady_clock::now();
    {
      const tensor::AllocationGuards guards;
      for (const Sample& sample : record_.samples) {
        sample_ = &sample;
        ++report_.samples;
        for (const DType dtype : kFloatTypes) attempt(dtype, "forward", [&] { forward(dtype); });
        if (!report_.without_code.empty() && !report_.forward_alone) break;
        if (report_.without_code.empty()) beyond_forward();
        for (const std::string& broken : guards.broken()) fail(std::nullopt, "memory", broken);
        ++report_.checks;
      }
      if (!record_.any_type && !record_.samples.empty() && report_.without_code.empty()) {
        sample_ = &record_.samples.front();
        other_types();
      }
    }
    if (device_.is_cpu())
      for (const ErrorSample& error : record_.errors) refusal(error);
    report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return report_;
  }

 private:
  void fail(std::optional<DType> dtype, const char* check, const std::string& what) {
    report_.failures.push_back(tensor::format("{}, {}, {}{}: {}", record_.name, sample_->label, check,
                                              dtype ? tensor::format(" {}", tensor::name_of(*dtype)) : "",
                                              what));
  }

  // The checks that ask for a backward pass, where the op has one.
  void beyond_forward() {
    report_.forward_alone = true;  // if one of them needs a kernel that the device has no code for
    for (const DType dtype : kFloatTypes) attempt(dtype, "layout", [&] { layouts(dtype); });
    if (record_.derivatives != Derivatives::none) {
      for (const DType dtype : kFloatTypes) attempt(dtype, "gradient", [&] { gradients(dtype); });
      if (device_.is_cpu()) attempt(DType::f64, "derivative", [&] { derivatives(); });
    }
    if (!device_.is_cpu())
      for (const DType dtype : kFloatTypes) attempt(dtype, "cpu", [&] { as_on_cpu(dtype); });
    if (sample_->composed)
      for (const DType dtype : kFloatTypes) attempt(dtype, "composed", [&] { composed(dtype); });
    for (const DType dtype : kFloatTypes) attempt(dtype, "repeat", [&] { repeat(dtype); });
    if (sample_->inputs.size() > 1 && tensor::cuda::device_count() > 0)
      attempt(DType::f32, "device", [&] { devices(DType::f32); });
    report_.forward_alone = !report_.without_code.empty();
  }

  // An exception is a failure of the check, not the end of the suite.
  template <class F>
  void attempt(DType dtype, const char* check, F&& f) {
    check_ = check;
    ++report_.checks;
    try {
      f();
    } catch (const tensor::cuda::NoDeviceCode& missing) {
      report_.without_code = missing.kernel();
    } catch (const std::exception& e) {
      fail(dtype, check, tensor::format("it threw: {}", e.what()));
    }
  }

  Tensor make(const SampleInput& input, DType dtype) const {
    const Tensor values = Tensor::from<double>(input.values.values, input.values.shape, device_);
    if (input.kind == SampleInput::Kind::index) return values.to(DType::i64);
    if (input.kind == SampleInput::Kind::condition) return values.to(DType::boolean);
    return values.to(dtype);
  }

  Variables make_inputs(DType dtype, bool gradients) const {
    Variables inputs;
    for (const SampleInput& input : sample_->inputs)
      inputs.emplace_back(make(input, dtype), gradients && differentiable(input));
    return inputs;
  }

  bool differentiable(const SampleInput& input) const {
    return record_.derivatives != Derivatives::none && input.kind == SampleInput::Kind::floating &&
           input.differentiable;
  }

  double tolerance(DType dtype) const { return tolerance(dtype, record_.tolerance); }
  static double tolerance(DType dtype, const Tolerance& t) {
    if (dtype == DType::f64) return t.f64;
    if (dtype == DType::f32) return t.f32;
    return t.f32 + t.roundings * (dtype == DType::f16 ? 0x1p-11 : 0x1p-8);
  }

  double* worst(DType dtype) {
    return dtype == DType::f64   ? &report_.worst_f64
           : dtype == DType::f32 ? &report_.worst_f32
           : dtype == DType::f16 ? &report_.worst_f16
                                 : &report_.worst_bf16;
  }

  // The reference sees the inputs as the type under test has rounded them.
  std::vector<Array> expected(DType dtype) const {
    std::vector<Array> inputs;
    for (const SampleInput& input : sample_->inputs)
      inputs.emplace_back(input.values.shape, make(input, dtype).to(DType::f64).to_vector<double>());
    return sample_->reference(inputs);
  }

  // Compares with the reference's values; the message of the first failure has the index and both values.
  void compare(DType dtype, const char* check, const std::string& what, const Tensor& got, const Shape& shape,
               const std::vector<double>& wanted, double bar, double* worst, double greatest = 0) {
    if (got.shape() != shape)
      return fail(dtype, check, tensor::format("{} is {}, not {}", what, got.shape(), to_string(shape)));
    const std::vector<double> values = got.to(DType::f64).to_vector<double>();
    for (const double v : wanted)
      if (std::isfinite(v)) greatest = std::max(greatest, std::abs(v));
    double worst_here = 0;
    size_t at = 0;
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (values[i] == wanted[i] || (std::isnan(values[i]) && std::isnan(wanted[i]))) continue;
      double error = std::abs(values[i] - wanted[i]) / std::max(greatest, 1e-30);
      if (!(error <= 1e300)) error = INFINITY;
      if (error > worst_here) worst_here = error, at = i;
    }
    if (worst != nullptr) *worst = std::max(*worst, worst_here);
    if (worst_here > bar)
      fail(dtype, check,
           tensor::format("{} is {:.9g} at {}, the reference {:.9g} (relative error {:.2g}, allowed {:.2g})",
                          what, values[at], index_text(shape, static_cast<int64_t>(at)), wanted[at],
                          worst_here, bar));
  }

  void forward(DType dtype) {
    const Variables outputs = sample_->op(make_inputs(dtype, false));
    const std::vector<Array> wanted = expected(dtype);
    if (outputs.size() != wanted.size())
      return fail(dtype, "forward", tensor::format("{} outputs, not {}", outputs.size(), wanted.size()));
    for (size_t k = 0; k < outputs.size(); ++k) {
      const DType type = outputs[k].dtype();
      if (tensor::is_floating(type) && type != dtype)
        fail(dtype, "forward", tensor::format("output {} is {}", k, tensor::name_of(type)));
      compare(dtype, "forward", tensor::format("output {}", k), outputs[k].data(), wanted[k].shape,
              wanted[k].values, tolerance(dtype), worst(dtype));
    }
  }

  // Forward, and backward with cotangents that depend on the sample alone.
  Outcome outcome_of(const OpFunction& op, const Variables& inputs) const {
    Outcome outcome;
    const Variables outputs = op(inputs);
    Variables roots, cotangents;
    uint64_t seed = 1000;
    for (const Variable& output : outputs) {
      outcome.outputs.push_back(output.data().clone());
      ++seed;
      if (!output.requires_grad()) continue;
      const Array g = random_array(output.shape(), seed, -1, 1);
      roots.push_back(output);
      cotangents.emplace_back(Tensor::from<double>(g.values, g.shape, output.device()).to(output.dtype()));
    }
    Variables wanted;
    for (const Variable& input : inputs)
      if (input.requires_grad()) wanted.push_back(input);
    if (roots.empty() || wanted.empty()) return outcome;
    for (const Variable& g : autograd::grad(roots, wanted, cotangents, false, false, true))
      outcome.gradients.push_back(g.defined() ? g.data().clone() : Tensor());
    return outcome;
  }

  void same(DType dtype, const char* check, const std::string& how, const std::vector<Tensor>& got,
            const std::vector<Tensor>& wanted, const char* what, double bar,
            const std::vector<double>& scales = {}) {
    if (got.size() != wanted.size())
      return fail(dtype, check, tensor::format("{}: {} {}s, not {}", how, got.size(), what, wanted.size()));
    for (size_t k = 0; k < got.size(); ++k) {
      if (got[k].defined() != wanted[k].defined()) {
        fail(dtype, check, tensor::format("{}: {} {} is there in one run only", how, what, k));
        continue;
      }
      if (!got[k].defined()) continue;
      compare(dtype, check, tensor::format("{}: {} {}", how, what, k), got[k], wanted[k].shape(),
              wanted[k].to(DType::f64).to_vector<double>(), bar, nullptr, scales.empty() ? 0 : scales[k]);
    }
  }

  void layouts(DType dtype) {
    if (sample_->large()) return;  // small ones show it
    const Variables plain = make_inputs(dtype, true);
    const Outcome wanted = outcome_of(sample_->op, plain);
    std::vector<std::vector<Layout>> of_inputs;
    for (size_t i = 0; i < plain.size(); ++i) {
      of_inputs.push_back(layouts_of(plain[i].data()));
      for (const Layout& layout : of_inputs[i]) layout_of(dtype, plain, wanted, {{i, layout}});
      std::erase_if(of_inputs[i], [](const Layout& layout) { return layout.changes_values; });
    }
    // All inputs at once, each in another layout than its neighbour.
    for (size_t turn = 0; turn < 3; ++turn) {
      std::vector<Placed> placed;
      for (size_t i = 0; i < plain.size(); ++i)
        if (const auto& kept = of_inputs[i]; !kept.empty())
          placed.push_back({i, kept[(i + turn) % kept.size()]});
      if (placed.size() > 1) layout_of(dtype, plain, wanted, placed);
    }
  }

  struct Placed {
    size_t input;
    Layout layout;
  };

  void layout_of(DType dtype, const Variables& plain, Outcome wanted, const std::vector<Placed>& placed) {
    ++report_.checks;
    Variables inputs = plain, reference_inputs = plain;
    std::vector<std::vector<std::byte>> before;
    std::string how = "input";
    bool changes_values = false;
    for (const auto& [i, layout] : placed) {
      // A view of another variable's memory that is a leaf itself.
      inputs[i] = Variable(layout.tensor, plain[i].requires_grad());
      if (layout.changes_values) {
        reference_inputs[i] = Variable(layout.tensor.clone(), plain[i].requires_grad());
        changes_values = true;
      }
      before.push_back(bytes_of(layout.whole));
      how += tensor::format(" {} {}", i, layout.name);
    }
    if (changes_values) {
      try {
        wanted = outcome_of(sample_->op, reference_inputs);
      } catch (const tensor::Error&) {
        return;  // repeated rows are no valid input of this op
      }
    }
    const Outcome got = outcome_of(sample_->op, inputs);
    same(dtype, "layout", how, got.outputs, wanted.outputs, "output", tolerance(dtype));
    same(dtype, "layout", how, got.gradients, wanted.gradients, "gradient", gradient_tolerance(dtype),
         scales_of(wanted.gradients));
    for (size_t k = 0; k < placed.size(); ++k)
      if (bytes_of(placed[k].layout.whole) != before[k])
        fail(dtype, "layout", tensor::format("{}: input {} was changed", how, placed[k].input));
  }

  // What differences of each gradient are measured by at least: 0, or the greatest of all for inputs without
  // effect.
  std::vector<double> scales_of(const std::vector<Tensor>& gradients, bool all = false) const {
    double greatest = 0;
    for (const Tensor& g : gradients)
      if (g.defined())
        for (const double v : g.to(DType::f64).to_vector<double>())
          greatest = std::max(greatest, std::abs(v));
    std::vector<double> scales;
    for (const SampleInput& input : sample_->inputs)
      if (differentiable(input)) scales.push_back(all || input.no_effect ? greatest : 0);
    return scales;
  }

  // A backward pass adds up more roundings than a forward one.
  double gradient_tolerance(DType dtype) const { return 10 * tolerance(dtype); }

  static std::vector<std::byte> bytes_of(const Tensor& x) {
    if (x.numel() == 0) return {};
    const Tensor here = x.to(Device::cpu());
    return {here.raw(), here.raw() + here.bytes()};
  }

  void gradients(DType dtype) {
    const Variables inputs = make_inputs(dtype, true);
    std::vector<std::vector<std::byte>> before;
    for (const Variable& input : inputs) before.push_back(bytes_of(input.data()));
    const Outcome outcome = outcome_of(sample_->op, inputs);
    size_t k = 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (bytes_of(inputs[i].data()) != before[i])
        fail(dtype, "gradient", tensor::format("input {} was changed", i));
      if (!inputs[i].requires_grad()) continue;
      ++report_.checks;
      if (k >= outcome.gradients.size() || !outcome.gradients[k].defined()) {
        fail(dtype, "gradient", tensor::format("input {} requires a gradient and got none", i));
      } else if (outcome.gradients[k].shape() != inputs[i].shape() || outcome.gradients[k].dtype() != dtype) {
        fail(dtype, "gradient",
             tensor::format("input {} {} got a gradient {}", i, tensor::describe(inputs[i].data()),
                            tensor::describe(outcome.gradients[k])));
      }
      ++k;
    }
  }

  void derivatives() {
    const Variables inputs = make_inputs(DType::f64, true);
    GradcheckOptions options;
    options.fast = sample_->large();
    const GradcheckResult first = gradcheck(sample_->op, inputs, options);
    report_.worst_derivative = std::max(report_.worst_derivative, first.worst_error);
    if (!first.ok) fail(DType::f64, "derivative", first.message);
    if (sample_->large()) return;
    ++report_.checks;
    // Whole numbers and what depends on no input have no derivative.
    const OpFunction op = [this](const Variables& in) {
      Variables kept;
      for (const Variable& output : sample_->op(in))
        if (output.requires_grad()) kept.push_back(output);
      return kept;
    };
    if (record_.derivatives == Derivatives::twice) {
      int64_t elements = 0;
      for (const SampleInput& input : sample_->inputs) elements += input.values.numel();
      options.fast = elements > 60;  // each element of each gradient is a run of its own
      const GradcheckResult second = gradgradcheck(op, inputs, {}, options);
      report_.worst_derivative = std::max(report_.worst_derivative, second.worst_error);
      if (!second.ok) fail(DType::f64, "second derivative", second.message);
      return;
    }
    try {
      gradgradcheck(op, inputs, {}, options);
    } catch (const tensor::Error& e) {
      if (e.kind() != ErrorKind::autograd || std::string(e.what()).find("once") == std::string::npos)
        fail(DType::f64, "second derivative", tensor::format("refused with another sentence: {}", e.what()));
      return;
    }
    fail(DType::f64, "second derivative", "it should be refused: the op is differentiable once");
  }

  void composed(DType dtype) {
    const Variables inputs = make_inputs(dtype, true);
    const Outcome fused = outcome_of(sample_->op, inputs), plain = outcome_of(sample_->composed, inputs);
    // In 16 bits the composed op rounds after each of its parts, so what cancels in a small gradient is off
    // by a share of the greatest.
    same(dtype, "composed", "fused", fused.outputs, plain.outputs, "output",
         tensor::is_half(dtype) ? gradient_tolerance(dtype) : tolerance(dtype));
    same(dtype, "composed", "fused", fused.gradients, plain.gradients, "gradient", gradient_tolerance(dtype),
         scales_of(plain.gradients, tensor::is_half(dtype)));
  }

  static bool same_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
    if (a.size() != b.size()) return false;
    for (size_t k = 0; k < a.size(); ++k)
      if (a[k].defined() != b[k].defined() || (a[k].defined() && bytes_of(a[k]) != bytes_of(b[k])))
        return false;
    return true;
  }

  void repeat(DType dtype) {
    const int threads = tensor::num_threads();
    std::optional<Outcome> first;
    for (const int n : {1, 1, 2, 4}) {
      tensor::set_num_threads(n);
      Outcome outcome;
      try {
        outcome = outcome_of(sample_->op, make_inputs(dtype, true));
      } catch (...) {
        tensor::set_num_threads(threads);
        throw;
      }
      if (!first) {
        first = std::move(outcome);
        continue;
      }
      ++report_.checks;
      if (!same_bits(outcome.outputs, first->outputs) || !same_bits(outcome.gradients, first->gradients))
        fail(dtype, "repeat",
             tensor::format("with {} threads the bits differ from the first run's with one", n));
    }
    tensor::set_num_threads(threads);
  }

  // Types that the op does not claim have to be refused, not computed wrongly.
  void other_types() {
    for (const DType dtype : {DType::f16, DType::bf16, DType::i32, DType::i64, DType::u8, DType::boolean}) {
      if (std::find(std::begin(kFloatTypes), std::end(kFloatTypes), dtype) != std::end(kFloatTypes)) continue;
      ++report_.checks;
      try {
        sample_->op(make_inputs(dtype, false));
      } catch (const tensor::Error& e) {
        if (e.kind() != ErrorKind::dtype)
          fail(dtype, "type", tensor::format("refused with another kind of error: {}", e.what()));
        continue;
      }
      fail(dtype, "type", "it should be refused");
    }
  }

  // Values and gradients are the CPU's, but for roundings.
  void as_on_cpu(DType dtype) {
    const Variables inputs = make_inputs(dtype, true);
    Variables here;
    for (const Variable& input : inputs)
      here.emplace_back(input.data().to(Device::cpu()), input.requires_grad());
    const Outcome got = outcome_of(sample_->op, inputs), wanted = outcome_of(sample_->op, here);
    for (const auto* tensors : {&got.outputs, &got.gradients})
      for (const Tensor& t : *tensors)
        if (t.defined() && t.device() != device_)
          fail(dtype, "cpu", "a result is on " + to_string(t.device()));
    same(dtype, "cpu", to_string(device_), got.outputs, wanted.outputs, "output", tolerance(dtype));
    const double band = 10 * tolerance(dtype, record_.sums_gradients ? Tolerance{} : record_.tolerance);
    same(dtype, "cpu", to_string(device_), got.gradients, wanted.gradients, "gradient", band,
         scales_of(wanted.gradients));
  }

  // Each input in turn on another device than the rest.
  void devices(DType dtype) {
    const Variables plain = make_inputs(dtype, false);
    const Device other = device_.is_cpu() ? Device::cuda() : Device::cpu();
    for (size_t i = 0; i < plain.size(); ++i) {
      ++report_.checks;
      Variables inputs = plain;
      inputs[i] = Variable(plain[i].data().to(other), false);
      try {
        sample_->op(inputs);
      } catch (const tensor::Error& e) {
        const std::string text = e.what();
        if (e.kind() != ErrorKind::device || text.find("on cuda:0") == std::string::npos ||
            text.find("on cpu") == std::string::npos)
          fail(dtype, "device",
               tensor::format("input {} on another: refused with another sentence: {}", i, text));
        continue;
      }
      fail(dtype, "device", tensor::format("input {} on another than the rest: it should be refused", i));
    }
  }

  void refusal(const ErrorSample& error) {
    ++report_.checks;
    const auto wrong = [&](const std::string& what) {
      report_.failures.push_back(tensor::format("{}, {}, error: {}", record_.name, error.label, what));
    };
    try {
      error.call();
    } catch (const tensor::Error& e) {
      if (e.kind() != error.kind) wrong(tensor::format("another kind of error: {}", e.what()));
      for (const std::string& part : error.says)
        if (std::string(e.what()).find(part) == std::string::npos)
          wrong(tensor::format("'{}' does not say '{}'", e.what(), part));
      return;
    } catch (const std::exception& e) {
      return wrong(tensor::format("not a typed error: {}", e.what()));
    }
    wrong("nothing was thrown");
  }

  const OpRecord& record_;
  const Device device_;
  OpReport report_;
  const Sample* sample_ = nullptr;
  const char* check_ = "";
};

}  // namespace

OpReport check_op(const OpRecord& record, const Device& device) {
  if (!device.is_cpu()) tensor::cuda::runtime_of(device, "gradcheck");
  const GradMode guard(true);
  return Suite(record, device).run();
}

}  // namespace autograd::testing
