#!/usr/bin/env bash
# Installs the Debian packages that the build needs and that are missing; prints what it does.
#   scripts/setup.sh [--no-install] [PACKAGE...]
# --no-install: only says what is missing (no root needed). PACKAGE...: further packages, for example clang-format.
set -euo pipefail

required=(g++ cmake ninja-build pkg-config libeigen3-dev doctest-dev libcli11-dev nlohmann-json3-dev libfmt-dev libstb-dev libutf8proc-dev)
# Without them stb_image reads JPEG files, WebP and TIFF files are refused, Eigen does the products, imgcap serve is refused, attention sheets have
# numbers for words that are not ASCII, and there are no emulated devices (IMGCAP_CUDA=EMULATED).
optional=(libjpeg62-turbo-dev libwebp-dev libtiff-dev libdnnl-dev libpango1.0-dev libboost1.81-dev libboost-context1.81-dev)

install=1
for argument in "$@"; do
  case $argument in
    --no-install) install=0 ;;
    -*) echo "setup: unknown flag $argument (there is only --no-install)" >&2; exit 2 ;;
    *) required+=("$argument") ;;
  esac
done

if ! command -v dpkg-query >/dev/null; then
  echo "setup: this is no Debian system; nothing is installed or checked here, CMake says what is missing"
  exit 0
fi

have() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }
missing=() missing_optional=()
for package in "${required[@]}"; do have "$package" || missing+=("$package"); done
for package in "${optional[@]}"; do have "$package" || missing_optional+=("$package"); done
all=("${missing[@]}" "${missing_optional[@]}")
if [[ ${#all[@]} -eq 0 ]]; then
  echo "setup: all packages are there"
  exit 0
fi

as_root=()
if [[ $install -eq 1 && $EUID -ne 0 ]]; then
  if command -v sudo >/dev/null; then
    as_root=(sudo)
  else
    echo "setup: not root and no sudo: nothing is installed"
    install=0
  fi
fi

if [[ $install -eq 1 ]]; then
  echo "setup: installing ${all[*]}"
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${all[@]}"
  exit 0
fi

[[ ${#missing_optional[@]} -eq 0 ]] || echo "setup: optional and not installed: ${missing_optional[*]}"
if [[ ${#missing[@]} -gt 0 ]]; then
  # Not an error: they may be installed elsewhere (CMAKE_PREFIX_PATH). If not, CMake stops and names the first.
  echo "setup: not installed as packages: ${missing[*]}"
  echo "setup: as root: apt-get install ${missing[*]}"
fi
