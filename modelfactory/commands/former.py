"""What a build goes on from: the current version's group table, beside the groups of a census."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelfactory.plan.outcomes import INEXACT_NUMBER, SERVED, BuildReason, Status
from modelfactory.plan.reuse import Before, reasons_to_build
from modelfactory.plan.schedule import Schedule
from modelfactory.plan.steps import TrainStep
from modelfactory.spark.census import CensusTable
from modelfactory.spark.inputs import Input
from modelfactory.store.groups import has_status, read_groups, served, with_all_columns
from modelfactory.store.keys import KeyIndex, KeyTypeDiffers
from modelfactory.store.manifest import VersionRecord
from modelfactory.store.store import Store

Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """The version that a build goes on from, as far as the build may take over from it.

    Attributes:
        version: the version; None if there is none.
        groups: its group table, with all columns of today; no rows without a version.
        place: row in it of each group of the census, -1 where it does not have the group; shape (g,).
        reason: a `BuildReason` for each group of the census, shape (g,).
        can_serve: whether its models take the rows of the new definition and give such answers.
        others: rows of it of which the census has no group.
        others_stay: what the next version has of them: `all` as they are, where the census did not look for them;
            the `models` of those that have one; or `none`.
        other_libraries: groups that stand with models of other libraries than those at hand.
    """

    version: VersionRecord | None
    groups: pa.Table
    place: Rows
    reason: npt.NDArray[np.object_]
    can_serve: bool
    others: Rows
    others_stay: Literal["all", "models", "none"]
    other_libraries: int = 0

    @property
    def has_model(self) -> Bools:
        """Which rows of the table have a model that can serve."""
        return served(self.groups) & self.can_serve

    @property
    def stands(self) -> npt.NDArray[np.object_]:
        """The status of each group of the census that need not be trained, empty text of the others; shape (g,)."""
        found = np.full(len(self.place), "", dtype=object)
        unchanged = self.reason == BuildReason.UNCHANGED
        found[unchanged] = standing(self.groups["status"].take(pa.array(self.place[unchanged]))).to_numpy()
        return found

    def stands_in(self, schedule: Schedule) -> Bools:
        """Return which groups of the census are in the next version as they are here, shape (g,).

        A rule may keep out what need not be trained.
        """
        same: Bools = self.stands == schedule.status
        return same & ~schedule.to_train

    @property
    def last_good(self) -> Rows:
        """Row of the table whose model serves a group of the census until it has a better one, -1 without; (g,)."""
        known = self.place >= 0
        known[known] = self.has_model[self.place[known]]
        return np.where(known, self.place, -1)

    @property
    def vanished(self) -> Rows:
        """Rows of the table of groups that were in the input then, and are not in the census."""
        were: Rows = self.others[self.groups["n_rows"].to_numpy()[self.others] > 0]
        return were

    @property
    def staying(self) -> Rows:
        """Rows of the table that the next version has although the census has no such group."""
        match self.others_stay:
            case "all":
                return self.others
            case "models":
                return self.others[self.has_model[self.others]]
            case "none":
                return self.others[:0]

    def only(self, which: Bools) -> Former:
        """Return what to go on from where some groups are tried again and nobody looks at the others.

        Args:
            which: the groups of the census that are tried, shape (g,).
        """
        return replace(
            self,
            place=self.place[which],
            reason=np.full(int(which.sum()), BuildReason.RETRY, dtype=object),
            others=_others(self.groups, self.place[which]),
            others_stay="all",
        )


def standing(status: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return statuses as a version has them that takes the groups over."""
    return pc.if_else(has_status(status, SERVED), str(Status.REUSED), status)


def _others(groups: pa.Table, place: Rows) -> Rows:
    """Return the rows of a group table besides some; -1 among these is none."""
    others = np.ones(len(groups) + 1, dtype=bool)
    others[place] = False  # -1 is the one behind the last
    return np.flatnonzero(others[:-1])


def former_of(
    store: Store,
    step: TrainStep,
    table: Input,
    found: CensusTable,
    libraries: Mapping[str, str],
    *,
    version: VersionRecord | None,
    versions: Iterable[VersionRecord],
    full_refresh: bool = False,
) -> Former:
    """Compare the groups of a census with those of a version.

    Args:
        store: the store.
        step: the family's step.
        table: its input.
        found: the census.
        libraries: versions of what would train.
        version: the version, if there is one.
        versions: those among which the ones are that hold its models.
        full_refresh: whether all groups are trained again.

    Raises:
        InputError: the group table cannot be read.
    """
    n = len(found.census.group)
    if version is None or set(version.group_by) != set(step.keys):
        return Former(
            version=version,
            groups=with_all_columns(found.keys.schema.empty_table(), step.keys),
            place=np.full(n, -1),
            reason=np.full(n, BuildReason.NEW, dtype=object),
            can_serve=False,
            others=np.empty(0, dtype=np.int64),
            others_stay="none",
        )
    groups = with_all_columns(read_groups(store.files(step.family, version, "groups")), step.keys)
    place = _places(groups, found.keys)
    can_serve = _interface(version) == _interface_of(step, table)
    before = _before(version, versions, groups, place, found, step, libraries, can_serve=can_serve)
    others = _others(groups, place)
    keeps = step.on_vanished == "keep" and _have_place(groups.take(pa.array(others)), found.keys)
    reasons = reasons_to_build(before, retrain_on_libraries="environment" in step.retrain_on, full_refresh=full_refresh)
    return Former(
        version=version,
        groups=groups,
        place=place,
        reason=reasons,
        can_serve=can_serve,
        others=others,
        others_stay="models" if keeps else "none",
        other_libraries=int(((reasons == BuildReason.UNCHANGED) & ~before.same_libraries).sum()),
    )


