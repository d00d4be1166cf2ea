"""Open a session on a Spark Connect server: no JVM here, and only what a session may set."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyspark.sql import SparkSession

from modelfactory.diagnostics import Code, input_error
from modelfactory.spark.errors import SPARK_ERRORS, reason

_PATIENCE = 10.0
"""Seconds that a server has to answer; PySpark itself would try for ten minutes."""


@contextmanager
def connected(remote: str, settings: Mapping[str, str], *, name: str) -> Iterator[SparkSession]:
    """Open a session on a server, and close it at the end.

    Args:
        remote: URL of the server, which may hold secrets.
        settings: settings of the session.
        name: name of the session.

    Raises:
        InputError: PySpark lacks what it needs for this, nobody answers, or a setting cannot be made.
    """
    try:
        from pyspark.sql.connect.client import DefaultChannelBuilder
    except ImportError as error:  # PySpark says which package, without the command
        raise input_error(
            Code.SPARK_SESSION,
            f"PySpark lacks a package for Spark Connect: {reason(error)}",
            help="pip install 'modelfactory-spark[connect]'",
        ) from error
    logging.getLogger("pyspark.sql.connect").setLevel(logging.CRITICAL + 1)  # what it logs, it raises too
    try:
        server = DefaultChannelBuilder(remote)
        host, port = server.host, int(server.endpoint.rpartition(":")[2])
    except (*SPARK_ERRORS, ValueError) as error:  # whose text may hold what is secret in the URL
        raise input_error(
            Code.SPARK_SESSION,
            "`remote` of the target is not a URL of Spark Connect",
            help="write `sc://host:port`, or with parameters `sc://host:port/;key=value;key=value`",
        ) from error
    _reach(host, port)
    try:
        spark = SparkSession.builder.remote(remote).appName(name).create()
    except SPARK_ERRORS as error:
        raise input_error(Code.SPARK_SESSION, f"the Spark Connect server refuses: {reason(error)}") from error
    try:
        for key, value in settings.items():
            _set(spark, key, value)
        yield spark
    finally:
        spark.stop()


def _reach(host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), timeout=_PATIENCE).close()
    except OSError as error:
        raise input_error(
            Code.SPARK_SESSION,
            f"no Spark Connect server answers at {host}:{port}: {error.strerror or error}",
            help="start one with Spark's `sbin/start-connect-server.sh`, or correct `remote` of the target",
        ) from error


def _set(spark: SparkSession, key: str, value: str) -> None:
    try:
        spark.conf.set(key, value)
    except SPARK_ERRORS as error:
        raise input_error(
            Code.SPARK_SESSION,
            f"`{key}` of the target cannot be set in a session: {reason(error)}",
            help="start the Spark Connect server with it",
        ) from error
