// Whether the models' confidence holds.

#include "imgcap/report/html.h"
#include "imgcap/report/sections.h"
#include "tensor/format.h"

namespace imgcap::sections {
namespace {

std::string cells(const ReliabilityBin& bin) {
  if (bin.count == 0) return "<td>0</td><td>-</td><td>-</td>";
  return tensor::format("<td>{}</td><td>{:.3f}</td><td>{:.3f}</td>", grouped(bin.count), bin.predicted,
                        bin.observed);
}

std::string figures(const char* what, const Reliability& r) {
  return tensor::format("{}: calibration error (ECE) {:.3f}, AUROC {}", what, r.calibration_error,
                        auroc_text(r));
}

std::string table(const ReportModel& model, const std::string& list) {
  const ConfidenceMeasure& m = model.measure;
  std::string out = tensor::format(
      "<h3>{}</h3>\n<p>{} of {} that it is never fitted to. {}. {} (as the model has them: ECE {:.3f}).</p>\n<div class=\"wide\" tabindex=\"0\">\n<table>\n<thead><tr>"
      "<th scope=\"col\">Probability</th><th scope=\"col\">Captions</th><th scope=\"col\">said</th>"
      "<th scope=\"col\">was so</th><th scope=\"col\">Words</th><th scope=\"col\">said</th>"
      "<th scope=\"col\">was so</th></tr>\n</thead>\n<tbody>\n",
      escape_html(model.name), counted(m.photos, "photo"), escape_html(list), figures("Captions", m.captions),
      figures("Words", m.words), m.model_words.calibration_error);
  for (size_t b = 0; b < kReliabilityBins; ++b)
    out += tensor::format(
        "<tr><th scope=\"row\">{:.1f} to {:.1f}</th>{}{}</tr>\n", static_cast<double>(b) / kReliabilityBins,
        static_cast<double>(b + 1) / kReliabilityBins, cells(m.captions.table[b]), cells(m.words.table[b]));
  return out + "</tbody>\n</table>\n</div>\n";
}

}  // namespace

std::string confidence(const Report& report) {
  std::string tables;
  for (const ReportModel& model : report.models)
    if (model.confidence) tables += table(model, report.list);
  if (tables.empty()) return {};
  return "<section>\n<h2>Confidence</h2>\n<p class=\"note\">How often what was given a probability was so. Of a "
         "caption: that its CIDEr is above the median of the list that the confidence was fitted to. Of a word, the "
         "words of a reference before it given: that the likeliest next one is the reference’s.</p>\n" +
         tables + "</section>\n";
}

}  // namespace imgcap::sections
