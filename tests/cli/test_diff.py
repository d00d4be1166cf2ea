"""`mf diff`: what a change of the files means, from real git repositories and from a store."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from store_samples import publish_family
from support import workspace_of, write_project
from typer.testing import CliRunner, Result

from modelfactory.cli.app import app
from modelfactory.commands.project_options import ProjectOptions
from modelfactory.commands.review import review_revisions

DEFAULTS = "label: y\nowner: team\n"
FAMILIES = """\
families:
  - name: fine
    group_by: [k, j]
    source: s
    features: [x, z]
    estimator: {class: Ridge, params: {alpha: 1.0}}
    fallback: coarse
  - name: coarse
    group_by: [k]
    source: s
    features: [x]
    estimator: LinearRegression
  - name: weak
    group_by: [k]
    sql: |
      select s.* from {{ source('s') }} s
      join {{ ref('fine') }} f on f.k = s.k
    features: [x]
    estimator: LinearRegression
"""
FILES = {
    "mf_project.yml": "name: demo\n",
    "profiles.yml": "targets: {prod: {store: '${env:NO_SUCH_SECRET}'}}\n",
    "sources/s.yml": "sources: [{name: s, path: x.parquet}]\n",
    "families/_defaults.yml": DEFAULTS,
    "families/f.yml": FAMILIES,
}
Edit = Callable[[str, str, str], None]


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=someone", "-c", "user.email=some@one", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project in a folder of a repository, with one commit."""
    project = write_project(tmp_path / "repository/models", FILES)
    git(tmp_path / "repository", "init", "--quiet")
    commit(project, "first")
    return project


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def edit(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new), encoding="utf-8")


def diff(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["diff", "--project-dir", str(folder), *arguments])


def found(folder: Path, *arguments: str) -> dict[str, Any]:
    result = diff(folder, *arguments, "--output", "json")
    assert result.exit_code == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def changes(document: dict[str, Any]) -> dict[str, list[str]]:
    return {
        f["name"]: [f["change"], *(f"{c['kind']} {c['path']} {c['old_at']} {c['new_at']}" for c in f["changes"])]
        for f in document["families"]
    }


def test_nothing_has_changed(folder: Path) -> None:
    document = found(folder, "HEAD")
    assert (document["families"], document["summary"]["unchanged"]) == ([], 3)
    assert diff(folder, "HEAD", "--detailed-exitcode").exit_code == 0


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("families/f.yml", "{class: Ridge, params: {alpha: 1.0}}", "{params: {alpha: 1}, class: 'Ridge'}"),
        ("families/f.yml", "[x, z]", "\n      - x\n      - {name: z, kind: numeric}"),
        ("families/f.yml", "alpha: 1.0", "alpha: 1.0, fit_intercept: true"),
        ("families/_defaults.yml", "owner: team\n", "owner: team\nmin_rows: 1\n"),
        ("families/f.yml", "families:", "# a comment\nfamilies:"),
        ("sources/s.yml", "x.parquet", "x.parquet, description: told"),
    ],
)
def test_the_same_in_other_words_is_no_change(folder: Path, file: str, old: str, new: str) -> None:
    edit(folder, file, old, new)
    assert found(folder, "HEAD")["families"] == []


def test_a_value_that_moves_to_the_defaults_is_no_change(folder: Path) -> None:
    edit(folder, "families/_defaults.yml", "label: y\n", "")
    edit(folder, "mf_project.yml", "name: demo\n", "name: demo\ndefaults: {label: y}\n")
    assert found(folder, "HEAD")["families"] == []


def test_each_value_has_its_place_on_both_sides_and_its_kind(folder: Path) -> None:
    edit(folder, "families/f.yml", "families:\n", "# one line more\nfamilies:\n")
    edit(folder, "families/f.yml", "alpha: 1.0", "alpha: 2.0")
    edit(folder, "families/_defaults.yml", "owner: team", "max_failed: 5%\nowner: us")
    document = found(folder, "HEAD")
    assert changes(document)["fine"] == [
        "changed",
        "retrain estimator.params.alpha families/f.yml:6 families/f.yml:7",
        "re-test max_failed.share families/f.yml:2 families/_defaults.yml:2",
        "metadata owner families/_defaults.yml:2 families/_defaults.yml:3",
    ]
    (fine, *_) = document["families"]
    assert (fine["kind"], fine["owner"], fine["at"]) == ("retrain", "us", "families/f.yml:3")
    assert fine["dependents"] == ["weak"]
    weak = next(f for f in document["families"] if f["name"] == "weak")
    assert (weak["kind"], weak["parents_changed"]) == ("retrain", True)


