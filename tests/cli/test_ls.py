"""`mf ls`: what is declared and what is trained, for people and for programs, without Spark."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support import _cache, write_project
from typer.testing import CliRunner, Result

from modelfactory.cli.app import app
from modelfactory.store.groups import GROUP_TYPES
from modelfactory.store.manifest import Fingerprints, GlobalModelRecord, Quantiles, VersionRecord
from modelfactory.store.store import Store
from modelfactory.store.versions import publish_version, stage_version

KEYS = (
    "name path source group_by label estimator tags owner state current_version trained_at groups metrics baseline "
    "own_groups fallback"
)
Runner = Callable[..., Result]
FILES = {
    "sources/s.yml": "sources: [{name: s, path: data.parquet}]\n",
    "families/a/by_dest.yml": """\
        families:
        - name: by_dest
          group_by: [dest, day]
          source: s
          features: [x]
          label: y
          estimator: LinearRegression
          preprocess: {numeric: StandardScaler}
          evaluate: {holdout: 0.2, metrics: [rmse]}
          tags: [nightly]
          owner: me
    """,
    "families/kinds.toml": """\
        [[families]]
        name = "kinds"
        group_by = "dest"
        sql = "select * from {{ source('s') }}"
        features = ["x"]
        estimator = "KMeans"
    """,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one built family and one that was never built."""
    folder = write_project(tmp_path_factory.mktemp("ls"), FILES)
    compiled = invoke(folder, "compile", "-s", "by_dest")
    assert compiled.exit_code == 0, compiled.stderr
    definition = json.loads((folder / "target/compiled/by_dest.json").read_text(encoding="utf-8"))
    build(Store(folder / "store"), definition["definition_fingerprint"])
    return folder


@pytest.fixture
def mf(project: Path) -> Runner:
    """Run `mf ls` on the project."""
    return lambda *arguments: invoke(project, "ls", *arguments)


def invoke(folder: Path, command: str, *arguments: str) -> Result:
    environment = {**_cache(), "HOME": str(folder.parent)}
    return CliRunner().invoke(app, [command, "--project-dir", str(folder), *arguments], env=environment)


def row(dest: str | None, day: int, status: str, n_rows: int, rmse: float | None = None, **more: Any) -> dict[str, Any]:
    trained = status == "trained"
    return {
        "dest": dest, "day": day, "status": status, "n_rows": n_rows, "n_train": n_rows if trained else 0, "n_test": 0,
        "metrics": [] if rmse is None else [("rmse", rmse)], "baseline": [] if rmse is None else [("rmse", 20.0)],
        "fit_seconds": 0.1 if trained else None, "cpu_seconds": None, "model_version": 1 if trained else None,
        "model_bytes": None, "model_sha256": None, "data_digest": "0", "error_type": None, "error": None,
        "warnings": [], **more,
    }  # fmt: skip


ROWS = [
    row("LAX", 1, "trained", 300, 10.0),
    row("LAX", 2, "trained", 100, 30.0, warnings=["5 rows without a label were left out"]),
    row("O'Hare", 1, "failed", 50, error_type="ValueError", error="bad, [bold]input[/bold]"),
    row("SFO", 1, "too_few_rows", 2),
    row("XYZ", 9, "trained", 7, math.nan),
    row(None, 1, "null_key", 5),
]


