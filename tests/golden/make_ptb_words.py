"""The official Treebank words of the texts in ptb_words.jsonl: rewrites the second half of each of its lines.

A line of that file is [text, words]: a text of our own, and the words that pycocoevalcap makes of it, with a
blank between any two, and a line end where the text has one. Each text is read alone, as a file of its own.

    pip install pycocoevalcap       # and Java
    python make_ptb_words.py
"""
import glob
import json
import os
import subprocess
import tempfile

import pycocoevalcap
from pycocoevalcap.tokenizer.ptbtokenizer import PUNCTUATIONS

JAR = glob.glob(os.path.join(list(pycocoevalcap.__path__)[0], "tokenizer", "stanford-corenlp-*.jar"))[0]
GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ptb_words.jsonl")


def words(text, out):
    lines = [[w for w in line.split(" ") if w and w not in PUNCTUATIONS] for line in out.split("\n")]
    if "\n" in text:
        return "\n".join(" ".join(line) for line in lines[:text.count("\n") + 1])
    return " ".join(w for line in lines for w in line)  # U+2028 and its kin end a line of the tool's, too


def official(texts):
    with tempfile.TemporaryDirectory() as folder:
        pairs = [(f"{folder}/{i}.in", f"{folder}/{i}.out") for i in range(len(texts))]
        for text, (name, _) in zip(texts, pairs):
            with open(name, "w", encoding="utf-8", newline="") as file:
                file.write(text + "\n")
        with open(f"{folder}/list", "w") as file:
            file.writelines(f"{a}\t{b}\n" for a, b in pairs)
        command = ["java", "-Dfile.encoding=UTF-8", "-cp", JAR, "edu.stanford.nlp.process.PTBTokenizer"]
        subprocess.run(command + ["-preserveLines", "-lowerCase", "-ioFileList", f"{folder}/list"],
                       capture_output=True, check=True)
        return [words(text, open(b, encoding="utf-8", newline="").read()) for text, (_, b) in zip(texts, pairs)]


def main():
    texts = [json.loads(line)[0] for line in open(GOLDEN, encoding="utf-8")]
    with open(GOLDEN, "w", encoding="utf-8") as file:
        for text, tokens in zip(texts, official(texts)):
            file.write(json.dumps([text, tokens], ensure_ascii=False) + "\n")


main()
