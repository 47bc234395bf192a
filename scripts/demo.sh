#!/usr/bin/env bash
# Sets up, builds and shows the main job on what ships in assets/.
#   scripts/demo.sh [--no-install]
# IMGCAP_BUILD_DIR and IMGCAP_CMAKE_FLAGS: see build.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ $# -gt 1 || ($# -eq 1 && $1 != --no-install) ]]; then
  echo "usage: scripts/demo.sh [--no-install]" >&2
  exit 2
fi
scripts/setup.sh "$@"
scripts/build.sh imgcap

imgcap=${IMGCAP_BUILD_DIR:-build}/bin/imgcap
photos=assets/photos
weights=assets/model/efficientnet_lite2.safetensors
out=out/demo
three=("$photos/coco_000000000285.jpg" "$photos/coco_000000011149.jpg" "$photos/skimage_chelsea.jpg")

echo
echo "== (a) Captions by the models in the box"
for model in attention plain; do
  if [[ ! -f assets/model/$model.safetensors ]]; then
    echo "Skipped: assets/model/$model.safetensors, the trained $model model, is not there."
    continue
  fi
  # The attention model knows English and Arabic.
  languages=()
  if [[ $model == attention ]]; then languages=(--lang all); fi
  echo "-- $model, beam 5"
  for photo in "${three[@]}"; do
    start=$(date +%s%N)
    "$imgcap" caption --model "$model" "${languages[@]}" --beam 5 "$photo"
    echo "   $((($(date +%s%N) - start) / 1000000)) ms from process start to caption"
  done
done

echo
echo "== (b) Training on the 57 captioned photos in $photos"
echo "57 photos show that the machinery works; they do not teach English. Expect the words of the training"
echo "captions, and captions that fit new photos only by luck."
rm -rf "$out"
mkdir -p "$out"
features=$out/features.safetensors
pictures=(--images "$photos" --captions "$photos/captions.csv" --weights "$weights")
data=("${pictures[@]}" --features "$features")
echo
echo "-- The encoder's features of all photos, once for training, scores and report"
"$imgcap" prepare --images "$photos" --weights "$weights" --out "$features"
echo
echo "-- Training on 45 of them, validating on 6"
"$imgcap" train --config examples/recipes/demo.toml "${data[@]}" --train-list "$photos/train.txt" \
  --val-list "$photos/val.txt" --out "$out"
echo
echo "-- Scores on the 6 test photos ($photos/test.txt)"
"$imgcap" eval --checkpoint "$out/best.safetensors" "${data[@]}" --list "$photos/test.txt" --beam 5 \
  --out "$out/scores.json"
echo
echo "-- Captions by the model just trained (one photo of the training set, two it has not seen)"
"$imgcap" caption --model "$out/best.safetensors" --weights "$weights" --beam 5 "${three[@]}"

echo
echo "-- A page with the test photos: scores, captions, attention, the course of the training"
models=()
for model in attention plain; do
  if [[ -f assets/model/$model.safetensors ]]; then models+=(--model "$model"); fi
done
"$imgcap" report "${models[@]}" --model "$out/best.safetensors" "${pictures[@]}" --list "$photos/test.txt" \
  --log "$out/log.jsonl" --beam 5 --title "Six photos, and what models say about them" \
  --out "$out/report.html"
echo
echo "Everything that was made is in $out. Open in a browser:"
echo "$out/report.html"
echo "Or drop photos of your own on a page: $imgcap serve --open"
