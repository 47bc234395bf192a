// The scores, and what the models are.

#include <algorithm>

#include "imgcap/report/html.h"
#include "imgcap/report/sections.h"
#include "tensor/format.h"

namespace imgcap::sections {
namespace {

constexpr size_t kLongestNote = 200;

// `cells` are HTML; the first one names the row.
std::string table_row(const std::vector<std::string>& cells, bool head) {
  std::string out = "<tr>";
  for (size_t i = 0; i < cells.size(); ++i)
    if (head || i == 0)
      out += tensor::format("<th scope=\"{}\">{}</th>", head ? "col" : "row", cells[i]);
    else
      out += tensor::format("<td>{}</td>", cells[i]);
  return out + "</tr>\n";
}

std::string printed(double score) { return tensor::format("{:.4f}", score); }

std::vector<double> numbers(const Scores& s) {
  return {s.bleu[0], s.bleu[1], s.bleu[2], s.bleu[3], s.rouge_l, s.cider};
}

// What a checkpoint's notes say that a reader wants to know, the recipe's long list of settings left out.
std::vector<std::pair<std::string, std::string>> readable(const std::map<std::string, std::string>& notes) {
  static const std::vector<std::pair<const char*, const char*>> known = {
      {"epoch", "epoch"},
      {"step", "step"},
      {"validation_cider", "validation CIDEr"},
      {"validation_bleu4", "validation BLEU-4"}};
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [key, title] : known)
    if (const auto found = notes.find(key); found != notes.end()) out.emplace_back(title, found->second);
  for (const auto& [key, value] : notes) {
    const bool shown =
        std::any_of(known.begin(), known.end(), [&name = key](const auto& k) { return name == k.first; });
    if (!shown && key != "options" && value.size() <= kLongestNote) out.emplace_back(key, value);
  }
  return out;
}

// The photos of the list that have no score, the first ones by name.
std::string left_out(const Report& report) {
  constexpr size_t kShown = 20;
  const auto& photos = report.left_out;
  if (photos.empty()) return {};
  std::string out =
      tensor::format("<p>{} of the list’s {} photos {} left out:</p>\n<ul class=\"problems\">\n",
                     photos.size(), report.listed, photos.size() == 1 ? "is" : "are");
  for (size_t i = 0; i < std::min(kShown, photos.size()); ++i)
    out += tensor::format("<li><strong>{}</strong>: {}</li>\n", escape_html(photos[i].first),
                          escape_html(photos[i].second));
  if (photos.size() > kShown) out += tensor::format("<li>and {} more</li>\n", photos.size() - kShown);
  return out + "</ul>\n";
}

}  // namespace

bool has_scores(const Report& report) { return report.models.front().scores.images > 0; }

int64_t captioned(const Report& report) {
  return has_scores(report) ? report.models.front().scores.images : std::ssize(report.photos);
}

std::string scores(const Report& report) {
  std::string out = "<section>\n<h2>Scores</h2>\n<div class=\"wide\" tabindex=\"0\">\n<table>\n<thead>" +
                    table_row({"Model", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr"}, true) +
                    "</thead>\n<tbody>\n";
  std::vector<double> best = numbers(report.models.front().scores), least = best;
  for (const ReportModel& model : report.models) {
    const std::vector<double> own = numbers(model.scores);
    for (size_t i = 0; i < own.size(); ++i) {
      best[i] = std::max(best[i], own[i]);
      least[i] = std::min(least[i], own[i]);
    }
  }
  std::vector<std::string> meanings;
  for (const ReportModel& model : report.models) {
    std::vector<std::string> cells = {escape_html(model.name)};
    const std::vector<double> own = numbers(model.scores);
    for (size_t i = 0; i < own.size(); ++i) {
      const std::string text = printed(own[i]);
      const bool strong = text == printed(best[i]) && text != printed(least[i]);
      cells.push_back(strong ? "<strong>" + text + "</strong>" : text);
    }
    out += table_row(cells, false);
    std::string meaning = describe(model.scores);
    if (std::find(meanings.begin(), meanings.end(), meaning) == meanings.end())
      meanings.push_back(std::move(meaning));
  }
  out += "</tbody>\n</table>\n</div>\n";
  for (const std::string& meaning : meanings)
    out += tensor::format(
        "<p class=\"note\">{}. Beam search of width {}, captions of at most {} words, length exponent "
        "{}.{}{}</p>\n",
        escape_html(meaning), report.beam, report.max_words, report.length_exponent,
        escape_html(report.rules), report.models.size() > 1 ? " Bold: the best of a column." : "");
  return out + left_out(report) + "</section>\n";
}

std::string models(const Report& report) {
  std::string out = "<section>\n<h2>Models</h2>\n<div class=\"cards\">\n";
  for (const ReportModel& model : report.models) {
    out += tensor::format("<div class=\"card\">\n<h3>{}</h3>\n<dl>\n", escape_html(model.name));
    const auto item = [&](const std::string& key, const std::string& value) {
      out += tensor::format("<dt>{}</dt><dd>{}</dd>\n", escape_html(key), escape_html(value));
    };
    const auto parameters = [](int64_t count) {
      return count > 0 ? tensor::format(", {} parameters", grouped(count)) : "";
    };
    if (!model.file.empty()) item("file", model.file);
    item("decoder", tensor::format("{}{}, {} tokens", model.kind, parameters(model.parameters),
                                   grouped(model.vocabulary)));
    item("encoder",
         tensor::format("{}{}, not trained here", model.encoder, parameters(model.encoder_parameters)));
    for (const auto& [key, value] : readable(model.notes)) item(key, value);
    out += "</dl>\n</div>\n";
  }
  return out + "</div>\n</section>\n";
}

}  // namespace imgcap::sections
