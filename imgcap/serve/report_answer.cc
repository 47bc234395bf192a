#include "imgcap/data/resize.h"
#include "imgcap/report/report.h"
#include "imgcap/serve/photo.h"
#include "imgcap/serve/side_answers.h"
#include "tensor/error.h"

namespace imgcap::serve {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::io::Json;

struct ReportWish {
  CaptionWish captions;
  std::string title;
  std::vector<std::string> texts;  // a photo: what people wrote, or nothing
};

// Those of /api/caption, "title" and "texts".
ReportWish report_wish_of(const Json& options) {
  check(options.is_object(), ErrorKind::data, "options: they are not a JSON object");
  ReportWish wish;
  wish.title = text_option(options, "title");
  if (wish.title.empty()) wish.title = "Captions";
  Json others = Json::object();
  for (size_t i = 0; i < options.size(); ++i) {
    const std::string& name = options.keys()[i];
    if (name == "title") continue;
    if (name != "texts") {
      others.add(name, options.items()[i]);
      continue;
    }
    check(options.items()[i].is_array(), ErrorKind::data, "options: 'texts' has the wrong type");
    for (const Json& text : options.items()[i].items())
      wish.texts.push_back(text_option(Json::object({{"texts", text}}), "texts"));
  }
  wish.captions = wish_of(others);
  wish.captions.attention = true;
  return wish;
}

ReportModel model_of(const ServedModel& served, const std::string& name) {
  ReportModel model;
  model.name = name;
  model.kind = to_string(served.captioner->decoder().config().kind);
  model.encoder = served.captioner->info().encoder;
  model.vocabulary = served.captioner->vocabulary().size();
  return model;
}

}  // namespace

HttpResponse report_answer(const ServiceOptions& options, const Exchange& exchange) {
  const UploadForm form = upload_form_of(exchange.request(), options.photos_per_request);
  const ReportWish wish = report_wish_of(form.options);
  check(wish.texts.empty() || wish.texts.size() == form.photos.size(), ErrorKind::argument,
        "options: there are {} texts for {} photos", wish.texts.size(), form.photos.size());
  Report report;
  report.title = wish.title;
  report.version = options.version;
  report.made = time_of_report();
  report.list = "a visitor's photos";
  const auto asked = asked_of(options, wish.captions);
  for (const auto& [model, language] : asked)
    report.models.push_back(model_of(*model, language.empty() ? model->name : model->name + " " + language));
  for (size_t i = 0; i < form.photos.size() && !exchange.over(); ++i) {
    const Image photo = readable_photo(form.photos[i], options.images);
    ReportPhoto& shown = report.photos.emplace_back();
    shown.name = form.photos[i].name;
    shown.image = at_most(photo, kReportPhotoSide);
    if (!wish.texts.empty() && !wish.texts[i].empty()) shown.references.push_back(wish.texts[i]);
    size_t number = 0;
    for (const auto& [model, language] : asked) {
      std::vector<std::string> notes;
      CaptionRequest request = request_of(wish.captions, *model->captioner, language, notes);
      request.image = &photo;
      request.stop = &exchange.over();
      const CaptionResult result = model->captioner->caption(request);
      const PhotoCaption& best = result.captions.front();
      shown.captions.push_back({number++, best.text, best.log_probability, 0, best.attention});
    }
  }
  return {200, "text/html; charset=utf-8", render_report(report), {{"Cache-Control", "no-store"}}};
}

}  // namespace imgcap::serve
