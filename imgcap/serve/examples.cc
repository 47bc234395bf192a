#include "imgcap/serve/examples.h"

#include <algorithm>

#include "imgcap/data/image.h"
#include "imgcap/data/picture_format.h"
#include "tensor/error.h"

namespace imgcap::serve {
namespace {

constexpr int64_t kMostBytes = int64_t{4} << 20;

std::vector<std::string> split(std::string_view text, std::string_view by) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = std::min(text.find(by), text.size());
    parts.emplace_back(text.substr(0, end));
    if (end == text.size()) return parts;
    text.remove_prefix(end + by.size());
  }
}

// The first address in the text; empty where there is none.
std::string address_in(const std::string& text) {
  const size_t begin = text.find("https://");
  return begin == std::string::npos ? "" : text.substr(begin, text.find_first_of(" \"", begin) - begin);
}

// Of `CC0 by the photographer (NAME)` or `"captured by NAME and released ..."`.
std::string author_in(const std::string& text) {
  for (const auto& [before, behind] :
       {std::pair("photographer (", ")"), std::pair("captured by ", " and ")}) {
    const size_t begin = text.find(before);
    if (begin == std::string::npos) continue;
    const size_t name = begin + std::string_view(before).size();
    return text.substr(name, text.find(behind, name) - name);
  }
  return "";
}

std::string without_blanks_at_end(std::string text) {
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

std::string text_of_file(const std::filesystem::path& file) {
  try {
    const std::vector<uint8_t> bytes = read_file_bytes(file, kMostBytes);
    return {bytes.begin(), bytes.end()};
  } catch (const tensor::Error&) {
    return "";
  }
}

}  // namespace

std::vector<Example> load_examples(const std::filesystem::path& folder) {
  std::vector<Example> examples;
  for (const std::string& line : split(text_of_file(folder / "LICENSES.txt"), "\n")) {
    const std::vector<std::string> fields = split(line, " | ");
    const std::string name = without_blanks_at_end(fields.front());
    if (fields.size() < 3 || !has_extension(name, ".jpg") || name.find('/') != std::string::npos) continue;
    Example example;
    example.name = name;
    example.licence = fields[1].substr(0, fields[1].find(" http"));
    example.source = address_in(fields[2]);
    example.author = author_in(fields[2]);
    example.bytes = text_of_file(folder / name);
    if (!example.bytes.empty()) examples.push_back(std::move(example));
  }
  // Those whose author is known first.
  std::stable_partition(examples.begin(), examples.end(),
                        [](const Example& each) { return !each.author.empty(); });
  return examples;
}

}  // namespace imgcap::serve
