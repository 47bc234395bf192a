// A trained model with its encoder, and an encoder alone, as the command line names them.
#pragma once

#include <memory>
#include <string>

#include "imgcap/cli/verb.h"
#include "imgcap/explain.h"

namespace imgcap::cli {

// choose_device() (device_option.h) for captions of these models: of `auto`, a device has room for their weights in f32, and
// for a batch of photos and searches.
tensor::Device choose_device_for(const std::vector<std::string>& models, const std::string& device);

// imgcap::load_model() with the models in the box, and what it has to say on stderr.
LoadedModel load_model(const std::string& model, const std::string& weights,
                       ModelUse use = ModelUse::captions, tensor::Device device = {});

// For the captioner of a model that was named so, on its device.
std::shared_ptr<const Explainer> load_explainer(std::shared_ptr<const Captioner> captioner,
                                                const std::string& model);

// imgcap::model_file() with the models in the box.
std::string model_file(const std::string& model);

// --ensemble: models that caption together with the first.
struct EnsembleOption {
  std::vector<std::string> others;

  void add_option(Verb& verb);
  // imgcap::load_ensemble() with the models in the box, on the device of choose_device_for(). Errors: those of both,
  // argument (another search than the standard one).
  LoadedModel load(const std::string& first, const std::string& weights, SearchKind search, const char* verb,
                   ModelUse use = ModelUse::captions, const std::string& device = "cpu") const;
};

// "attention", "plain", "mine/best" for runs/mine/best.safetensors; the whole paths where that is the same
// for two.
std::vector<std::string> short_names(const std::vector<std::string>& models);

// The folder of the models in the box: IMGCAP_ASSETS when it is set, else ../../assets beside the program (a
// build in the source tree) or ../share/imgcap.
std::string assets_folder();

// An encoder and its weights: --encoder and --weights, by default those in the box.
struct EncoderChoice {
  std::string name = "efficientnet_lite2", weights;
  int64_t photo_size = 0;  // rows and columns of the photos that it sees; 0: its own

  void add_options(Verb& verb);
  // Of `loaded`, by `photo_size`.
  void set_size(LoadedEncoder& loaded) const;
  // The weights' file. Errors: argument (the encoder is not known, the box has no weights of it and none are given).
  std::string file() const;
  // Says on stderr which file it is, where it was not given, and what is left out of it. Errors: those of file() and
  // imgcap::load_encoder().
  LoadedEncoder load(EncoderUse use = EncoderUse::features) const;
};

}  // namespace imgcap::cli
