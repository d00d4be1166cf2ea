"""Take the censuses of a build: one for all families that read the same rows by the same keys."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from modelfactory.diagnostics import Code, InputError
from modelfactory.plan.costs import Measured
from modelfactory.plan.outcomes import GLOBAL
from modelfactory.plan.steps import TrainStep
from modelfactory.project.loading import Family
from modelfactory.project.variables import hide_environment
from modelfactory.spark.census import CensusTable, take_census
from modelfactory.spark.errors import SparkFailed
from modelfactory.spark.inputs import Input
from modelfactory.store.groups import read_measured
from modelfactory.store.manifest import VersionRecord
from modelfactory.store.store import Store
from modelfactory.store.versions import MODELS

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
        self._kept: dict[str, CensusTable] = {}
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
            found = share.found.pop(step.family, None) or self._kept.pop(step.family, None)
        # What is wrong with another family's columns is not this one's fault.
        if found is not None:
            return found
        go_on()
        return self._take_one(step)

    def keep(self, step: TrainStep, found: CensusTable) -> None:
        """Give a census back, for the next who asks."""
        self._kept[step.family] = found

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


def census_of(
    step: TrainStep,
    family: Family,
    censuses: Censuses,
    environ: Mapping[str, str],
    go_on: Callable[[], None],
    *,
    may_be_empty: bool = False,
) -> CensusTable:
    """Return the census of a family that can be trained.

    Raises:
        InputError: its input cannot be read, has no rows, or null keys where they are an error.
    """
    try:
        found = censuses.of(step, go_on)
    except SparkFailed as error:
        said = hide_environment(f"Spark cannot read the input: {error}", step.texts_for_spark, environ)
        raise InputError(family.diagnostic(Code.SPARK_SQL, said, step.input_path)) from error
    if not len(found.census.group) and not may_be_empty:
        message = f"the input of family `{family.name}` has no rows"
        raise InputError(family.diagnostic(Code.EMPTY_INPUT, message, step.input_path))
    if step.null_keys == "error" and found.census.null_key.any():
        rows = int(found.census.n_rows[found.census.null_key].sum())
        raise InputError(
            family.diagnostic(
                Code.NULL_KEY,
                f"{rows:,} rows of family `{family.name}` have a null in a group column",
                ("null_keys",),
                help="`null_keys: skip` gives them an outcome `null_key`, `group` makes null a group",
            )
        )
    return found


def measured_before(
    store: Store, step: TrainStep, version: VersionRecord | None, versions: Iterable[VersionRecord]
) -> Measured | None:
    """Return what the fits took whose models a version has, if they were of the same definition.

    Args:
        store: the store.
        step: the family's step.
        version: the version, if there is one.
        versions: those among which the ones are that hold its models.
    """
    if version is None or version.fingerprints.definition != step.definition_fingerprint:
        return None
    holding = [other for other in versions if other.number in {version.number, *version.model_versions}]
    tables = [(other, table) for other in holding for table in (MODELS, GLOBAL)]
    return read_measured([file for other, table in tables for file in store.files(step.family, other, table)])


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
