#include <doctest/doctest.h>

#include <cmath>

#include "nn/activation.h"
#include "nn/dropout.h"
#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/loss.h"
#include "nn/sequential.h"
#include "tensor/error.h"
#include "tests/nn/golden_case.h"
#include "tests/tensor/reference.h"

using autograd::Variable;
using tensor::DType;
using tensor::Error;
using tensor::ErrorKind;
using tensor::Generator;
using tensor::Tensor;
using tests::check_error;
using tests::Named;

namespace {

struct Moments {
  double mean = 0, variance = 0, low = INFINITY, high = -INFINITY;
};

Moments moments(const Tensor& t) {
  Moments m;
  const auto values = t.to(DType::f64).to_vector<double>();
  const double n = static_cast<double>(values.size());
  for (double v : values) {
    m.mean += v / n;
    m.low = std::min(m.low, v);
    m.high = std::max(m.high, v);
  }
  for (double v : values) m.variance += (v - m.mean) * (v - m.mean) / n;
  return m;
}

// U(-bound, bound): the ends are nearly reached and the variance is bound^2 / 3.
void check_uniform(const Tensor& t, double bound) {
  const Moments m = moments(t);
  const double n = static_cast<double>(t.numel());
  CHECK(m.low >= -bound);
  CHECK(m.high <= bound);
  CHECK(m.high > bound * (1 - 20 / n));
  CHECK(std::abs(m.mean) < 5 * bound / std::sqrt(3 * n));
  CHECK(m.variance == doctest::Approx(bound * bound / 3).epsilon(8 / std::sqrt(n)));
}

}  // namespace

TEST_CASE("layers agree with PyTorch") {
  for (const DType dtype : tests::kBothTypes) {
    nn::Linear linear(5, 4), no_bias(5, 4, false);
    for (const char* name : {"linear", "linear_3d"})
      tests::run_golden_case(name, dtype, linear, [&](const Named& in) {
        return Named{{"y", linear(in.at("x"))}};
      });
    tests::run_golden_case("linear_no_bias", dtype, no_bias, [&](const Named& in) {
      return Named{{"y", no_bias(in.at("x"))}};
    });
    nn::Embedding embedding(7, 4);
    tests::run_golden_case("embedding", dtype, embedding, [&](const Named& in) {
      return Named{{"y", embedding(in.at("ids").data())}};
    });
    nn::Sequential sequential;
    sequential.emplace<nn::Linear>(5, 8);
    sequential.emplace<nn::ReLU>();
    sequential.emplace<nn::Dropout>(0.5);
    sequential.emplace<nn::Linear>(8, 4);
    sequential.emplace<nn::Tanh>();
    sequential.eval();
    tests::run_golden_case("sequential", dtype, sequential, [&](const Named& in) {
      return Named{{"y", sequential(in.at("x"))}};
    });
  }
}

TEST_CASE("cross-entropy losses agree with PyTorch") {
  for (const DType dtype : tests::kBothTypes) {
    const auto run = [&](const char* name, const nn::CrossEntropyOptions& options) {
      nn::CrossEntropyLoss loss(options);
      tests::run_golden_case(name, dtype, loss, [&](const Named& in) {
        return Named{{"y", loss(in.at("x"), in.at("targets").data())}};
      });
    };
    run("cross_entropy", {});
    run("cross_entropy_smooth", {.ignore_index = 2, .label_smoothing = 0.1});
    run("cross_entropy_sum", {.reduction = autograd::Reduction::sum});
    run("cross_entropy_none", {.reduction = autograd::Reduction::none});
    // The golden weights come with the state dict.
    const Tensor weight = Tensor::full({6}, 1, DType::f64);
    for (const double s : {0.0, 0.2}) {
      const auto weighted = [&](const char* reduction, autograd::Reduction r) {
        run(tensor::format("cross_entropy_weight_{}_{:.1f}", reduction, s).c_str(),
            {.ignore_index = 2, .label_smoothing = s, .reduction = r, .weight = weight});
      };
      weighted("mean", autograd::Reduction::mean);
      weighted("sum", autograd::Reduction::sum);
      weighted("none", autograd::Reduction::none);
    }
  }
}

