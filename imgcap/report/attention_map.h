// Maps of attention, coarse grids, laid over pictures.
#pragma once

#include <cstdint>
#include <vector>

namespace imgcap {

// The weight at a place of the picture (0..1 each way): linear between the middles of the map's rows x
// columns cells, constant outside of them.
float attention_at(const std::vector<float>& map, int64_t rows, int64_t columns, double y, double x);

}  // namespace imgcap
