#include "nn/lstm.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tensor/error.h"
#include "tests/nn/golden_case.h"
#include "tests/tensor/reference.h"

using autograd::Variable;
using nn::LstmStates;
using tensor::DType;
using tensor::Error;
using tensor::ErrorKind;
using tensor::Generator;
using tensor::Tensor;
using tests::check_error;
using tests::Named;

namespace {

// (layers, n, h) -> one state a layer.
LstmStates states_of(const Named& in) {
  if (!in.contains("h0")) return {};
  LstmStates states;
  for (int64_t k = 0; k < in.at("h0").size(0); ++k)
    states.push_back({autograd::select(in.at("h0"), 0, k), autograd::select(in.at("c0"), 0, k)});
  return states;
}

Named stacked(const Variable& y, const LstmStates& states) {
  autograd::Variables h, c;
  for (const auto& state : states) h.push_back(state.h), c.push_back(state.c);
  return {{"y", y}, {"h", autograd::stack(h, 0)}, {"c", autograd::stack(c, 0)}};
}

Variable random_input(const tensor::Shape& shape, uint64_t seed, DType dtype = DType::f32) {
  Generator generator(seed);
  Tensor t = Tensor::empty(shape, dtype);
  tensor::fill_normal(t, 0, 1, generator);
  return t;
}

struct Case {
  const char* name;
  int64_t layers;
  bool bias = true;
};
constexpr Case kCases[] = {{"lstm_1_layer_1_step", 1},          {"lstm_1_layer_4_steps", 1},
                           {"lstm_2_layers_1_step", 2},         {"lstm_2_layers_4_steps", 2},
                           {"lstm_3_layers_no_bias", 3, false}, {"lstm_no_state", 2}};

}  // namespace

TEST_CASE("sequences through the LSTM agree with PyTorch, fused and composed") {
  for (const DType dtype : tests::kBothTypes)
    for (const Case& c : kCases)
      for (const bool composed : {false, true}) {
        CAPTURE(composed);
        nn::LSTM lstm(5, 6, {.num_layers = c.layers, .bias = c.bias});
        lstm.set_composed(composed);
        tests::run_golden_case(c.name, dtype, lstm, [&](const Named& in) {
          const nn::LSTM::Result result = lstm(in.at("x"), states_of(in));
          return stacked(result.outputs, result.last);
        });
      }
}

TEST_CASE("single steps of the LSTM agree with PyTorch's sequences") {
  for (const DType dtype : tests::kBothTypes)
    for (const Case& c : kCases)
      for (const bool composed : {false, true}) {
        nn::LSTM lstm(5, 6, {.num_layers = c.layers, .bias = c.bias});
        lstm.set_composed(composed);
        tests::run_golden_case(c.name, dtype, lstm, [&](const Named& in) {
          LstmStates states = states_of(in);
          autograd::Variables outputs;
          for (int64_t t = 0; t < in.at("x").size(0); ++t) {
            states = lstm.step(autograd::select(in.at("x"), 0, t), states);
            outputs.push_back(states.back().h);
          }
          return stacked(autograd::stack(outputs, 0), states);
        });
      }
}

TEST_CASE("the LSTM cell agrees with PyTorch") {
  for (const DType dtype : tests::kBothTypes)
    for (const bool bias : {true, false}) {
      nn::LSTMCell cell(5, 6, bias);
      tests::run_golden_case(bias ? "lstm_cell" : "lstm_cell_no_bias", dtype, cell, [&](const Named& in) {
        const nn::LstmState state = cell(in.at("x"), nn::LstmState{in.at("h0"), in.at("c0")});
        return Named{{"h", state.h}, {"c", state.c}};
      });
    }
  nn::LSTMCell cell(5, 6);
  const Variable x = random_input({2, 5}, 1);
  const Tensor zeros = Tensor::zeros({2, 6});
  CHECK(cell(x).h.data().to_vector<float>() ==
        cell(x, nn::LstmState{zeros, zeros}).h.data().to_vector<float>());
}

