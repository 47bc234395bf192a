#!/usr/bin/env bash
# Feeds every reader of files and of requests with damaged ones, under address and undefined-behaviour sanitizers (libFuzzer).
#   scripts/fuzz.sh [SECONDS] [READER...]     default: 60 seconds for each of all readers (fuzz/READER.cc)
# Needs clang (Debian: clang libclang-rt-14-dev). Builds into build-fuzz/, whose corpus/ grows with every run; an
# input that breaks a reader is kept in build-fuzz/found/. Exits 1 when there is one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=60
if [[ ${1:-} =~ ^[0-9]+$ ]]; then seconds=$1; shift; fi
all=()
for file in fuzz/*.cc; do
  reader=$(basename "$file" .cc)
  [[ $reader == seeds ]] || all+=("$reader")
done
readers=("$@")
[[ ${#readers[@]} -gt 0 ]] || readers=("${all[@]}")
for reader in "${readers[@]}"; do
  if [[ ! -f fuzz/$reader.cc || $reader == seeds ]]; then
    echo "usage: scripts/fuzz.sh [SECONDS] [READER...]; readers: ${all[*]}" >&2
    exit 2
  fi
done
compiler=$(command -v clang++ || command -v clang++-14) || {
  echo "fuzz: no clang++ (Debian: apt-get install clang libclang-rt-14-dev)" >&2
  exit 1
}

folder=build-fuzz
options=(-DIMGCAP_FUZZ=ON -DIMGCAP_ONEDNN=OFF -DIMGCAP_NATIVE=OFF -DIMGCAP_BUILD_TESTS=OFF
  -DIMGCAP_BUILD_EXAMPLES=OFF -DCMAKE_CXX_FLAGS_RELEASE=-O1)
if [[ ! -f $folder/CMakeCache.txt ]]; then
  options+=("-DCMAKE_CXX_COMPILER=$compiler")
  if command -v ninja >/dev/null; then options+=(-G Ninja); fi
  if command -v ccache >/dev/null; then options+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
fi
start=$SECONDS
cmake -S . -B "$folder" "${options[@]}"
cmake --build "$folder" --parallel "$(nproc)" --target fuzz_seeds "${readers[@]/#/fuzz_}"
echo "fuzz: built in $((SECONDS - start)) s"

export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=0 UBSAN_OPTIONS=print_stacktrace=1
"$folder/bin/fuzz_seeds" "$folder/seeds"
mkdir -p "$folder/found"
run() {  # run READER: one reader for the time; its report goes to build-fuzz/READER.log
  mkdir -p "$folder/corpus/$1"
  "$folder/bin/fuzz_$1" "$folder/corpus/$1" "$folder/seeds/$1" -dict=fuzz/tokens.dict -max_total_time="$seconds" \
    -max_len=16384 -timeout=20 -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$folder/found/$1-" \
    >"$folder/$1.log" 2>&1
}

broken=0
report() {  # report READER STATUS
  local log=$folder/$1.log executions edges kept
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
  edges=$(sed -n 's/.*cov: \([0-9]*\).*/\1/p' "$log" | tail -1)
  kept=$(find "$folder/corpus/$1" -type f | wc -l)
  printf '%-14s %12s executions %6s edges %6s files in the corpus\n' "$1" "${executions:-?}" "${edges:-?}" "$kept"
  if [[ $2 -ne 0 ]]; then
    broken=1
    grep -E 'ERROR|runtime error|libFuzzer|terminate|what\(\)|Test unit written|^ *#[0-9]+ .*imgcap|SUMMARY' "$log" | head -30 || true
    echo "fuzz: $1 broke; all of it: $log"
  fi
}

# As many at a time as there are processors.
declare -A running=()
finish_one() {
  local status=0 done_pid
  wait -n -p done_pid "${!running[@]}" || status=$?
  report "${running[$done_pid]}" "$status"
  unset "running[$done_pid]"
}
for reader in "${readers[@]}"; do
  run "$reader" &
  running[$!]=$reader
  if [[ ${#running[@]} -ge $(nproc) ]]; then finish_one; fi
done
while [[ ${#running[@]} -gt 0 ]]; do finish_one; done
exit "$broken"
