#include "imgcap/cli/encoder_precision.h"

#include "imgcap/cli/settings.h"
#include "imgcap/training/precision.h"

namespace imgcap::cli {

void add_encoder_precision(Verb& verb, Precision& precision) {
  add_choice(
      verb, "--precision", precision,
      "Of the encoder: f32, f16 (features some thousandths from f32's), bf16 (some percent), or auto: f16 on a device, "
      "bf16 on a CPU where a short measurement finds it faster. A cache is of one precision: it is followed unless one "
      "is asked for");
}

EncodeOptions set_encoder_precision(const LoadedEncoder& encoder, Precision precision, bool given) {
  const tensor::Device device = encoder.encoder->device();
  EncodeOptions options;
  options.keep_arithmetic = given && precision != Precision::automatic;
  if (precision == Precision::automatic) {
    const PrecisionChoice choice = choose_precision(device);
    precision = choice.precision;
    say({tensor::format("precision {}: {}", to_string(precision), choice.why)});
  } else if (precision != Precision::f32) {
    say({tensor::format("precision {}; here {}", to_string(precision), describe_16_bits(device))});
  }
  encoder.encoder->set_arithmetic(dtype_of(precision));
  return options;
}

}  // namespace imgcap::cli
