"""The canonical form of a YAML text.

The text is taken apart by the parser's own marks into entries that own their comments, and written anew. What stands
inside a scalar is copied, not written: only the quotes of a text on one line may change.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

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
from modelfactory.project.yaml12 import YamlLoader

_PROPERTY = r"[&!][^\s,\[\]{}]*\s*"
_OTHER_BREAKS = re.compile("[\r\x85\u2028\u2029\ufeff]")
_BLOCK_HEADER = re.compile(r"[|>][-+0-9]*")
_INDICATORS = "-?:,[]{}#&*!|>'\"%@`"
_LONGEST_KEY = 100


@dataclass(slots=True, eq=False)
class _Scalar:
    """A scalar or an alias: the text as it is written, without its anchor and tag."""

    text: str
    value: str
    style: str
    properties: str = ""
    lines: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class _Collection:
    """A mapping or a list."""

    start: int
    column: int
    mapping: bool
    flow: bool
    properties: str = ""
    parent: _Entry | None = None
    end: int = 0
    entries: list[_Entry] = field(default_factory=list)
    foot: list[Comment] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.properties and self.parent is None:
            raise CannotFormat("the whole file has an anchor or a tag")


@dataclass(slots=True, eq=False)
class _Entry:
    """A key and its value, or an item of a list, with the comments that belong to it."""

    start: int
    owner: _Collection
    blank: bool
    key: _Scalar | None = None
    value: _Scalar | _Collection | None = None
    lead: list[Comment] = field(default_factory=list)
    side: list[Comment] = field(default_factory=list)
    below: list[Comment] = field(default_factory=list)


def formatted(text: str, order: KeyOrder, *, reorder: bool = True) -> str:
    """Return the canonical form of a text.

    Args:
        text: YAML that is read without error, with a mapping at its top.
        order: the order of its keys.
        reorder: put keys in order.

    Raises:
        CannotFormat: there is something in it that has no canonical form.
    """
    return _Writer(_Tree(text), reorder=reorder).written(order)


def comments(text: str) -> list[str]:
    """Return the comments of a text."""
    return [comment.text for comment in _Tree(text).comments]


class _Tree:
    """A text taken apart."""

    def __init__(self, text: str) -> None:
        if _OTHER_BREAKS.search(text):
            raise CannotFormat("it holds a line break other than a newline")
        self.text = text
        self.at = 0
        self.line_starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self.comments: list[Comment] = []
        self.entries: list[_Entry] = []
        self.flows: list[_Collection] = []
        self.opening: int | None = None
        self.head: list[Comment] = []
        self.events = yaml.parse(text, Loader=YamlLoader)
        self.root = self._document()
        for comment in self.comments:
            self._attach(comment)

    # Taking apart ------------------------------------------------------------------------------------------------

    def _document(self) -> _Collection:
        next(self.events)
        start: Any = next(self.events)
        if start.version or start.tags:
            raise CannotFormat("it holds a directive")
        if start.explicit:
            self.opening = _span(start)[0]
        root = self._node(next(self.events), None)
        if not isinstance(root, _Collection):
            raise CannotFormat("it holds no mapping")
        self._pass(len(self.text))
        return root

    def _node(self, event: yaml.Event, parent: _Entry | None) -> _Scalar | _Collection:
        if isinstance(event, yaml.CollectionStartEvent):
            return self._collection(event, parent)
        if isinstance(event, yaml.AliasEvent):
            start, end = _span(event)
            self._pass(start, end)
            return _Scalar(self.text[start:end], self.text[start:end], "*")
        assert isinstance(event, yaml.ScalarEvent)
        return self._scalar(event)

    def _collection(self, event: yaml.CollectionStartEvent, parent: _Entry | None) -> _Collection:
        start, _ = _span(event)
        properties = self._properties(event)
        mapping = isinstance(event, yaml.MappingStartEvent)
        collection = _Collection(
            start, self._column(start), mapping, bool(event.flow_style), " ".join(properties.split()), parent
        )
        while not isinstance(inside := next(self.events), yaml.CollectionEndEvent):
            collection.entries.append(self._entry(inside, collection))
        _, collection.end = _span(inside)
        if not collection.flow:  # it begins behind its anchor
            collection.column = self._column(collection.entries[0].start)
        else:
            self._pass(collection.end)
            self.flows.append(collection)
        return collection

    def _entry(self, event: yaml.Event, owner: _Collection) -> _Entry:
        start, _ = _span(event)
        if not owner.mapping and not owner.flow:
            start = self._dash(start)
        line = self._line(start)
        first_on_line = not self.text[self.line_starts[line] : start].strip()
        entry = _Entry(start, owner, first_on_line and self._is_blank(line - 1))
        if not owner.flow:
            self.entries.append(entry)
        if owner.mapping:
            key = self._node(event, entry)
            if not isinstance(key, _Scalar) or key.lines or (key.style == "" and not key.text):
                raise CannotFormat("it holds a key that is empty or takes several lines")
            entry.key = key
            event = next(self.events)
        entry.value = self._node(event, entry)
        return entry

    def _scalar(self, event: yaml.ScalarEvent) -> _Scalar:
        start, end = _span(event)
        properties = self._properties(event)[: end - start]  # an anchor may stand on nothing
        if "\n" in properties or "#" in properties:
            raise CannotFormat("an anchor or a tag stands on another line than its value")
        start += len(properties)
        text, style = self.text[start:end], event.style or ""
        lines: tuple[str, ...] = ()
        if style and style in "|>":
            found = _BLOCK_HEADER.match(text)
            header = found[0] if found else ""
            if "+" in header:
                raise CannotFormat(f"a text with `{header}` keeps the blank lines behind it")
            self._pass(start, start + len(header))
            self._pass(start + text.index("\n") if "\n" in text else end, end)
            lines = tuple(_dedented(text.split("\n")[1:], event.value))
            text = re.sub(r"[0-9]", str(INDENT), header)
            if event.value and not event.value.endswith("\n") and "-" not in header:
                text += "-"  # the file ends without a newline, and will not
        else:
            self._pass(start, end)
            if "\n" in text:
                lines = tuple(line.strip(" \t") for line in text.split("\n"))
                if style == '"' and any(re.search(r"(?<!\\)(?:\\\\)*\\[ \t]*$", line) for line in lines):
                    raise CannotFormat("a text in quotes has an escaped line end")
        return _Scalar(text, event.value, style, " ".join(properties.split()), lines)

    def _properties(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> str:
        """Return anchor and tag with the blanks behind them."""
        count = (event.anchor is not None) + (event.tag is not None and event.tag != "")
        found = re.compile(rf"(?:{_PROPERTY}){{{count}}}").match(self.text, _span(event)[0])
        return found[0] if found else ""

    def _dash(self, start: int) -> int:
        """Return where the dash of an item stands."""
        found = [m.start() for m in re.finditer(r"#[^\n]*|-", self.text[self.at : start]) if m[0] == "-"]
        return self.at + found[-1]

    def _pass(self, start: int, end: int | None = None) -> None:
        """Gather the comments before `start`, and go on behind `end`."""
        for found in re.finditer(r"#[^\n]*", self.text[self.at : start]):
            index = self.at + found.start()
            line = self._line(index)
            own = not self.text[self.line_starts[line] : index].strip()
            self.comments.append(
                Comment(index, found[0].rstrip(), self._column(index), own, own and self._is_blank(line - 1))
            )
        self.at = max(self.at, start if end is None else end)

    def _line(self, index: int) -> int:
        return bisect.bisect_right(self.line_starts, index) - 1

    def _column(self, index: int) -> int:
        return index - self.line_starts[self._line(index)]

    def _is_blank(self, line: int) -> bool:
        return line >= 0 and not self.text[self.line_starts[line] : self.line_starts[line + 1]].strip()

    # Comments ----------------------------------------------------------------------------------------------------

    def _attach(self, comment: Comment) -> None:
        """Give a comment to the entry it stands beside, above or below, or to the foot of a block."""
        around = (flow for flow in self.flows if flow.start < comment.start < flow.end)
        flow = max(around, key=lambda flow: flow.start, default=None)
        near = flow.entries if flow else self.entries
        split = bisect.bisect(near, comment.start, key=lambda entry: entry.start)
        before, after = near[split - 1] if split else None, near[split] if split < len(near) else None
        if self.opening is not None and comment.start < self.opening:
            self.head.append(comment)
        elif before is not None and not comment.own_line:
            before.side.append(comment)
        elif flow is not None:
            if not flow.entries:
                raise CannotFormat("a comment stands inside an empty list or mapping")
            (after.lead if after else flow.foot).append(comment)
        elif before is None:
            (after.lead if after else self.head if comment.start < self.root.start else self.root.foot).append(comment)
        else:
            self._home(comment, before, after).append(comment)

    def _home(self, comment: Comment, before: _Entry, after: _Entry | None) -> list[Comment]:
        """Return where a comment on a line of its own belongs; as for a reader, its column decides."""
        around = list(_blocks_around(after)) if after else []
        if after is not None and any(block.parent is before for block in around):
            return after.lead
        block_text = isinstance(before.value, _Scalar) and before.value.style in ("|", ">")
        if comment.column > before.owner.column and not block_text:  # below a block text it would be part of it
            return before.below
        for block in _blocks_around(before):
            if block in around:
                break
            if block.parent is None or block.parent.owner.column < comment.column:
                return block.foot
        return after.lead if after is not None else self.root.foot


def _span(event: yaml.Event) -> tuple[int, int]:
    assert event.start_mark is not None
    assert event.end_mark is not None
    return event.start_mark.index, event.end_mark.index


def _blocks_around(entry: _Entry) -> Iterator[_Collection]:
    """Yield the collections an entry is in, from the inside."""
    block: _Collection | None = entry.owner
    while block is not None:
        yield block
        block = block.parent.owner if block.parent else None


def _dedented(lines: list[str], value: str) -> list[str]:
    """Take the indentation from the lines of a block text, and the blank lines from its end."""
    first = next((line for line in lines if line.strip(" ")), "")
    value = value.lstrip("\n")
    indent = _indent_of(first) - _indent_of(value)
    lines = [line[indent:] for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _indent_of(text: str) -> int:
    return len(text) - len(text.lstrip(" "))


class _Writer:
    """Writes a tree in its canonical form."""

    def __init__(self, tree: _Tree, *, reorder: bool) -> None:
        self.tree = tree
        self.reorder = reorder

    def written(self, order: KeyOrder) -> str:
        root = self.tree.root
        lines: list[Line] = []
        add_comments(lines, self.tree.head, 0)
        if self.tree.opening is not None:
            lines.append(Line("---"))
        inline = self._inline(root, order)
        if inline is not None and len(inline) <= WIDTH:
            lines.append(Line(inline))
            add_comments(lines, root.foot, 0)
            return rendered(lines)
        return rendered([*lines, *self._block(root, 0, order)])

    def _block(self, block: _Collection, indent: int, order: KeyOrder) -> list[Line]:
        lines: list[Line] = []
        for entry in self._ordered(block, order, lines):
            above = len(lines)
            add_comments(lines, entry.lead, indent)
            if entry.blank:
                add_blank(lines)
            own = self._entry(entry, indent, order)
            lines += own
            if order.apart and (len(own) > 1 or not block.mapping):
                part(lines, above)
            add_comments(lines, entry.below, indent + INDENT)
        add_comments(lines, block.foot, indent)
        return lines

    def _ordered(self, block: _Collection, order: KeyOrder, lines: list[Line]) -> list[_Entry]:
        """Return the entries in order; comments that a blank line parts from the first entry stay at the top."""
        if not block.mapping or not self.reorder:
            return block.entries
        first = block.entries[0]
        pinned = None
        if block is self.tree.root and first.lead:
            head, lead = head_and_lead(first.lead, blank=first.blank)
            if head:
                add_comments(lines, head, 0)
                add_blank(lines)
                first.lead, first.blank = lead, False
            else:  # it may be meant for the file or for the key: both stay where they are
                pinned = first
        return sorted(block.entries, key=lambda e: (e is not pinned, order.rank(e.key.value if e.key else "")))

    def _entry(self, entry: _Entry, indent: int, order: KeyOrder) -> list[Line]:
        blanks, value = " " * indent, entry.value
        head = f"{blanks}{self._key(entry.key, flow=False)}:" if entry.key else f"{blanks}-"
        inside = order.below(entry.key.value) if entry.key else KeyOrder(order.specs)
        side = entry.side[-1] if entry.side else None
        lines: list[Line] = []
        add_comments(lines, entry.side[:-1], indent)
        if isinstance(value, _Scalar):
            if value.lines:
                return [*lines, *self._long_scalar(value, head, indent + INDENT, side)]
            return [*lines, Line(_joined(head, self._inline(value, inside)), side)]
        assert value is not None
        inline = self._inline(value, inside)
        if inline is not None and len(head) + 1 + len(inline) <= WIDTH:
            return [*lines, Line(f"{head} {inline}", side)]
        block = self._block(value, indent + INDENT, inside)
        if entry.key or value.properties:
            return [*lines, Line(_joined(head, value.properties), side), *block]
        add_comments(lines, [side] if side else [], indent)
        return [*lines, *_dashed(block, indent)]

    def _long_scalar(self, scalar: _Scalar, head: str, indent: int, side: Comment | None) -> list[Line]:
        blanks = " " * indent
        if scalar.style in ("|", ">"):
            lines = [Line(blanks + line if line else "") for line in scalar.lines]
            return [Line(_joined(head, scalar.properties, scalar.text), side), *lines]
        first, *rest = scalar.lines
        lines = [Line(_joined(head, scalar.properties, first)), *(Line(blanks + line if line else "") for line in rest)]
        return [*lines[:-1], Line(lines[-1].text, side)]

    def _inline(self, node: _Scalar | _Collection | None, order: KeyOrder, *, flow: bool = False) -> str | None:
        """Return a value on one line; None if it is a block, holds comments or takes several lines."""
        if isinstance(node, _Scalar):
            return None if node.lines else _joined(node.properties, _requoted(node, flow=flow))
        if node is None or not node.flow:
            return None
        if (node.foot and node is not self.tree.root) or any(e.lead or e.side or e.below for e in node.entries):
            return None
        parts = []
        entries = node.entries
        if node.mapping and self.reorder:
            entries = sorted(entries, key=lambda e: order.rank(e.key.value if e.key else ""))
        for entry in entries:
            inside = order.below(entry.key.value) if entry.key else order
            value = self._inline(entry.value, inside, flow=True)
            if value is None:
                return None
            key = self._key(entry.key, flow=True) if entry.key else ""
            parts.append(f"{key}: {value}" if key and value else key or value)
        body = ", ".join(parts)
        return _joined(node.properties, f"{{{body}}}" if node.mapping else f"[{body}]")

    def _key(self, key: _Scalar, *, flow: bool) -> str:
        text = key.text if len(key.text) > _LONGEST_KEY else _requoted(key, flow=flow)
        return _joined(key.properties, text) + (" " if key.style == "*" else "")


def _joined(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)


def _dashed(block: list[Line], indent: int) -> list[Line]:
    """Put the dash of an item before the first line of its block; comments above that line stand above the dash."""
    first = next(index for index, line in enumerate(block) if line.text and not line.is_comment)
    above = [Line(line.text[INDENT:], is_comment=line.is_comment) for line in block[:first]]
    head = block[first]
    return [*above, Line(f"{' ' * indent}- {head.text[indent + INDENT :]}", head.side), *block[first + 1 :]]


def _requoted(scalar: _Scalar, *, flow: bool) -> str:
    """Return a scalar without quotes where it needs none, else with double ones unless that takes escapes."""
    if scalar.style not in ("'", '"') or "\\" in scalar.text:
        return scalar.text
    if not scalar.properties and _plain_will_do(scalar.value, flow=flow):
        return scalar.value
    return scalar.text if '"' in scalar.value else f'"{scalar.value}"'


def _plain_will_do(value: str, *, flow: bool) -> bool:
    return (
        value == value.strip()
        and value.isprintable()
        and value[:1] not in _INDICATORS
        and not value.startswith("...")
        and not value.endswith(":")
        and not re.search(r":\s|\s#", value)
        and not (flow and re.search(r"[,\[\]{}]|:(?![\w/])", value))
        and _reads_as_text(value)
    )


def _reads_as_text(value: str) -> bool:
    """Say whether no reader takes the plain text for anything else, be it one of YAML 1.1 or 1.2."""
    if value.lower() in ("", "y", "n"):
        return False
    for resolvers in (YamlLoader.yaml_implicit_resolvers, yaml.SafeLoader.yaml_implicit_resolvers):
        for _, pattern in resolvers.get(value[0], []):
            if pattern.match(value):
                return False
    return True
