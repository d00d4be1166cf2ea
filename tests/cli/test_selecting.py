"""`--select`, `--exclude` and `--selector` of the commands: what they choose, and what they say if it is nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from support import ONE_ROW, _cache, write_project
from typer.testing import CliRunner, Result

from modelfactory.cli.app import app
from modelfactory.commands import selecting
from modelfactory.commands.build import write_run_results
from modelfactory.commands.report import BuildResult, FamilyResult
from modelfactory.commands.run import start_run

FAMILY = "group_by: k, features: x, label: y, estimator: Ridge"
FILES = {
    "mf_project.yml": "name: shop\n",
    "sources/s.yml": "sources: [{name: s, path: s.csv}, {name: t, path: t.csv}, {name: lonely, path: u.csv}]\n",
    "families/demand/f.yml": f"""\
        families:
        - {{name: by_sku, source: s, tags: [nightly, heavy], owner: '${{env:WHO}}', {FAMILY}}}
        - {{name: by_shop, sql: "select * from {{{{ source('s') }}}} join {{{{ source('t') }}}}", {FAMILY}}}
    """,
    "families/churn.yml": f"families: [{{name: churn, source: t, tags: [nightly], {FAMILY}}}]\n",
}
SELECTORS = """\
    selectors:
    - {name: light, definition: {method: tag, value: nightly, exclude: [{tag: heavy}]}}
    - {name: of_s, definition: {method: source, value: s, children: true}}
    - {name: usual, default: true, definition: {selector: light}}
    - {name: gone, definition: 'tag:gone'}
