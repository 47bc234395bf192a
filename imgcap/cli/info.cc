#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>

#include "imgcap/bench/machine.h"
#include "imgcap/cli/cli.h"
#include "imgcap/data/feature_cache.h"
#include "imgcap/data/image.h"
#include "imgcap/data/picture_format.h"
#include "imgcap/data/utf8.h"
#include "imgcap/data/vocabulary.h"
#include "imgcap/models/decoder.h"
#include "imgcap/models/encoder.h"
#include "imgcap/report/html.h"
#include "imgcap/training/precision.h"
#include "imgcap/training/weights_file.h"
#include "nn/summary.h"
#include "tensor/cuda/runtime.h"
#include "tensor/error.h"
#include "tensor/format.h"
#include "tensor/io/json.h"
#include "tensor/io/safetensors.h"
#include "tensor/native_types.h"
#include "tensor/thread_pool.h"

namespace imgcap::cli {
namespace {

using tensor::io::Json;

struct Options {
  std::string file, model, encoder = "resnet50";
  bool json = false, layers = false;
};

#if defined(__clang__)
constexpr const char* kCompiler = __VERSION__;
#else
constexpr const char* kCompiler = "g++ " __VERSION__;
#endif

std::string yes_no(bool on) { return on ? "yes" : "no"; }

struct CudaDevice {
  std::string name, what;
  tensor::cuda::DeviceMemory memory;
};

std::vector<CudaDevice> devices() {
  std::vector<CudaDevice> all;
  for (int i = 0; i < tensor::cuda::device_count(); ++i) {
    tensor::cuda::Runtime& runtime = *tensor::cuda::linked_runtime();
    all.push_back({to_string(tensor::Device::cuda(i)), runtime.describe(i), runtime.device_memory(i)});
  }
  return all;
}

Json devices_json() {
  Json all = Json::array();
  for (const CudaDevice& device : devices())
    all.push_back(Json::object({{"name", device.name},
                                {"what", device.what},
                                {"total_bytes", device.memory.total},
                                {"free_bytes", device.memory.free}}));
  return all;
}

// "no", why there is no device, or the devices.
std::string cuda_text() {
  if (tensor::cuda::linked_runtime == nullptr) return "no";
  std::vector<std::string> all;
  for (const CudaDevice& device : devices())
    all.push_back(tensor::format("{}: {}; {:.2f} GiB free", device.name, device.what,
                                 static_cast<double>(device.memory.free) / (1 << 30)));
  if (all.empty()) return "yes, but " + tensor::cuda::linked_runtime()->why_none();
  return tensor::join(all, "\n               ");
}

void show_build(const Options& o) {
  const bool onednn = bench::products() == "oneDNN";
  const std::vector<std::string> sets = bench::instruction_sets();
  if (o.json) {
    print_line(Json::object({{"version", IMGCAP_VERSION},
                             {"compiler", kCompiler},
                             {"oneDNN", onednn},
                             {"libjpeg-turbo", jpeg_is_turbo()},
                             {"pictures", readable_formats()},
                             {"CUDA", tensor::cuda::linked_runtime != nullptr},
                             {"devices", devices_json()},
                             {"processor", bench::processor_name()},
                             {"instruction_sets", sets},
                             {"native_bf16", tensor::has_native_products(tensor::DType::bf16)},
                             {"threads", tensor::num_threads()}}));
    return;
  }
  std::string text = tensor::format(
      "imgcap {}, compiled by {}\n"
      "oneDNN:        {}\n"
      "libjpeg-turbo: {}\n"
      "pictures:      {}\n"
      "CUDA:          {}\n"
      "processor:     {}\n"
      "threads:       {}\n"
      "16 bits:       {}\n"
      "instructions: ",
      IMGCAP_VERSION, kCompiler, yes_no(onednn), yes_no(jpeg_is_turbo()), readable_formats(), cuda_text(),
      bench::processor_name(), tensor::num_threads(), describe_16_bits());
  for (const std::string& set : sets) text += " " + set;
  print(text + "\n");
}

// Both parts of a model, layer by layer, with the shapes that one photo and a caption of `words` words take.
void show_layers(const Options& o) {
  const auto encoder = make_encoder(o.encoder);
  encoder->freeze();
  const Preprocessing p = encoder->preprocessing();
  Tensor features;
  std::string text = "One photo through the encoder:\n" + nn::summary(*encoder, [&] {
                       features = encoder->forward_features(Tensor::zeros({1, 3, p.height, p.width})).data();
                     });
  DecoderConfig config;
  config.kind = decoder_kind(o.model);
  config.features = encoder->feature_channels();
  const auto decoder = make_decoder(config);
  const int64_t places = features.size(2) * features.size(3);
  text += "\nOne word through the decoder:\n" + nn::summary(*decoder, [&] {
            DecodingState state = decoder->start(
                features.reshape({1, config.features, places}).permute({0, 2, 1}).contiguous());
            decoder->step(state, Tensor::full({1}, kSos, tensor::DType::i64));
          });
  print(text);
}

void show_model(const Options& o) {
  const auto encoder = make_encoder(o.encoder, false);
  DecoderConfig config;
  config.kind = decoder_kind(o.model);
  config.features = encoder->feature_channels();
  const auto decoder = make_decoder(config);
  const bool attention = config.kind == DecoderKind::attention;
  int64_t layer = 0;
  for (const auto& [name, parameter] : decoder->named_parameters())
    if (name.starts_with("attention.")) layer += parameter.data().numel();
  // The original's attention model keeps the whole classifier beside the decoder, the plain one cuts its last
  // layer off.
  const int64_t classifier = (encoder->feature_channels() + 1) * encoder->classes();
  const int64_t trainable = decoder->parameter_count();
  const int64_t frozen = encoder->parameter_count() - (attention ? 0 : classifier);
  if (o.json) {
    Json json = Json::object(
        {{"model", o.model},
         {"encoder", o.encoder},
         {"parameters",
          Json::object({{"trainable", trainable}, {"frozen", frozen}, {"total", trainable + frozen}})}});
    if (attention) json["parameters"]["attention"] = layer;
    print_line(json);
    return;
  }
  std::string text = tensor::format("{} model with {}\ntrainable parameters: {:>12}\n", o.model, o.encoder,
                                    grouped(trainable));
  if (attention) text += tensor::format("  of the attention:   {:>12}\n", grouped(layer));
  text += tensor::format("frozen parameters:    {:>12}\ntotal:                {:>12}\n", grouped(frozen),
                         grouped(trainable + frozen));
  if (attention && o.encoder == "resnet50")
    text +=
        "The original's README says 49,065,064 frozen and 85,787,753 in total: its count (torchinfo's) has "
        "the backbone twice,\n"
        "as a part of the classifier (25,557,032) and once more without the last layer (23,508,032).\n";
  print(text);
}

// What a file's metadata says about it.
std::string kind_of(const std::map<std::string, std::string>& metadata) {
  if (metadata.contains("decoder") && metadata.contains("vocabulary"))
    return metadata.contains("training") ? "checkpoint of a training run" : "checkpoint";
  if (metadata.contains("names") && metadata.contains("key")) return "feature cache";
  return "weights";
}

// {"en": 2512, "ar": 3101}: the languages of a checkpoint's vocabulary with their words, where it has some.
void add_languages(std::map<std::string, std::string>& metadata) {
  if (!metadata.contains("decoder") || !metadata.contains("vocabulary")) return;
  const Json tokens = Json::try_parse(metadata.at("vocabulary")).value_or(Json());
  if (!tokens.is_array()) return;
  std::vector<std::string> list;
  for (const Json& token : tokens.items()) list.push_back(token.is_text() ? token.as_text() : "");
  if (!names_languages(list)) return;
  const Vocabulary vocabulary(std::move(list));
  Json json;
  for (const Language& language : vocabulary.languages()) json[language.code] = vocabulary.words(language);
  metadata["languages"] = json.dump();
}

struct Contents {
  struct Entry {
    std::string name;
    tensor::DType dtype;
    tensor::Shape shape;
  };
  std::vector<Entry> tensors;
  std::map<std::string, std::string> metadata;
  std::string kind;
};

Contents read_contents(const std::string& file) {
  Contents contents;
  char start[2] = {};
  std::ifstream(file, std::ios::binary).read(start, 2);
  const std::string extension = std::filesystem::path(file).extension().string();
  // A ZIP archive, or the pickles of PyTorch before 1.6.
  const bool torch = (start[0] == 'P' && start[1] == 'K') || (start[0] == '\x80' && start[1] == '\x02');
  if (extension == ".pth" || extension == ".pt" || torch) {
    const WeightsFile pth = read_torch_file(file);
    say(pth.remarks);
    for (const auto& [name, value] : pth.tensors)
      contents.tensors.push_back({name, value.dtype(), value.shape()});
    contents.metadata = pth.metadata;
    contents.kind = "PyTorch file";
    say(not_finite(file, pth.tensors));
  } else {
    const auto header = tensor::io::read_safetensors_header(file);
    for (const auto& [name, entry] : header.tensors)
      contents.tensors.push_back({name, entry.dtype, entry.shape});
    contents.metadata = header.metadata;
    contents.kind = kind_of(header.metadata);
    tensor::about_file(file, [&] { add_languages(contents.metadata); });
    if (contents.kind == "feature cache")
      add_arithmetic(contents.metadata);
    else  // features are no weights, and gigabytes
      say(not_finite(file, tensor::io::read_safetensors(file).tensors));
  }
  return contents;
}

// With objects in place of the texts that hold one: a checkpoint's notes have the options of its run so.
Json unfolded(const Json& value) {
  if (value.is_text() && value.as_text().starts_with('{'))
    if (const std::optional<Json> inside = Json::try_parse(value.as_text())) return unfolded(*inside);
  if (!value.is_object()) return value;
  Json result = Json::object();
  for (size_t i = 0; i < value.size(); ++i) result.add(value.keys()[i], unfolded(value.at(i)));
  return result;
}

// A metadata value for people and scripts: long lists become their length, JSON is no text.
Json summary(const std::string& key, const std::string& value) {
  const std::optional<Json> json = Json::try_parse(value);
  if ((key == "vocabulary" || key == "names") && json && json->is_array()) return json->size();
  return json ? unfolded(*json) : value;
}

std::string words(const Json& value) {
  if (value.is_text()) return printable(value.as_text());
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const Json& item : value.items()) text += (text.empty() ? "" : ", ") + words(item);
  return text;
}

// One setting a line; an object's are below its name.
std::string setting_lines(const std::string& name, const Json& value, size_t level) {
  std::string text = std::string(2 * level, ' ') + printable(name) + ":";
  if (!value.is_object()) return text + " " + words(value) + "\n";
  text += value.size() == 0 ? " none\n" : "\n";
  for (size_t i = 0; i < value.size(); ++i) text += setting_lines(value.keys()[i], value.at(i), level + 1);
  return text;
}

void show_file(const Options& o) {
  const Contents contents = read_contents(o.file);
  int64_t values = 0;
  for (const auto& entry : contents.tensors) values += entry.shape.numel();
  if (o.json) {
    Json json = Json::object({{"file", o.file}, {"kind", contents.kind}, {"values", values}});
    for (const auto& [key, value] : contents.metadata) json["metadata"][key] = summary(key, value);
    json["tensors"] = Json::array();
    for (const auto& entry : contents.tensors)
      json["tensors"].push_back(
          Json::object({{"name", entry.name},
                        {"dtype", tensor::name_of(entry.dtype)},
                        {"shape", std::vector<int64_t>(entry.shape.begin(), entry.shape.end())}}));
    print_line(json);
    return;
  }
  std::string text = tensor::format("{}: {}, {} tensors, {} values\n", o.file, contents.kind,
                                    contents.tensors.size(), grouped(values));
  for (const auto& [key, value] : contents.metadata) text += setting_lines(key, summary(key, value), 1);
  for (const auto& entry : contents.tensors)
    text += tensor::format("  {} {} {}\n", printable(entry.name), tensor::name_of(entry.dtype),
                           to_string(entry.shape));
  print(text);
}

void run(const Options& o) {
  if (!o.file.empty())
    show_file(o);
  else if (!o.model.empty())
    o.layers ? show_layers(o) : show_model(o);
  else
    show_build(o);
}

}  // namespace

void add_info(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "info",
                       "What a weights file, checkpoint or cache holds; a model's size; or this build");
  const auto o = std::make_shared<Options>();
  const Option file = verb.option("file", o->file, "A .safetensors or .pth file");
  const Option model = verb.option("--model", o->model,
                                   "Count the parameters of attention or plain, with the original's widths")
                           .one_of({"attention", "plain"})
                           .excludes(file);
  verb.option("--encoder", o->encoder, "The encoder beside --model");
  verb.flag("--layers", o->layers, "Its layers, the shapes that they give and their parameters").needs(model);
  verb.flag("--json", o->json, "JSON alone on stdout");
  verb.on_run([o] { run(*o); });
}

}  // namespace imgcap::cli
