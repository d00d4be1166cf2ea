"""Solve the groups of a linear family many at once.

Groups of about the same number of rows are laid on top of each other, filled up with rows of zeros, and taken apart
by one QR decomposition for all (Golub and Van Loan, Matrix Computations, section 5.3). The triangles give the same
coefficients and singular values as scikit-learn's own solvers, up to rounding; where a group is so ill-conditioned
that two good solvers would not agree, it is left to scikit-learn. What comes of a group does not depend on the
others: every matrix of a stack is worked on by itself, and its filling depends on its own number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modelfactory.plan.metrics import LEAST, RANGE
from modelfactory.plan.steps import FitStep, LinearSolve
from modelfactory.training.batches import Bools, Chunk, Floats, Rows
from modelfactory.training.clock import FitClock
from modelfactory.training.estimators import Template, name_features
from modelfactory.training.regression import mean_label, prediction_range, regression_metrics
from modelfactory.training.stamping import Bytes, Stamp, make_stamp

LARGEST_GROUP = 1 << 18
"""Numbers in a group, from which on scikit-learn's own work is far more than its checks."""
_STACK = 1 << 17
"""Numbers in a stack: about what the fast memory of a core holds."""
_FARTHEST = 1e6
"""Spreads that a feature's mean may be from zero; beyond, two ways to subtract it differ by more than 1e-9."""
_EPSILON = float(np.finfo(np.float64).eps)
_LEFT_BY_FIT = {"coef_", "intercept_", "rank_", "singular_", "n_iter_", "solver_", "n_features_in_"}
_LEFT_BY_SCALER = {"mean_", "var_", "scale_", "n_samples_seen_", "n_features_in_"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SolvedGroups:
    """The groups of a chunk that were solved at once.

    Attributes:
        index: which groups of the chunk, shape (k,).
        n_train: rows that the stored model was fitted on, shape (k,).
        n_test: rows that were measured, shape (k,).
        metrics: by name an array of shape (k,), NaN where the metric is not defined.
        baseline: the same for the baseline.
        fit_seconds: each group's part of the wall seconds of the solving, shape (k,).
        cpu_seconds: the same of the processor's seconds.
        models: the pickles, a row for each model, shape (k, length).
    """

    index: Rows
    n_train: Rows
    n_test: Rows
    metrics: Mapping[str, Floats]
    baseline: Mapping[str, Floats]
    fit_seconds: Floats
    cpu_seconds: Floats
    models: Bytes

    def measured(self, place: int) -> tuple[dict[str, float], dict[str, float]]:
        """Return metrics and baseline of one of the groups, those that are defined."""
        both = (self.metrics, self.baseline)
        metrics, baseline = ({n: float(v[place]) for n, v in part.items() if not np.isnan(v[place])} for part in both)
        return metrics, baseline

    def take(self, which: Bools) -> SolvedGroups:
        """Return some of the groups.

        Args:
            which: whether each is among them, shape (k,).
        """
        return SolvedGroups(
            index=self.index[which],
            n_train=self.n_train[which],
            n_test=self.n_test[which],
            metrics={name: values[which] for name, values in self.metrics.items()},
            baseline={name: values[which] for name, values in self.baseline.items()},
            fit_seconds=self.fit_seconds[which],
            cpu_seconds=self.cpu_seconds[which],
            models=self.models[which],
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """Some rows of some groups of a chunk.

    Attributes:
        rows: which rows of the chunk, group after group, shape (n,).
        groups: which groups of the chunk, shape (k,).
        bounds: the rows of the i-th of them are `bounds[i]` to `bounds[i + 1]`, shape (k + 1,).
    """

    rows: Rows
    groups: Rows
    bounds: Rows

    @classmethod
    def where(cls, chosen: Bools, owner: Rows, n_groups: int) -> _Part:
        rows = np.flatnonzero(chosen)
        count = np.bincount(owner[rows], minlength=n_groups)
        groups = np.flatnonzero(count)
        return cls(rows, groups, np.concatenate(([0], np.cumsum(count[groups]))))

    @property
    def n_rows(self) -> Rows:
        return np.diff(self.bounds)


@dataclass(frozen=True, slots=True)
class _Solution:
    """Numbers of all groups of a chunk; those of groups that were not solved mean nothing.

    Attributes:
        good: which groups were solved, shape (g,).
        coef: shape (g, p).
        intercept: shape (g,).
        singular: singular values of the centred features, falling, shape (g, p).
        mean: of each feature, where the features are standardised, shape (g, p).
        var: variance of each feature, likewise.
        scale: its square root.
    """

    good: Bools
    coef: Floats
    intercept: Floats
    singular: Floats
    mean: Floats
    var: Floats
    scale: Floats

    @classmethod
    def empty(cls, g: int, p: int) -> _Solution:
        return cls(
            good=np.zeros(g, dtype=bool),
            coef=np.zeros((g, p)),
            intercept=np.zeros(g),
            singular=np.zeros((g, p)),
            mean=np.zeros((g, p)),
            var=np.zeros((g, p)),
            scale=np.ones((g, p)),
        )

    def take_over(self, other: _Solution, groups: Rows) -> None:
        """Replace the numbers of some groups."""
        for name in self.__slots__:
            getattr(self, name)[groups] = getattr(other, name)[groups]


@dataclass(frozen=True, slots=True)
class LinearSolver:
    """Solves the chunks of one family.

    Attributes:
        step: the family's step.
        how: what to solve.
        stamp: the pickle of its models.
    """

    step: FitStep
    how: LinearSolve
    stamp: Stamp

    @np.errstate(all="ignore")  # what is not sound is found by its numbers and left to scikit-learn
    def solve(self, chunk: Chunk, measured: npt.NDArray[np.intp], finite: Bools) -> SolvedGroups:
        """Solve, measure and encode the models of those groups of a chunk that can be solved at once.

        Args:
            chunk: the groups.
            measured: the split that measures each row, shape (n,).
            finite: groups without missing or infinite numbers, shape (g,).
        """
        evaluation, g = self.step.evaluation, len(chunk)
        owner = np.repeat(np.arange(g), chunk.n_rows)
        clock = FitClock()
        able = (
            finite if chunk.weight is None else finite & np.logical_and.reduceat(chunk.weight >= 0, chunk.bounds[:-1])
        )
        good, found = able.copy(), _Solution.empty(g, len(self.step.features))
        n_train, n_test = np.zeros(g, dtype=np.intp), np.zeros(g, dtype=np.intp)
        names = evaluation.metrics if evaluation else ()
        told = evaluation.measured if evaluation else ()
        measures: list[tuple[dict[str, Floats], dict[str, Floats]]] = []
        for number in range(int(measured.max()) + 1):
            test = _Part.where(measured == number, owner, g)
            split = np.isin(owner, test.groups)
            train = _Part.where(split & (measured != number), owner, g)
            with clock.running():
                solution = self._fit(chunk, train, good)
            good[train.groups] &= solution.good[train.groups]
            found.take_over(solution, train.groups)
            n_train[train.groups] = train.n_rows
            n_test[test.groups] += test.n_rows
            measures.append(self._measure(names, chunk, solution, train, test, g))
        unsplit = n_test == 0
        again = np.ones(g, dtype=bool) if evaluation and (evaluation.refit or evaluation.method == "folds") else unsplit
        if again.any():
            whole = _Part.where(again[owner], owner, g)
            with clock.running():
                solution = self._fit(chunk, whole, good)
            good[whole.groups] &= solution.good[whole.groups]
            found.take_over(solution, whole.groups)
            n_train[whole.groups] = whole.n_rows
        share = chunk.n_rows / max(chunk.n_rows[good].sum(), 1)
        return SolvedGroups(
            index=np.flatnonzero(good),
            n_train=n_train[good],
            n_test=n_test[good],
            metrics={name: _over_splits(name, [m[name] for m, _ in measures])[good] for name in told if measures},
            baseline={name: _over_splits(name, [b[name] for _, b in measures])[good] for name in names if measures},
            fit_seconds=(share * clock.wall)[good],
            cpu_seconds=(share * clock.cpu)[good],
            models=self._encode(found, n_train, good),
        )

    def _fit(self, chunk: Chunk, part: _Part, able: Bools) -> _Solution:
        p = len(self.step.features)
        found = _Solution.empty(len(chunk), p)
        n = part.n_rows
        solvable = (n > p) & (n * (p + 1) <= LARGEST_GROUP) & able[part.groups]
        for members, length in _stacks(n, solvable, p + 1):
            place = part.bounds[members, None] + np.minimum(np.arange(length), n[members, None] - 1)
            rows = part.rows[place]
            filled = (np.arange(length) < n[members, None]).astype(np.float64)
            stack = np.empty((len(members), p + 1, length))
            arrived = chunk.arrived[rows]
            for i, column in enumerate(_columns(chunk)):
                stack[:, i] = column[arrived]
            stack[:, p] = _label(chunk)[rows]
            weight = filled if chunk.weight is None else chunk.weight[rows] * filled
            self._fit_stack(stack, filled, weight, found, part.groups[members])
        return found

    def _fit_stack(self, stack: Floats, filled: Floats, weight: Floats, found: _Solution, groups: Rows) -> None:
        """Solve one stack.

        Args:
            stack: features and label, column by column, shape (k, p + 1, length).
            filled: one where there is a row, zero behind the last, shape (k, length).
            weight: weight of each row, zero behind the last, shape (k, length).
            found: takes the numbers.
            groups: where in it, shape (k,).
        """
        p = stack.shape[1] - 1
        filled = filled[:, None, :]
        stack *= filled
        good = np.ones(len(stack), dtype=bool)
        if self.how.standardize:
            good &= _standardize(stack[:, :p], filled, found, groups)
        weights = weight[:, None, :]
        offset = np.zeros((len(stack), p + 1))
        if self.how.fit_intercept:
            offset = (stack * weights).sum(axis=2) / weights.sum(axis=2)
            stack -= offset[:, :, None]
        stack *= np.sqrt(weights)
        triangle = np.asarray(np.linalg.qr(stack.transpose(0, 2, 1), mode="r"))
        good &= np.isfinite(triangle).all(axis=(1, 2))
        if self.how.fit_intercept:  # or the mean eats the digits of what is left
            spread = np.sqrt((triangle[:, :, :p] ** 2).sum(axis=1) / weight.sum(axis=1)[:, None])
            good &= (np.abs(offset[:, :p]) <= _FARTHEST * spread).all(axis=1)
        triangle[~good] = np.eye(p + 1)
        r, z = triangle[:, :p, :p], triangle[:, :p, p:]
        singular = np.linalg.svd(r, compute_uv=False)
        if self.how.alpha is None:
            values, matrix, right = singular, r.copy(), z
        else:
            values = singular**2 + self.how.alpha
            matrix, right = r.transpose(0, 2, 1) @ r + self.how.alpha * np.eye(p), r.transpose(0, 2, 1) @ z
        good &= values[:, -1] > self.how.least_ratio * values[:, 0]
        matrix[~good] = np.eye(p)
        coef = np.linalg.solve(matrix, right)[:, :, 0]
        found.good[groups] = good
        found.coef[groups] = coef
        found.intercept[groups] = offset[:, p] - (offset[:, :p] * coef).sum(axis=1)
        found.singular[groups] = singular

    def _measure(
        self, names: tuple[str, ...], chunk: Chunk, solution: _Solution, train: _Part, test: _Part, g: int
    ) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """Return metrics and baseline on the rows of `test`, by name arrays of shape (g,)."""
        label, owner = _label(chunk), np.repeat(test.groups, test.n_rows)
        predicted = solution.intercept[owner]
        arrived = chunk.arrived[test.rows]
        for i, column in enumerate(_columns(chunk)):
            seen = (column[arrived] - solution.mean[owner, i]) / solution.scale[owner, i]
            predicted += seen * solution.coef[owner, i]
        weight = None if chunk.weight is None else chunk.weight[train.rows]
        mean = mean_label(label[train.rows], weight, train.bounds)
        results = []
        for said in (predicted, np.repeat(mean, test.n_rows)):
            by_name = regression_metrics(names, label[test.rows], said, test.bounds)
            if said is predicted and self.step.evaluation and self.step.evaluation.predictions:
                by_name |= prediction_range(said, test.bounds)
            spread = {name: np.full(g, np.nan) for name in by_name}
            for name, values in by_name.items():
                spread[name][test.groups] = values
            results.append(spread)
        return results[0], results[1]

    def _encode(self, found: _Solution, n_train: Rows, good: Bools) -> Bytes:
        numbers = {name: getattr(found, name)[good] for name in self.stamp.places if name != "n"}
        return self.stamp.press({**numbers, "n": n_train[good]})


def make_solver(step: FitStep, template: Template) -> LinearSolver | None:
    """Return the solver of a family; None where its groups have to be fitted one by one.

    It asks the installed scikit-learn what a fitted model looks like, and steps back from what it does not know.
    """
    if step.linear_solve is None:
        return None
    p, rng = len(step.features), np.random.default_rng(0)
    x = rng.normal(size=(2 * p + 8, p))
    try:
        model = template.for_group(0).fit(x, x.sum(axis=1) + rng.normal(size=len(x)))
    except Exception:  # each group will say why
        return None
    name_features(step, model)
    *before, final = [part for _, part in model.steps] if hasattr(model, "steps") else [model]
    attributes: dict[str, tuple[Any, str]] = {"coef": (final, "coef_")}
    if step.linear_solve.fit_intercept:
        attributes["intercept"] = (final, "intercept_")
    if step.linear_solve.alpha is None:
        attributes["singular"] = (final, "singular_")
    for scaler in before:
        attributes |= {name: (scaler, f"{name}_") for name in ("mean", "var", "scale")}
        attributes["n"] = (scaler, "n_samples_seen_")
    known = all(_left(scaler) == _LEFT_BY_SCALER for scaler in before) and _left(final) <= _LEFT_BY_FIT
    if not known or getattr(final, "rank_", p) != p or getattr(final, "solver_", "cholesky") != "cholesky":
        return None
    stamp = make_stamp(model, attributes)
    return None if stamp is None else LinearSolver(step, step.linear_solve, stamp)


def _left(fitted: Any) -> set[str]:
    """Return the names of what `fit` left in an estimator."""
    return set(vars(fitted)) - set(fitted.get_params(deep=False)) - {"feature_names_in_"}


def _standardize(features: Floats, filled: Floats, found: _Solution, groups: Rows) -> Bools:
    """Standardise in place, as `StandardScaler` does; return which groups have no constant feature.

    The variance is that of Chan, Golub and LeVeque (1983), which scikit-learn takes too.
    """
    n = filled.sum(axis=2)
    mean = features.sum(axis=2) / n
    features -= mean[:, :, None]
    features *= filled
    var = ((features**2).sum(axis=2) - features.sum(axis=2) ** 2 / n) / n
    scale = np.sqrt(var)
    features /= scale[:, :, None]
    found.mean[groups], found.var[groups], found.scale[groups] = mean, var, scale
    varies = (var > n * _EPSILON * var + (n * mean * _EPSILON) ** 2) & (np.abs(mean) <= _FARTHEST * scale)
    return np.asarray(varies.all(axis=1))


def _stacks(n: Rows, chosen: Bools, width: int) -> Iterator[tuple[Rows, int]]:
    """Yield groups that are filled up to one length, and that length.

    A length has three significant binary digits, so that at most an eighth of a group is filling.
    """
    step = np.maximum(8, 1 << np.maximum(np.frexp(n)[1] - 4, 0))
    lengths = -(-n // step) * step
    for length in np.unique(lengths[chosen]).tolist():
        members = np.flatnonzero(chosen & (lengths == length))
        most = max(1, _STACK // (length * width))
        yield from ((members[start : start + most], length) for start in range(0, len(members), most))


def _over_splits(name: str, by_split: list[Floats]) -> Floats:
    """Return the mean over the splits that have a number, or the end of the range of all; NaN where none has."""
    if name in RANGE:
        found: Floats = (np.fmin if name == LEAST else np.fmax).reduce(by_split)
        return found
    total, count = np.zeros_like(by_split[0]), np.zeros(len(by_split[0]))
    for values in by_split:  # one after the other: how NumPy adds up depends on the shape of the whole
        has = ~np.isnan(values)
        total += np.where(has, values, 0.0)
        count += has
    with np.errstate(invalid="ignore"):
        return total / count


def _columns(chunk: Chunk) -> Iterator[Floats]:
    if chunk.columns is None:
        raise AssertionError("linear families are solved from a matrix")
    yield from chunk.columns


def _label(chunk: Chunk) -> Floats:
    if chunk.label is None:
        raise AssertionError("linear families have a label")
    return chunk.label
