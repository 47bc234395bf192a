#!/usr/bin/env bash
# Says what an NVIDIA device makes of this program, in phases, the most telling first; each writes into OUT as it goes, has a
# time limit, and may fail without ending the others.
#   scripts/gpu-check.sh [--bundle FILE | --programs FOLDER] [--only PHASE[,PHASE...]] [--torch PROGRAM] [--seconds N] [OUT]
# PHASE: ops (every op against the CPU), tests (kernels, training and searches against the CPU), curves (losses of both
# models in f32 and f16, and captions, against the CPU's), bench, sanitizer (a sample of each op under compute-sanitizer);
# with --torch, which names torch_baselines.py, also torch (PyTorch's rows in turn with ours).
# --seconds: each phase's limit in place of its own; with those all but torch take 6 minutes at most, and torch 5 more.
# Programs: those of a bundle (scripts/gpu-bundle.sh; default out/gpu-bundle.tar.gz if it is there), or of a build's folder
# (default build/bin). OUT: default $OUT, else out/gpu-check; summary.txt and gpu-report.md tell all, in at most 9 files.
# Needs Python 3. On emulated devices (IMGCAP_CUDA=EMULATED) sizes are small and steps are counted, not timed.
# Exit code 0: all phases are well; 1: one is not; 2: nothing can be run, and why.
# shellcheck disable=SC2317  # phases are called by name
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
say() { echo "gpu-check: $*" >&2; exit 2; }

# --- the phases, each in a process of its own

emulated() { [[ $GPU_CHECK_EMULATED == yes ]]; }

phase_ops() {
  local few=()
  if emulated; then few=(--samples 1 --op add softmax matmul); fi
  "$imgcap" gradcheck --device cuda "${few[@]}" >"$out/ops.txt" 2>&1
}

phase_tests() {
  local few=()
  if emulated; then few=(--test-case='*kernels run on a device*,*threads of a block wait*'); fi
  "$tests" "${few[@]}" >"$out/tests.txt" 2>&1
}

