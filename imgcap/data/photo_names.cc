#include "imgcap/data/photo_names.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <unordered_map>

#include "imgcap/data/utf8.h"
#include "tensor/error.h"

namespace imgcap {
namespace {

using tensor::ErrorKind;
using tensor::fail;

std::string composed(const std::string& text) {
  const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
  if (ascii) return text;
  utf8proc_uint8_t* result = nullptr;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  const utf8proc_ssize_t length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                               static_cast<utf8proc_ssize_t>(text.size()), &result, options);
  if (length < 0) return text;  // no UTF-8
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(result, &std::free);
  return {reinterpret_cast<const char*>(result), static_cast<size_t>(length)};
}

// What is behind the first "/"; empty when there is none.
std::string_view without_first_part(std::string_view name) {
  const size_t slash = name.find('/');
  return slash == std::string_view::npos ? std::string_view() : name.substr(slash + 1);
}

}  // namespace

std::string normal_name(std::string_view name) {
  std::string text;
  const bool rooted = name.starts_with('/') || name.starts_with('\\');
  for (size_t at = 0; at <= name.size();) {
    const size_t end = std::min(name.find_first_of("/\\", at), name.size());
    const std::string_view part = name.substr(at, end - at);
    if (!part.empty() && part != ".") {
      if (!text.empty() || rooted) text += '/';
      text += part;
    }
    at = end + 1;
  }
  return composed(text);
}

struct PhotoNames::Index {
  static constexpr int64_t kMany = -1;

  std::vector<std::string> keys, normal;
  std::unordered_map<std::string_view, int64_t> exact;
  std::unordered_map<std::string_view, int64_t> ends;  // of keys, shorter than they are

  // Two of the keys that end so, for an error text.
  [[noreturn]] void refuse(std::string_view name, const std::string& first, const std::string& second) const {
    fail(ErrorKind::data, "\"{}\" means two photos, \"{}\" and \"{}\": name it with its folder",
         printable(name), printable(first), printable(second));
  }
};

PhotoNames::PhotoNames(std::vector<std::string> keys) {
  auto index = std::make_shared<Index>();
  index->keys = std::move(keys);
  for (const std::string& key : index->keys) index->normal.push_back(normal_name(key));
  for (size_t i = 0; i < index->normal.size(); ++i) {
    const std::string_view key = index->normal[i];
    if (!index->exact.emplace(key, static_cast<int64_t>(i)).second) continue;
    for (std::string_view end = without_first_part(key); !end.empty(); end = without_first_part(end)) {
      const auto [place, fresh] = index->ends.emplace(end, static_cast<int64_t>(i));
      if (!fresh) place->second = Index::kMany;
    }
  }
  index_ = std::move(index);
}

const std::vector<std::string>& PhotoNames::keys() const { return index_->keys; }

std::optional<int64_t> PhotoNames::find(std::string_view name) const {
  const Index& all = *index_;
  const std::string normal = normal_name(name);
  if (const auto found = all.exact.find(normal); found != all.exact.end()) return found->second;
  std::optional<int64_t> match;
  const auto take = [&](int64_t key) {
    if (match && *match != key)
      all.refuse(name, all.keys[static_cast<size_t>(*match)], all.keys[static_cast<size_t>(key)]);
    match = key;
  };
  if (const auto found = all.ends.find(normal); found != all.ends.end()) {
    if (found->second != Index::kMany) {
      take(found->second);
    } else {
      const std::string end = "/" + normal;
      for (size_t i = 0; i < all.normal.size(); ++i)
        if (all.normal[i].ends_with(end) && all.exact.at(all.normal[i]) == static_cast<int64_t>(i))
          take(static_cast<int64_t>(i));
    }
  }
  for (std::string_view end = without_first_part(normal); !end.empty(); end = without_first_part(end))
    if (const auto found = all.exact.find(end); found != all.exact.end()) take(found->second);
  return match;
}

std::optional<int64_t> NamesOfFile::find(const std::string& name) {
  const auto key = photos_.find(name);
  if (!key) return key;
  used_.resize(photos_.keys().size());
  std::string& before = used_[static_cast<size_t>(*key)];
  if (!before.empty() && before != name)
    fail(ErrorKind::data, "{}: \"{}\" and \"{}\" mean one photo, \"{}\"", file_, printable(before),
         printable(name), printable(photos_.keys()[static_cast<size_t>(*key)]));
  before = name;
  return key;
}

}  // namespace imgcap
