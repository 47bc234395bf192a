#!/usr/bin/env bash
# Trains the models in the box again: the steps of assets/model/MODEL_CARD.md, one after the other.
#   scripts/train_box.sh DATA OUT
# DATA has the folders flickr8k, arabic and coco_extra as the recipes name them. OUT gets a folder for each step's run,
# the features, attention.safetensors and plain.safetensors. A step that is done is passed over, and one that was cut short goes on, so
# the same command may be given again. Needs 8 GB of disk and, on two processors, three to five hours.
# IMGCAP: the program (default build/bin/imgcap).
set -euo pipefail

[[ $# -eq 2 ]] || { echo "usage: scripts/train_box.sh DATA OUT" >&2; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
imgcap=${IMGCAP:-$here/build/bin/imgcap}
[[ -x $imgcap ]] || { echo "train_box: $imgcap is not there: build it first (scripts/build.sh imgcap)" >&2; exit 2; }
for folder in flickr8k arabic coco_extra; do
  [[ -d $1/$folder ]] || { echo "train_box: $1/$folder is not there" >&2; exit 2; }
done
mkdir -p "$2"
imgcap=$(realpath "$imgcap") out=$(realpath "$2")
cd "$1"

train() {  # RUN RECIPE FEATURES FLAG...
  local run=$out/$1 recipe=$here/examples/recipes/$2.toml features=$out/$3.safetensors more=()
  shift 3
  if [[ -e $run/done ]]; then
    echo "== $run is done"
    return
  fi
  if [[ -e $run/last.safetensors ]]; then more+=(--resume); fi
  echo "== $run, by $recipe"
  "$imgcap" train --config "$recipe" --features "$features" --out "$run" "$@" "${more[@]}"
  touch "$run/done"
}

train words everyday_bilingual features224
train cider everyday_self_critical features224 --init "$out/words/best.safetensors"
train cider256 everyday_self_critical features256 --init "$out/cider/best.safetensors" --photo-size 256 \
  --init-temperature 1 --lr 7e-5 --warmup-steps 30 --epochs 2

train plain_words everyday_plain features256
train plain_cider everyday_self_critical features256 --init "$out/plain_words/best.safetensors" --epochs 3

# FILE OF_THE_BOX: in rows of 8 bits, and with its confidence, fitted on the validation lists.
finish() {
  "$imgcap" eval --checkpoint "$1" --beam 5 --features "$out/features256.safetensors" \
    --captions flickr8k=en:flickr8k/captions.csv flickr8k_ar=ar:arabic/flickr8k_arabic.csv coco_extra=en:coco_extra/captions.csv \
    --list flickr8k=flickr8k/val.txt flickr8k_ar=flickr8k/val.txt coco_extra=coco_extra/val.txt \
    --images flickr8k/images_0{0,1,2}.tar coco_extra/images_0{0,1}.tar --fit-confidence "$2"
}

# The attention model is the mean of the last two.
"$imgcap" convert "$out/cider256/best.safetensors" "$out/mean.safetensors" --average "$out/cider/best.safetensors" --format i8
finish "$out/mean.safetensors" "$out/attention.safetensors"
"$imgcap" convert "$out/plain_cider/best.safetensors" "$out/plain_small.safetensors" --format i8
finish "$out/plain_small.safetensors" "$out/plain.safetensors"
