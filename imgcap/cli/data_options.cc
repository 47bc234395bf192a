#include "imgcap/cli/data_options.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "imgcap/data/utf8.h"
#include "tensor/error.h"

namespace imgcap::cli {
namespace {

void say(const std::vector<std::string>& photos, const char* what) {
  if (!photos.empty())
    std::fprintf(stderr, "%zu photos %s (first: %s)\n", photos.size(), what,
                 printable(photos.front()).c_str());
}

void print_report(const EncodeReport& report) {
  for (const auto& [name, warning] : report.warned)
    std::fprintf(stderr, "%s: warning: %s\n", printable(name).c_str(), printable(warning).c_str());
  for (size_t i = 0; i < std::min<size_t>(report.skipped.size(), 10); ++i)
    std::fprintf(stderr, "skipped %s: %s\n", printable(report.skipped[i].first).c_str(),
                 printable(report.skipped[i].second).c_str());
  if (!report.skipped.empty())
    std::fprintf(stderr, "%zu photos cannot be read and are skipped\n", report.skipped.size());
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

std::vector<std::string> names_in_lists(const std::vector<std::string>& files) {
  std::vector<std::string> names;
  std::unordered_set<std::string> seen;
  for (const std::string& file : files)
    for (std::string& name : read_image_list(file).names)
      if (seen.insert(name).second) names.push_back(std::move(name));
  return names;
}

std::string label_of(const std::vector<std::string>& files) {
  std::vector<std::string> names;
  for (const std::string& file : files) names.push_back(std::filesystem::path(file).filename().string());
  return tensor::join(names, ", ");
}

void PhotoChoice::add_options(Verb& verb, const std::string& what) {
  const Option by_list = verb.option("--list", lists, what + ", a name per line");
  verb.option("--split", split, "In place of a list: a split of the captions, such as test")
      .excludes(by_list);
}

std::vector<std::string> PhotoChoice::names(const PhotosBySplit& splits) const {
  tensor::check(given(), tensor::ErrorKind::argument,
                "which photos? --list FILE or --split NAME is required");
  if (split.empty()) return names_in_lists(lists);
  const auto found = splits.find(split);
  if (found != splits.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [name, photos] : splits) known.push_back(printable(name));
  tensor::fail(tensor::ErrorKind::argument, "--split {}: the captions have {}", split,
               known.empty() ? "no splits; name a --list" : "the splits " + tensor::join(known, ", "));
}

std::string PhotoChoice::label() const { return split.empty() ? label_of(lists) : split; }

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

// What `load` gives, with all that it tells its listener on stderr; Ctrl-C ends it while photos are encoded.
template <class Load>
auto printing(EncodeReport* report, Load&& load) {
  ProgressLine line;
  std::optional<StopSignals> signals;
  FeatureListener listener;
  listener.opened = report_passed_over;
  listener.remark = [](const std::string& sentence) {
    std::fprintf(stderr, "%s\n", printable(sentence).c_str());
  };
  listener.begins = [&] { signals.emplace(); };
  listener.ends = [&] { signals.reset(); };
  listener.progress = [&](int64_t done, int64_t total) {
    line.show(tensor::format("encoding photos: {} of {}", done, total));
  };
  listener.encoded = [&](const EncodeReport& result) {
    line.clear();
    print_report(result);
    if (report != nullptr) *report = result;
  };
  listener.stop = &stop_flag();
  try {
    return load(listener);
  } catch (const LoadingStopped&) {
    throw Interrupted{};
  }
}

}  // namespace

FeatureCache load_features(const LoadedEncoder& encoder, const std::vector<std::string>& images,
                           const std::vector<std::string>& names, const std::string& cache_file,
                           const EncodeOptions& options, EncodeReport* report) {
  return printing(report, [&](const FeatureListener& listener) {
    return load_or_encode_features(encoder, images, names, cache_file, options, listener);
  });
}

TrainingFeatures load_training_features(const LoadedEncoder& encoder, const FeatureRequest& request) {
  return printing(nullptr, [&](const FeatureListener& listener) {
    return imgcap::load_training_features(encoder, request, listener);
  });
}

}  // namespace imgcap::cli
