#!/usr/bin/env bash
# Fetches a data set of photos with captions, goes on where a transfer was cut, unpacks it and checks it.
#   scripts/get_data.sh [--yes] flickr30k|flickr8k|coco DIR
# Flickr30k and Flickr8k come from Kaggle with your own token (~/.kaggle/kaggle.json, or KAGGLE_USERNAME and
# KAGGLE_KEY), COCO 2014 from its public archives. Size and terms are said first, and then you are asked; --yes
# answers. Needs curl and unzip, and a built imgcap (IMGCAP, default build/bin/imgcap).
set -euo pipefail

usage() { echo "usage: scripts/get_data.sh [--yes] flickr30k|flickr8k|coco DIR" >&2; exit 2; }
fail() { echo "get_data: $*" >&2; exit 2; }

yes=0 words=()
for argument in "$@"; do
  case $argument in
    --yes) yes=1 ;;
    -*) usage ;;
    *) words+=("$argument") ;;
  esac
done
[[ ${#words[@]} -eq 2 ]] || usage
name=${words[0]} folder=${words[1]}
imgcap=${IMGCAP:-$(dirname "${BASH_SOURCE[0]}")/../build/bin/imgcap}
# A test has its own server and data.
kaggle=${IMGCAP_GET_DATA_KAGGLE:-https://www.kaggle.com}/api/v1/datasets/download
coco=${IMGCAP_GET_DATA_COCO:-http://images.cocodataset.org}
wait=${IMGCAP_GET_DATA_WAIT:-5}

flickr_terms="The photos are their photographers' on Flickr (https://www.flickr.com/help/terms). The data set was made by the
University of Illinois, for non-commercial research and education only. Kaggle's terms hold for the transfer."
case $name in
  flickr30k)
    title="Flickr30k: 31,783 photos with five captions each, from kaggle.com/datasets/hsankesara/flickr-image-dataset"
    terms=$flickr_terms urls=("$kaggle/hsankesara/flickr-image-dataset") archives=(flickr-image-dataset.zip)
    captions=(flickr30k_images/results.csv) photos=(flickr30k_images/flickr30k_images) expect=(31783 0) ;;
  flickr8k)
    title="Flickr8k: 8,091 photos with five captions each, from kaggle.com/datasets/adityajn105/flickr8k"
    terms=$flickr_terms urls=("$kaggle/adityajn105/flickr8k") archives=(flickr8k.zip)
    captions=(captions.txt) photos=(Images) expect=(8091 40455) ;;
  coco)
    title="COCO 2014: 123,287 photos with five captions each, from images.cocodataset.org (without encryption)"
    terms="The photos are their photographers' on Flickr (https://www.flickr.com/help/terms); the captions are under
CC BY 4.0 (https://cocodataset.org/#termsofuse)."
    archives=(annotations_trainval2014.zip val2014.zip train2014.zip)
    urls=("$coco/annotations/annotations_trainval2014.zip" "$coco/zips/val2014.zip" "$coco/zips/train2014.zip")
    captions=(annotations/captions_train2014.json annotations/captions_val2014.json)
    photos=(train2014 val2014) expect=(123287 616767) ;;
  *) usage ;;
esac
read -r -a expect <<<"${IMGCAP_GET_DATA_EXPECT:-${expect[*]}}"

for tool in curl unzip; do command -v "$tool" >/dev/null || fail "$tool is not installed"; done
[[ -x $imgcap ]] || fail "$imgcap is not there: build it first (scripts/build.sh imgcap), or name it by IMGCAP"

# The token goes to curl through a pipe: what stands on a command line, everybody on the machine can read.
login=""
if [[ $name == flickr* ]]; then
  file=${KAGGLE_CONFIG_DIR:-$HOME/.kaggle}/kaggle.json
  user=${KAGGLE_USERNAME:-} key=${KAGGLE_KEY:-}
  if [[ -z $user || -z $key ]]; then
    [[ -r $file ]] || fail "no Kaggle token: make one on kaggle.com/settings (\"Create New Token\") and put it into $file, or set KAGGLE_USERNAME and KAGGLE_KEY"
    field() { tr -d '\n' <"$file" | sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\"\([^\"]*\)\".*/\1/p"; }
    user=$(field username) key=$(field key)
  fi
  [[ $user =~ ^[A-Za-z0-9._-]+$ && $key =~ ^[A-Za-z0-9._-]+$ ]] ||
    fail "the Kaggle token is no name and key of letters and digits ($file, or KAGGLE_USERNAME and KAGGLE_KEY)"
  login="user = \"$user:$key\""
fi
# curl sends the login to Kaggle alone, not to where Kaggle leads on.
fetch() { curl --config - --location --fail --show-error --silent "$@" <<<"$login"; }

# $1: a URL. Prints its size; says why when the server has none.
size_of() {
  local headers code
  headers=$(fetch --range 0-0 --output /dev/null --dump-header - "$1" 2>/dev/null) && code=0 || code=$?
  if [[ $code -ne 0 ]]; then
    case $(grep -i '^HTTP/' <<<"$headers" | tail -1 | cut -d' ' -f2) in
      401) fail "Kaggle does not know the token: make a new one on kaggle.com/settings" ;;
      403) fail "Kaggle refuses: open the data set's page once and accept what it asks for ($title)" ;;
      404) fail "$1 is not there any more" ;;
      *) fail "$1 cannot be reached (curl's code $code)" ;;
    esac
  fi
  local size
  size=$(tr -d '\r' <<<"$headers" | sed -n 's/^[Cc]ontent-[Rr]ange: bytes 0-0\/\([0-9]*\)$/\1/p' | tail -1)
  [[ -n $size ]] || fail "$1: the server does not say its size"
  echo "$size"
}

