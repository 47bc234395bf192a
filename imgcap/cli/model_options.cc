#include "imgcap/cli/model_options.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "imgcap/cli/cli.h"
#include "imgcap/models/encoder.h"
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

LoadedModel load_model(const std::string& model, const std::string& weights) {
  const bool in_box = model == "attention" || model == "plain";
  const std::string assets = assets_folder();
  const std::string file = in_box ? assets + "/model/" + model + ".safetensors" : model;
  tensor::check(!in_box || fs::exists(file), tensor::ErrorKind::io,
                "{}: the {} model is not in the box; name a checkpoint with --model FILE", file, model);
  Checkpoint info = load_checkpoint(file);
  std::unique_ptr<Decoder> decoder = tensor::about_file(file, [&] { return info.make_decoder(); });
  decoder->eval();
  Vocabulary vocabulary = info.make_vocabulary();
  const bool own = !info.encoder_weights.empty();
  tensor::check(!own || weights.empty(), tensor::ErrorKind::argument,
                "{}: it has the weights of its encoder, which was trained with it; leave out --weights",
                file);
  const std::string in_the_box = assets + "/model/" + info.encoder + ".safetensors";
  tensor::check(
      own || !weights.empty() || fs::exists(in_the_box), tensor::ErrorKind::argument,
      "{}: it was trained with the encoder {}, whose weights are not in the box; give them by --weights FILE",
      file, info.encoder);
  LoadedEncoder encoder = own ? load_encoder(info.encoder, std::move(info.encoder_weights), file)
                              : load_encoder(info.encoder, weights.empty() ? in_the_box : weights);
  tensor::check(encoder.encoder->feature_channels() == info.decoder.features, tensor::ErrorKind::data,
                "{}: its decoder takes {} channels, the encoder {} gives {}", file, info.decoder.features,
                info.encoder, encoder.encoder->feature_channels());
  say(encoder.remarks);
  encoder.preprocessing = info.preprocessing;
  info.weights.clear();
  info.encoder_weights.clear();
  return {std::move(info), std::move(decoder), std::move(vocabulary), std::move(encoder)};
}

std::string text_of(const Hypothesis& caption, const Vocabulary& vocabulary, bool compat_original) {
  if (compat_original)
    return vocabulary.decode_original(std::vector<int32_t>(caption.ids.begin(), caption.ids.end()));
  return vocabulary.decode(std::vector<int32_t>(caption.words.begin(), caption.words.end()));
}

AttentionMaps attention_maps(const Hypothesis& caption, const LoadedModel& model) {
  AttentionMaps result;
  // There is a map for <eos>, too, and none without attention.
  for (size_t i = 0; i < std::min(caption.words.size(), caption.attention.size()); ++i) {
    std::string word = model.vocabulary.decode(std::vector<int32_t>{static_cast<int32_t>(caption.words[i])});
    if (word.empty()) continue;
    result.words.push_back(std::move(word));
    result.maps.push_back(caption.attention[i]);
  }
  const Preprocessing& p = model.encoder.preprocessing;
  const Encoder::Grid grid = Encoder::grid(p.height, p.width);
  result.rows = grid.rows, result.columns = grid.columns;
  return result;
}

}  // namespace imgcap::cli