def build(store: Store, fingerprint: str, *, rows: list[dict[str, Any]] | None = None, **more: Any) -> None:
    """Publish a version of `by_dest` without Spark."""
    kinds = {"dest": pa.string(), "day": pa.int32(), **GROUP_TYPES}
    written = ROWS if rows is None else rows
    table = pa.table({name: pa.array([r.get(name) for r in written], kind) for name, kind in kinds.items()})
    with store.locked("by_dest"):
        staging = stage_version(store, "by_dest", 1, "run")
        staging.write_groups(table)
        spread = Quantiles(count=2, min=10, q25=15, median=20, q75=25, max=30)
        version = VersionRecord(
            number=1,
            run_id="run",
            started_at="2024-01-01T00:00:00+00:00",
            published_at="2024-01-01T00:00:09+00:00",
            mf_version="0",
            libraries={},
            definition={},
            fingerprints=Fingerprints(definition=fingerprint, metadata="", data="", environment=""),
            group_by=["dest", "day"],
            label="y",
            task="regression",
            features=[],
            statuses={"trained": 3, "too_few_rows": 1, "null_key": 1, "failed": 1},
            rows=464,
            rows_without_label=5,
            metrics={"rmse": spread},
            baseline={"rmse": spread.model_copy(update={"median": 25.0})},
            cpu_seconds=1.0,
            wall_seconds=2.0,
            training_seconds=1.0,
            slots=2,
            efficiency=0.5,
            files=staging.seal(),
        )
        publish_version(store, staging, version.model_copy(update=more))
        staging.discard()


