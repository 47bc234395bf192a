#include "imgcap/data/feature_cache.h"

#include <algorithm>
#include <unordered_set>

#include "imgcap/data/encoder_arithmetic.h"
#include "imgcap/data/utf8.h"
#include "tensor/error.h"
#include "tensor/io/json.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/text.h"
#include "tensor/kernels.h"

namespace imgcap {

using tensor::check;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Tensor;
using tensor::io::Json;

FeatureCache::FeatureCache(std::vector<std::string> photos, Tensor features, std::string key,
                           std::map<std::string, int64_t> unreadable, CacheReaders readers, DType arithmetic)
    : photos_(std::move(photos)),
      features_(std::move(features)),
      key_(std::move(key)),
      unreadable_(std::move(unreadable)),
      readers_(std::move(readers)),
      arithmetic_(arithmetic) {
  check(features_.defined() && features_.rank() == 3 && features_.dtype() == DType::f16 &&
            features_.is_contiguous(),
        ErrorKind::data, "feature cache: features {} where (images, places, channels) f16 is needed",
        describe(features_));
  check(static_cast<int64_t>(names().size()) == features_.size(0), ErrorKind::data,
        "feature cache: {} names for {} photos", names().size(), features_.size(0));
  check(encodes_in(arithmetic_), ErrorKind::data, "feature cache: no encoder computes in {}",
        tensor::name_of(arithmetic_));
  std::unordered_set<std::string_view> seen;
  for (const std::string& name : names()) {
    check(find_invalid_utf8(name) == kNoPosition, ErrorKind::data,
          "feature cache: the photo's name '{}' is not UTF-8", printable(name));
    check(seen.insert(name).second, ErrorKind::data, "feature cache: the photo {} is there twice",
          tensor::io::in_quotes(name));
  }
  std::vector<std::string> names_of_unreadable;
  for (const auto& [name, bytes] : unreadable_) names_of_unreadable.push_back(name);
  unreadable_photos_ = PhotoNames(std::move(names_of_unreadable));
}

const std::pair<const std::string, int64_t>* FeatureCache::find_unreadable(const std::string& name) const {
  const auto found = unreadable_photos_.find(name);
  return found ? &*unreadable_.find(unreadable_photos_.keys()[static_cast<size_t>(*found)]) : nullptr;
}

namespace {

// Metadata "readers": {"versions": {"JPEG": 1, ...}, "older": ["1.jpg", ...], "older_versions": {...}}.
Json json_of(const CacheReaders& readers) {
  Json json = Json::object({{"versions", readers.versions}});
  if (!readers.older.empty()) {
    json["older"] = std::vector<std::string>(readers.older.begin(), readers.older.end());
    json["older_versions"] = readers.older_versions;
  }
  return json;
}

CacheReaders readers_from(const Json& json, const std::string& file) {
  const auto versions = [&](const char* key) {
    ReaderVersions all;
    const Json* given = json.find(key);
    if (given == nullptr) return all;
    check(given->is_object(), ErrorKind::data, "{}: the readers' {} are not a JSON object", file, key);
    for (size_t i = 0; i < given->size(); ++i) {
      const std::string& format = given->keys()[i];
      const Json& version = given->items()[i];
      check(version.is_integer() && version.as_double() >= 0 && version.as_double() <= INT32_MAX,
            ErrorKind::data, "{}: the version of the reader of {} is no number", file,
            tensor::io::in_quotes(format));
      all[format] = static_cast<int>(version.as_int64());
    }
    return all;
  };
  check(json.is_object(), ErrorKind::data, "{}: the readers of pictures are not a JSON object", file);
  CacheReaders readers{versions("versions"), {}, versions("older_versions")};
  const Json* older = json.find("older");
  if (older == nullptr) return readers;
  check(older->is_array(), ErrorKind::data, "{}: the photos of older readers are not a JSON array", file);
  for (const Json& name : older->items()) {
    check(name.is_text(), ErrorKind::data, "{}: a photo's name is not a string", file);
    readers.older.insert(name.as_text());
  }
  return readers;
}

DType arithmetic_from(const std::string& name, const std::string& file) {
  for (const DType dtype : kEncoderArithmetics)
    if (name == tensor::name_of(dtype)) return dtype;
  tensor::fail(ErrorKind::data,
               "{}: features of an encoder that computes in {}, which this version does not know", file,
               tensor::io::in_quotes(name));
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
  today.older.insert(names().begin(), names().end());
  for (const auto& [name, bytes] : unreadable_) today.older.insert(name);
  return today;
}

FeatureCache FeatureCache::open(const std::filesystem::path& file) {
  tensor::io::SafetensorsFile contents = tensor::io::read_safetensors(file);
  add_arithmetic(contents.metadata);
  const auto features = contents.tensors.find("features");
  check(features != contents.tensors.end() && contents.metadata.contains("names") &&
            contents.metadata.contains("key"),
        ErrorKind::data, "{}: not a feature cache", file.string());
  const Json names = Json::try_parse(contents.metadata["names"]).value_or(Json());
  check(names.is_array(), ErrorKind::data, "{}: the photos' names are not a JSON array", file.string());
  std::vector<std::string> list;
  for (const Json& name : names.items()) {
    check(name.is_text(), ErrorKind::data, "{}: a photo's name is not a string", file.string());
    list.push_back(name.as_text());
  }
  // Caches of earlier versions do not have it.
  std::map<std::string, int64_t> unreadable;
  if (const auto text = contents.metadata.find("unreadable"); text != contents.metadata.end()) {
    const Json json = Json::try_parse(text->second).value_or(Json());
    check(json.is_object(), ErrorKind::data, "{}: the unreadable photos are not a JSON object",
          file.string());
    for (size_t i = 0; i < json.size(); ++i) {
      const std::string& name = json.keys()[i];
      const Json& bytes = json.items()[i];
      check(bytes.is_integer(), ErrorKind::data, "{}: the size of the unreadable photo {} is no number",
            file.string(), tensor::io::in_quotes(name));
      unreadable[name] = bytes.as_int64();
    }
  }
  CacheReaders readers{{}, {}, {}};  // of caches that do not say
  if (const auto text = contents.metadata.find("readers"); text != contents.metadata.end())
    readers = readers_from(Json::try_parse(text->second).value_or(Json()), file.string());
  return FeatureCache(std::move(list), features->second, contents.metadata["key"], std::move(unreadable),
                      std::move(readers), arithmetic_from(contents.metadata["arithmetic"], file.string()));
}

void FeatureCache::save(const std::filesystem::path& file) const {
  tensor::io::write_safetensors(file, {{"features", features_}},
                                {{"names", Json(names()).dump()},
                                 {"key", key_},
                                 {"arithmetic", std::string(tensor::name_of(arithmetic_))},
                                 {"unreadable", Json(unreadable_).dump()},
                                 {"readers", json_of(readers_).dump()}});
}

void add_arithmetic(std::map<std::string, std::string>& metadata) {
  static const std::string kInKey = " bf16 arithmetic";
  const auto key = metadata.find("key");
  const size_t at = key == metadata.end() ? std::string::npos : key->second.find(kInKey);
  const bool added = metadata.emplace("arithmetic", at == std::string::npos ? "f32" : "bf16").second;
  if (added && at != std::string::npos) key->second.erase(at, kInKey.size());
}

Tensor FeatureCache::stored_row(int64_t row) const {
  check(row >= 0 && row < size(), ErrorKind::index, "feature cache: row {} of {}", row, size());
  return features_.select(0, row);
}

Tensor FeatureCache::rows(const std::vector<int64_t>& which, const FeaturesAs& as) const {
  std::vector<Tensor> rows;
  for (const int64_t row : which) rows.push_back(stored_row(row));
  return as.together(rows, places(), channels());
}

Tensor FeaturesAs::together(const std::vector<Tensor>& rows, int64_t places, int64_t channels) const {
  for (const Tensor& row : rows)
    check(row.shape() == tensor::Shape{places, channels}, ErrorKind::shape, "features: {} beside ({}, {})",
          tensor::describe(row), places, channels);
  Tensor all =
      Tensor::empty({std::ssize(rows), places, channels}, device.is_cpu() ? dtype : DType::f16, device);
  if (device.is_cpu() && dtype != DType::f16) {
    for (size_t i = 0; i < rows.size(); ++i) all.select(0, static_cast<int64_t>(i)).copy_(rows[i]);
    return all;
  }
  tensor::kernels::copy_pieces(all, rows);
  return all.to(dtype);
}

}  // namespace imgcap
