// A small training run with what is in the box: its photos, their captions and its encoder.
#pragma once

#include "tests/cli/program.h"
#include "tests/data_dir.h"
#include "tests/json.h"

namespace tests {

inline std::string assets() { return (source_dir() / "assets").string(); }
inline std::string encoder_in_the_box() { return assets() + "/model/efficientnet_lite2.safetensors"; }

// `imgcap train` with a decoder of `width` into FOLDER/OUT.
inline std::vector<std::string> train_arguments(const Folder& folder, const std::string& out,
                                                const std::vector<std::string>& more, int width = 16) {
  std::vector<std::string> all = {"train",
                                  "--weights",
                                  encoder_in_the_box(),
                                  "--out",
                                  folder / out,
                                  "--features",
                                  folder / "features.safetensors",
                                  "--embedding",
                                  std::to_string(width),
                                  "--hidden",
                                  std::to_string(width),
                                  "--attention-width",
                                  std::to_string(width)};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace tests
