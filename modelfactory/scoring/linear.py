"""Score rows of many linear models at once: their coefficients in arrays, no call for a group.

A linear model's prediction is `intercept + Σ coef · feature`, the features standardised where a `StandardScaler` stands
before it. The numbers are taken out of the pickles without loading each, where all were pressed by one stamp.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelfactory.plan.outcomes import Reason
from modelfactory.scoring.answering import Answers
from modelfactory.scoring.forms import ModelForm, StoredModel
from modelfactory.scoring.rows import Index, Rows
from modelfactory.training.stamping import Stamp, make_stamp

Floats = npt.NDArray[np.float64]
LINEAR = frozenset(
    f"sklearn.linear_model.{name}"
    for name in (
        "_base.LinearRegression",
        "_ridge.Ridge",
        "_ridge.RidgeCV",
        "_coordinate_descent.Lasso",
        "_coordinate_descent.LassoCV",
        "_coordinate_descent.ElasticNet",
        "_coordinate_descent.ElasticNetCV",
        "_least_angle.Lars",
        "_least_angle.LassoLars",
        "_bayes.BayesianRidge",
        "_bayes.ARDRegression",
        "_huber.HuberRegressor",
        "_theil_sen.TheilSenRegressor",
        "_omp.OrthogonalMatchingPursuit",
        "_stochastic_gradient.SGDRegressor",
    )
) | {"sklearn.svm._classes.LinearSVR"}
"""Classes whose `predict` is the linear formula and nothing else."""
_SCALER = "sklearn.preprocessing._data.StandardScaler"


@dataclass(frozen=True, slots=True)
class LinearModels:
    """The numbers of many linear models.

    Attributes:
        coef: shape (g, p).
        intercept: shape (g,).
        mean: what is taken off each feature, shape (g, p); None where nothing is.
        scale: what each feature is divided by after that, shape (g, p); None where by nothing.
    """

    coef: Floats
    intercept: Floats
    mean: Floats | None = None
    scale: Floats | None = None

    def __len__(self) -> int:
        return len(self.intercept)

    def answer(self, form: ModelForm, rows: Rows, model: Index) -> Answers:
        """Answer rows.

        Args:
            form: how the models take rows.
            rows: the rows.
            model: number of the model that answers each row, shape (n,).
        """
        said = self.intercept[model]
        for i, feature in enumerate(form.features):
            values = rows.column(feature)
            if self.mean is not None:
                values = values - self.mean[model, i]
            if self.scale is not None:
                values = values / self.scale[model, i]
            said += values * self.coef[model, i]
        if np.isfinite(said).all():
            return Answers(said)
        fault = np.full(len(said), None, dtype=object)
        fault[rows.missing(form.features)] = str(Reason.MISSING_VALUES)
        fault[rows.infinite(form.features)] = str(Reason.INFINITE_VALUES)
        return Answers(said, fault=fault)


def linear_models(
    chunks: Iterable[tuple[Index, pa.Table]], count: int, load: Callable[[StoredModel], Any]
) -> LinearModels | None:
    """Take the numbers out of models, if they are linear.

    Args:
        chunks: numbers of some models, and a table of their `model`, `format` and `sha256` in the same order.
        count: how many numbers there are; those of models that are in no chunk mean nothing.
        load: checks and loads one model.

    Returns:
        The numbers of all of them; None if one is something else, or there is none.
    """
    found: _Table | None = None
    stamp: Stamp | None = None
    for numbers, table in chunks:
        data, kinds, hashes = (table[name].combine_chunks() for name in ("model", "format", "sha256"))

        def stored(row: int) -> StoredModel:
            return StoredModel(data[row].as_py(), kinds[row].as_py(), hashes[row].as_py())  # noqa: B023

        if found is None:
            first = load(stored(0))
            parts = _parts(first)
            if parts is None:
                return None
            found, stamp = _Table(count, parts), _stamp(first)
        left = np.ones(len(numbers), dtype=bool)
        if stamp is not None:
            rows, pressed = _of_length(data, len(stamp.data))
            same, values = stamp.read(pressed)
            rows, pressed = rows[same], pressed[same]
            for row, digest in zip(rows.tolist(), hashes.take(pa.array(rows)).to_pylist(), strict=True):
                if hashlib.sha256(data[row].as_buffer()).hexdigest() != digest:
                    load(stored(row))  # which says so
            found.fill(numbers[rows], {name: of_all[same] for name, of_all in values.items()})
            left[rows] = False
        for row in np.flatnonzero(left).tolist():
            if not found.set(int(numbers[row]), _parts(load(stored(row)))):
                return None
    return None if found is None else found.models()


_Parts = dict[str, Floats]
"""Numbers of one model by name: `coef` and `intercept`, and `mean` and `scale` of its scaler."""


def _holders(model: Any) -> dict[str, tuple[Any, str]] | None:
    """Return by name where a linear model has its numbers; None if it is something else."""
    *before, final = [part for _, part in model.steps] if _path(model) == "sklearn.pipeline.Pipeline" else [model]
    if _path(final) not in LINEAR or len(before) > 1 or any(_path(part) != _SCALER for part in before):
        return None
    found = {"coef": (final, "coef_"), "intercept": (final, "intercept_")}
    for scaler in before:
        found |= {"mean": (scaler, "mean_"), "scale": (scaler, "scale_")}
    return found


def _parts(model: Any) -> _Parts | None:
    holders = _holders(model)
    if holders is None:
        return None
    values = {name: getattr(holder, attribute) for name, (holder, attribute) in holders.items()}
    if holders.keys() >= {"mean", "scale"}:
        scaler = holders["mean"][0]
        values["mean"] = values["mean"] if scaler.with_mean else None
        values["scale"] = values["scale"] if scaler.with_std else None
    return {name: np.ravel(value).astype(np.float64) for name, value in values.items() if value is not None}


def _stamp(model: Any) -> Stamp | None:
    """Return the stamp of a linear model; all numbers that `fit` left are marks in it."""
    copy = pickle.loads(pickle.dumps(model, protocol=5))  # the stamp overwrites its numbers
    holders = _holders(copy) or {}
    attributes = dict(holders)
    for holder in {id(holder): holder for holder, _ in holders.values()}.values():
        named = {attribute for other, attribute in holders.values() if other is holder}
        for attribute, value in vars(holder).items():
            if attribute not in named and getattr(value, "dtype", None) in (np.float64, np.int64):
                attributes[f"{type(holder).__name__}.{attribute}"] = (holder, attribute)
    marked = {
        name: (holder, attribute)
        for name, (holder, attribute) in attributes.items()
        if getattr(getattr(holder, attribute), "dtype", None) in (np.float64, np.int64)
    }
    return make_stamp(copy, marked)


def _path(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _of_length(pickles: pa.BinaryArray, length: int) -> tuple[Index, npt.NDArray[np.uint8]]:
    """Return which pickles have a length, and their bytes, shape (k, length)."""
    _, offsets, data = pickles.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[pickles.offset : pickles.offset + len(pickles) + 1].astype(np.int64)
    rows = np.flatnonzero(np.diff(ends) == length)
    whole = np.frombuffer(data, dtype=np.uint8) if data is not None else np.empty(0, dtype=np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(whole, length) if len(whole) >= length else None
    return rows, np.empty((0, length), dtype=np.uint8) if windows is None else windows[ends[rows]]


class _Table:
    """Numbers of models as they are found."""

    def __init__(self, g: int, like: _Parts) -> None:
        self._like = like
        self._found = {name: np.zeros((g, len(values))) for name, values in like.items()}

    def fill(self, rows: Index, numbers: Mapping[str, npt.NDArray[Any]]) -> None:
        """Put in the numbers of many models; what has no mark is as in the first."""
        for name, values in self._found.items():
            values[rows] = numbers.get(name, self._like[name])

    def set(self, row: int, parts: _Parts | None) -> bool:
        """Put in the numbers of one model; return whether it is one like the first."""
        shapes = {name: len(values) for name, values in (parts or {}).items()}
        if parts is None or shapes != {name: len(values) for name, values in self._like.items()}:
            return False
        for name, values in parts.items():
            self._found[name][row] = values
        return True

    def models(self) -> LinearModels:
        """Return them all."""
        found = self._found
        return LinearModels(found["coef"], found["intercept"][:, 0], found.get("mean"), found.get("scale"))
