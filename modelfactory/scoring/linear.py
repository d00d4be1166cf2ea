"""Score rows of many linear models at once: their coefficients in arrays, no call for a group.

A linear model's prediction is `intercept + Σ coef · feature`, the features standardised where a `StandardScaler` stands
before it. The numbers are taken out of the pickles without loading each, where all were pressed by one stamp.
"""

from __future__ import annotations

import hashlib
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
from modelfactory.training.encoding import PICKLE
from modelfactory.training.stamping import Stamp, find_stamp

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
_STAMPS = 32
"""Models that differ in more than their numbers, such as rounds of a solver, up to which each is a stamp."""
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
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of that is looked at below
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
    stamps: list[tuple[Stamp, _Parts]] = []
    for numbers, table in chunks:
        chunk = _Chunk(numbers, *(table[name].combine_chunks() for name in ("model", "format", "sha256")))
        for stamp, parts in stamps:
            if found is not None:
                chunk.read(stamp, parts, found, load)
        while chunk.left.any():
            row = int(np.argmax(chunk.left))
            stored = chunk.stored(row)
            model = load(stored)
            own = _parts(model)
            if own is None:
                return None
            found = found or _Table(count, own)
            if not found.set(int(numbers[row]), own):
                return None
            chunk.left[row] = False
            if stored.format == PICKLE and len(stamps) < _STAMPS:
                stamps.append((find_stamp(stored.data, _numbers(model)), own))
                chunk.read(*stamps[-1], found, load)
    return None if found is None else found.models()


def is_linear(model: Any) -> bool:
    """Tell whether a model predicts by the linear formula, alone or behind a `StandardScaler`."""
    return _holders(model) is not None


class _Chunk:
    """Some models as they are stored.

    Args:
        numbers: their numbers, shape (k,).
        data: their bytes.
        formats: how they were written.
        hashes: their SHA-256.

    Attributes:
        left: which of them are still to be read, shape (k,).
    """

    def __init__(self, numbers: Index, data: pa.BinaryArray, formats: pa.Array, hashes: pa.Array) -> None:
        self._numbers = numbers
        self._data = data
        self._formats = formats
        self._hashes = hashes
        self.left = np.ones(len(numbers), dtype=bool)

    def stored(self, row: int) -> StoredModel:
        """Return one model."""
        return StoredModel(*(part[row].as_py() for part in (self._data, self._formats, self._hashes)))

    def read(self, stamp: Stamp, parts: _Parts, found: _Table, load: Callable[[StoredModel], Any]) -> None:
        """Read all models that a stamp has pressed.

        Args:
            stamp: the pickle of a model.
            parts: the numbers of that model.
            found: takes the numbers of the others.
            load: raises for a model whose bytes are not those that were published.
        """
        rows, pressed = _of_length(self._data, len(stamp.data))
        rows, pressed = rows[self.left[rows]], pressed[self.left[rows]]
        same, values = stamp.read(pressed)
        rows = rows[same]
        for row, digest in zip(rows.tolist(), self._hashes.take(pa.array(rows)).to_pylist(), strict=True):
            if hashlib.sha256(self._data[row].as_buffer()).hexdigest() != digest:
                load(self.stored(row))  # which says so
        found.fill(self._numbers[rows], {name: values[name][same] if name in values else parts[name] for name in parts})
        self.left[rows] = False


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


def _numbers(model: Any) -> dict[str, Any]:
    """Return all numbers that `fit` has left in a linear model; those of `_parts` by the same names."""
    holders = _holders(model) or {}
    names = {(id(holder), attribute): name for name, (holder, attribute) in holders.items()}
    return {
        names.get((id(holder), attribute), f"{type(holder).__name__}.{attribute}"): value
        for holder in {id(holder): holder for holder, _ in holders.values()}.values()
        for attribute, value in vars(holder).items()
        if getattr(value, "dtype", None) in (np.float64, np.int64)
    }


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
        self._found = {name: np.zeros((g, len(values))) for name, values in like.items()}

    def fill(self, rows: Index, numbers: Mapping[str, npt.NDArray[Any]]) -> None:
        """Put in the numbers of many models."""
        for name, values in self._found.items():
            values[rows] = numbers[name]

    def set(self, row: int, parts: _Parts) -> bool:
        """Put in the numbers of one model; return whether it is one like the first."""
        shapes = {name: len(values) for name, values in parts.items()}
        if shapes != {name: values.shape[1] for name, values in self._found.items()}:
            return False
        for name, values in parts.items():
            self._found[name][row] = values
        return True

    def models(self) -> LinearModels:
        """Return them all."""
        found = self._found
        return LinearModels(found["coef"], found["intercept"][:, 0], found.get("mean"), found.get("scale"))
