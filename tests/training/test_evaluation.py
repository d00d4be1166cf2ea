"""Splits, metrics and baselines against scikit-learn's own."""

from __future__ import annotations

import dataclasses
import itertools
import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics
from sklearn.dummy import DummyClassifier, DummyRegressor
from training_samples import (
    Group,
    by_time,
    call,
    fit,
    holdout,
    in_folds,
    make_batch,
    make_step,
    sample_group,
    splits_of,
)
from training_samples import train as train_all

from modelfactory.plan.metrics import DEFAULT_METRICS, METRICS
from modelfactory.plan.steps import Evaluation
from modelfactory.training.batches import GroupRows
from modelfactory.training.estimators import make_template
from modelfactory.training.evaluation import mean_of, measure, measure_baseline
from modelfactory.training.regression import regression_metrics
from modelfactory.training.splitting import measured_in

REGRESSION = tuple(name for name, metric in METRICS.items() if metric.task == "regression")
CLASSIFICATION = tuple(name for name, metric in METRICS.items() if metric.task == "classification")
LABELS_ONLY = tuple(name for name in CLASSIFICATION if METRICS[name].needs == "labels")
KINDS_OF_LABELS: dict[str, list[Any]] = {
    "text": ["apple", "pear", "été"],
    "one letter": ["a", "b", "c"],
    "whole": [-5, 0, 7],
    "boolean": [False, True],
    "double": [-1.0, 0.0, 3.0],
}

ordinary = st.floats(-1e6, 1e6, allow_nan=False, allow_subnormal=False)
settled = settings(deadline=None, max_examples=40)


class Oracle:
    """A model that predicts what it is told."""

    def __init__(self, predicted: Any, probabilities: Any = None, classes: Any = None) -> None:
        self.predicted, self.probabilities = predicted, probabilities
        if classes is not None:
            self.classes_ = classes

    def predict(self, features: Any) -> Any:
        return self.predicted

    def predict_proba(self, features: Any) -> Any:
        return self.probabilities


def rows_with(hashes: Any, time: Any = None) -> GroupRows:
    hashes = np.asarray(hashes, dtype=np.int64)
    return GroupRows(
        group=1,
        digest="",
        row_hash=hashes,
        arrived=np.arange(len(hashes)),
        columns=np.zeros((1, len(hashes))),
        frame=None,
        label=np.zeros(len(hashes)),
        weight=None,
        time=None if time is None else np.asarray(time, dtype=np.float64),
    )


def random_hashes(n: int, seed: int = 0) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).integers(-(2**63), 2**63 - 1, size=n, dtype=np.int64))


def one_split(evaluation: Evaluation, rows: GroupRows, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    ((train, test),) = splits_of(evaluation, rows, seed)
    return train, test


def scikit_learn(name: str, label: Any, predicted: Any, classes: Any = None) -> float | None:
    """The metric as a user computes it; None where scikit-learn calls it undefined or refuses."""
    metric = METRICS[name]
    arguments: dict[str, Any] = {}
    if metric.average is not None:
        arguments = {"average": metric.average, "zero_division": 0.0}
    if metric.average == "binary":
        if len(classes) != 2:
            return None
        arguments["pos_label"] = classes[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = float(getattr(sklearn_metrics, metric.function)(label, predicted, **arguments))
        except ValueError:
            return None
    return value if math.isfinite(value) else None


def assert_equal_metrics(found: dict[str, float], wanted: dict[str, float | None], scale: float = 1.0) -> None:
    assert found.keys() == {name for name, value in wanted.items() if value is not None}
    for name, value in found.items():
        assert value == pytest.approx(wanted[name], rel=1e-9, abs=1e-12 * scale), name


# Holdout ----------------------------------------------------------------------------------------------------------


@settled
@given(
    hashes=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=80),
    share=st.floats(0.001, 0.999),
    seed=st.integers(0, 2**70),
)
def test_holdout_leaves_at_least_one_row_on_each_side(hashes: list[int], share: float, seed: int) -> None:
    train, test = one_split(holdout(share), rows_with(sorted(hashes)), seed)
    assert len(train) >= 1
    assert len(test) >= 1
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(len(hashes)))


