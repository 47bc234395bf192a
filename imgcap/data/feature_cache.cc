#include "imgcap/data/feature_cache.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "imgcap/data/utf8.h"
#include "tensor/error.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/text.h"
#include "tensor/thread_pool.h"

namespace imgcap {

using tensor::check;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Tensor;

FeatureCache::FeatureCache(std::vector<std::string> names, Tensor features, std::string key,
                           std::map<std::string, int64_t> unreadable, CacheReaders readers)
    : names_(std::move(names)),
      features_(std::move(features)),
      key_(std::move(key)),
      unreadable_(std::move(unreadable)),
      readers_(std::move(readers)) {
  check(features_.defined() && features_.rank() == 3 && features_.dtype() == DType::f16 &&
            features_.is_contiguous(),
        ErrorKind::data, "feature cache: features {} where (images, places, channels) f16 is needed",
        describe(features_));
  check(static_cast<int64_t>(names_.size()) == features_.size(0), ErrorKind::data,
        "feature cache: {} names for {} photos", names_.size(), features_.size(0));
  for (const std::string& name : names_)
    check(find_invalid_utf8(name) == kNoPosition, ErrorKind::data,
          "feature cache: the photo's name '{}' is not UTF-8", printable(name));
  for (size_t i = 0; i < names_.size(); ++i)
    check(index_.emplace(names_[i], static_cast<int64_t>(i)).second, ErrorKind::data,
          "feature cache: the photo {} is there twice", tensor::io::in_quotes(names_[i]));
}

namespace {

// Metadata "readers": {"versions": {"JPEG": 1, ...}, "older": ["1.jpg", ...], "older_versions": {...}}.
nlohmann::json json_of(const CacheReaders& readers) {
  nlohmann::json json = {{"versions", readers.versions}};
  if (!readers.older.empty())
    json.update({{"older", readers.older}, {"older_versions", readers.older_versions}});
  return json;
}

CacheReaders readers_from(const nlohmann::json& json, const std::string& file) {
  const auto versions = [&](const char* key) {
    ReaderVersions all;
    if (!json.is_object() || !json.contains(key)) return all;
    check(json[key].is_object(), ErrorKind::data, "{}: the readers' {} are not a JSON object", file, key);
    for (const auto& [format, version] : json[key].items()) {
      check(version.is_number_integer() && version >= 0 && version <= INT32_MAX, ErrorKind::data,
            "{}: the version of the reader of {} is no number", file, tensor::io::in_quotes(format));
      all[format] = version.get<int>();
    }
    return all;
  };
  check(json.is_object(), ErrorKind::data, "{}: the readers of pictures are not a JSON object", file);
  CacheReaders readers{versions("versions"), {}, versions("older_versions")};
  if (!json.contains("older")) return readers;
  check(json["older"].is_array(), ErrorKind::data, "{}: the photos of older readers are not a JSON array",
        file);
  for (const nlohmann::json& name : json["older"]) {
    check(name.is_string(), ErrorKind::data, "{}: a photo's name is not a string", file);
    readers.older.insert(name.get<std::string>());
  }
  return readers;
}

}  // namespace

CacheReaders FeatureCache::readers_until_today() const {
  CacheReaders today = readers_;
  for (const auto& [format, version] : reader_versions())
    today.versions[format] = std::max(today.versions[format], version);
  if (none_newer(reader_versions(), readers_.versions)) return today;
  if (readers_.older.empty()) {
    today.older_versions = readers_.versions;
  } else {
    for (auto& [format, version] : today.older_versions) {
      const auto found = readers_.versions.find(format);
      version = std::min(version, found == readers_.versions.end() ? 0 : found->second);
    }
  }
  today.older.insert(names_.begin(), names_.end());
  for (const auto& [name, bytes] : unreadable_) today.older.insert(name);
  return today;
}

FeatureCache FeatureCache::open(const std::filesystem::path& file) {
  tensor::io::SafetensorsFile contents = tensor::io::read_safetensors(file);
  const auto features = contents.tensors.find("features");
  check(features != contents.tensors.end() && contents.metadata.contains("names") &&
            contents.metadata.contains("key"),
        ErrorKind::data, "{}: not a feature cache", file.string());
  const nlohmann::json names = nlohmann::json::parse(contents.metadata["names"], nullptr, false);
  check(names.is_array(), ErrorKind::data, "{}: the photos' names are not a JSON array", file.string());
  std::vector<std::string> list;
  for (const nlohmann::json& name : names) {
    check(name.is_string(), ErrorKind::data, "{}: a photo's name is not a string", file.string());
    list.push_back(name.get<std::string>());
  }
  // Caches of earlier versions do not have it.
  std::map<std::string, int64_t> unreadable;
  if (const auto text = contents.metadata.find("unreadable"); text != contents.metadata.end()) {
    const nlohmann::json json = nlohmann::json::parse(text->second, nullptr, false);
    check(json.is_object(), ErrorKind::data, "{}: the unreadable photos are not a JSON object",
          file.string());
    for (const auto& [name, bytes] : json.items()) {
      check(bytes.is_number_integer(), ErrorKind::data,
            "{}: the size of the unreadable photo {} is no number", file.string(),
            tensor::io::in_quotes(name));
      unreadable[name] = bytes.get<int64_t>();
    }
  }
  CacheReaders readers{{}, {}, {}};  // of caches that do not say
  if (const auto text = contents.metadata.find("readers"); text != contents.metadata.end())
    readers = readers_from(nlohmann::json::parse(text->second, nullptr, false), file.string());
  return FeatureCache(std::move(list), features->second, contents.metadata["key"], std::move(unreadable),
                      std::move(readers));
}

void FeatureCache::save(const std::filesystem::path& file) const {
  tensor::io::write_safetensors(file, {{"features", features_}},
                                {{"names", nlohmann::json(names_).dump()},
                                 {"key", key_},
                                 {"unreadable", nlohmann::json(unreadable_).dump()},
                                 {"readers", json_of(readers_).dump()}});
}

std::optional<int64_t> FeatureCache::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? std::nullopt : std::optional(found->second);
}

Tensor FeatureCache::rows(const std::vector<int64_t>& which) const {
  const int64_t width = places() * channels();
  Tensor out = Tensor::empty({static_cast<int64_t>(which.size()), places(), channels()});
  for (const int64_t row : which)
    check(row >= 0 && row < size(), ErrorKind::index, "feature cache: row {} of {}", row, size());
  float* to = out.mutable_data<float>();
  const tensor::f16* from = features_.data<tensor::f16>();
  tensor::parallel_for(static_cast<int64_t>(which.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const tensor::f16* x = from + which[static_cast<size_t>(i)] * width;
      for (int64_t j = 0; j < width; ++j) to[i * width + j] = static_cast<float>(x[j]);
    }
  });
  return out;
}

}  // namespace imgcap
