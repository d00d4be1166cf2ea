"""Tests that need no more than group tables and what manifests tell of versions."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelfactory.plan.metrics import GREATEST, LEAST, METRICS
from modelfactory.plan.steps import Contest, DeclaredTest, most_lost
from modelfactory.store.group_changes import matched_rows
from modelfactory.store.groups import served
from modelfactory.testing.tested import (
    CannotJudge,
    Failing,
    Finding,
    Mask,
    Tested,
    compared,
    counted_groups,
    values_of,
)

Values = npt.NDArray[np.float64]


def coverage(tested: Tested, test: DeclaredTest) -> Finding:
    """Judge the share of the input's groups that have a model."""
    share = float(tested.has_model[tested.in_input].mean()) if tested.in_input.any() else 0.0
    return _at_least(share, test["min"], tested, tested.in_input & ~tested.has_model, "without a model")


def metric(tested: Tested, test: DeclaredTest) -> Finding:
    """Judge a quantile of a metric over the groups that have it."""
    values = _measured(tested, test["name"])
    known = values[~np.isnan(values)]
    found = _statistic(known, test["stat"], higher_is_better=METRICS[test["name"]].higher_is_better)
    return _between(found, test["min"], test["max"], tested, values)


def beats_baseline(tested: Tested, test: DeclaredTest) -> Finding:
    """Judge the share of groups whose model is better than the baseline."""
    name = test["metric"]
    model, baseline = _measured(tested, name), values_of(tested.groups, "baseline", name)
    known = tested.has_model & ~np.isnan(baseline)  # a model that cannot be measured there is no better
    if not known.any():
        raise CannotJudge(f"no group has `{name}` and its baseline")
    better = model > baseline if METRICS[name].higher_is_better else model < baseline
    return _at_least(float(better[known].mean()), test["min_share"], tested, known & ~better, "no better")


def beats_current(tested: Tested, test: DeclaredTest) -> Finding:
    """Judge the share of groups whose model is not worse than the current one, measured on the same rows."""
    name = test["metric"]
    if tested.previous_record is None:
        return Finding(None, "the first version")
    new, current = _measured(tested, name), values_of(tested.groups, "champion", name)
    known = tested.has_model & ~np.isnan(current)
    if not known.any():
        return Finding(None, "of no group a model of both versions was measured on the same rows")
    # As in the contest of a group, a model that cannot be measured where the current one can loses.
    worse = np.isnan(new) | Contest(metric=name, tolerance=test["tolerance"]).is_worse(new, current)
    return _at_least(float(1 - worse[known].mean()), test["min_share"], tested, known & worse, "worse")


def no_lost_groups(tested: Tested, test: DeclaredTest) -> Finding:
    """Judge how many groups have lost their model, or are not there any more."""
    previous = tested.previous
    if previous is None:
        return Finding(None, "the first version")
    if set(tested.keys) - set(previous.column_names):
        return Finding(None, "the version before has other groups")
    had = served(previous)
    now = matched_rows(tested.groups, previous, tested.keys)  # row of each former group, or -1
    have = np.zeros(len(had), dtype=bool)
    have[now >= 0] = tested.has_model[now[now >= 0]]
    lost = had & ~have
    limits = dict(test["max"])
    most = most_lost(limits["share"], limits["count"], of=int(had.sum()))
    return _most(int(lost.sum()), most, Failing.of(previous.select(tested.keys).filter(pa.array(lost))), "lost")


def max_model_bytes(tested: Tested, test: DeclaredTest) -> Finding:
    """Judge the size of the largest model."""
    sizes = np.asarray(tested.groups["model_bytes"].fill_null(0).to_numpy())
    whole = tested.record.global_model
    largest = max(int(sizes.max(initial=0)), (whole.model_bytes or 0) if whole is not None else 0)
    return _most(largest, test["max"], tested.failing(sizes > test["max"]), "larger")


