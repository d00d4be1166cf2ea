"""`mf forget`: what it lists, what it deletes, what it says stays, and what other commands tell afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from model_samples import Group, publish, sample_groups
from sklearn.linear_model import LinearRegression
from support import ONE_ROW, _cache, write_project
from typer.testing import CliRunner, Result

from modelfactory.cli.app import app
from modelfactory.store.store import Store

KEYS = {"k": pa.string()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project whose family `f` has two versions of groups `a`, `b` and `c`; `coarse` stands in, `g` is foreign."""
    write_project(tmp_path, ONE_ROW)
    groups = sample_groups(LinearRegression(), ["a", "b", "c"])
    store = tmp_path / "store"
    publish(store, "f", KEYS, groups, global_model=groups[0].model)
    publish(store, "f", KEYS, [*groups[:2], Group(key=("c",), status="failed")], fallback="coarse")
    publish(store, "g", KEYS, groups)
    publish(store, "elsewhere", {"region": pa.string()}, groups)
    return tmp_path


def mf(folder: Path, command: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, [command, "--project-dir", str(folder), *arguments], env=_cache())


def document(folder: Path, *arguments: str) -> dict[str, Any]:
    result = mf(folder, "forget", "f", *arguments, "--output", "json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.startswith(("v", "version"))]


def test_without_delete_it_lists_what_would_go(folder: Path) -> None:
    before = (folder / "store/f/manifest.json").read_bytes()
    result = mf(folder, "forget", "f", "k=a")
    assert result.exit_code == 0
    assert lines(result.stdout) == [
        ["version", "groups", "models", "trained"],
        ["v1", "1", "1", "2024-01-01", "00:00"],
        ["v2", "current", "1", "1", "2024-01-01", "00:00"],
    ]
    assert [line.strip() for line in result.stderr.splitlines()] == [
        "1 group and 2 models of 2 versions would go",
        "the global model was fitted on their rows too, and stays: v1",
        "so were the models of families that stand in, and stay: coarse",
        "other families have groups by the same columns: g",
        "the input is not touched: a build trains the groups again if it has rows of them",
        "nothing was deleted: `--delete` does it, and nothing brings it back",
    ]
    assert (folder / "store/f/manifest.json").read_bytes() == before


def test_with_delete_it_is_gone_and_other_commands_tell(folder: Path) -> None:
    result = mf(folder, "forget", "f", "k=a", "--delete")
    assert result.exit_code == 0
    assert "deleted 1 group and 2 models of 2 versions" in result.stderr
    assert "nothing was deleted" not in result.stderr
    shown = mf(folder, "show", "f")
    assert "1 group, the last on 20" in shown.stdout
    (stone,) = json.loads(mf(folder, "show", "f", "--output", "json").stdout)["forgotten"]
    assert (stone["columns"], stone["groups"], stone["models"], stone["versions"]) == (["k"], 1, 2, [1, 2])
    assert not stone.keys() & {"salt", "keys"}
    group = mf(folder, "show", "f", "--group", "k=a")
    assert group.exit_code == 2
    assert "family `f` has no group with k = a; it was forgotten on 20" in group.stderr
    assert "forgotten" not in mf(folder, "show", "f", "--group", "k=z").stderr
    assert mf(folder, "ls", "--groups", "f", "--output", "json").stdout.count('"k"') == 2
    for command in (["diff", "f", "--versions", "1", "2"], ["rollback", "f", "--to", "1"], ["debug", "--store"]):
        assert mf(folder, *command).exit_code == 0, command
    again = mf(folder, "forget", "f", "k=a", "--delete")
    assert again.exit_code == 0
    assert "no version has such groups any more; they were forgotten on 20" in again.stderr


def test_the_json_form_says_all(folder: Path) -> None:
    dry, done = document(folder, "k=c"), document(folder, "k=c", "--delete")
    assert (dry["deleted"], dry["run_id"], done["deleted"]) == (False, None, True)
    assert done["run_id"] in {Path(f["path"]).parts[0][8:] for f in version_files(folder)}
    same = dry.keys() - {"deleted", "run_id"}
    assert {key: dry[key] for key in same} == {key: done[key] for key in same}
    assert done["versions"] == [
        {"number": 1, "candidate": False, "groups": 1, "models": 1},
        {"number": 2, "candidate": False, "groups": 1, "models": 0},
    ]
    assert (done["schema"], done["family"], done["columns"], done["groups"], done["models"]) == (1, "f", ["k"], 1, 1)
    assert done["stays"] == {"global_models": [1], "fallbacks": ["coarse"], "families": ["g"]}
    assert (done["forgotten_before"], done["other_versions"], done["leftovers"]) == (None, [], [])


def version_files(folder: Path) -> list[dict[str, Any]]:
    manifest = json.loads((folder / "store/f/manifest.json").read_text())
    return [file for version in manifest["versions"] for file in version["files"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["f", "k"], "`k` names no group"),
        (["f", "=a"], "`=a` names no group"),
        (["f", "k=a", "k=b"], "the value of `k` is given twice"),
        (["f", "shop=a"], "`shop` is no group column of family `f`"),
        (["f", "k=z"], "no version of family `f` has a group with k = z"),
        (["nobody", "k=a"], "no family `nobody`"),
        (["f"], "Missing argument"),
    ],
)
def test_what_is_wrong_is_told_with_exit_code_2(folder: Path, arguments: list[str], said: str) -> None:
    result = mf(folder, "forget", *arguments, "--delete")
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_family_that_is_being_built_is_left_alone(folder: Path) -> None:
    with Store(folder / "store").locked("f", run_id="r9"):
        result = mf(folder, "forget", "f", "k=a", "--delete")
    assert result.exit_code == 5
    assert "r9" in result.stderr


def test_a_family_of_the_store_alone_forgets_too(folder: Path) -> None:
    assert mf(folder, "forget", "g", "k=a", "--delete").exit_code == 0
