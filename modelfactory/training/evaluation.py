"""Split the rows of a group, measure a model and its baseline.

Splits depend on the content of rows and the seed, never on positions, partitions or the number of cores.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sklearn_metrics

from modelfactory.plan.metrics import METRICS
from modelfactory.plan.steps import Evaluation
from modelfactory.training.batches import Floats, GroupRows, Rows

Labels = npt.NDArray[Any]


def splits(evaluation: Evaluation | None, rows: GroupRows, seed: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield pairs of rows to fit on and rows to measure on; none where nothing is to be or can be measured."""
    n = len(rows)
    if evaluation is None or n < 2:
        return
    if evaluation.method == "folds":
        folds = min(evaluation.folds, n)
        fold = np.empty(n, dtype=np.intp)
        fold[np.argsort(_shuffled(rows.row_hash, seed), kind="stable")] = np.arange(n) % folds
        for number in range(folds):
            yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        return
    measured = (
        _latest(rows, evaluation.share) if evaluation.method == "by_time" else _hashed(rows, evaluation.share, seed)
    )
    if measured.any() and not measured.all():
        yield np.flatnonzero(~measured), np.flatnonzero(measured)


def _hashed(rows: GroupRows, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Choose rows by their hash; at least one for either side.

    A row stays on its side when others come or go, unless it is the only one there.
    """
    mixed = _shuffled(rows.row_hash, seed)
    chosen = mixed < np.uint64(int(share * 2.0**64))
    if not chosen.any():
        chosen[np.argmin(mixed)] = True
    elif chosen.all():
        chosen[np.argmax(mixed)] = False
    result: npt.NDArray[np.bool_] = chosen
    return result


def _latest(rows: GroupRows, share: float) -> npt.NDArray[np.bool_]:
    """Choose the latest rows; rows of one moment stay on one side, rows without a time are never chosen."""
    if rows.time is None:
        raise AssertionError("by_time has a time column")
    time = np.where(np.isnan(rows.time), -np.inf, rows.time)
    cut = min(math.ceil(round(len(time) * (1 - share), 9)), len(time) - 1)
    latest: npt.NDArray[np.bool_] = time >= np.sort(time)[cut]
    if latest.all():  # the moment of the cut is the earliest one: measure on what comes after it
        latest = time > time.min()
    return latest


def _shuffled(hashes: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.uint64]:
    """Mix row hashes with a seed by the finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        z = hashes.view(np.uint64) + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: npt.NDArray[np.uint64] = z ^ (z >> np.uint64(31))
        return mixed


def measure(names: tuple[str, ...], model: Any, features: Any, label: Labels) -> dict[str, float]:
    """Measure a fitted model; a metric that is not defined on these rows is left out.

    Args:
        names: names out of `METRICS`.
        model: a fitted estimator.
        features: shape (n, p).
        label: shape (n,).

    Returns:
        The metrics that are defined, by name.
    """
    predicted = np.asarray(model.predict(features))
    if predicted.shape == (len(label), 1):
        predicted = predicted.ravel()
    if predicted.shape != label.shape:
        raise ValueError(f"predict gave an array of shape {predicted.shape} for {len(label)} rows")
    classes = getattr(model, "classes_", None)
    if any(METRICS[name].needs == "probabilities" for name in names):
        return _metrics(names, label, predicted, _scores(model, features), classes)
    return _metrics(names, label, predicted, None, classes)


def _scores(model: Any, features: Any) -> Floats | None:
    """Return probabilities of the classes, shape (n, k), or a decision function of two classes, shape (n,)."""
    for method in ("predict_proba", "decision_function"):
        if hasattr(model, method):
            return np.asarray(getattr(model, method)(features))
    return None


def measure_baseline(
    names: tuple[str, ...], fitted_on: Labels, weight: Floats | None, label: Labels
) -> dict[str, float]:
    """Measure the baseline on the rows a model is measured on.

    The baseline predicts the mean of the labels the model was fitted on, or their most frequent class; the least
    of the classes where several are equally frequent. Its probabilities are the shares of the classes. The same
    as `sklearn.dummy.DummyRegressor` and `DummyClassifier(strategy="prior")`.
    """
    if METRICS[names[0]].task == "regression":
        return _metrics(names, label, np.full(len(label), np.average(fitted_on, weights=weight)), None, None)
    classes, codes = np.unique(fitted_on, return_inverse=True)
    prior = np.bincount(codes, weights=weight, minlength=len(classes))
    prior = prior / prior.sum()
    predicted = np.full(len(label), classes[np.argmax(prior)], dtype=classes.dtype)
    return _metrics(names, label, predicted, np.tile(prior, (len(label), 1)), classes)


def mean_of(measured: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean over folds of each metric, of the folds where it is defined."""
    names = dict.fromkeys(name for found in measured for name in found)
    return {name: float(np.mean([found[name] for found in measured if name in found])) for name in names}


def _metrics(
    names: tuple[str, ...],
    label: Labels,
    predicted: Labels,
    probabilities: Floats | None,
    classes: Labels | None,
) -> dict[str, float]:
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of each undefined metric; here it is left out
        for name in names:
            value = _metric(name, label, predicted, probabilities, classes)
            if value is not None and np.isfinite(value):
                found[name] = float(value)
    return found


def _metric(
    name: str, label: Labels, predicted: Labels, probabilities: Floats | None, classes: Labels | None
) -> float | None:
    metric = METRICS[name]
    fast = _FAST.get(metric.function)
    if fast is not None:
        return fast(label, predicted)
    function = getattr(sklearn_metrics, metric.function)
    arguments: Mapping[str, Any] = {}
    try:
        if metric.needs == "probabilities":
            return _probabilistic(metric.function, label, probabilities, classes)
        if metric.average is not None:
            arguments = {"average": metric.average, "zero_division": 0.0}
        if metric.average == "binary":
            if classes is None or len(classes) != 2:
                return None
            arguments = {**arguments, "pos_label": classes[1]}
        return float(function(label, predicted, **arguments))
    except ValueError:
        return None


def _probabilistic(function: str, label: Labels, probabilities: Floats | None, classes: Labels | None) -> float | None:
    if probabilities is None or classes is None or not np.isin(label, classes).all():
        return None
    if probabilities.ndim == 1:  # a decision function ranks rows; it is no probability
        return (
            float(sklearn_metrics.roc_auc_score(label == classes[1], probabilities))
            if function == "roc_auc_score"
            else None
        )
    if function == "log_loss":
        return float(sklearn_metrics.log_loss(label, probabilities, labels=classes))
    if len(classes) == 2:
        return float(sklearn_metrics.roc_auc_score(label == classes[1], probabilities[:, 1]))
    return float(sklearn_metrics.roc_auc_score(label, probabilities, multi_class="ovr", labels=classes))


def _r2(label: Labels, predicted: Labels) -> float | None:
    if len(label) < 2:
        return None
    residual = float(((label - predicted) ** 2).sum())
    total = float(((label - label.mean()) ** 2).sum())
    if total == 0.0:
        return 1.0 if residual == 0.0 else 0.0
    return 1.0 - residual / total


_FAST: dict[str, Callable[[Labels, Labels], float | None]] = {
    "root_mean_squared_error": lambda y, p: float(np.sqrt(((y - p) ** 2).mean())),
    "mean_squared_error": lambda y, p: float(((y - p) ** 2).mean()),
    "mean_absolute_error": lambda y, p: float(np.abs(y - p).mean()),
    "r2_score": _r2,
    "accuracy_score": lambda y, p: float((y == p).mean()),
}
"""The usual metrics without scikit-learn's checks of each call, which cost more than a small fit."""
