"""Measure the model of a group and its baseline."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sklearn_metrics

from modelfactory.plan.metrics import GREATEST, LEAST, METRICS
from modelfactory.training.batches import Floats
from modelfactory.training.regression import mean_label, prediction_range, regression_metrics

Labels = npt.NDArray[Any]


def measure(
    names: tuple[str, ...], model: Any, features: Any, label: Labels, *, predictions: bool = False
) -> dict[str, float]:
    """Measure a fitted model; a metric that is not defined on these rows is left out.

    Args:
        names: names out of `METRICS`.
        model: a fitted estimator.
        features: shape (n, p).
        label: shape (n,).
        predictions: measure the range of the predictions too, which are numbers.

    Returns:
        The metrics that are defined, by name.
    """
    predicted = np.asarray(model.predict(features))
    if predicted.shape == (len(label), 1):
        predicted = predicted.ravel()
    if predicted.shape != label.shape:
        raise ValueError(f"predict gave an array of shape {predicted.shape} for {len(label)} rows")
    if METRICS[names[0]].task == "regression":
        predicted = predicted.astype(np.float64, copy=False)
        ends = prediction_range(predicted, np.array([0, len(label)])) if predictions else {}
        return _of_one_group(names, label, predicted) | {name: float(value) for name, (value,) in ends.items()}
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
        mean = mean_label(fitted_on, weight, np.array([0, len(fitted_on)]))
        return _of_one_group(names, label, np.repeat(mean, len(label)))
    classes, codes = np.unique(fitted_on, return_inverse=True)
    prior = np.bincount(codes, weights=weight, minlength=len(classes))
    prior = prior / prior.sum()
    predicted = np.full(len(label), classes[np.argmax(prior)], dtype=classes.dtype)
    return _metrics(names, label, predicted, np.tile(prior, (len(label), 1)), classes)


def mean_of(measured: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean over folds of each metric, of the folds where it is defined, and the range of all predictions."""
    names = dict.fromkeys(name for found in measured for name in found)
    return {
        name: float(_OVER_FOLDS.get(name, np.mean)([found[name] for found in measured if name in found]))
        for name in names
    }


_OVER_FOLDS: Mapping[str, Callable[[list[float]], Any]] = {LEAST: min, GREATEST: max}


def _of_one_group(names: tuple[str, ...], label: Floats, predicted: Floats) -> dict[str, float]:
    found = regression_metrics(names, label, predicted, np.array([0, len(label)]))
    return {name: float(value) for name, (value,) in found.items() if not np.isnan(value)}


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
    if metric.function == "accuracy_score":  # without scikit-learn's checks, which cost more than a small fit
        return float((label == predicted).mean())
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
