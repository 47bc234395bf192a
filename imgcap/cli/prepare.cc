#include <memory>

#include "imgcap/cli/data_options.h"
#include "imgcap/cli/device_option.h"
#include "imgcap/cli/encoder_precision.h"
#include "imgcap/cli/model_options.h"
#include "imgcap/cli/set_files.h"
#include "tensor/error.h"

namespace imgcap::cli {
namespace {

struct Options {
  EncoderChoice encoder;
  std::string out;
  std::vector<std::string> images, captions;
  PhotoChoice photos;
  Precision precision = Precision::f32;
  std::string device = "cpu";
};

void run(const Options& o, bool precision_given) {
  tensor::check(o.photos.split.empty() || !o.captions.empty(), tensor::ErrorKind::argument,
                "prepare: --split is one of the captions' splits; name them by --captions");
  std::vector<std::string> names;  // none: all
  if (o.photos.given()) {
    PhotosBySplit splits;
    load_captions(without_sets(o.captions), &splits);
    names = PhotoChoice{without_sets(o.photos.lists), o.photos.split}.names(splits);
  }
  const LoadedEncoder encoder = o.encoder.load();
  encoder.encoder->to(choose_device(o.device, encoding_bytes(encoder)));
  const EncodeOptions options = set_encoder_precision(encoder, o.precision, precision_given);
  const FeatureCache cache = load_features(encoder, o.images, names, o.out, options);
  print(tensor::format("{}: {} photos, {} places of {} channels, encoded in {}\n", o.out, cache.size(),
                       cache.places(), cache.channels(), tensor::name_of(cache.arithmetic())));
}

}  // namespace

void add_prepare(Verb& app, Program& program) {
  Verb verb =
      add_verb(app, program, "prepare", "Decode, resize and encode photos once, into a feature cache");
  const auto o = std::make_shared<Options>();
  verb.option("--images", o->images, "Folders, files or .tar archives of photos").required();
  o->encoder.add_options(verb);
  o->photos.add_options(verb, "The photos (default: all)");
  verb.option("--captions", o->captions, "Caption files, for --split");
  verb.option("--out", o->out, "The cache to write").required();
  add_encoder_precision(verb, o->precision);
  add_device_option(verb, o->device);
  verb.on_run([o, verb] { run(*o, verb.given("--precision")); });
}

}  // namespace imgcap::cli
