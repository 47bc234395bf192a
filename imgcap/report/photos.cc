
#include <algorithm>
#include <cmath>

#include "imgcap/data/image_writer.h"
#include "imgcap/data/resize.h"
#include "imgcap/report/attention_map.h"
#include "imgcap/report/html.h"
#include "imgcap/report/sections.h"
#include "tensor/error.h"

namespace imgcap::sections {
namespace {

using tensor::check;
using tensor::ErrorKind;

constexpr int kQuality = 80;
constexpr float kDarkest = 0.3f;  // the light that is left where there is no attention
constexpr int64_t kFiner = 4;     // pixels of its picture a cell of a map, each way

size_t peak(const std::vector<float>& map) {
  return static_cast<size_t>(std::max_element(map.begin(), map.end()) - map.begin());
}

// Black that hides the more the lower the attention is. Browsers scale pictures up smoothly, but not when
// they print: hence more pixels than the map has cells.
std::string shade(const std::vector<float>& map, int64_t rows, int64_t columns) {
  const float most = map[peak(map)];
  const int64_t height = rows * kFiner, width = columns * kFiner;
  std::vector<uint8_t> pixels;
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const float weight =
          attention_at(map, rows, columns, (static_cast<double>(y) + 0.5) / static_cast<double>(height),
                       (static_cast<double>(x) + 0.5) / static_cast<double>(width));
      const float light = most > 0 ? std::clamp(weight / most, 0.0f, 1.0f) : 1.0f;
      pixels.push_back(0);
      pixels.push_back(static_cast<uint8_t>(std::lround(255 * (1 - kDarkest) * (1 - light))));
    }
  return data_uri("image/png", encode_png(pixels, height, width, 2));
}

// For those who do not see the map: where most of the weight is.
std::string place(size_t cell, int64_t rows, int64_t columns) {
  const auto third = [](int64_t at, int64_t count) { return 3 * (2 * at + 1) / (2 * count); };
  const auto row = third(static_cast<int64_t>(cell) / columns, rows),
             column = third(static_cast<int64_t>(cell) % columns, columns);
  static constexpr const char* kRows[] = {"top", "middle", "bottom"};
  static constexpr const char* kColumns[] = {"left", "centre", "right"};
  return tensor::format("{} {}", kRows[row], kColumns[column]);
}

std::string tiles(const AttentionMaps& attention, const std::string& model, const std::string& id,
                  const Image& picture) {
  check(attention.words.size() == attention.maps.size(), ErrorKind::argument, "report: {} words with {} maps",
        attention.words.size(), attention.maps.size());
  std::string out = tensor::format(
      "<h4>Where {} looked, word by word</h4>\n<div class=\"tiles\" dir=\"auto\">\n", escape_html(model));
  for (size_t i = 0; i < attention.words.size(); ++i) {
    const std::vector<float>& map = attention.maps[i];
    check(attention.rows > 0 && attention.columns > 0 &&
              static_cast<int64_t>(map.size()) == attention.rows * attention.columns,
          ErrorKind::shape, "report: a map of {} places for a grid of {} x {}", map.size(), attention.rows,
          attention.columns);
    const std::string word = escape_html(attention.words[i]);
    out += tensor::format(
        "<figure class=\"tile\"><svg viewBox=\"0 0 {0} {1}\" role=\"img\" aria-label=\"for {2}: most at the "
        "{3}\">"
        "<use href=\"#{4}\"/><image width=\"{0}\" height=\"{1}\" preserveAspectRatio=\"none\" "
        "href=\"{5}\"/></svg>"
        "<figcaption>{2}</figcaption></figure>\n",
        picture.width, picture.height, word, place(peak(map), attention.rows, attention.columns), id,
        shade(map, attention.rows, attention.columns));
  }
  return out + "</div>\n";
}

// Each caption has the direction of its own first letter (dir="auto"), and so have the tiles of its words.
std::string captions(const ReportPhoto& photo, const Report& report) {
  std::string out;
  for (const ReportCaption& caption : photo.captions)
    out += tensor::format(
        "<p class=\"caption\"><b>{}</b> <q dir=\"auto\">{}</q> <small>log-probability {:.2f}, {:.1f} ms</small></p>\n",
        escape_html(report.models.at(caption.model).name),
        caption.text.empty() ? "(no words)" : escape_html(caption.text), caption.log_probability,
        caption.milliseconds);
  if (photo.references.empty()) return out;
  out += "<h4>What people wrote</h4>\n<ul class=\"references\">\n";
  for (const std::string& text : photo.references)
    out += tensor::format("<li dir=\"auto\">{}</li>\n", escape_html(text));
  return out + "</ul>\n";
}

std::string article(const ReportPhoto& photo, const Report& report, size_t number) {
  std::string out = tensor::format("<article>\n<h3 dir=\"ltr\">{}</h3>\n", escape_html(photo.name));
  for (const ReportCaption& caption : photo.captions)
    check(caption.model < report.models.size(), ErrorKind::argument, "report: a caption of model {} among {}",
          caption.model, report.models.size());
  if (photo.image.pixels.empty()) {
    out += tensor::format("<p class=\"problem\">This photo cannot be shown: {}</p>\n",
                          escape_html(photo.problem));
    return out + captions(photo, report) + "</article>\n";
  }
  const Image picture = at_most(photo.image, kReportPhotoSide);
  const std::string id = tensor::format("photo{}", number);
  // Stands here once; the tiles below use it again.
  out += tensor::format(
      "<div class=\"pair\">\n<svg class=\"photo\" viewBox=\"0 0 {0} {1}\" role=\"img\" aria-label=\"photo "
      "{2}{3}\">"
      "<image id=\"{4}\" width=\"{0}\" height=\"{1}\" href=\"{5}\"/></svg>\n<div>\n{6}</div>\n</div>\n",
      picture.width, picture.height, escape_html(photo.name),
      photo.references.empty() ? "" : ": " + escape_html(photo.references.front()), id,
      data_uri("image/jpeg", encode_jpeg(picture, kQuality)), captions(photo, report));
  for (const ReportCaption& caption : photo.captions)
    if (!caption.attention.maps.empty())
      out += tiles(caption.attention, report.models[caption.model].name, id, picture);
  return out + "</article>\n";
}

}  // namespace

bool has_attention(const Report& report) {
  return std::any_of(report.photos.begin(), report.photos.end(), [](const ReportPhoto& photo) {
    return std::any_of(photo.captions.begin(), photo.captions.end(),
                       [](const ReportCaption& caption) { return !caption.attention.maps.empty(); });
  });
}

std::string photos(const Report& report) {
  if (report.photos.empty()) return {};
  const auto shown = static_cast<int64_t>(report.photos.size()), all = captioned(report);
  std::string out = tensor::format(
      "<section>\n<h2>Photos</h2>\n<p class=\"note\">{}The log-probability is what the model gives to its "
      "caption as a "
      "whole, as a natural logarithm: the nearer to 0, the surer. The milliseconds are those of the beam "
      "search, "
      "after the encoder.{}</p>\n",
      shown < all ? tensor::format("The first {} of {}. ", shown, grouped(all)) : "",
      has_attention(report)
          ? " Attention: bright is where the model looked for the word; each map is scaled to its "
            "own brightest place."
          : "");
  for (size_t i = 0; i < report.photos.size(); ++i) out += article(report.photos[i], report, i + 1);
  return out + "</section>\n";
}

}  // namespace imgcap::sections
