#include "autograd/testing/op_database/common.h"

namespace autograd::testing {
namespace {

constexpr int64_t kIgnored = -100;

struct Settings {
  double smoothing = 0;
  Reduction reduction = Reduction::mean;
  bool weighted = false;
};

// inputs: logits, targets and, where it is weighted, class weights
Array reference(const std::vector<Array>& in, const Settings& s) {
  const int64_t rows = in[0].shape[0], classes = in[0].shape[1];
  Array losses(Shape{rows});
  double total = 0, counted = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const auto target = static_cast<int64_t>(in[1]({i}));
    if (target == kIgnored) continue;
    double sum = 0;
    for (int64_t k = 0; k < classes; ++k) sum += std::exp(in[0]({i, k}));
    const auto term = [&](int64_t k) {
      return (s.weighted ? in[2]({k}) : 1.0) * (std::log(sum) - in[0]({i, k}));
    };
    double loss = (1 - s.smoothing) * term(target);
    for (int64_t k = 0; k < classes; ++k) loss += s.smoothing / static_cast<double>(classes) * term(k);
    losses({i}) = loss;
    total += loss;
    counted += s.weighted ? in[2]({target}) : 1.0;
  }
  if (s.reduction == Reduction::none) return losses;
  if (s.reduction == Reduction::mean) total = counted > 0 ? total / counted : rows > 0 ? 0 : NAN;
  return Array(Shape{}, std::vector<double>{total});
}

// -ln softmax(logits)[target], smoothed, of plain ops.
Variable composed(const Variables& in, const Settings& s) {
  const int64_t rows = in[0].size(0), classes = in[0].size(1);
  Tensor one_hot = Tensor::zeros({rows, classes}, in[0].dtype(), in[0].device()),
         counts = Tensor::zeros({rows}, in[0].dtype(), in[0].device());
  const std::vector<int64_t> target = in[1].data().to_vector<int64_t>();
  for (int64_t i = 0; i < rows; ++i) {
    if (target[static_cast<size_t>(i)] == kIgnored) continue;
    one_hot.select(0, i).select(0, target[static_cast<size_t>(i)]).fill_(1);
    counts.select(0, i).fill_(1);
  }
  const Variable weight =
      s.weighted ? in[2] : Variable(Tensor::full({classes}, 1, in[0].dtype(), in[0].device()));
  const Variable terms = neg(log_softmax(in[0])) * weight, hot(one_hot), count(counts);
  const Variable losses =
      count * (sum(terms * hot, {1}) * (1 - s.smoothing) + mean(terms, {1}) * s.smoothing);
  if (s.reduction == Reduction::none) return losses;
  if (s.reduction == Reduction::sum) return sum(losses);
  const double counted = sum(hot * weight).item();
  return sum(losses) * (counted > 0 ? 1 / counted : rows > 0 ? 0 : NAN);
}

Sample sample_of(const Shape& shape, const Settings& s, const std::string& how, uint64_t seed,
                 bool all_ignored = false) {
  Draws draw(seed);
  Array targets = random_indices({shape[0]}, draw.seed(), shape[1]);
  for (size_t i = 0; i < targets.values.size(); ++i)
    if (all_ignored || i % 4 == 1) targets.values[i] = kIgnored;
  Sample sample{.label = text(shape) + how,
                .inputs = {floating(draw(shape)), indices(targets)},
                .op = one([s](const Variables& in) {
                  return cross_entropy(in[0], in[1].data(), kIgnored, s.smoothing, s.reduction,
                                       s.weighted ? in[2].data() : Tensor());
                }),
                .reference = one_array([s](const std::vector<Array>& in) { return reference(in, s); }),
                .composed = one([s](const Variables& in) { return composed(in, s); })};
  if (s.weighted) sample.inputs.push_back(constant_input(draw({shape[1]}, 0.1, 2)));
  return sample;
}

}  // namespace

std::vector<OpRecord> cross_entropy_ops() {
  OpRecord record{.name = "cross_entropy",
                  .derivatives = OpRecord::Derivatives::once,
                  .fused = true,
                  .tolerance = kExponential};
  record.tolerance.roundings = 3;  // of the rows, their sum and the mean
  uint64_t seed = 600;
  const auto add = [&](const Shape& shape, const Settings& s, const std::string& how,
                       bool all_ignored = false) {
    record.samples.push_back(sample_of(shape, s, how, seed, all_ignored));
    seed += 3;
  };
  for (const auto& [reduction, name] : std::vector<std::pair<Reduction, std::string>>{
           {Reduction::mean, ", mean"}, {Reduction::sum, ", sum"}, {Reduction::none, ", each"}}) {
    add({5, 4}, {.reduction = reduction}, name);
    add({5, 4}, {.smoothing = 0.1, .reduction = reduction}, name + ", smoothed");
    add({5, 4}, {.smoothing = 0.1, .reduction = reduction, .weighted = true}, name + ", smoothed, weighted");
  }
  add({1, 1}, {}, ", one class");
  add({3, 4}, {}, ", all ignored", true);
  add({0, 4}, {.reduction = Reduction::none}, ", no rows");
  add({40, 1000}, {.smoothing = 0.1}, ", smoothed");
  // NaN: the mean of nothing, as F.cross_entropy(torch.zeros(0, 4), torch.zeros(0).long()) is.
  add({0, 4}, {}, ", no rows, mean");
  add({0, 4}, {.smoothing = 0.1, .weighted = true}, ", no rows, mean, smoothed, weighted");
  add({0, 4}, {.smoothing = 0.1, .reduction = Reduction::sum}, ", no rows, sum, smoothed");
  record.errors = {
      refuses("a target beyond the classes", [] { cross_entropy(zeros(2, 3), ids(2, 3)); }, ErrorKind::index,
              {"cross_entropy", "3", "(2, 3)"}),
      refuses("a target where there are no classes", [] { cross_entropy(zeros(2, 0), ids(2)); },
              ErrorKind::index, {"cross_entropy", "(2, 0)"}),
      refuses("another number of targets", [] { cross_entropy(zeros(2, 3), ids(3)); }, ErrorKind::shape,
              {"cross_entropy", "(2, 3)", "(3)"}),
      refuses("targets that are no i64", [] { cross_entropy(zeros(2, 3), zeros(2).data()); },
              ErrorKind::dtype, {"cross_entropy", "f32"}),
      refuses("smoothing over 1", [] { cross_entropy(zeros(2, 3), ids(2), -100, 2); }, ErrorKind::argument,
              {"cross_entropy", "2"}),
      refuses("other class weights",
              [] { cross_entropy(zeros(2, 3), ids(2), -100, 0, Reduction::mean, zeros(4).data()); },
              ErrorKind::shape, {"cross_entropy", "(4)", "(2, 3)"})};
  return {record};
}

}  // namespace autograd::testing
