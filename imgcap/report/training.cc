// The course of a training run, as two charts.

#include <algorithm>

#include "imgcap/report/chart.h"
#include "imgcap/report/html.h"
#include "imgcap/report/sections.h"
#include "tensor/format.h"

namespace imgcap::sections {
namespace {

// A curve for each set of the validations; none where there is only one.
std::vector<Series> cider_of_sets(const TrainingLog& log, bool markers, size_t most_points) {
  std::vector<Series> sets;
  for (const auto& v : log.validations)
    for (const auto& [name, cider] : v.sets) {
      auto set =
          std::find_if(sets.begin(), sets.end(), [&](const Series& each) { return each.name == name; });
      if (set == sets.end()) set = sets.insert(sets.end(), Series{name, {}, markers});
      set->points.push_back({static_cast<double>(v.step), cider});
    }
  for (Series& set : sets) set.points = thinned(set.points, most_points);
  return sets;
}

// ": flickr8k 0.5300, coco_extra 0.7100", escaped; nothing for a validation without sets.
std::string in_words(const TrainingLog::Validation& validation) {
  std::string text;
  for (const auto& [name, cider] : validation.sets)
    text += tensor::format("{} {} {:.4f}", text.empty() ? ":" : ",", escape_html(name), cider);
  return text;
}

}  // namespace

std::string training(const TrainingLog& log, const std::string& file) {
  constexpr size_t kMostPoints = 600;
  std::vector<Point> losses, validation, cider, bleu4;
  for (const auto& s : log.steps) losses.push_back({static_cast<double>(s.step), s.loss});
  for (const auto& v : log.validations) {
    const auto step = static_cast<double>(v.step);
    validation.push_back({step, v.loss});
    cider.push_back({step, v.cider});
    bleu4.push_back({step, v.bleu4});
  }
  losses = thinned(losses, kMostPoints);
  losses = smoothed(losses, losses.size() / 50);
  std::string out =
      tensor::format("<section>\n<h2>Training</h2>\n<p>{} and {}, from {}.</p>\n",
                     counted(static_cast<int64_t>(log.steps.size()), "step"),
                     counted(static_cast<int64_t>(log.validations.size()), "validation"), escape_html(file));
  out += "<div class=\"charts\">\n";
  const bool few = validation.size() <= 60;
  if (!few) {
    validation = thinned(validation, kMostPoints);
    cider = thinned(cider, kMostPoints);
    bleu4 = thinned(bleu4, kMostPoints);
  }
  // Both charts have one x axis, from 0 unless the run's beginning is missing.
  int64_t first = INT64_MAX, last = 0;
  for (const auto& s : log.steps) first = std::min(first, s.step), last = std::max(last, s.step);
  for (const auto& v : log.validations) first = std::min(first, v.step), last = std::max(last, v.step);
  Chart loss{"Loss by training step", "training step", "loss (nats a token)", {}};
  loss.x_low = first > last / 2 && first > 1 ? static_cast<double>(first) : 0;
  loss.x_high = static_cast<double>(last);
  loss.series = {{"training (smoothed)", losses}, {"validation", validation, few}};
  std::erase_if(loss.series, [](const Series& series) { return series.points.empty(); });
  out += "<figure>\n" + render_chart(loss) +
         "<figcaption>While training, dropout is on and label smoothing may be, which raises the loss; "
         "validation "
         "has neither.</figcaption>\n</figure>\n";
  if (!validation.empty()) {
    Chart scores{"Validation scores by training step", "training step", "score", {}};
    scores.x_low = loss.x_low;
    scores.x_high = loss.x_high;
    scores.from_zero = true;
    const auto best = std::max_element(log.validations.begin(), log.validations.end(),
                                       [](const auto& a, const auto& b) { return a.cider < b.cider; });
    std::vector<Series> sets = cider_of_sets(log, few, kMostPoints);
    scores.series = {{"CIDEr", cider, few}, {"BLEU-4", bleu4, few}};
    out += "<figure>\n" + render_chart(scores) +
           tensor::format(
               "<figcaption>Captions of the validation photos. The best {}CIDEr is {:.4f}, after step "
               "{}{}.</figcaption>\n</figure>\n",
               sets.empty() ? "" : "mean ", best->cider, grouped(best->step), in_words(*best));
    if (!sets.empty()) {
      scores.title = "CIDEr of each set by training step";
      scores.y_label = "CIDEr";
      scores.series = std::move(sets);
      out += "<figure>\n" + render_chart(scores) +
             "<figcaption>The scores beside are the means of the sets', each counting alike.</figcaption>\n"
             "</figure>\n";
    }
  }
  return out + "</div>\n</section>\n";
}

}  // namespace imgcap::sections
