#include <memory>

#include "imgcap/cli/cli.h"
#include "imgcap/training/checkpoint.h"
#include "tensor/error.h"
#include "tensor/io/pth.h"
#include "tensor/io/safetensors.h"

namespace imgcap::cli {
namespace {

using tensor::DType;
using tensor::ErrorKind;

struct Options {
  std::string in, out, format = "keep";
};

using Tensors = std::map<std::string, tensor::Tensor>;

void write(const Options& o, Tensors tensors, const std::map<std::string, std::string>& metadata) {
  tensor::check(!tensors.empty(), ErrorKind::data, "{}: has no tensors", o.in);
  int64_t values = 0;
  for (auto& [name, value] : tensors) {
    values += value.numel();
    if (o.format != "keep" && tensor::is_floating(value.dtype()))
      value = value.to(o.format == "f16" ? DType::f16 : DType::f32);
  }
  tensor::io::write_safetensors(o.out, tensors, metadata);
  print(tensor::format("{}: {} tensors, {} values\n", o.out, tensors.size(), values));
}

void convert_pth(const Options& o) {
  tensor::io::PthFile file = tensor::io::read_pth(o.in);
  // A single tensor has no name there, and needs one here.
  if (auto single = file.tensors.extract(""); single) {
    single.key() = "tensor";
    file.tensors.insert(std::move(single));
  }
  write(o, std::move(file.tensors), file.scalars);
}

// A checkpoint becomes a model: without what only its training run needs.
void convert_checkpoint(const Options& o) {
  Checkpoint checkpoint = load_checkpoint(o.in);
  checkpoint.training.clear();
  checkpoint.training_tensors.clear();
  const WeightFormat format = o.format == "i8"    ? WeightFormat::i8
                              : o.format == "f16" ? WeightFormat::f16
                                                  : WeightFormat::f32;
  save_checkpoint(o.out, checkpoint, format);
  print(tensor::format("{}: a model of {} weights\n", o.out,
                       checkpoint.weights.size() + checkpoint.encoder_weights.size()));
}

void run(const Options& o) {
  // Files of weights are told apart by their name.
  tensor::check(std::filesystem::path(o.out).extension() == ".safetensors", ErrorKind::argument,
                "{}: the output's name has to end in .safetensors", o.out);
  const bool pth = std::filesystem::path(o.in).extension() != ".safetensors";
  if (!pth) {
    tensor::io::SafetensorsFile file = tensor::io::read_safetensors(o.in);
    if (file.metadata.contains("decoder") && file.metadata.contains("vocabulary"))
      return convert_checkpoint(o);
    tensor::check(o.format != "i8", ErrorKind::argument,
                  "{}: no checkpoint, and i8 is a format of checkpoints", o.in);
    return write(o, std::move(file.tensors), file.metadata);
  }
  tensor::check(o.format != "i8", ErrorKind::argument, "{}: i8 is a format of checkpoints, not of .pth files",
                o.in);
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
  verb.option("--format", o->format,
              "keep, f32, f16, or, of a checkpoint, i8: matrices as rows of 8 bits with a scale each")
      .one_of({"keep", "f32", "f16", "i8"});
  verb.on_run([o] { run(*o); });
}

}  // namespace imgcap::cli
