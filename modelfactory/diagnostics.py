"""What can go wrong, with a stable code, a place in a file and the nearest right thing.

MfError                 something `mf` explains in the user's words; carries diagnostics
├── InputError          exit 2   files, options, data or the machine: the user's turn
├── BuildFailed         exit 1   a family failed, or more groups failed than it allows
├── NothingSelected     exit 4   the selection matched no family
├── StoreLocked         exit 5   another build holds the family, or has published it first
└── PlanStale           exit 5   something has moved since a plan was made
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Code(StrEnum):
    """Stable codes of diagnostics. A code is never reused for another mistake."""

    NO_PROJECT = "MF101"
    TWO_PROJECT_FILES = "MF102"
    UNREADABLE = "MF103"
    EMPTY_FILE = "MF104"
    SYNTAX = "MF105"
    DUPLICATE_KEY = "MF106"
    CANNOT_FORMAT = "MF107"
    UNKNOWN_KEY = "MF201"
    BAD_VALUE = "MF202"
    UNKNOWN_PARAMETER = "MF203"
    BAD_PARAMETER = "MF204"
    UNKNOWN_CLASS = "MF205"
    DUPLICATE_NAME = "MF206"
    UNKNOWN_SOURCE = "MF207"
    RESERVED_COLUMN = "MF208"
    UNKNOWN_VARIABLE = "MF209"
    BAD_SQL_TEMPLATE = "MF210"
    CONFLICT = "MF211"
    UNKNOWN_METRIC = "MF212"
    UNKNOWN_TARGET = "MF213"
    UNKNOWN_FAMILY = "MF214"
    CYCLE = "MF215"
    UNUSED_VARIABLE = "MF216"
    UNUSED_DEFAULTS = "MF217"
    MISSING_PATH = "MF301"
    MISSING_COLUMN = "MF302"
    COLUMN_TYPE = "MF303"
    EMPTY_INPUT = "MF304"
    SPARK_SQL = "MF305"
    NULL_KEY = "MF306"
    FORGOTTEN = "MF307"
    NO_JAVA = "MF401"
    SPARK_SESSION = "MF402"
    STORE = "MF403"
    STORE_SCHEMA = "MF404"
    STORE_LOCKED = "MF405"
    WORKERS = "MF406"
    PLAN_STALE = "MF407"
    NO_PACKAGE = "MF408"
    NOTHING_SELECTED = "MF501"
    BAD_OPTION = "MF502"
    NOT_BUILT = "MF503"
    UNMATCHED = "MF504"
    UNDECLARED_VARIABLE = "MF505"
    NO_PREDICTION = "MF506"
    UNSAFE_MODEL = "MF507"
    OTHER_LIBRARIES = "MF508"
    NOT_EXPORTED = "MF509"
    TOO_MANY_FAILED = "MF601"
    RUN_FAILED = "MF602"
    ACCOUNTING = "MF603"
    NO_MODELS = "MF604"
    TESTS_FAILED = "MF605"


class Severity(StrEnum):
    """How grave a diagnostic is."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Position:
    """A stretch of one line in a file; lines and columns count from 1."""

    line: int
    column: int
    length: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in a file.

    Attributes:
        file: the file as the user would name it.
        path: the file itself, if it is one on this machine.
        position: where in the file.
        source_line: the text of that line; left out where it may hold secrets.
    """

    file: str
    path: Path | None = None
    position: Position | None = None
    source_line: str | None = None

    @property
    def shown(self) -> str:
        """`file:line`."""
        return self.file + (f":{self.position.line}" if self.position else "")

    def text(self) -> str:
        """Render the place, and the line with a caret."""
        where = self.position
        head = f"  --> {self.file}" + (f":{where.line}:{where.column}" if where else "")
        if where is None or not self.source_line:
            return head
        margin = " " * len(str(where.line))
        before = _blank(self.source_line[: where.column - 1])
        wide = len(_blank(self.source_line[where.column - 1 :][: where.length]))
        return "\n".join(
            [
                head,
                f"{margin} |",
                f"{where.line} | {self.source_line}",
                f"{margin} | {before}{'^' * max(wide, 1)}",
            ]
        )


MOST_RELATED = 2
"""Other places that are shown of one mistake; a default may be inherited by hundreds of families."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """Another place that has to do with a mistake, such as the other of two definitions."""

    message: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One mistake, where it is and what would be right.

    Attributes:
        code: stable code of the kind of mistake.
        message: what is wrong, in one sentence without a full stop.
        place: where it is, if it is in a file.
        help: the nearest right thing.
        related: other places that have to do with it.
        severity: an error, or what is not wrong but probably not meant.
    """

    code: Code
    message: str
    place: Place | None = None
    help: str | None = None
    related: tuple[Related, ...] = ()
    severity: Severity = Severity.ERROR

    @property
    def file(self) -> str | None:
        """The file as the user would name it, if there is one."""
        return self.place.file if self.place else None

    @property
    def position(self) -> Position | None:
        """Where in the file."""
        return self.place.position if self.place else None

    @property
    def source_line(self) -> str | None:
        """The text of its line; None where it may hold secrets."""
        return self.place.source_line if self.place else None

    def hiding(self, shown_as: Mapping[str, str]) -> Diagnostic:
        """Return the diagnostic with references in the place of values that are not to be shown."""
        hint = self.help and hide(self.help, shown_as)
        return dataclasses.replace(self, message=hide(self.message, shown_as), help=hint)

    def sort_key(self) -> tuple[str, int, int, str]:
        """Order diagnostics by file, then by place."""
        where = self.position or Position(0, 0)
        return (self.file or "", where.line, where.column, self.message)

    def text(self) -> str:
        """Render in the manner of rustc: message, place, the line with a caret, other places, help."""
        parts = [f"{self.severity}[{self.code}]: {self.message}"]
        if self.place is not None:
            parts.append(self.place.text())
        for related in self.related[:MOST_RELATED]:
            parts += [f"note: {related.message}", related.place.text()]
        if len(self.related) > MOST_RELATED:
            parts.append(f"note: and {counted(len(self.related) - MOST_RELATED, 'more place')}")
        if self.help:
            parts.append(f"help: {self.help}")
        return "\n".join(parts)