TEST_CASE("LSTM parameters have PyTorch's names, order, shapes and range") {
  nn::LSTM lstm(5, 16, {.num_layers = 2, .dropout = 0.5});
  std::vector<std::string> names;
  for (const auto& [name, v] : lstm.named_parameters()) {
    names.push_back(name);
    double greatest = 0;
    for (const float value : v.data().to_vector<float>())
      greatest = std::max(greatest, std::abs(double{value}));
    CHECK(greatest <= 0.25);
    CHECK(greatest > 0.2);
  }
  CHECK(names == std::vector<std::string>{"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0",
                                          "weight_ih_l1", "weight_hh_l1", "bias_ih_l1", "bias_hh_l1"});
  CHECK(lstm.parameter("weight_ih_l0").shape() == tensor::Shape{64, 5});
  CHECK(lstm.parameter("weight_ih_l1").shape() == tensor::Shape{64, 16});
  CHECK(lstm.describe() == "LSTM(5, 16, num_layers=2, dropout=0.5)");
  CHECK(nn::LSTM(5, 16, {.bias = false}).describe() == "LSTM(5, 16, bias=False)");
  CHECK(nn::LSTM(48, 32, {.num_layers = 2}).parameter_count() ==
        4 * 32 * (48 + 32 + 2) + 4 * 32 * (32 + 32 + 2));
}

TEST_CASE("LSTM dropout acts between layers, in training, on all time steps") {
  Generator generator(4), again(4);
  nn::LSTM lstm(5, 64, {.num_layers = 2, .dropout = 0.5}, generator);
  nn::LSTM same(5, 64, {.num_layers = 2, .dropout = 0.5}, again);
  nn::LSTM one(5, 64, {.num_layers = 1, .dropout = 0.5});
  const Variable x = random_input({3, 2, 5}, 2);
  const auto values = [](const Variable& v) { return v.data().to_vector<float>(); };
  const nn::LSTM::Result first = lstm(x);
  CHECK(values(first.outputs) == values(same(x).outputs));
  CHECK(values(first.outputs) != values(lstm(x).outputs));
  // Layer 0's own states and the last layer's outputs are not dropped.
  lstm.eval();
  const nn::LSTM::Result evaluated = lstm(x);
  CHECK(values(evaluated.outputs) == values(lstm(x).outputs));
  CHECK(values(evaluated.last[0].h) == values(first.last[0].h));
  CHECK(values(evaluated.last[1].h) != values(first.last[1].h));
  for (const float v : values(first.outputs)) CHECK(v != 0);
  CHECK(values(one(x).outputs) == values(one(x).outputs));
  // The same for steps.
  lstm.train();
  const LstmStates step = lstm.step(autograd::select(x, 0, 0));
  const LstmStates other = lstm.step(autograd::select(x, 0, 0));
  CHECK(values(step[0].h) == values(other[0].h));
  CHECK(values(step[1].h) != values(other[1].h));
  // Asked for, a step has none in training either.
  const LstmStates exact = lstm.step(autograd::select(x, 0, 0), {}, false);
  lstm.eval();
  CHECK(values(exact[1].h) == values(lstm.step(autograd::select(x, 0, 0))[1].h));
}

TEST_CASE("the LSTM refuses wrong inputs, states and options, and says which") {
  nn::LSTM lstm(5, 6, {.num_layers = 2});
  for (const tensor::Shape& shape :
       {tensor::Shape{2, 5}, tensor::Shape{1, 2, 4}, tensor::Shape{0, 2, 5}, tensor::Shape{1, 2, 5, 1}})
    check_error(ErrorKind::shape, {"LSTM: x has to be (t, n, 5) with t >= 1, not " + to_string(shape)},
                [&] { lstm(Tensor::zeros(shape)); });
  for (const tensor::Shape& shape : {tensor::Shape{2, 4}, tensor::Shape{5}, tensor::Shape{1, 2, 5}})
    check_error(ErrorKind::shape, {"LSTM: a step's x has to be (n, 5), not " + to_string(shape)},
                [&] { lstm.step(Tensor::zeros(shape)); });
  LstmStates states = lstm.zero_states(2);
  states.pop_back();
  check_error(ErrorKind::shape, {"LSTM: 1 states for 2 layers"}, [&] {
    lstm(Tensor::zeros({1, 2, 5}), states);
  });
  check_error(ErrorKind::shape, {"LSTM: 1 states for 2 layers"}, [&] {
    lstm.step(Tensor::zeros({2, 5}), states);
  });
  CHECK_THROWS_AS(lstm(Tensor::zeros({1, 2, 5}), lstm.zero_states(3)), Error);
  for (const auto& [in, hidden] : {std::pair{0, 6}, std::pair{5, 0}, std::pair{-5, 6}, std::pair{5, -6}}) {
    const std::string text =
        tensor::format(": input size {} and hidden size {} have to be positive", in, hidden);
    check_error(ErrorKind::argument, {"LSTM" + text}, [&] { nn::LSTM bad(in, hidden); });
    check_error(ErrorKind::argument, {"LSTMCell" + text}, [&] { nn::LSTMCell bad(in, hidden); });
  }
  for (const int layers : {0, -1})
    check_error(ErrorKind::argument, {tensor::format("LSTM: {} layers", layers)},
                [&] { nn::LSTM bad(5, 6, {.num_layers = layers}); });
  for (const double p : {1.0, -0.1})
    check_error(ErrorKind::argument, {tensor::format("dropout has to be in [0, 1), not {}", p)},
                [&] { nn::LSTM bad(5, 6, {.dropout = p}); });
  const nn::LSTM one(1, 1, {.dropout = 0});
  const nn::LSTMCell cell(1, 1);
  CHECK(cell.describe() == "LSTMCell(1, 1)");
  CHECK(nn::LSTMCell(2, 3, false).describe() == "LSTMCell(2, 3, bias=False)");
  CHECK(nn::LSTM(5, 6).describe() == "LSTM(5, 6)");
  CHECK(nn::LSTM(5, 6, {.dropout = 0.25}).dropout() == 0.25);
}

