#include "imgcap/cli/data_check.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "imgcap/cli/cli.h"
#include "imgcap/data/utf8.h"
#include "tensor/error.h"
#include "tensor/thread_pool.h"

namespace imgcap::cli {
namespace {

int64_t words_in(const std::string& text) {
  int64_t words = 0;
  bool inside = false;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (!blank && !inside) ++words;
    inside = !blank;
  }
  return words;
}

// Of all files, by the photos' keys, or where there are no photos by the first file's names.
class Captions {
 public:
  explicit Captions(DataCheck& check) : check_(check) {}

  void add(const Caption& caption) {
    ++check_.captions;
    Photo& photo = photos_[caption.image];
    ++photo.captions;
    if (!photo.seen.insert(std::hash<std::string>{}(caption.text)).second && check_.same_captions++ == 0)
      check_.same_caption_of = caption.image;
    const int64_t words = words_in(caption.text);
    if (words <= check_.longest_words) return;
    check_.longest_words = words;
    check_.longest_of = caption.image;
  }

  void finish() {
    check_.captioned = std::ssize(photos_);
    for (const auto& [name, photo] : photos_) ++check_.photos_with[photo.captions];
  }

  bool has(const std::string& name) const { return photos_.contains(name); }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& [name, photo] : photos_) all.push_back(name);
    return all;
  }

 private:
  struct Photo {
    int64_t captions = 0;
    std::unordered_set<size_t> seen;  // hashes of the texts: enough to count by
  };
  DataCheck& check_;
  std::map<std::string, Photo> photos_;
};

}  // namespace

DataCheck check_captions(const std::vector<std::string>& files, const ImageSource* photos) {
  DataCheck result;
  Captions captions(result);
  std::map<std::string, std::string> split_of;
  for (const std::string& file : files) {
    CaptionFile read = read_captions(file);
    result.files.emplace_back(file, read.report.format);
    result.skipped += read.report.skipped;
    for (const std::string& problem : read.report.problems)
      if (result.problems.size() < CaptionReport::kMaxProblems) result.problems.push_back(problem);
    const PhotoNames names = photos != nullptr ? photos->photos() : PhotoNames(captions.names());
    NamesOfFile named(names, file);
    for (Caption& caption : read.captions) {
      const auto split = read.split_of.find(caption.image);
      if (const auto photo = named.find(caption.image))
        caption.image = names.keys()[static_cast<size_t>(*photo)];
      if (split != read.split_of.end()) split_of.emplace(caption.image, split->second);
      captions.add(caption);
    }
  }
  captions.finish();
  for (const auto& [image, split] : split_of) ++result.splits[split];
  if (photos == nullptr) return result;
  result.has_photos = true;
  result.photos = photos->size();
  std::set<std::string> keys;
  for (int64_t i = 0; i < photos->size(); ++i) {
    keys.insert(photos->name(i));
    if (!captions.has(photos->name(i))) result.without_captions.push_back(photos->name(i));
  }
  for (const std::string& name : captions.names())
    if (!keys.contains(name)) result.without_photo.push_back(name);
  return result;
}

void check_pictures(const ImageSource& photos, DataCheck& result) {
  const StopSignals signals;
  ProgressLine line;
  constexpr int64_t kGroup = 256;
  std::vector<std::string> reasons(static_cast<size_t>(photos.size()));
  std::vector<std::pair<int64_t, size_t>> contents(reasons.size());  // bytes, their hash
  for (int64_t begin = 0; begin < photos.size(); begin += kGroup) {
    if (stop_flag()) throw Interrupted{};
    line.show(tensor::format("reading photos: {} of {}", begin, photos.size()));
    tensor::parallel_for(std::min(kGroup, photos.size() - begin), 4, [&](int64_t first, int64_t last) {
      for (int64_t i = begin + first; i < begin + last; ++i) try {
          const std::vector<uint8_t> bytes = photos.read(i);
          const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
          contents[static_cast<size_t>(i)] = {std::ssize(bytes), std::hash<std::string_view>{}(text)};
          decode_image(bytes, photos.name(i));
        } catch (const tensor::Error& error) {
          if (error.kind() != tensor::ErrorKind::io && error.kind() != tensor::ErrorKind::data) throw;
          reasons[static_cast<size_t>(i)] = error.what();
        }
    });
  }
  std::map<std::pair<int64_t, size_t>, int64_t> seen;
  for (int64_t i = 0; i < photos.size(); ++i) {
    const std::string& reason = reasons[static_cast<size_t>(i)];
    if (!reason.empty()) {
      result.unreadable.emplace_back(photos.name(i), reason);
      continue;
    }
    const auto [first, fresh] = seen.emplace(contents[static_cast<size_t>(i)], i);
    if (!fresh) result.same_photos.emplace_back(photos.name(first->second), photos.name(i));
  }
  result.all_read = true;
}

}  // namespace imgcap::cli
