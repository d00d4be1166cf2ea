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
    assert "Plan: 1 to create, 0 to retrain, 0 unchanged." in result.stdout
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


@pytest.mark.parametrize("more", [("--select", "f"), ("--exclude", "f"), ("--dry-run",)])
def test_a_plan_has_its_own_families(folder: Path, more: tuple[str, ...]) -> None:
    assert mf(folder, "build", "--plan", "x.json", *more).exit_code == 2
