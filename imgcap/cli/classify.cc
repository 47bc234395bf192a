#include <algorithm>
#include <memory>
#include <numeric>

#include "imgcap/cli/model_options.h"
#include "imgcap/cli/photos.h"
#include "tensor/error.h"

namespace imgcap::cli {
namespace {

struct Options {
  std::string encoder = "efficientnet_lite2", weights;
  std::vector<std::string> images;
  int64_t top = 5;
  bool json = false;
};

void run(const Options& o, Program& program) {
  const LoadedEncoder loaded = load_encoder(
      o.encoder, o.weights.empty() ? assets_folder() + "/model/" + o.encoder + ".safetensors" : o.weights);
  const auto top = static_cast<size_t>(std::min(o.top, loaded.encoder->classes()));
  for_each_photo(o.images, o.json, program, [&](const Photo& photo) {
    const std::vector<float> p =
        loaded.encoder->classify(loaded.encoder->preprocess(photo.image)).to_vector<float>();
    std::vector<size_t> ids(p.size());
    std::iota(ids.begin(), ids.end(), size_t{0});
    std::partial_sort(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(top), ids.end(),
                      [&](size_t a, size_t b) { return p[a] != p[b] ? p[a] > p[b] : a < b; });
    std::string line =
        o.json ? fmt::format("{{\"image\":{},\"classes\":[", quoted(photo.name)) : photo.name + ":";
    for (size_t k = 0; k < top; ++k)
      line += o.json ? fmt::format("{}[{},{}]", k == 0 ? "" : ",", ids[k], p[ids[k]])
                     : fmt::format("{} {} ({:.2f} %)", k == 0 ? "" : ",", ids[k], 100 * p[ids[k]]);
    print(line + (o.json ? "]}\n" : "\n"));
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
