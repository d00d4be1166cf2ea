"""Take the censuses of a build: one for all families that read the same rows by the same keys."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from modelfactory.plan.steps import TrainStep
from modelfactory.spark.census import CensusTable, take_census
from modelfactory.spark.errors import SparkFailed
from modelfactory.spark.inputs import Input

MOST_AT_ONCE = 8
"""Families in one census; more would make one method that the JVM no longer compiles."""


class Censuses:
    """Gives each family its census, taken when the first of those that share it asks.

    Args:
        steps: the families.
        inputs: their inputs, by family.
    """

    def __init__(self, steps: Sequence[TrainStep], inputs: Mapping[str, Input]) -> None:
        self._inputs = inputs
        self._shares = {step.family: share for share in _shares(steps) for step in share.steps}

    def of(self, step: TrainStep, go_on: Callable[[], None] = lambda: None) -> CensusTable:
        """Return the census of a family, once.

        Args:
            step: the family.
            go_on: raises once there is to be no other job.

        Raises:
            SparkFailed: Spark cannot read the rows.
            BuildFailed: two groups cannot be told apart by their hash.
        """
        share = self._shares[step.family]
        with share.lock:
            if share.found is None:
                share.found = self._take(share.steps)
            found = share.found.pop(step.family, None)
        # What is wrong with another family's columns is not this one's fault.
        if found is not None:
            return found
        go_on()
        return self._take_one(step)

    def _take(self, steps: Sequence[TrainStep]) -> dict[str, CensusTable]:
        if len(steps) == 1:
            return {}
        try:
            tables = take_census([self._inputs[step.family] for step in steps], classes=[_classes(s) for s in steps])
        except SparkFailed:
            return {}
        return {step.family: table for step, table in zip(steps, tables, strict=True)}

    def _take_one(self, step: TrainStep) -> CensusTable:
        return take_census([self._inputs[step.family]], classes=[_classes(step)])[0]


class _Share:
    """Families whose groups are counted together, and what was counted and not yet asked for."""

    def __init__(self, steps: Sequence[TrainStep]) -> None:
        self.steps = steps
        self.lock = threading.Lock()
        self.found: dict[str, CensusTable] | None = None


def _shares(steps: Sequence[TrainStep]) -> list[_Share]:
    alike: dict[object, list[TrainStep]] = {}
    for step in steps:
        # What reads other families' groups may have to wait for them.
        alike.setdefault((step.counted_with, step.family if step.refs else None), []).append(step)
    return [
        _Share(together[start : start + MOST_AT_ONCE])
        for together in alike.values()
        for start in range(0, len(together), MOST_AT_ONCE)
    ]


def _classes(step: TrainStep) -> bool:
    return step.fit.task == "classification"
