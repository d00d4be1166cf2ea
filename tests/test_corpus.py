"""Broken projects and what `mf` says of them: the files of `tests/diagnostics`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from support import ROOT, _cache, learn
from typer.testing import CliRunner

from modelfactory.cli.app import app
from modelfactory.diagnostics import Code

CASES = sorted((ROOT / "tests" / "diagnostics").glob("*.txt"))
BASE = {
    "mf_project.yml": "name: demo\n",
    "sources/s.yml": "sources: [{name: s, path: 's3://bucket/rows'}]\n",
}
SECRET = "hunter2"


@pytest.fixture(scope="session", autouse=True)
def _learnt(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Learn all classes of the cases at once, not one process for each case."""
    learn(tmp_path_factory.mktemp("learnt"), re.findall(r"\w+", "".join(map(text_of, CASES))))


def text_of(case: Path) -> str:
    return case.read_bytes().decode("utf-8")


def parts_of(case: Path) -> tuple[str, dict[str, str]]:
    """Return the head of a case, and its parts by name."""
    head, *parts = re.split(r"^--- ", text_of(case), flags=re.MULTILINE)
    named = [part.partition("\n") for part in parts]
    return head, {name: text for name, _, text in named}


def said(case: Path, folder: Path) -> str:
    """Write a case's project, run its command, and return what a user sees of it on stderr."""
    head, parts = parts_of(case)
    files = {}
    for name, text in parts.items():
        file, _, form = name.partition(" ")
        as_written = {"(crlf)": text.replace("\n", "\r\n"), "(bom)": f"\ufeff{text}"}
        files[file] = as_written.get(form, text)
    del files["expected"]
    kept = {
        name: text
        for name, text in BASE.items()
        if not any(given.split("/")[0].split(".")[0] == name.split("/")[0].split(".")[0] for given in files)
    }
    for name, text in (kept | files).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    words = re.search(r"^\$ mf (.*)$", head, re.MULTILINE)
    environ = {**_cache(), "HOME": str(folder / "home"), "TOKEN": SECRET}
    command = shlex.split(words[1]) if words else ["parse"]
    result = CliRunner().invoke(app, [*command, "--project-dir", str(folder)], env=environ)
    assert isinstance(result.exception, SystemExit | None), repr(result.exception)
    assert result.stdout == ""
    return f"{result.stderr.replace(str(folder), '<project>')}exit {result.exit_code}\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_what_is_said_of_a_broken_project(case: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    found = said(case, tmp_path)
    if request.config.getoption("--update-snapshots"):
        before = re.split(r"^--- expected\n", text_of(case), flags=re.MULTILINE)[0]
        case.write_bytes(f"{before}--- expected\n{found}".encode())
    assert found == parts_of(case)[1]["expected"]
    assert SECRET not in found


def test_there_are_many_and_of_every_code_that_files_alone_can_get() -> None:
    assert len(CASES) >= 60
    expected = "".join(parts_of(case)[1]["expected"] for case in CASES)
    from_files = {code for code in Code if code[:3] in ("MF1", "MF2")} | {Code.MISSING_PATH, Code.MISSING_COLUMN}
    assert {str(code) for code in from_files - {Code.NO_PROJECT, Code.CANNOT_FORMAT}} <= set(
        re.findall(r"MF\d+", expected)
    )