@settled
@given(
    hashes=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=60, unique=True),
    data=st.data(),
    share=st.floats(0.05, 0.95),
)
def test_a_row_keeps_its_side_whatever_the_other_rows_are(hashes: list[int], data: st.DataObject, share: float) -> None:
    kept = data.draw(st.lists(st.sampled_from(hashes), min_size=2, unique=True))

    def sides(chosen: list[int]) -> dict[int, str]:
        train, test = one_split(holdout(share), rows_with(sorted(chosen)), 7)
        ordered = sorted(chosen)
        return {**{ordered[i]: "train" for i in train}, **{ordered[i]: "test" for i in test}}

    before, after = sides(hashes), sides(kept)
    # The rule of at least one row on each side may move a single row, which is then alone there.
    alone = {row for side in (before, after) for row in side if list(side.values()).count(side[row]) == 1}
    assert all(before[row] == after[row] for row in kept if row not in alone)


def test_equal_rows_stay_on_one_side() -> None:
    """Otherwise a model is measured on rows that it has seen."""
    hashes = np.repeat(random_hashes(50), 4)
    train, test = one_split(holdout(0.3), rows_with(hashes))
    assert not set(hashes[train]) & set(hashes[test])


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_the_share_is_right_on_average(share: float, seed: int) -> None:
    n = 20_000
    _, test = one_split(holdout(share), rows_with(random_hashes(n)), seed)
    assert abs(len(test) / n - share) < 5 * math.sqrt(share * (1 - share) / n)


def test_the_share_is_right_for_hashes_that_are_not_spread() -> None:
    """The mixing must not count on the hashes being random."""
    _, test = one_split(holdout(0.2), rows_with(np.arange(20_000)))
    assert abs(len(test) / 20_000 - 0.2) < 0.015


def test_another_seed_is_another_split() -> None:
    rows = rows_with(random_hashes(2_000))
    splits_of_seeds = [set(one_split(holdout(0.5), rows, seed)[1].tolist()) for seed in range(4)]
    for i in range(4):
        for j in range(i):
            common = len(splits_of_seeds[i] & splits_of_seeds[j])
            assert 400 < common < 600  # half of a half, if they know nothing of each other


def test_a_larger_share_only_adds_rows() -> None:
    rows = rows_with(random_hashes(500))
    small, large = (set(one_split(holdout(share), rows)[1].tolist()) for share in (0.1, 0.4))
    assert small < large


@pytest.mark.parametrize("evaluation", [holdout(0.2), by_time(0.2), in_folds(3)])
def test_one_row_cannot_be_split(evaluation: Evaluation) -> None:
    assert splits_of(evaluation, rows_with([5], time=[1.0]), 0) == []


@pytest.mark.parametrize("evaluation", [holdout(0.2), by_time(0.2), in_folds(3)])
def test_one_row_is_fitted_and_not_measured(evaluation: Evaluation) -> None:
    step = make_step("Mean", evaluation=evaluation, has_time=True)
    found = fit(step, sample_group(1, 1))
    assert (found.status, found.n_train, found.n_test, found.metrics, found.baseline) == ("trained", 1, 0, {}, {})


# By time ----------------------------------------------------------------------------------------------------------

times = st.lists(
    st.one_of(st.integers(-5, 5).map(float), st.floats(-1e12, 1e12), st.just(float("nan"))), min_size=2, max_size=60
)


@settled
@given(time=times, share=st.floats(0.01, 0.99))
@example(time=[1.0, 1.0], share=0.5)
@example(time=[float("nan"), 1.0], share=0.5)
@example(time=[float("nan")] * 3, share=0.5)
@example(time=[1.0] * 9 + [2.0], share=0.5)
def test_no_row_to_measure_on_is_earlier_than_a_row_to_fit_on(time: list[float], share: float) -> None:
    rows = rows_with(random_hashes(len(time)), time)
    found = splits_of(by_time(share), rows, 0)
    moments = {t for t in time if not math.isnan(t)}
    if not found:  # only where no time comes after another
        assert len(moments) < 2
        assert not (moments and any(math.isnan(t) for t in time))
        return
    ((train, test),) = found
    assert len(train)
    assert len(test)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(len(time)))
    assert not np.isnan(rows.time[test]).any()
    known = rows.time[train][~np.isnan(rows.time[train])]
    assert not len(known) or known.max() < rows.time[test].min()


