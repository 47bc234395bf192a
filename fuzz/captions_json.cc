// COCO's captions and results, Karpathy's files, JSON lines.
#include "fuzz/fuzz.h"
#include "imgcap/data/captions_formats.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::expect_data_errors([&] {
    imgcap::CaptionFile file;
    const std::string name = "input";
    imgcap::formats::Reading reading(name, file, imgcap::EmptyCaptions::keep);
    const std::string_view text = fuzz::text_of(data, size);
    if (imgcap::formats::is_json_lines(text))
      imgcap::formats::parse_lines(text, reading);
    else
      imgcap::formats::parse_document(text, reading);
    imgcap::CaptionFile references = file;
    imgcap::rename_images_by_id(file, references);
    fuzz::require(!file.report.summary().empty());
  });
  return 0;
}
