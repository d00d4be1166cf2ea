"""Put census, schedule and outcomes together into the group table, and check that nothing is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelfactory.commands.former import Former, standing
from modelfactory.commands.report import Fault, held_back
from modelfactory.diagnostics import BuildFailed, Code, Diagnostic
from modelfactory.plan.outcomes import FAULTS, GROUP_COLUMNS, INEXACT_NUMBER, SERVED, BuildReason, Status
from modelfactory.plan.schedule import Schedule
from modelfactory.plan.steps import TrainStep
from modelfactory.spark.census import CensusTable
from modelfactory.spark.inputs import EXACT_LIMIT, GROUP
from modelfactory.spark.training import Outcomes
from modelfactory.store.groups import GROUP_TYPES, has_status, in_input, metric_quantiles, statuses
from modelfactory.store.manifest import Quantiles

_KIND, _ROW = "_mf_kind", "_mf_row"
_METRICS = GROUP_TYPES["metrics"]


def group_table(
    step: TrainStep, found: CensusTable, schedule: Schedule, outcomes: Outcomes, former: Former, *, version: int
) -> pa.Table:
    """Return the group table of a version: one row per group of the census, and of those that it keeps; sorted by key.

    Args:
        step: the family's step.
        found: its census.
        schedule: what was decided before training.
        outcomes: what came of the trained groups; its columns are taken out as they are used.
        former: the version that it goes on from.
        version: number of the version.

    Raises:
        BuildFailed: a group has no outcome or more than one, or the workers saw other rows than the census.
    """
    row_of = _rows_of_outcomes(step, found, schedule, outcomes)
    stands = former.stands_in(schedule)
    decided = np.flatnonzero(~stands)
    parts = [_decided(step, found, schedule, outcomes, former, decided, row_of[decided], version=version)]
    if len(decided) < len(stands):
        parts.append(_standing(found, former, np.flatnonzero(stands)))
    if len(former.staying):
        parts.append(_others(found, former))
    table = pa.concat_tables(parts)
    return table.take(pc.sort_indices(table, [(key, "ascending") for key in step.keys])).combine_chunks()


def _decided(
    step: TrainStep,
    found: CensusTable,
    schedule: Schedule,
    outcomes: Outcomes,
    former: Former,
    which: npt.NDArray[np.int64],
    row_of: npt.NDArray[np.int64],
    *,
    version: int,
) -> pa.Table:
    """Return the rows of groups that were trained, or kept out by a rule."""
    trained, decided = schedule.to_train[which], schedule.status[which]
    rows = pa.array(row_of, mask=~trained)

    def outcome(name: str) -> pa.ChunkedArray:
        return outcomes.pop(name).take(rows)  # with millions of groups, each column counts

    n_rows, n_usable = found.census.n_rows[which], found.census.n_usable[which]
    status = pc.if_else(pa.array(trained), outcome("status"), pa.array(decided, pa.string()))
    fitted = pc.equal(status, str(Status.TRAINED))
    # Until a group that fails has a better model, its last good one serves; and where the new one has lost.
    champion = pc.equal(status, str(Status.REUSED)).to_numpy()
    faulty = has_status(status, FAULTS).to_numpy()
    last_good = np.where(faulty | champion, former.last_good[which], -1)
    last = pa.array(last_good, mask=last_good < 0)

    def served(name: str, own: Any) -> Any:
        return pc.if_else(fitted, own, former.groups[name].take(last).combine_chunks())

    inexact = pa.array(decided == Status.FAILED)
    reasons = np.where(trained, former.reason[which], np.array(None))
    columns: dict[str, Callable[[], Any]] = {
        "status": lambda: status,
        "n_rows": lambda: pa.array(n_rows),
        "n_train": lambda: pc.if_else(pa.array(champion), served("n_train", 0), pc.fill_null(outcome("n_train"), 0)),
        "n_test": lambda: pc.fill_null(outcome("n_test"), 0),
        "metrics": lambda: _filled_maps(outcome("metrics")),
        "baseline": lambda: _filled_maps(outcome("baseline")),
        "fit_seconds": lambda: outcome("fit_seconds"),
        "cpu_seconds": lambda: outcome("cpu_seconds"),
        "model_version": lambda: served("model_version", pa.scalar(version, pa.int32())),
        "model_bytes": lambda: served("model_bytes", outcome("model_bytes")),
        "model_sha256": lambda: served("model_sha256", outcome("sha256")),
        "data_digest": lambda: found.digests.take(pa.array(which)),
        "error_type": lambda: pc.if_else(inexact, INEXACT_NUMBER, outcome("error_type")),
        "error": lambda: pc.if_else(inexact, _INEXACT, outcome("error")),
        "warnings": lambda: _warnings(step, outcome("warnings"), n_rows * trained, n_usable * trained),
        "reason": lambda: pa.array(np.where(champion, str(BuildReason.CHAMPION), reasons), pa.string()),
        "champion": lambda: _filled_maps(outcome("champion")),
        "chosen": lambda: served("chosen", outcome("chosen")),
        "candidates": lambda: _filled_maps(outcome("candidates")),
    }
    table = found.keys.take(pa.array(which))
    for name in GROUP_COLUMNS:
        table = table.append_column(name, _one_chunk(columns[name](), GROUP_TYPES[name]))
    return table


def _standing(found: CensusTable, former: Former, which: npt.NDArray[np.int64]) -> pa.Table:
    """Return the rows of groups that are as they were in the former version."""
    rows = former.groups.take(pa.array(former.place[which]))
    reason = pa.repeat(str(BuildReason.UNCHANGED), len(rows))
    n_rows = pa.array(found.census.n_rows[which])
    return _taken_over(rows, found.keys.take(pa.array(which)), n_rows, reason, met=False)


def _others(found: CensusTable, former: Former) -> pa.Table:
    """Return the rows of groups that stay and are not in the census."""
    rows = former.groups.take(pa.array(former.staying))
    keys = rows.select(found.keys.column_names).cast(found.keys.schema)
    vanished, nothing = str(BuildReason.VANISHED), pa.array(np.zeros(len(rows), dtype=np.int64))
    if former.others_stay == "all":  # nobody knows of them more than before
        reason = pc.if_else(pa.array(in_input(rows)), str(BuildReason.UNCHANGED), vanished)
        return _taken_over(rows, keys, rows["n_rows"], reason, met=True)
    return _taken_over(rows, keys, nothing, pa.repeat(vanished, len(rows)), met=False)


def _taken_over(rows: pa.Table, keys: pa.Table, n_rows: pa.Array, reason: pa.Array, *, met: bool) -> pa.Table:
    """Return rows as the next version has them.

    Args:
        rows: rows of the former version.
        keys: their keys.
        n_rows: rows that the groups have in the input now.
        reason: why they stand.
        met: whether what came of a contest is of this version too.
    """
    nothing = pa.nulls(len(rows), pa.float64())
    changed = {
        "status": standing(rows["status"]),
        "n_rows": n_rows,
        "fit_seconds": nothing,  # in this run
        "cpu_seconds": nothing,
        "reason": reason,
        **({} if met else {"champion": pa.nulls(len(rows), _METRICS)}),
    }
    for name in GROUP_COLUMNS:
        keys = keys.append_column(name, changed.get(name, rows[name]))
    return keys


_INEXACT = (
    f"a numeric column holds a number beyond ±{EXACT_LIMIT}, which a double cannot hold exactly; cast it to double in "
    "`sql` to accept the rounding, or declare it categorical"
)


def _rows_of_outcomes(
    step: TrainStep, found: CensusTable, schedule: Schedule, outcomes: Outcomes
) -> npt.NDArray[np.int64]:
    """Return for each group of the census the row of its outcome; what stands for the others means nothing."""
    row_of = np.zeros(len(found.census.group), dtype=np.int64)
    if not schedule.n_bins:
        return row_of
    expected = found.census.group[schedule.to_train]
    got = outcomes.pop(GROUP).to_numpy()
    order = np.argsort(got)
    if len(got) != len(expected) or not np.array_equal(got[order], np.sort(expected)):
        raise rows_differ(step, f"{len(expected):,} groups were to be trained and {len(got):,} outcomes came back")
    row_of[schedule.to_train] = order[np.searchsorted(got[order], expected)]
    seen = outcomes.pop("data_digest").take(pa.array(row_of, mask=~schedule.to_train))
    sampled = pa.array(step.samples(found.census.n_usable))
    as_it_should = pc.if_else(sampled, pc.starts_with(seen, f"{step.max_rows or 0:X}-"), pc.equal(seen, found.digests))
    differing = pc.sum(pc.invert(as_it_should)).as_py() or 0
    if differing:
        raise rows_differ(step, f"{differing:,} groups had other rows in training than in the census")
    return row_of


def rows_differ(step: TrainStep, what: str) -> BuildFailed:
    """Return the failure of a family whose rows were others in training than in the census."""
    return BuildFailed(
        Diagnostic(
            code=Code.ACCOUNTING,
            message=f"the rows of family `{step.family}` do not add up: {what}; the version is not published",
            help="the input changed while it was read, or its query does not give the same rows twice",
        )
    )


def _filled_maps(column: pa.ChunkedArray) -> pa.Array:
    """Put an empty map in the place of null."""
    maps = _one_chunk(column, _METRICS)
    return pa.MapArray.from_arrays(maps.offsets, maps.keys, maps.items)


def _warnings(
    step: TrainStep, column: pa.ChunkedArray, n_rows: npt.NDArray[np.int64], n_usable: npt.NDArray[np.int64]
) -> pa.Array:
    """Return the warnings of each group, before them which of its rows were left out."""
    said = _one_chunk(column, pa.list_(pa.string()))
    sampled = step.samples(n_usable)
    kept = f"fitted on a sample of {step.max_rows or 0:,} rows out of "
    said = _prepended(sampled, pc.binary_join_element_wise(kept, _texts(n_usable[sampled]), ""), said)
    unlabelled = n_rows - n_usable
    counts = unlabelled[unlabelled > 0]
    words = pa.array(np.where(counts == 1, " row", " rows"), pa.string())
    left_out = pc.binary_join_element_wise(_texts(counts), words, " without a label left out", "")
    return _prepended(unlabelled > 0, left_out, said)


def _texts(numbers: npt.NDArray[np.int64]) -> pa.Array:
    return pc.cast(pa.array(numbers), pa.string())


def _prepended(chosen: npt.NDArray[np.bool_], texts: pa.Array, lists: pa.Array) -> pa.Array:
    """Put a text before those of each chosen list."""
    before = lists.offsets.to_numpy() - lists.offsets[0].as_py()
    ends = before + np.concatenate(([0], np.cumsum(chosen)))
    place = np.zeros(ends[-1], dtype=bool)
    place[ends[:-1][chosen]] = True
    order = np.where(place, np.cumsum(place) - 1, len(texts) + np.cumsum(~place) - 1)
    joined = pa.concat_arrays([texts, lists.flatten()]).take(pa.array(order))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), joined)


def _one_chunk(column: Any, kind: pa.DataType) -> pa.Array:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.cast(kind)


def quantiles(step: TrainStep, groups: pa.Table, name: str) -> dict[str, Quantiles]:
    """Return the distribution over groups of each metric in the map column `name`, in the order of the definition."""
    return metric_quantiles(groups, name, step.fit.evaluation.metrics if step.fit.evaluation else ())


def data_fingerprint(found: CensusTable) -> str:
    """Return the SHA-256 of all groups' identities and digests, whatever their order."""
    order = np.argsort(found.census.group)
    texts = _one_chunk(found.digests.take(pa.array(order)), pa.string())
    _, offsets, letters = texts.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    digest = hashlib.sha256(found.census.group[order].tobytes())
    digest.update(np.diff(ends).tobytes())
    digest.update(letters[ends[0] : ends[-1]])
    return digest.hexdigest()