phase_curves() {
  local photos=$root/assets/photos batch=9 bad=0
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  : >"$out/curves.jsonl"
  local data=(--images "$photos" --captions "$photos/captions.csv" --features "$work/features.safetensors")
  local size=(--embedding 256 --hidden 256 --attention-width 256 --epochs 4)
  local lists=("$photos/train.txt" "$photos/val.txt")
  if emulated; then
    size=(--embedding 8 --hidden 8 --attention-width 8 --steps 1 --max-tokens 5 --beam 1)
    batch=2
    head -n 4 "${lists[0]}" >"$work/train.txt"
    head -n 1 "${lists[1]}" >"$work/val.txt"
    lists=("$work/train.txt" "$work/val.txt")
  fi
  "$imgcap" prepare --images "$photos" --out "$work/features.safetensors" >/dev/null
  for model in attention plain; do
    for precision in f32 f16; do
      for device in cpu cuda; do
        "$imgcap" train "${data[@]}" --train-list "${lists[0]}" --val-list "${lists[1]}" --model "$model" \
          --precision "$precision" --device "$device" "${size[@]}" --layers 1 --layer-dropout 0 --output-dropout 0.3 \
          --min-frequency 2 --no-characters --batch "$batch" --lr 2e-3 --validate-every 100 --out "$work/$model$precision$device" >/dev/null || bad=1
        echo "{\"run\": \"$model $precision\", \"device\": \"$device\"}"
        cat "$work/$model$precision$device/log.jsonl" || bad=1
      done
    done
  done >>"$out/curves.jsonl"
  if ! "$imgcap" caption --help | grep -q -- --device; then
    echo '{"no captions": "imgcap caption has no --device"}' >>"$out/curves.jsonl"
    return "$bad"
  fi
  local pictures=("$photos"/*.jpg)
  if emulated; then pictures=("${pictures[0]}"); fi
  for device in cpu cuda; do
    echo "{\"captions on\": \"$device\"}"
    "$imgcap" caption --device "$device" --json "${pictures[@]}" || bad=1
  done >>"$out/curves.jsonl"
  return "$bad"
}

phase_bench() {
  local calls=10 bad=0 row
  TMPDIR=$(mktemp -d)  # a row that is ended leaves its files there
  export TMPDIR
  trap 'rm -rf "$TMPDIR"' EXIT
  local rows=(train-plain:f16 train-attention:f32 resnet50-b256:f16 search-1000:f16 lite2-b256:f16 train-attention-640:f16
    train-plain:f32 resnet50-b256:f32 lite2-b256:f32 caption-resnet50:f16 caption-resnet50:f32 prepare:f16 lstm:f16
    resnet50-b1:f16 lite2-b1:f16 encode-31783:f16)
  if emulated; then
    export IMGCAP_EMULATION_COUNT=1
    calls=1 rows=(train-plain:f16 train-attention:f32 resnet50-b256:f16 search-1000:f16 lite2-b256:f16 train-attention-640:f16
      train-plain:f32 resnet50-b256:f32 lite2-b256:f32)
  fi
  # With what the device can do at most; then each row by itself, so that one that fails takes no other along.
  "$imgcap" bench --device cuda --precision f16 --json --calls "$calls" --pairs 1 --only train-attention >"$out/bench.json" || bad=1
  for row in "${rows[@]}"; do
    echo "{\"row\": \"${row%:*}\", \"precision\": \"${row#*:}\"}" >>"$out/bench.json"
    timeout 40 "$imgcap" bench --worker "${row%:*}" --device cuda:0 --precision "${row#*:}" --calls "$calls" \
      --images "$root/assets/photos" >>"$out/bench.json" || bad=1
  done
  return "$bad"
}

phase_sanitizer() {
  local bad=0
  : >"$out/sanitizer.txt"
  for tool in memcheck racecheck; do
    IMGCAP_CUDA_CACHE=0 compute-sanitizer --tool "$tool" --error-exitcode 9 "$imgcap" gradcheck --device cuda --samples 1 \
      >>"$out/sanitizer.txt" 2>&1 || bad=1
  done
  return "$bad"
}

# PyTorch in turn with ours; what has to be compiled comes last.
phase_torch() {
  local device=cuda size=() calls=20 bad=0
  if emulated; then
    export IMGCAP_EMULATION_COUNT=1
    device=cpu calls=1 size=(--width 8 --reps 1 --batch 2 --len 3)
  fi
  : >"$out/torch.jsonl"
  theirs() { python3 "$GPU_CHECK_TORCH" "$@" --device "$device" "${size[@]}" >>"$out/torch.jsonl" || bad=1; }
  ours() {
    "$imgcap" bench --device cuda --precision f16 --json --pairs 1 --calls "$calls" --only train-attention >>"$out/torch.jsonl" || bad=1
  }
  ours
  theirs train --variant best --dtype f16
  ours
  theirs train --variant original --dtype f16
  ours
  if ! emulated; then
    theirs train --variant best --dtype f16 --graph
    theirs encoder --dtype f16 --batches 1,256
    theirs beam --dtype f16
    theirs train --variant best --dtype f16 --compile
    theirs encoder --dtype f16 --mode compile --batches 256
  fi
  return "$bad"
}

if [[ ${1:-} == --phase ]]; then
  # shellcheck disable=SC2154
  imgcap=$GPU_CHECK_IMGCAP tests=$GPU_CHECK_TESTS out=$GPU_CHECK_OUT
  "phase_$2"
  exit
fi

# --- what is asked for

usage() { sed -n '4p' "${BASH_SOURCE[0]}" | sed 's/^# */usage: /' >&2; exit 2; }
bundle='' programs='' only='' torch='' seconds='' out=${OUT:-$root/out/gpu-check}
while [[ $# -gt 0 ]]; do
  case $1 in
    --bundle | --programs | --only | --torch | --seconds)
      [[ $# -ge 2 ]] || usage
      printf -v "${1#--}" %s "$2"
      shift 2 ;;
    -*) usage ;;
    *) [[ $# -eq 1 ]] || usage; out=$1; shift ;;
  esac
done
declare -A limits=([ops]=80 [tests]=60 [curves]=50 [bench]=110 [sanitizer]=50 [torch]=300)
phases=(ops tests curves bench sanitizer)
if [[ -n $torch ]]; then phases+=(torch); fi
if [[ -n $only ]]; then IFS=, read -r -a phases <<<"$only"; fi
[[ -z $seconds || $seconds =~ ^[1-9][0-9]*$ ]] || say "--seconds $seconds: a whole number from 1 on"
for phase in "${phases[@]}"; do
  [[ -n ${limits[$phase]:-} ]] || say "there is no phase '$phase'; there are ops, tests, curves, bench, sanitizer, torch"
  [[ $phase != torch || -f $torch ]] || say "the phase torch needs --torch with the program torch_baselines.py"
done
[[ -z $bundle || -z $programs ]] || say "--bundle or --programs, not both"
command -v python3 >/dev/null || say "python3 was not found"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [[ -z $programs && -z $bundle && -f $root/out/gpu-bundle.tar.gz ]]; then bundle=$root/out/gpu-bundle.tar.gz; fi
if [[ -n $bundle ]]; then
  [[ -f $bundle ]] || say "$bundle is not there"
  tar -C "$work" -xzf "$bundle" || say "$bundle is no bundle of scripts/gpu-bundle.sh"
  programs=$work
fi
programs=${programs:-$root/build/bin}
imgcap=$programs/imgcap tests=$programs/test_device
[[ -x $imgcap ]] || say "$imgcap is not there: scripts/gpu-bundle.sh makes a bundle, scripts/build.sh a build"
if [[ ! -x $tests && -x $programs/test_emulation ]]; then tests=$programs/test_emulation; fi
export IMGCAP_ASSETS=$root/assets PATH=$PATH:/usr/local/cuda/bin

devices=$("$imgcap" info | sed -n 's/^CUDA: *//p')
case $devices in
  no) say "$imgcap is built without CUDA" ;;
  'yes, but '*) say "${devices#yes, but }" ;;
esac
export GPU_CHECK_EMULATED=no
if [[ $devices == *emulated\ sm_* ]]; then GPU_CHECK_EMULATED=yes; fi

# The one that imgcap will load: of the toolkit, or else among Python's packages.
blas='emulated'
if ! emulated; then
  blas=$(python3 - <<'PYTHON'
import ctypes, os, sys
folders = os.environ.get("IMGCAP_CUDA_LIBRARIES", "").split(":") + ["/usr/local/cuda/lib64"]
folders += [f"{path}/nvidia/{part}" for path in sys.path for part in ("cu13/lib", "cublas/lib")]
for folder in filter(None, folders):
    if os.path.exists(f"{folder}/libcublasLt.so.13"):
        try:
            print(folder, ctypes.CDLL(f"{folder}/libcublasLt.so.13").cublasLtGetVersion())
        except OSError as error:
            print(folder, str(error).replace(" ", "_"))
        break
PYTHON
  )
  [[ -n $blas ]] || say "libcublasLt.so.13 was found neither in /usr/local/cuda/lib64 nor among Python's packages; IMGCAP_CUDA_LIBRARIES names its folder"
  export IMGCAP_CUDA_LIBRARIES=${blas% *}
fi

mkdir -p "$out"
out=$(cd "$out" && pwd)
export GPU_CHECK_IMGCAP=$imgcap GPU_CHECK_TESTS=$tests GPU_CHECK_OUT=$out GPU_CHECK_TORCH=$torch
{
  echo "date: $(date -u +%F)"
  echo "commit: $(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)"
  echo "programs: $(cat "$programs/BUNDLE" 2>/dev/null || echo "a build's")"
  echo "device: ${devices%%$'\n'*}"
  echo "driver: $(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1 || true)"
  echo "cuBLASLt: $blas"
} | tee "$out/summary.txt"

# --- and done

failed=0
for phase in "${phases[@]}"; do
  start=$SECONDS code=0 limit=${seconds:-${limits[$phase]}}
  if [[ $phase == sanitizer ]] && { emulated || ! command -v compute-sanitizer >/dev/null; }; then
    echo "phase $phase: left out, there is no $(if emulated; then echo GPU; else echo compute-sanitizer; fi)" | tee -a "$out/summary.txt"
    continue
  fi
  timeout -k 5 "$limit" bash "${BASH_SOURCE[0]}" --phase "$phase" 2>"$work/errors" || code=$?
  case $code in
    0) what="ok" ;;
    124 | 137) what="stopped after its $limit s" ;;
    *) what="failed with exit code $code: $(tail -n 1 "$work/errors" | cut -c 1-200)" ;;
  esac
  if [[ $code -ne 0 ]]; then failed=1; fi
  echo "phase $phase: $what, $((SECONDS - start)) s" | tee -a "$out/summary.txt"
done
python3 "$root/scripts/gpu_report.py" "$out" >"$out/gpu-report.md" || failed=1
exit "$failed"
