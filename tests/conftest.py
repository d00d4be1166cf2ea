"""Fixtures of all tests. Tests that use `spark` share one session."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from modelfactory.store.store import Store

HERE = str(Path(__file__).parent)
sys.path.insert(0, HERE)  # for `support`
os.environ["MODELFACTORY_ARCHIVE"] = "off"  # no test leaves a process behind
os.environ["XDG_CACHE_HOME"] = str(Path(HERE).parent / "build" / "cache")  # nor a file
# Workers and the process that asks classes for their parameters import the tests' own estimators.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH")]))
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell that starts the tests in its background sets it
    signal.signal(signal.SIGINT, signal.default_int_handler)


_BUCKETS = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--update-snapshots`, which writes the snapshots of plans and of diagnostics anew."""
    parser.addoption("--update-snapshots", action="store_true", help="write plan texts and diagnostics anew")


_FIXED = ("sklearn.", "spark_estimators.", "faulty_estimators.", "fitted_estimators.")
"""Modules whose classes are the same in all tests."""


@pytest.fixture(scope="session", autouse=True)
def asked_once() -> Iterator[None]:
    """Ask what a class takes once in a process: another Python with scikit-learn takes seconds to start."""
    from modelfactory.commands import catalog

    ask = catalog._ask
    known: dict[str, Any] = {}

    def remembered(names: Mapping[str, str]) -> dict[str, Any]:
        new = {name: path for name, path in names.items() if path not in known}
        answered = ask(new) if new else {}
        known.update({new[name]: facts for name, facts in answered.items() if new[name].startswith(_FIXED)})
        return {name: answered[name] if name in answered else known[path] for name, path in names.items()}

    catalog._ask = remembered
    yield
    catalog._ask = ask


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A Spark session on two cores, opened as `mf build` opens it."""
    from modelfactory.commands.cache import cache_folder
    from modelfactory.project.specs import TargetSpec
    from modelfactory.spark.session import session_of
    from modelfactory.spark.starting import starting_spark

    target, log = TargetSpec(master="local[2]"), tmp_path_factory.mktemp("spark") / "spark.log"
    with (
        starting_spark(target, log=log, input_bytes=0, cache=cache_folder(os.environ)) as starting,
        session_of(starting, name="mf tests") as session,
    ):
        yield session


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The endpoint of an S3 server."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a new bucket; the environment says how to reach it."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{next(_BUCKETS)}"
    with urllib.request.urlopen(urllib.request.Request(f"{s3_server}/{bucket}", method="PUT")):
        return f"s3://{bucket}"


@pytest.fixture
def remote(s3: str) -> Store:
    """A store in a bucket where there is nothing yet."""
    from modelfactory.store.store import Store

    return Store(f"{s3}/some/store")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses Spark, and run it last: mistakes elsewhere show in seconds."""
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.spark)
    items.sort(key=lambda item: item.get_closest_marker("spark") is not None)
