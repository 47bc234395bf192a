#!/usr/bin/env python3
"""Measures rows of `imgcap bench` and the same jobs by PyTorch, in turn, and prints how they compare.

Each pair is a run of imgcap and then one of each PyTorch variant: "original" is the model as published, "best" and
"jit" what a careful user would write. Where a variant has several ways (its mode, or 32 bits where imgcap computes in
bf16), each pair runs all that may still be the fastest, and that one is what imgcap is compared with. The speed is the
median of the pairs' ratios, as the two halves of a pair ran at one time; the memory is the largest resident set of any
run. Needs a build (scripts/build.sh), and a Python with PyTorch and the programs that do the jobs: torch_baselines.py
and imgcap_torch.py; torch_layers.py is beside this script.

  scripts/compare_torch.py --only train-attention --torch-program torch_baselines.py [--python PYTHON] [--json]
"""
import argparse
import contextlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
# Without these PyTorch returns its buffers to the system at each step.
KEEP_BUFFERS = {"MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_MMAP_THRESHOLD_": "4000000000",
                "MALLOC_TOP_PAD_": "500000000"}


# A way that takes more times the fastest one's time is not run in further pairs.
WORTH_ANOTHER_RUN = 1.3


class Error(Exception):
    """A sentence for the user."""


class Job:
    """What does a row in PyTorch, and where it prints its timing: read(its JSON) is {median, min, max} in seconds.

    Without `read` the process is timed from start to end. {calls} and {threads} stand for the options. Of several
    `ways`, each a text of arguments, the fastest counts.
    """

    def __init__(self, variant, program, ways, read=None):
        self.variant, self.program, self.read = variant, program, read
        self.ways = [way.split() for way in ways]


def encoding_and_search(printed):
    encoding, search = printed["enc"], printed["dec"]
    return {ours: encoding[theirs] + search[theirs]
            for ours, theirs in (("median", "p50"), ("min", "min"), ("max", "p95"))}


def seconds(printed):
    return printed["seconds"]


# What PyTorch computes in where imgcap does in the key: its best.
DTYPES = {"f32": ["f32"], "f16": ["f16"], "bf16": ["f32", "bf16"]}
AUTOCAST = {"f32": [""], "bf16": ["", " --bf16"]}  # the same as imgcap_torch.py takes it


def step(variant, precision):
    return Job(variant, "torch_baselines.py",
               [f"train --variant {variant} --device cpu --dtype {dtype} --batch 128 --len 20 --reps {{calls}}"
                for dtype in DTYPES[precision]], seconds)


def resnet50(photos, precision):
    modes = ["jit"] if precision == "f32" else ["jit", "bf16", "bf16cl"]
    return Job("jit" if precision == "f32" else "best", "imgcap_torch.py",
               [f"resnet --mode {mode} --batches {photos} --threads {{threads}} --reps {{calls}}" for mode in modes],
               lambda printed: printed["sec"])


def layer(arguments, precision, modes=("",)):
    return Job("best", "torch_layers.py",
               [f"{arguments} --dtype {dtype}{mode} --threads {{threads}} --reps {{calls}}"
                for dtype in DTYPES[precision] for mode in modes], seconds)


def lite2(photos, precision):
    return layer(f"lite2 --batch {photos}", precision, (" --mode eager", " --mode jit"))


def caption(variant, search, precision):
    return Job(variant, "imgcap_torch.py",
               [f"infer --search {search} --beam 5{more} --threads {{threads}} --reps {{calls}}"
                for more in AUTOCAST[precision]], encoding_and_search)


def plain_step(precision):
    return Job("original", "imgcap_torch.py",
               [f"train --variant noattn --encoder none --batch 128 --len 20{one} --threads {{threads}} --reps {{calls}}"
                for one in AUTOCAST[precision]], lambda printed: printed["total"])


def training(precision):
    return {"train-attention": [step("original", precision), step("best", precision)],
            "train-plain": [plain_step(precision)], "lstm": [layer("lstm", precision)]}


def encoding(precision):
    return {"resnet50-b1": [resnet50(1, precision)], "resnet50-b8": [resnet50(8, precision)],
            "lite2-b1": [lite2(1, precision)], "lite2-b16": [lite2(16, precision)], "prepare": [],
            "caption-resnet50": [caption("original", "beam-orig", precision), caption("best", "beam-batched", precision)]}


