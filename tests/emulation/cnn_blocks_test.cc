// Blocks of the encoders, forward and back by the emulated device's own kernels: as on the CPU, but for
// rounding. Fine-tuning is built on it.
#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "autograd/autocast.h"
#include "imgcap/models/efficientnet_lite.h"
#include "imgcap/models/resnet.h"
#include "nn/pool.h"
#include "tests/emulation/seeds.h"
#include "tests/emulation/twins.h"
#include "tests/models/fill.h"

namespace {

using autograd::Variable;
using tensor::Device;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
using Make = std::function<std::unique_ptr<nn::Layer>()>;

// What a step leaves, on the host: the output, x's gradient, all parameters' and the running statistics.
struct Step {
  std::vector<std::string> names;
  std::vector<Tensor> tensors;

  void add(const std::string& name, const Tensor& t) {
    names.push_back(name);
    tensors.push_back(t.to(Device::cpu()));
  }
};

Step step_on(const Device& device, const Make& make, const Shape& shape, bool train, DType precision) {
  const std::unique_ptr<nn::Layer> layer = make();
  tests::fill(*layer);
  layer->train(train);
  layer->to(device);
  const Variable x(tests::made(1, shape).to(DType::f32).to(device), true);
  const Variable out = [&] {
    const autograd::AutocastGuard autocast(precision);
    return (*layer)(x);
  }();
  out.backward(tests::made(2, out.shape()).to(out.dtype()).to(device));
  Step step;
  step.add("out", out.data());
  step.add("x", x.grad().data());
  for (const auto& [name, parameter] : layer->named_parameters()) step.add(name, parameter.grad().data());
  for (const auto& [name, buffer] : layer->named_buffers()) step.add(name, buffer);
  return step;
}

// ResNet's first layers.
class Stem : public nn::Sequential {
 public:
  Stem() {
    emplace<nn::Conv2d>(3, 8, 7, nn::conv2d_options(2, 3));
    emplace<nn::BatchNorm2d>(8);
    emplace<nn::MaxPool2d>(3, 2, 1);
    emplace<nn::AdaptiveAvgPool2d>(3, 2);
  }
};

struct Block {
  const char* name;
  Make make;
  Shape x;
};

const Block kBlocks[] = {
    {"stem", [] { return std::make_unique<Stem>(); }, {2, 3, 21, 18}},
    {"basic", [] { return std::make_unique<imgcap::ResidualBlock>(6, 8, 2, false); }, {2, 6, 7, 6}},
    {"bottleneck", [] { return std::make_unique<imgcap::ResidualBlock>(16, 4, 1, true); }, {3, 16, 5, 5}},
    {"inverted", [] { return std::make_unique<imgcap::InvertedResidual>(6, 6, 3, 1, 4); }, {2, 6, 6, 7}},
    {"inverted, stride 2",
     [] { return std::make_unique<imgcap::InvertedResidual>(4, 6, 5, 2, 6); },
     {2, 4, 9, 8}},
};

}  // namespace

TEST_CASE(
    "blocks of encoders on the emulated device as on the CPU: training and evaluation, forward and back") {
  for (const Block& block : kBlocks)
    for (const bool train : {true, false})
      for (const DType precision : {DType::f32, DType::bf16}) {
        CAPTURE(block.name);
        CAPTURE(train);
        CAPTURE(tensor::name_of(precision));
        const Step there = step_on(Device::cuda(), block.make, block.x, train, precision),
                   here = step_on({}, block.make, block.x, train, precision);
        REQUIRE(there.names == here.names);
        for (size_t i = 0; i < there.names.size(); ++i)
          CHECK_MESSAGE(tests::worst_error(there.tensors[i], here.tensors[i], 1) <=
                            (precision == DType::f32 ? 1e-5 : 0.1),
                        there.names[i]);
      }
}

TEST_CASE("blocks of encoders on the emulated device give the same bits in any order") {
  for (const Block& block : kBlocks) {
    CAPTURE(block.name);
    tests::set_order(3);
    const Step one = step_on(Device::cuda(), block.make, block.x, true, DType::f32);
    tests::set_order(4);
    const Step two = step_on(tests::second_device(), block.make, block.x, true, DType::f32);
    for (size_t i = 0; i < one.names.size(); ++i)
      CHECK_MESSAGE(tests::worst_error(one.tensors[i], two.tensors[i]) == 0, one.names[i]);
  }
}
