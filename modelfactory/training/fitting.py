"""Fit one group: never raises for a group's own fault."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from modelfactory.plan.outcomes import Status
from modelfactory.plan.steps import FitStep
from modelfactory.training.batches import GroupIdentity, GroupRows, Rows
from modelfactory.training.champions import Champions
from modelfactory.training.classes import known_classes
from modelfactory.training.clock import FitClock
from modelfactory.training.contenders import Contender
from modelfactory.training.encoding import EncodedModel, encode_model
from modelfactory.training.estimators import name_features
from modelfactory.training.evaluation import mean_of, measure, measure_baseline
from modelfactory.training.faults import NOBODYS, GroupTimeout, forget
from modelfactory.training.isolation import Death
from modelfactory.training.searching import Ranking, failure_text, is_constant, rank
from modelfactory.training.splitting import splits
from modelfactory.training.texts import one_line

ERROR_LENGTH = 500
WARNINGS_KEPT = 5
LONGEST_ALARM = 1e8
"""Seconds; the system's timer takes no more than some centuries."""
LONGEST_WATCH = 1e6
"""Seconds; the watchdog counts microseconds in 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOutcome:
    """What came of fitting one group; the group table has the columns of the same names.

    Attributes:
        classes: the classes that the model of a classifier knows, as text, in the order of its probabilities.
        champion: metrics of the current version's model on the rows that this one is measured on; where it stands in
            the place of this one, the status is `reused`, and `metrics` are its own.
    """

    group: int
    status: Status
    data_digest: str
    n_train: int = 0
    n_test: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    baseline: dict[str, float] = field(default_factory=dict)
    fit_seconds: float = 0.0
    cpu_seconds: float = 0.0
    model: EncodedModel | None = None
    error_type: str | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    champion: dict[str, float] = field(default_factory=dict)
    chosen: str | None = None
    candidates: dict[str, float] = field(default_factory=dict)


def fit_group(
    step: FitStep,
    contenders: Sequence[Contender],
    rows: GroupRows,
    measured: Rows,
    *,
    finite: bool = False,
    champions: Champions | None = None,
) -> FitOutcome:
    """Choose, fit, measure and encode the model of one group.

    Args:
        step: what to do.
        contenders: the family's estimator, or those of which the search chooses one.
        rows: the group.
        measured: the split that measures each row, as `measured_in` found it, shape (n,).
        finite: no number of the group is missing or infinite.
        champions: the models that new ones have to beat, if there is a contest.

    Returns:
        The outcome; a fault of the group is one too.
    """
    clock, printed, lost = FitClock(), _Printed(), ""
    group = _Group(step, contenders, rows, clock, finite)
    with warnings.catch_warnings(record=True) as caught, printed.taken():
        warnings.simplefilter("always")
        try:
            with _time_limit(step.timeout), group.configured():
                fields = _fitted(group, measured)
                if champions is not None and fields["status"] == Status.TRAINED:
                    champion, lost, stands = champions.meet(step, rows, measured, fields["metrics"])
                    fields |= {"champion": champion, **(champion_stands(champion) if stands else {})}
        except GroupTimeout:
            fields = _timed_out(step)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            fields = _fault(error)
    said = dict.fromkeys(f"{w.category.__name__}: {one_line(w.message, ERROR_LENGTH)}" for w in caught)
    return FitOutcome(
        group=rows.group,
        data_digest=rows.digest,
        fit_seconds=clock.wall,
        cpu_seconds=clock.cpu,
        warnings=(
            *([lost] if lost else []),
            *list(group.said)[:WARNINGS_KEPT],
            *list(said)[:WARNINGS_KEPT],
            *printed.said(),
        ),
        **fields,
    )


def champion_stands(champion: dict[str, float]) -> dict[str, Any]:
    """Return what is otherwise in the outcome of a group where the model of the current version stands."""
    return {"status": Status.REUSED, "metrics": champion, "n_train": 0, "model": None, "classes": ()}


def failed_group(group: GroupIdentity, error: Exception) -> FitOutcome:
    """Return the outcome of a group for which there is no estimator, or no room to read its rows."""
    return FitOutcome(group=group.group, data_digest=group.digest, **_fault(error))


def lost_group(step: FitStep, group: GroupIdentity, death: Death) -> FitOutcome:
    """Return the outcome of a group that killed its process, or had to be killed with it.

    Args:
        step: what was to be done.
        group: the group.
        death: how the process ended.
    """
    if death.was_for_slowness(step.timeout):
        fields = _timed_out(step)
    else:
        fields = {"status": Status.CRASHED, "error_type": death.kind, "error": death.text}
    return FitOutcome(group=group.group, data_digest=group.digest, **fields)


def _timed_out(step: FitStep) -> dict[str, Any]:
    return {"status": Status.TIMED_OUT, "error": f"took longer than {step.timeout:g} s"}


def _fault(error: BaseException) -> dict[str, Any]:
    forget(error)
    return {"status": Status.FAILED, "error_type": type(error).__name__, "error": one_line(error, ERROR_LENGTH)}


@dataclass(frozen=True, slots=True)
class _Best:
    """A model, the contender that it is of, and what that was chosen by."""

    model: Any
    contender: Contender
    ranking: Ranking | None = None


@dataclass(slots=True)
class _Group:
    """A group that is being fitted.

    Attributes:
        said: what a user should know of the search, each text once.
    """

    step: FitStep
    contenders: Sequence[Contender]
    rows: GroupRows
    clock: FitClock
    finite: bool
    said: dict[str, None] = field(default_factory=dict)

    def best(self, chosen: Rows) -> _Best:
        """Return the model of the best contender on some rows; one that cannot be fitted leaves it to the next."""
        if self.step.search is None:
            return _Best(self.fit(self.contenders[0], chosen), self.contenders[0])
        found = rank(self.step, self.step.search, self.contenders, self.rows, chosen, self.clock, finite=self.finite)
        self.said |= dict.fromkeys(found.said)
        first = found.error
        for contender in found.order:
            try:
                return _Best(self.fit(contender, chosen), contender, found)
            except NOBODYS:
                raise
            except BaseException as error:
                forget(error)
                first = first or error
                self.said[f"{contender.name} failed: {failure_text(error)}"] = None
        raise first or AssertionError("a search has a candidate")

    def fit(self, contender: Contender, chosen: Rows) -> Any:
        """Return the model of a contender on some rows."""
        with self.configured_for(contender):
            return contender.fitted(self.rows, chosen, self.clock)

    def configured(self) -> AbstractContextManager[None]:
        """Configure scikit-learn for all that is done in the group, where there is one contender."""
        return self.contenders[0].configured(finite=self.finite) if self.step.search is None else nullcontext()

    def configured_for(self, contender: Contender) -> AbstractContextManager[None]:
        """Configure scikit-learn for one of several contenders."""
        return nullcontext() if self.step.search is None else contender.configured(finite=self.finite)


@dataclass(slots=True)
class _Measurement:
    """What measuring left: the last model that was measured, how many rows it saw, and the numbers."""

    best: _Best | None = None
    n_train: int = 0
    n_test: int = 0
    metrics: list[dict[str, float]] = field(default_factory=list)
    baseline: list[dict[str, float]] = field(default_factory=list)


def _fitted(group: _Group, measured: Rows) -> dict[str, Any]:
    step, rows = group.step, group.rows
    everything = np.arange(len(rows))
    if step.task == "classification" and is_constant(rows.label, everything):
        return {"status": Status.ONE_CLASS}
    found = _Measurement()
    again = in_folds = False
    if step.evaluation is not None and rows.label is not None:
        in_folds = step.evaluation.method == "folds"
        again = step.evaluation.refit or in_folds
        for train, test in splits(measured):
            if step.task == "classification" and is_constant(rows.label, train):
                if again:  # the stored model sees all rows; this part of them cannot be measured
                    warnings.warn(f"{len(test)} rows are not measured: the others have one class", stacklevel=2)
                    continue
                warnings.warn(f"the rows to fit on have one class, {len(test)} rows are held out", stacklevel=2)
                return {"status": Status.ONE_CLASS}
            _measure(group, train, test, found)
    best = found.best
    if best is None or in_folds:
        best, found.n_train = group.best(everything), len(rows)
    elif again:  # what was measured is fitted again
        best, found.n_train = replace(best, model=group.fit(best.contender, everything)), len(rows)
    if step.container == "matrix":
        name_features(step, best.model)
    return {
        "status": Status.TRAINED,
        "n_train": found.n_train,
        "n_test": found.n_test,
        "metrics": mean_of(found.metrics),
        "baseline": mean_of(found.baseline),
        "model": encode_model(best.model, step.persistence),
        "classes": known_classes(best.model, rows.label) if step.task == "classification" else (),
        "chosen": best.contender.name if best.ranking else None,
        "candidates": dict(best.ranking.scores) if best.ranking else {},
    }


def _measure(group: _Group, train: Rows, test: Rows, found: _Measurement) -> None:
    """Choose and fit on some rows, and measure on others; where these are folds, each makes its own choice."""
    step, rows = group.step, group.rows
    if step.evaluation is None or rows.label is None:
        raise AssertionError("only labelled families are measured")
    names = step.evaluation.metrics
    weight = None if rows.weight is None else rows.weight[train]
    found.best = group.best(train)
    found.n_train, found.n_test = len(train), found.n_test + len(test)
    features, label, predictions = rows.features(test), rows.label[test], step.evaluation.predictions
    with group.configured_for(found.best.contender):
        found.metrics.append(measure(names, found.best.model, features, label, predictions=predictions))
    found.baseline.append(measure_baseline(names, rows.label[train], weight, label))


class _Printed(io.TextIOBase):
    """Takes what Python code prints in place of the terminal, and keeps the beginning."""

    def __init__(self) -> None:
        self._kept = ""

    def write(self, text: str) -> int:
        self._kept += text[: 4 * ERROR_LENGTH - len(self._kept)]
        return len(text)

    def said(self) -> tuple[str, ...]:
        """Return what was printed as one text, or nothing."""
        return (f"printed: {one_line(self._kept, ERROR_LENGTH)}",) if self._kept.strip() else ()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take what is printed in the block."""
        with contextlib.redirect_stdout(self), contextlib.redirect_stderr(self):
            yield


@contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    """Raise `GroupTimeout` inside the block after some seconds, as soon as Python code runs.

    Code that is not Python's can be stopped with its process only: some time later a watchdog ends that, and Spark
    tries the bin again with each group apart.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    armed = True
    ends = time.monotonic() + seconds

    def expire(_signal: int, _frame: object) -> None:
        if armed:
            raise GroupTimeout

    before = signal.getsignal(signal.SIGALRM)
    try:
        signal.signal(signal.SIGALRM, expire)
        # It rings again, for code that swallows everything it is thrown.
        signal.setitimer(signal.ITIMER_REAL, min(seconds, LONGEST_ALARM), 1.0)
        faulthandler.dump_traceback_later(
            min(seconds + _grace(seconds), LONGEST_WATCH), exit=True, file=sys.__stderr__ or 2
        )
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)
    if time.monotonic() > ends:
        raise GroupTimeout


def _grace(seconds: float) -> float:
    """Return how long a group may swallow its timeout before its process is ended, in seconds."""
    return min(1.0 + seconds / 10, 30.0)
