#include "imgcap/cli/encoder_precision.h"

#include "imgcap/cli/settings.h"
#include "imgcap/training/precision.h"

namespace imgcap::cli {
namespace {

// Those of all precisions that an encoder has.
std::vector<std::string> choices() {
  std::vector<std::string> names = all_names<Precision>();
  std::erase_if(names, [](const std::string& name) { return !encodes_in(*value_named<Precision>(name)); });
  return names;
}

}  // namespace

void add_encoder_precision(Verb& verb, Precision& precision) {
  add_choice(
      verb, "--precision", precision,
      "Of the encoder: f32, bf16 (features some percent from f32's), or auto: bf16 where a short "
      "measurement finds it faster. A cache is of one precision: it is followed unless one is asked for",
      choices());
}

EncodeOptions set_encoder_precision(const LoadedEncoder& encoder, Precision precision, bool given) {
  EncodeOptions options;
  options.keep_arithmetic = given && precision != Precision::automatic;
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