def _blank(text: str) -> str:
    """Return blanks as wide as a text on a terminal; a tab stays a tab."""
    return "".join("\t" if c == "\t" else "  " if unicodedata.east_asian_width(c) in "WF" else " " for c in text)


def merged(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sort diagnostics by place, and make one of those that differ in nothing but what they are related to."""
    related: dict[Diagnostic, dict[Related, None]] = {}
    for diagnostic in diagnostics:
        related.setdefault(dataclasses.replace(diagnostic, related=()), {}).update(dict.fromkeys(diagnostic.related))
    together = [dataclasses.replace(alone, related=tuple(places)) for alone, places in related.items()]
    return tuple(sorted(together, key=Diagnostic.sort_key))


class MfError(Exception):
    """Base of every error that `mf` explains to its user.

    Args:
        diagnostics: what is wrong; at least one. Warnings may be among them.
    """

    exit_code = 2

    def __init__(self, *diagnostics: Diagnostic) -> None:
        self.diagnostics = merged(diagnostics)
        super().__init__("\n".join(d.text() for d in self.diagnostics))


class InputError(MfError):
    """Files, options, data or the machine are not as they must be."""


class BuildFailed(MfError):
    """A family could not be trained, or more of its groups failed than it allows."""

    exit_code = 1


class NothingSelected(MfError):
    """The selection matched no family."""

    exit_code = 4


class StoreLocked(MfError):
    """Another build of the family is under way, or came first."""

    exit_code = 5


class PlanStale(MfError):
    """Something has moved since a plan was made that is to be carried out as it stands."""

    exit_code = 5


def input_error(code: Code, message: str, *, file: Path | str | None = None, help: str | None = None) -> InputError:
    """Make the error of a single mistake that has no place inside a file."""
    return InputError(
        Diagnostic(code=code, message=message, place=None if file is None else Place(file=str(file)), help=help)
    )


def warning(code: Code, message: str, *, file: str | None = None, help: str | None = None) -> Diagnostic:
    """Make a warning that has no place inside a file."""
    place = None if file is None else Place(file=file)
    return Diagnostic(code=code, message=message, place=place, help=help, severity=Severity.WARNING)


def hide(text: str, shown_as: Mapping[str, str]) -> str:
    """Put something else in the place of values that are not to be shown.

    A short value is hidden where it is a whole word of the text, since it may be part of many; a longer one anywhere.
    """
    values = sorted((value for value in shown_as if value), key=len, reverse=True)  # one may be part of another
    if not any(value in text for value in values):
        return text
    patterns = (re.escape(v) if len(v) >= LONG_SECRET else rf"(?<!\w){re.escape(v)}(?!\w)" for v in values)
    return re.sub("|".join(patterns), lambda found: shown_as[found[0]], text)


LONG_SECRET = 6
"""Characters of a value that is hidden even inside of a word."""


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters, with an ellipsis where some were left out."""
    return text if len(text) <= most else text[: most - 1] + "…"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Say a number of things: `1 row`, `2,512 rows`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, or None if none is near."""
    wanted, folded = name.lower(), {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(wanted, folded, n=5, cutoff=0.6)
    if not close and len(wanted) > 1:  # of short names, one letter is much
        close = [candidate for candidate in folded if edits(wanted, candidate) == 1]
    return folded[min(close, key=lambda candidate: edits(wanted, candidate))] if close else None


def edits(one: str, other: str) -> int:
    """Count the letters to add, drop, replace or swap with the next to make one text of another."""
    before: list[int] = []
    above = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        row = [i]
        for j, b in enumerate(other, start=1):
            least = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                least = min(least, before[j - 2] + 1)
            row.append(least)
        before, above = above, row
    return above[-1]


def did_you_mean(name: str, known: Sequence[str], *, listed: int = 8) -> str | None:
    """Say the nearest known name, or else what names there are."""
    near = nearest(name, known)
    if near is not None:
        return f"did you mean `{near}`?"
    if not known:
        return None
    shown = ", ".join(f"`{k}`" for k in sorted(known)[:listed])
    return f"known: {shown}" + (f" and {len(known) - listed} more" if len(known) > listed else "")
