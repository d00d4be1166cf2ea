"""What a test looks at, and what it says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelfactory.diagnostics import counted
from modelfactory.plan.steps import DeclaredTest
from modelfactory.store.groups import in_input, served
from modelfactory.store.manifest import VersionRecord

if TYPE_CHECKING:
    from modelfactory.serving.models import VersionModels

KEYS_SHOWN = 5
"""Groups that a result names."""
Mask = npt.NDArray[np.bool_]


class CannotJudge(Exception):
    """A test cannot be judged on this version; it says why."""


@dataclass(frozen=True)
class Tested:
    """A version that is judged. Its group table is at hand; all else is read once a test asks for it.

    Attributes:
        tests: what is declared of it.
        groups: its group table, g rows.
        record: the version.
        open_models: opens its models.
        read_previous: reads the group table of the version before.
        previous_record: the version before: the current one, of a version that is not published yet; None of the first.
        history: the versions that were published before, the oldest first.
        anew: whether models that were taken over from earlier versions are looked at again.
    """

    tests: tuple[DeclaredTest, ...]
    groups: pa.Table
    record: VersionRecord
    open_models: Callable[[], VersionModels]
    read_previous: Callable[[], pa.Table]
    previous_record: VersionRecord | None = None
    history: tuple[VersionRecord, ...] = ()
    anew: bool = True

    @property
    def keys(self) -> list[str]:
        """The group columns."""
        return self.record.group_by

    @cached_property
    def models(self) -> VersionModels:
        """Its models, of which the i-th group is the i-th row of `groups`."""
        return self.open_models()

    @cached_property
    def previous(self) -> pa.Table | None:
        """The group table of the version before; None of the first."""
        return None if self.previous_record is None else self.read_previous()

    @cached_property
    def has_model(self) -> Mask:
        """Which groups have a model, shape (g,)."""
        return served(self.groups)

    @cached_property
    def in_input(self) -> Mask:
        """Which groups are in the input, shape (g,); the others have vanished, and their models are kept."""
        return in_input(self.groups)

    def failing(self, chosen: Mask) -> Failing:
        """Return the keys of groups that do not pass.

        Args:
            chosen: which, shape (g,).
        """
        return Failing.of(self.groups.select(self.keys).filter(pa.array(chosen)))


@dataclass(frozen=True, slots=True)
class Failing:
    """What does not pass: groups, or rows of a query.

    Attributes:
        count: how many.
        first: the first of them, by column.
    """

    count: int = 0
    first: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, keys: pa.Table) -> Failing:
        """Return groups by their keys."""
        return cls(keys.num_rows, tuple(keys.slice(0, KEYS_SHOWN).to_pylist()))


@dataclass(frozen=True, slots=True)
class Finding:
    """What a test says of a version.

    Attributes:
        passed: whether it holds; None where there is nothing to compare with.
        message: why, in figures.
        failing: what does not pass; nothing where the test does not look at each group.
    """

    passed: bool | None
    message: str
    failing: Failing = Failing()


def compared(value: float, sign: str, limit: float) -> str:
    """Write a comparison with as many digits as it takes to see that it is true."""
    for digits in (4, 7, 17):
        left, right = _number(value, digits), _number(limit, digits)
        if left != right or value == limit:
            break
    return f"{left} {sign} {right}"


def _number(value: float, digits: int) -> str:
    whole = math.isfinite(value) and value == int(value) and abs(value) < 1e15
    return f"{value:,.0f}" if whole else f"{value:.{digits}g}"


def values_of(groups: pa.Table, column: str, name: str) -> npt.NDArray[np.float64]:
    """Return a number out of a column of maps, NaN where there is none, shape (g,).

    Args:
        groups: a group table; older ones may lack the column.
        column: `metrics`, `baseline` or `champion`.
        name: name of a metric.
    """
    if column not in groups.column_names:
        return np.full(groups.num_rows, np.nan)
    maps = groups[column].combine_chunks()
    found = pc.map_lookup(maps, pa.scalar(name, pa.string()), "first")
    return np.asarray(pc.fill_null(found, np.nan).to_numpy(zero_copy_only=False))


def counted_groups(failing: Failing, what: str) -> str:
    """Say how many groups are to blame; nothing where none is."""
    return f": {counted(failing.count, 'group')} {what}" if failing.count else ""
