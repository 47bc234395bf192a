#include "imgcap/cli/model_options.h"

#include <cstdlib>
#include <filesystem>
#include <set>

#include "imgcap/cli/cli.h"
#include "imgcap/cli/device_option.h"
#include "imgcap/models/frozen_cnn.h"
#include "tensor/error.h"

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

tensor::Device choose_device_for(const std::vector<std::string>& models, const std::string& device) {
  constexpr int64_t kOfBatch = FrozenCnn::kDeviceBytes + (int64_t{256} << 20),
                    kOfStored = 4;  // bytes in f32 for one of 8 bits
  int64_t bytes = kOfBatch;
  if (device == "auto")
    for (const std::string& model : models) {
      std::error_code not_there;  // said by who loads it
      const uintmax_t size = fs::file_size(model_file(model), not_there);
      if (!not_there) bytes += kOfStored * static_cast<int64_t>(size);
    }
  return choose_device(device, bytes);
}

LoadedModel load_model(const std::string& model, const std::string& weights, ModelUse use,
                       tensor::Device device) {
  LoadedModel loaded = imgcap::load_model(model, weights, assets_folder(), use, device);
  say(loaded.encoder.remarks);
  return loaded;
}

std::shared_ptr<const Explainer> load_explainer(std::shared_ptr<const Captioner> captioner,
                                                const std::string& model) {
  // Without attention its maps are gradients, which need the parameters.
  std::unique_ptr<Decoder> parameters;
  if (captioner->decoder().config().kind == DecoderKind::plain) {
    parameters = load_checkpoint(model_file(model), WeightsAs::f32).make_decoder();
    parameters->to(captioner->decoder().device());
  }
  return std::make_shared<const Explainer>(std::move(captioner), std::move(parameters));
}

std::string model_file(const std::string& model) { return imgcap::model_file(model, assets_folder()); }

void EnsembleOption::add_option(Verb& verb) {
  verb.option("--ensemble", others,
              "More models, which caption together with the first: each next word has the mean of their "
              "probabilities");
}

LoadedModel EnsembleOption::load(const std::string& first, const std::string& weights, SearchKind search,
                                 const char* verb, ModelUse use, const std::string& device) const {
  tensor::check(others.empty() || search == SearchKind::standard, tensor::ErrorKind::argument,
                "{}: --ensemble: the original's search has one model", verb);
  std::vector<std::string> models = {first};
  models.insert(models.end(), others.begin(), others.end());
  LoadedModel loaded =
      load_ensemble(models, weights, assets_folder(), use, choose_device_for(models, device));
  say(loaded.encoder.remarks);
  return loaded;
}

std::vector<std::string> short_names(const std::vector<std::string>& models) {
  std::vector<std::string> names;
  for (const std::string& model : models) {
    const fs::path path(model);
    const fs::path file = path.extension() == ".safetensors" ? path.stem() : path.filename();
    names.push_back((path.parent_path().filename() / file).string());
  }
  const std::set<std::string> different(names.begin(), names.end());
  return different.size() == names.size() ? names : models;
}

void EncoderChoice::add_options(Verb& verb) {
  verb.option("--encoder", name, "efficientnet_lite2, resnet18, resnet34, resnet50 or resnet101");
  verb.option("--weights", weights,
              "The encoder's weights, .safetensors or .pth (default: the encoder in the box)");
  verb.option(
          "--photo-size", photo_size,
          "Rows and columns that photos are resized to for the encoder (0: its own, 224; with --init that model's)")
      .range(0, 2048);
}

void EncoderChoice::set_size(LoadedEncoder& loaded) const {
  if (photo_size == 0) return;
  tensor::check(photo_size >= 32, tensor::ErrorKind::argument, "--photo-size {}: it is 32 or more",
                photo_size);
  Preprocessing changed = loaded.preprocessing;
  changed.height = changed.width = photo_size;
  set_preprocessing(loaded, changed);
}

std::string EncoderChoice::file() const {
  make_encoder(name, false);  // a name that is not known is told before a file that is not there
  if (!weights.empty()) return weights;
  const std::string boxed = encoder_in_the_box(name, assets_folder());
  tensor::check(fs::exists(boxed), tensor::ErrorKind::argument,
                "--encoder {}: its weights are not in the box; give them by --weights FILE", name);
  return boxed;
}

LoadedEncoder EncoderChoice::load(EncoderUse use) const {
  const std::string from = file();
  LoadedEncoder loaded = load_encoder(name, from, use);
  if (weights.empty()) say({tensor::format("encoder in the box: {}", from)});
  say(loaded.remarks);
  set_size(loaded);
  return loaded;
}

}  // namespace imgcap::cli
