// Features of named photos: from a cache as far as it has them, else made and added to it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "imgcap/training/encode.h"

namespace imgcap {

// What is told while features are loaded; each may be empty. Names are as the files have them, not escaped.
struct FeatureListener {
  std::function<void(const ImageSource&)> opened;  // the photos; maybe more than once
  std::function<void(const std::string&)> remark;  // a sentence: what is missing, added, encoded again
  std::function<void()> begins, ends;              // encoding, with the saving of its cache
  std::function<void(int64_t done, int64_t total)> progress;  // photos that are encoded
  std::function<void(const EncodeReport&)> encoded;           // before it is saved
  const std::atomic<bool>* stop = nullptr;                    // ends encoding after a batch
};

// Thrown when `stop` ended it. What was encoded until then is saved.
struct LoadingStopped {};

// Features (n, p, d), rows in the cache's order, of the named photos (of all when none is named): from
// `cache_file` as far as it has them, else made from the photos in `images` (folders, .tar archives) and
// added to it, when a file is named. What earlier versions read otherwise is encoded again. Of the options,
// augmentation and batch statistics are the caller's. Errors: io (the cache cannot be written, found out
// before the work; photos cannot be opened), data (the cache is of another encoder, or of another arithmetic and
// it is not to be followed; none of the named photos is there and can be read).
FeatureCache load_or_encode_features(const LoadedEncoder& encoder, const std::vector<std::string>& images,
                                     const std::vector<std::string>& names, const std::string& cache_file,
                                     EncodeOptions options, const FeatureListener& listener);

}  // namespace imgcap
