#include "imgcap/cli/data_options.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "tensor/error.h"

namespace imgcap::cli {

std::map<std::string, std::vector<std::string>> load_captions(const std::vector<std::string>& files) {
  std::map<std::string, std::vector<std::string>> all;
  for (const std::string& file : files) {
    const CaptionFile captions = read_captions(file);
    if (captions.report.skipped > 0) std::fprintf(stderr, "%s\n", captions.report.summary().c_str());
    for (const ImageCaptions& group : group_by_image(captions.captions))
      for (const size_t i : group.captions) all[group.image].push_back(captions.captions[i].text);
  }
  return all;
}

ImageSource open_images(const std::vector<std::string>& images) {
  return ImageSource(std::vector<std::filesystem::path>(images.begin(), images.end()));
}

namespace {

// The photos of a list that are there, as positions in the source; says on stderr how many are not.
std::vector<int64_t> find_photos(const ImageSource& source, const std::vector<std::string>& names) {
  std::vector<int64_t> which;
  std::string first_missing;
  for (const std::string& name : names) {
    if (const auto index = source.find(name))
      which.push_back(*index);
    else if (first_missing.empty())
      first_missing = name;
  }
  if (which.size() < names.size())
    std::fprintf(stderr, "%zu photos are missing (first: %s)\n", names.size() - which.size(),
                 first_missing.c_str());
  tensor::check(names.empty() || !which.empty(), tensor::ErrorKind::data,
                "images: none of {} photos is there (first: {})", names.size(), first_missing);
  return which;
}

// Whether the cache has every named photo but those that still are not there or still cannot be read, which
// it says on stderr.
bool is_complete(const FeatureCache& cache, const std::vector<std::string>& images,
                 const std::vector<std::string>& names) {
  std::vector<std::string> absent;
  for (const std::string& name : names)
    if (!cache.find(name)) absent.push_back(name);
  if (absent.empty()) return true;
  const ImageSource source = open_images(images);
  std::vector<std::string> missing, unreadable;
  for (const std::string& name : absent) {
    const auto index = source.find(name);
    if (!index) {
      missing.push_back(name);
      continue;
    }
    // A file of another size may have been mended.
    const auto known = cache.unreadable().find(name);
    if (known == cache.unreadable().end() || known->second != file_bytes(source, *index)) return false;
    unreadable.push_back(name);
  }
  const auto say = [](const std::vector<std::string>& photos, const char* what) {
    if (!photos.empty())
      std::fprintf(stderr, "%zu photos %s (first: %s)\n", photos.size(), what, photos.front().c_str());
  };
  say(missing, "are missing");
  say(unreadable, "cannot be read and are skipped");
  return missing.size() + unreadable.size() < names.size();
}

}  // namespace

FeatureCache load_features(const LoadedEncoder& encoder, const std::vector<std::string>& images,
                           const std::vector<std::string>& names, const std::string& cache_file,
                           const Augmentation& augmentation, EncodeReport* report) {
  const std::string key = encoder.key + augmentation.key();
  if (!cache_file.empty() && std::filesystem::exists(cache_file)) {
    FeatureCache cache = FeatureCache::open(cache_file);
    if (cache.key() == key && is_complete(cache, images, names)) return cache;
    std::fprintf(stderr, "%s: %s; making it anew\n", cache_file.c_str(),
                 cache.key() == key ? "it lacks some photos" : "made by another encoder");
  }
  const ImageSource source = open_images(images);
  const std::vector<int64_t> which = find_photos(source, names);
  ProgressLine line;
  EncodeReport own;
  EncodeReport& result = report == nullptr ? own : *report;
  FeatureCache cache = encode_photos(
      encoder, source, which, result,
      [&](int64_t done, int64_t total) { line.show(fmt::format("encoding photos: {} of {}", done, total)); },
      &stop_flag(), augmentation);
  line.clear();
  for (size_t i = 0; i < std::min<size_t>(result.skipped.size(), 10); ++i)
    std::fprintf(stderr, "skipped %s: %s\n", result.skipped[i].first.c_str(),
                 result.skipped[i].second.c_str());
  if (!result.skipped.empty())
    std::fprintf(stderr, "%zu photos cannot be read and are skipped\n", result.skipped.size());
  if (!cache_file.empty()) cache.save(cache_file);
  return cache;
}

}  // namespace imgcap::cli
