#include <algorithm>
#include <filesystem>
#include <memory>
#include <numeric>

#include "imgcap/cli/device_option.h"
#include "imgcap/cli/model_options.h"
#include "imgcap/cli/photos.h"
#include "imgcap/data/utf8.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/json.h"

namespace imgcap::cli {
namespace {

using tensor::io::Json;

constexpr int64_t kMostBytes = int64_t{1} << 24;  // of a file of names
constexpr int64_t kImageNet = 1000;

struct Options {
  EncoderChoice encoder;
  std::string classes;
  std::vector<std::string> images;
  std::string device = "cpu";
  int64_t top = 5;
  bool json = false;
};

// One name per line, as many as there are classes.
std::vector<std::string> read_names(const std::string& file, int64_t classes) {
  const std::string bytes = tensor::io::read_file(file, kMostBytes);
  std::string_view text = bytes;
  std::vector<std::string> names;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    names.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  tensor::check(find_invalid_utf8(bytes) == kNoPosition, tensor::ErrorKind::data, "{}: it is not UTF-8",
                file);
  tensor::check(static_cast<int64_t>(names.size()) == classes, tensor::ErrorKind::data,
                "{}: {} names, a line each, but the encoder has {} classes", file, names.size(), classes);
  return names;
}

// Those that were asked for, ImageNet's for its number of classes, or none.
std::vector<std::string> names_of(const Options& o, int64_t classes) {
  if (!o.classes.empty()) return read_names(o.classes, classes);
  const std::string in_the_box = assets_folder() + "/imagenet_classes.txt";
  if (classes != kImageNet || !std::filesystem::exists(in_the_box)) return {};
  return read_names(in_the_box, classes);
}

void run(const Options& o, Program& program) {
  const LoadedEncoder loaded = o.encoder.load(EncoderUse::classes);
  tensor::check(o.top <= loaded.encoder->classes(), tensor::ErrorKind::argument,
                "classify: --top {}: {} has {} classes", o.top, o.encoder.name, loaded.encoder->classes());
  const std::vector<std::string> names = names_of(o, loaded.encoder->classes());
  const auto top = static_cast<size_t>(o.top);
  const tensor::Device device = choose_device(o.device, encoding_bytes(loaded));
  loaded.encoder->to(device);
  for_each_photo(o.images, o.json, program, [&](const Photo& photo) {
    const Tensor picture = Encoder::preprocess(photo.image, loaded.preprocessing).to(device);
    const std::vector<float> p = loaded.encoder->classify(picture).to_vector<float>();
    std::vector<size_t> ids(p.size());
    std::iota(ids.begin(), ids.end(), size_t{0});
    std::partial_sort(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(top), ids.end(),
                      [&](size_t a, size_t b) { return p[a] != p[b] ? p[a] > p[b] : a < b; });
    if (o.json) {
      Json classes = Json::array();
      for (size_t k = 0; k < top; ++k) {
        Json entry = Json::array({ids[k], p[ids[k]]});
        if (!names.empty()) entry.push_back(names[ids[k]]);
        classes.push_back(std::move(entry));
      }
      print_line(Json::object({{"image", photo.name}, {"classes", classes}}));
      return;
    }
    std::string line = printable(photo.name) + ":";
    for (size_t k = 0; k < top; ++k)
      line += tensor::format("{} {}{} ({:.2f} %)", k == 0 ? "" : ",", ids[k],
                             names.empty() ? "" : " " + printable(names[ids[k]]), 100 * p[ids[k]]);
    print(line + "\n");
  });
}

}  // namespace

void add_classify(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "classify",
                       "The likeliest classes of photos, by number and name: a check of an encoder");
  const auto o = std::make_shared<Options>();
  o->encoder.add_options(verb);
  verb.option("images", o->images, "Photos, folders or .tar archives").required();
  verb.option("--classes", o->classes,
              "Their names, a line each (default: ImageNet's for an encoder of 1000 classes, else none)");
  verb.option("--top", o->top, "How many classes").range(1, 1'000'000);
  add_device_option(verb, o->device);
  verb.flag("--json", o->json, "JSON alone on stdout: a line per photo");
  verb.on_run([o, &program] { run(*o, program); });
}

}  // namespace imgcap::cli
