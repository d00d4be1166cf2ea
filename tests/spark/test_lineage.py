"""Families that train on what came of others, and families that have another name now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import RecordingReporter, workspace_of, write_project

from modelfactory.commands.build import build
from modelfactory.commands.report import BuildResult
from modelfactory.commands.scope import Scope
from modelfactory.diagnostics import InputError
from modelfactory.store.groups import read_groups
from modelfactory.store.manifest import VersionRecord

FAMILIES = """
families:
- name: again
  group_by: [k]
  sql: |
    select rows.* from {{ source('rows') }} rows join {{ ref('first') }} g on rows.k = g.k
    where g.metrics['rmse'] > 1
  features: [x]
  label: y
  estimator: DecisionTreeRegressor
- name: first
  group_by: [k]
  source: rows
  features: [x]
  label: y
  estimator: LinearRegression
  evaluate: {folds: 2, metrics: [rmse]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project in which a second family tries again where the first is bad: with group `b`."""
    x = np.tile(np.arange(20.0), 2)
    y = np.concatenate([3 * x[:20], 9 * np.sin(x[20:])])
    pq.write_table(pa.table({"k": np.repeat(["a", "b"], 20), "x": x, "y": y}), tmp_path / "rows.parquet")
    sources = "sources: [{name: rows, path: rows.parquet}]"
    return write_project(tmp_path, {"sources/s.yml": sources, "families/f.yml": FAMILIES})


def run(spark: Any, folder: Path, *select: str, threads: int = 1) -> BuildResult:
    """Build all groups of some families, whether anything has changed or not."""
    scope = Scope(full_refresh=True)
    return build(workspace_of(folder, *select), RecordingReporter(), session=spark, threads=threads, scope=scope)


def current(folder: Path, family: str) -> VersionRecord:
    manifest = workspace_of(folder).store.manifest(family)
    assert manifest is not None
    version = manifest.version()
    assert version is not None
    return version


@pytest.mark.parametrize("threads", [1, 3])
def test_a_family_reads_what_came_of_another_in_the_same_build(spark: Any, folder: Path, threads: int) -> None:
    result = run(spark, folder, threads=threads)
    assert [(f.family, f.status) for f in result.families] == [("first", "success"), ("again", "success")]
    version = current(folder, "again")
    assert version.refs == {"first": 1}
    store = workspace_of(folder).store
    assert read_groups(store.files("again", version, "groups"))["k"].to_pylist() == ["b"]
    assert run(spark, folder, "again").exit_code == 0
    assert current(folder, "again").refs == {"first": 1}
    assert run(spark, folder).exit_code == 0
    assert current(folder, "again").refs == {"first": 2}


def test_what_was_never_built_cannot_be_read(spark: Any, folder: Path) -> None:
    with pytest.raises(InputError) as raised:
        run(spark, folder, "again")
    (found,) = raised.value.diagnostics
    assert (found.code, found.file, found.help) == (
        "MF503",
        "families/f.yml",
        "`mf build --select +again` builds it first",
    )


def test_where_one_fails_what_reads_it_is_skipped(spark: Any, folder: Path) -> None:
    file = folder / "families/f.yml"
    file.write_text(file.read_text().replace("name: first", "name: first\n  min_rows: 100"))
    result = run(spark, folder)
    assert [(f.family, f.status) for f in result.families] == [("first", "error"), ("again", "skipped")]
    assert result.exit_code == 1


def test_a_family_with_another_name_goes_on_with_its_versions(spark: Any, folder: Path) -> None:
    run(spark, folder)
    file = folder / "families/f.yml"
    file.write_text(
        file.read_text().replace("first", "linear") + "moved:\n- {from: first, to: linear}\n", encoding="utf-8"
    )
    assert (current(folder, "linear").number, current(folder, "linear").family) == (1, "first")
    assert run(spark, folder, "again").exit_code == 0
    assert current(folder, "again").refs == {"linear": 1}
    assert run(spark, folder, "linear").exit_code == 0
    manifest = workspace_of(folder).store.manifest("linear")
    assert manifest is not None
    assert [(v.number, v.family) for v in manifest.versions] == [(1, "first"), (2, None)]
