#include "imgcap/cli/data_options.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <set>
#include <unordered_map>

#include "imgcap/data/utf8.h"
#include "tensor/error.h"

namespace imgcap::cli {
namespace {

void say(const std::vector<std::string>& photos, const char* what) {
  if (!photos.empty())
    std::fprintf(stderr, "%zu photos %s (first: %s)\n", photos.size(), what,
                 printable(photos.front()).c_str());
}

}  // namespace

void add_splits(const CaptionFile& captions, const std::string& file, PhotosBySplit& splits) {
  if (captions.split_of.empty()) return;
  std::unordered_map<std::string, std::string> before;
  for (const auto& [split, photos] : splits)
    for (const std::string& photo : photos) before.emplace(photo, split);
  for (const ImageCaptions& group : group_by_image(captions.captions)) {
    const auto split = captions.split_of.find(group.image);
    if (split == captions.split_of.end()) continue;
    const auto [place, fresh] = before.emplace(group.image, split->second);
    tensor::check(place->second == split->second, tensor::ErrorKind::data,
                  "{}: \"{}\" is in the split {} here, and in {} in another file", file,
                  printable(group.image), printable(split->second), printable(place->second));
    if (fresh) splits[split->second].push_back(group.image);
  }
}

void PhotoChoice::add_options(Verb& verb, const std::string& what) {
  const Option by_list = verb.option("--list", list, what + ", a name a line");
  verb.option("--split", split, "In place of a list: a split of the captions, such as test")
      .excludes(by_list);
}

std::vector<std::string> PhotoChoice::names(const PhotosBySplit& splits) const {
  tensor::check(given(), tensor::ErrorKind::argument,
                "which photos? --list FILE or --split NAME is required");
  if (split.empty()) return read_image_list(list).names;
  const auto found = splits.find(split);
  if (found != splits.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [name, photos] : splits) known.push_back(printable(name));
  tensor::fail(tensor::ErrorKind::argument, "--split {}: the captions have {}", split,
               known.empty() ? "no splits; name a --list" : "the splits " + tensor::join(known, ", "));
}

std::string PhotoChoice::label() const {
  return split.empty() ? std::filesystem::path(list).filename().string() : split;
}

std::vector<CaptionsByPhoto> load_captions(const std::vector<std::string>& files, PhotosBySplit* splits) {
  std::vector<CaptionsByPhoto> all;
  for (const std::string& file : files) {
    const CaptionFile captions = read_captions(file);
    if (captions.report.skipped > 0)
      std::fprintf(stderr, "%s\n", printable(captions.report.summary()).c_str());
    tensor::check(
        captions.images_by_id == 0, tensor::ErrorKind::data,
        "{}: {} of its images have no file_name, by which photos are found; ids alone do for imgcap score",
        file, captions.images_by_id);
    if (splits != nullptr) add_splits(captions, file, *splits);
    CaptionsByPhoto& of_file = all.emplace_back();
    for (const ImageCaptions& group : group_by_image(captions.captions))
      for (const size_t i : group.captions) of_file[group.image].push_back(captions.captions[i].text);
  }
  return all;
}

void report_without_captions(const Dataset& data) {
  say(data.without_captions, "have no captions and are left out");
}

void report_passed_over(const ImageSource& source) {
  static std::set<std::string> said;  // a run opens its photos more than once
  for (const std::string& line : source.passed_over())
    if (said.insert(line).second) std::fprintf(stderr, "imgcap: %s\n", printable(line).c_str());
}

ImageSource open_images(const std::vector<std::string>& images) {
  ImageSource source(std::vector<std::filesystem::path>(images.begin(), images.end()));
  report_passed_over(source);
  return source;
}

PhotoNames known_photos(const std::vector<std::string>& images, const std::string& cache_file) {
  std::vector<std::string> keys, there;
  if (std::filesystem::exists(cache_file)) keys = FeatureCache::open(cache_file).names();
  try {
    there = open_images(images).photos().keys();
  } catch (const tensor::Error&) {
    if (keys.empty()) throw;  // the cache will do
  }
  // A photo that is cached under another spelling of its key is there once.
  const PhotoNames cached(keys);
  for (std::string& key : there)
    if (!cached.find(key)) keys.push_back(std::move(key));
  return PhotoNames(std::move(keys));
}

namespace {

// Of the names, those whose photos the cache lacks. A row that two names mean is of one photo among several
// of one name: nobody knows which.
std::set<std::string> not_cached(const FeatureCache& cache, const std::vector<std::string>& names) {
  std::vector<std::set<std::string>> users(static_cast<size_t>(cache.size()));
  for (const std::string& name : names)
    if (const auto row = cache.find(name)) users[static_cast<size_t>(*row)].insert(name);
  std::set<std::string> lacking;
  for (const std::string& name : names)
    if (const auto row = cache.find(name); !row || users[static_cast<size_t>(*row)].size() > 1)
      lacking.insert(name);
  return lacking;
}

// Whether today's reader gives other pixels for a photo than those of `then`. What cannot be read or found
// for sure stays as it is.
bool reads_otherwise(const ImageSource& source, const std::string& name, const ReaderVersions& then) {
  constexpr int64_t kHead = int64_t{64} << 10;  // holds what stands before the first scan of most JPEGs
  try {
    const auto index = source.find(name);
    if (!index) return false;
    const auto head = source.read_head(*index, kHead);
    const Reading reading = compare_readings(head, std::ssize(head) < kHead, then);
    if (reading != Reading::undecided) return reading == Reading::changed;
    return compare_readings(source.read(*index), true, then) == Reading::changed;
  } catch (const tensor::Error&) {
    return false;
  }
}

// What the cache calls the photo.
std::string key_of(const FeatureCache& cache, const std::string& name) {
  const auto row = cache.find(name);
  return row ? cache.names()[static_cast<size_t>(*row)] : name;
}

// What a run does about a cache that older readers of pictures have made.
struct Renewal {
  CacheReaders readers;
  std::set<std::string> again;  // photos to be encoded again, as the cache calls them
};

Renewal renew(const FeatureCache& cache, const ImageSource& source, const std::vector<std::string>& names) {
  Renewal renewal{cache.readers_until_today(), {}};
  std::set<std::string>& older = renewal.readers.older;
  for (const std::string& name : names) {
    const std::string key = key_of(cache, name);
    if (!older.contains(key) || !cache.find(name)) continue;
    if (reads_otherwise(source, name, renewal.readers.older_versions))
      renewal.again.insert(key);
    else
      older.erase(key);
  }
  return renewal;
}

// Positions in the source of the named photos that the cache, where there is one, lacks or has from older
// readers, and that may be read now. Those that are not there, and those that still cannot be read, are
// counted on stderr.
std::vector<int64_t> find_photos(const ImageSource& source, const std::vector<std::string>& names,
                                 const FeatureCache* cache, const Renewal& renewal) {
  std::vector<int64_t> which;
  std::set<int64_t> chosen;
  std::vector<std::string> missing, unreadable;
  NamesOfFile photos(source.photos(), "images");
  const std::set<std::string> lacking = cache ? not_cached(*cache, names) : std::set<std::string>();
  for (const std::string& name : names) {
    if (cache && !lacking.contains(name) && !renewal.again.contains(key_of(*cache, name))) continue;
    const auto index = photos.find(name);
    if (!index) {
      missing.push_back(name);
      continue;
    }
    // A file of another size may have been mended, and so may today's readers.
    const auto* known = cache ? cache->find_unreadable(source.name(*index)) : nullptr;
    if (known != nullptr && known->second == file_bytes(source, *index) &&
        !renewal.readers.older.contains(known->first)) {
      unreadable.push_back(name);
      continue;
    }
    if (chosen.insert(*index).second) which.push_back(*index);
  }
  say(missing, "are missing");
  say(unreadable, "cannot be read and are skipped");
  tensor::check(names.empty() || missing.size() + unreadable.size() < names.size(), tensor::ErrorKind::data,
                "images: none of {} photos is there and can be read (first: {})", names.size(),
                names.empty() ? "" : names.front());
  return which;
}

bool can_open(const std::vector<std::string>& images) {
  try {
    open_images(images);
    return true;
  } catch (const tensor::Error&) {
    return false;
  }
}

// Whether some of the named photos were read by older readers, so that it takes a look at them.
bool has_older(const FeatureCache& cache, const std::vector<std::string>& names) {
  const CacheReaders readers = cache.readers_until_today();
  return std::any_of(names.begin(), names.end(),
                     [&](const auto& name) { return readers.older.contains(key_of(cache, name)); });
}

}  // namespace

FeatureCache load_features(const LoadedEncoder& encoder, const std::vector<std::string>& images,
                           const std::vector<std::string>& names, const std::string& cache_file,
                           EncodeOptions options, EncodeReport* report) {
  if (!cache_file.empty()) expect_writable(cache_file);
  std::optional<FeatureCache> cache;
  // What an encoder in training mode made of a batch belongs to that batch, and to the run.
  const bool renewable = options.batch_statistics == 0;
  if (!cache_file.empty() && std::filesystem::exists(cache_file)) {
    cache = FeatureCache::open(cache_file);
    tensor::check(
        cache->key() == feature_key(encoder, options), tensor::ErrorKind::data,
        "{}: these features are of another encoder, other weights or another way to make photos ready; "
        "name another file, or remove this one",
        cache_file);
    if (!names.empty() && not_cached(*cache, names).empty()) {
      if (!renewable || !has_older(*cache, names)) return *std::move(cache);
      if (!can_open(images)) {
        std::fprintf(stderr, "%s: made by an earlier version, and used as it is: the photos are not there\n",
                     cache_file.c_str());
        return *std::move(cache);
      }
    }
  }
  const ImageSource source = open_images(images);
  const std::vector<std::string> wanted = names.empty() ? source.photos().keys() : names;
  Renewal renewal;
  if (cache) renewal = renewable ? renew(*cache, source, wanted) : Renewal{cache->readers(), {}};
  const std::vector<int64_t> which = find_photos(source, wanted, cache ? &*cache : nullptr, renewal);
  if (cache && which.empty()) return *std::move(cache);
  if (!renewal.again.empty())
    std::fprintf(stderr,
                 "%s: %zu photos are read otherwise than by the version that encoded them, and are "
                 "encoded again (first: %s)\n",
                 cache_file.c_str(), renewal.again.size(), printable(*renewal.again.begin()).c_str());
  if (cache && which.size() > renewal.again.size())
    std::fprintf(stderr, "%s: %zu photos are added\n", cache_file.c_str(),
                 which.size() - renewal.again.size());
  options.again = renewal.again;
  options.readers = renewal.readers;
  ProgressLine line;
  EncodeReport own;
  EncodeReport& result = report == nullptr ? own : *report;
  options.known = cache ? &*cache : nullptr;
  options.progress = [&](int64_t done, int64_t total) {
    line.show(tensor::format("encoding photos: {} of {}", done, total));
  };
  options.stop = &stop_flag();
  const StopSignals signals;
  FeatureCache encoded = encode_photos(encoder, source, which, result, options);
  line.clear();
  for (const auto& [name, warning] : result.warned)
    std::fprintf(stderr, "%s: warning: %s\n", printable(name).c_str(), printable(warning).c_str());
  for (size_t i = 0; i < std::min<size_t>(result.skipped.size(), 10); ++i)
    std::fprintf(stderr, "skipped %s: %s\n", printable(result.skipped[i].first).c_str(),
                 printable(result.skipped[i].second).c_str());
  if (!result.skipped.empty())
    std::fprintf(stderr, "%zu photos cannot be read and are skipped\n", result.skipped.size());
  if (!cache_file.empty() && encoded.size() > 0) encoded.save(cache_file);
  if (result.stopped) throw Interrupted{};
  return encoded;
}

}  // namespace imgcap::cli
