"""What ends a fit before its time, and what is left of it."""

from __future__ import annotations

import traceback


class GroupTimeout(BaseException):
    """The group took longer than `timeout`; no `except Exception` of an estimator catches it."""


NOBODYS = (KeyboardInterrupt, GroupTimeout)
"""Errors that are not of the estimator that was fitted when they were raised."""


def forget(error: BaseException | None) -> None:
    """Let go of what the calls held that an error went through: it may be all the memory that there is."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