def strict(text: str) -> list[dict[str, Any]]:
    """Read JSON lines as any program would, where NaN is no JSON."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


# Families --------------------------------------------------------------------------------------------------------


def test_json_lines_have_the_keys_of_the_contract(mf: Runner) -> None:
    result = mf("--output", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    built, never = strict(result.stdout)
    assert list(built) == list(never) == KEYS.split()
    assert built == {
        "name": "by_dest",
        "path": "families/a/by_dest.yml",
        "source": "s",
        "group_by": ["dest", "day"],
        "label": "y",
        "estimator": "LinearRegression",
        "tags": ["nightly"],
        "owner": "me",
        "state": "current",
        "current_version": 1,
        "trained_at": "2024-01-01T00:00:09+00:00",
        "groups": {"trained": 3, "too_few_rows": 1, "null_key": 1, "failed": 1},
        "metrics": {"rmse": 20.0},
        "baseline": {"rmse": 25.0},
        "own_groups": 3,
        "fallback": None,
    }
    assert (never["name"], never["source"], never["label"], never["estimator"]) == ("kinds", "s", None, "KMeans")
    assert (never["state"], never["current_version"], never["groups"]) == ("never built", None, {})


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        ("name", ["by_dest", "kinds"]),
        ("path", ["families/a/by_dest.yml", "families/kinds.toml"]),
    ],
)
def test_lines_for_programs(mf: Runner, output: str, lines: list[str]) -> None:
    assert mf("--output", output).stdout.splitlines() == lines


def test_selectors_select_what_they_name(mf: Runner) -> None:
    for line, name in zip(mf("--output", "selector").stdout.splitlines(), ["by_dest", "kinds"], strict=True):
        assert mf("--output", "name", "--select", line).stdout.splitlines() == [name]


@pytest.mark.parametrize("keys", ["name,label", "name label", "name, label", " name,,label "])
def test_keys_are_chosen_and_ordered(mf: Runner, keys: str) -> None:
    assert strict(mf("-o", "json", "--output-keys", keys).stdout)[0] == {"name": "by_dest", "label": "y"}
    assert list(strict(mf("-o", "json", "--output-keys", "label name").stdout)[0]) == ["label", "name"]


@pytest.mark.parametrize("select", [[], ["-s", "nothing"]], ids=["some", "none"])
def test_an_unknown_key_is_a_mistake_even_if_nothing_is_selected(mf: Runner, select: list[str]) -> None:
    result = mf("-o", "json", "--output-keys", "nme", *select)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "did you mean `name`?" in result.stderr


def test_csv_has_a_header_and_a_line_per_family(mf: Runner) -> None:
    built, never = csv.DictReader(io.StringIO(mf("-o", "csv").stdout))
    assert list(built) == KEYS.split()
    assert built["group_by"] == "dest day"
    assert built["groups"] == "trained=3 too_few_rows=1 null_key=1 failed=1"
    assert never["current_version"] == ""


def test_csv_of_nothing_is_its_header(mf: Runner) -> None:
    assert mf("-o", "csv", "-s", "nothing").stdout.splitlines() == [KEYS.replace(" ", ",")]


@pytest.mark.parametrize("output", ["json", "name", "path", "selector"])
def test_nothing_selected_is_no_output_and_no_error(mf: Runner, output: str) -> None:
    result = mf("-o", output, "-s", "nothing")
    assert (result.exit_code, result.stdout) == (0, "")


def test_the_table_tells_name_estimator_keys_counts_metrics_and_state(mf: Runner) -> None:
    result = mf()
    assert result.exit_code == 0
    for told in (
        "by_dest",
        "LinearRegression",
        "dest, day",
        "3 trained",
        "1 failed",
        "rmse 20",
        "(25)",
        "v1",
        "current",
    ):
        assert told in result.stdout
    assert "never built" in result.stdout


def test_selection_and_exclusion_work_as_in_dbt(mf: Runner) -> None:
    assert mf("-o", "name", "-s", "tag:nightly").stdout == "by_dest\n"
    assert mf("-o", "name", "--exclude", "tag:nightly").stdout == "kinds\n"
    assert mf("-o", "name", "-s", "kinds", "-s", "by_dest").stdout == "by_dest\nkinds\n"


def test_a_changed_definition_is_modified_and_a_changed_description_is_not(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "p")
    file = tmp_path / "p" / "families" / "a" / "by_dest.yml"
    text = file.read_text(encoding="utf-8")
    for change, state in (("owner: you", "current"), ("owner: me\n  seed: 5", "modified")):
        file.write_text(text.replace("owner: me", change), encoding="utf-8")
        (found,) = strict(invoke(tmp_path / "p", "ls", "-o", "json", "-s", "by_dest").stdout)
        assert found["state"] == state


@pytest.mark.parametrize("content", ["", "{", '{"schema": 99}', '{"schema": 0}'])
def test_a_bad_manifest_is_one_clear_message(tmp_path: Path, content: str) -> None:
    folder = write_project(tmp_path / "p", {**FILES, "store/by_dest/manifest.json": content})
    result = invoke(folder, "ls")
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 2
    assert "unreadable" in result.stdout
    assert "kinds" in result.stdout  # the other families are listed all the same
    assert "store/by_dest/manifest.json" in result.stderr


def test_listing_writes_nothing(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "p", FILES)
    before = sorted(folder.rglob("*"))
    assert invoke(folder, "ls").exit_code == 0
    assert sorted(folder.rglob("*")) == before


# Groups ----------------------------------------------------------------------------------------------------------


def groups(mf: Runner, *arguments: str) -> list[dict[str, Any]]:
    result = mf("--groups", "by_dest", "-o", "json", *arguments)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def names(found: list[dict[str, Any]]) -> list[tuple[str | None, int]]:
    return [(r["dest"], r["day"]) for r in found]


def test_groups_come_with_their_keys_and_outcomes(mf: Runner) -> None:
    found = groups(mf)
    assert len(found) == len(ROWS)
    assert list(found[0]) == ["dest", "day", *GROUP_TYPES]
    assert found[0]["metrics"] == {"rmse": 10.0}
    assert found[-1]["dest"] is None


def test_groups_that_have_chosen_show_what(mf: Runner, tmp_path: Path) -> None:
    folder = write_project(tmp_path, FILES)
    chosen = [
        row("LAX", 1, "trained", 300, 10.0, chosen="Ridge(alpha=0.1)", candidates=[("Ridge(alpha=0.1)", 9.5)]),
        row("SFO", 1, "trained", 200, 11.0, chosen="Lasso()", candidates=[("Ridge(alpha=0.1)", 9.5), ("Lasso()", 9.0)]),
        row("XYZ", 1, "too_few_rows", 2, candidates=[]),
    ]
    build(Store(folder / "store"), "", rows=chosen, chosen={"Lasso()": 1, "Ridge(alpha=0.1)": 1})
    shown = invoke(folder, "ls", "--groups", "by_dest").stdout
    assert "chosen" in shown.splitlines()[0]
    assert "Ridge(alpha=0.1)" in shown
    where = invoke(folder, "ls", "--groups", "by_dest", "--where", "chosen = 'Lasso()'", "-o", "json").stdout
    (found,) = map(json.loads, where.splitlines())
    assert (found["dest"], found["candidates"]) == ("SFO", {"Ridge(alpha=0.1)": 9.5, "Lasso()": 9.0})
    said = invoke(folder, "show", "by_dest").stdout
    assert re.search(r"groups of v1 +chosen candidate\n─+\n1 +Lasso\(\)\n1 +Ridge\(alpha=0.1\)", said)
    assert json.loads(invoke(folder, "show", "by_dest", "-o", "json").stdout)["versions"][0]["chosen"]["Lasso()"] == 1
    one = invoke(folder, "show", "by_dest", "--group", "dest=SFO", "--group", "day=1").stdout
    assert "{Ridge(alpha=0.1): 9.5, Lasso(): 9}" in one
    assert "chosen" not in mf("--groups", "by_dest").stdout.splitlines()[0]


@pytest.mark.parametrize("arguments", [["--groups", "by_dest"], []], ids=["groups", "families"])
def test_json_is_json_even_where_a_metric_is_not_a_number(mf: Runner, arguments: list[str]) -> None:
    assert strict(mf("-o", "json", *arguments).stdout)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("status = failed", [("O'Hare", 1)]),
        ("status = trained and rmse > 20", [("LAX", 2)]),
        ("dest = LAX and day in (2, 3)", [("LAX", 2)]),
        ("dest is null", [(None, 1)]),
        ("n_rows >= 300", [("LAX", 1)]),
        ("n_rows > 1000", []),
    ],
)
def test_groups_are_filtered(mf: Runner, where: str, found: list[tuple[str | None, int]]) -> None:
    assert names(groups(mf, "--where", where)) == found


def test_groups_are_sorted_by_column_or_metric_and_limited(mf: Runner) -> None:
    assert [r["n_rows"] for r in groups(mf, "--sort", "n_rows")] == [2, 5, 7, 50, 100, 300]
    assert [r["n_rows"] for r in groups(mf, "--sort", "-n_rows", "--limit", "2")] == [300, 100]
    assert names(groups(mf, "--where", "rmse > 0", "--sort", "-rmse")) == [("LAX", 2), ("LAX", 1)]
    assert groups(mf, "--limit", "0") == []


def test_what_has_no_value_is_sorted_last_in_both_directions(mf: Runner) -> None:
    for sort in ("rmse", "-rmse"):
        assert [r["metrics"] == {} for r in groups(mf, "--sort", sort)][-3:] == [True] * 3


def test_groups_as_csv_and_chosen_keys(mf: Runner) -> None:
    lines = mf("--groups", "by_dest", "-o", "csv", "--output-keys", "dest,status", "--limit", "3").stdout.splitlines()
    assert lines == ["dest,status", "LAX,trained", "LAX,trained", "O'Hare,failed"]


def test_the_table_of_groups_tells_why_and_takes_no_text_for_markup(mf: Runner) -> None:
    shown = mf("--groups", "by_dest").stdout
    assert "ValueError: bad, [bold]input[/bold]" in shown
    assert "5 rows without a label were left out" in shown
    assert "null" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--groups", "by_dst"], "did you mean `by_dest`?"),
        (["--groups", "kinds"], "never built"),
        (["--groups", "by_dest", "--where", "statsu = failed"], "did you mean `status`?"),
        (["--groups", "by_dest", "--where", "status ="], "--where"),
        (["--groups", "by_dest", "--sort", "n_row"], "did you mean `n_rows`?"),
        (["--groups", "by_dest", "--sort", "metrics"], "metrics"),
        (["--groups", "by_dest", "--sort", "warnings"], "warnings"),
        (["--groups", "by_dest", "--limit", "-1"], "limit"),
        (["--groups", "by_dest", "-o", "name"], "groups"),
        (["--groups", "by_dest", "-o", "json", "--output-keys", "dst"], "did you mean `dest`?"),
        (["--groups", "by_dest", "-o", "json", "--output-keys", "dst", "--limit", "0"], "did you mean `dest`?"),
        (["--groups", "by_dest", "--select", "kinds"], "--groups"),
        (["--where", "n_rows > 5"], "--groups"),
        (["--sort", "n_rows"], "--groups"),
        (["--limit", "5"], "--groups"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments_are_told_clearly(mf: Runner, arguments: list[str], words: str) -> None:
    result = mf(*arguments)
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_a_lost_group_table_is_one_clear_message(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "p")
    (file,) = (tmp_path / "p" / "store" / "by_dest").rglob("groups/*.parquet")
    file.unlink()
    result = invoke(tmp_path / "p", "ls", "--groups", "by_dest")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "error[MF403]" in result.stderr


def test_a_wrong_parameter_hides_only_its_own_family(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "p")
    kinds = tmp_path / "p" / "families" / "kinds.toml"
    kinds.write_text(kinds.read_text(encoding="utf-8").replace("KMeans", "KMaens"), encoding="utf-8")
    listed = invoke(tmp_path / "p", "ls", "-s", "by_dest", "-o", "name")
    assert (listed.exit_code, listed.stdout) == (0, "by_dest\n")
    assert invoke(tmp_path / "p", "ls").exit_code == 2
    kinds.write_text("families = 1", encoding="utf-8")
    assert invoke(tmp_path / "p", "ls", "-s", "by_dest").exit_code == 2


# What stands in ---------------------------------------------------------------------------------------------------


def with_fallback(folder: Path, fallback: str, **more: Any) -> Path:
    """Write the project with something that stands in for groups of `by_dest`, and publish a version."""
    write_project(folder, FILES)
    file = folder / "families/a/by_dest.yml"
    file.write_text(file.read_text(encoding="utf-8").rstrip() + f"\n  fallback: {fallback}\n", encoding="utf-8")
    build(Store(folder / "store"), "other", **more)
    return folder


def test_a_family_with_a_fallback_tells_how_many_groups_need_none(project: Path, tmp_path: Path) -> None:
    folder = with_fallback(tmp_path, "global")
    (built,) = strict(invoke(folder, "ls", "-s", "by_dest", "-o", "json").stdout)
    assert (built["own_groups"], built["fallback"]) == (3, "global")
    assert "3 of 6 on their own" in invoke(folder, "ls").stdout
    without = strict(invoke(project, "ls", "-o", "json").stdout)
    assert {(f["name"], f["own_groups"], f["fallback"]) for f in without} == {
        ("by_dest", 3, None),
        ("kinds", None, None),
    }
    assert "on their own" not in invoke(project, "ls").stdout


TRAINED = GlobalModelRecord(
    status="trained", n_rows=1_000_000, n_train=80_000, n_test=20_000, metrics={"rmse": 17.0}, baseline={"rmse": 40.0}
)
FAILED = GlobalModelRecord(status="failed", n_rows=9, error_type="ValueError", error="[bold]bad[/bold]")


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (TRAINED, ["global model trained", "fitted on 80,000 rows", "rmse 17 (40)"]),
        (FAILED, ["global model failed", "ValueError: [bold]bad[/bold]"]),
        (GlobalModelRecord(status="one_class", n_rows=9), ["global model one_class"]),
    ],
    ids=lambda value: getattr(value, "status", ""),
)
def test_show_tells_what_came_of_the_global_model(tmp_path: Path, model: GlobalModelRecord, told: list[str]) -> None:
    folder = with_fallback(tmp_path, "global", global_model=model)
    shown = invoke(folder, "show", "by_dest").stdout
    assert [text for text in told if text not in shown] == []
    document = json.loads(invoke(folder, "show", "by_dest", "-o", "json").stdout)
    assert document["versions"][0]["global_model"] == model.model_dump(mode="json")


def test_show_without_a_global_model_tells_of_none(project: Path) -> None:
    assert "global" not in invoke(project, "show", "by_dest").stdout
