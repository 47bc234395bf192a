#include "imgcap/cli/model_options.h"

#include <cstdlib>
#include <filesystem>

#include "imgcap/cli/cli.h"

namespace imgcap::cli {

namespace fs = std::filesystem;

std::string assets_folder() {
  if (const char* folder = std::getenv("IMGCAP_ASSETS"); folder != nullptr && *folder != '\0') return folder;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& folder : {program / "../../assets", program / "../share/imgcap"})
    if (fs::is_directory(folder / "model", error)) return folder.lexically_normal().string();
  return (program / "../../assets").lexically_normal().string();
}

LoadedModel load_model(const std::string& model, const std::string& weights, ModelUse use) {
  LoadedModel loaded = imgcap::load_model(model, weights, assets_folder(), use);
  say(loaded.encoder.remarks);
  return loaded;
}

}  // namespace imgcap::cli
