"""`state:` selectors and `mf ls --why`: what differs from what was published, or from a git revision."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from store_samples import publish_family
from support import workspace_of, write_project
from typer.testing import CliRunner, Result

from modelfactory.cli.app import app

FAMILIES = """\
families:
  - name: low
    group_by: [k]
    source: s
    features: [x]
    label: y
    estimator: {class: Ridge, params: {alpha: 2.0}}
  - name: top
    group_by: [k]
    sql: select * from {{ ref('low') }}
    features: [x]
    estimator: KMeans
  - name: alone
    group_by: [k]
    source: s
    features: [x, z]
    estimator: KMeans
"""
FILES = {
    "mf_project.yml": "name: demo\n",
    "sources/s.yml": "sources: [{name: s, path: x.parquet}]\n",
    "families/f.yml": FAMILIES,
}
EXTRA = "families:\n  - {name: extra, group_by: k, source: s, features: x, estimator: KMeans}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project whose families are published and committed as they are."""
    folder = write_project(tmp_path, FILES)
    for family in ("low", "top", "alone"):
        publish_family(workspace_of(folder), family)
    who = ["-c", "user.name=someone", "-c", "user.email=some@one"]
    for command in (["init", "-q"], ["add", "families", "sources", "mf_project.yml"], [*who, "commit", "-qm", "one"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def edit(folder: Path, old: str, new: str) -> None:
    file = folder / "families/f.yml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def ls(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["ls", "--project-dir", str(folder), *arguments])


def chosen(folder: Path, selector: str, *arguments: str) -> list[str]:
    result = ls(folder, "--select", selector, "--output", "name", *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout.split()


@pytest.mark.parametrize("state", [(), ("--state", "HEAD")])
def test_what_differs_is_modified_in_its_respects(folder: Path, state: tuple[str, ...]) -> None:
    assert chosen(folder, "state:modified state:new", *state) == []
    assert chosen(folder, "state:unmodified", *state) == ["low", "top", "alone"]
    edit(folder, "alpha: 2.0", "alpha: 3")
    edit(folder, "    estimator: KMeans\n  - name: alone", "    owner: me\n    estimator: KMeans\n  - name: alone")
    edit(folder, "features: [x, z]", "features: [x, z]\n    max_failed: 3")
    edit(folder, "families:\n", EXTRA)
    assert chosen(folder, "state:new", *state) == ["extra"]
    assert chosen(folder, "state:old", *state) == ["low", "top", "alone"]
    assert chosen(folder, "state:modified", *state) == ["extra", "low", "top"]
    assert chosen(folder, "state:modified.params", *state) == ["extra", "low"]
    assert chosen(folder, "state:modified.parents,state:old", *state) == ["top"]
    assert chosen(folder, "state:modified.meta,state:old", *state) == ["top"]
    assert chosen(folder, "state:modified.tests,state:old", *state) == ["alone"]
    assert chosen(folder, "state:modified.body,state:old", *state) == []
    assert chosen(folder, "state:unmodified", *state) == ["alone"]


@pytest.mark.parametrize(
    ("old", "new", "respect"),
    [
        ("features: [x, z]", "features: [z, x]", "features"),
        ("features: [x, z]", "features: [x, z]\n    where: x > 0", "body"),
        ("features: [x, z]", "features: [x, z]\n    min_rows: 5", "groups"),
        ("features: [x, z]", "features: [x, z]\n    seed: 5", "configs"),
    ],
)
def test_each_key_is_one_of_the_respects(folder: Path, old: str, new: str, respect: str) -> None:
    edit(folder, old, new)
    assert chosen(folder, f"state:modified.{respect}") == ["alone"]
    assert chosen(folder, "state:modified") == ["alone"]


def test_why_names_the_values_and_both_places(folder: Path) -> None:
    edit(folder, "families:\n", "# more\nfamilies:\n")
    edit(folder, "alpha: 2.0", "alpha: 3")
    lines = ls(folder, "--why", "--state", "HEAD", "--output", "json").stdout.splitlines()
    assert {line["name"]: line["why"] for line in map(json.loads, lines)} == {
        "low": [
            {
                "path": "estimator.params.alpha",
                "old": 2.0,
                "new": 3.0,
                "kind": "retrain",
                "old_at": "families/f.yml:7",
                "new_at": "families/f.yml:8",
            }
        ],
        "top": [{"path": "parents", "kind": "retrain"}],
        "alone": [],
    }
    table = ls(folder, "--why", "--state", "HEAD").stdout
    assert "estimator.params.alpha 2 → 3 (families/f.yml:7 → families/f.yml:8)" in table
    assert "estimator.params.alpha 2 → 3 (families/f.yml:8)" in ls(folder, "--why").stdout
    assert "why" not in json.loads(ls(folder, "--output", "json").stdout.splitlines()[0])
