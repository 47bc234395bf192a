#include "imgcap/cli/caption_results.h"

#include "imgcap/cli/cli.h"
#include "imgcap/data/captions_formats.h"

namespace imgcap::cli {

using tensor::io::Json;

void CaptionResults::add(const std::string& photo, const std::string& caption) {
  if (format_ == Format::csv) {
    CaptionFile line;
    line.captions = {{photo, 0, " " + caption}};
    formats::Losses losses;
    const std::string text = formats::write_pipe(line, losses);
    print(begun_ ? text.substr(text.find('\n') + 1) : text);
  } else {
    const auto id = id_in_name(photo);
    Json entry = id && ids_.insert(*id).second ? Json::object({{"image_id", *id}})
                                               : Json::object({{"image_id", photo}});
    entry["caption"] = caption;
    print((begun_ ? ",\n" : "[") + entry.dump());
  }
  begun_ = true;
}

void CaptionResults::finish() {
  if (format_ == Format::coco) print(begun_ ? "]\n" : "[]\n");
}

}  // namespace imgcap::cli