TEST_CASE("cross-entropy takes leading dimensions and refuses other targets") {
  Generator generator(3);
  Tensor logits = Tensor::empty({2, 3, 5}, DType::f64);
  tensor::fill_normal(logits, 0, 1, generator);
  const Tensor targets = Tensor::from<int64_t>({0, 1, 2, 3, 4, 0}, {2, 3});
  nn::CrossEntropyLoss mean, none({.reduction = autograd::Reduction::none});
  CHECK(mean(logits, targets).item() ==
        doctest::Approx(mean(logits.view({6, 5}), targets.view({6})).item()).epsilon(1e-15));
  CHECK(none(logits, targets).shape() == tensor::Shape{2, 3});
  CHECK_THROWS_AS(mean(logits, targets.view({3, 2})), Error);
  CHECK_THROWS_AS(nn::CrossEntropyLoss({.label_smoothing = 1.5}), Error);
  const auto weighted = [&](const Tensor& weight) {
    return nn::CrossEntropyLoss({.weight = weight})(logits, targets).item();
  };
  CHECK(weighted(Tensor::full({5}, 3, DType::f64)) ==
        doctest::Approx(mean(logits, targets).item()).epsilon(1e-15));
  CHECK(weighted(Tensor::zeros({5}, DType::f64)) == 0);  // no weight at all: as a batch that is all ignored
  CHECK_THROWS_AS(weighted(Tensor::full({4}, 1, DType::f64)), Error);
  CHECK_THROWS_AS(weighted(Tensor::full({5}, 1)), Error);
}

TEST_CASE("initial values have PyTorch's distributions and depend on the seed alone") {
  Generator generator(5);
  const nn::Linear linear(300, 200, true, generator);
  check_uniform(linear.weight().data(), 1 / std::sqrt(300.0));
  check_uniform(linear.bias().data(), 1 / std::sqrt(300.0));

  const nn::Embedding embedding(200, 100, generator);
  const Moments m = moments(embedding.weight().data());
  CHECK(std::abs(m.mean) < 5 / std::sqrt(20000.0));
  CHECK(m.variance == doctest::Approx(1).epsilon(0.05));

  Tensor kernel = Tensor::empty({32, 16, 3, 3});
  CHECK(nn::init::fans(kernel.shape()).in == 144);
  CHECK(nn::init::fans(kernel.shape()).out == 288);
  nn::init::default_weight(kernel, generator);
  check_uniform(kernel, 1 / 12.0);
  nn::init::kaiming_uniform(kernel, 0, generator);
  check_uniform(kernel, std::sqrt(6.0 / 144));
  nn::init::xavier_uniform(kernel, generator);
  check_uniform(kernel, std::sqrt(6.0 / (144 + 288)));
  nn::init::kaiming_normal_fan_out(kernel, generator);
  CHECK(moments(kernel).variance == doctest::Approx(2.0 / 288).epsilon(0.1));
  CHECK(std::abs(moments(kernel).mean) < 5 * std::sqrt(2.0 / 288 / 4608));
  Tensor vector = Tensor::empty({3});
  CHECK_THROWS_AS(nn::init::xavier_uniform(vector, generator), Error);

  Generator again(5), other(6);
  const nn::Linear same(300, 200, true, again), different(300, 200, true, other);
  CHECK(same.weight().data().to_vector<float>() == linear.weight().data().to_vector<float>());
  CHECK(same.bias().data().to_vector<float>() == linear.bias().data().to_vector<float>());
  CHECK(different.weight().data().to_vector<float>() != linear.weight().data().to_vector<float>());
}

