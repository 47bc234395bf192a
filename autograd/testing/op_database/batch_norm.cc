#include "autograd/testing/op_database/common.h"

namespace autograd::testing {
namespace {

constexpr double kEps = 1e-3;

// inputs: x, running mean, running variance and, where affine, weight and bias
Array reference(const std::vector<Array>& in, bool train) {
  const Array& x = in[0];
  const int64_t channels = x.size(1);
  std::vector<double> mean(static_cast<size_t>(channels)), variance(mean), count(mean);
  for_each_index(x.shape, [&](const Index& i) {
    mean[static_cast<size_t>(i[1])] += x(i);
    count[static_cast<size_t>(i[1])] += 1;
  });
  for (size_t c = 0; c < mean.size(); ++c) mean[c] /= count[c];
  for_each_index(x.shape, [&](const Index& i) {
    const auto c = static_cast<size_t>(i[1]);
    variance[c] += (x(i) - mean[c]) * (x(i) - mean[c]) / count[c];
  });
  return make_array(x.shape, [&](const Index& i) {
    const auto c = static_cast<size_t>(i[1]);
    const double m = train ? mean[c] : in[1].values[c], v = train ? variance[c] : in[2].values[c];
    const double y = (x(i) - m) / std::sqrt(v + kEps);
    return in.size() > 3 ? y * in[3].values[c] + in[4].values[c] : y;
  });
}

// The same of plain ops.
Variable composed(const Variables& in, bool train) {
  std::vector<int> dims = {0};
  Shape column = Shape::filled(in[0].rank(), 1);
  column[1] = in[0].size(1);
  for (int d = 2; d < in[0].rank(); ++d) dims.push_back(d);
  const Variable m = train ? mean(in[0], dims, true) : Variable(in[1].data().reshape(column));
  const Variable difference = in[0] - m;
  const Variable v = train ? mean(square(difference), dims, true) : Variable(in[2].data().reshape(column));
  const Variable y = difference / sqrt(v + kEps);
  return in.size() > 3 ? y * reshape(in[3], column) + reshape(in[4], column) : y;
}

}  // namespace

std::vector<OpRecord> batch_norm_ops() {
  OpRecord record{
      .name = "batch_norm",
      .derivatives = OpRecord::Derivatives::once,
      .fused = true,
      .tolerance = {.f32 = 1e-5,
                    .f64 = 1e-12,
                    .reason = "differences from a mean of up to 1,568 numbers, divided by their spread"}};
  uint64_t seed = 900;
  for (const auto& [x, train, affine] :
       std::vector<std::tuple<Shape, bool, bool>>{{{4, 3}, true, true},
                                                  {{2, 3, 2, 3}, true, true},
                                                  {{2, 3, 2, 3}, true, false},
                                                  {{2, 3, 2, 3}, false, true},
                                                  {{1, 2, 1, 1}, false, true},
                                                  {{3, 1, 2, 2}, true, true},
                                                  {{8, 16, 14, 14}, true, true},
                                                  {{0, 3}, true, true},
                                                  {{0, 3, 2, 2}, true, true},
                                                  {{0, 3, 2, 2}, true, false},
                                                  {{2, 3, 0, 2}, true, true},
                                                  {{0, 3, 2, 2}, false, true},
                                                  {{2, 0, 2}, false, false}}) {
    Draws draw(seed);
    seed += 5;
    Sample sample{
        .label = tensor::format("{}{}{}", text(x), train ? ", training" : ", evaluating",
                                affine ? "" : ", not affine"),
        .inputs = {floating(draw(x)), constant_input(draw({x[1]})), constant_input(draw({x[1]}, 0.5, 2))},
        .op = one([train = train](const Variables& in) {
          return batch_norm(in[0], optional_input(in, 3), optional_input(in, 4), in[1].data(), in[2].data(),
                            train, kEps);
        }),
        .reference = one_array([train = train](const auto& in) { return reference(in, train); }),
        .composed = one([train = train](const Variables& in) { return composed(in, train); })};
    if (affine) {
      sample.inputs.push_back(floating(draw({x[1]}, 0.5, 2)));
      sample.inputs.push_back(floating(draw({x[1]})));
    }
    record.samples.push_back(std::move(sample));
  }
  const auto error = [&](const char* label, const Shape& x, int64_t statistics, int64_t weight, bool train,
                         const std::vector<std::string>& says) {
    const auto call = [=] {
      batch_norm(zeros(x), zeros(weight), zeros(weight), zeros(statistics).data(), zeros(statistics).data(),
                 train, kEps);
    };
    record.errors.push_back(refuses(label, call, ErrorKind::shape, says));
    record.errors.back().says.emplace_back("batch_norm");
  };
  error("another weight", {2, 3}, 3, 4, true, {"(4)", "(2, 3)"});
  error("one value per channel, training", {1, 3}, 3, 3, true, {"(1, 3)"});
  error("no channels", {2, 0}, 0, 0, true, {"(2, 0)"});
  error("other statistics", {2, 3}, 4, 3, false, {"(4)"});
  return {record};
}

}  // namespace autograd::testing