# Rows of `imgcap bench` by precision. PyTorch's programs for the plain model and for layers have no f16 on a processor.
JOBS = {
    "f32": {
        **training("f32"),
        **encoding("f32"),
        "caption": [Job("original", "imgcap_torch.py", ["startup --threads {threads}"])],
    },
    "f16": {"train-attention": [step("original", "f16"), step("best", "f16")], "train-plain": [], "lstm": []},
    "bf16": {**training("bf16"), **encoding("bf16")},
}


def chosen_rows(only, precision):
    """By name, or by the start of a name up to a hyphen: "resnet50" means both of its rows."""
    rows = JOBS[precision]
    chosen = []
    for name in only or rows:
        elsewhere = any(name in others for others in JOBS.values())  # a row of another precision
        fits = [name] if name in rows else [row for row in rows if not elsewhere and row.startswith(name + "-")]
        if not fits:
            raise Error(f"there is no row '{name}' in {precision}; there are {', '.join(rows)}")
        chosen += fits
    return chosen


def find_program(name, given):
    """The file of that name among those given, else the one beside the first, or beside this script."""
    for file in given:
        if file.name == name:
            if not file.exists():
                raise Error(f"--torch-program {file}: not there")
            return file
    beside = given[0].parent / name
    if not beside.exists() and (HERE / name).exists():
        return HERE / name
    if not beside.exists():
        raise Error(f"{beside}: not there, and no --torch-program names {name}")
    return beside


@contextlib.contextmanager
def signals_wait():
    """What ends the script comes when the block is over: a program that was started must be known to be stopped."""
    came = []
    handlers = {number: signal.signal(number, lambda received, _: came.append(received))
                for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            os.kill(os.getpid(), came[0])


def run(command, environment=None):
    """What it printed, the seconds from start to end, and its peak memory in MiB."""
    start = time.perf_counter()
    process = None
    try:
        with signals_wait():
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       text=True, errors="replace", env={**os.environ, **(environment or {})},
                                       start_new_session=True)  # so that what it started ends with it
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    except OSError as error:
        raise Error(f"{command[0]}: cannot be started: {error.strerror}") from None
    finally:
        if process is not None:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.stdout.close()
    if process.returncode != 0:
        how = "exit code" if process.returncode > 0 else "signal"
        raise Error(f"'{' '.join(command)}' ended with {how} {abs(process.returncode)}")
    return printed, time.perf_counter() - start, usage.ru_maxrss / 1024


def run_imgcap(options, row):
    """The JSON of `imgcap bench`: the machine, and this row alone."""
    command = [options.imgcap, "bench", "--only", row, "--json", "--pairs", "1", "--calls", str(options.calls),
               "--threads", str(options.threads), "--precision", options.precision]
    printed = run(command)[0]
    try:
        return json.loads(printed)
    except ValueError:
        raise Error(f"{options.imgcap}: printed no JSON: {printed[:200]}") from None


def filled(options, way):
    return [argument.format(calls=options.calls, threads=options.threads) for argument in way]


def run_torch(options, job, way):
    """{median, min, max} in seconds, and the peak memory in MiB."""
    command = [options.python, str(find_program(job.program, options.torch_program)), *filled(options, way)]
    printed, seconds, peak = run(command, {**KEEP_BUFFERS, "OMP_NUM_THREADS": str(options.threads)})
    if job.read is None:
        return {"median": seconds, "min": seconds, "max": seconds}, peak
    try:
        timing = {key: float(value) for key, value in job.read(json.loads(printed)).items()}
        if not timing["median"] > 0:
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Error(f"{job.program}: printed no timing: {printed[:200]}") from None
    return timing, peak


def of_runs(timings):
    return {"median": statistics.median(t["median"] for t in timings), "min": min(t["min"] for t in timings),
            "max": max(t["max"] for t in timings)}


class Tried:
    """One way of a job, and what its runs said."""

    def __init__(self, way):
        self.way, self.timings, self.peak = way, [], 0

    def run(self, options, job):
        timing, used = run_torch(options, job, self.way)
        self.timings.append(timing)
        self.peak = max(self.peak, used)

    def median(self):
        return statistics.median(timing["median"] for timing in self.timings)


