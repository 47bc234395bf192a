// JSON lines: one object per line.
#include <algorithm>

#include "imgcap/data/captions_json.h"
#include "imgcap/data/text_file.h"
#include "tensor/format.h"
#include "tensor/io/json.h"

namespace imgcap::formats {
namespace {

size_t skip_blanks(std::string_view text, size_t at) {
  return std::min(text.find_first_not_of(" \t\r\n", at), text.size());
}

// Whether a key with this value behind it, at `colon`, is one of COCO's lists of objects.
bool is_section(std::string_view key, std::string_view text, size_t colon) {
  if (key != "images" && key != "annotations" && key != "captions") return false;
  const size_t list = skip_blanks(text, colon + 1);
  if (list == text.size() || text[list] != '[') return false;
  const size_t first = skip_blanks(text, list + 1);
  return first < text.size() && (text[first] == '{' || text[first] == ']');
}

}  // namespace

bool is_json_lines(std::string_view text) {
  int depth = 0;
  bool is_caption = false;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0)
      return is_caption || trim(text.substr(at + 1)).starts_with('{');
    if (c != '"') continue;
    const size_t begin = ++at;
    while (at < text.size() && text[at] != '"') at += text[at] == '\\' ? 2 : 1;
    const std::string_view key = text.substr(begin, std::min(at, text.size()) - begin);
    const size_t colon = skip_blanks(text, at + 1);
    if (depth != 1 || colon == text.size() || text[colon] != ':') continue;
    if (is_section(key, text, colon)) return false;
    const Field field = field_of(key);
    is_caption = is_caption || field == Field::image || field == Field::image_id || field == Field::text ||
                 field == Field::error;
  }
  return false;
}

void parse_lines(std::string_view text, Reading& reading) {
  LineReader reader(text);
  while (const auto line = reader.next()) {
    if (trim(*line).empty()) continue;
    const std::string where = tensor::format("{}:{}", reading.name, reader.line_number());
    if (line->size() > kMaxCaptionRowBytes) {
      reading.skip(tensor::format("{}: longer than {} bytes", where, kMaxCaptionRowBytes));
      continue;
    }
    JsonEntry entry;
    if (const std::string wrong = read_json_line(*line, entry); !wrong.empty()) {
      reading.skip(where + ": " + wrong);
      continue;
    }
    const std::string image = entry.image ? *entry.image : entry.image_id.value_or("");
    if (entry.error && entry.texts.empty()) {
      reading.file.failed.push_back(image);
      continue;
    }
    if (entry.texts.empty()) entry.texts.emplace_back();  // reported with the others
    for (const std::string& caption : entry.texts)
      reading.add(image, {}, caption, where, entry.split.value_or(""));
  }
}

std::string write_lines(const CaptionFile& file, Losses& losses) {
  using tensor::io::Json;
  lose_numbers(file, losses);
  std::string out;
  for (const Caption& caption : file.captions) {
    Json line = Json::object({{"file_name", caption.image}, {"text", caption.text}});
    if (const auto split = file.split_of.find(caption.image); split != file.split_of.end())
      line["split"] = split->second;
    out += line.dump() + "\n";
  }
  return out;
}

}  // namespace imgcap::formats
