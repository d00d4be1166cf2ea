"""What the tests of the worker side share: Arrow batches, steps, and estimators that misbehave."""

from __future__ import annotations

import contextlib
import itertools
import pickle
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from modelfactory.plan.estimators import linear_solve
from modelfactory.plan.steps import EstimatorCall, Evaluation, Feature, FitStep
from modelfactory.training.batches import GroupRows, read_chunk
from modelfactory.training.contenders import make_contenders
from modelfactory.training.encoding import EncodedModel
from modelfactory.training.fitting import FitOutcome, fit_group
from modelfactory.training.splitting import measured_in, splits
from modelfactory.training.worker import train_batches

# Steps ----------------------------------------------------------------------------------------------------------


def call(path: str, **params: Any) -> EstimatorCall:
    """Write an estimator call; a bare name is a class of this module."""
    full = path if "." in path else f"training_samples.{path}"
    return EstimatorCall(path=full, params=tuple(sorted(params.items())))


def pipeline(*steps: EstimatorCall) -> EstimatorCall:
    """Write a pipeline with steps named by their lower-case class, as the compiler does."""
    return call("sklearn.pipeline.Pipeline", steps=[(step.name.lower(), step) for step in steps])


def holdout(share: float = 0.25, *metrics: str, refit: bool = False) -> Evaluation:
    return Evaluation(method="holdout", share=share, metrics=metrics or ("rmse", "mae", "r2"), refit=refit)


def by_time(share: float = 0.25, *metrics: str, refit: bool = False) -> Evaluation:
    return Evaluation(method="by_time", share=share, metrics=metrics or ("rmse", "mae", "r2"), refit=refit)


def in_folds(folds: int = 4, *metrics: str) -> Evaluation:
    return Evaluation(method="folds", folds=folds, metrics=metrics or ("rmse", "mae", "r2"))


def make_step(estimator: EstimatorCall | str, **changes: Any) -> FitStep:
    """Make a step; `features` may be names, numeric ones."""
    features = changes.pop("features", ("a", "b", "c"))
    fields: dict[str, Any] = {
        "family": "sample",
        "task": "regression",
        "features": tuple(f if isinstance(f, Feature) else Feature(f, "numeric") for f in features),
        "has_label": changes.get("task") != "unsupervised",
        "has_weight": False,
        "has_time": False,
        "estimator": call(estimator) if isinstance(estimator, str) else estimator,
        "container": "matrix",
        "evaluation": None,
        "seed": 0,
        "timeout": None,
    }
    fields |= changes
    solve = linear_solve(fields["estimator"], len(features)) if fields["container"] == "matrix" else None
    return FitStep(**{"linear_solve": solve, **fields})


# Groups ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """The rows of one group as a test writes them; `columns` are the features in order."""

    group: int
    columns: Sequence[Any]
    label: Any = None
    weight: Any = None
    time: Any = None
    row_hash: Any = None

    def __len__(self) -> int:
        return len(self.columns[0])

    @property
    def hashes(self) -> np.ndarray:
        """Hashes of the rows, rising; made up where the test does not care."""
        if self.row_hash is not None:
            return np.asarray(self.row_hash, dtype=np.int64)
        rng = np.random.default_rng(abs(self.group) + 1)
        return np.sort(rng.integers(-(2**63), 2**63 - 1, size=len(self), dtype=np.int64))

    def frame(self, step: FitStep) -> pd.DataFrame:
        """The features as a user would hold them: a DataFrame."""
        return pd.DataFrame(
            {f.name: _as_user_column(c, f.kind) for f, c in zip(step.features, self.columns, strict=True)}
        )


def _as_user_column(values: Any, kind: str) -> np.ndarray:
    if kind == "categorical":
        return np.array([None if v is None else str(v) for v in values], dtype=object)
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def sample_group(
    group: int = 1, n: int = 40, p: int = 3, *, classes: Sequence[Any] = (), seed: int | None = None
) -> Group:
    """A group of ordinary rows; the label is a noisy sum of the features, or classes cut out of it."""
    rng = np.random.default_rng(abs(group) if seed is None else seed)
    x = rng.normal(size=(p, n))
    y = x.sum(axis=0) + 0.1 * rng.normal(size=n)
    label: Any = y
    if classes:
        ranks = np.argsort(np.argsort(y)) * len(classes) // n
        label = [classes[rank] for rank in ranks]
    return Group(group, tuple(x), label, weight=rng.uniform(0.5, 2.0, size=n), time=np.arange(n) % 17)


def make_batch(step: FitStep, *groups: Group) -> pa.RecordBatch:
    """Write groups as one Arrow batch, as Spark sends it."""
    arrays = [
        pa.array(np.concatenate([np.full(len(g), g.group, dtype=np.int64) for g in groups])),
        pa.array(np.concatenate([g.hashes for g in groups])),
    ]
    for index, feature in enumerate(step.features):
        kind = pa.float64() if feature.kind == "numeric" else pa.string()
        arrays.append(_joined([pa.array(_plain(g.columns[index]), type=kind) for g in groups]))
    if step.has_label:
        kind = pa.float64() if step.task == "regression" else None
        arrays.append(_joined([pa.array(_plain(g.label), type=kind) for g in groups]))
    if step.has_weight:
        arrays.append(_joined([pa.array(_plain(g.weight), type=pa.float64()) for g in groups]))
    if step.has_time:
        arrays.append(_joined([pa.array(_plain(g.time), type=pa.float64()) for g in groups]))
    return pa.RecordBatch.from_arrays(arrays, names=[f"c{i}" for i in range(len(arrays))])


