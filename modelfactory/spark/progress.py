"""Watch a job from another thread and tell how many groups are done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
from pyspark import StatusTracker
from pyspark.sql import SparkSession

from modelfactory.spark.errors import SPARK_ERRORS

_INTERVAL = 0.25


@contextmanager
def watched(
    spark: SparkSession, job: str, bins: npt.NDArray[np.int32], report: Callable[[int], None]
) -> Iterator[None]:
    """Report the groups that are done while the block runs a job of one task per bin.

    Spark tells how many tasks are done, not which. Tasks start in the order of their numbers, so the count is that
    of the first bins; it is exact again whenever no later bin has overtaken an earlier one, and at the end.

    Args:
        spark: the session.
        job: name for the job group.
        bins: the bin of each group that is trained.
        report: called with the number of groups done.
    """
    done_after = np.concatenate(([0], np.cumsum(np.bincount(bins)))) if len(bins) else np.zeros(1, dtype=np.int64)
    stop = threading.Event()
    context = spark.sparkContext
    context.setJobGroup(job, job)

    def watch() -> None:
        tracker = context.statusTracker()
        last = -1
        while not stop.wait(_INTERVAL):
            try:
                done = int(done_after[_tasks_done(tracker, job, len(done_after) - 1)])
            except SPARK_ERRORS:  # the job itself will fail and say why
                return
            if done != last:
                report(done)
                last = done

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def _tasks_done(tracker: StatusTracker, job: str, n_bins: int) -> int:
    """Return how many tasks are done of the stage that has one for each bin."""
    tasks = 0
    for number in tracker.getJobIdsForGroup(job):
        info = tracker.getJobInfo(number)
        for stage_id in info.stageIds if info else ():
            stage = tracker.getStageInfo(stage_id)
            if stage and stage.numTasks == n_bins:
                tasks = max(tasks, stage.numCompletedTasks)
    return tasks
