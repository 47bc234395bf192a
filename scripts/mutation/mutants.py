"""The small mistakes: what a tired person types in place of what was meant. One Mutant is one change of one place."""
import hashlib
import re
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass

from .cpp import KEYWORDS, Source

COMPARISONS = {"<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"], "==": ["!="], "!=": ["=="]}
BINARY = COMPARISONS | {"&&": ["||"], "||": ["&&"], "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "%": ["/"],
                        "<<": [">>"], ">>": ["<<"], "&": ["|"], "|": ["&"],
                        "+=": ["-=", "="], "-=": ["+=", "="], "*=": ["/=", "="], "/=": ["*=", "="],
                        "|=": ["&="], "&=": ["|="]}
NAMES = {"true": "false", "false": "true"}
for one, other in [("min", "max"), ("min_element", "max_element"), ("floor", "ceil"), ("front", "back"),
                   ("lower_bound", "upper_bound"), ("any_of", "all_of")]:
    NAMES |= {one: other, other: one}

ASSIGNMENTS = {"=", "+=", "-=", "*=", "/=", "%=", "|=", "&=", "^=", "<<=", ">>="}
SYMMETRIC = {"min", "max", "swap", "add", "mul", "minimum", "maximum"}  # their two arguments can change places
SPEED_ONLY = {"reserve", "shrink_to_fit"}
DECLARATIONS = {"static_assert", "using", "typedef", "friend", "throw", "goto"}  # skipped up to the semicolon
OPERANDS = {"noexcept", "decltype", "alignas", "template", "requires"}  # skipped with the bracket behind them


@dataclass
class Mutant:
    file: str
    line: int  # from 1
    last_line: int
    what: str  # "< -> <="
    first_line: str
    before: str  # the lines, blanks collapsed
    after: str
    start: int
    end: int
    replacement: str
    id: str = ""

    def apply(self, text: str) -> str:
        return text[:self.start] + self.replacement + text[self.end:]


def one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


Defaults = dict[str, list[range]]  # of a function's name: with how many arguments the last may be left out


def default_arguments(texts: list[str]) -> Defaults:
    """Of the functions that are declared in these texts."""
    found: Defaults = {}
    for code in map(Source, texts):
        for i, token in enumerate(code.tokens):
            if token.text == "(" and token.scope == "outer" and code.tokens[i - 1].kind == "name" and code.callee(i) < 0:
                parameters = code.arguments(i)
                needed = [a for a in parameters if not 0 <= code.next_at_level(a[0], {"="}) < a[1]]
                if len(needed) < len(parameters):
                    found.setdefault(code[i - 1], []).append(range(len(needed) + 1, len(parameters) + 1))
    return found


def mutants_of(file: str, text: str, defaults: Defaults) -> list[Mutant]:
    maker = _Maker(file, text, defaults)
    maker.find()
    return maker.named()


