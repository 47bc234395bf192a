// The two text formats of captions: fields between "|" without quoting, and fields between commas with it.
#include <charconv>
#include <optional>
#include <unordered_map>
#include <vector>

#include "imgcap/data/captions_formats.h"
#include "imgcap/data/text_file.h"
#include "tensor/error.h"

namespace imgcap::formats {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::fail;

// A caption's number: 0 or more, nothing else in the field.
std::optional<int> parse_number(std::string_view field) {
  field = trim(field);
  int value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error != std::errc() || end != field.data() + field.size() || value < 0) return std::nullopt;
  return value;
}

constexpr size_t kMaxColumns = 64;

struct Row {
  std::vector<std::string> fields;
  bool too_long = false;  // a field or the number of columns is over the limit; the rest was dropped
  size_t first_line = 0;
};

// Rows of comma-separated fields as in RFC 4180.
class CommaReader {
 public:
  CommaReader(std::string_view text, const std::string& name) : rest_(text), name_(name) {}

  // False at the end of the text.
  bool next(Row& row) {
    if (rest_.empty()) return false;
    row.fields.clear();
    row.too_long = false;
    row.first_line = line_;
    do {
      read_field(row);
    } while (take(','));
    take('\r');
    if (take('\n')) ++line_;
    return true;
  }

 private:
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void read_field(Row& row) {
    std::string field;
    if (take('"')) read_quoted(field, row);
    // The rest of an unquoted field; what follows a closing quote is kept as well.
    while (!rest_.empty() && rest_.front() != ',' && rest_.front() != '\n' && !rest_.starts_with("\r\n")) {
      put(field, rest_.front(), row);
      rest_.remove_prefix(1);
    }
    if (row.fields.size() < kMaxColumns)
      row.fields.push_back(std::move(field));
    else
      row.too_long = true;
  }

  void read_quoted(std::string& field, Row& row) {
    const size_t opened = line_;
    for (; !rest_.empty(); rest_.remove_prefix(1)) {
      const char c = rest_.front();
      if (c == '"') {
        rest_.remove_prefix(1);
        if (rest_.empty() || rest_.front() != '"') return;
      }
      if (c == '\n') ++line_;
      put(field, c, row);
    }
    fail(ErrorKind::data, "{}:{}: a quoted field that begins here is never closed", name_, opened);
  }

  static void put(std::string& field, char c, Row& row) {
    if (field.size() < kMaxCaptionRowBytes)
      field.push_back(c);
    else
      row.too_long = true;
  }

  std::string_view rest_;
  const std::string& name_;
  size_t line_ = 1;
};

struct Columns {
  size_t image = 0, text = 0;
  std::optional<size_t> number;
};

Columns find_columns(const Row& header, const std::string& name) {
  std::optional<size_t> image, number, text;
  for (size_t i = 0; i < header.fields.size(); ++i) {
    const std::string_view title = trim(header.fields[i]);
    if (title == "image_name" || title == "image") image = i;
    if (title == "comment_number") number = i;
    if (title == "comment" || title == "caption") text = i;
  }
  check(image && text, ErrorKind::data, "{}:1: the header has no column {}", name,
        image ? "\"comment\" or \"caption\"" : "\"image_name\" or \"image\"");
  return {*image, *text, number};
}

}  // namespace

void parse_pipe(std::string_view text, const std::string& name, CaptionFile& file) {
  LineReader reader(text);
  bool first = true;
  while (const auto line = reader.next()) {
    if (trim(*line).empty()) continue;
    const std::string where = tensor::format("{}:{}", name, reader.line_number());
    const size_t a = line->find('|'), b = a == std::string_view::npos ? a : line->find('|', a + 1);
    const bool is_header = first && trim(line->substr(0, a)) == "image_name";
    first = false;
    if (is_header) continue;
    if (b == std::string_view::npos) {
      file.report.skip(where + ": fewer than three fields between \"|\"");
      continue;
    }
    // No caption has a "|" in the data sets; one that has is kept whole.
    const auto number = parse_number(line->substr(a + 1, b - a - 1));
    if (number)
      add_caption(line->substr(0, a), *number, line->substr(b + 1), where, file);
    else
      file.report.skip(where + ": the second field is no caption number");
  }
}

void parse_comma(std::string_view text, const std::string& name, CaptionFile& file) {
  CommaReader reader(text, name);
  Row row;
  do {
    if (!reader.next(row)) return;
  } while (row.fields.size() == 1 && trim(row.fields[0]).empty());
  const Columns columns = find_columns(row, name);
  const size_t width = row.fields.size();
  std::unordered_map<std::string, int> counts;  // numbers the captions where no column does
  while (reader.next(row)) {
    if (row.fields.size() == 1 && trim(row.fields[0]).empty()) continue;
    const std::string where = tensor::format("{}:{}", name, row.first_line);
    if (row.too_long) {
      file.report.skip(tensor::format("{}: a field is longer than {} bytes or there are too many", where,
                                      kMaxCaptionRowBytes));
    } else if (row.fields.size() != width) {
      file.report.skip(tensor::format("{}: {} fields; the header has {}", where, row.fields.size(), width));
    } else {
      const std::string& image = row.fields[columns.image];
      const auto number = columns.number ? parse_number(row.fields[*columns.number])
                                         : std::optional<int>(counts[std::string(trim(image))]++);
      if (number)
        add_caption(image, *number, row.fields[columns.text], where, file);
      else
        file.report.skip(where + ": comment_number is no caption number");
    }
  }
}

}  // namespace imgcap::formats
