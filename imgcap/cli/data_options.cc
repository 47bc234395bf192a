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

FeatureCache load_features(const LoadedEncoder& encoder, const std::vector<std::string>& images,
                           const std::vector<std::string>& names, const std::string& cache_file,
                           EncodeReport* report) {
  if (!cache_file.empty() && std::filesystem::exists(cache_file)) {
    FeatureCache cache = FeatureCache::open(cache_file);
    const bool complete = std::all_of(names.begin(), names.end(),
                                      [&](const std::string& name) { return cache.find(name).has_value(); });
    if (cache.key() == encoder.key && complete) return cache;
    std::fprintf(stderr, "%s: %s; making it anew\n", cache_file.c_str(),
                 cache.key() == encoder.key ? "some photos are missing" : "made by another encoder");
  }
  const ImageSource source = open_images(images);
  std::vector<int64_t> which;
  int64_t missing = 0;
  std::string first_missing;
  for (const std::string& name : names) {
    if (const auto index = source.find(name))
      which.push_back(*index);
    else if (missing++ == 0)
      first_missing = name;
  }
  if (missing > 0)
    std::fprintf(stderr, "%lld photos are missing (first: %s)\n", static_cast<long long>(missing),
                 first_missing.c_str());
  tensor::check(names.empty() || !which.empty(), tensor::ErrorKind::data,
                "images: none of {} photos is there (first: {})", names.size(), first_missing);
  ProgressLine line;
  EncodeReport own;
  EncodeReport& result = report == nullptr ? own : *report;
  FeatureCache cache = encode_photos(
      encoder, source, which, result,
      [&](int64_t done, int64_t total) { line.show(fmt::format("encoding photos: {} of {}", done, total)); },
      &stop_flag());
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
