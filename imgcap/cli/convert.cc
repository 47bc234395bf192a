#include <memory>

#include "imgcap/cli/cli.h"
#include "tensor/error.h"
#include "tensor/io/pth.h"
#include "tensor/io/safetensors.h"

namespace imgcap::cli {
namespace {

void run(const std::string& in, const std::string& out) {
  using tensor::ErrorKind;
  // Files of weights are told apart by their name.
  tensor::check(std::filesystem::path(out).extension() == ".safetensors", ErrorKind::argument,
                "{}: the output's name has to end in .safetensors", out);
  tensor::io::PthFile file = tensor::io::read_pth(in);
  tensor::check(!file.tensors.empty(), ErrorKind::data, "{}: has no tensors", in);
  // A single tensor has no name there, and needs one here.
  if (auto single = file.tensors.extract(""); single) {
    single.key() = "tensor";
    file.tensors.insert(std::move(single));
  }
  int64_t values = 0;
  for (const auto& entry : file.tensors) values += entry.second.numel();
  tensor::io::write_safetensors(out, file.tensors, file.scalars);
  print(fmt::format("{}: {} tensors, {} values\n", out, file.tensors.size(), values));
}

}  // namespace

void add_convert(CLI::App& app, Program& program) {
  CLI::App* verb = add_verb(app, program, "convert", "Turn a PyTorch file (.pth) into safetensors");
  const auto in = std::make_shared<std::string>(), out = std::make_shared<std::string>();
  verb->add_option("in", *in, "The .pth file; nothing in it is executed")->required();
  verb->add_option("out", *out, "The .safetensors file to write")->required();
  verb->callback([in, out] { run(*in, *out); });
}

}  // namespace imgcap::cli
