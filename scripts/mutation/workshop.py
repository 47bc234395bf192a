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
                self._end(process)
                process.wait()
                self.running.discard(process)
        if self.stopped:
            raise Stopped
        return status

    def stop(self):
        with self.lock:
            self.stopped = True
            for process in list(self.running):
                self._end(process)

    @staticmethod
    def _end(process: subprocess.Popen):
        """Ends the process, and what it left behind."""
        try:
            if process.args[0] == "ninja" and process.poll() is None:
                process.terminate()  # it ends the compilers, which are in groups of their own
                process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(f.read_bytes()).digest() for f in files)).hexdigest()


class Workshop:
    def __init__(self, folder: Path, texts: dict[str, str], processes: Processes, data: str | None, skip: str):
        self.source, self.build_folder = folder / "source", folder / "build"
        self.scratch, self.log = folder / "scratch", folder / "log.txt"
        self.texts, self.processes, self.skip = texts, processes, skip
        self.mutated: str | None = None  # the file that is not as it should be
        self.programs: dict[str, str] = {}  # those that were built without a mistake, and what they looked like
        self.objects: dict[str, tuple[str, str]] = {}  # of a .cc file: the object's name, and what it looked like
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "assets").is_symlink():  # the program looks for them beside its build folder
            (folder / "assets").symlink_to("source/assets")
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

    def sources_of(self, program: str) -> list[str]:
        """The sources that a program is made of, without headers."""
        return [file for path in self._ninja("inputs", program) if (file := self._in_source(path))]

    def build_unmutated(self, program: str, processes: int):
        """Builds a program without a mistake, to compare with later. A mistake that is planted goes."""
        if self.mutated:
            self._write(self.mutated, self.texts[self.mutated])
            self.mutated = None
        self._must(["ninja", "-j", str(processes), program], f"{program} does not build as it is")
        self.programs[program] = self._digest(program)
        built, target = set(self._ninja("inputs", program)), ""  # others may be left from an earlier run's mistake
        for line in self._ninja("deps"):
            if not line.startswith(" "):
                target = line.split(": #deps")[0]
            elif target in built and (file := self._in_source(line.strip())) and file.endswith(".cc"):
                self.objects[file] = target, digest(self.build_folder / target)

    # --- mistakes

    def plant(self, mutant: Mutant):
        if self.mutated not in (None, mutant.file):
            self._write(self.mutated, self.texts[self.mutated])
        self.mutated = mutant.file
        self._write(mutant.file, mutant.apply(self.texts[mutant.file]))

    def compiles_as_before(self, file: str) -> bool | None:
        """Whether what a .cc file is compiled to is what it was; None when it does not compile. False for a header: only the
        programs can tell."""
        if file not in self.objects:
            return False
        target, before = self.objects[file]
        if not self.build(target):
            return None
        return digest(self.build_folder / target) == before

    def build(self, target: str) -> bool:
        command = ["ninja", "-j", "1", target]
        return self.processes.run(command, BUILD_SECONDS, self.log, cwd=self.build_folder, env=self.environment) == 0

    def is_as_before(self, program: str) -> bool:
        return self._digest(program) == self.programs[program]

    def test(self, program: str, seconds: float) -> tuple[str, str] | None:
        """None when the program passes; otherwise what happened and in which test case, as far as it said so."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        limits = ["prlimit", f"--as={8 * GIB}", f"--fsize={2 * GIB}", "--core=0"]
        command = [*limits, self.build_folder / "bin" / program, "--abort-after=1", "--no-intro",
                   f"--test-case-exclude={self.skip}"]
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

    def _write(self, file: str, text: str):
        (self.source / file).write_text(text, newline="")

    def _in_source(self, path: str) -> str:
        """A path as ninja gives it, from the copy's root; "" for what is elsewhere."""
        path, prefix = os.path.normpath(self.build_folder / path), f"{self.source}/"
        return path[len(prefix):] if path.startswith(prefix) else ""

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
