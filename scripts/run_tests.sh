#!/usr/bin/env bash
# Runs the tests that are built and says in the last line how many programs passed, and which cases were skipped and why.
#   scripts/run_tests.sh BUILD_FOLDER [CTEST OPTION...]
set -euo pipefail
folder=$1
log=$folder/ctest.log
status=0
ctest "${@:2}" --no-tests=error --parallel 2 2>&1 | tee "$log" || status=$?
closing=$(grep 'tests passed,' "$log" || echo "no tests passed")
# One line a skipped case, "skipped (REASON): NAME", from tests/main.cc.
reasons=$(sed -n 's/^skipped (\([^)]*\)): .*/\1/p' "$folder/Testing/Temporary/LastTest.log" | LC_ALL=C sort | uniq -c |
  awk '{ count = $1; $1 = ""; total += count; list = list (list ? ";" : ":") " " count " x" $0 }
       END { printf "%d case%s skipped%s", total, total == 1 ? "" : "s", list }')
echo "$closing; $reasons"
exit "$status"
