"""The metrics that `evaluate` knows, by scikit-learn's names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["regression", "classification", "unsupervised"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        function: name in `sklearn.metrics`.
        task: what kind of models it measures.
        higher_is_better: direction.
        average: `average` argument of the function, if it takes one.
        needs: `labels` for predicted labels, `probabilities` for `predict_proba`.
    """

    function: str
    task: Task
    higher_is_better: bool
    average: str | None = None
    needs: Literal["labels", "probabilities"] = "labels"


def _regression(function: str, *, higher: bool = False) -> Metric:
    return Metric(function, "regression", higher)


def _classification(function: str, average: str | None = None) -> Metric:
    return Metric(function, "classification", True, average)


METRICS: dict[str, Metric] = {
    "rmse": _regression("root_mean_squared_error"),
    "mse": _regression("mean_squared_error"),
    "mae": _regression("mean_absolute_error"),
    "medae": _regression("median_absolute_error"),
    "mape": _regression("mean_absolute_percentage_error"),
    "r2": _regression("r2_score", higher=True),
    "explained_variance": _regression("explained_variance_score", higher=True),
    "max_error": _regression("max_error"),
    "root_mean_squared_error": _regression("root_mean_squared_error"),
    "mean_squared_error": _regression("mean_squared_error"),
    "mean_absolute_error": _regression("mean_absolute_error"),
    "median_absolute_error": _regression("median_absolute_error"),
    "mean_absolute_percentage_error": _regression("mean_absolute_percentage_error"),
    "r2_score": _regression("r2_score", higher=True),
    "accuracy": _classification("accuracy_score"),
    "balanced_accuracy": _classification("balanced_accuracy_score"),
    "f1": _classification("f1_score", "binary"),
    "f1_macro": _classification("f1_score", "macro"),
    "f1_micro": _classification("f1_score", "micro"),
    "f1_weighted": _classification("f1_score", "weighted"),
    "precision": _classification("precision_score", "binary"),
    "precision_macro": _classification("precision_score", "macro"),
    "precision_weighted": _classification("precision_score", "weighted"),
    "recall": _classification("recall_score", "binary"),
    "recall_macro": _classification("recall_score", "macro"),
    "recall_weighted": _classification("recall_score", "weighted"),
    "matthews_corrcoef": _classification("matthews_corrcoef"),
    "roc_auc": Metric("roc_auc_score", "classification", True, needs="probabilities"),
    "log_loss": Metric("log_loss", "classification", False, needs="probabilities"),
}
DEFAULT_METRICS: dict[Task, tuple[str, ...]] = {
    "regression": ("rmse", "mae", "r2"),
    "classification": ("accuracy", "balanced_accuracy"),
}
LEAST, GREATEST = RANGE = ("min_prediction", "max_prediction")
"""What is measured beside the metrics where a family declares the range of its predictions: it has no better and no
worse."""
