"""Decisions before training, and bins that are as even as the longest-processing-time rule makes them."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import workspace_of, write_project

from modelfactory.plan.schedule import BINS_PER_SLOT, Census, Schedule, place, schedule_groups
from modelfactory.plan.steps import TrainStep

_costs = st.lists(st.integers(0, 1000), min_size=1, max_size=60)


def packed(costs: list[int] | list[float], n_bins: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Place items; return the bin of each and the load of each bin."""
    identity = np.random.default_rng(seed).permutation(len(costs)).astype(np.int64)
    bins = place(np.array(costs, dtype=np.float64), identity, n_bins)
    return bins, np.bincount(bins, weights=costs, minlength=n_bins)


def smallest_makespan(costs: list[int], n_bins: int) -> float:
    return min(
        max(sum(c for c, b in zip(costs, bins, strict=True) if b == n) for n in range(n_bins))
        for bins in itertools.product(range(n_bins), repeat=len(costs))
    )


# Bins ------------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(_costs, st.integers(1, 20))
def test_every_item_gets_a_bin_in_range_and_bin_0_is_the_fullest(costs: list[int], n_bins: int) -> None:
    bins, loads = packed(costs, min(n_bins, len(costs)))
    assert len(bins) == len(costs)
    assert bins.min() >= 0
    assert bins.max() < min(n_bins, len(costs))
    assert list(loads) == sorted(loads, reverse=True)


@settings(max_examples=100, deadline=None)
@given(_costs, st.integers(1, 8), st.randoms())
def test_the_order_of_the_items_does_not_matter(costs: list[int], n_bins: int, random: object) -> None:
    identity = np.arange(len(costs), dtype=np.int64) * 7
    order = np.array(random.sample(range(len(costs)), len(costs)))  # type: ignore[attr-defined]
    array = np.array(costs, dtype=np.float64)
    n_bins = min(n_bins, len(costs))
    assert np.array_equal(place(array, identity, n_bins)[order], place(array[order], identity[order], n_bins))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=7), st.integers(1, 3))
def test_the_fullest_bin_is_at_most_4_thirds_of_the_best(costs: list[int], n_bins: int) -> None:
    n_bins = min(n_bins, len(costs))
    _, loads = packed(costs, n_bins)
    assert loads.max() <= (4 / 3 - 1 / (3 * n_bins)) * smallest_makespan(costs, n_bins) + 1e-9


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 2000), st.sampled_from([0.5, 1.5, 3.0]))
def test_many_items_fill_the_bins_evenly(seed: int, n_bins: int, count: int, spread: float) -> None:
    costs = np.ceil(np.random.default_rng(seed).lognormal(3, spread, count)).tolist()
    n_bins = min(n_bins, count)
    _, loads = packed(costs, n_bins, seed)
    pair = sum(sorted(costs, reverse=True)[n_bins - 1 : n_bins + 1]) if count > n_bins else 0  # two share a bin
    best = max(*costs, sum(costs) / n_bins, pair)
    smallest = min(costs)
    assert loads.max() <= max(4 / 3 * best, best + smallest) + 1e-6


@pytest.mark.parametrize("n_bins", [1, 3, 16])
def test_a_million_cheap_items_are_poured_level(n_bins: int) -> None:
    _, loads = packed([1.0] * 100_000 + [500.0] * 5, n_bins)
    assert loads.max() - loads.min() <= 500 / n_bins + 2 or n_bins == 1
    assert loads.sum() == 102_500


def test_items_that_cost_nothing_are_placed_too() -> None:
    bins, _ = packed([0.0] * 5000, 4)
    assert set(bins.tolist()) <= {0, 1, 2, 3}


def test_nothing_to_place_is_nothing_placed() -> None:
    assert len(place(np.empty(0), np.empty(0, dtype=np.int64), 0)) == 0


# Decisions -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory) -> TrainStep:
    """A classifier that wants 5 to 100 rows."""
    folder = write_project(
        tmp_path_factory.mktemp("schedule"),
        {
            "families/f.yml": """\
                sources: [{name: s, path: x}]
                families:
                - {name: f, group_by: k, source: s, features: x, label: y, estimator: LogisticRegression,
                   min_rows: 5, max_rows: 100}
            """
        },
    )
    return workspace_of(folder).plan.steps[0]


def census(*groups: tuple[int, int, bool, bool, bool]) -> Census:
    """Make a census of (rows, usable rows, null key, one class, inexact)."""
    rows, usable, null, one, inexact = (np.array(column) for column in zip(*groups, strict=True))
    return Census(np.arange(len(groups)) * 11, rows, usable, null, one, inexact)


