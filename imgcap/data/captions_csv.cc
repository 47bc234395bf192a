// Fields between commas, semicolons or tabs that may be quoted, below a header.
#include <optional>
#include <unordered_map>
#include <vector>

#include "imgcap/data/captions_formats.h"
#include "imgcap/data/captions_write.h"
#include "tensor/error.h"
#include "tensor/io/json.h"

namespace imgcap::formats {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::fail;

constexpr size_t kMaxColumns = 64;

struct Row {
  std::vector<std::string> fields;
  bool too_long = false;  // a field or the number of columns is over the limit; the rest was dropped
  size_t first_line = 0;
};

// Rows as in RFC 4180.
class RowReader {
 public:
  RowReader(std::string_view text, char delimiter, const std::string& name)
      : rest_(text), delimiter_(delimiter), name_(name) {}

  // False at the end of the text.
  bool next(Row& row) {
    if (rest_.empty()) return false;
    row.fields.clear();
    row.too_long = false;
    row.first_line = line_;
    do {
      read_field(row);
    } while (take(delimiter_));
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
    while (!rest_.empty() && rest_.front() != delimiter_ && rest_.front() != '\n' &&
           !rest_.starts_with("\r\n")) {
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
  char delimiter_;
  const std::string& name_;
  size_t line_ = 1;
};

struct Columns {
  size_t image = 0, text = 0;
  std::optional<size_t> number, split;
};

// The first column of each kind; a name goes before an id.
Columns find_columns(const Row& header, const std::string& name) {
  std::optional<size_t> image, id, number, text, split;
  const auto take = [](std::optional<size_t>& column, size_t i) {
    if (!column) column = i;
  };
  for (size_t i = 0; i < header.fields.size(); ++i) {
    switch (field_of(header.fields[i])) {
      case Field::image:
        take(image, i);
        break;
      case Field::image_id:
        take(id, i);
        break;
      case Field::number:
        take(number, i);
        break;
      case Field::text:
        take(text, i);
        break;
      case Field::split:
        take(split, i);
        break;
      default:
        break;
    }
  }
  if (!image) image = id;
  check(image && text, ErrorKind::data, "{}:1: the header has no column {}", name,
        image ? "\"comment\" or \"caption\"" : "\"image_name\" or \"image\"");
  return {*image, *text, number, split};
}

bool is_blank(const Row& row) { return row.fields.size() == 1 && trim(row.fields[0]).empty(); }

// The captions of a field: one, or a JSON list of them.
std::vector<std::string> captions_in(const std::string& field) {
  if (field.starts_with("[\""))
    if (const auto list = tensor::io::Json::try_parse(field, 1); list && list->is_array()) {
      std::vector<std::string> captions;
      for (const tensor::io::Json& item : list->items())
        if (item.is_text()) captions.push_back(item.as_text());
      if (captions.size() == list->size()) return captions;
    }
  return {field};
}

}  // namespace

void parse_csv(std::string_view text, char delimiter, Reading& reading) {
  RowReader reader(text, delimiter, reading.name);
  Row row;
  do {
    if (!reader.next(row)) return;
  } while (is_blank(row));
  const Columns columns = find_columns(row, reading.name);
  const size_t width = row.fields.size();
  while (reader.next(row)) {
    if (is_blank(row)) continue;
    const std::string where = tensor::format("{}:{}", reading.name, row.first_line);
    if (row.too_long) {
      reading.skip(tensor::format("{}: a field is longer than {} bytes or there are too many", where,
                                  kMaxCaptionRowBytes));
      continue;
    }
    if (row.fields.size() != width) {
      reading.skip(tensor::format("{}: {} fields; the header has {}", where, row.fields.size(), width));
      continue;
    }
    std::optional<int> number;
    if (columns.number) {
      number = parse_number(row.fields[*columns.number]);
      if (!number) {
        reading.skip(where + ": comment_number is no caption number");
        continue;
      }
    }
    const std::string_view split = columns.split ? std::string_view(row.fields[*columns.split]) : "";
    const std::vector<std::string> captions = captions_in(row.fields[columns.text]);
    for (const std::string& caption : captions)
      reading.add(row.fields[columns.image], captions.size() == 1 ? number : std::nullopt, caption, where,
                  split);
  }
}

std::string write_csv(const CaptionFile& file, Losses&) {
  const bool splits = !file.split_of.empty();
  std::string out =
      splits ? "image_name,comment_number,comment,split\n" : "image_name,comment_number,comment\n";
  for (const Caption& caption : file.captions) {
    out += tensor::format("{},{},{}", csv_field(caption.image), caption.number, csv_field(caption.text));
    if (splits) {
      const auto split = file.split_of.find(caption.image);
      out += "," + (split == file.split_of.end() ? "" : csv_field(split->second));
    }
    out += '\n';
  }
  return out;
}

}  // namespace imgcap::formats

namespace imgcap {

std::string csv_field(const std::string& field) {
  if (field.find_first_of(",\"\r\n") == field.npos) return field;
  std::string out = "\"";
  for (const char c : field) out.append(c == '"' ? 2 : 1, c);
  return out + '"';
}

}  // namespace imgcap