@settled
@given(n=st.integers(2, 200), share=st.floats(0.01, 0.99))
def test_by_time_measures_on_the_share_of_the_latest_rows(n: int, share: float) -> None:
    time = np.random.default_rng(n).permutation(n).astype(float)
    _, test = one_split(by_time(share), rows_with(random_hashes(n), time))
    assert abs(len(test) - n * share) <= 1
    assert set(time[test]) == set(range(n - len(test), n))


@pytest.mark.parametrize(("n", "share", "measured"), [(10, 0.2, 2), (10, 0.3, 3), (5, 0.2, 1), (100, 0.29, 29)])
def test_rounding_does_not_cost_a_row(n: int, share: float, measured: int) -> None:
    _, test = one_split(by_time(share), rows_with(random_hashes(n), np.arange(n)))
    assert len(test) == measured


def test_equal_times_keep_to_one_side() -> None:
    time = np.repeat([1.0, 2.0, 3.0, 4.0], 5)
    train, test = one_split(by_time(0.1), rows_with(random_hashes(20), time))
    assert set(time[test]) == {4.0}
    assert set(time[train]) == {1.0, 2.0, 3.0}


def test_a_group_of_one_moment_is_fitted_and_not_measured() -> None:
    group = sample_group(1, 6)
    step = make_step("Mean", evaluation=by_time(0.5), has_time=True)
    found = fit(step, Group(1, group.columns, group.label, time=[3.0] * 6))
    assert (found.status, found.n_train, found.n_test, found.metrics) == ("trained", 6, 0, {})


# Folds ------------------------------------------------------------------------------------------------------------


@settled
@given(
    hashes=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=80),
    folds=st.integers(2, 12),
    seed=st.integers(0, 2**40),
)
def test_each_row_is_measured_once(hashes: list[int], folds: int, seed: int) -> None:
    found = splits_of(in_folds(folds), rows_with(sorted(hashes)), seed)
    assert len(found) == min(folds, len(hashes))
    measured = np.concatenate([test for _, test in found])
    assert sorted(measured.tolist()) == list(range(len(hashes)))
    sizes = [len(test) for _, test in found]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1
    for train, test in found:
        assert sorted([*train.tolist(), *test.tolist()]) == list(range(len(hashes)))


def test_folds_are_not_blocks_of_neighbouring_hashes() -> None:
    found = splits_of(in_folds(2), rows_with(np.arange(1000)), 0)
    runs = np.count_nonzero(np.diff(found[0][1]) == 1)
    assert 150 < runs < 350


def test_folds_fit_the_stored_model_on_all_rows() -> None:
    group = sample_group(1, 23)
    step = make_step(call("sklearn.linear_model.LinearRegression"), evaluation=in_folds(5))
    found = fit(step, group)
    assert (found.n_train, found.n_test) == (23, 23)
    assert found.model == fit(make_step(step.estimator), group).model


def test_metrics_of_folds_are_their_means() -> None:
    group = sample_group(1, 23)
    step = make_step("Mean", evaluation=in_folds(4, "mae"))
    hashes = group.hashes
    label = np.asarray(group.label)
    wanted = [
        float(np.abs(label[test] - label[train].mean()).mean())
        for train, test in splits_of(in_folds(4), rows_with(hashes), 0)
    ]
    assert fit(step, group).metrics["mae"] == pytest.approx(np.mean(wanted), rel=1e-12)


def test_the_mean_over_folds_is_of_the_folds_that_have_the_metric() -> None:
    assert mean_of([{"a": 1.0}, {"a": 2.0, "b": 5.0}, {}]) == {"a": 1.5, "b": 5.0}
    assert mean_of([]) == {}


