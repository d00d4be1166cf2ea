"""What Spark raises, and its reason in one line."""

from __future__ import annotations

import logging
import re

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException

SPARK_ERRORS = (PySparkException, Py4JError, ConnectionError)
"""What a call to Spark may raise; some Java exceptions reach Python as they are, and a dead JVM takes no connection."""


class SparkFailed(Exception):
    """A job of Spark failed; the text is the reason."""


def reason(error: BaseException) -> str:
    """Return the first line of an error of Spark, without its error class and SQL state."""
    text = str(error.java_exception.toString()) if isinstance(error, Py4JJavaError) else str(error)
    line = (text.strip().splitlines() or [type(error).__name__])[0]
    wrappers = ("awaitResult", "Job aborted", "Task failed while writing rows")
    if not line or any(wrapper in line for wrapper in wrappers):  # the reason is what it wraps
        causes = re.findall(r"Caused by: (.+)", told_by(error))
        line = causes[-1] if causes else line
    line = re.sub(r"^(?:[\w$]+\.)+[\w$]+(?:Exception|Error): ", "", line)
    line = re.sub(r"^\[[A-Z0-9_.]+\] ", "", line)
    return line.split(" SQLSTATE:")[0].rstrip()


def worker_reason(error: BaseException) -> str | None:
    """Return the last line of a traceback of Python on a worker, without the module of its class; None without one."""
    found = re.findall(
        r"^(?:[\w.]+\.)?(\w+: .+)$", told_by(error).partition("Traceback (most recent call last)")[2], re.M
    )
    return str(found[0]) if found else None


def told_by(error: BaseException) -> str:
    """Return all that an error of Spark has to say, with the trace of the JVM."""
    return f"{error}\n{getattr(error, '_stacktrace', '')}"


def lost_worker(error: BaseException) -> bool:
    """Tell whether a job failed because a worker or an executor died under it."""
    text = told_by(error)
    return any(word in text for word in ("Python worker exited unexpectedly", "ExecutorLostFailure"))


def silence_query_logs() -> None:
    """Stop PySpark from logging each failed query as a long line of JSON; `mf` says it in its own words."""
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
