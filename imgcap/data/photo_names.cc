#include "imgcap/data/photo_names.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <unordered_map>

#include "imgcap/data/picture_format.h"
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

std::string without_extension(const std::string& name) {
  return has_picture_name(name) ? name.substr(0, name.rfind('.')) : name;
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

  std::vector<std::string> keys;    // for error texts
  std::vector<std::string> normal;  // how they are compared
  std::unordered_map<std::string_view, int64_t> exact;
  std::unordered_map<std::string_view, int64_t> ends;  // of keys, shorter than they are

  // Two keys that are spelled alike are one; those that only are so here, less their extensions, are two.
  void fill(bool bare) {
    for (size_t i = 0; i < normal.size(); ++i) {
      const std::string_view key = normal[i];
      const auto [same, unseen] = exact.emplace(key, static_cast<int64_t>(i));
      if (!unseen && bare) same->second = kMany;
      if (!unseen) continue;
      for (std::string_view end = without_first_part(key); !end.empty(); end = without_first_part(end)) {
        const auto [place, fresh] = ends.emplace(end, static_cast<int64_t>(i));
        if (!fresh) place->second = kMany;
      }
    }
  }

  std::optional<int64_t> find(const std::string& wanted, std::string_view name) const;

 private:
  // The error names two of the keys.
  [[noreturn]] void refuse(std::string_view name, int64_t first, int64_t second) const {
    fail(ErrorKind::data, "\"{}\" means two photos, \"{}\" and \"{}\": name it with its folder",
         printable(name), printable(keys[static_cast<size_t>(first)]),
         printable(keys[static_cast<size_t>(second)]));
  }
};

std::optional<int64_t> PhotoNames::Index::find(const std::string& wanted, std::string_view name) const {
  std::optional<int64_t> match;
  const auto take = [&](int64_t key) {
    if (match && *match != key) refuse(name, *match, key);
    match = key;
  };
  const auto take_all = [&](const auto& fits) {
    for (size_t i = 0; i < normal.size(); ++i)
      if (fits(i)) take(static_cast<int64_t>(i));
  };
  const auto take_exact = [&](int64_t key, std::string_view text) {
    if (key != kMany) return take(key);
    take_all([&](size_t i) { return normal[i] == text; });
  };
  if (const auto found = exact.find(wanted); found != exact.end()) {
    take_exact(found->second, wanted);
    return match;
  }
  if (const auto found = ends.find(wanted); found != ends.end()) {
    const std::string end = "/" + wanted;
    if (found->second != kMany)
      take(found->second);
    else
      take_all([&](size_t i) {
        const int64_t first = exact.at(normal[i]);
        return normal[i].ends_with(end) && (first == kMany || first == static_cast<int64_t>(i));
      });
  }
  for (std::string_view end = without_first_part(wanted); !end.empty(); end = without_first_part(end))
    if (const auto found = exact.find(end); found != exact.end()) take_exact(found->second, end);
  return match;
}

PhotoNames::PhotoNames(std::vector<std::string> keys) {
  auto index = std::make_shared<Index>(), bare = std::make_shared<Index>();
  for (const std::string& key : keys) {
    index->normal.push_back(normal_name(key));
    bare->normal.push_back(without_extension(index->normal.back()));
  }
  // Two that are spelled alike are one there, too.
  index->fill(false);
  bare->keys = keys;
  for (size_t i = 0; i < keys.size(); ++i)
    if (index->exact.at(index->normal[i]) != static_cast<int64_t>(i)) bare->normal[i].clear();
  bare->fill(true);
  index->keys = std::move(keys);
  index_ = std::move(index);
  bare_ = std::move(bare);
}

const std::vector<std::string>& PhotoNames::keys() const { return index_->keys; }

std::optional<int64_t> PhotoNames::find(std::string_view name) const {
  const std::string normal = normal_name(name);
  if (normal.empty()) return std::nullopt;
  if (const auto found = index_->find(normal, name)) return found;
  // One of the two has no extension.
  if (!has_picture_name(normal)) return bare_->find(normal, name);
  const std::string bare = without_extension(normal);
  return has_picture_name(bare) ? std::nullopt : index_->find(bare, name);
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
