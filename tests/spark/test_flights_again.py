"""Real data, a month later: only what has got rows is trained, and what has become worse is not published."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import PROJECTS, RecordingReporter, workspace_of

from modelfactory import open_store
from modelfactory.commands.build import build
from modelfactory.commands.candidates import show_candidate
from modelfactory.commands.project_options import ProjectOptions
from modelfactory.commands.report import FamilyResult

FAMILIES = ("arr_delay_by_carrier_route", "late_by_carrier")
TESTS = """\
    tests:
    - coverage: {min: 0.8}
    - beats_baseline: {metric: rmse, min_share: 0.8}
    - no_lost_groups
"""


@pytest.fixture(scope="module")
def flown() -> pd.DataFrame:
    return pd.read_parquet(PROJECTS / "flights" / "data" / "flights.parquet")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "flights"
    shutil.copytree(PROJECTS / "flights", folder, ignore=shutil.ignore_patterns("store", "target", "*.parquet"))
    return folder


def fly(project: Path, rows: pd.DataFrame) -> None:
    schema = pq.read_schema(PROJECTS / "flights" / "data" / "flights.parquet").remove_metadata()
    table = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
    pq.write_table(table, project / "data" / "flights.parquet")


def run(spark: Any, project: Path, *families: str) -> dict[str, FamilyResult]:
    result = build(workspace_of(project, " ".join(families)), RecordingReporter(), session=spark)
    return {family.family: family for family in result.families}


def groups(project: Path, family: str) -> pd.DataFrame:
    table = open_store(project / "store").family(family).groups()
    return pd.DataFrame(table.to_pylist(maps_as_pydicts="strict"))


def test_a_month_of_one_carrier_trains_the_groups_of_that_carrier(
    spark: Any, project: Path, flown: pd.DataFrame
) -> None:
    eleven, december = flown[flown.month <= 11], flown[flown.month == 12]
    fly(project, eleven)
    run(spark, project, *FAMILIES)
    before = {name: groups(project, name) for name in FAMILIES}
    fly(project, pd.concat([eleven, december[december.carrier == "US"]]))
    results = run(spark, project, *FAMILIES)
    for name in FAMILIES:
        after = groups(project, name)
        keys = list(open_store(project / "store").family(name).group_by)
        both = before[name].merge(after, on=keys, suffixes=("_old", ""))
        assert len(both) == len(after)
        ours = both[both.carrier == "US"]
        tried = both.reason.notna() & (both.reason != "unchanged")
        assert set(both[tried].carrier) == {"US"}
        assert results[name].reasons["data_changed"] == tried.sum() > 0
        served = ours[ours.status == "trained"]
        assert set(served.model_version) == {2}
        others = both[(both.carrier != "US") & both.model_sha256_old.notna()]
        assert set(others.status) == {"reused"}
        assert set(others.model_version) == {1}
        assert (others.model_sha256 == others.model_sha256_old).all()
        assert (others.data_digest == others.data_digest_old).all()
        assert after.n_rows.sum() == before[name].n_rows.sum() + (ours.n_rows - ours.n_rows_old).sum()
    assert {result.status for result in run(spark, project, *FAMILIES).values()} == {"reused"}
    folder = next((project / "store" / "late_by_carrier").glob("v000002-*"))
    assert pd.read_parquet(folder / "models", columns=["carrier"]).carrier.tolist() == ["US"]


def test_a_planted_regression_is_held_back(spark: Any, project: Path, flown: pd.DataFrame) -> None:
    name = "arr_delay_by_dest"
    file = project / "families/arrival/routes.yml"
    begin = f"  - name: {name}\n"
    text = file.read_text(encoding="utf-8")
    assert begin in text
    file.write_text(text.replace(begin, begin + TESTS), encoding="utf-8")
    fly(project, flown)
    assert run(spark, project, name)[name].status == "success"
    rng = np.random.default_rng(0)
    worse = flown.copy()
    shuffled = sorted(worse.dest.unique())[::3]
    for dest in shuffled:
        chosen = (worse.dest == dest) & worse.arr_delay.notna()
        worse.loc[chosen, "arr_delay"] = rng.permutation(worse.loc[chosen, "arr_delay"].to_numpy())
    fly(project, worse)
    result = run(spark, project, name)[name]
    assert (result.status, result.exit_code, result.version) == ("error", 1, None)
    assert result.statuses["trained"] <= len(shuffled)
    said = result.diagnostics[0].message + str(result.tests)
    assert "beats_baseline" in said
    family = open_store(project / "store").family(name)
    assert (family.number, [v.number for v in family.versions]) == (1, [1])
    held_back = show_candidate(ProjectOptions(project_dir=project, variables={}, environ={}), name)
    assert held_back.candidate.version.number == 2
    assert held_back.comparison is not None
    rmse = next(metric for metric in held_back.comparison.groups.metrics if metric.name == "rmse")
    assert rmse.worse > 0.9 * result.statuses["trained"]
