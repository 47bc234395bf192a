// What a frozen encoder says of each photo, computed once and kept in one file: f16, memory-mapped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "imgcap/data/photo_names.h"
#include "imgcap/data/reader_version.h"
#include "tensor/tensor.h"

namespace imgcap {

// Which readers of pictures a cache's photos went through.
struct CacheReaders {
  ReaderVersions versions = reader_versions();
  // Photos, among them unreadable ones, that older readers read, and the lowest versions of those.
  std::set<std::string> older;
  ReaderVersions older_versions;
};

// A safetensors file with the tensor `features` (images, places, channels) f16 and, as metadata, the photos'
// names, a key that stands for what made them (encoder, weights, preprocessing) and the photos that could not
// be read, with the bytes of their files (-1: unknown), and the versions of the readers of pictures (none in
// caches of earlier versions). A cache with another key is not used.
class FeatureCache {
 public:
  // The cache in `file`. Errors: io, data (no cache, names and rows that do not fit).
  static FeatureCache open(const std::filesystem::path& file);
  // Keeps `features` in memory only; the same checks.
  FeatureCache(std::vector<std::string> names, tensor::Tensor features, std::string key,
               std::map<std::string, int64_t> unreadable = {}, CacheReaders readers = {});

  // Written as a whole or not at all.
  void save(const std::filesystem::path& file) const;

  const std::string& key() const { return key_; }
  const std::vector<std::string>& names() const { return photos_.keys(); }  // their keys
  const std::map<std::string, int64_t>& unreadable() const { return unreadable_; }
  // The unreadable photo that the name means, with the bytes of its file; null when it is none.
  const std::pair<const std::string, int64_t>* find_unreadable(const std::string& name) const;
  const CacheReaders& readers() const { return readers_; }
  // The same, as seen from today's readers: all photos are `older` where one of those is newer.
  CacheReaders readers_until_today() const;
  const tensor::Tensor& features() const { return features_; }  // (images, places, channels) f16
  int64_t size() const { return features_.size(0); }
  int64_t places() const { return features_.size(1); }
  int64_t channels() const { return features_.size(2); }
  const PhotoNames& photos() const { return photos_; }
  // The row of the photo that the name means. Errors: data (photo_names.h).
  std::optional<int64_t> find(const std::string& name) const { return photos_.find(name); }

  // The given rows as (rows, places, channels) f32. Errors: index (names the row).
  tensor::Tensor rows(const std::vector<int64_t>& which) const;

 private:
  PhotoNames photos_;
  tensor::Tensor features_;
  std::string key_;
  std::map<std::string, int64_t> unreadable_;
  PhotoNames unreadable_photos_;
  CacheReaders readers_;
};

}  // namespace imgcap
