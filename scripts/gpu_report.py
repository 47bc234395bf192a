#!/usr/bin/env python3
"""Makes docs/gpu-report.md of what scripts/gpu-check.sh has written: what was measured beside what can be expected.

    scripts/gpu_report.py out/gpu-check > docs/gpu-report.md

Expected is the least time that the device's memory or its multipliers would take: for each op, the bytes that its launches
say they move over the bandwidth of a copy, or their FLOPs over the rate of a large product, whichever is more. Both are
measured in the same run; without a GPU they are an H200's by others' measurements, and nothing is said to be measured.
"""
import json
import pathlib
import re
import sys

# Where no run has measured them. Products in f32 are without TF32.
ASSUMED = {"copy_gb_per_second": 3000.0, "f16_tflops": 790.0, "f32_tflops": 60.0}
LAUNCH_MS = 0.004  # of the host's time, assumed; what is launched ahead costs the device nothing
WANTED = {
    "train-attention": "training step, attention, 128 captions of 20 tokens",
    "train-plain": "training step, plain",
    "resnet50-b256": "ResNet50's features of 256 photos",
    "lite2-b256": "EfficientNet-Lite2's features of 256 photos",
    "search-1000": "captions of 1,000 images, beam 5",
    "train-attention-640": "training step, attention, 128 photos with 5 captions each",
    "encode-31783": "features of Flickr30k's 31,783 photos, from files",
}


def documents(text):
    """The JSON values that follow one another in a text; what is cut off at the end is left out."""
    decoder, at, found = json.JSONDecoder(), 0, []
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text):
            return found
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError:
            return found
        found.append(value)


class Run:
    """What a folder of gpu-check.sh has; files that are not there are empty."""

    def __init__(self, folder):
        self.folder = folder
        lines = self.text("summary.txt").splitlines()
        pairs = [line.split(": ", 1) for line in lines if ": " in line and not line.startswith("phase ")]
        self.machine = dict(pairs)
        self.phases = dict(re.match(r"phase (\w+): (.*)", line).groups() for line in lines if line.startswith("phase "))
        self.emulated = "emulated" in self.machine.get("device", "emulated")
        self.bench = documents(self.text("bench.json"))
        self.ceilings = ASSUMED
        for document in self.bench:
            if "copy_gb_per_second" in document.get("ceilings", {}):
                self.ceilings = document["ceilings"]

    def text(self, name):
        file = self.folder / name
        return file.read_text(errors="replace") if file.exists() else ""

    def rows(self):
        """As `bench --json` has them; a row that ran by itself comes behind its name."""
        found, name = [], None
        for value in self.bench:
            if "row" in value:
                name = value
            elif "per_call" in value and name is not None:
                found.append({**value, "name": name["row"], "precision": name["precision"],
                              "per_second": value["per_call"] / value["seconds"]["median"]})
            found += value.get("rows", [])
        return [row for row in found if "device" in row]


def expected_ms(op, precision, ceilings):
    """The least time of an op's launches."""
    rate = ceilings.get(f"{'f32' if precision == 'f32' else 'f16'}_tflops") * 1e12
    crosses = op["op"] in ("upload", "download")  # another wire, and not in the step's way
    moving = 0 if crosses else op["bytes"] / (ceilings["copy_gb_per_second"] * 1e9)
    return 1e3 * max(op["flops"] / rate, moving)


def table(head, rows):
    def line(cells):
        return "| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |"

    return [line(head), "|" + "---|" * len(head), *map(line, rows), ""]


def head_of(run):
    lines = ["# What a GPU makes of it", ""]
    if run.emulated:
        lines += ["**Nothing here has run on a GPU.** What is expected was counted on the emulated device; whoever has a GPU runs",
                  "`scripts/gpu-check.sh` (`docs/building.md`) and gets this page with the measured columns filled.", ""]
    return lines + table(["", ""], [[key, value] for key, value in run.machine.items() if value.strip()])


def ceilings_of(run):
    c = run.ceilings
    whose = "assumed of an H200, not measured" if run.ceilings is ASSUMED else "measured in this run"
    return [f"Ceilings, {whose}: {c['copy_gb_per_second']:,.0f} GB/s for a copy within the device's memory (read and written), "
            f"{c['f16_tflops']:,.0f} TFLOP/s for a product in f16, {c['f32_tflops']:,.0f} in f32.", ""]


def rows_of(run):
    rows, seen = [], set()
    for row in run.rows():
        seen.add(row["name"])
        ops = row["device"]["ops"]
        ms = sum(expected_ms(op, row["precision"], run.ceilings) for op in ops)
        per_call = row["per_second"] * row["seconds"]["median"]
        measured = ["never run", "-"]
        if not run.emulated:
            took = row["seconds"]["median"] * 1e3
            measured = [f"{took:,.2f} ms, {row['per_second']:,.0f} {row['unit']}/s", f"{ms / took:.0%}"]
        launches = row["device"]["launches"]
        rows.append([f"`{row['name']}`: {row['what']}", f"{launches:,}", f"{launches * LAUNCH_MS:,.1f} ms", f"{sum(op['flops'] for op in ops) / 1e9:,.1f}",
                     f"{sum(op['bytes'] for op in ops) / 1e9:,.2f}",
                     f"{ms:,.2f} ms, {per_call / ms * 1e3:,.0f} {row['unit']}/s" if ms else "-", *measured,
                     f"{row['device']['peak_mib']:,.0f} MiB"])
    absent = [what for name, what in WANTED.items() if name not in seen]
    lines = ["## Rows", ""] + ceilings_of(run)
    lines += ["What the device is expected to take at best is beside what the host takes to launch it (4 microseconds each, assumed):",
              "the greater of the two is the least time of a step. Memory is what tensors have taken at most, cuBLASLt's and CUDA's own aside.", ""]
    lines += table(["job", "launches", "for the host", "GFLOP", "GB", "expected at best", "measured", "of the best", "memory"], rows)
    if absent:
        lines += ["Wanted, and not there: " + "; ".join(absent) + ".", ""]
    return lines


