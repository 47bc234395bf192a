"""Writes ptb_characters.inc: how the official Treebank tokeniser treats each character of Unicode's first plane.

Observed, not copied: the tool of pycocoevalcap reads a few short lines for each character.

    pip install pycocoevalcap       # and Java
    python make_ptb_characters.py > ptb_characters.inc
"""
import glob
import os
import subprocess
import tempfile
import unicodedata

import pycocoevalcap

JAR = glob.glob(os.path.join(list(pycocoevalcap.__path__)[0], "tokenizer", "stanford-corenlp-*.jar"))[0]
LINE_ENDS = {0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029}


def tokens(lines):
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="\n") as file:
        file.write("\n".join(lines))
        file.flush()
        command = ["java", "-Dfile.encoding=UTF-8", "-cp", JAR, "edu.stanford.nlp.process.PTBTokenizer"]
        out = subprocess.run(command + ["-preserveLines", "-lowerCase", file.name], capture_output=True, check=True)
    return [line.split(" ") for line in out.stdout.decode().split("\n")]


def main():
    codes = [c for c in range(0x80, 0x10000) if not 0xD800 <= c < 0xE000 and c not in LINE_ENDS]
    probes = ["x{}y", "{}", "5{}5", "{}y", "no. {}", "q"]
    seen = tokens([probe.format(chr(c)) for c in codes for probe in probes])
    classes = {}
    for i, c in enumerate(codes):
        inside, alone, between, first, counts, _ = seen[i * len(probes):(i + 1) * len(probes)]
        glues = len(inside) == 1 and len(inside[0]) > 2
        begins = len(first) == 1 and len(first[0]) > 1
        if glues and begins:
            classes[c] = "digit" if counts[0] == "no." else "letter" if len(between) == 1 else "mark"
        elif alone != [""]:
            classes[c] = "sign"
        elif glues:
            classes[c] = "hyphen"
    # A gap that no version of Unicode uses may belong to either side.
    spans = []
    for c in range(0x80, 0x10000):
        kind = classes.get(c)
        if kind and spans and spans[-1][2] == kind and all(
                unicodedata.category(chr(gap)) in ("Cn",) for gap in range(spans[-1][1] + 1, c)):
            spans[-1][1] = c
        elif kind:
            spans.append([c, c, kind])
    print("// Written by make_ptb_characters.py: {first, last, class}.")
    line = ""
    for first, last, kind in spans:
        entry = f"{{0x{first:X}, 0x{last:X}, Class::{kind}}}, "
        if len(line) + len(entry) > 110:
            print(line.rstrip())
            line = ""
        line += entry
    print(line.rstrip())


main()