@pytest.mark.parametrize(
    ("group", "status"),
    [
        ((50, 50, False, False, False), ""),
        ((5, 5, False, False, False), ""),
        ((100, 100, False, False, False), ""),
        ((4, 4, False, False, False), "too_few_rows"),
        ((50, 4, False, False, False), "too_few_rows"),
        ((200, 101, False, False, False), "too_many_rows"),
        ((200, 100, False, False, False), ""),
        ((50, 50, True, False, False), "null_key"),
        ((4, 4, True, False, False), "null_key"),
        ((50, 50, False, True, False), "one_class"),
        ((4, 4, False, True, False), "too_few_rows"),
        ((50, 50, False, False, True), "failed"),
    ],
)
def test_what_is_certain_before_training_is_decided_before(
    step: TrainStep, group: tuple[int, int, bool, bool, bool], status: str
) -> None:
    decided = schedule_groups(step, census(group), slots=2)
    assert decided.status.tolist() == [status]
    assert decided.to_train.tolist() == [status == ""]


def test_a_null_key_may_be_a_group(step: TrainStep) -> None:
    as_group = dataclasses.replace(step, null_keys="group")
    assert schedule_groups(as_group, census((50, 50, True, False, False)), slots=2).to_train.all()


def test_one_label_is_no_matter_for_a_regressor(step: TrainStep) -> None:
    regression = dataclasses.replace(step, fit=dataclasses.replace(step.fit, task="regression"))
    assert schedule_groups(regression, census((50, 50, False, True, False)), slots=2).to_train.all()


@pytest.mark.parametrize(("groups", "bins"), [(1, 1), (3, 2), (500, 2), (100_000, 2 * BINS_PER_SLOT)])
def test_there_are_more_bins_for_more_work_but_no_empty_ones(step: TrainStep, groups: int, bins: int) -> None:
    decided = schedule_groups(step, census(*[(50, 50, False, False, False)] * groups), slots=2)
    assert decided.n_bins == bins
    assert set(decided.bin.tolist()) == set(range(bins))


def test_only_groups_that_are_trained_get_a_bin(step: TrainStep) -> None:
    decided = schedule_groups(step, census((50, 50, False, False, False), (1, 1, False, False, False)), slots=2)
    assert decided.bin.tolist() == [0, -1]


def test_a_family_without_groups_to_train_has_no_bins(step: TrainStep, tmp_path: Path) -> None:
    decided = schedule_groups(step, census((1, 1, False, False, False)), slots=2)
    assert (decided.n_bins, decided.bin.tolist()) == (0, [-1])


# The global model ------------------------------------------------------------------------------------------------

USUAL = (50, 40, False, False, False)


def whole(step: TrainStep, *groups: tuple[int, int, bool, bool, bool], slots: int = 2, **changes: Any) -> Schedule:
    return schedule_groups(dataclasses.replace(step, fallback="global", **changes), census(*groups), slots=slots)


def test_the_global_model_learns_from_the_rows_of_all_groups_and_is_none(step: TrainStep) -> None:
    groups = [USUAL, (9, 2, False, False, False), (70, 60, True, False, False)]
    with_it, without = whole(step, *groups, max_rows=None), schedule_groups(step, census(*groups), slots=2)
    assert with_it.status.tolist() == without.status.tolist()
    assert with_it.to_train.tolist() == without.to_train.tolist()
    assert without.global_fit is None
    assert with_it.global_fit is not None
    assert (with_it.global_fit.n_rows, with_it.global_fit.most) == (102, None)
    assert with_it.n_bins == 2
    assert {*with_it.bin[with_it.to_train].tolist(), with_it.global_fit.bin} == {0, 1}


def test_of_too_many_rows_it_gets_a_sample(step: TrainStep) -> None:
    many = [USUAL] * 10_000
    fits = [whole(step, *many, max_rows=most).global_fit for most in (None, 70, 10**9)]
    assert [(fit.n_rows, fit.most) for fit in fits if fit] == [(400_000, 100_000), (400_000, 70), (400_000, 100_000)]


def test_it_goes_first_where_it_takes_longest(step: TrainStep) -> None:
    found = whole(step, *[USUAL] * 1000, max_rows=None)
    assert found.global_fit is not None
    assert found.global_fit.bin == 0
    assert found.global_fit.seconds > found.seconds.max()


def test_without_a_group_to_train_there_is_none(step: TrainStep) -> None:
    found = whole(step, (50, 2, False, False, False))
    assert (found.global_fit, found.n_bins) == (None, 0)