TEST_CASE("the LSTM is fused, and differentiable once, unless it is composed") {
  nn::LSTM lstm(2, 3, {.num_layers = 2});
  lstm.to(DType::f64);
  const Variable x(random_input({2, 1, 2}, 1, DType::f64).data(), true);
  const auto slope = [&](bool step) {
    const Variable y = step ? lstm.step(autograd::select(x, 0, 0)).back().h : lstm(x).outputs;
    return autograd::grad({autograd::sum(y)}, {x}, {}, false, true)[0];
  };
  for (const bool step : {false, true}) {
    check_error(ErrorKind::autograd, {"lstm", "once"}, [&] { slope(step); });
    lstm.set_composed(true);
    CHECK(slope(step).requires_grad());
    lstm.set_composed(false);
    CHECK_THROWS_AS(slope(step), Error);
  }
}

TEST_CASE("the LSTM starts from zeros of its own type, one state a layer") {
  nn::LSTM lstm(5, 6, {.num_layers = 3});
  lstm.to(DType::f64);
  const LstmStates states = lstm.zero_states(4);
  REQUIRE(states.size() == 3);
  for (const auto& state : states)
    for (const Variable& v : {state.h, state.c}) {
      CHECK(v.shape() == tensor::Shape{4, 6});
      CHECK(v.dtype() == DType::f64);
      for (const double x : v.data().to_vector<double>()) CHECK(x == 0);
    }
  const Variable x = random_input({2, 4, 5}, 1, DType::f64);
  CHECK(lstm(x).outputs.data().to_vector<double>() == lstm(x, states).outputs.data().to_vector<double>());
}

TEST_CASE("LSTM dropout leaves out the fraction that it was given, and scales the rest") {
  // The second layer passes on what it gets: its input gate's pre-activation is large, its weights are ones.
  Generator generator(4);
  nn::LSTM lstm(1, 400, {.num_layers = 2, .dropout = 0.25, .bias = false}, generator);
  const Variable x(Tensor::full({1, 8, 1}, 1));
  lstm.parameter("weight_ih_l1").mutable_data().fill_(0);
  Tensor first = lstm.parameter("weight_ih_l1").mutable_data();
  // Output gate k of the second layer reads unit k of the first: its pre-activation is 0 or h / (1 - p).
  Tensor weights = Tensor::zeros({1600, 400});
  for (int64_t k = 0; k < 400; ++k) weights.mutable_data<float>()[(800 + k) * 400 + k] = 1;
  first.copy_(weights);
  const LstmStates states = lstm(x).last;
  const auto h = states[0].h.data().to_vector<float>(), c = states[1].c.data().to_vector<float>();
  int64_t dropped = 0;
  for (size_t i = 0; i < h.size(); ++i) {
    // Gates of 1/2: the cell is tanh(what came in) / 2.
    const double in = std::atanh(2 * static_cast<double>(c[i]));
    if (in == 0)
      ++dropped;
    else
      CHECK(in == doctest::Approx(static_cast<double>(h[i]) / 0.75).epsilon(1e-4));
  }
  CHECK(std::abs(static_cast<double>(dropped) - 800) < 5 * std::sqrt(3200 * 0.25 * 0.75));
}