def compare(options, row):
    """The machine, and the row as `imgcap bench --json` has it, with a list "torch" of what PyTorch took."""
    jobs = JOBS[options.precision][row]
    ours, peak, tried = [], 0, [[Tried(way) for way in job.ways] for job in jobs]
    for _ in range(options.pairs):
        said = run_imgcap(options, row)
        result = said["rows"][0]
        ours.append(result["seconds"])
        peak = max(peak, result["peak_mib"])
        for k, job in enumerate(jobs):
            for one in tried[k]:
                one.run(options, job)
            fastest = min(one.median() for one in tried[k])
            tried[k] = [one for one in tried[k] if one.median() <= WORTH_ANOTHER_RUN * fastest]
    seconds = of_runs(ours)
    per_call = result["per_second"] * result["seconds"]["median"]
    result.update(seconds=seconds, per_second=per_call / seconds["median"], runs=options.pairs, peak_mib=peak)
    if jobs:
        result["torch"] = []
    for job, ways in zip(jobs, tried):
        best = min(ways, key=Tried.median)
        all_runs = of_runs(best.timings)
        ratios = [other["median"] / own["median"] for own, other in zip(ours, best.timings)]
        result["torch"].append({"variant": job.variant, "arguments": " ".join(filled(options, best.way)),
                                "per_second": per_call / all_runs["median"], "seconds": all_runs, "peak_mib": best.peak,
                                "speed_ratio": statistics.median(ratios), "memory_ratio": peak / best.peak})
    return said["machine"], result


def bf16_text(machine):
    peak = machine["peak_bf16_gflops"]
    return f"{peak:.0f} bf16 ({machine['peak_bf16_by']})" if peak else "no bf16"


def machine_text(machine):
    return (f"{machine['processor']}, {machine['threads']} of {machine['processors']} processors, "
            f"{' '.join(machine['instruction_sets'])}\npeak {machine['peak_gflops']:.0f} GFLOP/s float32, "
            f"{bf16_text(machine)}, "
            f"{machine['bandwidth_gb_per_second']:.1f} GB/s memory; products by {machine['products']}\n")


def line(who, timing, unit):
    seconds = timing["seconds"]
    return (f"  {who:<18} {timing['per_second']:>10.2f} {unit}/s   {seconds['median']:.4f} s "
            f"({seconds['min']:.4f} to {seconds['max']:.4f})   {timing['peak_mib']:>6.0f} MiB")


def row_text(row):
    lines = [f"{row['name']}: {row['what']}", line("imgcap", row, row["unit"])]
    for other in row.get("torch", []):
        lines.append(f"{line('PyTorch ' + other['variant'], other, row['unit'])}   imgcap: "
                     f"{other['speed_ratio']:.2f} x the speed, {other['memory_ratio']:.2f} x the memory")
    return "\n".join(lines)


def number(most):
    def read(text):
        if not 1 <= int(text) <= most:
            raise ValueError
        return int(text)

    read.__name__ = f"number from 1 to {most}"  # what a refusal says
    return read


def parse():
    description, _, example = __doc__.rpartition("\n\n")
    parser = argparse.ArgumentParser(description=description, epilog=example.strip(),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="ROW", help=f"rows (default: all): {', '.join(JOBS['f32'])}")
    parser.add_argument("--precision", choices=JOBS, default="f32", help="of imgcap's arithmetic; PyTorch's is its best (default: %(default)s)")
    parser.add_argument("--pairs", type=number(1000), default=3, help="runs of each program, in turn (default: %(default)s)")
    parser.add_argument("--calls", type=number(1000), default=5, help="calls per run, after warm-up (default: %(default)s)")
    parser.add_argument("--threads", type=number(256), default=min(256, len(os.sched_getaffinity(0))),
                        help="default: all processors")
    parser.add_argument("--imgcap", default=str(ROOT / "build/bin/imgcap"), help="the program (default: %(default)s)")
    parser.add_argument("--python", default=sys.executable, help="a Python that has PyTorch (default: this one)")
    parser.add_argument("--torch-program", nargs="+", type=pathlib.Path, required=True, metavar="FILE",
                        help="torch_baselines.py and imgcap_torch.py; one finds the other beside it")
    parser.add_argument("--json", action="store_true", help="JSON alone on stdout")
    return parser.parse_args()


def main():
    options = parse()
    rows = chosen_rows(options.only, options.precision)
    # Found out before anything is measured.
    for row in rows:
        for job in JOBS[options.precision][row]:
            find_program(job.program, options.torch_program)
    run([options.python, "--version"])
    run([options.imgcap, "--version"])
    results = []
    for row in rows:
        machine, result = compare(options, row)
        results.append(result)
        if not options.json:
            print(("" if len(results) > 1 else machine_text(machine) + "\n") + row_text(result), flush=True)
    if options.json:
        print(json.dumps({"machine": machine, "rows": results}, indent=1))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except Error as error:
        print(f"compare_torch.py: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
