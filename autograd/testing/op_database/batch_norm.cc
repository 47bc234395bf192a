#include "autograd/testing/op_database/common.h"
#include "tensor/format.h"

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

}  // namespace

void add_batch_norm(std::vector<OpRecord>& all) {
  OpRecord record{"batch_norm", "batch_norm", OpRecord::Derivatives::once};
  record.fused = true;
  record.tolerance = {1e-5, 1e-12, "differences from a mean of up to 1,568 numbers, divided by their spread"};
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
    Sample sample{
        tensor::format("{}{}{}", text(x), train ? ", training" : ", evaluating",
                       affine ? "" : ", not affine"),
        {floating(random_array(x, seed)), constant_input(random_array({x[1]}, seed + 1)),
         constant_input(random_array({x[1]}, seed + 2, 0.5, 2))},
        [train = train](const Variables& in) {
          return Variables{batch_norm(in[0], in.size() > 3 ? in[3] : Variable(),
                                      in.size() > 3 ? in[4] : Variable(), in[1].data(), in[2].data(), train,
                                      kEps)};
        },
        [train = train](const std::vector<Array>& in) { return std::vector<Array>{reference(in, train)}; },
        {},
        x.numel() > 1000};
    if (affine) {
      sample.inputs.push_back(floating(random_array({x[1]}, seed + 3, 0.5, 2)));
      sample.inputs.push_back(floating(random_array({x[1]}, seed + 4)));
    }
    sample.composed = [train = train](const Variables& in) {
      std::vector<int> dims = {0};
      Shape column = Shape::filled(in[0].rank(), 1);
      column[1] = in[0].size(1);
      for (int d = 2; d < in[0].rank(); ++d) dims.push_back(d);
      const Variable m = train ? mean(in[0], dims, true) : Variable(in[1].data().reshape(column));
      const Variable difference = in[0] - m;
      const Variable v =
          train ? mean(square(difference), dims, true) : Variable(in[2].data().reshape(column));
      const Variable y = difference / sqrt(v + kEps);
      if (in.size() <= 3) return Variables{y};
      return Variables{y * reshape(in[3], column) + reshape(in[4], column)};
    };
    seed += 5;
    record.samples.push_back(std::move(sample));
  }
  const auto call = [](const Shape& x, const Shape& statistics, const Shape& weight, bool train) {
    batch_norm(zeros(x), zeros(weight), zeros(weight), Tensor::zeros(statistics), Tensor::zeros(statistics),
               train, kEps);
  };
  record.errors = {refuses("another weight",
                           [call] {
                             call({2, 3}, {3}, {4}, true);
                           },
                           ErrorKind::shape, {"batch_norm", "(4)", "(2, 3)"}),
                   refuses("one value a channel, training",
                           [call] {
                             call({1, 3}, {3}, {3}, true);
                           },
                           ErrorKind::shape, {"batch_norm", "(1, 3)"}),
                   refuses("no channels",
                           [call] {
                             call({2, 0}, {0}, {0}, true);
                           },
                           ErrorKind::shape, {"batch_norm", "(2, 0)"}),
                   refuses("other statistics",
                           [call] {
                             call({2, 3}, {4}, {3}, false);
                           },
                           ErrorKind::shape, {"batch_norm", "(4)"})};
  all.push_back(std::move(record));
}

}  // namespace autograd::testing
