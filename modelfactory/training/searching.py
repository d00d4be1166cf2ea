"""Compare the candidates of a family in one group: each is fitted and measured on the same folds."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from modelfactory.plan.metrics import METRICS
from modelfactory.plan.steps import Evaluation, FitStep, Search
from modelfactory.training.batches import GroupRows, Rows
from modelfactory.training.clock import FitClock
from modelfactory.training.contenders import Contender
from modelfactory.training.evaluation import measure
from modelfactory.training.faults import NOBODYS, forget
from modelfactory.training.splitting import measured_in, splits
from modelfactory.training.texts import one_line

_ERROR_LENGTH = 300
_NAMED = 3
"""Candidates that a text names."""
Split = tuple[Rows, Rows]
"""Rows to fit on, and rows to measure on."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """How the candidates did in a group.

    Attributes:
        order: those that have not failed, the best first.
        scores: mean of the metric over the folds, by the candidate as text; of those that could be measured on all.
        said: what a user should know of it.
        error: what the first of those that failed has raised.
    """

    order: tuple[Contender, ...]
    scores: Mapping[str, float] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    error: BaseException | None = None


def rank(
    step: FitStep,
    search: Search,
    contenders: Sequence[Contender],
    rows: GroupRows,
    chosen: Rows,
    clock: FitClock,
    *,
    finite: bool,
) -> Ranking:
    """Compare contenders on rows that may be fitted on.

    The best mean of the metric wins; of equals the one that is expected to cost least, then the first. Without a fold
    that tells them apart they stay in their order.

    Args:
        step: what to do.
        search: how they are compared.
        contenders: what is compared.
        rows: the group.
        chosen: the rows that may be fitted on, shape (n,).
        clock: counts the seconds inside `fit`.
        finite: no number of the group is missing or infinite.
    """
    folds = list(_folds(step, search, rows, chosen))
    if not folds:
        reason = "one row to fit on makes no folds" if len(chosen) == 1 else "no fold leaves two classes to fit on"
        return Ranking(tuple(contenders), said=(_stands(contenders, reason),))
    measured: dict[str, list[float | None]] = {}
    failures: dict[str, str] = {}
    first: BaseException | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are of models that nobody keeps
        for contender in contenders:
            try:
                with contender.configured(finite=finite):
                    measured[contender.name] = [_measured(search, contender, rows, fold, clock) for fold in folds]
            except NOBODYS:
                raise
            except BaseException as error:
                forget(error)
                first = first or error
                failures[contender.name] = failure_text(error)
    told = tuple(f"{_names(names)} failed: {text}" for text, names in _by_value(failures).items())
    left = [contender for contender in contenders if contender.name in measured]
    scores, undefined = _scores(measured)
    if scores and undefined:
        told = (*told, f"{_names(undefined)}: {search.metric} is not defined on the same folds as of the others")
    if left and not scores:
        told = (*told, _stands(left, f"{search.metric} is defined on no fold"))
    sign = -1.0 if METRICS[search.metric].higher_is_better else 1.0
    best = sorted(
        (contender for contender in left if contender.name in scores),
        key=lambda c: (sign * scores[c.name], c.cost(len(chosen), len(step.features))),
    )
    return Ranking((*best, *(c for c in left if c.name not in scores)), scores, told, first)


def failure_text(error: BaseException) -> str:
    """Write what a candidate has raised."""
    return f"{type(error).__name__}: {one_line(error, _ERROR_LENGTH)}"


def _folds(step: FitStep, search: Search, rows: GroupRows, chosen: Rows) -> Iterable[Split]:
    """Yield the folds of some rows, by their content and the seed; a part to fit on has two classes at least."""
    how = Evaluation(method="folds", folds=search.folds)
    numbers = measured_in(how, step.seed, rows.row_hash[chosen], None, np.array([0, len(chosen)]))
    for train, test in splits(numbers):
        if step.task != "classification" or not is_constant(rows.label, chosen[train]):
            yield chosen[train], chosen[test]


def is_constant(label: Any, rows: Rows) -> bool:
    """Tell whether some rows, at least one, have one label."""
    return bool((label[rows] == label[rows[0]]).all())


def _measured(search: Search, contender: Contender, rows: GroupRows, fold: Split, clock: FitClock) -> float | None:
    """Return the metric of a contender in a fold; None where it is not defined."""
    train, test = fold
    if rows.label is None:
        raise AssertionError("only labelled families search")
    model = contender.fitted(rows, train, clock)
    return measure((search.metric,), model, rows.features(test), rows.label[test]).get(search.metric)


def _scores(measured: Mapping[str, list[float | None]]) -> tuple[dict[str, float], list[str]]:
    """Return the mean of each candidate over the folds where any is measured, and those that are not on all of them.

    A mean over fewer folds could not be compared with those of the others.
    """
    known = {i for values in measured.values() for i, value in enumerate(values) if value is not None}
    scores, undefined = {}, []
    for name, values in measured.items():
        found = [value for i, value in enumerate(values) if i in known and value is not None]
        if known and len(found) == len(known):
            scores[name] = float(np.mean(found))
        else:
            undefined.append(name)
    return scores, undefined


def _stands(contenders: Sequence[Contender], reason: str) -> str:
    return f"{contenders[0].name} stands as the first candidate: {reason}"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _by_value(texts: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the names that have each text."""
    found: dict[str, list[str]] = {}
    for name, text in texts.items():
        found.setdefault(text, []).append(name)
    return found
