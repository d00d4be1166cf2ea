"""Diagnostics as documents for programs, with other places and warnings among them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import FAMILY_YAML, write_project
from typer.testing import CliRunner, Result

from modelfactory.cli.app import app

FILES = {
    "mf_project.yml": "name: demo\ndefaults: {seed: many}\n",
    "sources/s.yml": "sources: [{name: s, path: x.parquet}]\n",
    "families/f.yml": FAMILY_YAML + FAMILY_YAML.replace("families:\n", "").replace("name: f", "name: g"),
    "families/h.yml": FAMILY_YAML,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_project(tmp_path / "inner", FILES)


def parse(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["parse", "--project-dir", str(folder), *arguments])


def test_what_many_inherit_is_one_mistake_with_some_of_them(folder: Path) -> None:
    result = parse(folder)
    assert result.exit_code == 2
    assert result.stderr.count("error[") == 1, result.stderr
    assert "  --> mf_project.yml:2:18" in result.stderr
    assert "note: inherited by family `f`\n  --> families/f.yml:2:9" in result.stderr
    assert "note: and 1 more place" in result.stderr


def test_json_is_one_document_on_stdout_of_parse(folder: Path) -> None:
    result = parse(folder, "--diagnostics", "json", "--vars", "{a: 1}")
    assert result.exit_code == 2
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["schema"] == 1
    warning, error = found["diagnostics"]
    assert (warning["severity"], warning["code"], warning["file"]) == ("warning", "MF505", None)
    place = {key: error[key] for key in ("code", "severity", "file", "line", "column", "end_column")}
    assert place == {
        "code": "MF202",
        "severity": "error",
        "file": "mf_project.yml",
        "line": 2,
        "column": 18,
        "end_column": 22,
    }
    assert [r["file"] for r in error["related"]] == ["families/f.yml", "families/f.yml", "families/h.yml"]
    assert result.stderr == ""


def test_a_project_without_mistakes_is_an_empty_document() -> None:
    result = parse(Path(__file__).parents[2] / "projects/gapminder", "--diagnostics", "json", "--quiet")
    assert json.loads(result.stdout) == {"schema": 1, "diagnostics": []}


def test_annotations_name_files_from_the_top_of_the_checkout(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(folder.parent))
    lines = parse(folder, "--diagnostics", "github").stdout.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(
        "::error file=inner/mf_project.yml,line=2,col=18,endColumn=22,title=MF202::`seed` must be a whole number"
    )
    assert "%0Ainherited by family `f`: inner/families/f.yml:2%0A" in lines[0]


def test_sarif_has_rules_and_places(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(folder.parent))
    found = json.loads(parse(folder, "--diagnostics", "sarif").stdout)
    (run,) = found["runs"]
    assert found["version"] == "2.1.0"
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {r["ruleId"] for r in run["results"]}
    (location,) = run["results"][0]["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "inner/mf_project.yml"
    assert location["physicalLocation"]["region"] == {"startLine": 2, "startColumn": 18, "endColumn": 22}
    assert len(run["results"][0]["relatedLocations"]) == 3


def test_of_other_commands_the_document_goes_to_stderr(folder: Path) -> None:
    result = CliRunner().invoke(app, ["compile", "--project-dir", str(folder), "--diagnostics", "json"])
    assert result.stdout == ""
    assert [d["code"] for d in json.loads(result.stderr)["diagnostics"]] == ["MF202"]
