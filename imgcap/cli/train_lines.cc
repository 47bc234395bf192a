#include "imgcap/cli/train_lines.h"
#include "tensor/format.h"

namespace imgcap::cli {

std::string duration(double seconds) {
  const auto s = static_cast<int64_t>(seconds);
  return s >= 3600 ? tensor::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
                   : tensor::format("{}:{:02}", s / 60, s % 60);
}

std::string step_line(const StepReport& r) {
  const std::string aim =
      r.reward > 0 ? tensor::format("reward {:.4f}", *r.reward) : tensor::format("loss {:.4f}", r.loss);
  const std::string scale =
      r.loss_scale > 0 ? tensor::format(" scale {:g} skipped {}", r.loss_scale, r.skipped) : "";
  return tensor::format("epoch {} step {}/{} {} grad {:.3f} lr {:.2e}{} {:.0f} captions/s {} left",
                        r.epoch + 1, r.step, r.total_steps, aim, r.gradient_norm, r.lr, scale,
                        r.captions_per_second, duration(r.seconds_left));
}

std::string progress_line(const StepReport& r) {
  constexpr int64_t kWidth = 20;
  const auto filled = static_cast<size_t>(kWidth * r.step / r.total_steps);
  return tensor::format("[{}{}] {}", std::string(filled, '#'), std::string(kWidth - filled, '.'),
                        step_line(r));
}

std::string validation_line(const ValidationReport& r) {
  std::vector<std::string> sets;
  for (const SetValidation& set : r.sets)
    sets.push_back(tensor::format("{} {:.4f}", set.set, set.scores.cider));
  return tensor::format(
      "epoch {}: validation loss {:.4f} BLEU {:.4f} {:.4f} {:.4f} {:.4f} ROUGE-L {:.4f} CIDEr {:.4f}{}{} ({})",
      r.epoch + 1, r.loss, r.scores.bleu[0], r.scores.bleu[1], r.scores.bleu[2], r.scores.bleu[3],
      r.scores.rouge_l, r.scores.cider, sets.empty() ? "" : " (" + tensor::join(sets, ", ") + ")",
      r.best ? ", the best so far" : "", duration(r.seconds));
}

std::string validation_basis(const ValidationReport& r) {
  if (r.sets.empty()) return tensor::format("validation: {}, beam {}\n", describe(r.scores), r.beam);
  std::string text;
  for (const SetValidation& set : r.sets)
    text += tensor::format("validation of {}: {}, beam {}\n", set.set, describe(set.scores), r.beam);
  return text + "the scores of a validation are the means over the sets\n";
}

}  // namespace imgcap::cli
