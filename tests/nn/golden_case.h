// Runs a module on a case of tests/golden/nn.safetensors (see make_nn.py beside it) and compares all outputs
// and gradients.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "autograd/engine.h"
#include "nn/module.h"
#include "tests/golden.h"

namespace tests {

using Named = std::map<std::string, autograd::Variable>;

// Relative 2-norm of each tensor.
inline double tolerance(tensor::DType dtype) { return dtype == tensor::DType::f64 ? 1e-9 : 1e-5; }

inline void run_golden_case(const std::string& name, tensor::DType dtype, nn::Module& module,
                            const std::function<Named(const Named& inputs)>& forward) {
  static const std::map<std::string, tensor::Tensor> all = golden("nn");
  const auto part = [&](const std::string& kind) {
    std::map<std::string, tensor::Tensor> tensors;
    const std::string prefix = name + "/" + kind + ".";
    for (const auto& [key, t] : all)
      if (key.starts_with(prefix)) tensors[key.substr(prefix.size())] = t;
    return tensors;
  };
  CAPTURE(name);
  CAPTURE(tensor::name_of(dtype));
  module.to(dtype);
  module.zero_grad();
  module.load_state_dict(part("parameter"));
  Named inputs;
  for (const auto& [key, t] : part("in")) {
    const bool floating = tensor::is_floating(t.dtype());
    inputs[key] = autograd::Variable(floating ? t.to(dtype) : t, floating);
  }
  REQUIRE(!inputs.empty());
  const Named outputs = forward(inputs);
  autograd::Variables roots, cotangents;
  const auto expected = part("out"), given = part("cotangent");
  REQUIRE(outputs.size() == expected.size());
  for (const auto& [key, out] : outputs) {
    CAPTURE(key);
    CHECK(out.dtype() == dtype);
    CHECK(relative_error(out.data(), expected.at(key)) <= tolerance(dtype));
    roots.push_back(out);
    cotangents.emplace_back(given.at(key).to(dtype));
  }
  autograd::backward(roots, cotangents);
  size_t compared = 0;
  const auto gradients = part("grad");
  const auto compare = [&](const std::string& key, const autograd::Variable& v) {
    if (!v.requires_grad()) return;
    CAPTURE(key);
    REQUIRE(v.grad().defined());
    CHECK(relative_error(v.grad().data(), gradients.at(key)) <= tolerance(dtype));
    ++compared;
  };
  for (const auto& [key, v] : inputs) compare(key, v);
  for (const auto& [key, v] : module.named_parameters()) compare(key, v);
  CHECK(compared == gradients.size());
}

inline constexpr tensor::DType kBothTypes[] = {tensor::DType::f64, tensor::DType::f32};

}  // namespace tests
