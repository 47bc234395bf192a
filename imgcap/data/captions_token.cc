// Flickr8k.token.txt: "name#number", a tab, the caption.
#include "imgcap/data/captions_formats.h"
#include "imgcap/data/text_file.h"
#include "tensor/format.h"

namespace imgcap::formats {

bool is_token_line(std::string_view line) {
  const std::string_view word = line.substr(0, line.find_first_of("\t "));
  const size_t mark = word.rfind('#');
  return mark != word.npos && mark > 0 && parse_number(word.substr(mark + 1)).has_value();
}

void parse_token(std::string_view text, Reading& reading) {
  LineReader reader(text);
  while (const auto line = reader.next()) {
    if (trim(*line).empty()) continue;
    const std::string where = tensor::format("{}:{}", reading.name, reader.line_number());
    const size_t tab = line->find('\t');
    if (tab == std::string_view::npos) {
      reading.skip(where + ": no tab between name#number and caption");
      continue;
    }
    const std::string_view first = line->substr(0, tab);
    const size_t mark = first.rfind('#');
    const auto number = mark == first.npos ? std::nullopt : parse_number(first.substr(mark + 1));
    if (number)
      reading.add(first.substr(0, mark), *number, line->substr(tab + 1), where);
    else
      reading.skip(where + ": no #number behind the image");
  }
}

std::string write_token(const CaptionFile& file, Losses& losses) {
  std::string out;
  for (const Caption& caption : file.captions)
    out += tensor::format("{}#{}\t{}\n", one_line_name(caption.image, "\t\r\n", "token"), caption.number,
                          one_line(caption.text, losses));
  lose_splits(file, losses);
  return out;
}

}  // namespace imgcap::formats
