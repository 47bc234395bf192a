#include "imgcap/captioner.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <future>
#include <map>
#include <utility>

#include "imgcap/models/ensemble.h"
#include "imgcap/training/own_encoder.h"
#include "tensor/allocator.h"
#include "tensor/error.h"
#include "tensor/io/text.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;

std::string encoder_in_the_box(const std::string& encoder, const std::string& assets) {
  return assets + "/model/" + encoder + ".safetensors";
}

std::string model_file(const std::string& model, const std::string& assets) {
  if (model != "attention" && model != "plain") return model;
  const std::string file = assets + "/model/" + model + ".safetensors";
  check(std::filesystem::exists(file), ErrorKind::io,
        "{}: the {} model is not in the box; name a checkpoint's file", file, model);
  return file;
}

namespace {

struct ReadModel {
  std::string name, file;
  Checkpoint info;
};

ReadModel read_model(const std::string& model, const std::string& assets, ModelUse use) {
  const std::string file = model_file(model, assets);
  return {model, file, load_checkpoint(file, use == ModelUse::captions ? WeightsAs::stored : WeightsAs::f32)};
}

std::unique_ptr<Decoder> decoder_of(const ReadModel& model, ModelUse use, const tensor::Device& device) {
  std::unique_ptr<Decoder> decoder = tensor::about_file(model.file, [&] {
    return use == ModelUse::captions ? model.info.make_frozen_decoder(device) : model.info.make_decoder();
  });
  decoder->to(device);
  decoder->eval();
  return decoder;
}

LoadedModel with_encoder(ReadModel model, const std::string& weights, const std::string& assets, ModelUse use,
                         const tensor::Device& device) {
  const std::string& file = model.file;
  Checkpoint& info = model.info;
  const bool frozen = use == ModelUse::captions, own = !info.encoder_weights.empty();
  check(!own || weights.empty(), ErrorKind::argument,
        "{}: it has the weights of its encoder, which was trained with it; leave out --weights", file);
  const std::string boxed = encoder_in_the_box(info.encoder, assets);
  check(
      own || !weights.empty() || std::filesystem::exists(boxed), ErrorKind::argument,
      "{}: it was trained with the encoder {}, whose weights are not in the box; give them by --weights FILE",
      file, info.encoder);
  // Each on a thread of its own; the decoder's errors come first.
  auto encoder_loads = std::async(std::launch::async | std::launch::deferred, [&] {
    const tensor::LargePages for_its_weights;
    const EncoderUse encoder_use = frozen ? EncoderUse::captions : EncoderUse::features;
    LoadedEncoder loaded = own ? load_own_encoder(info, boxed, file, encoder_use)
                               : load_encoder(info.encoder, weights.empty() ? boxed : weights, encoder_use);
    loaded.encoder->to(device);
    if (frozen) loaded.encoder->compile();
    return loaded;
  });
  std::unique_ptr<Decoder> decoder = decoder_of(model, use, device);
  Vocabulary vocabulary = info.make_vocabulary();
  LoadedEncoder encoder = encoder_loads.get();
  check(encoder.encoder->feature_channels() == info.decoder.features, ErrorKind::data,
        "{}: its decoder takes {} channels, the encoder {} gives {}", file, info.decoder.features,
        info.encoder, encoder.encoder->feature_channels());
  set_preprocessing(encoder, info.preprocessing);
  info.weights.clear();
  info.stored.clear();
  info.encoder_weights.clear();
  return {std::move(info), std::move(decoder), std::move(vocabulary), std::move(encoder), {model.name}};
}

bool same_bits(const nn::StateDict& a, const nn::StateDict& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    if (x.first != y.first || x.second.shape() != y.second.shape() || x.second.dtype() != y.second.dtype())
      return false;
    const Tensor left = x.second.contiguous(), right = y.second.contiguous();
    return std::equal(left.raw(), left.raw() + left.bytes(), right.raw());
  });
}

void expect_one_vocabulary(const ReadModel& a, const ReadModel& b) {
  const std::vector<std::string>&first = a.info.vocabulary, &second = b.info.vocabulary;
  const auto [x, y] = std::mismatch(first.begin(), first.end(), second.begin(), second.end());
  const auto token = [](const auto& at, const auto& end) {
    return at == end ? std::string("none") : tensor::io::in_quotes(*at);
  };
  check(
      x == first.end() && y == second.end(), ErrorKind::argument,
      "{}: its vocabulary is not that of {}: token {} is {} there and {} here; models that caption together have "
      "one vocabulary",
      b.name, a.name, x - first.begin(), token(x, first.end()), token(y, second.end()));
  check(
      a.info.make_vocabulary() == b.info.make_vocabulary(), ErrorKind::argument,
      "{}: its captions became words by other rules than those of {}; models that caption together have one "
      "vocabulary",
      b.name, a.name);
}

