"""What the canonical forms of YAML and TOML have in common: lines, comments and the order of keys."""

from __future__ import annotations

import dataclasses
import typing
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelfactory.project.spec_types import Spec
from modelfactory.project.specs import FamiliesFileSpec, FamilySpec, ProjectSpec, SourceSpec

WIDTH = 120
"""Columns a line may have before a list or mapping in brackets is spread over several lines."""
INDENT = 2
_GAP = 2
_UNTYPED: Mapping[tuple[type[Spec], str], type[Spec]] = {
    (ProjectSpec, "defaults"): FamilySpec,
    (FamiliesFileSpec, "families"): FamilySpec,
    (FamiliesFileSpec, "sources"): SourceSpec,
}
"""What stands below keys whose type says no more than that it is a mapping."""


class CannotFormat(Exception):
    """A text that is read without error has no canonical form; it says why."""


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment as it was written.

    Attributes:
        start: offset of its `#` in the text.
        text: from the `#` to the end of its line, without blanks at the end.
        column: columns before it.
        own_line: nothing stands before it on its line.
        blank: the line above it is blank.
    """

    start: int
    text: str
    column: int
    own_line: bool
    blank: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A line to write.

    Attributes:
        text: what stands on it, with its indentation.
        side: a comment beside it.
        is_comment: nothing but a comment stands on it.
    """

    text: str = ""
    side: Comment | None = None
    is_comment: bool = False


@dataclass(frozen=True, slots=True)
class KeyOrder:
    """The order of keys in a mapping, and of those in the mappings below it.

    Attributes:
        specs: what may stand in the mapping; none if its keys keep the order they are written in.
        by_name: the mapping's own keys are names, and `specs` are what stands below each of them.
        apart: a blank line parts the entries.
    """

    specs: tuple[type[Spec], ...] = ()
    by_name: bool = False
    apart: bool = False

    def rank(self, key: str) -> int:
        """Return where a key stands: a merge first, then the name, the known keys, the rest."""
        known = (
            [] if self.by_name else [f.alias or name for spec in self.specs for name, f in spec.model_fields.items()]
        )
        if key == "<<":
            return -2
        if key in known:
            return -1 if key == "name" else known.index(key)
        return len(known)

    def below(self, key: str) -> KeyOrder:
        """Return the order in the value of a key, or in the mappings of a list that is its value."""
        if self.by_name:
            return KeyOrder(self.specs)
        found: list[type[Spec]] = []
        by_name = False
        for spec in self.specs:
            if (spec, key) in _UNTYPED:
                found.append(_UNTYPED[spec, key])
                continue
            for name, field in spec.model_fields.items():
                if key == (field.alias or name):
                    inside = tuple(_specs_in(field.annotation))
                    found += inside
                    by_name |= bool(inside) and typing.get_origin(field.annotation) is dict
        return KeyOrder(tuple(found), by_name, apart=FamiliesFileSpec in self.specs)


def _specs_in(annotation: Any) -> Iterator[type[Spec]]:
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _specs_in(argument)


def add_blank(lines: list[Line]) -> None:
    """Add a blank line, but neither at the top of a block nor below another one."""
    if lines and lines[-1] != Line():
        lines.append(Line())


def add_comments(lines: list[Line], comments: Iterable[Comment], indent: int) -> None:
    """Add comments on lines of their own, with the blank lines above them."""
    for comment in comments:
        if comment.blank:
            add_blank(lines)
        lines.append(Line(" " * indent + comment.text, is_comment=True))


def part(lines: list[Line], start: int) -> None:
    """Put a blank line before what was added from `start` on, unless there is one or nothing stands above."""
    if start and Line() not in lines[start - 1 : start + 1]:
        lines.insert(start, Line())


def head_and_lead(lead: list[Comment], *, blank: bool) -> tuple[list[Comment], list[Comment]]:
    """Part the comments above a document's first entry into those of the file and those of the entry.

    Args:
        lead: the comments.
        blank: a blank line parts them from the entry.
    """
    cut = len(lead) if blank else max((i for i, comment in enumerate(lead) if comment.blank), default=0)
    head, own = lead[:cut], lead[cut:]
    return head, [dataclasses.replace(comment, blank=comment.blank and i > 0) for i, comment in enumerate(own)]


def rendered(lines: Iterable[Line]) -> str:
    """Put lines together; comments that stood in one column of a paragraph still do."""
    text = []
    paragraph: list[Line] = []
    for line in [*lines, Line()]:
        if line.text:
            paragraph.append(line)
        else:
            text += [*_paragraph(paragraph), ""]
            paragraph = []
    return "\n".join(text[:-1]) + "\n"


def _paragraph(lines: list[Line]) -> Iterator[str]:
    widths: dict[int, list[int]] = defaultdict(list)
    for line in lines:
        if line.side:
            widths[line.side.column].append(len(line.text))
    for line in lines:
        if line.side:
            yield line.text + " " * (max(widths[line.side.column]) + _GAP - len(line.text)) + line.side.text
        else:
            yield line.text
