// The folders of a training run while it is not sure yet that there will be a run.
#pragma once

#include <filesystem>
#include <vector>

namespace imgcap::cli {

// Makes the folder where it is missing and finds out whether it can be written to. What it has made is
// removed again at the end, as far as it is empty, unless the run was accepted: a refused run leaves nothing.
class WritableFolder {
 public:
  // Errors: io (it cannot be made or written to).
  explicit WritableFolder(const std::filesystem::path& folder);
  ~WritableFolder();
  WritableFolder(const WritableFolder&) = delete;
  WritableFolder& operator=(const WritableFolder&) = delete;

  void accept() { made_.clear(); }

 private:
  std::vector<std::filesystem::path> made_;  // the outermost first
};

class RunFolder : public WritableFolder {
 public:
  // Errors: argument (without `resume` there is a run in it, with it there is none).
  RunFolder(const std::filesystem::path& folder, bool resume);
};

}  // namespace imgcap::cli
