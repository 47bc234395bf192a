// What train says of a step and of a validation.
#pragma once

#include <string>

#include "imgcap/training/reports.h"

namespace imgcap::cli {

std::string duration(double seconds);  // "0:07", "12:34", "1:02:03"

// "epoch 1 step 3/10 loss 5.4321 grad 1.234 lr 4.00e-04 120 captions/s 0:07 left"; the reward in place of a
// self-critical loss, whose zero may be anywhere, and in 16 bits the loss scale.
std::string step_line(const StepReport& report);
// The same behind a bar of 20 places, for a terminal.
std::string progress_line(const StepReport& report);

// "epoch 1: validation loss 4.3210 BLEU 0.6000 0.4000 0.3000 0.2000 ROUGE-L 0.5000 CIDEr 0.7000, the best so
// far (0:03)"; of several sets " (flickr8k 0.5300, coco_extra 0.8700)" behind the mean CIDEr.
std::string validation_line(const ValidationReport& report);
// What its scores are of: "validation: 1000 images of val.txt, ..., beam 3", with sets a line for each. Ends
// with a line break.
std::string validation_basis(const ValidationReport& report);

}  // namespace imgcap::cli
