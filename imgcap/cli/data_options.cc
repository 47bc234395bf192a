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

ImageSource open_images(const std::vector<std::string>& images) {
  return ImageSource(std::vector<std::filesystem::path>(images.begin(), images.end()));
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
std::vector<std::string> not_cached(const FeatureCache& cache, const std::vector<std::string>& names) {
  std::vector<std::set<std::string>> users(static_cast<size_t>(cache.size()));
  for (const std::string& name : names)
    if (const auto row = cache.find(name)) users[static_cast<size_t>(*row)].insert(name);
  std::vector<std::string> lacking;
  for (const std::string& name : names)
    if (const auto row = cache.find(name); !row || users[static_cast<size_t>(*row)].size() > 1)
      lacking.push_back(name);
  return lacking;
}

// Positions in the source of the named photos that may be read now. Those that are not there, and those that
// still cannot be read as the cache says, are counted on stderr.
std::vector<int64_t> find_photos(const ImageSource& source, const std::vector<std::string>& names,
                                 const FeatureCache* cache) {
  std::vector<int64_t> which;
  std::set<int64_t> chosen;
  std::vector<std::string> missing, unreadable;
  NamesOfFile photos(source.photos(), "images");
  for (const std::string& name : cache ? not_cached(*cache, names) : names) {
    const auto index = photos.find(name);
    if (!index) {
      missing.push_back(name);
      continue;
    }
    // A file of another size may have been mended.
    if (cache && cache->unreadable_bytes(source.name(*index)) == file_bytes(source, *index)) {
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

}  // namespace

FeatureCache load_features(const LoadedEncoder& encoder, const std::vector<std::string>& images,
                           const std::vector<std::string>& names, const std::string& cache_file,
                           EncodeOptions options, EncodeReport* report) {
  if (!cache_file.empty()) expect_writable(cache_file);
  std::optional<FeatureCache> cache;
  if (!cache_file.empty() && std::filesystem::exists(cache_file)) {
    cache = FeatureCache::open(cache_file);
    tensor::check(
        cache->key() == feature_key(encoder, options), tensor::ErrorKind::data,
        "{}: these features are of another encoder, other weights or another way to make photos ready; "
        "name another file, or remove this one",
        cache_file);
    if (!names.empty() && not_cached(*cache, names).empty()) return *std::move(cache);
  }
  const ImageSource source = open_images(images);
  const std::vector<int64_t> which =
      find_photos(source, names.empty() ? source.photos().keys() : names, cache ? &*cache : nullptr);
  if (cache && which.empty()) return *std::move(cache);
  if (cache) std::fprintf(stderr, "%s: %zu photos are added\n", cache_file.c_str(), which.size());
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
