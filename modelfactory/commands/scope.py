"""Which groups a build looks at, and which of them it trains; needs no library."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which groups of a family a build looks at.

    Attributes:
        full_refresh: train all, whatever stands.
        retry: only those that failed, timed out or crashed in the last run; all others stay as they are.
    """

    full_refresh: bool = False
    retry: bool = False


WHAT_CHANGED = Scope()
"""All groups, of which those are trained that have changed."""