@pytest.mark.parametrize("estimator", ["sklearn.linear_model.LinearRegression", "sklearn.tree.DecisionTreeRegressor"])
@pytest.mark.parametrize("evaluation", [holdout(0.3), in_folds(3)], ids=lambda e: e.method)
def test_the_range_is_that_of_all_predictions_of_rows_that_a_model_has_not_seen(
    estimator: str, evaluation: Evaluation
) -> None:
    """Those of scikit-learn, fitted by hand on the other rows of each fold."""
    group = sample_group()
    step = make_step(call(estimator), evaluation=dataclasses.replace(evaluation, predictions=True))
    features, label = group.frame(step).to_numpy(), np.asarray(group.label)
    path, _, name = estimator.rpartition(".")
    said = []
    for train, test in splits_of(evaluation, rows_with(group.hashes), 0):
        model = make_template(step.estimator, 0).for_group(group.group).fit(features[train], label[train])
        assert (type(model).__module__.startswith(path), type(model).__name__) == (True, name)
        said.append(model.predict(features[test]))
    (outcome,) = train_all(step, [make_batch(step, group)]).values()
    measured = dict(outcome["metrics"])
    assert measured["min_prediction"] == pytest.approx(np.concatenate(said).min(), rel=1e-9)
    assert measured["max_prediction"] == pytest.approx(np.concatenate(said).max(), rel=1e-9)
    assert list(dict(outcome["baseline"])) == ["rmse", "mae", "r2"]


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_a_prediction_that_is_no_number_is_outside_of_every_range(odd: float) -> None:
    label = np.array([1.0, 2.0, 3.5])
    found = measure(("rmse",), Oracle(np.array([1.0, odd, 3.0])), None, label, predictions=True)
    assert found == {"min_prediction": -math.inf, "max_prediction": math.inf}


# Many groups at once ----------------------------------------------------------------------------------------------


@settled
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    evaluation=st.sampled_from([holdout(0.05), holdout(0.5), by_time(0.3), in_folds(3)]),
    seed=st.integers(0, 5),
)
def test_many_groups_are_split_as_each_by_itself(sizes: list[int], evaluation: Evaluation, seed: int) -> None:
    hashes = [random_hashes(n, seed=index) for index, n in enumerate(sizes)]
    time = [np.random.default_rng(index).integers(0, 4, n).astype(float) for index, n in enumerate(sizes)]
    bounds = np.concatenate(([0], np.cumsum(sizes)))
    found = measured_in(evaluation, seed, np.concatenate(hashes), np.concatenate(time), bounds)
    for index, n in enumerate(sizes):
        alone = measured_in(evaluation, seed, hashes[index], time[index], np.array([0, n]))
        assert found[bounds[index] : bounds[index + 1]].tolist() == alone.tolist()


