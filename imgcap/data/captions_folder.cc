// A folder with a .txt file for each photo, one caption per line.
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "imgcap/data/captions_formats.h"
#include "imgcap/data/picture_format.h"
#include "imgcap/data/text_file.h"
#include "imgcap/data/utf8.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"

namespace imgcap::formats {
namespace {

namespace fs = std::filesystem;
using tensor::check;
using tensor::ErrorKind;

constexpr size_t kMaxFiles = 10'000'000;

std::string without_extension(const std::string& name) {
  return (fs::path(name).parent_path() / fs::path(name).stem()).generic_string();
}

// The texts below the folder and the pictures beside them, by path.
struct Listing {
  std::set<std::string> texts;
  std::map<std::string, std::string> pictures;  // without extension -> with it
};

Listing list(const fs::path& folder) {
  Listing all;
  for (auto place = fs::recursive_directory_iterator(folder); place != fs::recursive_directory_iterator();
       ++place) {
    const std::string file = place->path().filename().string();
    if (file.starts_with('.')) {
      if (place->is_directory()) place.disable_recursion_pending();
      continue;
    }
    if (!place->is_regular_file()) continue;
    const std::string name = place->path().lexically_relative(folder).generic_string();
    if (place->path().extension() == ".txt") all.texts.insert(name);
    if (has_picture_name(name)) all.pictures.emplace(without_extension(name), name);
    check(all.texts.size() + all.pictures.size() <= kMaxFiles, ErrorKind::data, "{}: more than {} files",
          folder.string(), kMaxFiles);
  }
  return all;
}

// A folder beside the one that it becomes as a whole; gone again when that fails. The files are not synced
// one by one, which would take minutes for a data set.
struct HiddenFolder {
  fs::path path;

  explicit HiddenFolder(const fs::path& folder) {
    const fs::path whole = folder.has_filename() ? folder : folder.parent_path();
    path = whole.parent_path() / ("." + whole.filename().string() + tensor::format(".{}.tmp", ::getpid()));
    std::error_code error;
    fs::create_directory(path, error);
    check(!error, ErrorKind::io, "{}: cannot be made: {}", path.string(), error.message());
  }
  ~HiddenFolder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  HiddenFolder(const HiddenFolder&) = delete;
  HiddenFolder& operator=(const HiddenFolder&) = delete;

  void write(const std::string& name, const std::string& text) const {
    const fs::path file = path / name;
    std::error_code error;
    fs::create_directories(file.parent_path(), error);
    std::ofstream out(file, std::ios::binary);
    out << text;
    out.close();
    check(!error && !out.fail(), ErrorKind::io, "{}: cannot be written", file.string());
  }
};

}  // namespace

void read_folder(const fs::path& folder, Reading& reading) {
  const Listing files = list(folder);
  check(!files.texts.empty(), ErrorKind::data,
        "{}: a folder without .txt files; expected one for each photo, one caption per line", reading.name);
  int64_t bytes = 0;
  for (const std::string& file : files.texts) {
    const std::string where = (folder / file).string();
    // "1.txt" is of the picture beside it, "1.jpg.txt" says its name; else the name goes without extension.
    std::string image = without_extension(file);
    if (const auto picture = files.pictures.find(image); picture != files.pictures.end()) {
      image = picture->second;
    } else if (!files.pictures.empty() && !has_picture_name(image)) {
      reading.skip(where + ": no picture of this name beside it");  // a list, a licence
      continue;
    }
    try {
      const std::string content = tensor::io::read_file(where, kMaxCaptionRowBytes);
      bytes += std::ssize(content);
      check(bytes <= kMaxCaptionFileBytes, ErrorKind::argument, "");
      const PlainText plain(content, where);
      LineReader lines(plain.text());
      const int64_t before = reading.file.report.kept;
      while (const auto line = lines.next())
        if (!trim(*line).empty())
          reading.add(image, {}, *line, tensor::format("{}:{}", where, lines.line_number()));
      if (reading.file.report.kept == before) reading.add(image, {}, "", where);
    } catch (const tensor::Error& error) {
      check(error.kind() != ErrorKind::argument, ErrorKind::data, "{}: over {} bytes of captions",
            reading.name, kMaxCaptionFileBytes);
      reading.skip(error.what());  // one file that is no text is no reason to refuse the others
    }
  }
}

void write_folder(const CaptionFile& file, const fs::path& folder, Losses& losses) {
  check(!fs::exists(folder) || (fs::is_directory(folder) && fs::is_empty(folder)), ErrorKind::io,
        "{}: is there already and is no empty folder", folder.string());
  lose_splits(file, losses);
  lose_numbers(file, losses);
  std::map<std::string, std::pair<std::string, std::string>> texts;  // file -> image, text
  for (const ImageCaptions& group : group_by_image(file.captions)) {
    const fs::path name(group.image);
    const bool inside = !name.is_absolute() && std::find(name.begin(), name.end(), "..") == name.end();
    check(inside && group.image.find('\\') == group.image.npos, ErrorKind::data,
          "\"{}\" cannot be a file in the folder", printable(group.image));
    const std::string stem = has_picture_name(group.image) ? without_extension(group.image) : group.image;
    if (stem != group.image) lose(losses, "the extensions of the photos' names (they are found without)");
    auto& [image, text] = texts[stem + ".txt"];
    check(image.empty(), ErrorKind::data, "\"{}\" and \"{}\" would be one file, {}", printable(image),
          printable(group.image), printable(stem + ".txt"));
    image = group.image;
    for (const size_t i : group.captions) text += one_line(file.captions[i].text, losses) + "\n";
  }
  const HiddenFolder making(folder);
  for (const auto& [name, content] : texts) making.write(name, content.second);
  fs::rename(making.path, folder);
}

}  // namespace imgcap::formats
