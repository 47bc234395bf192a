"""Writes spacy_exceptions.inc, spacy_characters.inc and lower_case.inc: spaCy's English tokeniser as data.

Run with spaCy 3.8 installed: python imgcap/data/make_spacy_tables.py
The exceptions and character classes are spaCy's (MIT License, see NOTICE.md); the properties of Unicode
characters and str.lower() are Python's (3.11: Unicode 14).
"""

import pathlib
import re
import sys

import spacy
from spacy.attrs import intify_attrs
from spacy.lang import char_classes as cc
from spacy.symbols import ORTH

HERE = pathlib.Path(__file__).parent
HEAD = "// Made by make_spacy_tables.py from spaCy %s; do not edit. spaCy: MIT License, see NOTICE.md.\n// clang-format off\n" % spacy.__version__
nlp = spacy.blank("en")
tokenizer = nlp.tokenizer


def literal(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t").replace("\n", "\\n").replace("\x1f", "\\037").replace("\u00a0", "\\302\\240").replace("??", '?\\?') + '"'


def wrapped(items, width=118):
    lines, line = [], ""
    for item in items:
        if len(line) + len(item) + 2 > width:
            lines.append(line.rstrip())
            line = ""
        line += item + ", "
    return "\n".join(lines + [line.rstrip()]) + "\n"


# Exceptions: the parts of each, joined by U+001F, in code point order of the whole.
rows = []
for key, parts in sorted(tokenizer.rules.items()):
    orths = [nlp.vocab.strings[intify_attrs(p, strings_map=nlp.vocab.strings)[ORTH]] for p in parts]
    assert "".join(orths) == key and "\x1f" not in key
    rows.append(literal("\x1f".join(orths)))
units = [u for u in cc.LIST_UNITS if u]
assert all(re.escape(u) == u or u == "%" for u in units)
currencies = [c.replace("\\", "") for c in cc.LIST_CURRENCY]
(HERE / "spacy_exceptions.inc").write_text(
    HEAD
    + "constexpr const char* kExceptions[] = {\n" + wrapped(rows) + "};\n"
    + "constexpr const char* kUnits[] = {\n" + wrapped(map(literal, units)) + "};\n"
    + "constexpr const char* kCurrencies[] = {\n" + wrapped(map(literal, dict.fromkeys(currencies))) + "};\n",
    encoding="utf-8",
)

# Character classes, from the very expressions that spaCy compiles.
assert tokenizer.token_match is None
dot_class = re.compile(r"[0-9{al}{e}{p}(?:{q})]".format(al=cc.ALPHA_LOWER, e=r"%²\-\+", q=cc.CONCAT_QUOTES, p=cc.PUNCT))
infix = tokenizer.infix_finditer
classes = [
    ("kSpace", lambda c: c.isspace()),
    ("kAlpha", re.compile("[%s]" % cc.ALPHA).match),
    ("kLower", re.compile("[%s]" % cc.ALPHA_LOWER).match),
    ("kUpper", re.compile("[%s]" % cc.ALPHA_UPPER).match),
    ("kQuote", re.compile("[%s]" % cc.CONCAT_QUOTES).match),
    ("kBeforeDot", dot_class.match),
    ("kWord", re.compile(r"\w").match),
    ("kDigit", re.compile(r"\d").match),
    ("kPrefix", lambda c: c != "+" and tokenizer.prefix_search(c)),
    ("kSuffix", tokenizer.suffix_search),
    ("kInfix", lambda c: list(infix(c))),
    # The two properties that str.lower() asks for around a capital sigma.
    ("kCased", lambda c: (c + "Σ").lower().endswith("ς")),
    ("kCaseIgnorable", lambda c: not (c + "Σ").lower().endswith("ς") and ("A" + c + "Σ").lower().endswith("ς")),
]
runs, previous = [], 0
lower = []
for code in range(0x110000):
    flags = 0
    if not 0xD800 <= code <= 0xDFFF:
        c = chr(code)
        for bit, (_, test) in enumerate(classes):
            if test(c):
                flags |= 1 << bit
        small = c.lower()
        if small != c and code != 0x3A3:
            lower.append((code, small))
    if flags != previous:
        runs.append((code, flags))
        previous = flags
checks = "".join("static_assert(%s == 1 << %d);\n" % (name, bit) for bit, (name, _) in enumerate(classes))
(HERE / "spacy_characters.inc").write_text(
    HEAD
    + checks
    + "// A run goes from its first code point to the next run's.\n"
    + "struct CharacterRun { char32_t first; uint16_t flags; };\n"
    + "constexpr CharacterRun kCharacterRuns[] = {\n" + wrapped("{0x%x,0x%x}" % r for r in runs) + "};\n",
    encoding="utf-8",
)

# Lower case: runs of equal distance and step. Only U+0130 becomes two characters; U+03A3 depends on its place.
spans = []
for code, small in lower:
    if code == 0x130:
        assert small == "i\u0307"
        continue
    assert len(small) == 1
    delta = ord(small) - code
    if spans and spans[-1][3] == delta:
        first, last, step, _ = spans[-1]
        gap = code - last
        if gap <= 2 and (first == last or gap == step):
            spans[-1] = (first, code, gap, delta)
            continue
    spans.append((code, code, 1, delta))
(HERE / "lower_case.inc").write_text(
    "// Made by make_spacy_tables.py from Python %d.%d; do not edit.\n// clang-format off\n" % sys.version_info[:2]
    + "// The code points first, first + step, ..., last have their lower case `delta` further.\n"
    + "struct LowerRun { char32_t first, last; int32_t step, delta; };\n"
    + "constexpr LowerRun kLowerRuns[] = {\n" + wrapped("{0x%x,0x%x,%d,%d}" % s for s in spans) + "};\n",
    encoding="utf-8",
)
print(len(rows), "exceptions,", len(runs), "runs,", len(spans), "lower-case runs,", len(units), "units")
