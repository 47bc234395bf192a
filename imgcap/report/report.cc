#include "imgcap/report/report.h"

#include <ctime>
#include <set>

#include "imgcap/report/html.h"
#include "imgcap/report/sections.h"
#include "tensor/error.h"

namespace imgcap {
namespace {

std::string introduction(const Report& report) {
  std::vector<std::string> parts;
  if (sections::has_scores(report)) parts.emplace_back("the scores of these captions");
  if (report.log) parts.emplace_back("the course of the training");
  if (!report.photos.empty())
    parts.push_back(counted(static_cast<int64_t>(report.photos.size()), "photo") +
                    " with the captions of models and people" +
                    (sections::has_attention(report) ? " and where a model looked for each word" : ""));
  std::string contents;
  for (size_t i = 0; i < parts.size(); ++i)
    contents += (i == 0 ? "" : i + 1 == parts.size() ? " and " : ", ") + parts[i];
  std::set<std::string> encoders;
  for (const ReportModel& model : report.models) encoders.insert(model.encoder);
  const std::vector<std::string> names(encoders.begin(), encoders.end());
  return tensor::format(
      "{} captioned {} of <strong>{}</strong>. This page shows {}. It was made by imgcap {} with the {} {} "
      "on {}.",
      counted(static_cast<int64_t>(report.models.size()), "model"),
      counted(sections::captioned(report), "photo"), escape_html(report.list), contents,
      escape_html(report.version), names.size() == 1 ? "encoder" : "encoders",
      escape_html(tensor::join(names, " and ")), escape_html(report.made));
}

}  // namespace

std::string time_of_report() {
  const std::time_t time = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[64];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d, %H:%M UTC", &parts)};
}

std::string render_report(const Report& report) {
  tensor::check(!report.models.empty(), tensor::ErrorKind::argument, "report: no model");
  // The page says itself that it loads nothing and runs nothing.
  std::string out = tensor::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
      "'unsafe-inline'\">\n<title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n",
      escape_html(report.title), sections::style());
  out += tensor::format("<header>\n<h1>{}</h1>\n<p>{}</p>\n</header>\n", escape_html(report.title),
                        introduction(report));
  if (sections::has_scores(report)) out += sections::scores(report) + sections::confidence(report);
  out += sections::models(report);
  if (report.log) out += sections::training(*report.log, report.log_file);
  return out + sections::photos(report) + "</main>\n</body>\n</html>\n";
}

}  // namespace imgcap
