"""Regression metrics of many groups at once: scikit-learn's formulas and sums, without its checks of each call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from modelfactory.plan.metrics import GREATEST, LEAST, METRICS
from modelfactory.training.batches import Bools, Floats, Rows


def regression_metrics(names: tuple[str, ...], label: Floats, predicted: Floats, bounds: Rows) -> dict[str, Floats]:
    """Measure the predictions of many groups.

    Args:
        names: names of regression metrics out of `METRICS`.
        label: shape (n,).
        predicted: shape (n,).
        bounds: the rows of group i are `bounds[i]` to `bounds[i + 1]`, none of them empty, shape (g + 1,).

    Returns:
        By name an array of shape (g,), NaN where the metric is not defined.
    """
    with np.errstate(all="ignore"):
        segments = _Segments.of(bounds)
        y, p = segments.spread(label), segments.spread(predicted)
        sound = segments.all(np.isfinite(p))
        found = {name: np.where(sound, _REGRESSION[METRICS[name].function](segments, y, p), np.nan) for name in names}
        return {name: np.where(np.isfinite(values), values, np.nan) for name, values in found.items()}


def prediction_range(predicted: Floats, bounds: Rows) -> dict[str, Floats]:
    """Return the least and the greatest prediction of many groups; infinite where one is no finite number.

    Args:
        predicted: shape (n,).
        bounds: the rows of group i are `bounds[i]` to `bounds[i + 1]`, none of them empty, shape (g + 1,).

    Returns:
        By the names of `plan.metrics.RANGE` an array of shape (g,).
    """
    sound = np.logical_and.reduceat(np.isfinite(predicted), bounds[:-1])
    least, greatest = np.minimum.reduceat(predicted, bounds[:-1]), np.maximum.reduceat(predicted, bounds[:-1])
    return {LEAST: np.where(sound, least, -np.inf), GREATEST: np.where(sound, greatest, np.inf)}


def mean_label(label: Floats, weight: Floats | None, bounds: Rows) -> Floats:
    """Return the weighted mean of the labels of each group, NaN where there is none, shape (g,)."""
    segments = _Segments.of(bounds)
    with np.errstate(all="ignore"):
        if weight is None:
            return segments.mean(segments.spread(label))
        return segments.sum(segments.spread(label * weight)) / segments.sum(segments.spread(weight))


@dataclass(frozen=True, slots=True)
class _Segments:
    """The rows of groups, one after the other, each with a zero before its first.

    `reduceat` begins a sum with the first number and adds the sum of the others; behind a zero it gives the same
    bits as the sum of the group's numbers alone.

    Attributes:
        starts: where the zeros are, shape (g,).
        n: rows of each group, shape (g,).
        group: the group of each place, shape (n + g,).
        rows: the place of each row, shape (n,).
    """

    starts: Rows
    n: Rows
    group: Rows
    rows: Rows

    @classmethod
    def of(cls, bounds: Rows) -> _Segments:
        n = np.diff(bounds)
        numbers = np.arange(len(n))
        return cls(
            starts=bounds[:-1] + numbers,
            n=n,
            group=np.repeat(numbers, n + 1),
            rows=np.arange(bounds[-1]) + np.repeat(numbers + 1, n),
        )

    def spread(self, values: Floats) -> Floats:
        placed = np.zeros(len(self.group))
        placed[self.rows] = values
        return placed

    def sum(self, placed: Floats) -> Floats:
        found: Floats = np.add.reduceat(placed, self.starts)
        return found

    def mean(self, placed: Floats) -> Floats:
        return self.sum(placed) / self.n

    def all(self, placed: Bools) -> Bools:
        found: Bools = np.logical_and.reduceat(placed, self.starts)
        return found

    def max(self, placed: Floats) -> Floats:
        found: Floats = np.maximum.reduceat(placed, self.starts)
        return found

    def median(self, placed: Floats) -> Floats:
        """Return the medians of numbers that are not negative, which sorting leaves behind the zeros."""
        rising = placed[np.lexsort((placed, self.group))]
        low, high = self.starts + 1 + (self.n - 1) // 2, self.starts + 1 + self.n // 2
        found: Floats = (rising[low] + rising[high]) / 2
        return found

    def centred(self, placed: Floats) -> Floats:
        found = placed - self.mean(placed)[self.group]
        found[self.starts] = 0.0
        return found


def _share_explained(residual: Floats, total: Floats) -> Floats:
    """Return one minus a ratio, as scikit-learn does where the denominator is zero."""
    found: Floats = np.where(total != 0.0, 1.0 - residual / total, np.where(residual == 0.0, 1.0, 0.0))
    return found


def _r2(s: _Segments, y: Floats, p: Floats) -> Floats:
    found: Floats = np.where(s.n < 2, np.nan, _share_explained(s.sum((y - p) ** 2), s.sum(s.centred(y) ** 2)))
    return found


_EPSILON = float(np.finfo(np.float64).eps)
_REGRESSION: dict[str, Callable[[_Segments, Floats, Floats], Floats]] = {
    "root_mean_squared_error": lambda s, y, p: np.sqrt(s.mean((y - p) ** 2)),
    "mean_squared_error": lambda s, y, p: s.mean((y - p) ** 2),
    "mean_absolute_error": lambda s, y, p: s.mean(np.abs(y - p)),
    "median_absolute_error": lambda s, y, p: s.median(np.abs(y - p)),
    "mean_absolute_percentage_error": lambda s, y, p: s.mean(np.abs(y - p) / np.maximum(np.abs(y), _EPSILON)),
    "r2_score": _r2,
    "explained_variance_score": lambda s, y, p: _share_explained(
        s.mean(s.centred(y - p) ** 2), s.mean(s.centred(y) ** 2)
    ),
    "max_error": lambda s, y, p: s.max(np.abs(y - p)),
}