def refusal(step: TrainStep, groups: pa.Table) -> Diagnostic | None:
    """Say why a version may not be published: more groups failed than the family allows, or no group has a model.

    Args:
        step: the family's step.
        groups: its group table.
    """
    counted = statuses(groups["status"].filter(pa.array(in_input(groups))))
    failed = sum(counted.get(status, 0) for status in FAULTS)
    tried = failed + sum(counted.get(status, 0) for status in SERVED)
    allowed = step.failures_allowed(tried)
    if failed > allowed:
        return Diagnostic(
            code=Code.TOO_MANY_FAILED,
            message=f"{failed:,} of {tried:,} groups of family `{step.family}` failed, {allowed:,} may; "
            "the version is not published",
            help="`max_failed` sets how many may fail; " + held_back(step.family),
        )
    if not counted.keys() & SERVED:
        return Diagnostic(
            code=Code.NO_MODELS,
            message=f"no group of family `{step.family}` has a model; the version is not published",
            help=f"{_most_frequent(step, counted)}; {held_back(step.family)}",
        )
    return None


def _most_frequent(step: TrainStep, counted: Mapping[str, int]) -> str:
    """Say what came of most groups, and the key of the definition that has a say in it."""
    status, number = max(counted.items(), key=lambda item: item[1])
    total = sum(counted.values())
    which = f"{number:,} of {total:,} groups" if number < total else f"all {total:,} groups"
    which = "the only group" if total == 1 else which
    have, are = ("has", "is") if total == 1 else ("have", "are")
    match Status(status):
        case Status.TOO_FEW_ROWS:
            return f"{which} {have} too few rows: `min_rows` is {step.min_rows}"
        case Status.TOO_MANY_ROWS:
            return f"{which} {have} too many rows: `max_rows` is {step.max_rows}"
        case Status.NULL_KEY:
            return f"{which} {have} a null key: `null_keys` is `{step.null_keys}`"
        case Status.ONE_CLASS:
            return f"{which} {have} one class only"
        case _:
            return f"{which} {are} `{status}`"


