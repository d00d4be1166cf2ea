"""What is not wrong but probably not meant: a warning on stderr, and the command goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import PROJECTS, write_project
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
