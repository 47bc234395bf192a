#!/usr/bin/env bash
# Sets up, builds and runs every test; the last line says how many passed, and what was skipped and why.
#   scripts/test.sh [--no-install]
# IMGCAP_DATA names the folder of the data set; without it the tests that need it are skipped and counted.
# IMGCAP_BUILD_DIR and IMGCAP_CMAKE_FLAGS: see build.sh.
set -euo pipefail
if [[ -n ${IMGCAP_DATA:-} ]]; then
  IMGCAP_DATA=$(cd "$IMGCAP_DATA" && pwd)  # tests run in other folders
  export IMGCAP_DATA
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ $# -gt 1 || ($# -eq 1 && $1 != --no-install) ]]; then
  echo "usage: scripts/test.sh [--no-install]" >&2
  exit 2
fi
scripts/setup.sh "$@"
scripts/build.sh

folder=${IMGCAP_BUILD_DIR:-build}
scripts/run_tests.sh "$folder" --test-dir "$folder" --output-on-failure
