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
Variables composed(const Variables& in, const Settings& s) {
  const int64_t rows = in[0].size(0), classes = in[0].size(1);
  Tensor one_hot = Tensor::zeros({rows, classes}, in[0].dtype()),
         counts = Tensor::zeros({rows}, in[0].dtype());
  const std::vector<int64_t> target = in[1].data().to_vector<int64_t>();
  for (int64_t i = 0; i < rows; ++i) {
    if (target[static_cast<size_t>(i)] == kIgnored) continue;
    one_hot.select(0, i).select(0, target[static_cast<size_t>(i)]).fill_(1);
    counts.select(0, i).fill_(1);
  }
  const Variable weight = s.weighted ? in[2] : Variable(Tensor::full({classes}, 1, in[0].dtype()));
  const Variable terms = neg(log_softmax(in[0])) * weight, hot(one_hot), count(counts);
  const Variable losses =
      count * (sum(terms * hot, {1}) * (1 - s.smoothing) + mean(terms, {1}) * s.smoothing);
  if (s.reduction == Reduction::none) return {losses};
  if (s.reduction == Reduction::sum) return {sum(losses)};
  const double counted = sum(hot * weight).item();
  return {sum(losses) * (counted > 0 ? 1 / counted : rows > 0 ? 0 : NAN)};
}

}  // namespace

void add_cross_entropy(std::vector<OpRecord>& all) {
  OpRecord record{"cross_entropy", "cross_entropy", OpRecord::Derivatives::once};
  record.fused = true;
  record.tolerance = {3e-6, 1e-13, "the float kernel's own exponential is within 3e-7"};
  record.tolerance.roundings = 3;  // of the rows, their sum and the mean
  uint64_t seed = 600;
  const auto add = [&](const Shape& shape, const Settings& s, const std::string& label,
                       bool all_ignored = false) {
    Array targets = random_indices({shape[0]}, seed, shape[1]);
    for (size_t i = 0; i < targets.values.size(); ++i)
      if (all_ignored || i % 4 == 1) targets.values[i] = kIgnored;
    Sample sample{text(shape) + label,
                  {floating(random_array(shape, seed + 1)), indices(targets)},
                  [s](const Variables& in) {
                    return Variables{cross_entropy(in[0], in[1].data(), kIgnored, s.smoothing, s.reduction,
                                                   s.weighted ? in[2].data() : Tensor())};
                  },
                  [s](const std::vector<Array>& in) { return std::vector<Array>{reference(in, s)}; },
                  [s](const Variables& in) { return composed(in, s); },
                  shape.numel() > 1000};
    if (s.weighted) sample.inputs.push_back(constant_input(random_array({shape[1]}, seed + 2, 0.1, 2)));
    seed += 3;
    record.samples.push_back(std::move(sample));
  };
  for (const auto& [reduction, name] : std::vector<std::pair<Reduction, const char*>>{
           {Reduction::mean, ", mean"}, {Reduction::sum, ", sum"}, {Reduction::none, ", each"}}) {
    add({5, 4}, {0, reduction, false}, name);
    add({5, 4}, {0.1, reduction, false}, std::string(name) + ", smoothed");
    add({5, 4}, {0.1, reduction, true}, std::string(name) + ", smoothed, weighted");
  }
  add({1, 1}, {}, ", one class");
  add({3, 4}, {}, ", all ignored", true);
  add({0, 4}, {0, Reduction::none, false}, ", no rows");
  add({40, 1000}, {0.1, Reduction::mean, false}, ", smoothed");
  // NaN: the mean of nothing, as F.cross_entropy(torch.zeros(0, 4), torch.zeros(0).long()) is.
  add({0, 4}, {0, Reduction::mean, false}, ", no rows, mean");
  add({0, 4}, {0.1, Reduction::mean, true}, ", no rows, mean, smoothed, weighted");
  add({0, 4}, {0.1, Reduction::sum, false}, ", no rows, sum, smoothed");
  record.errors = {refuses("a target beyond the classes",
                           [] {
                             cross_entropy(zeros({2, 3}), Tensor::full({2}, 3, DType::i64));
                           },
                           ErrorKind::index, {"cross_entropy", "3", "(2, 3)"}),
                   refuses("a target where there are no classes",
                           [] {
                             cross_entropy(zeros({2, 0}), Tensor::zeros({2}, DType::i64));
                           },
                           ErrorKind::index, {"cross_entropy", "(2, 0)"}),
                   refuses("another number of targets",
                           [] {
                             cross_entropy(zeros({2, 3}), Tensor::zeros({3}, DType::i64));
                           },
                           ErrorKind::shape, {"cross_entropy", "(2, 3)", "(3)"}),
                   refuses("targets that are no i64",
                           [] {
                             cross_entropy(zeros({2, 3}), Tensor::zeros({2}));
                           },
                           ErrorKind::dtype, {"cross_entropy", "f32"}),
                   refuses("smoothing over 1",
                           [] {
                             cross_entropy(zeros({2, 3}), Tensor::zeros({2}, DType::i64), -100, 2);
                           },
                           ErrorKind::argument, {"cross_entropy", "2"}),
                   refuses("other class weights",
                           [] {
                             cross_entropy(zeros({2, 3}), Tensor::zeros({2}, DType::i64), -100, 0,
                                           Reduction::mean, Tensor::zeros({4}));
                           },
                           ErrorKind::shape, {"cross_entropy", "(4)", "(2, 3)"})};
  all.push_back(std::move(record));
}

}  // namespace autograd::testing
