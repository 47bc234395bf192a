// From photos to captions: a trained model with its encoder, loaded once and asked from as many threads as
// there are.
//
//   const Captioner captioner(load_model("attention", "", "assets"));
//   const Image photo = read_image("dog.jpg");
//   std::puts(captioner.caption({.image = &photo}).captions.front().text.c_str());
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgcap/decoding/caption_search.h"
#include "imgcap/training/checkpoint.h"
#include "imgcap/training/encode.h"

namespace imgcap {

struct LoadedModel {
  Checkpoint info;  // its weights are the decoder's and the encoder's now
  // In evaluation mode. For captions a FrozenDecoder, which gives the same with less memory, and no parameters.
  std::unique_ptr<Decoder> decoder;
  Vocabulary vocabulary;
  LoadedEncoder encoder;
  std::vector<std::string> models{};  // as they were named; more than one: `decoder` is their Ensemble
};

// What a model is loaded for: captions alone, or also its parameters, in f32, and the encoder's key.
enum class ModelUse { captions, parameters };

// Where the box whose folder is `assets` has the weights of an encoder, if it has them.
std::string encoder_in_the_box(const std::string& encoder, const std::string& assets);

// The checkpoint's file of `model`: the name of a model in the box, or a file. Errors: io (the box lacks it).
std::string model_file(const std::string& model, const std::string& assets);

// `model` is a checkpoint's file, which `imgcap convert` makes of the original's, too, or "attention" or
// "plain": the models in the box, whose files are in `assets`/model. `weights` may be empty: then the
// checkpoint's own encoder is used when it has one (it was trained with the decoder; own_encoder.h), else the one
// in the box. What there is to say about the encoder's file is in encoder.remarks. Other weights of the same encoder
// are taken as they are: the same ones in 16 bits have another key. Both networks are on `device`: photos are
// encoded and captions found there. Errors: argument (`weights` beside a checkpoint's own), data (the encoder's channels are not the decoder's), device
// (it is not there).
LoadedModel load_model(const std::string& model, const std::string& weights, const std::string& assets,
                       ModelUse use = ModelUse::captions, tensor::Device device = {});

// The models' Ensemble, with the rest of the first but its confidence, which is for that alone; one model is
// what load_model() gives. They have one vocabulary
// and look at photos through one encoder: of the same name and preprocessing, and where one of them has weights of
// its own, all have the same ones. Errors: those of load_model(), argument (the models do not go together: the
// text names what differs first).
LoadedModel load_ensemble(const std::vector<std::string>& models, const std::string& weights,
                          const std::string& assets, ModelUse use = ModelUse::captions,
                          tensor::Device device = {});

// Of a caption that was searched with its attention; tokens that are blanks are left out.
AttentionMaps attention_maps(const Hypothesis& caption, const LoadedModel& model);

// One photo and what is wanted of it.
struct CaptionRequest {
  // The photo, held by the caller until the call returns; or, where they are defined, its features (p, d)
  // f32, as encode_images() and a cache of this encoder have them, on any device.
  const Image* image = nullptr;
  Tensor features{};
  CaptionSearch search = BeamOptions{};  // but for its `range`, which is the language's
  std::string language{};                // its code; empty: the model's default
  bool swap_red_and_blue = false;        // in the photo
  // Where words that are drawn come from; it goes on from call to call, and is the call's alone while that lasts (sample()).
  // Without one: a new one of `seed`.
  tensor::Generator* generator = nullptr;
  uint64_t seed = 1;
  // True ends the search of this photo before its next step. It may be set from any thread, at any time.
  const std::atomic<bool>* stop = nullptr;
  // The words of the caption so far, in any kind of search, for showing them while it grows: called after each
  // step that changed the text, on the
  // thread that asked. With a beam of 1, and where words are drawn, each text goes on from the one before,
  // word by word; a wider beam shows the hypothesis that leads, which may be another one each time, and the
  // caption that is returned may be another one again. What it throws ends the call.
  std::function<void(const std::string& text)> on_word{};
};

struct PhotoCaption {
  std::string text;
  double log_probability = 0;  // Hypothesis::log_probability
  bool finished = false;       // not cut off by max_words, the rules or a stop
  std::vector<WordProbability> words;
  std::optional<double> confidence;  // where the model has one fitted (training/confidence.h)
  AttentionMaps attention;           // where the search asks for it and the model has some
};

struct CaptionResult {
  std::string language;  // of the captions; empty: the model's has no name
  // The best first, then the alternatives: as many as `nbest` or `samples` say, seldom fewer, never none.
  std::vector<PhotoCaption> captions;
  // The stop flag was set before the call ended: captions that are not `finished` may have been cut short by it.
  bool stopped = false;
};

class Captioner {
 public:
  explicit Captioner(LoadedModel model) : model_(std::move(model)) {}

  // A result for each request. All photos go through the encoder as one batch, one that several requests share
  // once, and searches of equal settings are one batch, too: a few dozen requests a call are a good number. A
  // result depends on its request alone: it has the same bits in any batch and from any thread (of a model with its
  // parameters that is on a device: but for rounding). May be called by several threads at once.
  //
  // An error of one request ends the call. Errors: argument (a request without a photo, a language that the model
  // lacks, and what the search's settings must not be: beam_search.h, sampling.h), shape (features of another
  // shape), data (the model
  // gives NaN).
  std::vector<CaptionResult> caption(const std::vector<CaptionRequest>& requests) const;
  CaptionResult caption(const CaptionRequest& request) const;

  const Checkpoint& info() const { return model_.info; }
  // Its code; empty: the model asks for none.
  const std::string& default_language() const { return model_.info.language; }
  const Vocabulary& vocabulary() const { return model_.vocabulary; }
  const LoadedEncoder& encoder() const { return model_.encoder; }
  const std::vector<std::string>& models() const { return model_.models; }
  Decoder& decoder() const { return *model_.decoder; }

 private:
  Tensor features_of(const std::vector<CaptionRequest>& requests) const;

  LoadedModel model_;
};

}  // namespace imgcap
