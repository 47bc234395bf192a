#!/usr/bin/env bash
# Configures and builds into build/ (a second run builds only what changed).
#   scripts/build.sh [TARGET...]        default: everything
# IMGCAP_BUILD_DIR: another folder. IMGCAP_CMAKE_FLAGS: more for CMake, for example "-DIMGCAP_WERROR=ON".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=${IMGCAP_BUILD_DIR:-build}
read -r -a flags <<<"${IMGCAP_CMAKE_FLAGS:-}"
if [[ ! -f $folder/CMakeCache.txt ]]; then
  if command -v ninja >/dev/null; then flags+=(-G Ninja); fi
  if command -v ccache >/dev/null; then flags+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
fi
cmake -S . -B "$folder" "${flags[@]}"

targets=()
if [[ $# -gt 0 ]]; then targets=(--target "$@"); fi
cmake --build "$folder" --parallel "$(nproc)" "${targets[@]}"
