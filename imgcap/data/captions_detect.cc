// Which format a text is in, or which it is nearest to, so that its own reader says what is wrong with it.
#include <algorithm>
#include <initializer_list>

#include "imgcap/data/captions_formats.h"
#include "tensor/error.h"

namespace imgcap::formats {
namespace {

// How much of a header the line is with this delimiter: 2 with a column of images and one of captions.
int titles(std::string_view line, char delimiter) {
  bool image = false, caption = false;
  for (size_t at = 0; at <= line.size();) {
    const size_t end = std::min(line.find(delimiter, at), line.size());
    std::string_view title = trim(line.substr(at, end - at));
    if (title.size() > 1 && title.front() == '"' && title.back() == '"')
      title = title.substr(1, title.size() - 2);
    const Field field = field_of(title);
    image = image || field == Field::image || field == Field::image_id;
    caption = caption || field == Field::text;
    at = end + 1;
  }
  return int{image} + int{caption};
}

}  // namespace

Field field_of(std::string_view title) {
  title = trim(title);
  if (title.size() > 32) return Field::other;
  std::string name(title);
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == ' ' || c == '-') c = '_';
  }
  const auto is = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (is({"image_name", "image", "file_name", "filename", "imagename", "image_file", "image_path", "file"}))
    return Field::image;
  if (is({"image_id"})) return Field::image_id;
  if (is({"comment_number", "caption_number", "number"})) return Field::number;
  if (is({"comment", "caption", "text", "caption_text", "comments", "captions", "texts", "sentence",
          "sentences", "raw"}))
    return Field::text;
  if (is({"split"})) return Field::split;
  if (is({"error"})) return Field::error;
  return Field::other;
}

Detected detect(std::string_view text, const std::string& name) {
  const std::string_view content = trim(text);
  if (content.front() == '{') return {is_json_lines(content) ? "jsonl" : "coco"};
  if (content.front() == '[') return {"coco-results"};
  const std::string_view line = content.substr(0, content.find('\n'));
  constexpr char kDelimiters[] = {'|', '\t', ',', ';'};
  const auto header = [&](int wanted) -> std::optional<Detected> {
    for (const char delimiter : kDelimiters)
      if (line.find(delimiter) != line.npos && titles(line, delimiter) >= wanted)
        return delimiter == '|' ? Detected{"results.csv"} : Detected{"csv", delimiter};
    return std::nullopt;
  };
  // Captions may have the words of titles.
  if (is_token_line(line)) return {"token"};
  if (const auto whole = header(2)) return *whole;
  tensor::check(
      !(line.ends_with(" ms)") && line.find(": ") != line.npos), tensor::ErrorKind::data,
      "{}:1: this is what imgcap caption prints for people; --format json, coco and csv are for programs",
      name);
  if (std::count(line.begin(), line.end(), '|') > 1) return {"results.csv"};
  if (const auto part = header(1)) return *part;
  for (const char delimiter : kDelimiters)
    if (line.find(delimiter) != line.npos)
      return delimiter == '|' ? Detected{"results.csv"} : Detected{"csv", delimiter};
  tensor::fail(tensor::ErrorKind::data,
               "{}:1: no known caption format; expected \"image_name| comment_number| comment\", a header "
               "such as \"image,caption\", \"name#0\" and a tab, COCO's or Karpathy's JSON, or JSON lines",
               name);
}

}  // namespace imgcap::formats
