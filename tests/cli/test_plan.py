"""`mf plan --no-census` and `mf build --plan`: what needs no Spark."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import ONE_ROW, write_project
from typer.testing import CliRunner, Result

from modelfactory.cli.app import app

FAMILY = {
    "name": "f",
    "current_version": None,
    "fingerprints": {"definition": "", "metadata": "", "data": "", "environment": ""},
}
"""A family of a plan, as a build reads it."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_project(tmp_path, ONE_ROW)


def mf(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [arguments[0], "--project-dir", str(folder), *arguments[1:]])


def test_without_a_census_it_tells_what_the_definitions_tell(folder: Path) -> None:
    result = mf(folder, "plan", "--no-census", "--out", str(folder / "plan.json"), "--detailed-exitcode")
    assert result.exit_code == 3
    assert "+ f  v1  never built" in result.stdout
    assert "Plan: 1 to create, 0 to update, 0 to reuse as they stand." in result.stdout
    document = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    assert document["schema"] == 1
    assert document["families"][0]["fingerprints"]["data"] == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read the plan: No such file"),
        ("{", "this is not a plan of modelfactory"),
        ('{"schema": 1}', "this is not a plan of modelfactory"),
        ('{"schema": 1, "project": "demo", "target": "local", "families": []}', "this is not a plan of modelfactory"),
        (
            json.dumps({"schema": 2, "project": "demo", "target": "local", "families": [FAMILY]}),
            "the plan has schema 2",
        ),
    ],
)
def test_what_is_no_plan_is_one_message(folder: Path, content: str | None, said: str) -> None:
    if content is not None:
        (folder / "plan.json").write_text(content, encoding="utf-8")
    result = mf(folder, "build", "--plan", str(folder / "plan.json"))
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize(
    "more", [("--select", "f"), ("--exclude", "f"), ("--dry-run",), ("--sample", "rows=1"), ("--empty",)]
)
def test_a_plan_has_its_own_families(folder: Path, more: tuple[str, ...]) -> None:
    assert mf(folder, "build", "--plan", "x.json", *more).exit_code == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sample", "groups=0"), "cannot read `--sample groups=0`: `groups` is to be a whole number above zero"),
        (("--sample", "twenty"), "`twenty` is neither `groups=…` nor `rows=…`"),
        (("--sample", "rows=5", "--empty"), "three ways to try"),
        (("--empty", "--dry-run"), "three ways to try"),
    ],
)
def test_a_trial_that_makes_no_sense_starts_nothing(folder: Path, options: tuple[str, ...], said: str) -> None:
    result = mf(folder, "build", *options)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", "").split())
    assert not (folder / "target").exists()
