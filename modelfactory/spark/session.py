"""Open and always close the Spark session of a target."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import pyarrow as pa
from pyspark import SparkContext
from pyspark.sql import SparkSession, is_remote

from modelfactory.diagnostics import Code, InputError, input_error
from modelfactory.plan.steps import TrainStep
from modelfactory.project.specs import TargetSpec
from modelfactory.spark.connect import connected
from modelfactory.spark.errors import SPARK_ERRORS, reason, silence_query_logs
from modelfactory.spark.jvm import Jvm, JvmEnded
from modelfactory.spark.settings import BATCH_ROWS, MASTER, PINNED, worker_python
from modelfactory.spark.shipping import ship_code
from modelfactory.spark.starting import StartingSpark, starting_spark

_T = TypeVar("_T")
_SLOTS_UNKNOWN = 8
"""Tasks at once that are taken for granted where a server does not tell."""
BATCH_BYTES = 64 << 20
"""Bytes that Spark gives a worker at a time, as far as rows are numbers; also Spark's own limit."""


@contextmanager
def open_session(
    target: TargetSpec, *, name: str, log: Path | None, shown_as: Mapping[str, str] = MappingProxyType({})
) -> Iterator[SparkSession]:
    """Start Spark on a target, open a session, and close both at the end, whatever happens.

    Args:
        target: where to run.
        name: name of the application.
        log: file that takes what Spark prints; None leaves it on the terminal.
        shown_as: values that must not stay in that file, and what stands there instead.

    Raises:
        InputError: there is no fit Java, or Spark does not start.
    """
    with starting_spark(target, log=log, shown_as=shown_as) as starting, session_of(starting, name=name) as spark:
        yield spark


@contextmanager
def session_of(starting: StartingSpark, *, name: str) -> Iterator[SparkSession]:
    """Open the session of a Spark that is starting, and close it at the end.

    Args:
        starting: the Spark.
        name: name of the application.

    Raises:
        InputError: Spark does not start.
    """
    if starting.log is not None:
        starting.log.keep()
    if starting.jvm is None:
        opened = connected(str(starting.target.remote), starting.settings, name=name)
    else:
        opened = _attached(starting, starting.jvm, name=name)
    with opened as spark:
        silence_query_logs()
        if not starting.embedded:
            ship_code(spark, starting.folder)
        yield spark


@contextmanager
def _attached(starting: StartingSpark, jvm: Jvm, *, name: str) -> Iterator[SparkSession]:
    """Open a session in the JVM that was started here."""
    try:
        port, secret = jvm.connection()
    except JvmEnded as error:
        raise _does_not_start(starting, str(error)) from error
    attach = {"PYSPARK_GATEWAY_PORT": str(port), "PYSPARK_GATEWAY_SECRET": secret}
    python = worker_python(starting.target, os.environ)
    with ExitStack() as stack:
        stack.enter_context(_environment({"PYSPARK_PYTHON": python}))
        stack.callback(_forget_jvm)
        builder = SparkSession.builder.appName(name)
        for key, value in starting.settings.items():
            builder = builder.config(key, value)
        with _environment(attach):
            spark, slots = _apart(lambda: _opened(builder, starting, jvm), jvm)
        stack.callback(_stop, spark, jvm)
        if starting.embedded and slots > 1:
            stack.enter_context(_warming_up(spark))
        yield spark


def _apart(work: Callable[[], _T], jvm: Jvm) -> _T:
    """Let another thread call Spark: there PySpark leaves Ctrl-C alone, and Ctrl-C does not tear a call apart."""
    with ThreadPoolExecutor(1, "mf-session") as pool:
        done = pool.submit(work)
        try:
            return done.result()
        except KeyboardInterrupt:
            logging.getLogger("py4j").setLevel(logging.CRITICAL + 1)  # the call that is cut off is no news
            jvm.end()
            raise


def _opened(builder: SparkSession.Builder, starting: StartingSpark, jvm: Jvm) -> tuple[SparkSession, int]:
    """Return a new session and its slots."""
    try:
        spark = builder.getOrCreate()
    except SPARK_ERRORS as error:
        raise _does_not_start(starting, reason(error)) from error
    try:
        # The thread that listens for accumulators would print a traceback when the JVM ends before it.
        setattr(spark.sparkContext._accumulatorServer, "handle_error", lambda *_: None)  # noqa: B010 - a method to mypy
        spark.conf.get(MASTER)  # only now does Spark look at all settings
        return spark, slots_of(spark)
    except SPARK_ERRORS as error:
        wrong = _does_not_start(starting, reason(error))
        _stop(spark, jvm)
        raise wrong from error