class _Maker:
    def __init__(self, file: str, text: str, defaults: Defaults):
        self.file, self.text, self.defaults = file, text, defaults
        self.code = Source(text)
        self.line_starts = [0] + [m.end() for m in re.finditer("\n", text)]
        self.mutants: list[Mutant] = []
        self.skipped = [False] * len(self.code)

    def find(self):
        for i in range(len(self.code)):
            self._skip_from(i)
        for i, token in enumerate(self.code.tokens):
            if self.skipped[i]:
                continue
            if token.kind == "number":
                self._constant(i)
            elif token.kind == "name":
                self._name(i)
            elif token.kind == "operator":
                self._operator(i)
                if token.text == "(" and self.code.callee(i) >= 0:
                    self._call(i)
            if token.scope == "function":
                self._statement(i)

    def named(self) -> list[Mutant]:
        """The mutants with ids that stay when lines move: they stand for the line's text, not its number."""
        lines, seen = Counter(), Counter()
        which = {}  # of the equal lines in the file
        for m in self.mutants:
            if m.line not in which:
                first = self._line_text(m.line)
                which[m.line] = lines[first]
                lines[first] += 1
            again = seen[m.line, m.what]
            seen[m.line, m.what] += 1
            if again:
                m.what += f" #{again + 1}"
            key = f"{m.file}\n{self._line_text(m.line)}\n{which[m.line]}\n{m.what}"
            m.id = hashlib.sha256(key.encode()).hexdigest()[:10]
        return self.mutants

    # --- what is not touched

    def _skip(self, first: int, last: int):
        self.skipped[first:last + 1] = [True] * (last + 1 - first)

    def _skip_from(self, i: int):
        code, text = self.code, self.code[i]
        if text in DECLARATIONS:
            end = code.next_at_level(i, {";"})
            self._skip(i, end if end >= 0 else i)
        elif text in OPERANDS and code.partner(i + 1) > i:
            self._skip(i, code.partner(i + 1))
        elif text == "[" and code[i + 1] == "[":
            self._skip(i, code.partner(i))
        elif text == "(":
            name = code[code.callee(i)] if code.callee(i) >= 0 else ""
            if name in SPEED_ONLY:
                self._skip(i, code.partner(i))
            for first, last in code.arguments(i):  # what goes into a message is not behaviour
                message = code.tokens[first].kind == "string"
                if message and ("{" in code[first] or re.match("check|fail|error", name)):
                    self._skip(first, code.partner(i))
                    break

    # --- one place, one change

    def _add(self, first: int, last: int, replacement: str, what: str):
        start, end = self.code.tokens[first].start, self.code.tokens[last].end
        replacement += "\n" * (self.text.count("\n", start, end) - replacement.count("\n"))  # other lines keep their numbers
        line, last_line = self._line(start), self._line(end - 1)
        before, after = self.line_starts[line - 1], (self.line_starts + [len(self.text)] * 2)[last_line]
        self.mutants.append(Mutant(
            self.file, line, last_line, what, self._line_text(line), one_line(self.text[before:after]),
            one_line(self.text[before:start] + replacement + self.text[end:after]), start, end, replacement))

    def _replace(self, i: int, replacement: str):
        self._add(i, i, replacement, f"{self.code[i]} -> {replacement or 'dropped'}")

    def _line(self, offset: int) -> int:
        return bisect_right(self.line_starts, offset)

    def _line_text(self, line: int) -> str:
        return self.text[self.line_starts[line - 1]:].split("\n", 1)[0].strip()

    def _constant(self, i: int):
        code, text = self.code, self.code[i]
        pure = code[i - 1] == "=" and code[i + 1] == ";" and code[i - 2] in (")", "const", "override", "noexcept")
        if pure and code.tokens[i].scope == "outer":
            return
        hexadecimal = text[:2].lower() == "0x"
        if ("p" in text.lower()) if hexadecimal else re.search(r"[.e]|f$", text, re.I):
            value = float(re.sub(r"[fFlL']", "", text)) if not hexadecimal else None
            self._replace(i, re.sub(r"[\d.]+", "1.0", text, count=1) if value == 0 else f"(10 * {text})")
            if value == 1:
                self._replace(i, re.sub(r"[\d.]+", "0.0", text, count=1))
            return
        digits, suffix = re.fullmatch(r"(0[xX][\da-fA-F']+|[\d']+)([uUlLzZ]*)", text).groups()
        base = 16 if hexadecimal else 8 if digits[0] == "0" and len(digits) > 1 else 10
        value = int(digits.replace("'", ""), base)
        self._replace(i, f"{value + 1:#x}{suffix}" if hexadecimal else f"{value + 1}{suffix}")
        if value == 1:
            self._replace(i, f"0{suffix}")

    def _name(self, i: int):
        code, text = self.code, self.code[i]
        called = code[i + 1] in ("(", "<")
        if text in NAMES and (called or text in ("true", "false")):
            self._replace(i, NAMES[text])
        elif text in ("if", "while") and code[i + 1] == "(":
            self._condition(i)

    def _condition(self, i: int):
        """Of `if (...)` and `while (...)`: negated; an if's made constant, too."""
        code = self.code
        first, last = i + 2, code.partner(i + 1) - 1
        semicolon = code.next_at_level(first, {";"})
        if 0 <= semicolon < last:
            first = semicolon + 1
        if 0 <= code.next_at_level(first, {"="}) < last:
            return  # declares what it tests
        binary = [code[j] for j in range(first, last + 1) if code[j] in BINARY and code.is_binary(j)]
        if code[first] == "!" and not binary or len(binary) == 1 and binary[0] in COMPARISONS:
            pass  # comes with the operator
        else:
            condition = code.span(first, last)
            self._add(first, last, f"!({condition})" if binary else f"!{condition}", "condition -> negated")
        if code[i] == "if":
            self._add(first, last, "false", "condition -> false")
            self._add(first, last, "true", "condition -> true")

    def _operator(self, i: int):
        code, text = self.code, self.code[i]
        if text in BINARY and code.partner(i) < 0 and code.is_binary(i):
            joins_text = text in ("+", "+=") and "string" in (code.tokens[i - 1].kind, code.tokens[i + 1].kind)
            endless = text in ASSIGNMENTS and self._in_for_header(i)
            if not joins_text and not endless:
                for other in BINARY[text]:
                    self._replace(i, other)
        elif text == "-" and not code.is_value(i - 1) or text == "!":
            if code[i - 1] != "operator":
                self._replace(i, "")
        elif text in ("++", "--") and not self._in_for_header(i) and code[i - 1] != "operator":
            self._replace(i, "--" if text == "++" else "++")
        elif text == "?":
            self._branches(i)

    def _in_for_header(self, i: int) -> bool:
        j = i
        while j > 0 and self.code[j] not in ("{", "}"):
            j -= 1
            if 0 <= self.code.partner(j) < j:
                j = self.code.partner(j)
            elif self.code[j] == "(" and self.code[j - 1] == "for":
                return True
        return False

    def _branches(self, question: int):
        code, depth, i = self.code, 0, question + 1
        while i >= 0 and (depth or code[i] != ":"):
            depth += {"?": 1, ":": -1}.get(code[i], 0)
            i = code.next_at_level(i + 1, {"?", ":", ";"})
            if code[i] == ";":
                return
        if i < 0:
            return
        end = i + 1
        while end < len(code) and code[end] not in (",", ";", ")", "]", "}"):
            end = code.partner(end) + 1 if code.partner(end) > end else end + 1
        yes, no = code.span(question + 1, i - 1), code.span(i + 1, end - 1)
        if yes != no:
            self._add(question + 1, end - 1, f"{no} : {yes}", "branches -> swapped")

    def _call(self, opening: int):
        """Neighbouring arguments swapped; the last one left out, where a function of that name has a default."""
        code = self.code
        callee = code.callee(opening)
        arguments = [a for a in code.arguments(opening)]
        texts = [code.span(*a) for a in arguments]
        fixed = [self.skipped[a[0]] or code.tokens[a[0]].kind == "string" or code[a[0]] in ("[", "ErrorKind")
                 or "ErrorKind::" in text for a, text in zip(arguments, texts)]
        if code[callee] not in SYMMETRIC:
            for k in range(len(arguments) - 1):
                if not fixed[k] and not fixed[k + 1] and texts[k] != texts[k + 1]:
                    between = self.text[code.tokens[arguments[k][1]].end:code.tokens[arguments[k + 1][0]].start]
                    self._add(arguments[k][0], arguments[k + 1][1], texts[k + 1] + between + texts[k],
                              f"arguments {k + 1}, {k + 2} -> swapped")
        declared = callee - 1 if code.is_value(callee - 1) and code.tokens[callee - 1].kind == "name" else callee
        if arguments and not fixed[-1] and any(len(arguments) in r for r in self.defaults.get(code[declared], [])):
            first = arguments[-2][1] + 1 if len(arguments) > 1 else arguments[-1][0]  # with the comma before it
            self._add(first, arguments[-1][1], "", f"argument {len(arguments)} -> dropped")

    def _statement(self, i: int):
        """Drops the statement that starts with token i: a call, an assignment, break or continue."""
        code, before = self.code, self.code[i - 1]
        after_control = before == ")" and code[code.partner(i - 1) - 1] in ("if", "for", "while", "constexpr")
        if not (before in (";", "{", "}", "else", "do") or after_control) or self._in_for_header(i):
            return
        if code[i] in ("break", "continue"):
            self._add(i, i, "", f"{code[i]} -> dropped")
            return
        end = code.next_at_level(i, {";"})
        if end > i and self._acts(i, end):
            self._add(i, end - 1, "", "statement -> dropped")

    def _acts(self, i: int, end: int) -> bool:
        """Whether the statement from token i to the semicolon `end` does something, and declares nothing."""
        code, called, name = self.code, False, ""
        while code[i] in ("++", "--", "*", "("):
            if code[i] != "(":
                called = called or code[i] != "*"
                i += 1
            else:
                i = code.partner(i) + 1
        while i < end:
            token = code.tokens[i]
            if token.kind == "name" and token.text not in KEYWORDS:
                if i > 0 and code.tokens[i - 1].kind == "name" or code[i - 1] in (">", "&", "&&"):
                    return False  # a type before it
                name = token.text
            elif token.text in ("(", "[", "<", "{") and code.partner(i) > i:
                called = called or token.text == "("
                i = code.partner(i)
            elif token.text in ASSIGNMENTS or token.text in ("++", "--", "?", "<<", ">>", "&&", "||"):
                return code.is_binary(i) or token.text in ("++", "--", "?")
            elif token.text not in (".", "->", "::", "]", "}"):
                return False
            i += 1
        return called and name not in SPEED_ONLY