mkdir -p "$folder"
sizes=() left=0 total=0
for i in "${!urls[@]}"; do
  if [[ -e $folder/.${archives[i]}.unpacked ]]; then sizes+=(0); continue; fi
  size=$(size_of "${urls[i]}") || exit 2
  sizes+=("$size")
  have=$(stat -c %s "$folder/${archives[i]}" 2>/dev/null || stat -c %s "$folder/${archives[i]}.part" 2>/dev/null || echo 0)
  left=$((left + size - have)) total=$((total + size))
done

mega() { echo "$((($1 + 999999) / 1000000)) MB"; }
echo "$title"
echo "$terms"
if [[ $total -gt 0 ]]; then
  free=$(($(df -Pk "$folder" | awk 'NR == 2 { print $4 }') * 1024))
  echo "To fetch: $(mega "$left") into $folder, and as much again to unpack; $(mega "$free") are free there."
  [[ $free -ge $((left + total)) ]] || fail "too little room in $folder"
  if [[ $yes -eq 0 ]]; then
    [[ -t 0 ]] || fail "nobody is there to ask; --yes agrees to size and terms"
    read -r -p "Fetch it? [y/N] " answer
    [[ $answer == [yY]* ]] || { echo "nothing is fetched"; exit 1; }
  fi
fi

# $1: a URL, $2: a file, $3: its size. Goes on with what is there of it.
transfer() {
  local part=$2.part code tries=0 have=0 before
  while have=$(stat -c %s "$part" 2>/dev/null || echo 0) && [[ $have -ne $3 ]]; do
    if [[ $have -gt $3 ]]; then rm "$part"; continue; fi
    before=$have code=0
    fetch --continue-at - --output "$part" --progress-bar --no-silent "$1" || code=$?
    have=$(stat -c %s "$part" 2>/dev/null || echo 0)
    [[ $code -ne 0 || $have -ne $3 ]] || break
    [[ $code -ne 33 ]] || { echo "get_data: the server cannot go on in the middle; from the beginning" >&2; rm -f "$part"; }
    # What moves on may be cut as often as it likes.
    if [[ $have -gt $before ]]; then tries=0; else tries=$((tries + 1)); fi
    [[ $tries -lt 5 ]] || fail "$1: cut at $have of $3 bytes (curl's code $code); run the same again to go on"
    echo "get_data: cut at $have of $3 bytes (curl's code $code); going on" >&2
    sleep "$wait"
  done
  mv "$part" "$2"
}

for i in "${!urls[@]}"; do
  archive=$folder/${archives[i]}
  [[ ! -e $folder/.${archives[i]}.unpacked ]] || continue
  if [[ ! -e $archive || $(stat -c %s "$archive") -ne ${sizes[i]} ]]; then
    rm -f "$archive"
    transfer "${urls[i]}" "$archive" "${sizes[i]}"
  fi
  echo "unpacking $archive"
  # Kaggle's Flickr30k has all photos a second time, one folder deeper.
  code=0
  unzip -q -o "$archive" -d "$folder" -x 'flickr30k_images/flickr30k_images/flickr30k_images/*' || code=$?
  [[ $code -le 1 ]] || fail "$archive: damaged (unzip's code $code); remove it and run the same again"
  touch "$folder/.${archives[i]}.unpacked"
done

arguments=(--captions "${captions[@]/#/$folder/}" --images "${photos[@]/#/$folder/}")
"$imgcap" data check "${arguments[@]}" --expect-photos "${expect[0]}" --expect-captions "${expect[1]}"
echo
echo "Ready. The archives may go: rm ${archives[*]/#/$folder/}"
echo "To train: imgcap train ${arguments[*]} --out runs/mine"
