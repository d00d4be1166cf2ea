"""Fit one group: never raises for a group's own fault."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from modelfactory.plan.outcomes import Status
from modelfactory.plan.steps import FitStep
from modelfactory.training.batches import GroupIdentity, GroupRows, Rows
from modelfactory.training.champions import Champions
from modelfactory.training.classes import known_classes
from modelfactory.training.clock import FitClock
from modelfactory.training.encoding import EncodedModel, encode_model
from modelfactory.training.estimators import Template, name_features
from modelfactory.training.evaluation import mean_of, measure, measure_baseline
from modelfactory.training.isolation import Death
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


class GroupTimeout(BaseException):
    """The group took longer than `timeout`; no `except Exception` of an estimator catches it."""


def fit_group(
    step: FitStep, template: Template, rows: GroupRows, measured: Rows, champions: Champions | None = None
) -> FitOutcome:
    """Fit, measure and encode the model of one group.

    Args:
        step: what to do.
        template: the family's estimator.
        rows: the group.
        measured: the split that measures each row, as `measured_in` found it, shape (n,).
        champions: the models that new ones have to beat, if there is a contest.

    Returns:
        The outcome; a fault of the group is one too.
    """
    clock, printed, lost = FitClock(), _Printed(), ""
    with warnings.catch_warnings(record=True) as caught, printed.taken():
        warnings.simplefilter("always")
        try:
            with _time_limit(step.timeout):
                fields = _fitted(step, template, rows, measured, clock)
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
        warnings=(*([lost] if lost else []), *list(said)[:WARNINGS_KEPT], *printed.said()),
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
    _forget(error)
    return {"status": Status.FAILED, "error_type": type(error).__name__, "error": one_line(error, ERROR_LENGTH)}


def _forget(error: BaseException | None) -> None:
    """Let go of what the calls held that an error went through: it may be all the memory that there is."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


@dataclass(slots=True)
class _Measurement:
    """What measuring left: the last model that was measured, how many rows it saw, and the numbers."""

    model: Any = None
    n_train: int = 0
    n_test: int = 0
    metrics: list[dict[str, float]] = field(default_factory=list)
    baseline: list[dict[str, float]] = field(default_factory=list)


def _fitted(step: FitStep, template: Template, rows: GroupRows, measured: Rows, clock: FitClock) -> dict[str, Any]:
    if step.task == "classification" and _is_constant(rows.label, np.arange(len(rows))):
        return {"status": Status.ONE_CLASS}
    found = _Measurement()
    again = False
    if step.evaluation is not None and rows.label is not None:
        again = step.evaluation.refit or step.evaluation.method == "folds"
        for train, test in splits(measured):
            if step.task == "classification" and _is_constant(rows.label, train):
                if again:  # the stored model sees all rows; this part of them cannot be measured
                    warnings.warn(f"{len(test)} rows are not measured: the others have one class", stacklevel=2)
                    continue
                warnings.warn(f"the rows to fit on have one class, {len(test)} rows are held out", stacklevel=2)
                return {"status": Status.ONE_CLASS}
            _measure(step, template, rows, (train, test), found, clock)
    if found.model is None or again:
        found.model = _fit(step, template, rows, np.arange(len(rows)), clock)
        found.n_train = len(rows)
    if step.container == "matrix":
        name_features(step, found.model)
    return {
        "status": Status.TRAINED,
        "n_train": found.n_train,
        "n_test": found.n_test,
        "metrics": mean_of(found.metrics),
        "baseline": mean_of(found.baseline),
        "model": encode_model(found.model, step.persistence),
        "classes": known_classes(found.model, rows.label) if step.task == "classification" else (),
    }


def _measure(
    step: FitStep, template: Template, rows: GroupRows, split: tuple[Rows, Rows], found: _Measurement, clock: FitClock
) -> None:
    if step.evaluation is None or rows.label is None:
        raise AssertionError("only labelled families are measured")
    train, test = split
    names = step.evaluation.metrics
    weight = None if rows.weight is None else rows.weight[train]
    found.model = _fit(step, template, rows, train, clock)
    found.n_train, found.n_test = len(train), found.n_test + len(test)
    features, label, predictions = rows.features(test), rows.label[test], step.evaluation.predictions
    found.metrics.append(measure(names, found.model, features, label, predictions=predictions))
    found.baseline.append(measure_baseline(names, rows.label[train], weight, label))


def _fit(step: FitStep, template: Template, rows: GroupRows, chosen: Rows, clock: FitClock) -> Any:
    model = template.for_group(rows.group)
    features = rows.features(None if len(chosen) == len(rows) else chosen)
    weights = {} if rows.weight is None else {step.weight_parameter: rows.weight[chosen]}
    with clock.running():
        if rows.label is None:
            model.fit(features, **weights)
        else:
            model.fit(features, rows.label[chosen], **weights)
    return model


def _is_constant(label: Any, rows: Rows) -> bool:
    return bool((label[rows] == label[rows[0]]).all())


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