TEST_CASE("dropout drops in training only, and as its generator says") {
  Generator generator(9);
  nn::Dropout dropout(0.25, generator);
  const Variable x(Tensor::full({100, 100}, 3, DType::f64), true);
  const Variable y = dropout(x);
  int64_t dropped = 0;
  CHECK(dropout.p() == 0.25);
  for (const double v : y.data().to_vector<double>()) {
    CHECK((v == 0 || v == doctest::Approx(4)));
    dropped += v == 0;
  }
  CHECK(std::abs(static_cast<double>(dropped) - 2500) < 5 * std::sqrt(10000 * 0.25 * 0.75));
  autograd::sum(y).backward();
  const auto out = y.data().to_vector<double>(), gradient = x.grad().data().to_vector<double>();
  for (size_t i = 0; i < out.size(); ++i) CHECK((gradient[i] == 0) == (out[i] == 0));

  Generator again(9);
  nn::Dropout same(0.25, again);
  CHECK(same(x).data().to_vector<double>() == out);
  CHECK(same(x).data().to_vector<double>() != out);
  const uint64_t offset = again.offset();
  same.eval();
  CHECK(same(x).data().to_vector<double>() == x.data().to_vector<double>());
  CHECK(again.offset() == offset);
}

TEST_CASE("layers print and name their parameters as in PyTorch") {
  nn::Sequential head;
  head.emplace<nn::Linear>(2048, 1024);
  head.emplace<nn::ReLU>();
  head.emplace<nn::Dropout>(0.5);
  head.emplace<nn::Linear>(1024, 10, false);
  CHECK(nn::to_string(head) ==
        "Sequential(\n"
        "  (0): Linear(in_features=2048, out_features=1024, bias=True)\n"
        "  (1): ReLU()\n"
        "  (2): Dropout(p=0.5)\n"
        "  (3): Linear(in_features=1024, out_features=10, bias=False)\n"
        ")");
  std::vector<std::string> names;
  for (const auto& [name, v] : head.named_parameters()) names.push_back(name);
  CHECK(names == std::vector<std::string>{"0.weight", "0.bias", "3.weight"});
  CHECK(head.size() == 4);
  head.eval();
  CHECK_FALSE(head[2].training());
  CHECK_THROWS_AS(head[4], Error);
  CHECK_THROWS_AS(head.push_back(nullptr), Error);
  CHECK(nn::Embedding(7, 4).describe() == "Embedding(7, 4)");
}

TEST_CASE("layers refuse impossible sizes and inputs, and say which") {
  for (const auto& [a, b] : {std::pair{0, 4}, std::pair{4, 0}, std::pair{-1, 4}, std::pair{4, -1}}) {
    check_error(ErrorKind::argument, {tensor::format("Linear: {} inputs and {} outputs", a, b)},
                [&] { nn::Linear bad(a, b); });
    check_error(ErrorKind::argument, {tensor::format("Embedding: {} vectors of size {}", a, b)},
                [&] { nn::Embedding bad(a, b); });
  }
  for (const double p : {1.0, -0.1})
    check_error(ErrorKind::argument, {tensor::format("Dropout: p has to be in [0, 1), not {}", p)},
                [&] { nn::Dropout bad(p); });
  for (const double s : {1.5, -0.1})
    check_error(ErrorKind::argument, {tensor::format("label_smoothing has to be in [0, 1], not {}", s)},
                [&] { nn::CrossEntropyLoss bad({.label_smoothing = s}); });
  nn::CrossEntropyLoss loss;
  check_error(ErrorKind::shape, {"CrossEntropyLoss: logits () have no classes"},
              [&] { loss(Tensor::zeros({}), Tensor::zeros({}, DType::i64)); });
  check_error(ErrorKind::shape, {"CrossEntropyLoss: logits (2, 3, 5) need targets of (2, 3), not (3, 2)"},
              [&] {
                loss(Tensor::zeros({2, 3, 5}), Tensor::zeros({3, 2}, DType::i64));
              });
  Generator generator(1);
  Tensor vector = Tensor::empty({3});
  check_error(ErrorKind::shape, {"(3) has no fans"}, [&] { nn::init::default_weight(vector, generator); });
  nn::Linear linear(4, 2);
  CHECK_THROWS_AS(linear(Tensor::zeros({3, 5})), Error);
  nn::Embedding embedding(4, 2);
  CHECK_THROWS_AS(embedding(Tensor::from<int64_t>({0, 4}, {2})), Error);
  CHECK_THROWS_AS(embedding(Tensor::from<int64_t>({-1}, {1})), Error);
}

