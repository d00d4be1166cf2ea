"""How long the groups of a family are expected to take: what the last version measured, else a rule of thumb.

Only the order and the rough ratio of groups matter to the schedule, and the sum to the number of bins. The numbers
are processor seconds of scikit-learn 1.9 on one core of 2023, for 20 to 5,000 rows of 5 and 20 features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modelfactory.plan.steps import EstimatorCall, FitStep

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_PER_ROW = 2e-6
"""Reading, shuffling and sorting a row."""
_PER_GROUP = 0.3e-3
"""Around a fit: a copy of the estimator, splits, predictions, pickling."""
_LEAST_TIMES, _MOST_TIMES = 0.2, 5.0
"""A measured time is believed as far as it is in this range of the rule."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """Seconds of a fit: `times * (fixed + unit * rows ** power)`, with `unit` for each feature if the power is 1.

    Attributes:
        fixed: seconds whatever the rows.
        unit: seconds for each row and feature, or for each `rows ** power`.
        power: 1, or more for estimators that compare rows with each other.
        times: parameter that says how often this is done, and its default.
    """

    fixed: float
    unit: float
    power: int = 1
    times: tuple[str, float] | None = None


_USUAL = _Rule(0.6e-3, 3e-8)
_TREES = _Rule(0.5e-3, 3.5e-7, times=("n_estimators", 100))
_BOOSTED = _Rule(0.25e-3, 1.9e-7, times=("n_estimators", 100))
_HISTOGRAMS = _Rule(0.15e-3, 5e-8, times=("max_iter", 100))
_TREE = _Rule(0.3e-3, 6e-7)
_PAIRS = _Rule(0.4e-3, 1.2e-8, power=2)
_NETWORK = _Rule(0.2e-3, 2.5e-7, times=("max_iter", 200))
_RULES = {
    "AdaBoostClassifier": _BOOSTED,
    "AdaBoostRegressor": _BOOSTED,
    "BaggingClassifier": _TREES,
    "BaggingRegressor": _TREES,
    "DecisionTreeClassifier": _TREE,
    "DecisionTreeRegressor": _TREE,
    "ExtraTreesClassifier": _TREES,
    "ExtraTreesRegressor": _TREES,
    "GaussianProcessClassifier": _Rule(4e-3, 1.5e-9, power=3),
    "GaussianProcessRegressor": _Rule(4e-3, 1.5e-9, power=3),
    "GradientBoostingClassifier": _BOOSTED,
    "GradientBoostingRegressor": _BOOSTED,
    "HistGradientBoostingClassifier": _HISTOGRAMS,
    "HistGradientBoostingRegressor": _HISTOGRAMS,
    "IsolationForest": _Rule(0.6e-3, 3e-9, times=("n_estimators", 100)),
    "KernelRidge": _PAIRS,
    "MLPClassifier": _NETWORK,
    "MLPRegressor": _NETWORK,
    "NuSVC": _PAIRS,
    "NuSVR": _PAIRS,
    "RandomForestClassifier": _TREES,
    "RandomForestRegressor": _TREES,
    "SVC": _PAIRS,
    "SVR": _PAIRS,
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What fitting took in the last version; one entry per group in every array.

    Attributes:
        group: identity of the group.
        rows: rows that its stored model was fitted on.
        seconds: processor seconds inside `fit`.
    """

    group: Ints
    rows: Ints
    seconds: Floats


def expected_seconds(fit: FitStep, group: Ints, rows: Ints, measured: Measured | None = None) -> Floats:
    """Return the processor seconds that each group is expected to take.

    Args:
        fit: the family's step.
        group: identity of each group, shape (n,).
        rows: usable rows of each group, shape (n,).
        measured: what the same definition took before, if it is known.
    """
    seconds = _by_rule(fit, rows)
    if measured is not None and len(measured.group):
        order = np.argsort(measured.group)
        place = np.minimum(np.searchsorted(measured.group[order], group), len(order) - 1)
        known = measured.group[order][place] == group
        before = measured.seconds[order][place] * rows / np.maximum(measured.rows[order][place], 1)
        # One group's clock may have been disturbed; most of them together tell how far the rule is off.
        seconds = seconds * np.median(measured.seconds / _by_rule(fit, measured.rows))
        believed = np.clip(before, _LEAST_TIMES * seconds, _MOST_TIMES * seconds)
        seconds = np.where(known, believed, seconds)
    around = 0.0 if fit.linear_solve is not None else _PER_GROUP * (1 + _tried(fit))
    found: Floats = seconds + around + _PER_ROW * rows
    return found


def relative_cost(old: FitStep, new: FitStep, rows: float) -> float:
    """Return how many times as long a group takes by one step as by another.

    Args:
        old: what is compared with.
        new: what is compared.
        rows: usable rows of a usual group.
    """
    usual = np.array([max(round(rows), 1)])
    return float(expected_seconds(new, usual, usual)[0] / expected_seconds(old, usual, usual)[0])


def fit_seconds(estimator: EstimatorCall, rows: Floats, n_features: int) -> Floats:
    """Return the processor seconds that one fit is expected to take, by the rule of thumb alone.

    Args:
        estimator: what is fitted.
        rows: how many rows it is fitted on, shape (n,).
        n_features: how many features they have.
    """
    call = estimator.final
    rule = _RULES.get(call.name, _USUAL)
    times = 1.0 if rule.times is None else _number(dict(call.params).get(rule.times[0]), rule.times[1])
    found: Floats = times * (rule.fixed + rule.unit * (rows * n_features if rule.power == 1 else rows**rule.power))
    return found


def _by_rule(fit: FitStep, rows: Ints) -> Floats:
    """Return the seconds inside `fit`."""
    n, p = rows.astype(np.float64), len(fit.features)
    if fit.linear_solve is not None:
        return _fits(fit) * (8e-6 + 1e-8 * n * p**2)
    each: Floats = np.mean([fit_seconds(candidate.estimator, n, p) for candidate in fit.candidates], axis=0)
    if fit.search is None:
        return _fits(fit) * each
    inside = n * (fit.search.folds - 1) / fit.search.folds
    tried: Floats = np.mean([fit_seconds(candidate.estimator, inside, p) for candidate in fit.candidates], axis=0)
    return _fits(fit) * each + _tried(fit) * tried


def _fits(fit: FitStep) -> int:
    """Return how many fits of its estimator a group takes."""
    if fit.evaluation is None:
        return 1
    return fit.evaluation.folds + 1 if fit.evaluation.method == "folds" else 1 + fit.evaluation.refit


def _tried(fit: FitStep) -> int:
    """Return how many fits a group takes to choose its estimator: in each fold of its own, where it is measured so."""
    if fit.search is None:
        return 0
    searches = fit.evaluation.folds + 1 if fit.evaluation and fit.evaluation.method == "folds" else 1
    return searches * fit.search.folds * len(fit.candidates)


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default
