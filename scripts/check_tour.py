#!/usr/bin/env python3
"""Whether the documents still agree with the code: in docs/tour.md each function stands in the file beside it, and an
excerpt of a document (```cpp FILE) stands in its file, "..." on a line of its own being what is left out.

    scripts/check_tour.py [ROOT]
"""
import pathlib
import re
import sys


def functions(text):
    """(function, file) of each row of a table: `one`, `other` | `file`, or as many files as functions."""
    for line in text.splitlines():
        cells = [re.findall(r"`([^`]+)`", cell) for cell in line.split(" | ")[:2]]
        if line.startswith("| `") and len(cells) == 2:
            names, files = cells
            yield from zip(names, files if len(files) == len(names) else files[:1] * len(names))


def has(source, name):
    """Whether it defines or calls the function; of a member that is defined in its class both names are looked for."""
    plain = re.escape(name)
    if re.search(r"\b%s\s*\(" % plain, source):
        return True
    owner, _, member = name.rpartition("::")
    return bool(owner) and bool(re.search(r"\b(class|struct) %s\b" % re.escape(owner), source)) and bool(
        re.search(r"\b%s\s*\(" % re.escape(member), source))


def excerpts(text):
    """(file, the excerpt's pieces) of each block ```cpp FILE."""
    for file, block in re.findall(r"^```cpp (\S+)\n(.*?)^```$", text, re.M | re.S):
        yield file, [piece.strip("\n") for piece in re.split(r"^ *\.\.\.$", block, flags=re.M)]


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)
    wrong, rows, blocks = [], 0, 0

    def source_of(file, where):
        path = root / file
        if path.is_file():
            return path.read_text(encoding="utf-8")
        wrong.append("%s: there is no file %s" % (where, file))
        return None

    for name, file in functions((root / "docs/tour.md").read_text(encoding="utf-8")):
        rows += 1
        source = source_of(file, "docs/tour.md")
        if source is not None and not has(source, name):
            wrong.append("docs/tour.md: %s has no function %s" % (file, name))
    for document in sorted((root / "docs").glob("*.md")):
        where = "docs/" + document.name
        for file, pieces in excerpts(document.read_text(encoding="utf-8")):
            blocks += 1
            source, at = source_of(file, where), 0
            for piece in pieces if source is not None else []:
                at = source.find(piece, at)
                if at < 0:
                    wrong.append("%s: %s does not have, at this place:\n%s" % (where, file, piece))
                    break
                at += len(piece)
    if rows == 0 or blocks == 0:
        wrong.append("no rows or no excerpts were found: %d, %d" % (rows, blocks))
    print("\n".join(wrong) if wrong else "%d functions and %d excerpts are where the documents say" % (rows, blocks))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
