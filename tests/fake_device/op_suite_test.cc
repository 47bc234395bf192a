// The whole op database on a device: values and first derivatives as on the CPU, in every type and layout.
#include "autograd/testing/op_suite.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "autograd/engine.h"
#include "autograd/ops.h"
#include "imgcap/testing/op_records.h"
#include "tests/fake_device/fake_device.h"

using namespace autograd::testing;
using autograd::Variable;
using autograd::Variables;
using tensor::Device;
using tensor::DType;

namespace {

// Whether the suite finds fault with matmul's record on a device when this stands in for matmul, with these words.
bool is_caught(const OpFunction& op, const std::string& words) {
  OpRecord record = *find_op("matmul");
  std::erase_if(record.samples, [](const Sample& sample) { return sample.label != "(2, 3) x (3, 4)"; });
  REQUIRE(record.samples.size() == 1);
  record.samples[0].op = op;
  const OpReport report = check_op(record, Device::cuda());
  return std::ranges::any_of(
      report.failures, [&](const std::string& failure) { return failure.find(words) != std::string::npos; });
}

Variable product(const Variables& in) { return autograd::matmul(in[0], in[1]); }

}  // namespace

TEST_CASE("op database on a device") {
  int64_t ops = 0, checks = 0;
  for (const OpRecord& record : imgcap::testing::op_database()) {
    const OpReport report = check_op(record, tensor::Device::cuda());
    for (const std::string& failure : report.failures) FAIL_CHECK(failure);
    CHECK(report.samples > 0);
    ++ops;
    checks += report.checks;
  }
  MESSAGE(ops << " ops, " << checks << " checks");
}

// The host goes on while the device works: what an op needs to know of its inputs it must not ask.
TEST_CASE("no op waits for a device, forward or backward") {
  for (const OpRecord& record : imgcap::testing::op_database())
    for (const Sample& sample : record.samples) {
      Variables inputs, wanted, roots, cotangents;
      for (const SampleInput& input : sample.inputs) {
        const tensor::Tensor values =
            tensor::Tensor::from<double>(input.values.values, input.values.shape, Device::cuda());
        const bool floating = input.kind == SampleInput::Kind::floating;
        inputs.emplace_back(
            values.to(floating                                 ? DType::f32
                      : input.kind == SampleInput::Kind::index ? DType::i64
                                                               : DType::boolean),
            floating && input.differentiable && record.derivatives != OpRecord::Derivatives::none);
        if (inputs.back().requires_grad()) wanted.push_back(inputs.back());
      }
      const int64_t before = tests::fake_device_counts().waits;
      for (const Variable& output : sample.op(inputs)) {
        if (!output.requires_grad()) continue;
        roots.push_back(output);
        cotangents.emplace_back(tensor::Tensor::full(output.shape(), 1, output.dtype(), output.device()));
      }
      if (!roots.empty() && !wanted.empty()) autograd::grad(roots, wanted, cotangents, false, false, true);
      CHECK_MESSAGE(tests::fake_device_counts().waits == before, record.name, ", ", sample.label);
    }
}

TEST_CASE("planted: what ops do wrong on a device") {
  CHECK_FALSE(is_caught([](const Variables& in) { return Variables{product(in)}; }, ""));
  CHECK(is_caught(
      [](const Variables& in) {
        return Variables{autograd::matmul(in[0], Variable(in[1].data().to(in[0].device())))};
      },
      "input 1 on another than the rest: it should be refused"));
  CHECK(
      is_caught([](const Variables& in) { return Variables{Variable(product(in).data().to(Device::cpu()))}; },
                "a result is on cpu"));
  CHECK(is_caught(
      [](const Variables& in) {
        return Variables{in[0].device().is_cpu() ? product(in) : product(in) * 1.01};
      },
      "cpu f32: cuda:0: output 0"));
}