def test_what_a_source_reads_is_a_change_of_its_families(folder: Path) -> None:
    edit(folder, "sources/s.yml", "x.parquet", "y.parquet")
    assert changes(found(folder, "HEAD"))["coarse"] == [
        "changed",
        "retrain sources.s.path sources/s.yml:1 sources/s.yml:1",
    ]


def test_families_come_and_go_and_a_rename_is_guessed_or_told(folder: Path) -> None:
    edit(folder, "families/f.yml", "coarse", "rough")
    document = found(folder, "HEAD")
    assert {name: change for name, (change, *_) in changes(document).items()} == {
        "rough": "added",
        "fine": "changed",
        "coarse": "removed",
    }
    assert "moved: [{from: coarse, to: rough}]" in diff(folder, "HEAD").stdout
    edit(folder, "families/f.yml", "families:\n", "moved: [{from: coarse, to: rough}]\nfamilies:\n")
    document = found(folder, "HEAD")
    assert [(f["name"], f["former_name"], f["change"]) for f in document["families"]] == [
        ("fine", None, "changed"),
        ("rough", "coarse", "renamed"),
    ]


def test_revisions_are_compared_without_the_working_tree(folder: Path) -> None:
    git(folder, "checkout", "--quiet", "-b", "feature")
    edit(folder, "families/f.yml", "alpha: 1.0", "alpha: 2.0")
    commit(folder, "second")
    git(folder, "checkout", "--quiet", "main")
    edit(folder, "families/f.yml", "group_by: [k]\n    source", "group_by: [j]\n    source")
    commit(folder, "third")
    edit(folder, "families/f.yml", "families:", "this is no project any more:")
    assert list(changes(found(folder, "main..feature"))) == ["coarse", "fine", "weak"]
    assert list(changes(found(folder, "main...feature"))) == ["fine", "weak"]
    assert list(changes(found(folder, "feature~1..feature"))) == ["fine", "weak"]
    assert diff(folder, "main").exit_code == 2


def test_what_is_wrong_in_the_base_is_a_note_and_here_an_error(folder: Path) -> None:
    edit(folder, "families/f.yml", "alpha: 1.0", "alpah: 1.0")
    result = diff(folder, "HEAD")
    assert result.exit_code == 2
    assert "error[MF203]" in result.stderr
    assert "families/f.yml:6" in result.stderr
    commit(folder, "broken")
    edit(folder, "families/f.yml", "alpah: 1.0", "alpha: 1.0")
    result = diff(folder, "HEAD")
    assert result.exit_code == 0
    assert "HEAD has 1 mistake of its own" in result.stderr
    assert "~ fine  retrain" in result.stdout


@pytest.mark.parametrize("revision", ["nope", "--nope", "mian"])
def test_a_revision_that_git_does_not_know_is_one_message(folder: Path, revision: str) -> None:
    result = diff(folder, "--output", "text", "--", revision)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error[MF502]: git knows no revision `{revision}`")
    if revision == "mian":
        assert "did you mean `main`?" in result.stderr


def test_outside_of_a_repository_is_one_message(tmp_path: Path) -> None:
    result = diff(write_project(tmp_path, FILES), "HEAD")
    assert result.exit_code == 2
    assert "git cannot read the repository" in result.stderr


def test_secrets_need_not_be_set_and_are_not_told(folder: Path) -> None:
    edit(folder, "mf_project.yml", "name: demo\n", "name: demo\ntarget: prod\n")
    edit(folder, "families/f.yml", "alpha: 1.0", "alpha: 2.0")
    result = diff(folder, "HEAD")
    assert result.exit_code == 0, result.stderr
    edit(folder, "families/f.yml", "    fallback: coarse\n", "    fallback: coarse\n    where: x > ${env:LEAST}\n")
    environ = {"LEAST": "4711", "HOME": str(folder)}
    review = review_revisions(ProjectOptions(project_dir=folder, variables={}, environ=environ), "HEAD")
    assert "4711" not in repr(review)
    assert "${env:LEAST}" in repr(review)


def test_a_base_without_the_project_has_nothing_of_it(folder: Path) -> None:
    git(folder, "checkout", "--quiet", "--orphan", "empty")
    git(folder, "rm", "-r", "--quiet", "--cached", ".")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "nothing")
    assert [change for change, *_ in changes(found(folder, "HEAD")).values()] == ["added"] * 3


