"""YAML and TOML as many hands write it: any spacing, quotes, brackets, and comments wherever one may stand."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import strategies as st

KEYS = ("name", "families", "sources", "estimator", "class", "params", "features", "where", "meta", "tags", "z", "x y")
COMMENTS = ("", "'", '"""', "[", "]", "- x", "k: v", "k = v", "#")
_TEXT = st.text(st.sampled_from("ab1 .:-_#'\"\\[]{},=&*!|>%@`?~é日"), max_size=8)
_PLAIN = (
    "1",
    "1.0",
    "010",
    "no",
    "on",
    "~",
    "true",
    "2013-01-01",
    "a#b",
    "x y",
    "é😀",
    "1%",
    "-1e3",
    ".5",
    "x:y",
    "a'b",
)
_PLAIN_IN_BLOCK = (*_PLAIN, "${var:x}", "a,b", 'say "hi"')
_TOML = (
    *("1", "1_000", "0x1F", "1.0", "-inf", "nan", "true", "2013-01-01", "2013-01-01 10:00:00Z", "07:32:00", "''"),
    *(
        '"a # b"',
        "'it'",
        "'say \"hi\"'",
        r"'c:\x'",
        r'"\u00e9"',
        '"""\n a # x  \n\n "q" """',
        "'''\n'a' '''",
        '""""x""""',
    ),
)


