"""A real cluster on this machine: Spark's standalone master and two workers, and a Spark Connect server on it."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelfactory.commands.cache import cache_folder
from modelfactory.spark.archive import find_archive, sharing_flag
from modelfactory.spark.home import find_spark
from modelfactory.spark.java import find_java

HOST = "127.0.0.1"


@functools.cache
def brief() -> str:
    """Return the flags of JVMs that live for seconds."""
    archive = find_archive(cache_folder(os.environ), find_java(os.environ))
    flags = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *([sharing_flag(archive)] if archive else [])]
    return " ".join(flags)


def executor_conf() -> dict[str, str]:
    """Return the settings of applications on the cluster."""
    return {
        "spark.driver.extraJavaOptions": brief(),
        "spark.executor.extraJavaOptions": brief(),
        "spark.executor.memory": "512m",
        "spark.executor.cores": "1",
        "spark.cores.max": "2",
    }


@dataclass(frozen=True)
class Cluster:
    """A standalone cluster of two workers with one core each.

    Attributes:
        master: its URL.
        environ: the environment of its processes, and of what talks to it.
        folder: where its logs are.
    """

    master: str
    environ: Mapping[str, str]
    folder: Path

    def executors(self) -> list[int]:
        """Return the process numbers of the JVMs that run tasks."""
        found = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = file.read_bytes().decode().split("\0")
                if "org.apache.spark.executor.CoarseGrainedExecutorBackend" in words and str(self.folder) in str(
                    (file.parent / "cwd").resolve()
                ):
                    found.append(int(file.parent.name))
        return sorted(found)


@contextmanager
def cluster(folder: Path, python_path: Sequence[Path]) -> Iterator[Cluster]:
    """Start a cluster, and end it at the end.

    Args:
        folder: takes its logs and working files.
        python_path: what its Python workers can import besides the installed packages.
    """
    home, port = find_spark(os.environ), free_port()
    environ = {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": HOST,
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": brief(),
        "SPARK_NO_DAEMONIZE": "1",
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join(map(str, python_path)),
    }
    started = []

    def start(name: str, *command: str) -> None:
        with (folder / f"{name}.log").open("wb") as log:
            started.append(
                subprocess.Popen(command, stdout=log, stderr=log, env=environ, cwd=folder, start_new_session=True)
            )

    master = f"spark://{HOST}:{port}"
    spark_class = str(home / "bin" / "spark-class")
    address = ("--host", HOST, "--webui-port", "0")
    try:
        start("master", spark_class, "org.apache.spark.deploy.master.Master", *address, "--port", str(port))
        wait_for(port)
        for number in range(2):
            work = folder / f"worker-{number}"
            worker = ("org.apache.spark.deploy.worker.Worker", *address, "--cores", "1", "--memory", "1g")
            start(f"worker-{number}", spark_class, *worker, "-d", str(work), master)
        deadline = time.monotonic() + 60
        while (folder / "master.log").read_text(errors="replace").count("Registering worker") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield Cluster(master, environ, folder)
    finally:
        for process in reversed(started):
            end(process)


@contextmanager
def connect_server(at: Cluster) -> Iterator[str]:
    """Start a Spark Connect server on a cluster; yield its URL."""
    port = free_port()
    conf = {"spark.connect.grpc.binding.address": HOST, "spark.connect.grpc.binding.port": str(port), **executor_conf()}
    command = [f"{at.environ['SPARK_HOME']}/bin/spark-submit", "--master", at.master]
    for key, value in {**conf, "spark.ui.enabled": "false"}.items():
        command += ["--conf", f"{key}={value}"]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    environ = {**at.environ, "SPARK_DAEMON_MEMORY": "1g"}  # what decides for this class, in the place of its own option
    with (at.folder / "connect.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environ, cwd=at.folder, start_new_session=True)
    try:
        wait_for(port)
        yield f"sc://{HOST}:{port}"
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + 90
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "nobody listens"
            time.sleep(0.1)
