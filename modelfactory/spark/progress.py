"""Watch a job from another thread and tell how many groups or rows are done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from pyspark import SparkContext, StatusTracker
from pyspark.sql import SparkSession, is_remote

from modelfactory.spark.errors import SPARK_ERRORS

_INTERVAL = 0.25


@contextmanager
def watched(
    spark: SparkSession, job: str, bins: npt.NDArray[np.int32], n_bins: int, report: Callable[[int], None]
) -> Iterator[None]:
    """Report the groups that are done while the block runs a job of one task per bin.

    Spark tells how many tasks are done, not which. Tasks start in the order of their numbers, so the count is that
    of the first bins; it is exact again whenever no later bin has overtaken an earlier one, and at the end.

    Args:
        spark: the session.
        job: name for the job group.
        bins: the bin of each group that is trained.
        n_bins: how many bins there are.
        report: called with the number of groups done.
    """
    done_after = np.concatenate(([0], np.cumsum(np.bincount(bins, minlength=n_bins))))
    last = -1

    def tell(tasks: int) -> None:
        nonlocal last
        done = int(done_after[min(tasks, n_bins)])  # a task that was tried twice counts twice
        if done != last:
            report(done)
            last = done

    def ask(_: SparkContext, tracker: StatusTracker) -> None:
        tell(_tasks_done(tracker, job, n_bins))

    with _hearing(spark, n_bins, tell) if is_remote() else _asking(spark, job, ask):
        yield


@contextmanager
def _asking(spark: SparkSession, job: str, ask: Callable[[SparkContext, StatusTracker], None]) -> Iterator[None]:
    """Ask the JVM again and again how far a job is while the block runs it.

    Args:
        spark: the session.
        job: name for the job group.
        ask: asks, and tells what it hears; what Spark raises there ends the asking.
    """
    stop = threading.Event()
    context = spark.sparkContext
    context.setJobGroup(job, job)

    def watch() -> None:
        tracker = context.statusTracker()
        while not stop.wait(_INTERVAL):
            try:
                ask(context, tracker)
            except SPARK_ERRORS:  # the job itself will fail and say why
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


@contextmanager
def _hearing(spark: SparkSession, n_bins: int, tell: Callable[[int], None]) -> Iterator[None]:
    """Hear from a Spark Connect server how many tasks are done; it does not say of which job."""

    def hear(stages: Iterable[Any] | None, *_: object, **__: object) -> None:
        done = [stage.num_completed_tasks for stage in stages or () if stage.num_tasks == n_bins]
        if done:
            tell(max(done))

    handler = cast(Any, hear)  # of the parameters that a handler has, one is of use
    spark.registerProgressHandler(handler)
    try:
        yield
    finally:
        spark.removeProgressHandler(handler)


@contextmanager
def watched_rows(spark: SparkSession, job: str, report: Callable[[int], None]) -> Iterator[None]:
    """Report the rows that are written while the block runs a job; a Spark Connect server does not tell them.

    Args:
        spark: the session.
        job: name for the job group.
        report: called with the number of rows written.
    """
    if is_remote():
        yield
        return

    def ask(context: SparkContext, tracker: StatusTracker) -> None:
        stages = cast(Any, context)._jsc.sc().statusStore()
        with suppress(*SPARK_ERRORS):  # a stage that has not begun is unknown
            numbers = _stages_of(tracker, job)
            report(max((int(stages.lastStageAttempt(n).outputRecords()) for n in numbers), default=0))

    with _asking(spark, job, ask):
        yield


def _stages_of(tracker: StatusTracker, job: str) -> list[int]:
    """Return the stages of all jobs of a group."""
    found = map(tracker.getJobInfo, tracker.getJobIdsForGroup(job))
    return [number for info in found if info for number in info.stageIds]


def _tasks_done(tracker: StatusTracker, job: str, n_bins: int) -> int:
    """Return how many tasks are done of the stage that has one for each bin."""
    stages = map(tracker.getStageInfo, _stages_of(tracker, job))
    return max((stage.numCompletedTasks for stage in stages if stage and stage.numTasks == n_bins), default=0)
