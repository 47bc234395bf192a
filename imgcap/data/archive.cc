#include "imgcap/data/archive.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "imgcap/data/tar.h"
#include "tensor/error.h"

namespace imgcap {
namespace {

namespace fs = std::filesystem;
using tensor::check;
using tensor::ErrorKind;
using tensor::fail;

std::string_view base_name(std::string_view path) { return path.substr(path.find_last_of('/') + 1); }

bool has_extension(std::string_view name, std::string_view extension) {
  if (name.size() <= extension.size()) return false;
  const std::string_view end = name.substr(name.size() - extension.size());
  return std::equal(end.begin(), end.end(), extension.begin(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

bool is_listed(std::string_view path) { return base_name(path).front() != '.' && has_picture_name(path); }

// Reads up to 512 bytes from the beginning, for the magic numbers.
std::string beginning(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  check(descriptor >= 0, ErrorKind::io, "{}: cannot be opened: {}", path.string(), std::strerror(errno));
  std::string bytes(512, '\0');
  const ssize_t got = ::read(descriptor, bytes.data(), bytes.size());
  ::close(descriptor);
  bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return bytes;
}

}  // namespace

struct ImageSource::Container {
  fs::path path;
  int descriptor = -1;  // of an archive
  Container(fs::path where, int open_file) : path(std::move(where)), descriptor(open_file) {}
  ~Container() {
    if (descriptor >= 0) ::close(descriptor);
  }
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;
};

ImageSource::~ImageSource() = default;
ImageSource::ImageSource(ImageSource&&) noexcept = default;
ImageSource& ImageSource::operator=(ImageSource&&) noexcept = default;

bool has_picture_name(std::string_view name) {
  for (const char* extension : {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif"})
    if (has_extension(name, extension)) return true;
  return false;
}

ImageSource::ImageSource(const std::vector<fs::path>& paths) : ImageSource(paths, nullptr) {}

ImageSource::ImageSource(const std::vector<fs::path>& paths, std::vector<Refused>& refused)
    : ImageSource(paths, &refused) {}

ImageSource::ImageSource(const std::vector<fs::path>& paths, std::vector<Refused>* refused) {
  check(!paths.empty(), ErrorKind::argument, "images: no file, folder or archive is given");
  for (const fs::path& path : paths) {
    try {
      add_path(path);
    } catch (const tensor::Error& error) {
      if (refused == nullptr || (error.kind() != ErrorKind::io && error.kind() != ErrorKind::data)) throw;
      refused->push_back({path, error.what(), size()});
    }
  }
  name_entries();
}

void ImageSource::add_path(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  check(fs::exists(status), ErrorKind::io, "{}: {}", path.string(),
        error ? error.message() : std::string("no such file or folder"));
  if (fs::is_directory(status)) return add_folder(path);
  check(fs::is_regular_file(status), ErrorKind::io, "{}: is neither a file nor a folder", path.string());
  const std::string head = beginning(path), name = path.string();
  check(head.compare(0, 2, "\x1f\x8b") != 0 && head.compare(0, 3, "BZh") != 0 &&
            head.compare(0, 4, "\x28\xb5\x2f\xfd") != 0 &&
            head.compare(0, 5,
                         "\xfd"
                         "7zXZ") != 0,
        ErrorKind::data, "{}: is compressed: unpack it, or to a plain .tar", name);
  const bool magic = head.size() > 262 && head.compare(257, 5, "ustar") == 0;
  magic || has_extension(name, ".tar") ? add_archive(path) : add_file(path);
}

// Gives each entry its key. Equal ones get their root in front, unless they are one file, by two of the given
// paths.
void ImageSource::name_entries() {
  std::unordered_map<std::string, std::vector<int64_t>> alike;
  for (int64_t i = 0; i < size(); ++i) alike[normal_name(entries_[static_cast<size_t>(i)].name)].push_back(i);
  for (const auto& [name, which] : alike) {
    const std::string first = normal_name(location(which.front()));
    const bool one_file =
        std::all_of(which.begin(), which.end(), [&](int64_t i) { return normal_name(location(i)) == first; });
    if (one_file) continue;
    for (const int64_t i : which) {
      Entry& item = entries_[static_cast<size_t>(i)];
      item.name = (containers_[item.container]->path / item.path).string();
    }
  }
  // One file under two keys counts as the first.
  std::unordered_map<std::string, std::string> first;
  std::vector<std::string> keys;
  for (const Entry& item : entries_) {
    const std::string place = normal_name(location(std::ssize(keys)));
    keys.push_back(first.emplace(place, item.name).first->second);
  }
  photos_ = PhotoNames(std::move(keys));
}

void ImageSource::add_file(const fs::path& path) {
  containers_.push_back(std::make_unique<Container>(path.parent_path(), -1));
  entries_.push_back(
      {static_cast<uint32_t>(containers_.size() - 1), path.filename().string(), path.string()});
}

void ImageSource::add_folder(const fs::path& path) {
  std::error_code error;
  fs::recursive_directory_iterator walk(path, fs::directory_options::none, error), end;
  check(!error, ErrorKind::io, "{}: the folder cannot be read: {}", path.string(), error.message());
  std::vector<std::string> names;
  const size_t skip = (path / "").string().size();
  while (walk != end) {
    // The name decides first: asking for the kind of file may cost a look at the disk.
    std::string full = walk->path().string();
    if (is_listed(full) && walk->is_regular_file(error)) names.push_back(full.substr(skip));
    walk.increment(error);
    check(!error, ErrorKind::io, "{}: the folder cannot be read: {}", path.string(), error.message());
  }
  check(!names.empty(), ErrorKind::data, "{}: no pictures in the folder (jpg, jpeg, png, bmp, gif)",
        path.string());
  std::sort(names.begin(), names.end());
  containers_.push_back(std::make_unique<Container>(path, -1));
  entries_.reserve(entries_.size() + names.size());
  for (std::string& name : names)
    entries_.push_back({static_cast<uint32_t>(containers_.size() - 1), name, name});
}

void ImageSource::add_archive(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  check(descriptor >= 0, ErrorKind::io, "{}: cannot be opened: {}", path.string(), std::strerror(errno));
  containers_.push_back(std::make_unique<Container>(path, descriptor));
  std::vector<TarMember> members = read_tar_index(descriptor, path.string());
  std::unordered_map<std::string, size_t> place;
  std::vector<TarMember> kept;
  for (TarMember& member : members) {
    while (member.name.compare(0, 2, "./") == 0) member.name.erase(0, 2);
    if (member.name.empty() || !is_listed(member.name)) continue;
    const auto [at, fresh] = place.try_emplace(member.name, kept.size());
    if (fresh) {
      kept.push_back(std::move(member));
    } else {
      kept[at->second].offset = member.offset;
      kept[at->second].size = member.size;
    }
  }
  check(!kept.empty(), ErrorKind::data, "{}: no pictures in the archive (jpg, jpeg, png, bmp, gif)",
        path.string());
  for (TarMember& member : kept)
    entries_.push_back({static_cast<uint32_t>(containers_.size() - 1), member.name, member.name,
                        member.offset, member.size});
}

const ImageSource::Entry& ImageSource::entry(int64_t index) const {
  check(index >= 0 && index < size(), ErrorKind::index, "images: no picture {} among {}", index, size());
  return entries_[static_cast<size_t>(index)];
}

const std::string& ImageSource::name(int64_t index) const { return entry(index).name; }

std::string ImageSource::location(int64_t index) const {
  const Entry& item = entry(index);
  const Container& container = *containers_[item.container];
  return container.descriptor >= 0 ? container.path.string() + ":" + item.path
                                   : (container.path / item.path).string();
}

std::optional<int64_t> ImageSource::find(std::string_view name) const { return photos_.find(name); }

std::vector<uint8_t> ImageSource::read(int64_t index, int64_t limit) const {
  const Entry& item = entry(index);
  const Container& container = *containers_[item.container];
  if (container.descriptor < 0) return read_file_bytes(container.path / item.path, limit);
  check(item.bytes <= limit, ErrorKind::data, "{}: a file of {} bytes, the limit is {}", location(index),
        item.bytes, limit);
  std::vector<uint8_t> bytes(static_cast<size_t>(item.bytes));
  read_at(container.descriptor, item.offset, bytes.data(), item.bytes, container.path.string());
  return bytes;
}

Image ImageSource::read_image(int64_t index, const ImageLimits& limits) const {
  return decode_image(read(index, limits.file_bytes), location(index), limits);
}

}  // namespace imgcap
