"""What is not wrong but probably not meant: a warning on stderr, and the command goes on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import FAMILY_YAML, PROJECTS, write_project
from typer.testing import CliRunner

from modelfactory.cli.app import app

GAPMINDER = str(PROJECTS / "gapminder")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("ls", "-s", "life_exp_by_country life_exp_by_contry"),
            "`life_exp_by_contry` matches no family\nhelp: did you mean",
        ),
        (("ls", "-s", "tag:strat"), "did you mean `start`?"),
        (("compile", "-s", "tag:start", "--exclude", "bogus"), "`bogus` matches no family"),
        (("parse", "--vars", "{a: 1}"), "variable `a` is not one of the project's `vars`"),
    ],
)
def test_what_matches_nothing_is_told(arguments: tuple[str, ...], words: str) -> None:
    result = CliRunner().invoke(app, [*arguments, "--project-dir", GAPMINDER])
    assert result.exit_code == 0
    assert words in result.stderr
    assert result.stderr.startswith("warning[MF50")
    assert "warning[" not in result.stdout


def test_a_warning_is_an_error_if_it_is_to_be_one() -> None:
    arguments = ["parse", "--vars", "{a: 1}", "--project-dir", GAPMINDER]
    result = CliRunner().invoke(app, [*arguments, "--warn-error"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error[MF505]: variable `a`")


def test_an_unwritable_target_folder_is_one_message(tmp_path: Path) -> None:
    folder = write_project(
        tmp_path,
        {
            "sources/s.yml": "sources: [{name: s, path: x.parquet}]\n",
            "families/f.yml": "families: [{name: f, group_by: k, source: s, features: x, estimator: KMeans}]\n",
            "target": "a file in the way",
        },
    )
    result = CliRunner().invoke(app, ["compile", "--project-dir", str(folder)])
    assert result.exit_code == 2
    assert result.stderr.startswith("error[MF403]: cannot write")


@pytest.mark.parametrize("written", ["{a: !!binary aGk=}", "&a {b: *a}"])
def test_variables_of_a_kind_that_no_project_holds_are_one_message(written: str) -> None:
    result = CliRunner().invoke(app, ["parse", "--vars", written, "--project-dir", GAPMINDER])
    assert result.exit_code == 2
    assert result.stderr.startswith("error[MF105]")


# What is declared and decides nothing ------------------------------------------------------------------------------


def warnings_of(folder: Path, files: dict[str, str]) -> list[str]:
    files = {"sources/s.yml": "sources: [{name: s, path: 's3://bucket/x'}]\n", "families/f.yml": FAMILY_YAML, **files}
    result = CliRunner().invoke(app, ["parse", "--project-dir", str(write_project(folder, files))])
    assert result.exit_code == 0, result.stderr
    return re.findall(r"^(warning.*)\n  --> (.*)", result.stderr, re.MULTILINE)


VARIABLE = "name: p\nvars: {least: 3}\n"


def test_a_variable_that_nothing_refers_to(tmp_path: Path) -> None:
    found = warnings_of(tmp_path, {"mf_project.yml": VARIABLE})
    assert found == [("warning[MF216]: nothing refers to variable `least`", "mf_project.yml:2:8")]


@pytest.mark.parametrize(
    "files",
    [
        {"mf_project.yml": VARIABLE + "defaults: {min_rows: '${var:least}'}\n"},
        {"mf_project.yml": VARIABLE, "profiles.yml": "targets: {local: {threads: '${var:least}'}}\n"},
        {"families/f.yml": FAMILY_YAML + "  min_rows: ${var:least:-4}\n"},
        {"families/f.yml": FAMILY_YAML.replace("source: s", "sql: select {{ var('least') }} from x")},
        {"families/f.yml": FAMILY_YAML.replace("source: s", "sql_file: q.sql"), "q.sql": 'select {{ var("least") }}'},
        {"families/f.yml": FAMILY_YAML.replace("source: s", "sql: select {{ var('le' ~ 'ast') }} from x")},
        {"families/f.yml": FAMILY_YAML.replace("source: s", "sql: \"{% set n = 'least' %}select {{ var(n) }}\"")},
    ],
    ids=["defaults", "profiles", "family", "sql", "sql_file", "worked out", "by another name"],
)
def test_a_variable_that_something_refers_to(tmp_path: Path, files: dict[str, str]) -> None:
    assert warnings_of(tmp_path, {"mf_project.yml": VARIABLE, **files}) == []


def test_defaults_in_a_folder_without_families(tmp_path: Path) -> None:
    found = warnings_of(tmp_path, {"families/old/_defaults.toml": "# once\nowner = 'x'\n"})
    message = "there is no family in `families/old` that these defaults could hold for"
    assert found == [(f"warning[MF217]: {message}", "families/old/_defaults.toml:2:1")]


def test_defaults_for_families_below(tmp_path: Path) -> None:
    deep = FAMILY_YAML.replace("name: f", "name: g")
    assert warnings_of(tmp_path, {"families/a/_defaults.yml": "seed: 1\n", "families/a/b/c/g.yml": deep}) == []
