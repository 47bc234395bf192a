// COCO's captions and results.
#include "fuzz/fuzz.h"
#include "imgcap/data/captions_formats.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::expect_data_errors([&] {
    imgcap::CaptionFile file;
    imgcap::formats::parse_coco(fuzz::text_of(data, size), "input", file);
    imgcap::CaptionFile references = file;
    imgcap::rename_images_by_id(file, references);
    fuzz::require(!file.report.summary().empty());
  });
  return 0;
}
