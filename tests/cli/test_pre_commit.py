"""The hooks of `.pre-commit-hooks.yaml`, run by pre-commit itself in a repository with two projects."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from repositories import commit, environment, git, write
from support import FAMILY_YAML, ROOT

FINE = "families:\n" + textwrap.indent(FAMILY_YAML.removeprefix("families:\n"), "  ")
PROJECTS = {
    f"{name}/{file}": text
    for name in ("one", "two")
    for file, text in {
        "mf_project.yml": f"name: {name}\n",
        "sources/s.yml": "sources:\n  - {name: s, path: rows.csv, format: csv}\n",
        "families/f.yml": FINE,
    }.items()
}
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "repository"


@pytest.fixture
def run(tmp_path: Path, repository: Path) -> Run:
    """Make the repository, and return what runs a hook on what is staged in it."""
    env = environment(tmp_path / "bin", PRE_COMMIT_HOME=str(tmp_path / "cache"))
    hooks = tmp_path / "hooks"
    revision = commit(
        hooks, {".pre-commit-hooks.yaml": (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")}, env=env
    )

    def configure(**arguments: list[str]) -> str:
        chosen = [{"id": f"mf-{name}", "args": given} for name, given in arguments.items()]
        return yaml.safe_dump({"repos": [{"repo": str(hooks), "rev": revision, "hooks": chosen}]})

    commit(repository, {**PROJECTS, "ci.yml": "on:   push\n", ".pre-commit-config.yaml": ""}, env=env)

    def run(files: dict[str, str], *words: str, **arguments: list[str]) -> subprocess.CompletedProcess[str]:
        write(repository, {**files, ".pre-commit-config.yaml": configure(**arguments)})
        git(repository, "add", "--all", env=env)
        command = [sys.executable, "-m", "pre_commit", "run", "--color=never", *words]
        return subprocess.run(command, cwd=repository, env=env, capture_output=True, text=True, check=False)

    return run


def test_only_the_projects_of_the_changed_files_are_parsed(run: Run) -> None:
    broken = FINE.replace("label", "lable")
    done = run({"one/families/f.yml": broken}, "--files", "two/families/f.yml", "ci.yml", parse=[])
    assert done.returncode == 0, done.stdout
    done = run({}, parse=[])
    assert done.returncode == 1
    assert "unknown key `lable`" in done.stdout
    assert "families/f.yml:" in done.stdout
    assert "two:" not in done.stdout


def test_arguments_choose_the_project_to_parse(run: Run) -> None:
    files = {"one/families/f.yml": FINE.replace("label", "lable"), "two/families/f.yml": f"# new\n{FINE}"}
    assert run(files, parse=["--project-dir", "two"]).returncode == 0
    done = run({}, parse=["--project-dir", "one"])
    assert done.returncode == 1
    assert "unknown key `lable`" in done.stdout
    assert "unknown target `x`" in run({}, parse=["--project-dir=two", "--target", "x"]).stdout


def test_changed_project_files_are_formatted_and_no_others(run: Run, repository: Path) -> None:
    done = run({"one/families/f.yml": f"# new\n{FAMILY_YAML}", "ci.yml": "on:     [push]\n"}, fmt=[])
    assert done.returncode == 1
    assert "files were modified by this hook" in done.stdout
    assert (repository / "one/families/f.yml").read_text() == f"# new\n{FINE}"
    assert (repository / "ci.yml").read_text() == "on:     [push]\n"
    assert run({}, fmt=[], parse=[]).returncode == 0


def test_formatting_may_only_be_checked(run: Run, repository: Path) -> None:
    done = run({"one/families/f.yml": FAMILY_YAML}, fmt=["--check"])
    assert done.returncode == 1
    assert "would reformat: one/families/f.yml" in done.stdout
    assert (repository / "one/families/f.yml").read_text() == FAMILY_YAML
