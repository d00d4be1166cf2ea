"""Fixtures of all tests. Tests that use `spark` share one session."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HERE = str(Path(__file__).parent)
sys.path.insert(0, HERE)  # for `support`
# Workers and the process that asks classes for their parameters import the tests' own estimators.
os.environ["MODELFACTORY_ARCHIVE"] = "off"  # no test leaves a process behind
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH")]))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--update-snapshots`, which writes the snapshots of plans anew."""
    parser.addoption("--update-snapshots", action="store_true", help="write the snapshots of plan texts anew")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A Spark session on two cores, opened as `mf build` opens it."""
    from modelfactory.project.specs import TargetSpec
    from modelfactory.spark.session import open_session

    log = tmp_path_factory.mktemp("spark") / "spark.log"
    with open_session(TargetSpec(master="local[2]"), name="mf tests", log=log) as session:
        yield session


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses Spark, and run it last: mistakes elsewhere show in seconds."""
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.spark)
    items.sort(key=lambda item: item.get_closest_marker("spark") is not None)
