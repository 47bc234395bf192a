// From photos to captions on the emulated device: encoder and decoder are both there.
#include "imgcap/captioner.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "tests/data_dir.h"
#include "tests/training/small_encoder.h"

using namespace imgcap;

TEST_CASE("models in the box on the emulated device caption small photos as on the CPU, for any use") {
  const std::string assets = tests::source_dir() / "assets";
  const Image photo = read_image(assets + "/photos/coco_000000000285.jpg");
  Tensor given;  // features of the photo
  for (const ModelUse use : {ModelUse::captions, ModelUse::parameters}) {
    CaptionResult found[2];
    for (const Device& device : {Device::cpu(), Device::cuda()}) {
      LoadedModel model = load_model("plain", "", assets, use, device);
      model.encoder.preprocessing.height = model.encoder.preprocessing.width = 64;
      const Captioner captioner(std::move(model));
      CHECK(captioner.decoder().device() == device);
      CHECK(captioner.encoder().encoder->device() == device);
      BeamOptions search;
      search.beam = 1;
      search.max_words = 2;
      CaptionRequest request{.image = &photo, .search = search};
      if (use == ModelUse::parameters) request.features = given;  // which are on the CPU
      found[device.is_cpu() ? 0 : 1] = captioner.caption(request);
      if (!given.defined()) given = encode_images(captioner.encoder(), {&photo}).select(0, 0);
    }
    const PhotoCaption &there = found[1].captions.front(), &here = found[0].captions.front();
    CHECK(there.text == here.text);
    CHECK(std::abs(there.log_probability - here.log_probability) <= 1e-4 * std::abs(here.log_probability));
  }
}
