#include "imgcap/data/feature_cache.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::MemoryFile file({data, size});
  fuzz::expect_data_errors([&] {
    const auto cache = imgcap::FeatureCache::open(file.path());
    fuzz::require(cache.size() == static_cast<int64_t>(cache.names().size()));
    if (cache.size() > 0) cache.rows({0, cache.size() - 1});
  });
  return 0;
}
