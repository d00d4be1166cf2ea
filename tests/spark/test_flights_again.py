"""Real data, a month later: it is scored, only what has got rows is trained, and what is worse is not published."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import PROJECTS, RecordingReporter, launched_in, workspace_of

from modelfactory import open_store
from modelfactory.commands import score
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


def test_a_month_is_scored_by_the_eleven_before_it(
    spark: Any, project: Path, flown: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    fly(project, flown)
    families = ("arr_delay_by_carrier_route", "arr_delay_by_route", "arr_delay_by_plane")
    trained = build(workspace_of(project, " ".join(families), last_month=11), RecordingReporter(), session=spark)
    assert trained.exit_code == 0
    december = flown.query("month == 12").reset_index(drop=True)
    assert len(december) == 28_135
    monkeypatch.setattr(score, "launched", launched_in(spark))
    options = ProjectOptions(project_dir=project, variables={}, environ={})
    for name in ("arr_delay_by_plane", "arr_delay_by_carrier_route"):
        out = project.parent / f"{name}.parquet"
        wanted = score.Scoring(family=name, input="flights", where="month = 12", output=str(out))
        told = score.score_table(options, RecordingReporter(), wanted)
        scored = pq.read_table(out).to_pandas()
        key = ["carrier", "flight", "tailnum", "origin", "day", "sched_dep_time"]
        scored, rows = (frame.sort_values(key).reset_index(drop=True) for frame in (scored, december))
        pd.testing.assert_frame_equal(scored[list(rows.columns)], rows, check_dtype=False)

        assert sum(told.served_by.values()) == told.rows == len(rows)
        assert {k: n for k, n in told.served_by.items() if n} == scored["served_by"].value_counts().to_dict()
        assert told.reasons == scored["reason"].value_counts().to_dict()
        nobody = scored["served_by"] == "none"
        assert scored["prediction"].isna().tolist() == nobody.tolist()
        cancelled = scored["reason"] == "missing_values"  # no departure, no delay of it
        assert scored.loc[cancelled, "dep_time"].isna().all()
        others = set(scored.loc[nobody & ~cancelled, "reason"])
        assert others == (set() if name == "arr_delay_by_plane" else {"unseen", "too_few_rows"})  # one has `global`

        family = open_store(project / "store").family(name)
        said = family.predict(rows)
        assert said["served_by"].tolist() == scored["served_by"].tolist()
        np.testing.assert_allclose(said["prediction"], scored["prediction"], rtol=1e-9)
        arrived = scored[scored["arr_delay"].notna() & ~nobody]
        error = (arrived["prediction"] - arrived["arr_delay"]).pow(2).mean() ** 0.5
        assert error < 0.6 * arrived["arr_delay"].std()
    own = family.groups().to_pandas()
    keys = ["carrier", "origin", "dest"]
    stands = scored.merge(own[own["status"] == "trained"][keys], on=keys, how="left", indicator=True)
    assert ((stands["_merge"] == "both") == stands["served_by"].eq("group"))[~nobody].all()
    assert set(scored.loc[~nobody & scored["reason"].notna(), "served_by"]) <= {"fallback:arr_delay_by_route", "none"}
