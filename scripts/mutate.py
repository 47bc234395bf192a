#!/usr/bin/env python3
"""Plants small mistakes, one at a time, and asks whether the tests notice.

A comparison loses its `=`, a sign flips, a constant is one more, a statement or an argument is left out, two arguments
change places. Each mistake (mutant) is planted in a copy of the project; what depends on it is built, and the room's test
program and then those above it run until one fails. What none notices is a survivor: either a test is missing, or the
mistake changes nothing (then it belongs into scripts/mutate_equivalents.txt, with the reason).

    scripts/mutate.py --since origin/main            what a change touches
    scripts/mutate.py --room metrics --sample 40     until 40 viable mistakes are judged, in fixed random order
    scripts/mutate.py optim/clip.cc                  every mistake of a file
    scripts/mutate.py --survivors                    what survived, from the results of earlier runs

It may be stopped (Ctrl-C) and goes on where it was. A mistake that was caught is not tried again until its file changes, a
survivor is tried again when the tests have changed.
"""
import argparse
import fcntl
import hashlib
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

sys.dont_write_bytecode = True
from mutation.mutants import Mutant, default_arguments, mutants_of  # noqa: E402
from mutation.workshop import Processes, Stopped, Workshop  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENTS = ROOT / "scripts/mutate_equivalents.txt"
# A room is a folder, without those below it that are rooms themselves, and has a test program of its own.
ROOMS = {
    "tensor/io": ("tensor/io", "test_tensor"), "tensor": ("tensor", "test_tensor"),
    "autograd/testing": ("autograd/testing", "test_gradcheck"), "autograd": ("autograd", "test_autograd"),
    "nn": ("nn", "test_nn"), "optim": ("optim", "test_optim"),
    "data": ("imgcap/data", "test_data"), "models": ("imgcap/models", "test_models"), "onnx": ("imgcap/onnx", "test_onnx"),
    "decoding": ("imgcap/decoding", "test_decoding"), "metrics": ("imgcap/metrics", "test_metrics"),
    "settings": ("imgcap/settings", "test_settings"),
    "training": ("imgcap/training", "test_training"), "report": ("imgcap/report", "test_report"),
    "bench": ("imgcap/bench", "test_cli"), "cli": ("imgcap/cli", "test_cli"),
}
LIKELY_SECONDS = {"test_autograd": 30, "test_gradcheck": 15, "test_models": 15, "test_training": 25, "test_cli": 80}
NOT_PRODUCT = ("autograd/testing/op_database/", "imgcap/testing/")  # the samples that ops are tested with
PER_LINE = 2  # of a sample
VIABLE = ("caught", "survived")


def room_of(file: str) -> str | None:
    if file.startswith(NOT_PRODUCT):
        return None
    return next((room for room, (folder, _) in ROOMS.items() if file.startswith(f"{folder}/")), None)


def sha(*texts: bytes) -> str:
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


class Project:
    """The files as they are in the working tree, and every mistake that can be planted in them."""

    def __init__(self, work: Path):
        listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        self.files = sorted({f for f in listed if (ROOT / f).is_file() and not (ROOT / f).is_relative_to(work)})
        self.texts = {f: (ROOT / f).read_bytes().decode() for f in self.files if f.endswith((".cc", ".h")) and room_of(f)}
        self.hashes = {f: sha(text.encode()) for f, text in self.texts.items()}
        self.tests_hash = sha(*((ROOT / f).read_bytes() for f in self.files if f.startswith("tests/")))
        self.defaults = default_arguments([t for f, t in self.texts.items() if f.endswith(".h")])
        self.found: dict[str, list[Mutant]] = {}

    def mutants(self, file: str) -> list[Mutant]:
        if file not in self.found:
            self.found[file] = mutants_of(file, self.texts[file], self.defaults)
        return self.found[file]

    def lines_since(self, commit: str) -> dict[str, set[int]]:
        """The lines of product files that differ from `commit`."""
        changed: dict[str, set[int]] = {}
        for line in git("diff", "-U0", "--no-ext-diff", "--no-prefix", commit, "--", "*.cc", "*.h").splitlines():
            if line.startswith("+++ "):
                file = line[4:]
            elif hunk := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
                first, count = int(hunk[1]), int(hunk[2] or 1)
                changed.setdefault(file, set()).update(range(first, first + count))
        for file in git("ls-files", "--others", "--exclude-standard").splitlines():
            if file in self.texts:
                changed[file] = set(range(1, self.texts[file].count("\n") + 2))
        return {f: lines for f, lines in changed.items() if f in self.texts}


