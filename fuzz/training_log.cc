#include "imgcap/training/training_log.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::expect_data_errors([&] {
    const auto log = imgcap::parse_training_log(fuzz::text_of(data, size), "input");
    for (size_t i = 1; i < log.steps.size(); ++i) fuzz::require(log.steps[i - 1].step < log.steps[i].step);
  });
  return 0;
}
