#include "imgcap/data/archive.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "imgcap/data/picture_format.h"
#include "imgcap/data/tar.h"
#include "imgcap/data/utf8.h"
#include "tensor/error.h"

namespace imgcap {
namespace {

namespace fs = std::filesystem;
using tensor::check;
using tensor::ErrorKind;
using tensor::fail;

std::string_view base_name(std::string_view path) { return path.substr(path.find_last_of('/') + 1); }

// As far as there are that many.
std::vector<uint8_t> head_of(int descriptor, int64_t offset, int64_t count) {
  std::vector<uint8_t> bytes(static_cast<size_t>(count));
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got =
        ::pread(descriptor, bytes.data() + done, bytes.size() - done, offset + static_cast<int64_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    done += static_cast<size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

std::vector<uint8_t> head_of(const fs::path& path, int64_t count) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  check(descriptor >= 0, ErrorKind::io, "{}: cannot be opened: {}", path.string(), std::strerror(errno));
  auto bytes = head_of(descriptor, 0, count);
  ::close(descriptor);
  return bytes;
}

constexpr int64_t kMagic = 64;  // bytes, for picture_format

// Tells pictures from other files and counts those by kind.
class Sieve {
 public:
  // `head` reads the first bytes of what the name leaves open. Errors of kind io: it counts as no picture.
  template <class Head>
  bool takes(std::string_view path, const Head& head) {
    const std::string_view name = base_name(path);
    if (name.front() == '.') return drop("hidden");
    if (has_picture_name(name)) return true;
    if (!has_raw_name(name) && looks_like_one(head)) return true;
    const size_t dot = name.find_last_of('.');
    std::string kind = dot == std::string_view::npos ? "" : printable(name.substr(dot));
    if (kind.size() < 2 || kind.size() > 12) return drop("without an extension");
    for (char& c : kind) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return drop(kind);
  }

  // "2 .txt, 1 .pdf", the commonest first; empty when all were pictures.
  std::string kinds() const {
    std::vector<std::pair<int64_t, std::string>> order;
    for (const auto& [kind, count] : dropped_) order.emplace_back(-count, kind);
    std::sort(order.begin(), order.end());
    std::string text;
    int64_t rest = 0;
    for (size_t i = 0; i < order.size(); ++i) {
      if (i < 6)
        text += tensor::format("{}{} {}", i == 0 ? "" : ", ", -order[i].first, order[i].second);
      else
        rest -= order[i].first;
    }
    return rest == 0 ? text : text + tensor::format(", {} of other kinds", rest);
  }
  int64_t count() const {
    int64_t all = 0;
    for (const auto& [kind, count] : dropped_) all += count;
    return all;
  }

 private:
  template <class Head>
  static bool looks_like_one(const Head& head) {
    try {
      return picture_format(head()) != PictureFormat::none;
    } catch (const tensor::Error&) {
      return false;
    }
  }
  bool drop(const std::string& kind) {
    ++dropped_[kind];
    return false;
  }
  std::map<std::string, int64_t> dropped_;
};

// "; it holds 2 .txt" behind a sentence about no pictures.
std::string besides(const Sieve& sieve) {
  return sieve.count() == 0 ? "" : tensor::format("; it holds {}", sieve.kinds());
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
  const auto first = head_of(path, 512);
  const std::string head(first.begin(), first.end()), name = path.string();
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

void ImageSource::pass_over(const std::string& place, int64_t count, const std::string& kinds) {
  if (count == 0) return;
  passed_over_.push_back(
      count == 1 ? tensor::format("{}: passed over a file that is no picture: {}", place, kinds)
                 : tensor::format("{}: passed over {} files that are no pictures: {}", place, count, kinds));
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
  const std::string folder = (path / "").string();
  Sieve sieve;
  while (walk != end) {
    const fs::path& full = walk->path();
    if (walk->is_regular_file(error) && sieve.takes(full.string(), [&] { return head_of(full, kMagic); }))
      names.push_back(full.string().substr(folder.size()));
    walk.increment(error);
    check(!error, ErrorKind::io, "{}: the folder cannot be read: {}", path.string(), error.message());
  }
  check(!names.empty(), ErrorKind::data, "{}: no pictures in the folder ({}){}", path.string(),
        readable_formats(), besides(sieve));
  pass_over(folder, sieve.count(), sieve.kinds());
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
  Sieve sieve;
  for (TarMember& member : members) {
    while (member.name.compare(0, 2, "./") == 0) member.name.erase(0, 2);
    const auto head = [&] { return head_of(descriptor, member.offset, std::min(member.size, kMagic)); };
    if (member.name.empty() || !sieve.takes(member.name, head)) continue;
    const auto [at, fresh] = place.try_emplace(member.name, kept.size());
    if (fresh) {
      kept.push_back(std::move(member));
    } else {
      kept[at->second].offset = member.offset;
      kept[at->second].size = member.size;
    }
  }
  check(!kept.empty(), ErrorKind::data, "{}: no pictures in the archive ({}){}", path.string(),
        readable_formats(), besides(sieve));
  pass_over(path.string(), sieve.count(), sieve.kinds());
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

std::vector<uint8_t> ImageSource::read_head(int64_t index, int64_t count) const {
  const Entry& item = entry(index);
  const Container& container = *containers_[item.container];
  return container.descriptor < 0 ? head_of(container.path / item.path, count)
                                  : head_of(container.descriptor, item.offset, std::min(item.bytes, count));
}

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
