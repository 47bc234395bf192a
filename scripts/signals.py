#!/usr/bin/env python3
"""Interrupts training runs at random moments, and disturbs them by a timer's signal: no run may notice.

Every interrupted run has to end with exit code 130, and what is resumed from it has to end with the same
checkpoints, to the bit, as a run that nobody interrupted; a run under the preloaded tests/cli/preload/alarm.cc has
to end with them, too. Trains the demo's model on the photos in assets/. Needs a build (scripts/build.sh).

  scripts/signals.py --interrupts 200    so many fresh runs and so many resumed ones
  scripts/signals.py --alarm 60          undisturbed and disturbed runs for so many seconds
"""

import argparse
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PHOTOS = ROOT / "assets/photos"


class Trainer:
    """The program's training verb, on one set of features and into folders under `work`."""

    def __init__(self, build, work):
        self.program, self.alarm, self.work = build / "bin/imgcap", build / "lib/libalarm.so", work
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)

    def start(self, name, *more, preload=None):
        command = [self.program, "train", "--config", ROOT / "examples/recipes/demo.toml", "--images", PHOTOS,
                   "--captions", PHOTOS / "captions.csv", "--weights", ROOT / "assets/model/efficientnet_lite2.safetensors",
                   "--features", self.work / "features.safetensors", "--train-list", PHOTOS / "train.txt",
                   "--val-list", PHOTOS / "val.txt", "--out", self.work / name, "--steps", "30", *more]
        environment = dict(os.environ, LD_PRELOAD=str(preload)) if preload else None
        return subprocess.Popen([str(part) for part in command], env=environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def checkpoints(self, name):
        """The bytes of the run's files; it validates once, at its end, so that they are of one step."""
        return [(self.work / name / f"{which}.safetensors").read_bytes() for which in ("last", "best")]

    def discard(self, name):
        shutil.rmtree(self.work / name, ignore_errors=True)


def fail(sentence, output=""):
    print(f"signals: {sentence}\n{output}", file=sys.stderr)
    sys.exit(1)


def finish(process, wanted, what):
    output = process.communicate()[0]
    if process.returncode not in wanted:
        fail(f"{what} ended with {process.returncode}, not with {wanted[0]}", output)
    return process.returncode


def catches(process, number):
    """Whether the process has a handler of its own for the signal by now."""
    try:
        lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except OSError:
        return False
    caught = [int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:")]
    return bool(caught and caught[0] >> (number - 1) & 1)


def interrupt(trainer, name, delay, *more):
    """Starts a run, ends it `delay` seconds after it began to train; False when it was over before that."""
    number = random.choice([signal.SIGINT, signal.SIGTERM])
    process = trainer.start(name, *more)
    while process.poll() is None and not catches(process, number):
        time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(number)
    # Between the end of the training and that of the program nothing is left to save, and the signal ends it.
    ends = (130, 0, -number)
    return finish(process, ends, f"a run that {number.name} interrupted after {delay:.3f} s") == 130


def interrupts(trainer, count, whole, seconds):
    done = {"fresh": 0, "resumed": 0}
    while min(done.values()) < count:
        trainer.discard("broken")
        if not interrupt(trainer, "broken", random.uniform(0, 0.7 * seconds)):
            continue
        done["fresh"] += 1
        while interrupt(trainer, "broken", random.uniform(0, 0.5 * seconds), "--resume"):
            done["resumed"] += 1
        finish(trainer.start("broken", "--resume"), (0,), "a resumed run")
        if trainer.checkpoints("broken") != whole:
            fail("a run that was interrupted and resumed ended with other checkpoints")
        if done["fresh"] % 20 == 0:
            print(f"interrupted: {done['fresh']} fresh, {done['resumed']} resumed", flush=True)
    print(f"{done['fresh']} fresh and {done['resumed']} resumed runs were interrupted: each ended with 130, and all "
          "ended with the same bits after being resumed")


def alarms(trainer, seconds, whole):
    end, runs, handled = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end or runs == 0:
        trainer.discard("disturbed")
        process = trainer.start("disturbed", preload=trainer.alarm)
        output = process.communicate()[0]
        if process.returncode != 0 or "the handler ran " not in output:
            fail(f"a disturbed run ended with {process.returncode}", output)
        if trainer.checkpoints("disturbed") != whole:
            fail("a disturbed run ended with other checkpoints")
        handled += int(output.rsplit("the handler ran ", 1)[1].split()[0])
        runs += 1
    print(f"{runs} runs took {handled} signals and ended with the bits of an undisturbed one")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interrupts", type=int, default=0, metavar="N")
    parser.add_argument("--alarm", type=float, default=0, metavar="SECONDS")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="the build's folder (build)")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "out/signals", help="for the runs (out/signals)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments at which runs are interrupted")
    options = parser.parse_args()
    if options.interrupts <= 0 and options.alarm <= 0:
        parser.error("give --interrupts, --alarm or both")
    random.seed(options.seed)
    trainer = Trainer(options.build.resolve(), options.work.resolve())
    finish(trainer.start("features"), (0,), "the first run, which makes the features,")
    begin = time.monotonic()
    finish(trainer.start("whole"), (0,), "the undisturbed run")
    seconds = time.monotonic() - begin
    whole = trainer.checkpoints("whole")
    if options.alarm > 0:
        alarms(trainer, options.alarm, whole)
    if options.interrupts > 0:
        interrupts(trainer, options.interrupts, whole, seconds)
    shutil.rmtree(options.work)


if __name__ == "__main__":
    main()
