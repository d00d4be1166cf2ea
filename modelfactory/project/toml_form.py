"""The canonical form of a TOML text.

The text is taken apart into tables, keys and values that own their comments, and written anew. Numbers, dates and texts
of several lines are copied as they are.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from modelfactory.project.layout import (
    INDENT,
    WIDTH,
    CannotFormat,
    Comment,
    KeyOrder,
    Line,
    add_blank,
    add_comments,
    head_and_lead,
    part,
    rendered,
)

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^\s,\]}#]+(?:[ \t]+\d{2}:[^\s,\]}#]+)?")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{1,2}(?!"))?'
    r"|'''.*?'''(?:'{1,2}(?!'))?"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)


@dataclass(slots=True)
class _Array:
    """A list in brackets; spread if it was written over several lines with a comma at its end."""

    items: list[_Item] = field(default_factory=list)
    foot: list[Comment] = field(default_factory=list)
    spread: bool = False


@dataclass(slots=True)
class _Table:
    """A table in braces."""

    pairs: list[_Item] = field(default_factory=list)


_Value = str | _Array | _Table


@dataclass(slots=True)
class _Item:
    """A key with its value, or an item of a list, with the comments that belong to it."""

    value: _Value
    key: tuple[str, ...] = ()
    blank: bool = False
    lead: list[Comment] = field(default_factory=list)
    side: Comment | None = None


@dataclass(slots=True)
class _Section:
    """A header with the pairs below it; the first of a document has no header."""

    path: tuple[str, ...] = ()
    array: bool = False
    lead: list[Comment] = field(default_factory=list)
    blank: bool = False
    side: Comment | None = None
    pairs: list[_Item] = field(default_factory=list)
    foot: list[Comment] = field(default_factory=list)


def formatted(text: str, order: KeyOrder, *, reorder: bool = True) -> str:
    """Return the canonical form of a text.

    Args:
        text: TOML that is read without error.
        order: the order of its keys.
        reorder: put keys and tables in order.

    Raises:
        CannotFormat: there is something in it that has no canonical form.
    """
    return _Writer(_Reader(text), reorder=reorder).written(order)


def comments(text: str) -> list[str]:
    """Return the comments of a text."""
    return [comment.text for comment in _Reader(text).comments]


class _Reader:
    """A text taken apart; what is written in it is valid, or it would not have been read before."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.comments: list[Comment] = []
        self.sections = list(self._sections())

    def _sections(self) -> Iterator[_Section]:
        section = _Section()
        while True:
            comments, blank = self._blank()
            if self.at == len(self.text):
                section.foot += comments
                yield section
                return
            if self.text[self.at] == "[":
                section.foot, lead = _foot_and_lead(comments, blank=blank)
                yield section
                array = self.text.startswith("[[", self.at)
                self._skip("[[" if array else "[")
                section = _Section(self._keys(), array, lead, blank)
                self._skip("]]" if array else "]")
                section.side = self._side()
            else:
                section.pairs.append(self._pair(comments, blank=blank))
                section.pairs[-1].side = self._side()

    def _pair(self, lead: list[Comment], *, blank: bool) -> _Item:
        key = self._keys()
        self._skip("=")
        return _Item(self._value(), key, blank, lead)

    def _keys(self) -> tuple[str, ...]:
        keys = [self._key()]
        while self._next() == ".":
            self._skip(".")
            keys.append(self._key())
        return tuple(keys)

    def _key(self) -> str:
        """Return a key as it is to be written."""
        found = self._match(_STRING if self._next() in "\"'" else _BARE)
        if found[0] not in "\"'":
            return found
        (name,) = tomllib.loads(f"{found} = 0")
        return name if _BARE.fullmatch(name) else _requoted(found)

    def _value(self) -> _Value:
        match self._next():
            case "[":
                return self._array()
            case "{":
                return self._table()
            case '"' | "'":
                return _requoted(self._match(_STRING))
            case _:
                return self._match(_SCALAR)

    def _array(self) -> _Array:
        array, start, comma = _Array(), self.at, False
        self._skip("[")
        while True:
            comments, blank = self._blank()
            if self.text[self.at] == "]":
                break
            array.items.append(_Item(self._value(), blank=blank, lead=comments))
            side, _ = self._blank(lines=False)
            comma = self.text[self.at] == ","
            if comma:
                self.at += 1
                side += self._blank(lines=False)[0]
            # Before the comma, or before the bracket, a comment may stand on any line; the last one is beside the item.
            array.items[-1].lead += side[:-1]
            array.items[-1].side = side[-1] if side else None
        array.foot = comments
        array.spread = comma and "\n" in self.text[start : self.at]
        if comments and not array.items:
            raise CannotFormat("a comment stands inside an empty list")
        self._skip("]")
        return array

    def _table(self) -> _Table:
        table = _Table()
        self._skip("{")
        while self._next(lines=True) != "}":
            table.pairs.append(self._pair([], blank=False))
            if self._next(lines=True) == ",":
                self._skip(",")
        self._skip("}")
        return table

    # The text ----------------------------------------------------------------------------------------------------

    def _blank(self, *, lines: bool = True) -> tuple[list[Comment], bool]:
        """Go to the next thing; return the comments before it, and whether a blank line stands right above it.

        Args:
            lines: go over the ends of lines too; otherwise only to the end of a comment beside something.
        """
        comments = []
        breaks = 0
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == "#":
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                start = self.text.rfind("\n", 0, self.at) + 1
                own = not self.text[start : self.at].strip()
                comment = Comment(
                    self.at, self.text[self.at : end].rstrip(), self.at - start, own, own and self._is_blank(start - 1)
                )
                comments.append(comment)
                self.comments.append(comment)
                self.at = end
                breaks = 0
            elif character == "\n" and not lines and not self._comma_follows():
                break
            elif character in " \t\n":
                breaks += character == "\n"
                self.at += 1
            else:
                break
        start = self.text.rfind("\n", 0, self.at) + 1
        return comments, not self.text[start : self.at].strip() and self._is_blank(start - 1)

    def _comma_follows(self) -> bool:
        """Say whether a comma is the next thing but for comments, on another line."""
        found = re.compile(r"(?:\s|#[^\n]*)*").match(self.text, self.at)
        return found is not None and self.text[found.end() : found.end() + 1] == ","

    def _is_blank(self, end: int) -> bool:
        """Say whether the line that ends at `end` is blank."""
        return end >= 0 and not self.text[self.text.rfind("\n", 0, end) + 1 : end].strip()

    def _side(self) -> Comment | None:
        comments, _ = self._blank(lines=False)
        return comments[0] if comments else None

    def _next(self, *, lines: bool = False) -> str:
        comments, _ = self._blank(lines=lines)
        if comments:
            raise CannotFormat("a comment stands inside a table in braces")
        return self.text[self.at]

    def _skip(self, mark: str) -> None:
        self._next(lines=True)
        self.at += len(mark)

    def _match(self, pattern: re.Pattern[str]) -> str:
        self._next()
        found = pattern.match(self.text, self.at)
        if found is None:
            raise CannotFormat(f"it is not understood at offset {self.at}")
        self.at = found.end()
        return found[0]


