"""Ask the workers who they are, and refuse those whose models could not be loaded here."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata

import pyarrow as pa
from pyspark.sql import SparkSession

from modelfactory.diagnostics import Code, InputError, input_error
from modelfactory.spark.errors import SPARK_ERRORS, reason, told_by
from modelfactory.spark.session import slots_of

_DECISIVE = ("python", "scikit-learn")
"""Where workers and this process must be of one version: models are checked and loaded here."""


@dataclass(frozen=True, slots=True)
class Workers:
    """What the session and its workers said of themselves.

    Attributes:
        slots: how many tasks run at once.
        executable: a worker's Python.
        libraries: versions by name; of Spark itself under `pyspark`.
    """

    slots: int
    executable: str
    libraries: Mapping[str, str]


def probe_workers(spark: SparkSession, libraries: Mapping[str, str]) -> Workers:
    """Run one tiny task for each slot, and compare what the workers have with what is here.

    Args:
        spark: the session.
        libraries: versions here by name, `python` among them.

    Raises:
        InputError: the workers cannot run Python, lack a library, or have another version of one that decides whether a
            model can be loaded.
    """
    names = [name for name in libraries if name not in ("python", "pyspark")]

    def look(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        def version(name: str) -> str:
            try:
                return metadata.version(name)
            except metadata.PackageNotFoundError:
                return ""

        for _ in batches:
            found = {"python": platform.python_version(), **{name: version(name) for name in names}}
            yield pa.RecordBatch.from_pydict({"executable": [sys.executable], "libraries": [list(found.items())]}, form)

    form = pa.schema({"executable": pa.string(), "libraries": pa.map_(pa.string(), pa.string())})
    try:
        slots = slots_of(spark)
        asked = spark.range(0, slots, numPartitions=slots).mapInArrow(
            look, "executable string, libraries map<string,string>"
        )
        rows = asked.collect()
    except SPARK_ERRORS as error:
        raise _cannot_run(error) from error
    for row in rows:
        _compare(row["libraries"], libraries, rows[0]["libraries"])
    return Workers(slots, rows[0]["executable"], {**rows[0]["libraries"], "pyspark": spark.version})


def _compare(found: Mapping[str, str], here: Mapping[str, str], others: Mapping[str, str]) -> None:
    for name, version in found.items():
        if not version:
            raise _unfit(f"the workers have no {name}")
        if version != others[name]:
            raise _unfit(f"the workers differ: {name} is {others[name]} on one and {version} on another")
        if name in _DECISIVE and _series(name, version) != _series(name, here[name]):
            raise _unfit(f"the workers have {name} {version}, and here it is {here[name]}")


def _series(name: str, version: str) -> str:
    """Return the part of a version that decides: of Python's, the first two numbers."""
    return ".".join(version.split(".")[:2]) if name == "python" else version


def _unfit(message: str) -> InputError:
    return input_error(
        Code.WORKERS,
        f"{message}; nothing was trained",
        help="let `spark.pyspark.python` in the target's `conf` name a Python with the same packages as here",
    )


def _cannot_run(error: BaseException) -> InputError:
    missing = re.search(r'Cannot run program "([^"]+)"', told_by(error))
    if missing:
        return _unfit(f"the workers have no `{missing[1]}`")
    if "PYTHON_VERSION_MISMATCH" in str(error):
        return _unfit(f"the workers have another Python than {platform.python_version()}, which runs here")
    return input_error(Code.SPARK_SESSION, f"the workers cannot run Python: {reason(error)}")
