#include "imgcap/training/event_log.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "tensor/error.h"
#include "tensor/io/text.h"

namespace imgcap {
namespace {

using tensor::ErrorKind;

// The original writes a validation as three events, `imgcap train` as one: here it grows until it is whole.
struct Growing {
  int64_t step;  // as it is written
  std::optional<double> loss, bleu4, cider;

  std::optional<double>* part(const std::string& tag) {
    return tag == scalar_names::kValidationLoss    ? &loss
           : tag == scalar_names::kValidationBleu  ? &bleu4
           : tag == scalar_names::kValidationCider ? &cider
                                                   : nullptr;
  }
  bool is_whole() const { return loss && bleu4 && cider; }

  std::vector<std::pair<std::string, double>> sets;
};

// The set that a CIDEr is of, where it is one's.
std::optional<std::string> set_of(const std::string& tag) {
  const std::string before = scalar_names::of_set(scalar_names::kValidationCider, "");
  return tag.size() > before.size() && tag.starts_with(before) ? std::optional(tag.substr(before.size()))
                                                               : std::nullopt;
}

}  // namespace

void add_events(const tensor::io::EventLog& events, const std::string& name, TrainingLog& log) {
  std::optional<int64_t> last_step;
  std::optional<Growing> growing;
  double best = -1;
  for (const TrainingLog::Validation& v : log.validations) best = std::max(best, v.cider);
  for (const tensor::io::ScalarEvent& event : events.scalars) {
    tensor::check(event.step <= kMostTrainingSteps, ErrorKind::data, "{}: {} is of step {}", name,
                  tensor::io::in_quotes(event.tag), event.step);
    if (!std::isfinite(event.value)) continue;
    if (event.tag == scalar_names::kLoss) {
      log.add(TrainingLog::Step{event.step, event.value});
      last_step = event.step;
      continue;
    }
    const std::optional<std::string> set = set_of(event.tag);
    if (!set && Growing().part(event.tag) == nullptr) continue;
    if (!growing || growing->step != event.step) growing = Growing{event.step, {}, {}, {}, {}};
    if (set) {
      growing->sets.emplace_back(*set, event.value);
      continue;
    }
    *growing->part(event.tag) = event.value;
    if (!growing->is_whole()) continue;
    log.add(TrainingLog::Validation{last_step.value_or(event.step), *growing->loss, *growing->bleu4,
                                    *growing->cider, *growing->cider > best, std::move(growing->sets)});
    best = std::max(best, *growing->cider);
    growing.reset();
  }
}

}  // namespace imgcap
