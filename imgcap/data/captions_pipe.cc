// results.csv: image, number and caption between "|", without quoting.
#include "imgcap/data/captions_formats.h"
#include "imgcap/data/text_file.h"
#include "tensor/format.h"

namespace imgcap::formats {

void parse_pipe(std::string_view text, Reading& reading) {
  LineReader reader(text);
  bool first = true, numbered = true;
  while (const auto line = reader.next()) {
    if (trim(*line).empty()) continue;
    const std::string where = tensor::format("{}:{}", reading.name, reader.line_number());
    const size_t a = line->find('|'), b = a == std::string_view::npos ? a : line->find('|', a + 1);
    const bool is_header = first && field_of(line->substr(0, a)) == Field::image;
    first = false;
    if (is_header) {
      numbered = b != std::string_view::npos || a == std::string_view::npos;
      continue;
    }
    const size_t last = numbered ? b : a;
    if (last == std::string_view::npos) {
      reading.skip(where +
                   (numbered ? ": fewer than three fields between \"|\"" : ": no \"|\" behind the image"));
      continue;
    }
    // No caption has a "|" in the data sets; one that has is kept whole.
    const std::string_view image = line->substr(0, a), caption = line->substr(last + 1);
    if (!numbered)
      reading.add(image, {}, caption, where);
    else if (const auto number = parse_number(line->substr(a + 1, b - a - 1)))
      reading.add(image, *number, caption, where);
    else
      reading.skip(where + ": the second field is no caption number");
  }
}

std::string write_pipe(const CaptionFile& file, Losses& losses) {
  std::string out = "image_name| comment_number| comment\n";
  for (const Caption& caption : file.captions)
    out += tensor::format("{}| {}|{}\n", one_line_name(caption.image, "|\r\n", "results.csv"), caption.number,
                          one_line(caption.text, losses));
  lose_splits(file, losses);
  return out;
}

}  // namespace imgcap::formats
