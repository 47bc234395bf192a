#include "autograd/testing/op_database.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/testing/op_database/common.h"
#include "tensor/random.h"

namespace autograd::testing {

const std::vector<OpRecord>& op_database() {
  static const std::vector<OpRecord> all = [] {
    constexpr std::pair<const char*, std::vector<OpRecord> (*)()> families[] = {
        {"arithmetic", arithmetic_ops},
        {"activation", activation_ops},
        {"reduce", reduce_ops},
        {"shape", shape_ops},
        {"matmul", matmul_ops},
        {"softmax", softmax_ops},
        {"cross_entropy", cross_entropy_ops},
        {"conv2d", conv2d_ops},
        {"pool", pool_ops},
        {"batch_norm", batch_norm_ops},
        {"embedding", embedding_ops},
        {"dropout", dropout_ops},
        {"lstm", lstm_ops},
        {"attention", attention_ops}};
    std::vector<OpRecord> records;
    for (const auto& [family, ops] : families)
      for (OpRecord& record : ops()) {
        record.family = family;
        records.push_back(std::move(record));
      }
    return records;
  }();
  return all;
}

const OpRecord* find_op(std::string_view name, const std::vector<OpRecord>& records) {
  for (const OpRecord& record : records)
    if (record.name == name) return &record;
  return nullptr;
}

std::vector<std::string> similar_ops(std::string_view name, const std::vector<OpRecord>& records) {
  std::vector<std::string> found;
  for (const OpRecord& record : records) {
    const std::string& other = record.name;
    // Levenshtein's distance.
    std::vector<size_t> row(other.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 0; i < name.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i + 1;
      for (size_t j = 0; j < other.size(); ++j) {
        const size_t replaced = diagonal + (name[i] != other[j]);
        diagonal = row[j + 1];
        row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, replaced});
      }
    }
    if (row.back() <= 2 || (name.size() >= 3 && other.find(name) != std::string::npos))
      found.push_back(other);
  }
  return found;
}

Array random_array(const Shape& shape, uint64_t seed, double low, double high) {
  tensor::Generator generator(seed);
  return make_array(shape, [&](const Index&) { return low + (high - low) * generator.uniform(); });
}

Array random_away_from(const Shape& shape, uint64_t seed, const std::vector<double>& kinks, double low,
                       double high, double gap) {
  tensor::Generator generator(seed);
  return make_array(shape, [&](const Index&) {
    for (;;) {
      const double x = low + (high - low) * generator.uniform();
      if (std::none_of(kinks.begin(), kinks.end(), [&](double k) { return std::abs(x - k) < gap; })) return x;
    }
  });
}

Array random_distinct(const Shape& shape, uint64_t seed) {
  tensor::Generator generator(seed);
  std::vector<double> values(static_cast<size_t>(shape.numel()));
  const double step = std::max(0.06, 4.0 / static_cast<double>(std::max<size_t>(values.size(), 1)));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = step * (static_cast<double>(i) - static_cast<double>(values.size()) / 2) +
                0.4 * step * generator.uniform();
  generator.shuffle(values);
  return {shape, std::move(values)};
}

Array random_indices(const Shape& shape, uint64_t seed, int64_t below) {
  tensor::Generator generator(seed);
  return make_array(shape, [&](const Index&) {
    return static_cast<double>(generator.below(static_cast<uint64_t>(below)));
  });
}

}  // namespace autograd::testing