"""
Runner = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", FILES)


@pytest.fixture
def mf(folder: Path) -> Runner:
    environ = {**_cache(), "HOME": str(folder.parent), "WHO": "hunter2"}

    def run(command: str, *arguments: str) -> Result:
        return CliRunner().invoke(app, [command, "--project-dir", str(folder), *arguments], env=environ)

    return run


def listed(mf: Runner, *arguments: str) -> list[str]:
    result = mf("ls", "-o", "name", *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout.split()


@pytest.mark.parametrize(
    ("select", "names"),
    [
        ("source:s+", ["by_sku", "by_shop"]),
        ("source:t+,tag:nightly", ["churn"]),
        ("shop.demand", ["by_sku", "by_shop"]),
        ("@by_shop", ["by_shop"]),
        ("(source:s,+by_sku)+", ["by_sku", "by_shop"]),
        ("!tag:heavy", ["by_shop", "churn"]),
        ("config.group_by:k,file:churn", ["churn"]),
        ("owner:hunter2", ["by_sku"]),
    ],
)
def test_ls_lists_what_is_selected(mf: Runner, select: str, names: list[str]) -> None:
    assert sorted(listed(mf, "-s", select)) == sorted(names)
    rest = {"by_sku", "by_shop", "churn"} - set(names)
    assert set(listed(mf, "--exclude", select)) == rest


def test_a_mistake_shows_the_option_and_the_piece(mf: Runner) -> None:
    result = mf("compile", "-s", "churn", "-s", "by_sku tags:nightly")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "error[MF502]: unknown selection method `tags:`\n"
        "  --> --select:1:8\n"
        "  |\n"
        "1 | by_sku tags:nightly\n"
        "  |        ^^^^^\n"
        "help: did you mean `tag:nightly`?\n"
    )
    assert "--> --exclude:1:1" in mf("ls", "--exclude", "@x+").stderr


def test_a_selection_of_sources_alone_says_how_to_get_at_their_families(mf: Runner) -> None:
    result = mf("compile", "-s", "source:s")
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr == (
        "error[MF501]: no family matches `source:s`\nhelp: `source:s+` selects the families that read it\n"
    )
    result = mf("ls", "-s", "source:s", "-o", "name")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("warning[MF501]: no family matches `source:s`\nhelp: `source:s+`")
    assert "help" not in mf("compile", "-s", "source:lonely+").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-s", "chrun"], "no family matches `chrun`\nhelp: did you mean `churn`?"),
        (["-s", "tag:nightly,tag:hevy"], "no family matches `tag:nightly,tag:hevy`\nhelp: did you mean `heavy`?"),
        (["-s", "churn", "--exclude", "churn"], "no family matches `churn` and not `churn`"),
        (["--exclude", "*"], "every family is excluded"),
        (["-s", ""], "the selection is empty"),
        (["-s", " "], "the selection is empty"),
    ],
)
def test_an_empty_selection_says_why(mf: Runner, arguments: list[str], message: str) -> None:
    result = mf("compile", *arguments)
    assert (result.exit_code, result.stdout) == (4, "")
    assert message in result.stderr
    assert mf("ls", *arguments).exit_code == 0
    assert "warning[MF50" in mf("ls", *arguments).stderr


def test_a_hint_shows_no_value_of_the_environment(mf: Runner) -> None:
    for select in ("owner:hunter3", "config.owner:hunter3"):
        result = mf("ls", "-s", select)
        assert "hunter2" not in result.stderr
        assert "${env:WHO}" in result.stderr


# Named selectors --------------------------------------------------------------------------------------------------


def test_a_named_selector_stands_for_its_definition(mf: Runner, folder: Path) -> None:
    write_project(folder, {**FILES, "selectors.yml": SELECTORS})
    assert listed(mf, "--selector", "light") == ["churn"]
    assert sorted(listed(mf, "--selector", "of_s")) == ["by_shop", "by_sku"]
    assert sorted(listed(mf, "-s", "selector:light selector:of_s", "--exclude", "by_shop")) == ["by_sku", "churn"]


def test_the_default_selector_counts_where_nothing_else_is_given(mf: Runner, folder: Path) -> None:
    write_project(folder, {**FILES, "selectors.yml": SELECTORS})
    assert listed(mf) == ["churn"]
    assert "family churn" in mf("compile").stdout
    assert "by_sku" not in mf("compile").stdout
    assert listed(mf, "-s", "by_sku") == ["by_sku"]
    assert listed(mf, "--exclude", "churn by_shop") == ["by_sku"]
    assert mf("show", "by_sku").exit_code == 0
    assert "3 families" in mf("parse").stderr


def test_beside_a_named_selector_the_other_options_are_ignored(mf: Runner, folder: Path) -> None:
    write_project(folder, {**FILES, "selectors.yml": SELECTORS})
    result = mf("ls", "-o", "name", "--selector", "light", "-s", "by_sku", "--exclude", "churn")
    assert result.stdout.split() == ["churn"]
    assert result.stderr == "warning[MF502]: beside `--selector`, `--select` and `--exclude` are ignored\n"


def test_a_named_selector_that_is_not_there_or_matches_nothing_is_told(mf: Runner, folder: Path) -> None:
    assert "help: `selectors.yml` declares them" in mf("compile", "--selector", "light").stderr
    write_project(folder, {**FILES, "selectors.yml": SELECTORS})
    result = mf("compile", "--selector", "ligth")
    assert result.exit_code == 2
    assert "there is no selector `ligth`\n  --> --selector:1:1\n" in result.stderr
    assert "did you mean `light`?" in result.stderr
    result = mf("compile", "--selector", "gone")
    assert result.exit_code == 4
    assert "selector `gone` matches no family\nhelp: known: `heavy`, `nightly`" in result.stderr


def test_groups_are_of_one_family(mf: Runner) -> None:
    assert mf("ls", "--groups", "churn", "--selector", "light").exit_code == 2


# What the files do not hold ---------------------------------------------------------------------------------------


def write_run(folder: Path, run_id: str, *results: FamilyResult) -> None:
    run = dataclasses.replace(start_run(folder), run_id=run_id, artefacts=folder / "target" / "runs" / run_id)
    write_run_results(run, BuildResult(run_id=run_id, families=results, seconds=1.0))


def test_results_are_those_of_the_last_run(mf: Runner, folder: Path) -> None:
    write_run(folder, "20260101T000000-aaaaaa", FamilyResult(family="churn", status="error"))
    write_run(
        folder,
        "20260102T000000-aaaaaa",
        FamilyResult(family="by_sku", status="success", statuses={"trained": 3, "failed": 1, "crashed": 0}),
        FamilyResult(family="by_shop", status="error"),
        FamilyResult(family="gone", status="error"),
    )
    (folder / "target/runs/20260103T000000-aaaaaa").mkdir()  # it was refused before it built anything
    assert listed(mf, "-s", "result:error") == ["by_shop"]
    assert listed(mf, "-s", "result:failed") == ["by_sku"]
    assert sorted(listed(mf, "-s", "result:trained result:error")) == ["by_shop", "by_sku"]
    assert mf("compile", "-s", "result:crashed").exit_code == 4


def test_without_a_run_there_is_nothing_to_compare_with(mf: Runner) -> None:
    result = mf("ls", "-s", "churn result:error+")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--> --select:1:7" in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file holds no results of a run"),
        ("[]", "the file holds no results of a run"),
        ('{"schema": 1}', "the file holds no results of a run"),
        ('{"schema": 1, "results": [{}]}', "the file holds no results of a run"),
        ('{"schema": 2, "results": []}', "the results were written by a later release of mf"),
    ],
)
def test_results_that_cannot_be_read_are_one_message(mf: Runner, folder: Path, text: str, message: str) -> None:
    write_project(folder, {**FILES, "target/runs/r/run_results.json": text})
    result = mf("ls", "-s", "result:error")
    assert result.exit_code == 2
    assert f"{message}\n  --> target/runs/r/run_results.json" in result.stderr


# Only what is needed ----------------------------------------------------------------------------------------------


def test_no_query_is_rendered_unless_a_selector_walks_the_graph(
    mf: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("not needed")

    monkeypatch.setattr(selecting, "project_graph", fail)
    assert sorted(listed(mf, "-s", "tag:nightly,!by_shop source:*", "--exclude", "config.seed:1")) == [
        "by_sku",
        "churn",
    ]


def test_a_query_that_cannot_be_rendered_counts_where_the_graph_does(mf: Runner, folder: Path) -> None:
    text = FILES["families/demand/f.yml"].replace("join {{ source('t') }}", "join {{ nope }}")
    write_project(folder, {**FILES, "families/demand/f.yml": text})
    assert listed(mf, "-s", "tag:nightly") == ["churn", "by_sku"]
    result = mf("ls", "-s", "source:s+")
    assert result.exit_code == 2
    assert "error[MF210]" in result.stderr


@pytest.mark.parametrize("arguments", [("--selector", "a"), ("-s", "selector:b"), ()])
def test_a_selector_that_is_part_of_itself_is_one_message(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    first, second = (
        "{name: a, default: true, definition: 'selector:b'}",
        "{name: b, definition: {union: ['selector:a']}}",
    )
    text = f"selectors: [{first}, {second}]"
    folder = write_project(tmp_path / "circle", {**ONE_ROW, "selectors.yml": text})
    result = CliRunner().invoke(app, ["ls", *arguments, "--project-dir", str(folder)])
    assert result.exit_code == 2
    assert "a selector is part of itself: `a` → `b` → `a`" in result.stderr


def test_the_default_selector_is_told_where_it_counts(tmp_path: Path) -> None:
    text = "selectors: [{name: a, default: true, definition: f}]"
    folder = write_project(tmp_path / "default", {**ONE_ROW, "selectors.yml": text})
    result = CliRunner().invoke(app, ["ls", "-o", "name", "--project-dir", str(folder)])
    assert (result.stdout, result.stderr) == ("f\n", "families of the default selector `a`\n")
    assert CliRunner().invoke(app, ["ls", "-s", "f", "-o", "name", "--project-dir", str(folder)]).stderr == ""
