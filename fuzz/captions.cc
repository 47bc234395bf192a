// Captions in whatever format the detection takes the text for.
#include "imgcap/data/captions.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  fuzz::expect_data_errors([&] {
    const imgcap::CaptionFile file = imgcap::parse_captions(text, "input");
    fuzz::require(file.report.kept == static_cast<int64_t>(file.captions.size()) && file.report.kept > 0);
    fuzz::require(file.report.problems.size() <= imgcap::CaptionReport::kMaxProblems);
    size_t grouped = 0;
    for (const auto& group : imgcap::group_by_image(file.captions)) grouped += group.captions.size();
    fuzz::require(grouped == file.captions.size());
  });
  fuzz::expect_data_errors([&] { imgcap::parse_image_list(text, "input"); });
  return 0;
}
