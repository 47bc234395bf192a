#include "imgcap/caption_json.h"
#include "imgcap/serve/answers.h"
#include "imgcap/serve/photo.h"
#include "imgcap/serve/side_answers.h"
#include "tensor/error.h"
#include "tensor/io/text.h"

namespace imgcap::serve {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::io::Json;

struct ExplainWish {
  CaptionWish asked;  // its model and language
  std::string text;
  bool preview = false;
};

ExplainWish explain_wish_of(const Json& options) {
  check(options.is_object(), ErrorKind::data, "options: they are not a JSON object");
  ExplainWish wish;
  wish.asked.model = text_option(options, "model");
  wish.asked.language = text_option(options, "language");
  wish.text = text_option(options, "text");
  for (const std::string& name : options.keys()) {
    if (name == "model" || name == "language" || name == "text") continue;
    check(name == "preview", ErrorKind::data, "options: {} is no option here", tensor::io::in_quotes(name));
    check(options.at(name).is_bool(), ErrorKind::data, "options: 'preview' has the wrong type");
    wish.preview = options.at(name).as_bool();
  }
  return wish;
}

Json json_of(const Explanation& explanation, const std::string& model) {
  Json json = Json::object({{"model", model}});
  add_to(json, explanation);
  return json;
}

}  // namespace

HttpResponse explain_answer(const ServiceOptions& options, const Exchange& exchange) {
  const UploadForm form = upload_form_of(exchange.request(), options.photos_per_request);
  const ExplainWish wish = explain_wish_of(form.options);
  Json photos = Json::array();
  for (const UploadedPhoto& uploaded : form.photos) {
    if (exchange.over()) break;
    const Image photo = readable_photo(uploaded, options.images);
    Json json = photo_json(uploaded, photo, wish.preview);
    json["explanations"] = Json::array();
    for (const auto& [model, language] : asked_of(options, wish.asked))
      if (model->explainer && !exchange.over())
        json["explanations"].push_back(
            json_of(model->explainer->explain(photo, wish.text, language), model->name));
    photos.push_back(std::move(json));
  }
  return json_answer(Json::object({{"photos", std::move(photos)}}));
}

}  // namespace imgcap::serve
