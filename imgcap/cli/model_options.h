// A trained model with its encoder, as the command line names it.
#pragma once

#include <string>

#include "imgcap/captioner.h"

namespace imgcap::cli {

// imgcap::load_model() with the models in the box, and what it has to say on stderr.
LoadedModel load_model(const std::string& model, const std::string& weights,
                       ModelUse use = ModelUse::captions);

// The folder of the models in the box: IMGCAP_ASSETS when it is set, else ../../assets beside the program (a
// build in the source tree) or ../share/imgcap.
std::string assets_folder();

}  // namespace imgcap::cli