def _plain(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _joined(parts: list[pa.Array]) -> pa.Array:
    return pa.concat_arrays(parts)


def cut(batch: pa.RecordBatch, points: Sequence[int]) -> list[pa.RecordBatch]:
    """Cut a batch at some rows; equal points give empty batches."""
    ends = [0, *sorted(min(max(p, 0), batch.num_rows) for p in points), batch.num_rows]
    return [batch.slice(start, end - start) for start, end in itertools.pairwise(ends)]


def rows_of(step: FitStep, group: Group) -> GroupRows:
    """Read one group as the worker does."""
    return read_chunk(step, pa.Table.from_batches([make_batch(step, group)])).group(0)


def measured_of(step: FitStep, rows: GroupRows) -> np.ndarray:
    """Return the split that measures each row of a group."""
    return measured_in(step.evaluation, step.seed, rows.row_hash, rows.time, np.array([0, len(rows)]))


def splits_of(evaluation: Evaluation, rows: GroupRows, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the rows to fit on and the rows to measure on, for each split of a group."""
    return list(splits(measured_in(evaluation, seed, rows.row_hash, rows.time, np.array([0, len(rows)]))))


def fit(step: FitStep, group: Group) -> FitOutcome:
    """Fit one group by itself, as scikit-learn does."""
    rows = rows_of(step, group)
    return fit_group(step, make_contenders(step), rows, measured_of(step, rows))


def loaded(model: EncodedModel | None) -> Any:
    """Return the estimator in a model's bytes."""
    assert model is not None
    data = model.data
    if model.format == "pickle+zstd":
        data = pa.input_stream(pa.BufferReader(data), compression="zstd").read()
    return pickle.loads(data)


def train(step: FitStep, batches: Sequence[pa.RecordBatch]) -> dict[int, dict[str, Any]]:
    """Train a stream and return the outcomes by group."""
    rows = [row for batch in train_batches(step, batches) for row in batch.to_pylist()]
    found = {row["_mf_group"]: row for row in rows}
    assert len(found) == len(rows), "a group has one outcome"
    return found


# Estimators that misbehave. A group misbehaves where the first row's first feature is MARK. -----------------------

MARK = 666.0


def _marked(x: Any) -> bool:
    return bool(np.asarray(x)[:, 0].max() == MARK)


class _Mean(RegressorMixin, BaseEstimator):
    """Predicts the mean of the label; misbehaves on marked rows."""

    def fit(self, X: Any, y: Any = None) -> Any:
        self.n_features_in_ = np.asarray(X).shape[1]
        self.mean_ = 0.0 if y is None else float(np.mean(y))
        if _marked(X):
            self.misbehave()
        return self

    def misbehave(self) -> None:
        pass

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.mean_)


class Mean(_Mean):
    pass


class Raises(_Mean):
    def misbehave(self) -> None:
        raise ValueError("no  such\nluck")


class RaisesLong(_Mean):
    def misbehave(self) -> None:
        raise RuntimeError("x" * 100_000)


class RaisesUnprintable(_Mean):
    """Its error cannot be turned into text."""

    def misbehave(self) -> None:
        class Unprintable(Exception):
            def __str__(self) -> str:
                raise RuntimeError("an error about an error")

        raise Unprintable


class RaisesSurrogate(_Mean):
    """Its error holds a lone surrogate, as file names do that are not UTF-8; such text cannot be encoded."""

    def misbehave(self) -> None:
        raise OSError("cannot read caf\udce9.csv")


class WarnsSurrogate(_Mean):
    def misbehave(self) -> None:
        warnings.warn("cannot read caf\udce9.csv", UserWarning, stacklevel=2)


class RaisesBaseException(_Mean):
    """Raises what `except Exception` does not catch, as pytest, trio and asyncio do."""

    def misbehave(self) -> None:
        class Cancelled(BaseException):
            pass

        raise Cancelled("gave up")


class Exits(_Mean):
    def misbehave(self) -> None:
        sys.exit("out of here")


class RaisesFromItself(_Mean):
    def misbehave(self) -> None:
        error = ValueError("round and round")
        raise error from error


class OutOfMemory(_Mean):
    def misbehave(self) -> None:
        raise MemoryError("no room")


class Recurses(_Mean):
    def misbehave(self) -> None:
        self.misbehave()


class RaisesInPredict(_Mean):
    def predict(self, X: Any) -> Any:
        if _marked(X):
            raise ArithmeticError("cannot predict")
        return super().predict(X)


class Warns(_Mean):
    def misbehave(self) -> None:
        for _ in range(3):
            warnings.warn("mind the\n gap", UserWarning, stacklevel=2)
        warnings.warn("old", DeprecationWarning, stacklevel=2)


class WarnsMuch(_Mean):
    def misbehave(self) -> None:
        for number in range(1000):
            warnings.warn(f"{number} {'y' * 2000}", RuntimeWarning, stacklevel=2)


class TurnsWarningsIntoErrors(_Mean):
    def misbehave(self) -> None:
        warnings.simplefilter("error")


class WarnsAlways(_Mean):
    """Warns in every group."""

    def fit(self, X: Any, y: Any = None) -> Any:
        warnings.warn("as always", UserWarning, stacklevel=2)
        return super().fit(X, y)


class PredictsNaN(_Mean):
    def misbehave(self) -> None:
        self.mean_ = float("nan")


class Deprecated(_Mean):
    """Warns when it is made, as scikit-learn's deprecated classes do."""

    def __init__(self) -> None:
        warnings.warn("out of fashion", FutureWarning, stacklevel=2)


class Unpicklable(_Mean):
    def misbehave(self) -> None:
        self.function_ = lambda x: x


class Slow(_Mean):
    """Sleeps in small steps for a minute."""

    def misbehave(self) -> None:
        _sleep(60)


class SlowInPredict(_Mean):
    def predict(self, X: Any) -> Any:
        if _marked(X):
            _sleep(60)
        return super().predict(X)


class SlowBehindExcept(_Mean):
    """Catches every `Exception` while it works."""

    def misbehave(self) -> None:
        for _ in range(60):
            with contextlib.suppress(Exception):
                _sleep(1)


class SlowBehindBareExcept(_Mean):
    """Swallows the first thing that stops it, as a bare `except:` or a finaliser does, and goes on for a while."""

    def misbehave(self) -> None:
        try:
            _sleep(60)
        except BaseException:
            _sleep(3)


class Mutates(_Mean):
    """Writes into the rows it is given, as `copy_X=False` allows."""

    def fit(self, X: Any, y: Any = None) -> Any:
        values = X if isinstance(X, np.ndarray) else X.to_numpy()
        super().fit(X, y)
        if values.flags.writeable:
            values[:] = 0.0
        if isinstance(y, np.ndarray) and y.flags.writeable:
            y[:] = 0.0
        return self


class PlainMean:
    """Has `fit` and `predict` and nothing else of scikit-learn."""

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift

    def fit(self, X: Any, y: Any) -> PlainMean:
        self.mean = float(np.mean(y)) + self.shift
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.mean)


