#include "imgcap/cli/run_folder.h"

#include <string_view>

#include "tensor/error.h"
#include "tensor/io/atomic_file.h"

namespace imgcap::cli {

namespace fs = std::filesystem;
using tensor::check;
using tensor::ErrorKind;

namespace {

const fs::path& expect_run(const fs::path& folder, bool resume) {
  const bool has_run = fs::exists(folder / "last.safetensors");
  check(resume || !has_run, ErrorKind::argument,
        "{}: there is a run in it; --resume goes on with it, a new one needs another --out", folder.string());
  check(!resume || has_run, ErrorKind::argument,
        "{}: there is no run in it to go on with (no last.safetensors)", folder.string());
  return folder;
}

}  // namespace

WritableFolder::WritableFolder(const fs::path& folder) {
  std::error_code error;
  for (fs::path part = folder.lexically_normal(); !part.empty() && !fs::exists(part, error);
       part = part.parent_path())
    made_.insert(made_.begin(), part);
  fs::create_directories(folder, error);
  check(!error, ErrorKind::io, "{}: cannot be made: {}", folder.string(), error.message());
  // Found out now, not after the first epoch.
  const fs::path probe = folder / ".writable.tmp";
  try {
    tensor::io::write_file_atomically(probe, std::string_view());
  } catch (const tensor::Error& e) {
    const std::string what = e.what();
    tensor::fail(ErrorKind::io, "{}: cannot be written to{}", folder.string(), what.substr(what.rfind(": ")));
  }
  fs::remove(probe, error);
}

WritableFolder::~WritableFolder() {
  std::error_code error;
  for (auto folder = made_.rbegin(); folder != made_.rend(); ++folder)
    if (!fs::remove(*folder, error)) return;  // not empty
}

RunFolder::RunFolder(const fs::path& folder, bool resume) : WritableFolder(expect_run(folder, resume)) {
  tensor::io::remove_stale_temporaries(folder);
}

}  // namespace imgcap::cli
