// Signals that come while the program computes (tests/cli/preload/alarm.cc is built where no sanitizer is in
// the way).
#include <doctest/doctest.h>

#include <cstdlib>

#include "tests/cli/training_run.h"

#if defined(IMGCAP_ALARM)
using tests::Folder;
using tests::has;
using tests::Result;
using tests::run;

TEST_CASE("somebody else's signal handler, running all the time, changes no bit of a training run") {
  const Folder folder;
  const std::string photos = tests::assets() + "/photos";
  // Wide enough for oneDNN's matrix products.
  const auto train = [&](const std::string& out) {
    return run(
        tests::train_arguments(folder, out,
                               {"--images", photos, "--captions", photos + "/captions.csv", "--batch", "9",
                                "--no-characters", "--steps", "30", "--validate-every", "1", "--beam", "2"},
                               128));
  };
  const Result alone = train("alone");
  REQUIRE(alone.code == 0);
  setenv("LD_PRELOAD", IMGCAP_ALARM, 1);
  const Result disturbed = train("disturbed");
  unsetenv("LD_PRELOAD");
  CAPTURE(disturbed.err);
  REQUIRE(disturbed.code == 0);
  const size_t at = disturbed.err.find("the handler ran ");
  REQUIRE(at != std::string::npos);
  CHECK(std::stol(disturbed.err.substr(at + 16)) > 500);
  for (const char* file : {"/last.safetensors", "/best.safetensors"}) {
    const std::string expected = tests::read_text(folder / "alone" + file);
    CHECK(!expected.empty());
    CHECK(tests::read_text(folder / "disturbed" + file) == expected);
  }
}
#endif
