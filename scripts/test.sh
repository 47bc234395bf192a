#!/usr/bin/env bash
# Sets up, builds and runs every test; the last line says how many passed.
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
log=$folder/ctest.log
status=0
ctest --test-dir "$folder" --output-on-failure --no-tests=error --parallel 2 2>&1 | tee "$log" || status=$?
skipped=$(grep -c '^skipped (IMGCAP_DATA is not set)' "$folder/Testing/Temporary/LastTest.log" || true)
if [[ ${skipped:-0} -gt 0 ]]; then
  echo "$skipped tests were skipped: IMGCAP_DATA does not name the data set's folder"
fi
grep 'tests passed,' "$log" || true
exit "$status"
