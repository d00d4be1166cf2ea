"""Which groups a build looks at, which of them it trains, and where what comes of it goes; needs no library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from modelfactory.diagnostics import Code, input_error


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How much of each family a build tries.

    Attributes:
        groups: most groups of a family, out of those that its rules let in; all if None.
        rows: most rows that a group is fitted on; all if None.
    """

    groups: int | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which groups of a family a build looks at.

    Attributes:
        full_refresh: train all, whatever stands.
        retry: families of which only those groups are tried that failed, timed out or crashed in the last run; all
            others stay as they are: as the current version has them, or the candidate where the run held it back.
        sample: train so much of each family, apart from what is published.
        empty: train on no rows, to see that everything fits together, apart from what is published.
    """

    full_refresh: bool = False
    retry: Mapping[str, Literal["current", "candidate"]] = field(default_factory=dict)
    sample: Sample | None = None
    empty: bool = False

    @property
    def is_trial(self) -> bool:
        """Whether nothing that comes of it is to become current."""
        return self.sample is not None or self.empty


WHAT_CHANGED = Scope()
"""All groups, of which those are trained that have changed."""


def read_sample(text: str) -> Sample:
    """Read how much a build is to try.

    Args:
        text: `groups=N`, `rows=N`, or both with a comma between; whole numbers above zero.

    Raises:
        InputError: it is something else.
    """
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.partition("="))
        if name not in ("groups", "rows"):
            raise _bad(text, f"`{part.strip()}` is neither `groups=…` nor `rows=…`")
        if name in found:
            raise _bad(text, f"`{name}` is given twice")
        if not re.fullmatch(r"[0-9]{1,18}", value) or int(value) == 0:
            raise _bad(text, f"`{name}` is to be a whole number above zero")
        found[name] = int(value)
    return Sample(**found)


def _bad(text: str, why: str) -> Exception:
    return input_error(Code.BAD_OPTION, f"cannot read `--sample {text}`: {why}", help="--sample groups=20,rows=5000")
