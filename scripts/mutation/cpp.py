"""As much of C++ as it takes to plant small mistakes: tokens, matching brackets, statements, calls. Angle brackets are told
from comparisons by clang-format's spaces: ` < ` compares, `vector<int>` does not.
"""
import re
from dataclasses import dataclass

TOKEN = re.compile(r"""
    (?P<comment>//[^\n]*|/\*.*?\*/)
  | (?P<directive>^[ \t]*\#(?:[^\n]*\\\n)*[^\n]*)
  | (?P<string>(?:u8|[uUL])?R"(?P<mark>[^()\\\s]*)\(.*?\)(?P=mark)"|(?:u8|[uUL])?"(?:\\.|[^"\\\n])*")
  | (?P<char>[uUL]?'(?:\\.|[^'\\\n])+')
  | (?P<number>\.?\d(?:[eEpP][+-]|'?[\w.])*)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<operator><=>|<<=|>>=|->\*|\.\.\.|::|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[^\s\w])
""", re.X | re.S | re.M)

KEYWORDS = set("""alignas alignof auto break case catch class co_return const consteval constexpr continue decltype default
    delete do else enum explicit extern for friend goto if inline mutable namespace new noexcept operator private protected
    public requires return sizeof static static_assert struct switch template throw try typedef typename union using virtual
    volatile while""".split())
PAIRS = {"(": ")", "[": "]", "{": "}", "<": ">"}
BEFORE_BLOCK = {")", "]", "{", "}", ";", ":", "else", "do", "try", "mutable", "noexcept", "const", "override", "final"}


@dataclass(slots=True)
class Token:
    kind: str
    text: str
    start: int
    end: int
    scope: str = ""  # where it stands: "outer" (namespaces, classes), "function" or "list" (braces of values)
    first: int = 0  # the token that its statement starts with
    partner: int = -1  # the bracket that belongs to this one


class Source:
    def __init__(self, text: str):
        self.text = text
        self.tokens = [Token(m.lastgroup if m.lastgroup != "mark" else "string", m[0], m.start(), m.end())
                       for m in TOKEN.finditer(text) if m.lastgroup not in ("comment", "directive")]
        self._match_brackets()
        self._find_scopes()

    def __getitem__(self, i: int) -> str:
        """The text of token i; "" beyond both ends."""
        return self.tokens[i].text if 0 <= i < len(self.tokens) else ""

    def __len__(self):
        return len(self.tokens)

    def span(self, first: int, last: int) -> str:
        """The text from token `first` to token `last`, both included."""
        return self.text[self.tokens[first].start:self.tokens[last].end]

    def partner(self, i: int) -> int:
        return self.tokens[i].partner

    def is_binary(self, i: int) -> bool:
        """Whether operator i has blanks on both sides, and a value before it."""
        token = self.tokens[i]
        spaced = self.text[token.start - 1].isspace() and self.text[token.end:token.end + 1].isspace()
        return spaced and self.is_value(i - 1)

    def is_value(self, i: int) -> bool:
        """Whether token i can be the end of a value."""
        if i < 0:
            return False
        token = self.tokens[i]
        return token.kind in ("number", "string", "char") or token.text in (")", "]", "}") or (
            token.kind == "name" and token.text not in KEYWORDS)

    def arguments(self, opening: int) -> list[tuple[int, int]]:
        """First and last token of each argument between bracket `opening` and its partner."""
        found, first, i = [], opening + 1, opening + 1
        end = self.partner(opening)
        while i < end:
            if self.partner(i) > i:
                i = self.partner(i)
            elif self[i] == ",":
                found.append((first, i - 1))
                first = i + 1
            i += 1
        return found + [(first, end - 1)] if end > opening + 1 else []

    def callee(self, opening: int) -> int:
        """The name before parenthesis `opening`, -1 where this is no call: a control statement, a signature."""
        i = opening - 1
        if self[i] == ">" and 0 <= self.partner(i) < i:
            i = self.partner(i) - 1
        if i < 0 or self.tokens[i].kind != "name" or self[i] in KEYWORDS:
            return -1
        if self.tokens[i].scope == "outer" and not self._in_initializer(i):
            return -1
        return i

    def next_at_level(self, i: int, wanted: set[str]) -> int:
        """The first token from i on that is one of `wanted`, outside of brackets; -1 where an outer bracket ends before."""
        while i < len(self):
            if self[i] in wanted:
                return i
            if self.partner(i) > i:
                i = self.partner(i)
            elif 0 <= self.partner(i) < i:
                return -1
            i += 1
        return -1

    def _in_initializer(self, i: int) -> bool:
        """Whether token i, outside of functions, is behind a `=` or the colon of a constructor."""
        first = self.tokens[i].first
        while i > first:
            i -= 1
            if self[i] == "=" or (self[i] == ":" and self[i - 1] in (")", "noexcept")):
                return True
            if 0 <= self.partner(i) < i:
                i = self.partner(i)
            elif self.partner(i) > i:
                return False
        return False

    def _match_brackets(self):
        opened = []
        for i, token in enumerate(self.tokens):
            if token.kind != "operator":
                continue
            before = self.text[token.start - 1:token.start]
            if token.text in ("(", "[", "{"):
                opened.append(i)
            elif token.text == "<" and self[i - 1] != "operator":
                after = self.text[token.end:token.end + 1]
                if not (before.isspace() and after.isspace()):
                    opened.append(i)
            elif token.text in (">", ">>") and not before.isspace():
                for _ in token.text:
                    if opened and self[opened[-1]] == "<":
                        self._pair(opened.pop(), i)
            elif token.text in (")", "]", "}"):
                while opened and PAIRS[self[opened[-1]]] != token.text:
                    opened.pop()  # a `<` that was no bracket
                if opened:
                    self._pair(opened.pop(), i)

    def _pair(self, opening: int, closing: int):
        self.tokens[opening].partner, self.tokens[closing].partner = closing, opening

    def _find_scopes(self):
        around, first = [("outer", 0)], 0
        for i, token in enumerate(self.tokens):
            if token.text == "}" and len(around) > 1:
                scope, begun = around.pop()
                continues = scope == "list" or self[i + 1] in {")", "]", ",", ";", ".", "("}
                token.scope, token.first = around[-1][0], begun
                first = begun if continues else i + 1
                continue
            token.scope, token.first = around[-1][0], first
            if token.text == "{":
                around.append((self._kind_of_brace(i, first, around[-1][0]), first))
                first = i + 1
            elif token.text == ";":
                first = i + 1

    def _kind_of_brace(self, i: int, first: int, around: str) -> str:
        before = self[i - 1]
        words, j = [], first
        while j < i:
            words.append(self[j])
            j = self.partner(j) + 1 if self.partner(j) > j else j + 1
        if "namespace" in words or words[:1] == ["extern"]:
            return "outer"
        if {"class", "struct", "union", "enum"} & set(words) and not {"(", "="} & set(words):
            return "outer"
        if around == "list" and before in ("{", "}"):
            return "list"
        if before in BEFORE_BLOCK:
            return "function"
        j = i - 1  # over a lambda's or a function's type behind an arrow
        while self.tokens[j].kind == "name" or self[j] in ("::", "*", "&", ">"):
            j = self.partner(j) - 1 if self[j] == ">" else j - 1
        return "function" if self[j] == "->" and self[j - 1] == ")" else "list"