TEST_CASE("layers know their sizes, and say in errors which are impossible") {
  const nn::Linear linear(3, 4);
  CHECK(linear.in_features() == 3);
  CHECK(linear.out_features() == 4);
  CHECK(linear.weight().shape() == tensor::Shape{4, 3});
  CHECK(linear.bias().shape() == tensor::Shape{4});
  CHECK_FALSE(nn::Linear(3, 4, false).bias().defined());
  const nn::Embedding embedding(7, 4);
  CHECK(embedding.num_embeddings() == 7);
  CHECK(embedding.embedding_dim() == 4);
  const nn::Linear one(1, 1);
  const nn::Embedding single(1, 1);
  CHECK(nn::Dropout(0).p() == 0);
  CHECK(nn::Dropout().p() == 0.5);
  CHECK(nn::Dropout(0.25).describe() == "Dropout(p=0.25)");
  CHECK(nn::init::fans({5, 3}).in == 3);
  CHECK(nn::init::fans({5, 3}).out == 5);
  CHECK(nn::init::fans({5, 3, 2, 7}).in == 42);
  CHECK(nn::init::fans({5, 3, 2, 7}).out == 70);
  Generator generator(1);
  Tensor t = Tensor::empty({100, 100}), undefined;
  nn::init::uniform(t, 2, 5, generator);
  const Moments m = moments(t);
  CHECK((m.low >= 2 && m.low < 2.01 && m.high < 5 && m.high > 4.99));
  nn::init::normal(t, 7, 0.5, generator);
  CHECK(moments(t).mean == doctest::Approx(7).epsilon(0.01));
  CHECK(moments(t).variance == doctest::Approx(0.25).epsilon(0.1));
  nn::init::kaiming_uniform(t, 3, generator);
  check_uniform(t, std::sqrt(2.0 / 10) * std::sqrt(3.0 / 100));
  const uint64_t offset = generator.offset();
  nn::init::default_bias(undefined, t, generator);
  CHECK(generator.offset() == offset);
}

TEST_CASE("activation layers are their functions") {
  const Variable x(Tensor::from<double>({-1, 0.5, 3, 7}, {2, 2}));
  const auto values = [](const Variable& v) { return v.data().to_vector<double>(); };
  CHECK(values(nn::ReLU()(x)) == std::vector<double>{0, 0.5, 3, 7});
  CHECK(values(nn::ReLU6()(x)) == std::vector<double>{0, 0.5, 3, 6});
  CHECK(values(nn::Tanh()(x))[1] == doctest::Approx(std::tanh(0.5)).epsilon(1e-12));
  CHECK(values(nn::Sigmoid()(x))[1] == doctest::Approx(1 / (1 + std::exp(-0.5))).epsilon(1e-12));
  CHECK(nn::Flatten()(Tensor::zeros({2, 3, 4, 5})).shape() == tensor::Shape{2, 60});
  CHECK(nn::ReLU6().describe() == "ReLU6()");
  CHECK(nn::Tanh().describe() == "Tanh()");
  CHECK(nn::Sigmoid().describe() == "Sigmoid()");
  CHECK(nn::Flatten().describe() == "Flatten(start_dim=1, end_dim=-1)");
}

