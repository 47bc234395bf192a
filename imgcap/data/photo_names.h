// Which photo a name means: the one rule for captions, lists, caches, scores and reports.
//
// A photo's key is its path below the folder (or in the archive) that was given. A name means the photo whose
// key it is; or else the one photo of whose key it is the end, or whose key is its end, in whole parts:
// "1.jpg" and "photos/a/1.jpg" both mean "a/1.jpg", and "c/1.jpg" never does. A name that is none and has no
// picture's extension is compared with the keys less theirs: "a/1", of captions in a/1.txt, means "a/1.jpg".
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgcap {

// The spelling that names are compared by: "\" is "/", "./" and doubled "/" go, letters are composed
// (Unicode's NFC: a Mac writes "é" as two characters). Bytes that are no UTF-8 stay as they are.
std::string normal_name(std::string_view name);

class PhotoNames {
 public:
  PhotoNames() : PhotoNames(std::vector<std::string>()) {}
  // Of two keys that are spelled alike the first counts.
  explicit PhotoNames(std::vector<std::string> keys);

  const std::vector<std::string>& keys() const;
  // The number of the key that the name means. Errors: data (it is the end of two keys, or two are its ends;
  // both are named).
  std::optional<int64_t> find(std::string_view name) const;

 private:
  struct Index;
  std::shared_ptr<const Index> index_, bare_;  // bare_: the keys less their extensions
};

// The names of one file with the keys that they mean. Errors: data (two of them mean one photo; both are
// named).
class NamesOfFile {
 public:
  NamesOfFile(const PhotoNames& photos, std::string file) : photos_(photos), file_(std::move(file)) {}
  std::optional<int64_t> find(const std::string& name);

 private:
  const PhotoNames& photos_;
  std::string file_;
  std::vector<std::string> used_;  // by key: the name that meant it
};

}  // namespace imgcap
