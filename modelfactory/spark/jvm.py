"""Start the JVM of Spark's driver. It takes a second or two, in which Python can read the project and import PySpark.

PySpark would start it too, but wait for it, and keep it for as long as this process lives.
"""

from __future__ import annotations

import os
import shlex
import signal
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from modelfactory.spark.archive import WRITING
from modelfactory.spark.home import find_spark
from modelfactory.spark.java import Java, write_home

_FLAGS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
_LINGERS, _WRITES = 30.0, 600.0
"""Seconds after which a JVM that was told to end is killed, without and with an archive to write."""


class JvmEnded(Exception):
    """The JVM has ended before it could be reached; the text says how."""


@dataclass(frozen=True, slots=True)
class Jvm:
    """A JVM that is starting or runs; it ends when this process does.

    Attributes:
        process: its process.
        told: file in which it will write how to reach it.
        lingers: seconds it is given to end.
    """

    process: subprocess.Popen[bytes]
    told: Path
    lingers: float

    def connection(self) -> tuple[int, str]:
        """Return port and secret of the running JVM; waits for it.

        Raises:
            JvmEnded: it has ended instead.
        """
        while not self.told.exists():
            if self.process.poll() is not None:
                raise JvmEnded(f"its JVM ends at once, with exit code {self.process.returncode}")
            time.sleep(0.01)
        data = self.told.read_bytes()
        port, length = struct.unpack(">ii", data[:8])
        return port, data[8 : 8 + length].decode()

    def end(self) -> None:
        """End the JVM, wherever it is; a second call does nothing."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        if not self.told.exists() and self.process.poll() is None:  # it is starting, and would look at its input later
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(self.lingers)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def starting_jvm(
    settings: Mapping[str, str], *, java: Java, folder: Path, output: IO[bytes] | None, environ: Mapping[str, str]
) -> Iterator[Jvm]:
    """Start a JVM, and end it at the end.

    Args:
        settings: settings of the session; some decide how the JVM is started.
        java: the Java to run it on.
        folder: a folder of its own.
        output: takes what it and Spark's workers print; None leaves it on the terminal.
        environ: the environment.
    """
    home = find_spark(environ)
    command = [str(home / "bin" / "spark-submit")]
    for key, value in settings.items():
        command += ["--conf", f"{key}={value}"]
    command += shlex.split(environ.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell"))
    writes = any(WRITING in value for value in settings.values())
    told = folder / "connection"
    own = {"SPARK_HOME": str(home), "SPARK_CONNECT_MODE": "0", "_PYSPARK_DRIVER_CONN_INFO_PATH": str(told)}
    if java.wrapped:
        own["JAVA_HOME"] = str(write_home(java, folder))
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,  # it ends when this is closed
        stdout=output,
        stderr=output,
        env={"SPARK_LAUNCHER_OPTS": _FLAGS, **environ, **own},
        process_group=0,  # Ctrl-C is for `mf` alone, which then cancels the jobs
    )
    jvm = Jvm(process, told, _WRITES if writes else _LINGERS)
    try:
        yield jvm
    finally:
        jvm.end()
