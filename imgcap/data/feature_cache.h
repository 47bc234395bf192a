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

// Where features are wanted, and in which type: f32, or f16, as they are kept.
struct FeaturesAs {
  tensor::Device device;
  tensor::DType dtype;

  FeaturesAs(const tensor::Device& where = {}, tensor::DType type = tensor::DType::f32)
      : device(where), dtype(type) {}
  // Rows (p, d) f16, as they are kept, as (n, p, d): they are widened where they go, for half the bytes on the way.
  // Errors: shape (a row is not (p, d)).
  tensor::Tensor together(const std::vector<tensor::Tensor>& rows, int64_t places, int64_t channels) const;
};

// A safetensors file with the tensor `features` (images, places, channels) f16 and, as metadata, the photos'
// names, a key that stands for what made them (encoder, weights, preprocessing) and the photos that could not
// be read, with the bytes of their files (-1: unknown), the arithmetic of the encoder and the versions of the
// readers of pictures (both not in caches of earlier versions). A cache with another key is not used, and all of
// a file's features are of one arithmetic.
class FeatureCache {
 public:
  // The cache in `file`. Errors: io, data (no cache, names and rows that do not fit, an unknown arithmetic).
  static FeatureCache open(const std::filesystem::path& file);
  // Keeps `features` in memory only; the same checks.
  FeatureCache(std::vector<std::string> names, tensor::Tensor features, std::string key,
               std::map<std::string, int64_t> unreadable = {}, CacheReaders readers = {},
               tensor::DType arithmetic = tensor::DType::f32);

  // Written as a whole or not at all.
  void save(const std::filesystem::path& file) const;

  const std::string& key() const { return key_; }
  // What the encoder computed in (encoder_arithmetic.h).
  tensor::DType arithmetic() const { return arithmetic_; }
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

  // The given rows, (rows, places, channels). Errors: index (names the row).
  tensor::Tensor rows(const std::vector<int64_t>& which, const FeaturesAs& as = {}) const;
  // One row as it is kept, (places, channels) f16 on the CPU: a view. Errors: index.
  tensor::Tensor stored_row(int64_t row) const;

 private:
  PhotoNames photos_;
  tensor::Tensor features_;
  std::string key_;
  std::map<std::string, int64_t> unreadable_;
  PhotoNames unreadable_photos_;
  CacheReaders readers_;
  tensor::DType arithmetic_;
};

// Gives the metadata of a cache the field that those of earlier versions lack, "arithmetic": bf16 where the key
// says so, which it then says no more, else f32.
void add_arithmetic(std::map<std::string, std::string>& metadata);

}  // namespace imgcap
