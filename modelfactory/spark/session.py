"""Open and always close the Spark session of a target."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType

from pyspark.sql import SparkSession

from modelfactory.diagnostics import Code, hide, input_error
from modelfactory.project.specs import TargetSpec
from modelfactory.project.variables import as_text
from modelfactory.spark.errors import SPARK_ERRORS, reason, silence_query_logs
from modelfactory.spark.java import find_java

_PINNED = {"spark.sql.session.timeZone": "UTC"}  # a date or time means the same on every machine
_ALWAYS = {
    **_PINNED,
    "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.maxConcurrentOutputFileWriters": "8",  # lets a task write both folders without sorting model bytes
    "spark.sql.execution.pyspark.udf.faulthandler.enabled": "true",
}


@contextmanager
def open_session(
    target: TargetSpec, *, name: str, log: Path | None, shown_as: Mapping[str, str] = MappingProxyType({})
) -> Iterator[SparkSession]:
    """Open a session on a target and close it at the end, whatever happens.

    Args:
        target: where to run; what it sets wins over the settings of `mf`.
        name: name of the application.
        log: file that takes what Spark prints; None leaves it on the terminal.
        shown_as: values that must not stay in that file, and what stands there instead.

    Raises:
        InputError: there is no fit Java, or Spark does not start.
    """
    embedded = target.master.startswith("local")
    find_java(os.environ)
    for key, value in _PINNED.items():
        if target.conf.get(key, value) != value:
            message = f"`{key}` of the target is `{target.conf[key]}`; it has to be `{value}`"
            raise input_error(Code.BAD_VALUE, message, help="convert times in `sql`, with `convert_timezone`")
    settings = {
        **_ALWAYS,
        **(_embedded() if embedded else {}),
        **{k: as_text(v) for k, v in target.conf.items()},
    }
    with ExitStack() as stack:
        stack.callback(_redact, log, shown_as)
        # The workers' Python is `python3` of PATH unless this says otherwise.
        stack.enter_context(_environment({"PYSPARK_PYTHON": sys.executable} if embedded else {}))
        builder = SparkSession.builder.master(target.master).appName(name)
        for key, value in settings.items():
            builder = builder.config(key, value)
        try:
            with _output_to(log), _own_interrupts():
                spark = builder.getOrCreate()
        except SPARK_ERRORS as error:
            raise input_error(
                Code.SPARK_SESSION,
                f"Spark does not start on `{target.master}`: {reason(error)}",
                help=f"its own words are in {log}" if log else None,
            ) from error
        stack.callback(spark.stop)
        silence_query_logs()
        yield spark


def pin_settings(spark: SparkSession) -> None:
    """Give a session the settings that decide what rows mean, whoever opened it."""
    for key, value in _PINNED.items():
        spark.conf.set(key, value)


def cancel_jobs(spark: SparkSession) -> None:
    """Cancel every job of the session; it stays usable."""
    spark.sparkContext.cancelAllJobs()


def slots_of(spark: SparkSession) -> int:
    """Return how many tasks the session runs at once."""
    return int(spark.sparkContext.defaultParallelism)


def _embedded() -> dict[str, str]:
    """Settings for a Spark inside this process' machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    log4j = Path(__file__).with_name("log4j2.properties").as_uri()
    return {
        "spark.driver.memory": f"{max(1024, int(memory * 0.3) >> 20)}m",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={log4j}",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.artifact.isolation.enabled": "false",
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        "spark.sql.shuffle.partitions": str(max(4, 2 * (os.cpu_count() or 1))),
    }


def _redact(log: Path | None, shown_as: Mapping[str, str]) -> None:
    """Take values out of Spark's log that a user keeps in the environment."""
    if log is None or not shown_as or not log.exists():
        return
    before = log.read_text(encoding="utf-8", errors="replace")
    after = hide(before, shown_as)
    if after != before:
        log.write_text(after, encoding="utf-8")


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


@contextmanager
def _own_interrupts() -> Iterator[None]:
    """Keep the handler of Ctrl-C: PySpark would set one that calls Spark from inside a call to Spark."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _output_to(log: Path | None) -> Iterator[None]:
    """Let processes that start inside the block write to a file: stdout carries data, stderr is for people."""
    if log is None:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    kept = [os.dup(stream) for stream in (1, 2)]
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    try:
        for stream in (1, 2):
            os.dup2(handle, stream)
        yield
    finally:
        for stream, saved in zip((1, 2), kept, strict=True):
            os.dup2(saved, stream)
            os.close(saved)
        os.close(handle)
