"""Every code is explained, and the examples are what the explanations say they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import FAMILY_YAML, _cache, write_project
from typer.testing import CliRunner, Result

from modelfactory.cli.app import app
from modelfactory.diagnostics import Code
from modelfactory.explanations import EXPLANATIONS

SHOWN = [code for code in Code if EXPLANATIONS[code].wrong]


def mf(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env=_cache())


def project(folder: Path, example: str) -> Path:
    """Write an example as a project: whole files, or keys of a family."""
    files = dict(re.findall(r"^# (\w[\w/]*\.\w+)\n((?:(?!# \w[\w/]*\.\w+\n).*\n)*)", example, re.MULTILINE))
    if not files:
        keys = {line.split(":")[0] for line in example.splitlines()}
        given = keys | ({"source"} if "sql" in keys else set())
        rest = [line for line in FAMILY_YAML.splitlines() if line.strip().split(":")[0] not in given]
        files["families/f.yml"] = "\n".join([*rest, *(f"  {line}" for line in example.splitlines())]) + "\n"
    base = {
        "sources/s.yml": "sources: [{name: s, path: 's3://bucket/rows'}]\n",
        "families/base.yml": FAMILY_YAML.replace("name: f", "name: base"),
    }
    return write_project(folder, {**base, **files})


def codes(result: Result) -> list[str]:
    return re.findall(r"^(?:error|warning)\[(MF\d+)\]", result.stderr, re.MULTILINE)


def test_every_code_is_explained_in_the_order_of_the_codes() -> None:
    assert list(EXPLANATIONS) == list(Code)
    for code, explanation in EXPLANATIONS.items():
        assert re.fullmatch(r"[A-Z`].*[^.]\.|[A-Z`].*; a warning\.", explanation.title), code
        assert len(explanation.text) > 40, code
        assert bool(explanation.wrong) == bool(explanation.right), code


def test_what_files_can_show_has_examples() -> None:
    without = {str(code) for code in Code if code < "MF3"} - {str(code) for code in SHOWN}
    assert without == {"MF101", "MF107"}


@pytest.mark.parametrize("code", SHOWN)
def test_the_wrong_example_gets_this_code_and_the_right_one_none(code: Code, tmp_path: Path) -> None:
    wrong = mf("parse", "--project-dir", str(project(tmp_path / "wrong", EXPLANATIONS[code].wrong)))
    assert codes(wrong) == [code], wrong.stderr
    right = mf("parse", "--project-dir", str(project(tmp_path / "right", EXPLANATIONS[code].right)))
    assert codes(right) == [], right.stderr
    assert right.exit_code == 0


def test_one_code_is_explained_on_stdout_in_any_case() -> None:
    result = mf("explain", "mf203")
    assert result.exit_code == 0
    assert result.stdout.startswith("MF203: A parameter that the class does not take.\n")
    assert "max_dept: 12" in result.stdout
    assert "max_depth: 12" in result.stdout
    assert result.stderr == ""


def test_all_codes_are_listed() -> None:
    lines = mf("explain").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [str(code) for code in Code]


@pytest.mark.parametrize(("written", "hint"), [("MF2003", "MF203"), ("MF23", "MF213"), ("zz", "`mf explain` lists")])
def test_an_unknown_code_gets_the_nearest(written: str, hint: str) -> None:
    result = mf("explain", written)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error[MF502]: there is no code `{written}`")
    assert hint in result.stderr


@pytest.mark.parametrize("option", ["--quiet", "--log-format=json", "--diagnostics=json", None])
def test_on_a_terminal_an_error_says_where_more_is_told(option: str | None, tmp_path: Path) -> None:
    folder = str(project(tmp_path, EXPLANATIONS[Code.UNKNOWN_PARAMETER].wrong))
    arguments = ["parse", "--project-dir", folder, *filter(None, [option])]
    on_terminal = CliRunner().invoke(app, arguments, env={**_cache(), "FORCE_COLOR": "1", "NO_COLOR": "1"})
    assert ("more: mf explain MF203" in on_terminal.stderr) == (option is None)
    assert "mf explain" not in mf(*arguments).output
