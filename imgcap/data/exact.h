// Keeps a product from being fused with the sum that follows it (FMA instructions round once instead of
// twice): results that must equal another program's to the last bit need its roundings.
#pragma once

namespace imgcap {

inline double rounded(double value) {
  volatile double kept = value;
  return kept;
}

}  // namespace imgcap
