#include "imgcap/report/attention_map.h"

#include <algorithm>

namespace imgcap {

float attention_at(const std::vector<float>& map, int64_t rows, int64_t columns, double y, double x) {
  const double row = std::clamp(y * static_cast<double>(rows) - 0.5, 0.0, static_cast<double>(rows - 1));
  const double column =
      std::clamp(x * static_cast<double>(columns) - 0.5, 0.0, static_cast<double>(columns - 1));
  const auto r = static_cast<int64_t>(row), c = static_cast<int64_t>(column);
  const int64_t r2 = std::min(r + 1, rows - 1), c2 = std::min(c + 1, columns - 1);
  const double v = row - static_cast<double>(r), h = column - static_cast<double>(c);
  const auto cell = [&](int64_t i, int64_t j) {
    return static_cast<double>(map[static_cast<size_t>(i * columns + j)]);
  };
  return static_cast<float>((1 - v) * ((1 - h) * cell(r, c) + h * cell(r, c2)) +
                            v * ((1 - h) * cell(r2, c) + h * cell(r2, c2)));
}

}  // namespace imgcap
