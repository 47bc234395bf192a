#include <memory>

#include "imgcap/cli/cli.h"
#include "imgcap/cli/export_model.h"
#include "imgcap/cli/model_options.h"
#include "imgcap/cli/new_folder.h"
#include "imgcap/data/feature_cache.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/text.h"

namespace imgcap::cli {
namespace {

using tensor::check;
using tensor::ErrorKind;

struct Options {
  std::string in, out, weights;
};

enum class Content { features, model };

// By what is in the file; attention and plain are the models in the box, as for the other verbs.
Content content_of(const std::string& in) {
  if (in == "attention" || in == "plain") return Content::model;
  const auto header = tensor::io::read_safetensors_header(in);
  if (header.metadata.contains("decoder") && header.metadata.contains("vocabulary")) return Content::model;
  check(header.tensors.contains("features") && header.metadata.contains("names"), ErrorKind::data,
        "{}: neither a feature cache nor a checkpoint", in);
  return Content::features;
}

void export_features(const Options& o) {
  check(o.weights.empty(), ErrorKind::argument, "{}: a feature cache; --weights is for a model's encoder",
        o.in);
  const FeatureCache cache = FeatureCache::open(o.in);
  std::string names;
  for (const std::string& name : cache.names()) {
    check(name.find_first_of("\r\n") == std::string::npos, ErrorKind::data,
          "{}: the photo's name {} has a line break in it, and the list has a name per line", o.in,
          tensor::io::in_quotes(name));
    names += name + "\n";
  }
  NewFolder folder(o.out);
  tensor::io::write_npy(folder.path() / "features.npy", cache.features());
  if (stop_flag()) throw Interrupted();
  tensor::io::write_file_atomically(folder.path() / "names.txt", names);
  folder.finish();
  print(tensor::format("{}: features.npy (float16, {} photos, {} places, {} channels) and names.txt\n", o.out,
                       cache.size(), cache.places(), cache.channels()));
}

void run(const Options& o) {
  const StopSignals signals;
  if (content_of(o.in) == Content::features) return export_features(o);
  const LoadedModel model = load_model(o.in, o.weights, ModelUse::parameters);
  NewFolder folder(o.out);
  const std::vector<std::string> files = export_model(model, folder.path());
  folder.finish();
  print(tensor::format("{}: {}\n", o.out, tensor::join(files, ", ")));
}

}  // namespace

void add_export(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "export",
                       "A model as ONNX, or a feature cache as NumPy's .npy, for other programs");
  const auto o = std::make_shared<Options>();
  verb.option("in", o->in,
              "A checkpoint, or attention or plain, the models in the box: becomes encoder.onnx, "
              "decoder_start.onnx, decoder_step.onnx and model.json. A feature cache: becomes features.npy "
              "and names.txt")
      .required();
  verb.option("out", o->out, "The folder to make; it may be there when it is empty").required();
  verb.option("--weights", o->weights, "The encoder's weights (default: the encoder in the box)");
  verb.on_run([o] { run(*o); });
}

}  // namespace imgcap::cli
