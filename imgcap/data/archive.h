// Where photos come from: folders, single files and tar archives, in any mix, under one index.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgcap/data/image.h"
#include "imgcap/data/photo_names.h"

namespace imgcap {

// Lists pictures once and reads them by number from any number of threads.
//
// Order: the paths as given; in a folder by path, byte by byte; in an archive as stored. Folders are searched
// with their subfolders (links to folders are not followed). A file or member is a picture by its extension,
// or else by its first bytes; cameras' raw files are none, and neither is what has a name that begins with a
// dot. A file that is given itself is taken as it is. A file is an archive when it is called .tar or begins
// like one. A member stored twice counts once, with the later bytes, as tar itself has it.
class ImageSource {
 public:
  // Errors: io (missing path, unreadable), data (folder or archive without pictures, damaged or compressed
  // archive), argument (no paths).
  explicit ImageSource(const std::vector<std::filesystem::path>& paths);
  // The same without io and data errors: a path that cannot be listed goes to `refused`, and the others are
  // done.
  struct Refused {
    std::filesystem::path path;
    std::string reason;
    int64_t before;  // how many pictures come before its place
  };
  ImageSource(const std::vector<std::filesystem::path>& paths, std::vector<Refused>& refused);
  ~ImageSource();
  ImageSource(ImageSource&&) noexcept;
  ImageSource& operator=(ImageSource&&) noexcept;

  int64_t size() const { return static_cast<int64_t>(entries_.size()); }
  // What the folders and archives hold besides pictures, in a sentence for each that holds any:
  // "photos/: passed over 3 files that are no pictures: 2 .txt, 1 .pdf".
  const std::vector<std::string>& passed_over() const { return passed_over_; }

  // Its key (photo_names.h): the path inside of its folder or archive, "a/1000.jpg"; of a file that was given
  // itself the path as given. Where two roots hold equal ones, the root stands in front: "flickr/1000.jpg".
  const std::string& name(int64_t index) const;
  // Where it is, for messages: "photos/1000.jpg", "photos.tar:a/1000.jpg".
  std::string location(int64_t index) const;

  // The photo that the name means. Errors: data (photo_names.h).
  std::optional<int64_t> find(std::string_view name) const;
  const PhotoNames& photos() const { return photos_; }

  // The first bytes of the file, `count` at most, for a look at its format. Errors: io, index.
  std::vector<uint8_t> read_head(int64_t index, int64_t count) const;
  // The file's bytes. Errors: io, data (over `limit`, archive shrunk meanwhile), index.
  std::vector<uint8_t> read(int64_t index, int64_t limit = ImageLimits{}.file_bytes) const;
  // Reads and decodes.
  Image read_image(int64_t index, const ImageLimits& limits = {}) const;

 private:
  struct Container;  // a folder, an archive, or the folder of a single file
  struct Entry {
    uint32_t container;
    std::string path;  // inside of the container
    std::string name;
    int64_t offset = 0, bytes = 0;
  };
  const Entry& entry(int64_t index) const;
  ImageSource(const std::vector<std::filesystem::path>& paths, std::vector<Refused>* refused);
  void add_path(const std::filesystem::path& path);
  void pass_over(const std::string& place, int64_t count, const std::string& kinds);
  void add_file(const std::filesystem::path& path);
  void add_folder(const std::filesystem::path& path);
  void add_archive(const std::filesystem::path& path);

  std::vector<std::unique_ptr<Container>> containers_;
  std::vector<Entry> entries_;
  void name_entries();
  PhotoNames photos_;
  std::vector<std::string> passed_over_;
};

}  // namespace imgcap
