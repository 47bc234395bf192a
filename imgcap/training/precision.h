// Which precision is the faster one here.
#pragma once

#include <string>

#include "imgcap/training/train_options.h"

namespace imgcap {

// What --precision says of 16-bit arithmetic on this machine, in a few words: "bf16 by the processor's own
// instructions, f16 emulated".
std::string describe_16_bits();

// Whether a frozen encoder has it; `automatic` becomes one that it has.
bool encodes_in(Precision precision);

struct PrecisionChoice {
  Precision precision = Precision::f32;  // f32 or bf16
  std::string why;                       // "a step's product in bf16 takes 0.55 of f32's time"
};

// Times a product of a training step's size in f32 and bf16, some tenths of a second in all: bf16 where it takes
// less than 0.9 of f32's time. Where bf16 is emulated: f32, untimed.
PrecisionChoice choose_precision();

// What the run that left `checkpoint` is trained in; reads no weights. Errors: io (cannot be read), data (no run's
// checkpoint, damaged).
Precision precision_of_run(const std::string& checkpoint);

}  // namespace imgcap