@settled
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_many_groups_are_measured_as_each_by_itself(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    bounds = np.concatenate(([0], np.cumsum(sizes)))
    label = rng.integers(-3, 3, bounds[-1]).astype(float)
    predicted = np.where(rng.random(bounds[-1]) < 0.05, np.nan, label + rng.integers(-2, 2, bounds[-1]))
    found = regression_metrics(REGRESSION, label, predicted, bounds)
    for index, (start, end) in enumerate(itertools.pairwise(bounds)):
        alone = measure(REGRESSION, Oracle(predicted[start:end]), None, label[start:end])
        assert {name: v[index] for name, v in found.items() if not math.isnan(v[index])} == alone


# Refit ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evaluation", [holdout, by_time])
def test_refit_stores_a_model_of_all_rows_with_the_metrics_of_the_first(evaluation: Any) -> None:
    group = sample_group(1, 40)
    linear = call("sklearn.linear_model.LinearRegression")
    steps = {
        refit: make_step(linear, evaluation=evaluation(0.3, refit=refit), has_time=True) for refit in (False, True)
    }
    once, twice = (fit(steps[refit], group) for refit in (False, True))
    assert once.metrics == twice.metrics
    assert once.baseline == twice.baseline
    assert once.n_test == twice.n_test > 0
    assert once.n_train + once.n_test == 40
    assert twice.n_train == 40
    assert once.model != twice.model
    assert twice.model == fit(make_step(linear), group).model


# Metrics of regression --------------------------------------------------------------------------------------------


@settled
@given(pairs=st.lists(st.tuples(ordinary, ordinary), min_size=1, max_size=40))
@example(pairs=[(1.0, 2.0)])
@example(pairs=[(1.0, 1.0)])
@example(pairs=[(1.0, 1.0), (2.0, 2.0)])
@example(pairs=[(3.0, 1.0), (3.0, 2.0)])
@example(pairs=[(3.0, 3.0), (3.0, 3.0)])
@example(pairs=[(0.0, 1.0), (0.0, 2.0)])
def test_regression_metrics_are_scikit_learns(pairs: list[tuple[float, float]]) -> None:
    label, predicted = np.array(pairs).T.copy()
    found = measure(REGRESSION, Oracle(predicted), None, label)
    wanted = {name: scikit_learn(name, label, predicted) for name in REGRESSION}
    assert_equal_metrics(found, wanted)


@given(value=st.floats(-1e6, 1e6), n=st.integers(1, 300), shift=st.sampled_from([0.0, 1e-9, 1.0]))
@example(value=0.1, n=10, shift=0.0)
@example(value=0.1, n=10, shift=1.0)
@example(value=0.7, n=129, shift=1.0)
@settings(deadline=None, max_examples=50)
def test_regression_metrics_of_constant_labels_are_scikit_learns(value: float, n: int, shift: float) -> None:
    """The mean of equal numbers may miss them by a bit; both sides must then say the same."""
    label = np.full(n, value)
    predicted = label + shift
    found = measure(REGRESSION, Oracle(predicted), None, label)
    wanted = {name: scikit_learn(name, label, predicted) for name in REGRESSION}
    assert_equal_metrics(found, wanted)


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300])
def test_regression_metrics_at_the_ends_of_the_doubles(scale: float) -> None:
    rng = np.random.default_rng(0)
    label, predicted = rng.normal(size=30) * scale, rng.normal(size=30) * scale
    found = measure(REGRESSION, Oracle(predicted), None, label)
    assert_equal_metrics(found, {n: scikit_learn(n, label, predicted) for n in REGRESSION}, scale=min(scale, 1.0))


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf")])
def test_predictions_that_are_no_numbers_leave_every_metric_out(odd: float) -> None:
    found = measure(REGRESSION, Oracle(np.array([1.0, odd, 3.0])), None, np.array([1.0, 2.0, 3.5]))
    assert found == {}


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.float64])
def test_metrics_of_predictions_of_other_types(dtype: Any) -> None:
    label = np.array([1.0, 2.5, 3.0, -1.0])
    predicted = np.array([1, 2, 4, 0], dtype=dtype)
    found = measure(REGRESSION, Oracle(predicted), None, label)
    assert_equal_metrics(found, {name: scikit_learn(name, label, predicted) for name in REGRESSION})


def test_predictions_in_a_column_are_measured_as_scikit_learn_does() -> None:
    """Broadcasting (n,) against (n, 1) measures every row against every other."""
    label = np.array([1.0, 2.0, 3.0, 4.0])
    predicted = label[:, None].copy()
    found = measure(REGRESSION, Oracle(predicted), None, label)
    assert_equal_metrics(found, {name: scikit_learn(name, label, predicted) for name in REGRESSION})


@pytest.mark.parametrize("name", ["rmse", "medae", "r2"])
def test_predictions_of_another_length_are_never_a_number(name: str) -> None:
    label = np.array([1.0, 2.0, 3.0])
    try:
        found = measure((name,), Oracle(np.array([2.0])), None, label)
    except ValueError:
        return
    assert found == {}


def test_each_regression_metric_is_one_of_scikit_learn() -> None:
    for name, metric in METRICS.items():
        assert callable(getattr(sklearn_metrics, metric.function)), name


# Metrics of classification ----------------------------------------------------------------------------------------


@st.composite
def classified(draw: st.DrawFn) -> tuple[Any, Any, Any, Any]:
    """Labels, predictions, probabilities and classes, as a fitted classifier gives them."""
    kind = draw(st.sampled_from(sorted(KINDS_OF_LABELS)))
    values = KINDS_OF_LABELS[kind]
    classes = np.array(values[: draw(st.integers(2, len(values)))], dtype=object if kind in ("text",) else None)
    n = draw(st.integers(1, 25))
    codes = draw(st.lists(st.integers(0, len(values) - 1), min_size=n, max_size=n))
    label = np.array([values[c] for c in codes], dtype=object if isinstance(values[0], str) else None)
    raw = np.array(
        draw(
            st.lists(st.lists(st.integers(0, 4), min_size=len(classes), max_size=len(classes)), min_size=n, max_size=n)
        )
    )
    probabilities = (raw + 0.25) / (raw + 0.25).sum(axis=1, keepdims=True)
    return label, classes[np.argmax(probabilities, axis=1)], probabilities, classes


