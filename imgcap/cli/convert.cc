#include <array>
#include <memory>

#include "imgcap/cli/cli.h"
#include "imgcap/cli/model_options.h"
#include "imgcap/cli/settings.h"
#include "imgcap/training/original_checkpoint.h"
#include "imgcap/training/own_encoder.h"
#include "imgcap/training/weights_file.h"
#include "tensor/error.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/text.h"
#include "tensor/kernels.h"

namespace imgcap::cli {
namespace {

using tensor::DType;
using tensor::ErrorKind;
using tensor::io::in_quotes;

enum class Format { keep, f32, f16, i8 };
constexpr std::array<const char*, 4> names_of(Format) { return {"keep", "f32", "f16", "i8"}; }

struct Options {
  std::string in, out, vocabulary;
  Format format = Format::keep;
  std::vector<std::string> rename, average;
  bool share_encoder = false;
};

using Tensors = std::map<std::string, tensor::Tensor>;

// By each FROM=TO in turn.
Tensors renamed(Tensors tensors, const std::vector<std::string>& rules) {
  for (const std::string& rule : rules) {
    const size_t equals = rule.find('=');
    tensor::check(equals != std::string::npos, ErrorKind::argument, "convert: --rename {}: FROM=TO is needed",
                  in_quotes(rule));
    const std::string from = rule.substr(0, equals), to = rule.substr(equals + 1);
    const bool is_prefix = from.empty() || from.ends_with('.');
    Tensors result;
    bool used = false;
    for (auto& [name, value] : tensors) {
      const bool fits = is_prefix ? name.starts_with(from) : name == from;
      used = used || fits;
      const std::string now = fits ? to + name.substr(from.size()) : name;
      tensor::check(!now.empty() && result.emplace(now, value).second, ErrorKind::argument,
                    "convert: --rename {}: {} would be {}", in_quotes(rule), in_quotes(name),
                    now.empty() ? "without a name" : tensor::format("a second {}", in_quotes(now)));
    }
    tensor::check(used, ErrorKind::argument, "convert: --rename {}: no tensor {} {}", in_quotes(rule),
                  is_prefix ? "has a name that begins with" : "is named", in_quotes(from));
    tensors = std::move(result);
  }
  return tensors;
}

void write(const Options& o, Tensors tensors, const std::map<std::string, std::string>& metadata) {
  tensor::check(!tensors.empty(), ErrorKind::data, "{}: has no tensors", o.in);
  tensors = renamed(std::move(tensors), o.rename);
  int64_t values = 0;
  for (auto& [name, value] : tensors) {
    values += value.numel();
    if (o.format != Format::keep && tensor::is_floating(value.dtype()))
      value = value.to(o.format == Format::f16 ? DType::f16 : DType::f32);
  }
  say(not_finite(o.out, tensors));
  tensor::io::write_safetensors(o.out, tensors, metadata);
  print(tensor::format("{}: {} tensors, {} values\n", o.out, tensors.size(), values));
}

void convert_pth(const Options& o) {
  WeightsFile file = read_weights(o.in);
  say(file.remarks);
  // A single tensor has no name there, and needs one here.
  if (auto single = file.tensors.extract(""); single) {
    single.key() = "tensor";
    file.tensors.insert(std::move(single));
  }
  write(o, std::move(file.tensors), file.metadata);
}

void write_model(const Options& o, Checkpoint checkpoint) {
  for (const Tensors& weights : {checkpoint.weights, checkpoint.encoder_weights})
    say(not_finite(o.in, weights));
  if (o.share_encoder) {
    tensor::check(!checkpoint.encoder_weights.empty(), ErrorKind::argument,
                  "{}: it has no encoder of its own; leave out --share-encoder", o.in);
    const size_t whole = checkpoint.encoder_weights.size();
    const size_t left =
        leave_out_base(checkpoint, encoder_in_the_box(checkpoint.encoder, assets_folder()), o.in);
    print(tensor::format(
        "{} of the encoder's {} tensors are those of the encoder in the box, and are left out\n",
        whole - left, whole));
  }
  const WeightFormat format = o.format == Format::i8    ? WeightFormat::i8
                              : o.format == Format::f16 ? WeightFormat::f16
                                                        : WeightFormat::f32;
  save_checkpoint(o.out, checkpoint, format);
  print(tensor::format("{}: a model of {} weights\n", o.out,
                       checkpoint.weights.size() + checkpoint.encoder_weights.size()));
}

// `others` is of the file `name`.
void add(Tensors& weights, const Tensors& others, const std::string& name) {
  tensor::check(weights.size() == others.size(), ErrorKind::data, "{}: it has {} weights, the first model {}",
                name, others.size(), weights.size());
  for (auto& [key, weight] : weights) {
    const auto other = others.find(key);
    tensor::check(other != others.end() && other->second.shape() == weight.shape(), ErrorKind::data,
                  "{}: {} is missing or has another shape than in the first model", name, in_quotes(key));
    if (!tensor::is_floating(weight.dtype())) continue;
    weight = weight.clone();
    tensor::kernels::add_inplace(weight, other->second, 1);
  }
}

// The mean of the weights of `checkpoint`, which is o.in's, and of those of o.average.
void average(const Options& o, Checkpoint& checkpoint) {
  for (const std::string& file : o.average) {
    const Checkpoint other = load_checkpoint(file);
    tensor::check(other.decoder == checkpoint.decoder &&
                      other.make_vocabulary() == checkpoint.make_vocabulary() &&
                      other.encoder == checkpoint.encoder && other.encoder_base == checkpoint.encoder_base,
                  ErrorKind::data, "{}: its model, vocabulary or encoder is not that of {}", file, o.in);
    add(checkpoint.weights, other.weights, file);
    add(checkpoint.encoder_weights, other.encoder_weights, file);
  }
  for (Tensors* weights : {&checkpoint.weights, &checkpoint.encoder_weights})
    for (auto& [key, weight] : *weights)
      if (tensor::is_floating(weight.dtype()))
        tensor::kernels::affine(weight, weight, 1 / static_cast<double>(o.average.size() + 1), 0);
  // What was said of the first one alone.
  checkpoint.confidence.clear();
  std::erase_if(checkpoint.notes, [](const auto& note) { return note.first.starts_with("validation_"); });
  checkpoint.notes["average_of"] = tensor::format("{}", o.average.size() + 1);
}

// A checkpoint becomes a model: without what only its training run needs.
void convert_checkpoint(const Options& o) {
  Checkpoint checkpoint = load_checkpoint(o.in);
  checkpoint.training.clear();
  checkpoint.training_tensors.clear();
  if (!o.average.empty()) average(o, checkpoint);
  write_model(o, std::move(checkpoint));
}

void convert_original(const Options& o) {
  const Vocabulary vocabulary = Vocabulary::load(o.vocabulary);
  WeightsFile file = read_weights(o.in);
  std::vector<std::string> remarks = file.remarks;
  file.tensors = renamed(std::move(file.tensors), o.rename);
  Checkpoint checkpoint = original_checkpoint(std::move(file), vocabulary, o.in, remarks);
  say(remarks);
  write_model(o, std::move(checkpoint));
}

void run(const Options& o) {
  // Files of weights are told apart by their name.
  tensor::check(std::filesystem::path(o.out).extension() == ".safetensors", ErrorKind::argument,
                "{}: the output's name has to end in .safetensors", o.out);
  if (!o.vocabulary.empty()) return convert_original(o);
  const bool pth = std::filesystem::path(o.in).extension() != ".safetensors";
  if (!pth) {
    tensor::io::SafetensorsFile file = tensor::io::read_safetensors(o.in);
    if (file.metadata.contains("decoder") && file.metadata.contains("vocabulary")) {
      tensor::check(o.rename.empty(), ErrorKind::argument,
                    "{}: a checkpoint, whose names stay: leave out --rename", o.in);
      return convert_checkpoint(o);
    }
    tensor::check(o.average.empty() && !o.share_encoder, ErrorKind::argument,
                  "{}: no checkpoint, which --average and --share-encoder are for", o.in);
    tensor::check(o.format != Format::i8, ErrorKind::argument,
                  "{}: no checkpoint, and i8 is a format of checkpoints", o.in);
    return write(o, std::move(file.tensors), file.metadata);
  }
  tensor::check(o.average.empty() && !o.share_encoder, ErrorKind::argument,
                "{}: no checkpoint, which --average and --share-encoder are for", o.in);
  tensor::check(o.format != Format::i8, ErrorKind::argument,
                "{}: i8 is a format of checkpoints, not of .pth files", o.in);
  convert_pth(o);
}

}  // namespace

void add_convert(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "convert",
                       "Turn a PyTorch file (.pth) into safetensors, or store weights in fewer bits");
  const auto o = std::make_shared<Options>();
  verb.option("in", o->in,
              "A .pth file (nothing in it is executed), a checkpoint or other weights (.safetensors)")
      .required();
  verb.option("out", o->out, "The .safetensors file to write").required();
  add_choice(verb, "--format", o->format,
             "keep, f32, f16, or, of a checkpoint, i8: matrices as rows of 8 bits with a scale each");
  verb.option(
      "--average", o->average,
      "More checkpoints of the same model and vocabulary, of one run or of several that began alike: the mean of "
      "the weights of all is written; the rest is the first one's");
  verb.flag(
      "--share-encoder", o->share_encoder,
      "Of a model whose encoder was trained along (train --finetune): leave out the encoder's weights that are "
      "those of the encoder in the box, which has to be there wherever the model is used");
  verb.option(
      "--vocab", o->vocabulary,
      "Make a model of a checkpoint of the original ImgCap (checkpoint_epoch_30.pth): its vocab.pkl, or a "
      "vocabulary of this program");
  verb.option(
      "--rename", o->rename,
      "FROM=TO, once or more often, in this order: the tensor FROM becomes TO; a FROM that ends with a "
      "dot is what names begin with (--rename module.=), and an empty one puts TO before all names");
  verb.on_run([o] { run(*o); });
}

}  // namespace imgcap::cli