def ops_of_step(run):
    row = next((row for row in run.rows() if row["name"] == "train-attention" and row["precision"] == "f16"), None)
    if row is None:
        return []
    ops = sorted(row["device"]["ops"], key=lambda op: -expected_ms(op, "f16", run.ceilings))
    cells = [[op["op"], op["launches"], f"{op['flops'] / 1e9:,.2f}", f"{op['bytes'] / 1e6:,.1f}",
              f"{expected_ms(op, 'f16', run.ceilings):.3f}", "never run" if run.emulated else f"{op['seconds'] * 1e3:.3f}"]
             for op in ops]
    return ["## Where a training step's time goes (attention, f16)", ""] + table(
        ["op", "launches", "GFLOP", "MB", "expected ms", "measured ms"], cells)


def f16_against_f32(run):
    ms = {(row["name"], row["precision"]): row["seconds"]["median"] for row in run.rows()}
    cells = [[name, f"{ms[name, 'f32'] / ms[name, 'f16']:.2f} x"] for name, precision in ms
             if precision == "f16" and (name, "f32") in ms]
    return ["## f16 against f32", ""] + table(["row", "as fast"], cells) if cells and not run.emulated else []


def checks_of(run):
    lines = ["## Ops and tests against the CPU", ""]
    ops, tests = run.text("ops.txt").splitlines(), run.text("tests.txt").splitlines()
    lines += [f"- ops: {ops[-1]}"] if ops else ["- ops: never run"]
    lines += [f"  - {line.strip()}" for line in ops if "FAILED" in line][:40]
    lines += [f"- tests: {line}" for line in tests if line.startswith("[doctest] test cases")] or ["- tests: never run"]
    failed, where = {}, ""
    for line in tests:
        if line.startswith("TEST CASE:"):
            where = line.removeprefix("TEST CASE:").strip()
        elif "ERROR: " in line:
            failed.setdefault(where, line.split("ERROR: ", 1)[1])
    return lines + [f"  - {name}: {what}" for name, what in failed.items()][:40] + [""]


def curves_of(run):
    curves, captions, said, current, absent = {}, {}, [], None, []
    for value in documents(run.text("curves.jsonl")):
        if "run" in value:
            current = curves.setdefault((value["run"], value["device"]), [])
        elif "captions on" in value:
            current = captions.setdefault(value["captions on"], [])
        elif "no captions" in value:
            absent.append(value["no captions"])
        elif current is not None and ("loss" in value or "caption" in value) and "validation" not in value:
            current.append(value)
    cells = []
    for (name, device), there in curves.items():
        here = curves.get((name, "cpu"))
        if device == "cpu" or not here or not there:
            continue
        pairs = [(a["loss"], b["loss"]) for a, b in zip(here, there) if "loss" in a and "loss" in b]
        worst = max((abs(a - b) / max(1, abs(a)) for a, b in pairs), default=0)
        cells.append([name, len(pairs), f"{pairs[0][1]:.4f}", f"{pairs[-1][1]:.4f}", f"{worst:.1e}"] if pairs
                     else [name, 0, "-", "-", "-"])
    if cells:
        where = "emulated device" if run.emulated else "device"
        said += ["## Losses and captions against the CPU's", ""] + table(
            ["run", "losses", f"first, on the {where}", "last", "greatest difference from the CPU's"], cells)
    if "cpu" in captions and "cuda" in captions:
        pairs = list(zip(captions["cpu"], captions["cuda"]))
        same = sum(a["caption"] == b["caption"] for a, b in pairs)
        apart = max((abs(a["log_probability"] - b["log_probability"]) for a, b in pairs), default=0)
        said += [f"Captions, beam 5: {same} of {len(captions['cpu'])} have the CPU's words; log-probabilities are "
                 f"{apart:.1e} apart at most.", ""]
    return said + [f"Captions: {why}." for why in absent] + ([""] if absent else [])


def torch_of(run):
    cells = []
    for value in documents(run.text("torch.jsonl")):
        if "rows" in value:
            cells += [["imgcap", row["what"], f"{row['seconds']['median'] * 1e3:,.2f}", f"{row['device']['peak_mib']:,.0f}"]
                      for row in value["rows"] if not run.emulated]
        elif "seconds" in value:
            what = " ".join(str(value[key]) for key in ("what", "variant", "mode", "dtype") if key in value)
            more = "".join(f" --{flag}" for flag in ("graph", "compile") if value.get(flag))
            cells.append([f"PyTorch {value.get('torch', '')}", f"{what}{more}, batch {value.get('b', value.get('batch'))}",
                          f"{value['seconds']['median'] * 1e3:,.2f}", value.get("peak_mib")])
    return ["## PyTorch, in turn with ours", ""] + table(["who", "job", "ms", "MiB of the device"], cells) if cells else []


def main():
    if len(sys.argv) != 2 or not pathlib.Path(sys.argv[1]).is_dir():
        print(__doc__.strip().split("\n\n")[1].strip() if len(sys.argv) != 2 else f"gpu_report: {sys.argv[1]} is no folder",
              file=sys.stderr)
        sys.exit(2)
    run = Run(pathlib.Path(sys.argv[1]))
    lines = head_of(run)
    if run.phases:
        lines += ["## Phases", ""] + table(["phase", "how it went"], run.phases.items())
    for part in (rows_of, ops_of_step, f16_against_f32, checks_of, curves_of, torch_of):
        lines += part(run)
    print("\n".join(lines).rstrip())


main()