def _does_not_start(starting: StartingSpark, why: str) -> InputError:
    return input_error(
        Code.SPARK_SESSION,
        f"Spark does not start on `{starting.target.address}`: {why}",
        help=f"its own words are in {starting.log.file}" if starting.log else None,
    )


@contextmanager
def _warming_up(spark: SparkSession) -> Iterator[None]:
    """Let Spark start its first worker while the inputs are opened and counted; it imports for a second or two."""

    def pass_on(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from batches

    def run() -> None:
        with suppress(*SPARK_ERRORS):  # where workers do not start, the training says so
            spark.range(0, 1, numPartitions=1).mapInArrow(pass_on, "id long").collect()

    thread = threading.Thread(target=run, name="mf-warm-up", daemon=True)
    thread.start()
    try:
        yield
    finally:
        cancel_jobs(spark)
        thread.join()


def _stop(spark: SparkSession, jvm: Jvm) -> None:
    """Stop a session, and with it its JVM.

    PySpark waits up to a second for its thread that listens for accumulators, of which there are none; that thread
    ends at once when the JVM is gone.
    """
    context = spark.sparkContext

    def stop() -> None:
        with suppress(*SPARK_ERRORS):  # the JVM may be gone
            context.stop()

    stopping = threading.Thread(target=stop, name="mf-stop", daemon=True)
    stopping.start()
    while stopping.is_alive() and context._jsc is not None:
        time.sleep(0.01)
    _forget_jvm()
    jvm.end()
    stopping.join()


def _forget_jvm() -> None:
    """Let the next session of this process have a JVM of its own; PySpark would look for the one that has ended."""
    with SparkContext._lock:
        gateway, SparkContext._gateway, SparkContext._jvm = SparkContext._gateway, None, None
    if gateway is not None:
        gateway.shutdown()


def pin_settings(spark: SparkSession) -> None:
    """Give a session the settings that decide what rows mean, whoever opened it."""
    for key, value in PINNED.items():
        spark.conf.set(key, value)


def limit_batches(spark: SparkSession, steps: Sequence[TrainStep], own: Collection[str]) -> None:
    """Say how much Spark gives a worker at a time.

    A limit in bytes has it measure each row, which is a tenth of the time of a family of small models; where all rows
    are numbers, a limit in rows does as well.

    Args:
        spark: the session.
        steps: the families to build.
        own: settings that the target makes itself.
    """
    widest = max(len(step.columns) for step in steps) + 1
    limits = {
        "spark.sql.execution.arrow.maxBytesPerBatch": 2**31 - 1,  # Spark's word for no limit
        "spark.sql.execution.arrow.maxRecordsPerBatch": min(BATCH_ROWS, BATCH_BYTES // (widest * 8)),
    }
    numbers_only = all(step.fit.all_numeric and step.fit.task != "classification" for step in steps)
    if numbers_only and not limits.keys() & set(own):
        for key, value in limits.items():
            spark.conf.set(key, str(value))


_EMPTIES = {
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.optimizer.excludedRules": "org.apache.spark.sql.catalyst.optimizer.PropagateEmptyRelation",
    "spark.sql.shuffle.partitions": "1",
}


@contextmanager
def empties_kept(spark: SparkSession) -> Iterator[None]:
    """Have Spark run what is known to have no rows, instead of leaving it out, while the block runs."""
    before = {key: spark.conf.get(key, None) for key in _EMPTIES}
    for key, kept in _EMPTIES.items():
        spark.conf.set(key, kept)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, value)


def cancel_jobs(spark: SparkSession) -> None:
    """Cancel every job of the session; it stays usable. Where Spark is gone, so are its jobs."""
    with suppress(*SPARK_ERRORS):
        if is_remote():
            spark.interruptAll()
        else:
            spark.sparkContext.cancelAllJobs()


def slots_of(spark: SparkSession) -> int:
    """Return how many tasks the session runs at once."""
    if not is_remote():
        return int(spark.sparkContext.defaultParallelism)
    plan: Any = spark.range(1)
    told = re.search(r"splits=Some\((\d+)\)|splits=(\d+)", plan._explain_string())
    return int(told[1] or told[2]) if told else _SLOTS_UNKNOWN


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