def _foot_and_lead(comments: list[Comment], *, blank: bool) -> tuple[list[Comment], list[Comment]]:
    """Part the comments before a header into those that end the table above and those of the header.

    Args:
        comments: the comments between the last pair and the header.
        blank: a blank line parts them from the header.
    """
    first = next((i for i, comment in enumerate(comments) if comment.blank), len(comments) if blank else 0)
    return comments[:first], comments[first:]


def _requoted(text: str) -> str:
    """Return a text in double quotes, unless that takes escapes or it has several lines."""
    plain = text[0] == "'" and not text.startswith("'''") and not re.search(r'["\\]', text)
    return f'"{text[1:-1]}"' if plain else text


class _Writer:
    """Writes what was read in its canonical form."""

    def __init__(self, read: _Reader, *, reorder: bool) -> None:
        self.top, *self.sections = read.sections
        self.reorder = reorder

    def written(self, order: KeyOrder) -> str:
        lines: list[Line] = []
        top = self.top
        entries: list[_Item | _Section] = [*top.pairs, *([] if top.foot else self.sections)]
        first = entries[0] if entries else _Item("")
        head, first.lead = head_and_lead(first.lead, blank=first.blank)
        first.blank = first.blank and not head
        add_comments(lines, head, 0)
        add_blank(lines)
        pinned = bool(first.lead and not head)  # they may be meant for the file or for the key: both stay there
        self._pairs(lines, top, order, pinned=pinned)
        for section in self._ordered(self.sections, 0, order, pinned=pinned and not top.pairs):
            self._section(lines, section, order)
        return rendered(lines)

    def _ordered(
        self, sections: list[_Section], depth: int, order: KeyOrder, *, pinned: bool = False
    ) -> Iterable[_Section]:
        """Return the tables in order; what is below a table stays below it.

        Args:
            sections: tables whose paths agree up to `depth`.
            depth: which part of the paths decides.
            order: the order of that part.
            pinned: the first of them stays the first.
        """
        if not self.reorder:
            return sections
        blocks: list[list[_Section]] = []
        for section in sections:
            own = len(section.path) == depth + 1
            if own or not blocks or blocks[-1][0].path[: depth + 1] != section.path[: depth + 1]:
                blocks.append([])
            blocks[-1].append(section)
        first = blocks[0] if pinned else None
        ordered = []
        for block in sorted(blocks, key=lambda b: (b is not first, order.rank(b[0].path[depth]))):
            heads = 1 if len(block[0].path) == depth + 1 else 0
            ordered += block[:heads]
            ordered += self._ordered(block[heads:], depth + 1, order.below(block[0].path[depth]))
        return ordered

    def _section(self, lines: list[Line], section: _Section, order: KeyOrder) -> None:
        start = len(lines)
        add_comments(lines, section.lead, 0)
        if section.blank:
            add_blank(lines)
        header = ".".join(section.path)
        lines.append(Line(f"[[{header}]]" if section.array else f"[{header}]", section.side))
        part(lines, start)
        for key in section.path:
            order = order.below(key)
        below: list[Line] = []
        self._pairs(below, section, order, pinned=False)
        lines += below

    def _pairs(self, lines: list[Line], section: _Section, order: KeyOrder, *, pinned: bool) -> None:
        for pair in self._sorted(section.pairs, order, pinned=pinned):
            add_comments(lines, pair.lead, 0)
            if pair.blank:
                add_blank(lines)
            written = self._pair(pair, 0, order)
            lines += [*written[:-1], Line(written[-1].text, pair.side)]
        add_comments(lines, section.foot, 0)

    def _sorted(self, pairs: list[_Item], order: KeyOrder, *, pinned: bool = False) -> list[_Item]:
        if not self.reorder:
            return pairs
        first = pairs[0] if pinned and pairs else None
        return sorted(pairs, key=lambda pair: (pair is not first, order.rank(pair.key[0])))

    def _pair(self, pair: _Item, indent: int, order: KeyOrder, *, before: int = 0) -> list[Line]:
        head = f"{'.'.join(pair.key)} = "
        for key in pair.key:
            order = order.below(key)
        first, *rest = self._value(pair.value, indent, before + len(head), order)
        return [Line(head + first.text, first.side), *rest]

    def _value(self, value: _Value, indent: int, before: int, order: KeyOrder) -> list[Line]:
        """Write a value; its first line goes on from one that has `before` columns already."""
        match value:
            case str():
                return [Line(line) for line in value.split("\n")]
            case _Table():
                return self._table(value, indent, before, order)
            case _Array():
                return self._array(value, indent, before, order)

    def _table(self, table: _Table, indent: int, before: int, order: KeyOrder) -> list[Line]:
        if not table.pairs:
            return [Line("{}")]
        lines = [Line("{")]
        for index, pair in enumerate(self._sorted(table.pairs, order)):
            last = lines[-1].text + (" " if index == 0 else ", ")
            column = len(last) + (before if len(lines) == 1 else 0)
            first, *rest = self._pair(pair, indent, order, before=column)
            lines[-1:] = [Line(last + first.text, first.side), *rest]
        lines[-1] = Line(lines[-1].text + " }")
        return lines

    def _array(self, array: _Array, indent: int, before: int, order: KeyOrder) -> list[Line]:
        commented = array.foot or any(item.lead or item.side for item in array.items)
        if not commented and not array.spread:
            items = [self._value(item.value, indent, 0, order) for item in array.items]
            text = f"[{', '.join(item[0].text for item in items)}]"
            if not array.items or (all(len(item) == 1 for item in items) and before + len(text) <= WIDTH):
                return [Line(text)]
        blanks = " " * (indent + INDENT)
        lines: list[Line] = []
        for item in array.items:
            add_comments(lines, item.lead, indent + INDENT)
            if item.blank:
                add_blank(lines)
            first, *rest = self._value(item.value, indent + INDENT, len(blanks) + 1, order)
            lines += [Line(blanks + first.text, first.side), *rest]
            lines[-1] = Line(lines[-1].text + ",", item.side)
        add_comments(lines, array.foot, indent + INDENT)
        return [Line("["), *lines, Line(" " * indent + "]")]
