#include "imgcap/captioner.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <future>
#include <map>
#include <utility>

#include "tensor/allocator.h"
#include "tensor/error.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;

std::string encoder_in_the_box(const std::string& encoder, const std::string& assets) {
  return assets + "/model/" + encoder + ".safetensors";
}

LoadedModel load_model(const std::string& model, const std::string& weights, const std::string& assets,
                       ModelUse use) {
  const bool in_box = model == "attention" || model == "plain";
  const std::string file = in_box ? assets + "/model/" + model + ".safetensors" : model;
  check(!in_box || std::filesystem::exists(file), ErrorKind::io,
        "{}: the {} model is not in the box; name a checkpoint with --model FILE", file, model);
  const bool frozen = use == ModelUse::captions;
  Checkpoint info = load_checkpoint(file, frozen ? WeightsAs::stored : WeightsAs::f32);
  const bool own = !info.encoder_weights.empty();
  check(!own || weights.empty(), ErrorKind::argument,
        "{}: it has the weights of its encoder, which was trained with it; leave out --weights", file);
  const std::string boxed = encoder_in_the_box(info.encoder, assets);
  check(
      own || !weights.empty() || std::filesystem::exists(boxed), ErrorKind::argument,
      "{}: it was trained with the encoder {}, whose weights are not in the box; give them by --weights FILE",
      file, info.encoder);
  // Each on a thread of its own; the decoder's errors come first.
  auto encoder_loads = std::async(
      std::launch::async | std::launch::deferred, [&, own_weights = std::move(info.encoder_weights)] {
        const tensor::LargePages for_its_weights;
        const EncoderUse encoder_use = frozen ? EncoderUse::captions : EncoderUse::features;
        LoadedEncoder loaded =
            own ? load_encoder(info.encoder, own_weights, file, encoder_use)
                : load_encoder(info.encoder, weights.empty() ? boxed : weights, encoder_use);
        if (frozen) loaded.encoder->compile();
        return loaded;
      });
  std::unique_ptr<Decoder> decoder =
      tensor::about_file(file, [&] { return frozen ? info.make_frozen_decoder() : info.make_decoder(); });
  decoder->eval();
  Vocabulary vocabulary = info.make_vocabulary();
  LoadedEncoder encoder = encoder_loads.get();
  check(encoder.encoder->feature_channels() == info.decoder.features, ErrorKind::data,
        "{}: its decoder takes {} channels, the encoder {} gives {}", file, info.decoder.features,
        info.encoder, encoder.encoder->feature_channels());
  encoder.preprocessing = info.preprocessing;
  info.weights.clear();
  info.stored.clear();
  info.encoder_weights.clear();
  return {std::move(info), std::move(decoder), std::move(vocabulary), std::move(encoder)};
}

AttentionMaps attention_maps(const Hypothesis& caption, const LoadedModel& model) {
  AttentionMaps result;
  // There is a map for <eos>, too, and none without attention.
  for (size_t i = 0; i < std::min(caption.words.size(), caption.attention.size()); ++i) {
    std::string word = model.vocabulary.decode(std::vector<int32_t>{static_cast<int32_t>(caption.words[i])});
    if (word.empty()) continue;
    result.words.push_back(std::move(word));
    result.maps.push_back(caption.attention[i]);
  }
  const Preprocessing& p = model.encoder.preprocessing;
  const Encoder::Grid grid = Encoder::grid(p.height, p.width);
  result.rows = grid.rows, result.columns = grid.columns;
  return result;
}

namespace {

Image red_and_blue_swapped(Image image) {
  for (size_t i = 0; i + 2 < image.pixels.size(); i += 3) std::swap(image.pixels[i], image.pixels[i + 2]);
  return image;
}

}  // namespace

Tensor Captioner::features_of(const std::vector<CaptionRequest>& requests) const {
  std::vector<const Image*> photos;
  std::deque<Image> swapped;
  std::map<std::pair<const Image*, bool>, size_t> seen;  // the photo's place in `photos`
  std::vector<size_t> place(requests.size(), 0);
  for (size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].features.defined()) continue;
    check(requests[i].image != nullptr, ErrorKind::argument, "captioner: request {} has no photo", i);
    const auto [at, fresh] =
        seen.emplace(std::pair(requests[i].image, requests[i].swap_red_and_blue), photos.size());
    place[i] = at->second;
    if (!fresh) continue;
    photos.push_back(requests[i].swap_red_and_blue
                         ? &swapped.emplace_back(red_and_blue_swapped(*requests[i].image))
                         : requests[i].image);
  }
  const tensor::LargePages for_results_of_many_sizes;
  const Tensor encoded = photos.empty() ? Tensor() : encode_images(model_.encoder, photos);
  if (photos.size() == requests.size()) return encoded;
  std::vector<Tensor> each;
  for (size_t i = 0; i < requests.size(); ++i)
    each.push_back(requests[i].features.defined() ? requests[i].features
                                                  : encoded.select(0, static_cast<int64_t>(place[i])));
  Tensor all;
  for (size_t i = 0; i < each.size(); ++i) {
    check(each[i].rank() == 2 && each[i].shape() == each.front().shape() &&
              each[i].dtype() == tensor::DType::f32,
          ErrorKind::shape, "captioner: features {} beside {}; (places, channels) f32 are needed",
          tensor::describe(each[i]), tensor::describe(each.front()));
    if (i == 0) all = Tensor::empty({static_cast<int64_t>(each.size()), each[0].size(0), each[0].size(1)});
    all.select(0, static_cast<int64_t>(i)).copy_(each[i]);
  }
  return all;
}

std::vector<CaptionResult> Captioner::caption(const std::vector<CaptionRequest>& requests) const {
  if (requests.empty()) return {};
  std::vector<CaptionResult> results(requests.size());
  std::vector<SearchRequest> searches;
  std::deque<tensor::Generator> generators;
  for (const CaptionRequest& request : requests) {
    SearchRequest& search = searches.emplace_back();
    search.search = request.search;
    const std::string& code = request.language.empty() ? model_.info.language : request.language;
    const Language& language = model_.vocabulary.language(code);
    std::visit([&](DecodingOptions& options) { options.range = language.range; }, search.search);
    results[searches.size() - 1].language = language.code;
    search.generator = request.generator ? request.generator : &generators.emplace_back(request.seed);
    search.stop = request.stop;
    if (request.on_word)
      search.on_step = [&, shown = std::string()](const std::vector<int64_t>& words) mutable {
        Hypothesis leading;
        leading.words = words;
        std::string text = text_of(leading, model_.vocabulary);
        if (text == shown) return;
        shown = std::move(text);
        request.on_word(shown);
      };
  }
  const auto found = find_captions(*model_.decoder, features_of(requests), searches);
  for (size_t i = 0; i < requests.size(); ++i) {
    const DecodingOptions& options = common_options(requests[i].search);
    for (const Hypothesis& each : found[i])
      results[i].captions.push_back({text_of(each, model_.vocabulary, form_of(options.kind)),
                                     each.log_probability, each.finished,
                                     options.attention ? attention_maps(each, model_) : AttentionMaps()});
    results[i].stopped = requests[i].stop != nullptr && *requests[i].stop;
  }
  return results;
}

CaptionResult Captioner::caption(const CaptionRequest& request) const {
  return std::move(caption(std::vector<CaptionRequest>{request}).front());
}

}  // namespace imgcap
