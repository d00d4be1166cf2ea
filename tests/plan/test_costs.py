"""What groups are expected to take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_samples import call, in_folds, make_step, pipeline

from modelfactory.plan.costs import Measured, expected_seconds
from modelfactory.plan.steps import EstimatorCall

FOREST = call("sklearn.ensemble.RandomForestRegressor", n_estimators=20)
LINEAR = call("sklearn.linear_model.LinearRegression")
SVR = call("sklearn.svm.SVR")
UNKNOWN = call("somebody.Estimator")
ROWS = np.array([1, 10, 100, 1_000, 10_000, 100_000])


def expected(estimator: EstimatorCall, rows: Any = ROWS, measured: Measured | None = None, **changes: Any) -> Any:
    rows = np.asarray(rows)
    return expected_seconds(make_step(estimator, **changes), np.arange(len(rows)), rows, measured)


@pytest.mark.parametrize("estimator", [FOREST, LINEAR, SVR, UNKNOWN], ids=lambda e: e.name)
def test_more_rows_take_longer(estimator: EstimatorCall) -> None:
    assert (np.diff(expected(estimator)) > 0).all()


def test_some_estimators_compare_rows_with_each_other() -> None:
    """To the schedule, ten times the rows are a hundred times the cost."""
    few, many = expected(SVR, [10_000, 100_000])
    assert many / few > 80
    few, many = expected(FOREST, [10_000, 100_000])
    assert 8 < many / few < 12


def test_parameters_count() -> None:
    (few,), (many,) = (expected(call(FOREST.path, n_estimators=n), [500]) for n in (10, 200))
    assert 10 < many / few < 25
    assert expected(call(FOREST.path), [500]) == pytest.approx(expected(call(FOREST.path, n_estimators=100), [500]))
    assert expected(call(FOREST.path, n_estimators="odd"), [500])[0] > 0


def test_a_pipeline_takes_as_long_as_its_last_step() -> None:
    scaled = pipeline(call("sklearn.preprocessing.StandardScaler"), FOREST)
    assert expected(scaled).tolist() == expected(FOREST).tolist()


def test_folds_are_so_many_fits() -> None:
    (once,), (in_turn,) = expected(FOREST, [1000]), expected(FOREST, [1000], evaluation=in_folds(4))
    assert in_turn / once == pytest.approx(5, rel=0.1)


def test_solving_at_once_is_cheaper_than_fitting_one_by_one() -> None:
    assert expected(LINEAR, [50])[0] < expected(LINEAR, [50], linear_solve=None)[0] / 5


def test_what_was_measured_is_believed() -> None:
    measured = Measured(np.array([1, 0]), np.array([100, 100]), np.array([0.2, 0.1]))
    found = expected(UNKNOWN, [100, 100], measured)
    assert found == pytest.approx([0.1, 0.2], rel=0.02)
    grown = expected(UNKNOWN, [200, 100], measured)
    assert grown[0] == pytest.approx(2 * found[0], rel=0.02)


def test_groups_that_were_not_there_are_expected_to_be_like_the_others() -> None:
    measured = Measured(np.array([0, 1]), np.array([100, 100]), np.array([0.1, 0.1]))
    assert expected(UNKNOWN, [100, 100, 100], measured) == pytest.approx([0.1] * 3, rel=0.02)


def test_a_clock_that_was_disturbed_once_does_not_upset_the_schedule() -> None:
    seconds = np.full(200, 0.001)
    seconds[7] = 3600.0
    measured = Measured(np.arange(200), np.full(200, 100), seconds)
    found = expected(UNKNOWN, [100] * 200, measured)
    assert found[7] < 0.01
    assert np.delete(found, 7) == pytest.approx(0.001, rel=0.5)


groups = st.tuples(st.integers(0, 9), st.integers(0, 1000), st.floats(0, 100))


@settings(deadline=None, max_examples=50)
@given(st.lists(groups, max_size=10, unique_by=lambda group: group[0]))
def test_any_measurement_gives_costs_that_are_numbers(known: list[tuple[int, int, float]]) -> None:
    table = np.array(known, dtype=float).reshape(-1, 3)
    measured = Measured(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2])
    found = expected(FOREST, [5, 50, 500], measured)
    assert np.isfinite(found).all()
    assert (found > 0).all()