def prediction_range(tested: Tested, test: DeclaredTest) -> Finding:
    """Judge the least and the greatest prediction."""
    low, high = values_of(tested.groups, "metrics", LEAST), values_of(tested.groups, "metrics", GREATEST)
    known = tested.has_model & ~np.isnan(low) & ~np.isnan(high)
    if not known.any():
        return Finding(None, "predictions were not measured when the version was built")
    least, greatest = test["min"], test["max"]
    outside = np.zeros(len(known), dtype=bool)
    said = []
    if least is not None:
        outside |= known & (low < least)
        found = float(low[known].min())
        said.append(compared(found, ">=" if found >= least else "<", least))
    if greatest is not None:
        outside |= known & (high > greatest)
        found = float(high[known].max())
        said.append(compared(found, "<=" if found <= greatest else ">", greatest))
    return _with_groups(not outside.any(), " and ".join(said), tested.failing(outside), "outside")


def stable_metrics(tested: Tested, test: DeclaredTest) -> Finding:
    """Judge the median of a metric against what it was in the versions before."""
    name, last = test["metric"], test["versions"]
    former = [v.metrics[name].median for v in tested.history if name in v.metrics][-last:]
    if not former:
        return Finding(None, f"no version before has `{name}`")
    values = _measured(tested, name)
    now, before = float(np.nanmedian(values)), float(np.median(former))
    higher = METRICS[name].higher_is_better
    limit = before - test["tolerance"] * abs(before) if higher else before + test["tolerance"] * abs(before)
    passed = now >= limit if higher else now <= limit
    sign = (">=" if higher else "<=") if passed else ("<" if higher else ">")
    versions = "the version" if len(former) == 1 else f"{len(former)} versions"
    return Finding(passed, f"{compared(now, sign, limit)}, from {before:.4g} of {versions} before")


def _measured(tested: Tested, name: str) -> Values:
    """Return a metric of the groups that have a model, NaN of the others.

    Raises:
        CannotJudge: no group has it.
    """
    values = np.where(tested.has_model, values_of(tested.groups, "metrics", name), np.nan)
    if np.isnan(values).all():
        raise CannotJudge(f"no group has `{name}`")
    return values


def _statistic(values: Values, stat: str, *, higher_is_better: bool) -> float:
    match stat:
        case "mean":
            return float(values.mean())
        case "median":
            return float(np.median(values))
        case "worst" | "best":
            return float(values.max() if (stat == "best") == higher_is_better else values.min())
        case _:
            return _percentile(values, int(stat.removeprefix("p")))


def _percentile(values: Values, percent: int) -> float:
    """Return what numpy does, and not NaN where one of the two values that it lies between is infinite."""
    around = [float(np.percentile(values, percent, method=method)) for method in ("lower", "higher")]
    infinite = [value for value in around if math.isinf(value)]
    return infinite[0] if infinite else float(np.percentile(values, percent))


def _at_least(share: float, least: float, tested: Tested, failing: Mask, what: str) -> Finding:
    """Judge a share, with the groups that do not count towards it."""
    passed = share >= least
    return _with_groups(passed, compared(share, ">=" if passed else "<", least), tested.failing(failing), what)


def _most(count: int, most: int, failing: Failing, what: str) -> Finding:
    passed = count <= most
    return _with_groups(passed, compared(count, "<=" if passed else ">", most), failing, what)


def _between(value: float, low: float | None, high: float | None, tested: Tested, values: Values) -> Finding:
    """Judge a number that belongs to no group in particular; name the groups that are beyond its limits themselves."""
    below, above = low is not None and not value >= low, high is not None and not value <= high  # NaN is not within
    outside = np.zeros(len(values), dtype=bool)
    said = []
    if low is not None:
        outside |= values < low
        said.append(compared(value, "<" if below else ">=", low))
    if high is not None:
        outside |= values > high
        said.append(compared(value, ">" if above else "<=", high))
    return _with_groups(not (below or above), " and ".join(said), tested.failing(outside), "beyond")


def _with_groups(passed: bool, said: str, failing: Failing, what: str) -> Finding:
    """Say of a failure how many groups are to blame."""
    return Finding(passed, said if passed else said + counted_groups(failing, what), failing)
