// Where photos come from: folders, single files and tar archives, in any mix, under one index.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "imgcap/data/image.h"

namespace imgcap {

// Whether the name's extension is that of a picture (.jpg .jpeg .jpe .png .bmp .gif, any case).
bool has_picture_name(std::string_view name);

// Lists pictures once and reads them by number from any number of threads.
//
// Order: the paths as given; in a folder by path, byte by byte; in an archive as stored. Folders are searched
// with their subfolders (links to folders are not followed). Files and members whose name begins with a dot
// are left out, and so are those without a picture's extension, except for a file that is given itself. A
// file is an archive when it is called .tar or begins like one. A member stored twice counts once, with the
// later bytes, as tar itself has it.
class ImageSource {
 public:
  // Errors: io (missing path, unreadable), data (folder or archive without pictures, damaged or compressed
  // archive), argument (no paths).
  explicit ImageSource(const std::vector<std::filesystem::path>& paths);
  ~ImageSource();
  ImageSource(ImageSource&&) noexcept;
  ImageSource& operator=(ImageSource&&) noexcept;

  int64_t size() const { return static_cast<int64_t>(entries_.size()); }
  // The base name: "1000.jpg".
  std::string name(int64_t index) const;
  // Where it is, for messages: "photos/1000.jpg", "photos.tar:a/1000.jpg".
  std::string location(int64_t index) const;

  // By path inside of the folder or archive ("a/1000.jpg"), or else by base name. The same base name in two
  // places is no error until somebody asks for it: then it would be a guess which is meant. Errors: data (two
  // places, both named).
  std::optional<int64_t> find(std::string_view name) const;

  // The file's bytes. Errors: io, data (over `limit`, archive shrunk meanwhile), index.
  std::vector<uint8_t> read(int64_t index, int64_t limit = ImageLimits{}.file_bytes) const;
  // Reads and decodes.
  Image read_image(int64_t index, const ImageLimits& limits = {}) const;

 private:
  struct Container;  // a folder, an archive, or the folder of a single file
  struct Entry {
    uint32_t container;
    std::string path;  // inside of the container
    int64_t offset = 0, bytes = 0;
  };
  static constexpr int64_t kTwice = -1;

  const Entry& entry(int64_t index) const;
  void add(Entry entry);
  void add_file(const std::filesystem::path& path);
  void add_folder(const std::filesystem::path& path);
  void add_archive(const std::filesystem::path& path);

  std::vector<std::unique_ptr<Container>> containers_;
  std::vector<Entry> entries_;
  std::unordered_map<std::string, int64_t> by_path_, by_base_;  // kTwice: in two places
};

}  // namespace imgcap
