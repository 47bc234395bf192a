#!/usr/bin/env python3
"""Whether TensorBoard itself reads what `imgcap train --tensorboard` writes, value by value.

Trains the demo's model on the photos in assets/ for a few steps, goes on with --resume, goes on again from the same
checkpoint, as a run that was killed in between does, and compares what TensorBoard's reader finds in the event files
with log.jsonl. Needs a build (scripts/build.sh) and the PyPI package tensorboard; without it the check is skipped.

  scripts/check_tensorboard.py [--build build]
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PHOTOS = ROOT / "assets/photos"
OF_STEP = {"Train/Loss": "loss", "Train/Gradient Norm": "gradient_norm", "Train/Learning_Rate": "lr"}
OF_VALIDATION = {"Validation/Loss": "loss", "Validation/BLEU": "BLEU-4", "Validation/CIDEr": "CIDEr"}


def train(program, work, *more):
    command = [program, "train", "--config", ROOT / "examples/recipes/demo.toml", "--images", PHOTOS, "--captions",
               PHOTOS / "captions.csv", "--weights", ROOT / "assets/model/efficientnet_lite2.safetensors",
               "--train-list", PHOTOS / "train.txt", "--val-list", PHOTOS / "val.txt", "--out", work / "run",
               "--tensorboard", work / "board", *more]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


def logged(file):
    """What log.jsonl has of each tag: (step, value) pairs."""
    wanted = {tag: [] for tag in [*OF_STEP, *OF_VALIDATION]}
    for line in map(json.loads, file.read_text().splitlines()):
        for tag, key in (OF_VALIDATION if "validation" in line else OF_STEP).items():
            wanted[tag].append((line["step"], line[key]))
    return wanted


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    arguments = parser.parse_args()
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        print("check_tensorboard: skipped, the PyPI package tensorboard is not installed")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        program = arguments.build / "bin/imgcap"
        train(program, work, "--steps", "12")
        saved = (work / "run/last.safetensors").read_bytes()
        train(program, work, "--steps", "16", "--resume")
        (work / "run/last.safetensors").write_bytes(saved)
        train(program, work, "--steps", "20", "--resume")
        files = sorted((work / "board").iterdir())
        wanted = logged(work / "run/log.jsonl")
        board = EventAccumulator(str(work / "board"), size_guidance={"scalars": 0})
        board.Reload()
        found = {tag: [(event.step, event.value) for event in board.Scalars(tag)] for tag in board.Tags()["scalars"]}
    bad = len(files) != 3 or set(found) != set(wanted)
    for tag in sorted(set(found) & set(wanted)):
        same = [f[0] == w[0] and abs(f[1] - w[1]) <= 1e-6 * abs(w[1]) for f, w in zip(found[tag], wanted[tag])]
        good = all(same) and len(found[tag]) == len(wanted[tag]) > 0
        bad = bad or not good
        print(f"{tag}: {len(found[tag])} values, steps {found[tag][0][0]} to {found[tag][-1][0]}"
              f"{'' if good else ', which differ from log.jsonl'}")
    print(f"check_tensorboard: {len(files)} files, {'NOT ' if bad else ''}as in log.jsonl")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
