// The encoder in the box, for photos of 64 x 64: fast enough for tests.
#pragma once

#include <string>

#include "imgcap/training/encode.h"
#include "tests/data_dir.h"

namespace imgcap {

inline const std::string kEncoder = "efficientnet_lite2";

inline LoadedEncoder small_encoder() {
  LoadedEncoder encoder =
      load_encoder(kEncoder, tests::source_dir() / ("assets/model/" + kEncoder + ".safetensors"));
  encoder.preprocessing.height = encoder.preprocessing.width = 64;
  return encoder;
}

}  // namespace imgcap
