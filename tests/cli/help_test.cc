// What --help says of the verbs that train and search, to the byte: names, defaults, bounds and sentences of
// their settings. The texts in golden/help are what the program said before its settings came from tables.
#include <doctest/doctest.h>

#include <CLI/Version.hpp>

#include "tests/cli/program.h"
#include "tests/data_dir.h"
#include "tests/skip.h"

TEST_CASE("--help of the verbs with settings says what it always said") {
  // Later versions lay it out in another way.
  if (CLI11_VERSION_MAJOR != 2 || CLI11_VERSION_MINOR > 3)
    SKIP("CLI11 is not the one of the golden --help texts");
  for (const std::string verb : {"train", "caption", "eval", "report"}) {
    CAPTURE(verb);
    const std::string golden = tests::read_text(tests::source_dir() / "tests/golden/help" / (verb + ".txt"));
    REQUIRE(golden.size() > 1000);
    const tests::Result said = tests::run({verb, "--help"});
    CHECK(said.code == 0);
    CHECK(said.out == golden);
  }
}
