// A run may be stopped anywhere: what is resumed ends as if it had not been.
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include "tests/folder.h"
#include "tests/training/toy.h"

using namespace imgcap;

namespace {

std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Stops at the step, or at the validation of the epoch.
TrainListener stopping(std::atomic<bool>& stop, int64_t step, int64_t epoch) {
  TrainListener listener;
  listener.step = [&stop, step](const StepReport& r) { stop = stop || r.step == step; };
  listener.validation = [&stop, epoch](const ValidationReport& r) { stop = stop || r.epoch == epoch; };
  return listener;
}

}  // namespace

TEST_CASE(
    "a run stopped at any step or validation, the last ones too, ends with the same files when resumed") {
  const Toy toy;
  TrainOptions whole_epochs = toy_options(), steps = toy_options(), patient = toy_options();
  steps.max_steps = 8;  // two steps into the third epoch of three
  patient.lr = 1e-9;    // learns nothing, so that no validation is better than the first
  patient.patience = 2;
  const std::atomic<bool> go{false};
  for (const TrainOptions& options : {whole_epochs, steps, patient}) {
    CAPTURE(options.max_steps);
    CAPTURE(options.patience);
    const auto make = [&](const tests::TemporaryFolder& folder) {
      return Trainer(toy.info, toy.features, toy.data, toy.data, options, folder.path);
    };
    const tests::TemporaryFolder whole("stop_whole");
    Trainer straight = make(whole);
    const Trainer::End end = straight.run({}, go);
    CHECK((end == Trainer::End::patience) == (options.patience > 0));
    const int64_t last = straight.step();
    CHECK(last == (options.max_steps > 0 ? 8 : options.patience > 0 ? 9 : 12));
    int64_t stopped = 0;
    const auto check_stopped = [&](int64_t step, int64_t epoch) {
      CAPTURE(step);
      CAPTURE(epoch);
      const tests::TemporaryFolder broken("stop_broken");
      std::atomic<bool> stop{false};
      const Trainer::End first = make(broken).run(stopping(stop, step, epoch), stop);
      stopped += first == Trainer::End::interrupted;
      Trainer second = make(broken);
      second.resume();
      CHECK(second.run({}, go) == end);
      CHECK(second.step() == last);
      for (const char* file : {"last.safetensors", "best.safetensors"}) {
        const std::string expected = bytes_of(whole.path / file);
        CHECK(!expected.empty());
        CHECK(bytes_of(broken.path / file) == expected);
      }
    };
    for (int64_t step = 1; step <= last; ++step) check_stopped(step, -1);
    const int64_t epochs = (last + 2) / 3;
    for (int64_t epoch = 0; epoch < epochs; ++epoch) check_stopped(-1, epoch);
    // A validation inside an epoch is the end itself.
    CHECK(stopped == last + epochs - (options.max_steps > 0 ? 1 : 0));
  }
}
