"""The example projects, built by the real command in a process of its own, as a new user would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support import PROJECTS

FLIGHTS_ROWS = 336_776


def mf(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `mf` and return what it wrote."""
    return subprocess.run(
        [sys.executable, "-m", "modelfactory", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "COLUMNS": "120"},
    )


def built(name: str, folder: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Copy an example project, build it, and return its folder and what the command wrote."""
    project = folder / name
    shutil.copytree(PROJECTS / name, project, ignore=shutil.ignore_patterns("store", "target"))
    return project, mf("build", "--project-dir", str(project))


def listing(project: Path, *arguments: str) -> list[dict[str, Any]]:
    done = mf("ls", "--project-dir", str(project), "--output", "json", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    return built("flights", tmp_path_factory.mktemp("flights"))


def test_flights_builds_without_a_word_on_stdout(flights):
    _, done = flights
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("Done. PASS=6 WARN=0 ERROR=0 SKIP=0 REUSED=0 TOTAL=6 | GROUPS trained=")


@pytest.mark.parametrize(
    ("family", "groups", "rows"),
    [
        ("arr_delay_by_dest", {"trained": 102, "too_few_rows": 3}, FLIGHTS_ROWS),
        ("arr_delay_by_route", {"trained": 214, "too_few_rows": 10}, FLIGHTS_ROWS),
        ("arr_delay_by_carrier_route", {"trained": 373, "too_few_rows": 66}, FLIGHTS_ROWS),
        ("arr_delay_by_plane", {"trained": 3421, "too_few_rows": 622, "null_key": 1}, FLIGHTS_ROWS),
        ("late_by_carrier", {"trained": 16}, FLIGHTS_ROWS - 9_430),
        ("cancelled_by_dest", {"trained": 98, "too_few_rows": 3, "one_class": 4}, FLIGHTS_ROWS),
    ],
)
def test_every_group_of_flights_has_a_status_and_the_rows_add_up(flights, family, groups, rows):
    project, _ = flights
    found = listing(project, "--select", family)[0]
    assert found["groups"] == groups
    assert (found["state"], found["current_version"], found["owner"]) == ("current", 1, "network-planning")
    assert found["metrics"].keys() == found["baseline"].keys() != set()
    outcomes = listing(project, "--groups", family)
    assert len(outcomes) == sum(groups.values())
    assert sum(group["n_rows"] for group in outcomes) == rows


def test_planes_without_a_tail_number_are_one_outcome(flights):
    project, _ = flights
    found = listing(project, "--groups", "arr_delay_by_plane", "--where", "status = null_key")
    assert [(group["tailnum"], group["n_rows"]) for group in found] == [(None, 2_512)]


def test_models_beat_the_baseline_on_held_out_flights(flights):
    project, _ = flights
    for family in listing(project, "--select", "path:families/arrival"):
        assert family["metrics"]["rmse"] < family["baseline"]["rmse"]


def test_model_tables_are_plain_parquet(flights):
    project, _ = flights
    folder = next((project / "store/arr_delay_by_dest").glob("v000001-*"))
    models = pq.read_table(folder / "models", columns=["dest", "model", "format", "sha256"])
    groups = pq.read_table(folder / "groups")
    assert models.num_rows == 102
    assert groups.num_rows == 105
    assert "model" not in groups.column_names


def test_gapminder_builds_from_toml(tmp_path):
    project, done = built("gapminder", tmp_path)
    assert done.returncode == 0, done.stderr
    found = {family["name"]: family for family in listing(project)}
    assert found["life_exp_by_country"]["groups"] == {"trained": 142}
    assert found["life_exp_by_continent"]["groups"] == {"trained": 5}
    assert found["kinds_of_country_by_year"]["groups"] == {"trained": 12}
    assert found["kinds_of_country_by_year"]["label"] is None


def test_a_new_project_builds_at_once(tmp_path):
    folder = tmp_path / "mine"
    assert mf("init", str(folder)).returncode == 0
    done = mf("build", "--project-dir", str(folder))
    assert done.returncode == 0, done.stderr
    assert listing(folder)[0]["groups"] == {"trained": 142}


def test_debug_asks_the_workers(tmp_path):
    folder = tmp_path / "mine"
    mf("init", str(folder))
    done = mf("debug", "--connection", "--project-dir", str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    assert sys.executable in done.stdout
    assert " slots, workers run Python " in done.stdout


def test_without_java_the_message_says_what_to_do(tmp_path):
    folder = tmp_path / "mine"
    mf("init", str(folder))
    bare = {**os.environ, "PATH": str(tmp_path), "JAVA_HOME": ""}
    done = subprocess.run(
        [sys.executable, "-m", "modelfactory", "build", "--project-dir", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=bare,
        timeout=120,
    )
    assert done.returncode == 2
    assert "error[MF401]: no Java found" in done.stderr
    assert "apt-get install" in done.stderr
    assert not (folder / "store").exists()