@settings(deadline=None, max_examples=50)
@given(case=classified())
def test_classification_metrics_are_scikit_learns(case: tuple[Any, Any, Any, Any]) -> None:
    label, predicted, probabilities, classes = case
    found = measure(LABELS_ONLY, Oracle(predicted, probabilities, classes), None, label)
    wanted = {name: scikit_learn(name, label, predicted, classes) for name in LABELS_ONLY}
    assert_equal_metrics(found, wanted)


@settings(deadline=None, max_examples=50)
@given(case=classified())
def test_probabilistic_metrics_are_scikit_learns(case: tuple[Any, Any, Any, Any]) -> None:
    label, predicted, probabilities, classes = case
    found = measure(("log_loss", "roc_auc"), Oracle(predicted, probabilities, classes), None, label)
    wanted: dict[str, float | None] = {"log_loss": None, "roc_auc": None}
    if set(label.tolist()) <= set(classes.tolist()):
        wanted["log_loss"] = float(sklearn_metrics.log_loss(label, probabilities, labels=classes))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                if len(classes) == 2:
                    auc = sklearn_metrics.roc_auc_score(label == classes[1], probabilities[:, 1])
                else:
                    auc = sklearn_metrics.roc_auc_score(label, probabilities, multi_class="ovr", labels=classes)
            except ValueError:
                auc = math.nan
        wanted["roc_auc"] = float(auc) if math.isfinite(auc) else None
    assert_equal_metrics(found, wanted)


def test_a_perfect_classifier() -> None:
    label = np.array(["b", "a", "b", "a"], dtype=object)
    classes = np.array(["a", "b"], dtype=object)
    sure = (label[:, None] == classes).astype(float)
    found = measure(CLASSIFICATION, Oracle(label, sure, classes), None, label)
    assert found.keys() == set(CLASSIFICATION)
    assert found.pop("log_loss") == pytest.approx(0.0, abs=1e-12)
    assert set(found.values()) == {1.0}


def test_predicted_classes_in_a_column_are_measured_as_scikit_learn_does() -> None:
    label = np.array(["a", "b", "c", "a"], dtype=object)
    classes = np.array(["a", "b", "c"], dtype=object)
    found = measure(LABELS_ONLY, Oracle(label[:, None].copy(), None, classes), None, label)
    assert found["accuracy"] == 1.0
    assert_equal_metrics(found, {n: scikit_learn(n, label, label[:, None], classes) for n in LABELS_ONLY})


@pytest.mark.parametrize("estimator", ["sklearn.svm.LinearSVC", "sklearn.linear_model.RidgeClassifier"])
def test_roc_auc_of_a_classifier_without_probabilities(estimator: str) -> None:
    """scikit-learn's own `roc_auc` scorer takes `decision_function`; at the least no group may fail for a metric."""
    step = make_step(call(estimator), task="classification", evaluation=holdout(0.3, "accuracy", "roc_auc"))
    found = fit(step, sample_group(1, 60, classes=["no", "yes"]))
    assert (found.status, found.error) == ("trained", None)
    assert "accuracy" in found.metrics


def test_metrics_of_text_labels_of_either_dtype() -> None:
    label = np.array(["a", "b", "b"], dtype=object)
    for predicted in (np.array(["a", "b", "a"]), np.array(["a", "b", "a"], dtype=object)):
        found = measure(("accuracy", "f1"), Oracle(predicted, None, np.array(["a", "b"])), None, label)
        assert found == {"accuracy": pytest.approx(2 / 3), "f1": pytest.approx(2 / 3)}


# Baseline ---------------------------------------------------------------------------------------------------------


def _weights(n: int, kind: str) -> Any:
    if kind == "none":
        return None
    weights = np.random.default_rng(n).uniform(0.1, 3.0, size=n)
    if kind == "with zeros":
        weights[::2] = 0.0
        weights[-1] = 1.0
    return weights


