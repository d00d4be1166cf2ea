"""Which groups a build looks at, and which of them it trains; needs no library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which groups of a family a build looks at.

    Attributes:
        full_refresh: train all, whatever stands.
        retry: families of which only those groups are tried that failed, timed out or crashed in the last run; all
            others stay as they are: as the current version has them, or the candidate where the run held it back.
    """

    full_refresh: bool = False
    retry: Mapping[str, Literal["current", "candidate"]] = field(default_factory=dict)


WHAT_CHANGED = Scope()
"""All groups, of which those are trained that have changed."""
