#!/usr/bin/env bash
# Builds what scripts/gpu-check.sh runs on a machine with an NVIDIA device and little else, and packs it: imgcap and the tests
# of devices, for Linux on processors with AVX2, with nothing shared but glibc.
#   scripts/gpu-bundle.sh [--arch 90[,89...]] [OUT]      default: Hopper (90), into out/gpu-bundle.tar.gz
# Needs the CUDA toolkit, and no device. cuBLASLt (540 MB) is not packed: gpu-check.sh finds the one that is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() { echo "usage: scripts/gpu-bundle.sh [--arch 90[,89...]] [OUT]" >&2; exit 2; }
arch=90 out=out/gpu-bundle.tar.gz
while [[ $# -gt 0 ]]; do
  case $1 in
    --arch) [[ $# -ge 2 && $2 =~ ^[0-9]+(,[0-9]+)*$ ]] || usage; arch=$2; shift 2 ;;
    -*) usage ;;
    *) [[ $# -eq 1 ]] || usage; out=$1; shift ;;
  esac
done

flags=(-DCMAKE_CUDA_ARCHITECTURES="${arch//,/-real;}-real")
if [[ ! -f build-bundle/CMakeCache.txt ]]; then
  if command -v ninja >/dev/null; then flags+=(-G Ninja); fi
  if command -v ccache >/dev/null; then flags+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
fi
start=$SECONDS
cmake --preset bundle "${flags[@]}"
cmake --build --preset bundle --parallel "$(nproc)" --target imgcap test_device

packed=$(mktemp -d)
trap 'rm -rf "$packed"' EXIT
for program in imgcap test_device; do
  strip -o "$packed/$program" "build-bundle/bin/$program"
  needed=$(objdump -p "$packed/$program" | sed -n 's/^ *NEEDED *//p' | tr '\n' ' ')
  echo "$program: $(stat -c %s "$packed/$program") bytes, needs $needed"
  for library in $needed; do
    case $library in
      libc.so.6 | libm.so.6 | libdl.so.2 | libpthread.so.0 | librt.so.1 | ld-linux-x86-64.so.2) ;;
      *) echo "gpu-bundle: $program needs $library, which is not on every Linux" >&2; exit 1 ;;
    esac
  done
done
echo "commit $(git describe --always --dirty 2>/dev/null || echo unknown), sm_${arch//,/ sm_}, $(nvcc --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/CUDA \1/p')" \
  >"$packed/BUNDLE"
mkdir -p "$(dirname "$out")"
tar -C "$packed" -czf "$out" BUNDLE imgcap test_device
tracked=$(git ls-files -z | du -cb --files0-from=- | tail -n 1 | cut -f 1)
bundle=$(stat -c %s "$out")
echo "$out: $bundle bytes; with the repository's files $(((tracked + bundle) / 1048576)) MiB; built in $((SECONDS - start)) s"