@settled
@given(
    fitted_on=st.lists(ordinary, min_size=1, max_size=40),
    label=st.lists(ordinary, min_size=1, max_size=20),
    kind=st.sampled_from(["none", "ordinary", "with zeros"]),
)
def test_the_baseline_of_regression_is_the_dummys(fitted_on: list[float], label: list[float], kind: str) -> None:
    train, test, weight = np.array(fitted_on), np.array(label), _weights(len(fitted_on), kind)
    dummy = DummyRegressor().fit(np.zeros((len(train), 1)), train, sample_weight=weight)
    found = measure_baseline(REGRESSION, train, weight, test)
    wanted = measure(REGRESSION, dummy, np.zeros((len(test), 1)), test)
    # Both take the same mean, up to the order of the sum; r2 of all but constant labels magnifies that.
    scale = max(1.0, np.abs(train).max(), np.abs(test).max())
    assume(np.ptp(test) == 0.0 or np.ptp(test) > 1e-6 * scale)
    assume(np.abs(test).min() == 0.0 or np.abs(test).min() > 1e-6)
    assert found.keys() == wanted.keys()
    for name, value in found.items():
        assert value == pytest.approx(wanted[name], rel=1e-7, abs=1e-9 * scale**2), name


@settled
@given(
    codes=st.lists(st.integers(0, 2), min_size=2, max_size=30),
    tested=st.lists(st.integers(0, 2), min_size=1, max_size=20),
    kind=st.sampled_from(["none", "ordinary", "with zeros"]),
    labels=st.sampled_from(sorted(KINDS_OF_LABELS)),
)
def test_the_baseline_of_classification_is_the_dummys(
    codes: list[int], tested: list[int], kind: str, labels: str
) -> None:
    values = KINDS_OF_LABELS[labels]
    dtype = object if isinstance(values[0], str) else None
    train = np.array([values[c % len(values)] for c in codes], dtype=dtype)
    test = np.array([values[c % len(values)] for c in tested], dtype=dtype)
    assume(len(set(train.tolist())) > 1)
    weight = _weights(len(train), kind)
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((len(train), 1)), train, sample_weight=weight)
    found = measure_baseline(CLASSIFICATION, train, weight, test)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = measure(CLASSIFICATION, dummy, np.zeros((len(test), 1)), test)
    assert_equal_metrics(found, wanted)


@pytest.mark.parametrize("labels", sorted(KINDS_OF_LABELS))
def test_the_baseline_of_equally_frequent_classes_is_the_least(labels: str) -> None:
    least, other = sorted(KINDS_OF_LABELS[labels])[:2]
    dtype = object if isinstance(least, str) else None
    train = np.array([other, least, least, other], dtype=dtype)
    found = measure_baseline(("accuracy",), train, None, np.array([least, least, other, least], dtype=dtype))
    assert found == {"accuracy": 0.75}


def test_the_baseline_is_measured_on_the_rows_of_the_model() -> None:
    group = sample_group(1, 40)
    step = make_step("Mean", evaluation=holdout(0.3, *REGRESSION))
    found = fit(step, group)
    assert found.baseline == pytest.approx(found.metrics, rel=1e-12)


@pytest.mark.parametrize("evaluation", [holdout(0.3, "rmse", "mae"), in_folds(4, "rmse", "mae")])
def test_the_baseline_takes_the_weights(evaluation: Evaluation) -> None:
    group = sample_group(1, 40)
    dummy = make_step(call("sklearn.dummy.DummyRegressor"), evaluation=evaluation, has_weight=True)
    found = fit(dummy, group)
    assert found.baseline == pytest.approx(found.metrics, rel=1e-12)
    unweighted = fit(make_step(dummy.estimator, evaluation=evaluation), group)
    assert unweighted.baseline != pytest.approx(found.baseline, rel=1e-6)


def test_a_baseline_that_is_not_defined_costs_no_model() -> None:
    """Weights of zero for every training row: some estimators fit, and the weighted mean does not exist."""
    group = sample_group(1, 30)
    step = make_step(call("sklearn.tree.DecisionTreeRegressor"), evaluation=holdout(0.3), has_weight=True)
    found = fit(step, Group(1, group.columns, group.label, weight=[0.0] * 30))
    assert found.error_type != "ZeroDivisionError"


def test_there_are_metrics_for_either_task() -> None:
    for task, names in DEFAULT_METRICS.items():
        assert {METRICS[name].task for name in names} == {task}