def _places(groups: pa.Table, keys: pa.Table) -> Rows:
    """Return the row of each key in a group table, -1 where there is none."""
    if not len(groups):
        return np.full(len(keys), -1)
    floating = [pa.types.is_floating(groups.schema.field(key).type) for key in keys.column_names]
    try:
        return KeyIndex(_told_apart(groups, keys.column_names, floating)).places(
            _told_apart(keys, keys.column_names, floating)
        )
    except KeyTypeDiffers:
        return np.full(len(keys), -1)


def _told_apart(table: pa.Table, keys: Sequence[str], floating: Sequence[bool]) -> list[pa.ChunkedArray]:
    """Return the columns of keys such that NaN is not null among them; to Spark these are two groups."""
    columns = [table[key] for key in keys]
    numbers = [column for column, flag in zip(columns, floating, strict=True) if flag]
    nothing = pa.chunked_array([pa.repeat(False, len(table))])
    return columns + [
        pc.fill_null(pc.is_nan(column), False) if pa.types.is_floating(column.type) else nothing for column in numbers
    ]


def _have_place(groups: pa.Table, keys: pa.Table) -> bool:
    """Tell whether groups of a former version can stand among those of a census, whose keys may have other types."""
    old = groups.select(keys.column_names)
    if old.schema.types == keys.schema.types:
        return True
    try:
        KeyIndex(keys.columns).places(old.columns)  # raises where text would become a number
        old.cast(keys.schema)
    except (KeyTypeDiffers, pa.ArrowInvalid):
        return False
    return True


def _same_hash(old: pa.Schema, new: pa.Schema, keys: Sequence[str]) -> bool:
    """Tell whether keys have the hash that they had, which seeds come from and by which models are told apart."""
    return all(_hashed_as(old.field(key).type) == _hashed_as(new.field(key).type) for key in keys)


def _hashed_as(kind: pa.DataType) -> object:
    """Return what decides, besides a value, what Spark hashes of it; zones and widths of text do not."""
    if pa.types.is_integer(kind):
        return "integer", max(kind.bit_width, 32)
    if pa.types.is_decimal(kind):
        return "decimal", kind.precision > 18, kind.scale
    if pa.types.is_timestamp(kind):
        return "timestamp"
    return pa.string() if pa.types.is_large_string(kind) else kind


def _before(
    version: VersionRecord,
    versions: Iterable[VersionRecord],
    groups: pa.Table,
    place: Rows,
    found: CensusTable,
    step: TrainStep,
    libraries: Mapping[str, str],
    *,
    can_serve: bool,
) -> Before:
    rows = pa.array(place, mask=place < 0)
    # What was decided of a group was so under the current definition; but a group that had vanished was not looked at.
    vanished = _flags(pc.equal(groups["reason"].take(rows), str(BuildReason.VANISHED)))
    number = pc.fill_null(groups["model_version"].take(rows), version.number).to_numpy()
    status = pc.fill_null(groups["status"].take(rows), "").to_numpy()
    # The rows of a number that is rounded on purpose have the digest of those in which it is inexact.
    status[_flags(pc.equal(groups["error_type"].take(rows), INEXACT_NUMBER))] = ""
    fault = ~np.isin(status, [str(s) for s in SERVED])
    wanted = set(step.fit.evaluation.measured) if step.fit.evaluation else set()
    records = {record.number: record for record in versions}

    def each(holds: Mapping[int, bool], numbers: npt.NDArray[np.int32]) -> Bools:
        found, inverse = np.unique(numbers, return_inverse=True)
        told: Bools = np.array([holds.get(int(n), False) for n in found], dtype=bool)[inverse]
        return told

    decided = np.where(vanished, number, version.number)
    # Nor does a version say of a fault when it was decided of a group that has vanished since.
    same_models = can_serve & ~(vanished & fault) & _same_hash(groups.schema, found.keys.schema, step.keys)
    return Before(
        known=place >= 0,
        status=status,
        same_definition=each({n: _same_definition(r, step) for n, r in records.items()}, decided) & same_models,
        same_rows=_flags(pc.equal(groups["data_digest"].take(rows), found.digests)),
        same_libraries=each(
            {n: r.libraries == dict(libraries) for n, r in records.items()}, np.where(fault, version.number, number)
        ),
        measured=each({n: wanted <= set(measured_by(r)) for n, r in records.items()}, decided),
    )


def _same_definition(version: VersionRecord, step: TrainStep) -> bool:
    if not version.fingerprints.fit:
        return version.fingerprints.definition == step.definition_fingerprint
    return version.fingerprints.fit == step.fit_fingerprint


def measured_by(version: VersionRecord) -> list[str]:
    """Return the metrics that the models of a version were measured by."""
    if version.measured is not None:
        return version.measured
    return list(version.meaning.tests.get("metrics", ())) if version.meaning else list(version.metrics)


def _interface(version: VersionRecord) -> tuple[object, ...]:
    """Return what models of a version are asked with and what they answer."""
    features = tuple((feature.name, feature.kind) for feature in version.features)
    return features, version.label, version.task, version.label_type, version.container


def _interface_of(step: TrainStep, table: Input) -> tuple[object, ...]:
    features = tuple((feature.name, feature.kind) for feature in step.fit.features)
    return features, step.label, step.fit.task, table.label_type, step.fit.container


def _flags(column: pa.ChunkedArray) -> Bools:
    flags: Bools = pc.fill_null(column, False).to_numpy()
    return flags