class Equivalents:
    """Mistakes that are known to change nothing."""

    def __init__(self):
        self.entries: dict[tuple[str, str, str], int] = {}  # file, line, mistake -> line in the list
        for number, line in enumerate(EQUIVALENTS.read_text().splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            entry = re.fullmatch(r"(\S+) \| (.+) \| (\*|.+? -> .+) \| ([^|]+)", line.strip())
            if not entry:
                sys.exit(f"{EQUIVALENTS}:{number}: not 'file | line | mistake | why'")
            self.entries[entry[1], entry[2].strip(), entry[3].strip()] = number

    @staticmethod
    def _keys(m: Mutant) -> list[tuple[str, str, str]]:
        return [(m.file, text, what) for text in (m.first_line, m.before) for what in (m.what, "*")]

    def __contains__(self, mutant: Mutant) -> bool:
        return any(key in self.entries for key in self._keys(mutant))

    def report_stale(self, project: Project):
        files = {file for file, _, _ in self.entries}
        alive = {key for f in files & set(project.texts) for m in project.mutants(f) for key in self._keys(m)}
        for entry, number in self.entries.items():
            if entry not in alive:
                print(f"{EQUIVALENTS.relative_to(ROOT)}:{number}: no such line or mistake any more: {' | '.join(entry)}")


class Results:
    """What is known from this run and earlier ones: a line of JSON a verdict."""

    def __init__(self, file: Path, project: Project):
        self.file, self.project, self.records = file, project, {}
        self.lock = threading.Lock()
        if file.exists():
            for line in file.read_text().splitlines():
                try:
                    record = json.loads(line)
                    self.records[record["id"]] = record
                except ValueError:
                    pass  # the last line of a run that was killed

    def of(self, mutant: Mutant, partial: bool) -> dict | None:
        """The verdict, if neither the file nor, for a survivor, the tests have changed since."""
        record = self.records.get(mutant.id)
        if not record or record["hash"] != self.project.hashes[mutant.file]:
            return None
        if record["verdict"] == "survived" and record["tests"] != self.project.tests_hash:
            return None
        if record["verdict"] in ("survived", "same code") and record.get("partial", True) and not partial:
            return None
        return record

    def add(self, mutant: Mutant, verdict: str, by: str, seconds: float, partial: bool):
        record = {"id": mutant.id, "room": room_of(mutant.file), "file": mutant.file, "line": mutant.line,
                  "what": mutant.what, "before": mutant.before, "after": mutant.after, "verdict": verdict, "by": by,
                  "seconds": round(seconds, 1), "partial": partial, "hash": self.project.hashes[mutant.file],
                  "tests": self.project.tests_hash}
        with self.lock:
            self.records[mutant.id] = record
            with open(self.file, "a") as out:
                out.write(json.dumps(record) + "\n")


class Room:
    """The mistakes of one room that are still to be judged, and how many viable ones are wanted."""

    def __init__(self, name: str, mutants: list[Mutant], sample: int | None):
        self.name, self.queue, self.wanted = name, mutants, sample if sample is not None else len(mutants)
        self.judged: list[Mutant] = []
        self.programs: list[str] = []  # its own test program, then those above it, the quickest first
        self.viable = self.in_flight = 0


class Judge:
    """Takes mistakes to the workshops until each room has enough of them."""

    def __init__(self, options, project: Project, results: Results, rooms: list[Room]):
        self.options, self.project, self.results, self.rooms = options, project, results, rooms
        self.processes, self.changed, self.failure = Processes(), threading.Condition(), None
        self.workshops = [Workshop(options.work / str(n), project.texts, self.processes, options.data, options.skip)
                          for n in range(options.jobs)]
        self.building = threading.Lock()
        self.partial = bool(options.own or options.skip)  # not every test runs: what survives is not final
        self.seconds: dict[str, float] = {}  # what each test program takes without a mistake, in this run
        self.times_file = options.work / "times.json"  # the same of earlier runs, by name, and by what the program was made of
        self.times = json.loads(self.times_file.read_text()) if self.times_file.exists() else {}
        self.test_data = sha(f"{options.data} {options.skip}".encode(), *((ROOT / f).read_bytes() for f in project.files
                                                           if f.startswith(("assets/", "tests/golden/", "examples/"))))

    def _take_known(self, room: Room):
        """Counts what earlier runs found out about those that come first."""
        while room.queue and room.viable + room.in_flight < room.wanted:
            record = None if self.options.again else self.results.of(room.queue[0], self.partial)
            if not record:
                return
            room.judged.append(room.queue.pop(0))
            room.viable += record["verdict"] in VIABLE

    def run(self):
        """Judges the rest, in all workshops side by side."""
        for room in self.rooms:
            self._take_known(room)
        if all(not room.queue or room.viable >= room.wanted for room in self.rooms):
            return
        print(f"building in {self.options.work}; the first time it takes a while", flush=True)
        for workshop in self.workshops:
            workshop.refresh(ROOT, self.project.files)
            workshop.configure()
        everything = sorted({f"test_{f.split('/')[1]}" for f in self.project.files if re.fullmatch(r"tests/\w+/\w+\.cc", f)})
        sources = {program: self.workshops[0].sources_of(program) for program in everything}
        for room in self.rooms:
            folder, own = ROOMS[room.name]
            above = [p for p in everything if p != own and any(s.startswith(f"{folder}/") for s in sources[p])]
            above.sort(key=lambda p: self.times.get(p, LIKELY_SECONDS.get(p, 5)))
            room.programs = [own] if self.options.own else [own, *above]
        threads = [threading.Thread(target=self._work, args=[w]) for w in self.workshops]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            self.stop()
            for thread in threads:
                thread.join()
            raise
        if self.failure:
            raise self.failure

    def stop(self):
        self.processes.stop()
        with self.changed:
            self.changed.notify_all()

    def _unmutated(self, workshop: Workshop, program: str):
        """Builds a program without a mistake when it is first wanted, and takes its time; it has to pass."""
        if program in workshop.programs:
            return
        with self.building:  # one after the other: the second finds in ccache what the first has compiled
            workshop.build_unmutated(program, self.options.jobs)
            key = sha(program.encode(), workshop.programs[program].encode(), self.test_data.encode())
            if key in self.times:
                self.seconds[program] = self.times[key]
            elif program not in self.seconds:
                start = time.monotonic()
                if failure := workshop.test(program, 3600):
                    sys.exit(f"{workshop.last_words()}\nmutate.py: {program} fails without a mistake: {failure}")
                self.seconds[program] = round(time.monotonic() - start, 1)
                print(f"{program} without a mistake: {self.seconds[program]} s", flush=True)
            self.times[key] = self.times[program] = self.seconds[program]
            self.times_file.write_text(json.dumps(self.times))

    def _next(self) -> tuple[Room, Mutant] | None:
        with self.changed:
            while not self.processes.stopped:
                for room in self.rooms:
                    self._take_known(room)
                    if room.queue and room.viable + room.in_flight < room.wanted:
                        room.in_flight += 1
                        return room, room.queue.pop(0)
                if not any(room.queue and room.in_flight and room.viable < room.wanted for room in self.rooms):
                    return None
                self.changed.wait()  # what the others have in hand may prove not viable

    def _work(self, workshop: Workshop):
        try:
            while taken := self._next():
                room, mutant = taken
                start = time.monotonic()
                verdict, by = self._verdict(workshop, room.programs, mutant)
                self.results.add(mutant, verdict, by, time.monotonic() - start, self.partial)
                with self.changed:
                    room.in_flight -= 1
                    room.viable += verdict in VIABLE
                    room.judged.append(mutant)
                    shown = {"caught": f"caught by {by}", "survived": "SURVIVED"}.get(verdict, verdict)
                    where = f"{room.name} {room.viable}/{room.wanted}  {mutant.file}:{mutant.line}"
                    print(f"{where}  {mutant.what}  {shown}", flush=True)
                    self.changed.notify_all()
        except Stopped:
            pass
        except BaseException as error:
            self.failure = self.failure or error
            self.stop()

    def _verdict(self, workshop: Workshop, programs: list[str], mutant: Mutant) -> tuple[str, str]:
        self._unmutated(workshop, programs[0])
        workshop.plant(mutant)
        same = workshop.compiles_as_before(mutant.file)
        if same is not False:
            return "not viable" if same is None else "same code", ""
        differs = False
        for program in programs:
            if program not in workshop.programs:
                self._unmutated(workshop, program)
                workshop.plant(mutant)
            if not workshop.build(program):
                return "not viable", ""
            if workshop.is_as_before(program):
                continue
            differs = True
            if failure := workshop.test(program, 20 + self.options.test_timeout * self.seconds[program]):
                how, case = failure
                return "caught", f"{program} ({how}{': ' + case if case else ''})"
        return ("survived" if differs else "same code"), ""


def in_sample_order(mutants: list[Mutant], seed: int) -> list[Mutant]:
    """At most PER_LINE a line, files in proportion to their mistakes at every point, first lines that had none yet. The
    order of those that stay does not depend on those that come or go."""
    by_file: dict[str, list[Mutant]] = {}
    for m in sorted(mutants, key=lambda m: sha(f"{seed} {m.id}".encode())):
        by_file.setdefault(m.file, []).append(m)
    placed = []
    for file, drawn in by_file.items():
        used, ranked = Counter(), []
        for m in drawn:
            if used[m.line] < PER_LINE:
                ranked.append((used[m.line], len(ranked), m))
            used[m.line] += 1
        ranked.sort(key=lambda entry: entry[:2])
        offset = int(sha(f"{seed} {file}".encode()), 16) / 16**16
        placed += [((k + offset) / len(ranked), file, m) for k, (_, _, m) in enumerate(ranked)]
    return [m for _, _, m in sorted(placed, key=lambda entry: entry[:2])]


def chosen(options, project: Project) -> list[Mutant]:
    """The mistakes that the command line asks for."""
    files = set(project.texts)
    if options.files or options.room:
        named = [Path(f).resolve() for f in options.files]
        for file in named:
            if not any((ROOT / f).is_relative_to(file) for f in files):
                sys.exit(f"mutate.py: {file} is not product code")
        files = {f for f in files if room_of(f) in options.room or any((ROOT / f).is_relative_to(n) for n in named)}
    if options.since is None:
        return [m for f in sorted(files) for m in project.mutants(f)]
    changed = project.lines_since(options.since)
    return [m for f in sorted(files & set(changed)) for m in project.mutants(f)
            if not changed[f].isdisjoint(range(m.line, m.last_line + 1))]


def show(mutant: Mutant):
    print(f"{mutant.file}:{mutant.line}: {mutant.what}\n  - {mutant.before}\n  + {mutant.after}")


def report(rooms: list[Room], listed: Counter, results: Results):
    survivors = [m for room in rooms for m in room.judged if results.records[m.id]["verdict"] == "survived"]
    if survivors:
        print("\nSurvivors:")
        for mutant in survivors:
            show(mutant)
    print(f"\n{'room':17} tried  not viable  same code  listed  viable  caught  survived   rate")
    for room in rooms:
        n = Counter(results.records[m.id]["verdict"] for m in room.judged)
        viable = n["caught"] + n["survived"]
        rate = f"{100 * n['caught'] / viable:5.1f}%" if viable else "     -"
        print(f"{room.name:17} {len(room.judged):5}  {n['not viable']:10}  {n['same code']:9}  {listed[room.name]:6}  {viable:6}"
              f"  {n['caught']:6}  {n['survived']:8}  {rate}")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help="files or folders (default: all rooms)")
    add("--room", nargs="+", default=[], choices=ROOMS, metavar="ROOM", help=f"rooms: {', '.join(ROOMS)}")
    add("--since", metavar="COMMIT", help="only lines that differ from COMMIT, committed or not")
    add("--sample", type=int, metavar="N", help="stop after N viable mistakes per room, in random order")
    add("--seed", type=int, default=1, help="of that order (default: 1)")
    add("--jobs", type=int, default=2, metavar="N", help="mistakes at a time, each with a build folder (default: 2)")
    add("--own", action="store_true", help="run only the room's own test program: quick, but what survives is not final")
    add("--skip", default="", metavar="CASES", help="doctest's --test-case-exclude, to leave out slow cases: the same")
    add("--list", action="store_true", help="print the mistakes and do nothing")
    add("--survivors", action="store_true", help="print what survived in earlier runs and do nothing")
    add("--again", action="store_true", help="try again what has a verdict")
    add("--test-timeout", type=float, default=5, metavar="FACTOR",
        help="a program may take 20 s + FACTOR times what it takes without a mistake (default: 5)")
    add("--data", metavar="DIR", help="the data set's folder (IMGCAP_DATA); without it, tests that want it are skipped")
    add("--work", type=Path, default=ROOT / "build-mutate", metavar="DIR",
        help="for copies, builds and results (default: build-mutate)")
    return parser.parse_args()