void expect_one_encoder(const ReadModel& a, const ReadModel& b) {
  check(a.info.encoder == b.info.encoder, ErrorKind::argument,
        "{}: its encoder is {}, that of {} is {}; models that caption together look through one encoder",
        b.name, b.info.encoder, a.name, a.info.encoder);
  check(a.info.preprocessing == b.info.preprocessing, ErrorKind::argument,
        "{}: its photos are made ready otherwise than those of {}: {} and {}", b.name, a.name,
        to_json(b.info.preprocessing), to_json(a.info.preprocessing));
  check(
      same_bits(a.info.encoder_weights, b.info.encoder_weights), ErrorKind::argument,
      "{}: it was trained with other weights of the encoder than {}; models that caption together look through "
      "one encoder",
      b.name, a.name);
}

}  // namespace

LoadedModel load_model(const std::string& model, const std::string& weights, const std::string& assets,
                       ModelUse use, tensor::Device device) {
  return with_encoder(read_model(model, assets, use), weights, assets, use, device);
}

LoadedModel load_ensemble(const std::vector<std::string>& models, const std::string& weights,
                          const std::string& assets, ModelUse use, tensor::Device device) {
  check(!models.empty(), ErrorKind::argument, "load_ensemble: there is no model");
  if (models.size() == 1) return load_model(models.front(), weights, assets, use, device);
  std::vector<ReadModel> read;
  std::vector<std::string> remarks;
  for (const std::string& model : models) {
    read.push_back(read_model(model, assets, use));
    expect_one_vocabulary(read.front(), read.back());
    expect_one_encoder(read.front(), read.back());
    if (read.back().info.encoder_key != read.front().info.encoder_key)
      remarks.push_back(
          tensor::format("{}: another file of {}'s weights was its encoder in training than that of {}",
                         model, read.front().info.encoder, models.front()));
  }
  std::vector<std::unique_ptr<Decoder>> further;
  for (size_t k = 1; k < read.size(); ++k) further.push_back(decoder_of(read[k], use, device));
  LoadedModel loaded = with_encoder(std::move(read.front()), weights, assets, use, device);
  further.insert(further.begin(), std::move(loaded.decoder));
  loaded.decoder = std::make_unique<Ensemble>(std::move(further));
  loaded.encoder.remarks.insert(loaded.encoder.remarks.end(), remarks.begin(), remarks.end());
  loaded.info.confidence.clear();
  loaded.models = models;
  return loaded;
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

PhotoCaption photo_caption(const Hypothesis& found, const LoadedModel& model, const DecodingOptions& options,
                           const std::string& language) {
  PhotoCaption caption;
  caption.text = text_of(found, model.vocabulary, form_of(options.kind));
  caption.log_probability = found.log_probability;
  caption.finished = found.finished;
  caption.words = word_probabilities(found, model.vocabulary);
  // It is fitted to captions of the standard search; one that was stopped before its first token has nothing to go by.
  const auto fitted = model.info.confidence.find(language);
  if (fitted != model.info.confidence.end() && options.kind == SearchKind::standard &&
      !found.token_log_probabilities.empty()) {
    caption.confidence = fitted->second(confidence_features(found));
    for (WordProbability& word : caption.words) word.confidence = fitted->second.of_word(word.probability);
  }
  if (options.attention) caption.attention = attention_maps(found, model);
  return caption;
}

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
    if (i == 0)
      all = Tensor::empty({static_cast<int64_t>(each.size()), each[0].size(0), each[0].size(1)},
                          tensor::DType::f32, encoded.defined() ? encoded.device() : each[0].device());
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
      results[i].captions.push_back(photo_caption(each, model_, options, results[i].language));
    results[i].stopped = requests[i].stop != nullptr && *requests[i].stop;
  }
  return results;
}

CaptionResult Captioner::caption(const CaptionRequest& request) const {
  return std::move(caption(std::vector<CaptionRequest>{request}).front());
}

}  // namespace imgcap
