// Which precision is the faster one here.
#pragma once

#include <string>

#include "imgcap/training/train_options.h"
#include "tensor/device.h"

namespace imgcap {

// What --precision says of 16-bit arithmetic on this machine, in a few words: "bf16 by the processor's own
// instructions, f16 emulated".
std::string describe_16_bits(const tensor::Device& device = {});

struct PrecisionChoice {
  Precision precision = Precision::f32;
  std::string why;  // "a step's product in bf16 takes 0.55 of f32's time"
};

// On the CPU times a product of a training step's size in f32 and bf16, some tenths of a second in all: bf16 where it
// takes less than 0.9 of f32's time. Where bf16 is emulated: f32, untimed. On another device f16, which all of them have
// units for, or f32 where the device is the processor's own.
PrecisionChoice choose_precision(const tensor::Device& device = {});

// What the run that left `checkpoint` is trained in; reads no weights. Errors: io (cannot be read), data (no run's
// checkpoint, damaged).
Precision precision_of_run(const std::string& checkpoint);

}  // namespace imgcap
