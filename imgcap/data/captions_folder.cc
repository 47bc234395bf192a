// A folder with a .txt file for each photo, a caption a line.
#include <algorithm>
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

}  // namespace

void read_folder(const fs::path& folder, Reading& reading) {
  const Listing files = list(folder);
  check(!files.texts.empty(), ErrorKind::data,
        "{}: a folder without .txt files; expected one for each photo, a caption a line", reading.name);
  int64_t bytes = 0;
  for (const std::string& file : files.texts) {
    const std::string where = (folder / file).string();
    // "1.txt" is of the picture beside it, "1.jpg.txt" says its name; else the name goes without extension.
    std::string image = without_extension(file);
    if (const auto picture = files.pictures.find(image); picture != files.pictures.end())
      image = picture->second;
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
  for (const auto& [name, content] : texts) {
    fs::create_directories((folder / name).parent_path());
    tensor::io::write_file_atomically(folder / name, content.second);
  }
}

}  // namespace imgcap::formats
