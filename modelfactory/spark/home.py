"""Find Spark without importing PySpark."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from modelfactory.diagnostics import Code, input_error


def find_spark(environ: Mapping[str, str]) -> Path:
    """Return Spark's folder: SPARK_HOME, else that of the installed PySpark.

    Raises:
        InputError: there is none.
    """
    if environ.get("SPARK_HOME"):
        return Path(environ["SPARK_HOME"])
    package = importlib.util.find_spec("pyspark")
    if package is None or not package.submodule_search_locations:
        raise input_error(Code.SPARK_SESSION, "PySpark is not installed")
    return Path(package.submodule_search_locations[0])
