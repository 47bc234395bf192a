// A trained model with its encoder, as the verbs load it.
#include "imgcap/cli/model_options.h"

#include <doctest/doctest.h>

#include <cstdlib>

#include "tensor/error.h"
#include "tests/cli/refused.h"
#include "tests/cli/small_model.h"

namespace fs = std::filesystem;
using namespace imgcap;
using namespace imgcap::cli;
using tensor::ErrorKind;
using tests::Folder;
using tests::has;

namespace {

// IMGCAP_ASSETS has this value, or none, until the end.
class Assets {
 public:
  explicit Assets(const char* folder) {
    const char* before = std::getenv("IMGCAP_ASSETS");
    had_ = before != nullptr;
    if (had_) before_ = before;
    set(folder);
  }
  ~Assets() { set(had_ ? before_.c_str() : nullptr); }
  Assets(const Assets&) = delete;
  Assets& operator=(const Assets&) = delete;

 private:
  static void set(const char* value) {
    if (value == nullptr)
      ::unsetenv("IMGCAP_ASSETS");
    else
      ::setenv("IMGCAP_ASSETS", value, 1);
  }
  bool had_ = false;
  std::string before_;
};

std::string refused(const std::string& model, const std::string& weights, ErrorKind kind) {
  return tests::refused([&] { load_model(model, weights); }, kind);
}

}  // namespace

TEST_CASE("the box is beside the program, or where IMGCAP_ASSETS says") {
  for (const char* none : {static_cast<const char*>(nullptr), ""}) {
    const Assets assets(none);
    CHECK(fs::equivalent(assets_folder(), tests::assets()));
    CHECK(assets_folder() == fs::path(assets_folder()).lexically_normal().string());
  }
  const Folder folder;
  const Assets assets((folder / "box").c_str());
  CHECK(assets_folder() == folder / "box");
  CHECK(refused("plain", "", ErrorKind::io) ==
        (folder / "box/model/plain.safetensors: the plain model is not in the box; name a checkpoint's "
                  "file"));
  // A model of the user's asks for the encoder in the box.
  tests::write_small_model(folder / "mine.safetensors", DecoderKind::plain);
  CHECK(refused(folder / "mine.safetensors", "", ErrorKind::argument) ==
        (folder / "mine.safetensors") +
            ": it was trained with the encoder efficientnet_lite2, whose weights are not in "
            "the box; give them by --weights FILE");
  fs::create_directories(folder / "box/model");
  fs::copy_file(tests::encoder_in_the_box(), folder / "box/model/efficientnet_lite2.safetensors");
  tests::write_small_model(folder / "box/model/attention.safetensors", DecoderKind::attention);
  CHECK(EncoderChoice().file() == folder / "box/model/efficientnet_lite2.safetensors");
  const LoadedModel model = load_model("attention", "");
  CHECK(model.info.decoder.kind == DecoderKind::attention);
  CHECK(model.vocabulary.size() == 10);
  CHECK_FALSE(model.decoder->training());
  CHECK(model.encoder.encoder->name() == "efficientnet_lite2");
  CHECK(model.info.weights.empty());  // they are the decoder's now
}

TEST_CASE("a model and an encoder that do not fit are refused; other weights of its encoder are not") {
  const Folder folder;
  const std::string file = folder / "model.safetensors", weights = folder / "encoder.safetensors";
  tests::write_small_model(file, DecoderKind::attention);
  tests::write_other_encoder(weights);
  const LoadedModel model = load_model(file, weights, ModelUse::parameters);
  CHECK(model.encoder.key == load_encoder("efficientnet_lite2", weights).key);
  CHECK(model.decoder->parameter_count() > 0);
  const LoadedModel for_captions = load_model(file, weights);
  CHECK(for_captions.encoder.key.empty());
  CHECK(for_captions.decoder->parameter_count() == 0);
  // The photos are made ready as the checkpoint says.
  Checkpoint checkpoint = load_checkpoint(file);
  checkpoint.preprocessing.height = 160;
  checkpoint.preprocessing.width = 97;
  save_checkpoint(file, checkpoint);
  const LoadedModel other = load_model(file, "");
  CHECK(other.encoder.preprocessing.height == 160);
  Hypothesis caption;
  const AttentionMaps maps = attention_maps(caption, other);
  CHECK(maps.rows == 5);
  CHECK(maps.columns == 4);  // rounded up
  CHECK(maps.words.empty());
  // Of another width.
  checkpoint.decoder.features = 96;
  tensor::Generator generator(1);
  checkpoint.weights = make_decoder(checkpoint.decoder, generator)->state_dict();
  save_checkpoint(file, checkpoint);
  CHECK(refused(file, "", ErrorKind::data) ==
        file + ": its decoder takes 96 channels, the encoder efficientnet_lite2 gives 1280");
  // With an encoder of its own there is nothing to give.
  checkpoint.encoder_weights = load_encoder("efficientnet_lite2", weights).encoder->state_dict();
  save_checkpoint(file, checkpoint);
  CHECK(refused(file, weights, ErrorKind::argument) ==
        file + ": it has the weights of its encoder, which was trained with it; leave out --weights");
}

TEST_CASE("a caption's text, and the maps of its words that are no blanks") {
  const Folder folder;
  tests::write_small_model(folder / "model.safetensors", DecoderKind::attention);
  const LoadedModel model = load_model(folder / "model.safetensors", "");
  Hypothesis caption;  // of the words "  ", " a", " bear", " ."
  caption.words = {4, 5, 6, 8};
  caption.ids = {2, 4, 5, 6, 8, 3};
  caption.attention = {{0}, {1}, {2}, {3}, {9}};  // <eos> has one, too
  CHECK(text_of(caption, model.vocabulary) == "a bear .");
  CHECK(text_of(caption, model.vocabulary, TextForm::tokens) ==
        model.vocabulary.decode_tokens(std::vector<int32_t>{2, 4, 5, 6, 8, 3}));
  const AttentionMaps maps = attention_maps(caption, model);
  CHECK(maps.words == std::vector<std::string>{"a", "bear", "."});
  CHECK(maps.maps == std::vector<std::vector<float>>{{1}, {2}, {3}});
  CHECK(maps.rows == 7);
  CHECK(maps.columns == 7);
  caption.attention.clear();
  CHECK(attention_maps(caption, model).words.empty());
}
