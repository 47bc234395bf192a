#include "imgcap/training/feature_loading.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include "tensor/error.h"
#include "tensor/io/atomic_file.h"

namespace imgcap {
namespace {

void remark(const std::string& sentence, const FeatureListener& listener) {
  if (listener.remark) listener.remark(sentence);
}

void remark(const std::vector<std::string>& photos, const char* what, const FeatureListener& listener) {
  if (!photos.empty())
    remark(tensor::format("{} photos {} (first: {})", photos.size(), what, photos.front()), listener);
}

ImageSource open(const std::vector<std::string>& images, const FeatureListener& listener) {
  ImageSource source(std::vector<std::filesystem::path>(images.begin(), images.end()));
  if (listener.opened) listener.opened(source);
  return source;
}

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
// told.
std::vector<int64_t> find_photos(const ImageSource& source, const std::vector<std::string>& names,
                                 const FeatureCache* cache, const Renewal& renewal,
                                 const FeatureListener& listener) {
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
  remark(missing, "are missing", listener);
  remark(unreadable, "cannot be read and are skipped", listener);
  tensor::check(names.empty() || missing.size() + unreadable.size() < names.size(), tensor::ErrorKind::data,
                "images: none of {} photos is there and can be read (first: {})", names.size(),
                names.empty() ? "" : names.front());
  return which;
}

bool can_open(const std::vector<std::string>& images, const FeatureListener& listener) {
  try {
    open(images, listener);
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

// Whether the cache is what the encoder would make. It goes on in the arithmetic that the cache was made in, unless
// it is to keep its own. Errors: data.
void expect_fit(const FeatureCache& cache, const std::string& file, const LoadedEncoder& encoder,
                const EncodeOptions& options, const FeatureListener& listener) {
  tensor::check(
      cache.key() == feature_key(encoder, options), tensor::ErrorKind::data,
      "{}: these features are of another encoder, other weights or another way to make photos ready; name "
      "another file, or remove this one",
      file);
  const tensor::DType asked = feature_arithmetic(encoder, options), made = cache.arithmetic();
  if (made == asked) return;
  tensor::check(
      !options.keep_arithmetic && options.batch_statistics == 0, tensor::ErrorKind::data,
      "{}: its features are in {}, and {} is asked for, which one file cannot have beside it; name another "
      "file, or remove this one",
      file, tensor::name_of(made), tensor::name_of(asked));
  encoder.encoder->set_arithmetic(made);
  remark(tensor::format("{}: its features are in {}, and so is what is added", file, tensor::name_of(made)),
         listener);
}

}  // namespace

FeatureCache load_or_encode_features(const LoadedEncoder& encoder, const std::vector<std::string>& images,
                                     const std::vector<std::string>& names, const std::string& cache_file,
                                     EncodeOptions options, const FeatureListener& listener) {
  tensor::check(cache_file.empty() || !encoder.key.empty(), tensor::ErrorKind::argument,
                "{}: an encoder that was loaded for captions alone has no key for a cache", cache_file);
  if (!cache_file.empty()) tensor::io::expect_writable(cache_file);
  std::optional<FeatureCache> cache;
  // What an encoder in training mode made of a batch belongs to that batch, and to the run.
  const bool renewable = options.batch_statistics == 0;
  if (!cache_file.empty() && std::filesystem::exists(cache_file)) {
    cache = FeatureCache::open(cache_file);
    expect_fit(*cache, cache_file, encoder, options, listener);
    if (!names.empty() && not_cached(*cache, names).empty()) {
      if (!renewable || !has_older(*cache, names)) return *std::move(cache);
      if (!can_open(images, listener)) {
        remark(cache_file + ": made by an earlier version, and used as it is: the photos are not there",
               listener);
        return *std::move(cache);
      }
    }
  }
  const ImageSource source = open(images, listener);
  const std::vector<std::string> wanted = names.empty() ? source.photos().keys() : names;
  Renewal renewal;
  if (cache) renewal = renewable ? renew(*cache, source, wanted) : Renewal{cache->readers(), {}};
  const std::vector<int64_t> which =
      find_photos(source, wanted, cache ? &*cache : nullptr, renewal, listener);
  if (cache && which.empty()) return *std::move(cache);
  if (!renewal.again.empty())
    remark(tensor::format("{}: {} photos are read otherwise than by the version that encoded them, and are "
                          "encoded again (first: {})",
                          cache_file, renewal.again.size(), *renewal.again.begin()),
           listener);
  if (cache && which.size() > renewal.again.size())
    remark(tensor::format("{}: {} photos are added", cache_file, which.size() - renewal.again.size()),
           listener);
  options.again = renewal.again;
  options.readers = renewal.readers;
  options.known = cache ? &*cache : nullptr;
  options.progress = listener.progress;
  options.stop = listener.stop;
  if (listener.begins) listener.begins();
  EncodeReport report;
  FeatureCache encoded = encode_photos(encoder, source, which, report, options);
  if (listener.encoded) listener.encoded(report);
  if (!cache_file.empty() && encoded.size() > 0) encoded.save(cache_file);
  if (listener.ends) listener.ends();
  if (report.stopped) throw LoadingStopped{};
  return encoded;
}

}  // namespace imgcap