class Told(RegressorMixin, BaseEstimator):
    """Predicts a number, and does on the way what it is told."""

    def __init__(
        self, value: float = 0.0, *, error: str | None = None, most: int | None = None, n_estimators: int = 1
    ) -> None:
        self.value = value
        self.error = error
        self.most = most
        self.n_estimators = n_estimators

    def fit(self, X: Any, y: Any = None) -> Any:
        warnings.warn(f"told {self.value}", UserWarning, stacklevel=2)
        if self.error is not None:
            raise ValueError(self.error)
        if self.most is not None and len(X) > self.most:
            raise ValueError(f"{len(X)} rows are too many")
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.value)


class ExtraTreesRegressor(Told):
    """Costs, by the rule of thumb, what so many trees do."""


class NeedsMore(Told):
    """Cannot be made without an argument."""

    def __init__(self, x: int) -> None:
        super().__init__(x)


class ColumnMean(_Mean):
    """Predicts a column, shape (n, 1), as some libraries do; scikit-learn's metrics take it for (n,)."""

    def predict(self, X: Any) -> Any:
        return np.asarray(X)[:, :1].copy()


class ColumnClassifier(ClassifierMixin, BaseEstimator):
    """Predicts a column of classes, shape (n, 1), as CatBoost does where there are several."""

    def fit(self, X: Any, y: Any) -> Any:
        self.classes_ = np.unique(y)
        self.n_features_in_ = np.asarray(X).shape[1]
        return self

    def predict(self, X: Any) -> Any:
        return self.classes_[(np.asarray(X)[:, :1] > 0).astype(int)]


class WrongLength(_Mean):
    """Predicts one number whatever the rows."""

    def predict(self, X: Any) -> Any:
        return np.array([self.mean_])


class Records(_Mean):
    """Keeps what it was given."""

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        super().fit(X, y)
        self.x_, self.y_, self.weight_ = X, y, sample_weight
        return self


class Dice(RegressorMixin, BaseEstimator):
    """Its model is its random state."""

    def __init__(self, random_state: Any = None, other: Any = None) -> None:
        self.random_state = random_state
        self.other = other

    def fit(self, X: Any, y: Any = None) -> Any:
        self.draw_ = np.random.RandomState(self.random_state).random_sample()
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.draw_)


class GlobalDice(_Mean):
    """Its model is what NumPy's global random state gives."""

    def fit(self, X: Any, y: Any = None) -> Any:
        self.draw_ = float(np.random.random_sample())
        return super().fit(X, y)


class NoInit:
    """Takes no parameters."""

    def fit(self, X: Any, y: Any = None) -> Any:
        return self


class NoFit:
    """Not an estimator."""


def a_function() -> None:
    """Not a class."""


def _sleep(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.005)