def faults(step: TrainStep, groups: pa.Table, *, most: int = 3) -> tuple[Fault, ...]:
    """Return the most frequent kinds of fault, most frequent first."""
    columns = ["status", "error_type", "error"]
    lost = groups.filter(has_status(groups["status"], FAULTS))
    # Numbers aside: a seed or a count in the text does not make it another kind of fault.
    kind = pc.replace_substring_regex(pc.fill_null(lost["error"], ""), r"[0-9]+", "#")
    lost = (
        lost.select([*step.keys, *columns])
        .append_column(_KIND, kind)
        .append_column(_ROW, pa.array(np.arange(lost.num_rows)))
    )
    counted = lost.group_by(["status", "error_type", _KIND]).aggregate([(_ROW, "count"), (_ROW, "min")])
    frequent = counted.sort_by([(f"{_ROW}_count", "descending"), (f"{_ROW}_min", "ascending")]).slice(0, most)
    return tuple(
        Fault(
            status=example["status"],
            error_type=example["error_type"],
            error=example["error"],
            count=count,
            example={key: example[key] for key in step.keys},
        )
        for count, example in zip(
            frequent[f"{_ROW}_count"].to_pylist(), lost.take(frequent[f"{_ROW}_min"]).to_pylist(), strict=True
        )
    )
