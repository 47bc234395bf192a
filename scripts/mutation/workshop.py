"""A copy of the project with a build folder of its own, in which one mistake at a time is planted, built and tested."""
import hashlib
import os
import re
import shutil
import signal
import subprocess
import threading
from pathlib import Path

from .mutants import Mutant

GIB = 1 << 30
BUILD_SECONDS = 1200  # for a mistake that keeps the compiler busy for ever


class Stopped(Exception):
    """The user wants to stop."""


class Processes:
    """The processes that run now, each with those that it starts, so that none outlives the program."""

    def __init__(self):
        self.lock, self.running, self.stopped = threading.Lock(), set(), False

    def run(self, command: list, seconds: float, log: Path, **options) -> int | None:
        """The exit status; None when it took longer than `seconds` and was killed. What it says goes to `log`."""
        with open(log, "wb") as out:
            with self.lock:
                if self.stopped:
                    raise Stopped
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                           start_new_session=True, **options)
                self.running.add(process)
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                self._kill(process)  # what it left behind, too
                process.wait()
                self.running.discard(process)
        if self.stopped:
            raise Stopped
        return status

    def stop(self):
        with self.lock:
            self.stopped = True
            for process in list(self.running):
                self._kill(process)

    @staticmethod
    def _kill(process: subprocess.Popen):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(f.read_bytes()).digest() for f in files)).hexdigest()


class Workshop:
    def __init__(self, folder: Path, texts: dict[str, str], processes: Processes, data: str | None):
        self.source, self.build_folder = folder / "source", folder / "build"
        self.scratch, self.log = folder / "scratch", folder / "log.txt"
        self.texts, self.processes = texts, processes
        self.mutated: str | None = None  # the file that is not as it should be
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = {k: v for k, v in os.environ.items() if k != "IMGCAP_DATA"}
        # Jobs share what ccache keeps: it is told to see paths as if all copies were in one place.
        self.environment |= {"CCACHE_BASEDIR": str(folder), "CCACHE_NOHASHDIR": "1", "NINJA_STATUS": ""}
        self.test_environment = self.environment | {"TMPDIR": str(self.scratch), "HOME": str(self.scratch)}
        if data:
            self.test_environment["IMGCAP_DATA"] = data

    # --- the copy and its build

    def refresh(self, root: Path, files: list[str]):
        """Makes the copy equal to `files` of the project. What is equal keeps its time, so builds go on where they were."""
        for old in [p for p in self.source.rglob("*") if p.is_file()]:
            if str(old.relative_to(self.source)) not in files:
                old.unlink()
        for file in files:
            wanted, copy = (root / file).read_bytes(), self.source / file
            if not copy.exists() or copy.read_bytes() != wanted:
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(wanted)  # with the time of now: the copy may have been built with a mistake in it
            shutil.copymode(root / file, copy)

    def configure(self):
        flags = ["-G", "Ninja", "-DIMGCAP_WERROR=OFF", "-DCMAKE_CXX_FLAGS=-w", "-DIMGCAP_BUILD_EXAMPLES=OFF"]
        if shutil.which("ccache"):
            flags.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
        self._must(["cmake", "-S", self.source, "-B", self.build_folder, *flags], "the project cannot be configured")

    def build_baseline(self, programs: list[str]):
        """Builds what is not mutated, and notes what it looks like and what depends on what."""
        self._must(["ninja", "-j", "1", *programs], "the project does not build as it is")
        self.objects = {str(o.relative_to(self.build_folder)): digest(o) for o in self.build_folder.rglob("*.o")}
        self.digests = {program: self._digest(program) for program in programs}
        self.inputs = {program: set(self._ninja("inputs", program)) for program in programs}
        self.dependents: dict[str, list[str]] = {}  # source file -> objects
        for line in self._ninja("deps"):
            if not line.startswith(" "):
                target = line.split(": #deps")[0]
            else:
                path = os.path.normpath(self.build_folder / line.strip())
                if path.startswith(f"{self.source}/"):
                    self.dependents.setdefault(path[len(f"{self.source}/"):], []).append(target)

    def inputs_of(self, program: str) -> set[str]:
        """The sources that a program is made of, without headers. Known before anything is built."""
        prefix = f"{self.source}/"
        paths = (os.path.normpath(self.build_folder / p) for p in self._ninja("inputs", program))
        return {p[len(prefix):] for p in paths if p.startswith(prefix)}

    def uses(self, program: str, file: str) -> bool:
        return any(o in self.inputs[program] for o in self.dependents.get(file, []))

    # --- mistakes

    def plant(self, mutant: Mutant):
        if self.mutated not in (None, mutant.file):
            (self.source / self.mutated).write_text(self.texts[self.mutated], newline="")
        self.mutated = mutant.file
        (self.source / mutant.file).write_text(mutant.apply(self.texts[mutant.file]), newline="")

    def compiles_as_before(self, file: str) -> bool | None:
        """Whether the one object that depends on `file` is what it was; None when it does not compile. False, too, when
        several depend on it: then only the programs can tell."""
        targets = self.dependents.get(file, [])
        if len(targets) != 1:
            return False
        if not self._make(targets[0]):
            return None
        return digest(self.build_folder / targets[0]) == self.objects[targets[0]]

    def build(self, program: str) -> bool:
        return self._make(program)

    def is_as_before(self, program: str) -> bool:
        return self._digest(program) == self.digests[program]

    def test(self, program: str, seconds: float) -> tuple[str, str] | None:
        """None when the program passes; otherwise what happened and in which test case, as far as it said so."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        limits = ["prlimit", f"--as={8 * GIB}", f"--fsize={2 * GIB}", "--core=0"]
        command = [*limits, self.build_folder / "bin" / program, "--abort-after=1", "--no-intro"]
        status = self.processes.run(command, seconds, self.log, cwd=self.scratch, env=self.test_environment)
        shutil.rmtree(self.scratch, ignore_errors=True)
        if status == 0:
            return None
        cases = re.findall(r"^TEST CASE:  (.*)$", self.last_words(), re.M)
        return "time-out" if status is None else "crash" if status < 0 else "failure", cases[-1].strip() if cases else ""

    def last_words(self, size: int = 20000) -> str:
        with open(self.log, "rb") as log:
            log.seek(max(0, os.path.getsize(self.log) - size))
            return log.read().decode(errors="replace")

    # --- ninja

    def _make(self, target: str) -> bool:
        return self.processes.run(["ninja", "-j", "1", target], BUILD_SECONDS, self.log, cwd=self.build_folder,
                                  env=self.environment) == 0

    def _must(self, command: list, complaint: str):
        cwd = self.build_folder if self.build_folder.exists() else self.source
        if self.processes.run(command, 6 * 3600, self.log, cwd=cwd, env=self.environment) != 0:
            raise SystemExit(f"{self.last_words()}\nmutate.py: {complaint}")

    def _ninja(self, tool: str, *arguments: str) -> list[str]:
        output = subprocess.run(["ninja", "-t", tool, *arguments], cwd=self.build_folder, stdout=subprocess.PIPE, text=True,
                                check=True).stdout
        return output.splitlines()

    def _digest(self, program: str) -> str:
        also = ["imgcap"] if program == "test_cli" else []  # its tests run the program
        return digest(*(self.build_folder / "bin" / name for name in [program, *also]))
