#include <algorithm>
#include <filesystem>
#include <memory>
#include <numeric>

#include "imgcap/cli/model_options.h"
#include "imgcap/cli/photos.h"
#include "imgcap/data/utf8.h"
#include "tensor/error.h"
#include "tensor/io/json.h"

namespace imgcap::cli {
namespace {

using tensor::io::Json;

struct Options {
  std::string encoder = "efficientnet_lite2", weights;
  std::vector<std::string> images;
  int64_t top = 5;
  bool json = false;
};

void run(const Options& o, Program& program) {
  using tensor::ErrorKind;
  make_encoder(o.encoder, false);  // a name that is not known is told before a file that is not there
  const std::string in_the_box = assets_folder() + "/model/" + o.encoder + ".safetensors";
  tensor::check(!o.weights.empty() || std::filesystem::exists(in_the_box), ErrorKind::argument,
                "classify: the weights of {} are not in the box; give them by --weights FILE", o.encoder);
  const LoadedEncoder loaded = load_encoder(o.encoder, o.weights.empty() ? in_the_box : o.weights);
  tensor::check(o.top <= loaded.encoder->classes(), ErrorKind::argument,
                "classify: --top {}: {} has {} classes", o.top, o.encoder, loaded.encoder->classes());
  const auto top = static_cast<size_t>(o.top);
  for_each_photo(o.images, o.json, program, [&](const Photo& photo) {
    const std::vector<float> p =
        loaded.encoder->classify(loaded.encoder->preprocess(photo.image)).to_vector<float>();
    std::vector<size_t> ids(p.size());
    std::iota(ids.begin(), ids.end(), size_t{0});
    std::partial_sort(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(top), ids.end(),
                      [&](size_t a, size_t b) { return p[a] != p[b] ? p[a] > p[b] : a < b; });
    if (o.json) {
      Json classes = Json::array();
      for (size_t k = 0; k < top; ++k) classes.push_back(Json::array({ids[k], p[ids[k]]}));
      print_line(Json::object({{"image", photo.name}, {"classes", classes}}));
      return;
    }
    std::string line = printable(photo.name) + ":";
    for (size_t k = 0; k < top; ++k)
      line += tensor::format("{} {} ({:.2f} %)", k == 0 ? "" : ",", ids[k], 100 * p[ids[k]]);
    print(line + "\n");
  });
}

}  // namespace

void add_classify(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "classify",
                       "The likeliest ImageNet classes of photos, by number: a check of an encoder");
  const auto o = std::make_shared<Options>();
  verb.option("--encoder", o->encoder, "efficientnet_lite2, resnet18, resnet34, resnet50 or resnet101");
  verb.option("--weights", o->weights,
              "The encoder's weights, .safetensors or .pth (default: the encoder in the box)");
  verb.option("images", o->images, "Photos, folders or .tar archives").required();
  verb.option("--top", o->top, "How many classes").range(1, 1'000'000);
  verb.flag("--json", o->json, "JSON alone on stdout: a line a photo");
  verb.on_run([o, &program] { run(*o, program); });
}

}  // namespace imgcap::cli