def test_an_environment_that_is_not_set_is_compared_by_reference(folder: Path) -> None:
    edit(folder, "families/_defaults.yml", "owner: team", "owner: ${env:NOT_SET_ANYWHERE}")
    edit(folder, "sources/s.yml", "x.parquet", "'${env:NOR_THIS}/x.parquet'")
    told = found(folder, "HEAD")
    assert told["families"][0]["owner"] == "${env:NOT_SET_ANYWHERE}"
    edit(folder, "families/f.yml", "features: [x, z]", "features: [x, z]\n    min_rows: ${env:NO_NUMBER}")
    result = diff(folder, "HEAD")
    assert result.exit_code == 2
    assert "environment variable `NO_NUMBER` is not set" in result.stderr


def test_queries_and_links_are_read_wherever_they_are_in_the_tree(folder: Path) -> None:
    (folder.parent / "shared").mkdir()
    (folder.parent / "shared/q.tmpl").write_text("select * from {{ source('s') }}", encoding="utf-8")
    family = "families: [{name: linked, group_by: k, sql_file: ../shared/q.tmpl, features: x, estimator: KMeans}]\n"
    (folder.parent / "shared/linked.yml").write_text(
        family.replace("KMeans}", "KMeans, label: null}"), encoding="utf-8"
    )
    (folder / "families/linked.yml").symlink_to("../../shared/linked.yml")
    commit(folder, "a link")
    assert found(folder, "HEAD")["families"] == []


def test_markdown_is_made_for_a_comment(folder: Path) -> None:
    edit(folder, "families/f.yml", "on f.k = s.k", "on f.k = s.k\n      where s.x > 0 -- ``` | <b>")
    edit(folder, "families/f.yml", "alpha: 1.0", "alpha: 2.0")
    text = diff(folder, "HEAD", "--output", "markdown").stdout
    assert text.startswith(
        "### `demo`: model definitions, `HEAD` → `working tree`\n\n2 changed (2 retrain), 1 unchanged."
    )
    assert "| `estimator.params.alpha` | `default` | `2` | retrain | `families/f.yml:6` |" in text
    assert "<details open><summary><code>weak</code>: retrain</summary>" in text
    assert "\n````diff\n" in text  # a fence that the text does not close
    assert "+where s.x > 0 -- ``` | <b>" in text
    assert text.count("<details") == text.count("</details>") == 2


def test_annotations_stand_at_the_new_values(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(folder.parent))
    edit(folder, "families/f.yml", "alpha: 1.0", "alpha: 2.0")
    edit(folder, "families/f.yml", "features: [x, z]", "features: [x]")
    lines = diff(folder, "HEAD", "--output", "github").stdout.splitlines()
    assert lines[1].startswith("::warning file=models/families/f.yml,line=6,col=")
    assert lines[1].endswith("title=breaking%3A fine::estimator.params.alpha: default → 2")


def test_changes_have_an_exit_code_where_it_is_asked_for(folder: Path) -> None:
    edit(folder, "families/f.yml", "alpha: 1.0", "alpha: 2.0")
    assert diff(folder, "HEAD").exit_code == 0
    assert diff(folder, "HEAD", "--detailed-exitcode").exit_code == 3


class TestStore:
    def test_without_a_revision_the_store_is_what_is_compared_with(self, folder: Path) -> None:
        for family in ("fine", "coarse"):
            publish_family(workspace_of(folder), family)
        edit(folder, "families/f.yml", "alpha: 1.0", "alpha: 2.0")
        edit(folder, "families/f.yml", "    fallback: coarse\n", "")
        edit(folder, "families/f.yml", "name: coarse", "name: rough")
        assert changes(found(folder)) == {
            "coarse": ["removed"],
            "fine": [
                "changed",
                "retrain estimator.params.alpha None families/f.yml:6",
                "re-test fallback None families/f.yml:2",
            ],
            "rough": ["added"],
            "weak": ["added"],
        }

    def test_a_revision_tells_what_is_trained(self, folder: Path) -> None:
        publish_family(workspace_of(folder), "fine", cpu_seconds=3.0)
        edit(folder, "families/f.yml", "{class: Ridge, params: {alpha: 1.0}}", "RandomForestRegressor")
        fine = found(folder, "HEAD")["families"][0]["trained"]
        assert (fine["version"], fine["groups"], fine["models"], fine["cpu_seconds"]) == (1, 2, 1, 3.0)
        assert fine["expected_cpu_seconds"] > 30
        assert "v1: 1 models of 2 groups; 3.0 s to fit, about" in diff(folder, "HEAD").stdout
        assert found(folder, "HEAD", "--no-store")["families"][0]["trained"] is None