def main():
    options = parse_arguments()
    options.work = options.work.resolve()
    project, equivalents = Project(options.work), Equivalents()
    equivalents.report_stale(project)
    mutants, listed = [], Counter()
    for mutant in chosen(options, project):
        if mutant in equivalents:
            listed[room_of(mutant.file)] += 1
        else:
            mutants.append(mutant)

    rooms = []
    for name in ROOMS:
        of_room = [m for m in mutants if room_of(m.file) == name]
        if options.sample is not None:
            of_room = in_sample_order(of_room, options.seed)
        if of_room:
            rooms.append(Room(name, of_room, options.sample))
    if options.list:
        for mutant in (m for room in rooms for m in room.queue):
            show(mutant)
        return

    options.work.mkdir(parents=True, exist_ok=True)
    results = Results(options.work / "results.jsonl", project)
    if options.survivors:
        for mutant in mutants:
            record = results.records.get(mutant.id)
            if record and record["verdict"] == "survived":
                show(mutant)
        return

    lock = open(options.work / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"mutate.py: another run is at work in {options.work}")
    judge = Judge(options, project, results, rooms)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stopped = False
    try:
        judge.run()
    except KeyboardInterrupt:
        stopped = True
    report(rooms, listed, results)
    if stopped:
        sys.exit("stopped; the same command goes on from here")


if __name__ == "__main__":
    main()
