"""The settings of a Spark session: what `mf` always sets, what a machine of its own gets, and what the target says."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from modelfactory.diagnostics import Code, input_error
from modelfactory.project.specs import TargetSpec
from modelfactory.project.variables import as_text
from modelfactory.spark.archive import SHARING, WRITING, sharing_flag

MASTER = "spark.master"
PINNED = {"spark.sql.session.timeZone": "UTC"}
"""A date or time means the same on every machine."""
SMALL_INPUT = 256 << 20
"""Bytes of input up to which the time goes into starting, and not into what a thorough compiler gains."""
BATCH_ROWS = 50_000
"""Most rows that Spark gives a worker at a time."""
_ALWAYS = {
    **PINNED,
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(BATCH_ROWS),
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.codegen.aggregate.fastHashMap.capacityBit": "18",  # so that the groups of a census find room in it
    "spark.sql.maxConcurrentOutputFileWriters": "8",  # lets a task write both folders without sorting model bytes
    "spark.sql.execution.pyspark.udf.faulthandler.enabled": "true",
}
_SOCKETS = "spark.python.unix.domain.socket"
_LONGEST_FOLDER = 60
"""Characters of a folder that leave room for the name of a socket, of the 104 that macOS allows."""
_DEFAULT_OPTIONS, _OPTIONS = "spark.driver.defaultJavaOptions", "spark.driver.extraJavaOptions"


def is_embedded(target: TargetSpec) -> bool:
    """Tell whether Spark runs inside one JVM on this machine."""
    return target.remote is None and re.match(r"local(\[|$)", target.master) is not None


def worker_python(target: TargetSpec, environ: Mapping[str, str]) -> str:
    """Return the Python of Spark's workers: the one that runs `mf`, unless it runs elsewhere and the user says another.

    Spark itself would take `python3` of the path.
    """
    named = target.conf.get("spark.pyspark.python") or environ.get("PYSPARK_PYTHON")
    return sys.executable if is_embedded(target) or named is None else str(named)


def session_settings(
    target: TargetSpec, *, input_bytes: int | None, archive: Path | None, sockets: Path
) -> dict[str, str]:
    """Return the settings of a target's session; what the target sets wins over the settings of `mf`.

    Args:
        target: where to run.
        input_bytes: size of the input, if it is known; decides the flags of the JVM.
        archive: classes that the JVM may share, if there are any.
        sockets: folder for Unix sockets.

    Raises:
        InputError: the target sets what has to be as it is.
    """
    own = {key: as_text(value) for key, value in target.conf.items()}
    for key, value in PINNED.items():
        if own.get(key, value) != value:
            message = f"`{key}` of the target is `{own[key]}`; it has to be `{value}`"
            raise input_error(Code.BAD_VALUE, message, help="convert times in `sql`, with `convert_timezone`")
    if target.remote is not None:
        return {**_ALWAYS, **own}
    where = {**_ALWAYS, MASTER: _with_retries(target.master)}
    if not is_embedded(target):
        return {**where, "spark.ui.showConsoleProgress": "false", **own}
    flags = _jvm_flags(input_bytes, archive, own.get(_DEFAULT_OPTIONS, "") + own.get(_OPTIONS, ""))
    return {**where, **_EMBEDDED, **_for_this_machine(sockets), _DEFAULT_OPTIONS: " ".join(flags), **own}


def _with_retries(master: str) -> str:
    """Have Spark try a task again also in a JVM of its own, where it would give up after the first attempt."""
    found = re.fullmatch(r"local(?:\[([0-9]+|\*)\])?", master)
    return f"local[{found[1] or 1},{_ATTEMPTS}]" if found else master


_ATTEMPTS = 3
"""How often a task is tried: at first in haste, then with each group apart, and once more for an accident."""
_EMBEDDED = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.artifact.isolation.enabled": "false",
    "spark.python.sql.dataFrameDebugging.enabled": "false",
}


def _for_this_machine(sockets: Path) -> dict[str, str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    settings = {
        "spark.driver.memory": f"{max(1024, int(memory * 0.3) >> 20)}m",
        "spark.sql.shuffle.partitions": str(max(4, 2 * (os.cpu_count() or 1))),
    }
    if sys.platform == "linux":  # elsewhere a process may not fork after it has loaded these libraries
        settings["spark.python.daemon.module"] = "modelfactory.spark.daemon"
    if len(str(sockets)) <= _LONGEST_FOLDER:
        # The start of a task is some short messages to and fro, for each of which TCP waits up to 40 ms.
        settings |= {f"{_SOCKETS}.enabled": "true", f"{_SOCKETS}.dir": str(sockets)}
    return settings


def _jvm_flags(input_bytes: int | None, archive: Path | None, own: str) -> list[str]:
    log4j = Path(__file__).with_name("log4j2.properties").as_uri()
    flags = [f"-Dlog4j2.configurationFile={log4j}"]
    small = input_bytes is not None and input_bytes <= SMALL_INPUT
    if small and "TieredStopAtLevel" not in own:
        flags.append("-XX:TieredStopAtLevel=1")
    if not re.search(r"-XX:\+Use\w+GC", own):
        flags.append("-XX:+UseSerialGC" if small else "-XX:+UseParallelGC")
    if archive is not None and SHARING not in own and WRITING not in own:
        flags.append(sharing_flag(archive))
    return flags
