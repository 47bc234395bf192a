#include "imgcap/cli/export_model.h"

#include "imgcap/cli/cli.h"
#include "imgcap/data/text_settings.h"
#include "imgcap/onnx/onnx_decoder.h"
#include "imgcap/onnx/onnx_encoder.h"
#include "imgcap/settings/json.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/json.h"

namespace imgcap::cli {
namespace {

using tensor::io::Json;

std::string description(const LoadedModel& model) {
  Json json;
  json["format"] = "imgcap-onnx-1";
  json["decoder"] = Json::parse(to_json(model.info.decoder), "decoder");
  json["encoder"] = model.info.encoder;
  json["preprocessing"] = Json::parse(to_json(model.encoder.preprocessing), "preprocessing");
  json["special_tokens"] = Json::object(
      {{"unk", int64_t{kUnk}}, {"pad", int64_t{kPad}}, {"sos", int64_t{kSos}}, {"eos", int64_t{kEos}}});
  json["vocabulary"] = model.vocabulary.tokens();
  if (model.vocabulary.has_languages()) {
    json["language"] = model.info.language;
    for (const Language& each : model.vocabulary.languages())
      json["languages"][each.code] = Json::object({{"start", each.range.start},
                                                   {"first", each.range.first},
                                                   {"end", each.range.end},
                                                   {"text_rules", settings_to_json(each.rules)}});
  }
  json["notes"] = model.info.notes;
  return json.dump() + "\n";
}

}  // namespace

std::vector<std::string> export_model(const LoadedModel& model, const std::filesystem::path& folder) {
  const auto save = [&](const OnnxGraph& graph, const char* file) {
    graph.save(folder / file);
    if (stop_flag()) throw Interrupted();
    return std::string(file);
  };
  const Preprocessing& p = model.encoder.preprocessing;
  std::vector<std::string> files = {
      save(onnx_encoder(*model.encoder.encoder, p.height, p.width), "encoder.onnx"),
      save(onnx_decoder_start(*model.decoder), "decoder_start.onnx"),
      save(onnx_decoder_step(*model.decoder), "decoder_step.onnx")};
  tensor::io::write_file_atomically(folder / "model.json", std::string_view(description(model)));
  files.emplace_back("model.json");
  return files;
}

}  // namespace imgcap::cli
