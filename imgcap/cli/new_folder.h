// A folder of results that is there as a whole or not at all.
#pragma once

#include <filesystem>

#include "imgcap/cli/run_folder.h"

namespace imgcap::cli {

// Files are written into a hidden folder beside the target, which takes the target's name at the end. Unless
// `finish` is reached (an error, a full disk, Ctrl-C), that folder and what was made for it are removed.
class NewFolder {
 public:
  // Errors: argument (the target is there, and it is not an empty folder), io (the folder that it stands in
  // cannot be made or written to).
  explicit NewFolder(const std::filesystem::path& target);
  ~NewFolder();
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  // Where to write until then.
  const std::filesystem::path& path() const { return temporary_; }
  void finish();

 private:
  std::filesystem::path target_, temporary_;
  WritableFolder parent_;
};

}  // namespace imgcap::cli
