// The JSON objects that checkpoints and encoder files carry.
#include "fuzz/fuzz.h"
#include "imgcap/data/transform.h"
#include "imgcap/models/decoder_config.h"
#include "imgcap/training/trainer.h"

namespace {

// What was read is written and read as the same.
template <class Read>
void round_trip(Read&& read, const std::string& text) {
  try {
    const auto settings = read(text);
    fuzz::require(read(to_json(settings)) == settings);
  } catch (const tensor::Error& error) {  // argument: a value out of range, as on the command line
    if (error.kind() != tensor::ErrorKind::data && error.kind() != tensor::ErrorKind::argument) throw;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(fuzz::text_of(data, size));
  round_trip(imgcap::decoder_config_from_json, text);
  round_trip(imgcap::train_options_from_json, text);
  round_trip([](const std::string& t) { return imgcap::preprocessing_from_json(t, "input"); }, text);
  return 0;
}