class _Hand:
    """Writes one document; `comments` are those it wrote."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.comments: list[str] = []

    def one_in(self, number: int) -> bool:
        return self.draw(st.integers(1, number)) == number

    def blanks(self) -> str:
        return self.draw(st.sampled_from(["", " ", "  "]))

    def comment(self) -> str:
        self.comments.append(f"# c{len(self.comments)} {self.draw(st.sampled_from(COMMENTS))}".rstrip())
        return self.comments[-1]

    def side(self) -> str:
        return self.draw(st.sampled_from([" ", "  ", "     "])) + self.comment() if self.one_in(5) else ""

    def above(self, indent: int) -> list[str]:
        lines = []
        while self.one_in(4):
            column = self.draw(st.integers(0, indent + 3))
            lines.append(self.blanks() if self.one_in(2) else " " * column + self.comment())
        return lines

    def keys(self, least: int = 1) -> list[str]:
        return self.draw(st.lists(st.sampled_from(KEYS), min_size=least, max_size=4, unique=True))


class _YamlHand(_Hand):
    def __init__(self, draw: Any) -> None:
        super().__init__(draw)
        self.anchors: list[str] = []

    def anchor(self) -> str:
        if not self.one_in(6):
            return ""
        self.anchors.append(f"a-{len(self.anchors)}")
        return f" &{self.anchors[-1]}"

    def alias_or(self, text: str) -> str:
        return f"*{self.draw(st.sampled_from(self.anchors))} " if self.anchors and self.one_in(2) else text

    def quoted(self, text: str) -> str:
        return json.dumps(text, ensure_ascii=False) if self.one_in(2) else "'" + text.replace("'", "''") + "'"

    def key(self, key: str) -> str:
        return key if self.one_in(2) else self.quoted(key)

    def flow(self, depth: int, indent: int) -> str:
        kind = self.draw(st.integers(0, 3 if depth < 3 else 1))
        if kind == 0:
            return self.alias_or(self.draw(st.sampled_from(_PLAIN)))
        if kind == 1:
            return self.quoted(self.draw(_TEXT))
        spread = self.one_in(4)

        def between() -> str:
            if not spread or self.one_in(2):
                return self.blanks()
            return (f"  {self.comment()}" if self.one_in(4) else "") + "\n" + " " * (indent + 2)

        if kind == 2:
            items = [f"{self.key(key)}: {self.flow(depth + 1, indent + 2)}" for key in self.keys()]
        else:
            items = [self.flow(depth + 1, indent + 2) for _ in range(self.draw(st.integers(0, 4)))]
        body = ",".join(between() + item + between() for item in items) + ("," if items and self.one_in(3) else "")
        return f"{{{body}}}" if kind == 2 else f"[{body}]"

    def value(self, depth: int, indent: int, *, item: bool = False) -> tuple[str, list[str]]:
        """Return what follows a colon or a dash on its line, and the lines below."""
        deeper = indent + self.draw(st.integers(1, 4))
        match self.draw(st.integers(0, 8 if depth < 4 else 3)):
            case 0:
                return " " + self.quoted(self.draw(_TEXT)) + self.side(), []
            case 1:
                first, *rest = self.flow(0, indent).split("\n")
                return (" " + first, [*rest[:-1], rest[-1] + self.side()]) if rest else (f" {first}{self.side()}", [])
            case 2:
                return self.side(), []
            case 4:
                lines = self.draw(st.lists(st.sampled_from(["", "  a", "b  ", "# no", "select 1"]), max_size=3))
                header = self.draw(st.sampled_from(["|", ">", "|-", ">-"]))
                return f" {header}{self.side()}", [" " * deeper + line if line else "" for line in ["x", *lines]]
            case 5:
                middle = [""] if self.one_in(3) else []
                if self.one_in(2):
                    return " one two", [*middle, f"{' ' * deeper}three{self.side()}"]
                return ' "one  ', [*middle, f'{" " * deeper}# three"{self.side()}']
            case 6:
                return self.anchor() + self.side(), self.mapping(depth + 1, deeper)
            case 7:
                return self.anchor() + self.side(), self.list(
                    depth + 1, deeper if item else indent + self.draw(st.integers(0, 3))
                )
            case 8 if item:
                gap = self.draw(st.integers(1, 3))
                write = self.mapping if self.one_in(2) else self.list
                first, *rest = write(depth + 1, indent + 1 + gap, behind_dash=True)
                return " " * gap + first.lstrip(), rest
            case _:
                anchor, text = self.anchor(), self.draw(st.sampled_from(_PLAIN_IN_BLOCK))
                return f"{anchor} {text if anchor else self.alias_or(text)}{self.side()}", []

    def mapping(self, depth: int, indent: int, *, behind_dash: bool = False) -> list[str]:
        lines: list[str] = []
        for index, key in enumerate(self.keys()):
            lines += self.above(indent) if index or not behind_dash else []
            rest, below = self.value(depth, indent)
            lines += [f"{' ' * indent}{self.key(key)}:{rest}", *below]
        return lines

    def list(self, depth: int, indent: int, *, behind_dash: bool = False) -> list[str]:
        lines: list[str] = []
        for index in range(self.draw(st.integers(1, 3))):
            lines += self.above(indent) if index or not behind_dash else []
            rest, below = self.value(depth, indent, item=True)
            lines += [f"{' ' * indent}-{rest}", *below]
        return lines


class _TomlHand(_Hand):
    def key(self, key: str) -> str:
        if re.fullmatch(r"[A-Za-z0-9_-]+", key) and self.one_in(2):
            return key
        return json.dumps(key) if self.one_in(2) else f"'{key}'"

    def value(self, depth: int) -> str:
        match self.draw(st.integers(0, 4 if depth < 3 else 1)):
            case 0:
                return self.draw(st.sampled_from(_TOML))
            case 1:
                return json.dumps(self.draw(_TEXT), ensure_ascii=False)
            case 2:
                pairs = [self.pair(key, depth + 1) for key in self.keys(0)]
                return f"{{{','.join(pair + self.blanks() for pair in pairs)}}}"
            case _:
                items = [self.value(depth + 1) for _ in range(self.draw(st.integers(0, 12 if self.one_in(5) else 3)))]
                body = ",".join(self.between() + item + self.between() for item in items)
                return f"[{body}{',' if items and self.one_in(2) else ''}{self.between() if items else ''}]"

    def between(self) -> str:
        if self.one_in(2):
            return self.blanks()
        return self.blanks() + (self.comment() if self.one_in(3) else "") + "\n" + self.blanks()

    def pair(self, key: str, depth: int) -> str:
        dotted = f"{self.blanks()}.{self.blanks()}{self.key('q')}" if self.one_in(6) else ""
        return f"{self.blanks()}{self.key(key)}{dotted}{self.blanks()}={self.blanks()}{self.value(depth)}"

    def table(self) -> list[str]:
        lines = []
        for key in self.keys(0):
            lines += [*self.above(0), self.pair(key, 0) + self.side()]
        return lines

    def header(self) -> str:
        *path, array = self.draw(
            st.sampled_from(
                [
                    ("families", True),
                    ("sources", True),
                    ("families", "estimator", False),
                    ("families", "evaluate", False),
                    ("vars", False),
                    ("defaults", False),
                    ("defaults", "evaluate", False),
                    ("q", "y", False),
                ]
            )
        )
        name = f"{self.blanks()}.{self.blanks()}".join(self.key(str(key)) for key in path)
        name = self.blanks() + name + self.blanks()
        return self.blanks() + (f"[[{name}]]" if array else f"[{name}]") + self.side()


@st.composite
def yaml_documents(draw: Any) -> tuple[str, list[str]]:
    """A YAML text and the comments in it; one in a block text may be part of the text."""
    hand = _YamlHand(draw)
    lines = [*hand.mapping(0, 0), *hand.above(0)]
    return "\n".join(lines) + ("\n" if hand.one_in(2) else ""), hand.comments


@st.composite
def toml_documents(draw: Any) -> tuple[str, list[str]]:
    """A text that is mostly TOML, in which a key may stand twice, and the comments in it."""
    hand = _TomlHand(draw)
    lines = hand.table()
    for _ in range(draw(st.integers(0, 4))):
        lines += [*hand.above(0), hand.header(), *hand.table()]
    return "\n".join([*lines, *hand.above(0)]) + ("\n" if hand.one_in(2) else ""), hand.comments
