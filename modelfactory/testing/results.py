"""What came of a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["pass", "warn", "fail", "error", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """What came of one test of a version.

    Attributes:
        name: what the test is called.
        kind: which test it is.
        severity: what a failure of it means.
        status: `warn` of a test that failed and is only told, `error` of one that could not be judged, `skipped` of one
            that has nothing to compare with.
        message: why, in figures.
        n_failing: groups, or rows of a query, that do not pass; 0 where the test does not look at each.
        failing: keys of the first of them.
    """

    name: str
    kind: str
    severity: Literal["warn", "error"]
    status: Verdict
    message: str
    n_failing: int = 0
    failing: tuple[Mapping[str, Any], ...] = ()

    @property
    def holds_back(self) -> bool:
        """Whether the version may not be published."""
        return self.status in ("fail", "error")