TEST_CASE("cross-entropy by hand: ignored rows, smoothing, reductions, and the limits of the settings") {
  // Two classes with logits (0, log 3): probabilities 1/4 and 3/4.
  const Tensor logits = Tensor::from<double>({0, std::log(3), 0, std::log(3), 0, std::log(3)}, {3, 2});
  const Tensor targets = Tensor::from<int64_t>({0, 1, 9}, {3});
  const double rare = std::log(4), usual = std::log(4.0 / 3);
  const auto loss = [&](const nn::CrossEntropyOptions& o) {
    return nn::CrossEntropyLoss(o)(logits, targets);
  };
  CHECK(loss({.ignore_index = 9}).item() == doctest::Approx((rare + usual) / 2).epsilon(1e-12));
  CHECK(loss({.ignore_index = 9, .reduction = autograd::Reduction::sum}).item() ==
        doctest::Approx(rare + usual).epsilon(1e-12));
  const auto rows =
      loss({.ignore_index = 9, .reduction = autograd::Reduction::none}).data().to_vector<double>();
  CHECK(rows[0] == doctest::Approx(rare).epsilon(1e-12));
  CHECK(rows[1] == doctest::Approx(usual).epsilon(1e-12));
  CHECK(rows[2] == 0);
  // All of the weight spread over both classes: each row the mean of the two.
  CHECK(loss({.ignore_index = 9, .label_smoothing = 1}).item() ==
        doctest::Approx((rare + usual) / 2).epsilon(1e-12));
  CHECK(loss({.ignore_index = 9, .label_smoothing = 0.5, .reduction = autograd::Reduction::none})
            .data()
            .to_vector<double>()[0] == doctest::Approx(0.75 * rare + 0.25 * usual).epsilon(1e-12));
  CHECK_THROWS_AS(loss({}), Error);  // 9 is no class
  nn::CrossEntropyLoss one;
  CHECK(one(Tensor::from<double>({0, std::log(3)}, {2}), Tensor::full({}, 1, DType::i64)).item() ==
        doctest::Approx(usual).epsilon(1e-12));
  CHECK(nn::CrossEntropyLoss({.ignore_index = 3, .label_smoothing = 0.5}).describe() ==
        "CrossEntropyLoss(ignore_index=3, label_smoothing=0.5)");
  CHECK(one.named_buffers().empty());
  CHECK(nn::CrossEntropyLoss({.weight = Tensor::zeros({2})}).named_buffers()[0].first == "weight");
}

TEST_CASE("a tied output layer gets the gradients of both uses") {
  struct Model : nn::Module {
    nn::Embedding& embedding;
    nn::Linear& out;
    Model() : embedding(add<nn::Embedding>("embedding", 5, 3)), out(add<nn::Linear>("out", 3, 5, false)) {
      replace_parameter("out.weight", embedding.weight());
    }
    std::string describe() const override { return "Model"; }
    Variable forward(const Tensor& ids) { return out(embedding(ids)); }
  } model;
  CHECK(model.parameter_count() == 15);
  const Tensor ids = Tensor::from<int64_t>({1, 3}, {2});
  autograd::sum(model.forward(ids)).backward();
  // d/dW of sum_i sum_v W_v . W_id(i): row r gets sum_i W_id(i), and sum_v W_v for each i with id(i) = r.
  const auto w = model.embedding.weight().data().to_vector<float>();
  const auto g = model.embedding.weight().grad().data().to_vector<float>();
  for (size_t r = 0; r < 5; ++r)
    for (size_t d = 0; d < 3; ++d) {
      float expected = w[3 + d] + w[9 + d];
      if (r == 1 || r == 3)
        for (size_t v = 0; v < 5; ++v) expected += w[3 * v + d];
      CHECK(g[3 * r + d] == doctest::Approx(expected).epsilon(1e-5));
    }
}
