#include "imgcap/cli/encoder_precision.h"

#include "imgcap/cli/settings.h"
#include "imgcap/training/precision.h"
#include "tensor/error.h"

namespace imgcap::cli {

void add_encoder_precision(Verb& verb, Precision& precision) {
  add_choice(
      verb, "--precision", precision,
      "Of the encoder: f32, bf16 (features some percent from f32's), or auto: bf16 where a short "
      "measurement finds it faster. A cache is of one precision: it is followed unless one is asked for");
}

EncodeOptions set_encoder_precision(const LoadedEncoder& encoder, Precision precision, bool given) {
  EncodeOptions options;
  options.keep_arithmetic = given && precision != Precision::automatic;
  tensor::check(precision != Precision::f16, tensor::ErrorKind::argument,
                "--precision f16: an encoder computes in f32 or bf16");
  if (precision == Precision::automatic) {
    const PrecisionChoice choice = choose_precision();
    precision = choice.precision;
    say({tensor::format("precision {}: {}", to_string(precision), choice.why)});
  } else if (precision == Precision::bf16) {
    say({tensor::format("precision bf16; here {}", describe_16_bits())});
  }
  encoder.encoder->set_arithmetic(dtype_of(precision));
  return options;
}

}  // namespace imgcap::cli
