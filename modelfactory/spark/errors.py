"""What Spark raises, and its reason in one line."""

from __future__ import annotations

import logging
import re

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException

SPARK_ERRORS = (PySparkException, Py4JError)
"""What a call to Spark may raise; some Java exceptions reach Python as they are."""


class UnreadableInput(Exception):
    """Spark failed on the rows of an input; the text is the reason."""


def reason(error: BaseException) -> str:
    """Return the first line of an error of Spark, without its error class and SQL state."""
    if isinstance(error, Py4JJavaError):
        text = str(error.java_exception.getMessage() or error.java_exception.toString())
    else:
        text = str(error)
    line = (text.strip().splitlines() or [type(error).__name__])[0]
    line = re.sub(r"^\[[A-Z0-9_.]+\] ", "", line)
    return line.split(" SQLSTATE:")[0].rstrip()


def silence_query_logs() -> None:
    """Stop PySpark from logging each failed query as a long line of JSON; `mf` says it in its own words."""
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
