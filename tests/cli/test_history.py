"""`mf show`, `mf diff --versions`, `mf rollback` and `mf prune`, with versions that are written without Spark."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_samples import publish_family, stage, version
from support import ONE_ROW, _cache, workspace_of, write_project
from typer.testing import CliRunner, Result

from modelfactory.cli.app import app
from modelfactory.plan.fingerprint import plain
from modelfactory.plan.outcomes import Status
from modelfactory.store.group_changes import compare_groups
from modelfactory.store.groups import GROUP_TYPES
from modelfactory.store.manifest import Fingerprints, Manifest, MeaningRecord, Quantiles
from modelfactory.store.store import Store
from modelfactory.store.versions import next_number, publish_version, stage_version

Group = tuple[Any, str, Mapping[str, float], str]
"""Key, status, metrics and digest."""
OLD: tuple[Group, ...] = (
    ("a", "trained", {"rmse": 1.0, "r2": 0.5}, "1"),
    ("b", "trained", {"rmse": 2.0, "r2": 0.5}, "1"),
    ("c", "trained", {"rmse": 3.0}, "1"),
    ("lost", "trained", {"rmse": 4.0}, "1"),
    ("gained", "failed", {}, "1"),
    ("gone", "trained", {"rmse": 9.0}, "1"),
    (None, "trained", {"rmse": 5.0}, "1"),
)
NEW: tuple[Group, ...] = (
    (None, "trained", {"rmse": 25.0}, "1"),
    ("a", "trained", {"rmse": 0.5, "r2": 0.75}, "2"),
    ("b", "trained", {"rmse": 2.5, "r2": 0.5}, "1"),
    ("c", "trained", {"rmse": 3.0}, "1"),
    ("fresh", "trained", {"rmse": 7.0}, "1"),
    ("gained", "trained", {"rmse": 6.0}, "1"),
    ("lost", "failed", {}, "1"),
)


def table(groups: Sequence[Group], kind: pa.DataType | None = None) -> pa.Table:
    """Return a group table by `k`, whose groups have as many rows as their place says."""
    rows = [
        {
            "status": status,
            "model_version": 1 if status in ("trained", "reused") else None,
            "n_rows": n,
            "metrics": list(metrics.items()),
            "data_digest": digest,
            "baseline": [],
            "warnings": [],
            "error": "no [bold]luck" if status == "failed" else None,
        }
        for n, (_, status, metrics, digest) in enumerate(groups, start=1)
    ]
    columns = {name: pa.array([row.get(name) for row in rows], type_) for name, type_ in GROUP_TYPES.items()}
    return pa.table({"k": pa.array([key for key, *_ in groups], kind or pa.string()), **columns})


def publish(folder: Path, groups: Sequence[Group], *, definition: str = "", **more: Any) -> Manifest:
    """Publish a version of `f` with these groups; it has the definition of the project's files unless it is given."""
    workspace = workspace_of(folder)
    step, store = workspace.plan.steps[0], workspace.store
    number = next_number(store, "f")
    spread = Quantiles(count=3, min=0, q25=1, median=2.0 * number, q75=3, max=4)
    prints = Fingerprints(
        definition=definition or step.definition_fingerprint, metadata="", data=str(groups), environment=""
    )
    kept = {
        "fingerprints": prints,
        "meaning": MeaningRecord(**plain(step.meaning)),
        "metrics": {"rmse": spread},
        "baseline": {"rmse": spread.model_copy(update={"median": 5.0})},
        "git_commit": "0123456789abcdef",
    }
    with store.locked("f"):
        staging = stage_version(store, "f", number, f"run{number}")
        staging.write_groups(table(groups))
        return publish_version(store, staging, version(number, staging.seal()).model_copy(update={**kept, **more}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project whose family has three versions; the last two differ in groups, the first in its definition."""
    write_project(tmp_path, ONE_ROW)
    publish(tmp_path, OLD, definition="other")
    publish(tmp_path, OLD)
    publish(tmp_path, NEW)
    return tmp_path


def mf(folder: Path, command: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, [command, "--project-dir", str(folder), *arguments], env=_cache())


def manifest_of(folder: Path) -> Manifest:
    manifest = Store(folder / "store").manifest("f")
    assert manifest is not None
    return manifest


# show -----------------------------------------------------------------------------------------------------------------


def test_show_lists_versions_newest_first_with_what_differs(folder: Path) -> None:
    assert mf(folder, "rollback", "f", "--to", "2").exit_code == 0
    shown = mf(folder, "show", "f").stdout
    rows = shown[shown.index("version") :].splitlines()
    assert [line.split()[:2] for line in rows if line.startswith("v")] == [
        ["version", "groups"],
        ["v3", "1"],
        ["v2", "current"],
        ["v1", "1"],
    ]
    assert "rmse 6 (5)" in shown
    assert "01234567" in shown
    assert "0123456789" not in shown


def test_show_in_json_has_all_of_each_version(folder: Path) -> None:
    document = json.loads(mf(folder, "show", "f", "--output", "json").stdout)
    versions = document["versions"]
    assert [(v["number"], v["current"], v["definition_changed"]) for v in versions] == [
        (1, False, None),
        (2, False, True),
        (3, True, False),
    ]
    for v in versions:
        assert v["bytes"] == sum(file["bytes"] for file in v["files"]) > 0
        assert {"published_at", "git_commit", "statuses", "metrics", "baseline", "run_id"} <= v.keys()
    assert document["definition"]


# diff --versions ------------------------------------------------------------------------------------------------------


def compared(folder: Path, *arguments: str) -> dict[str, Any]:
    result = mf(folder, "diff", "f", "--versions", *arguments, "--output", "json")
    assert result.exit_code == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_two_versions_are_compared_group_by_group(folder: Path) -> None:
    found = compared(folder, "2", "3")
    assert (found["schema"], found["family"], found["current_version"]) == (1, "f", 3)
    assert found["groups"] == {
        "old": 7, "new": 7, "gained": 1, "lost": 1, "added": 1, "vanished": 1, "same_rows": 5
    }  # fmt: skip
    rmse, r2 = found["metrics"]
    assert rmse == {
        "name": "rmse", "higher_is_better": False, "compared": 4, "better": 1, "worse": 2, "equal": 1,
        "old_median": 3.5, "new_median": 4.5,
    }  # fmt: skip
    assert (r2["name"], r2["higher_is_better"], r2["compared"], r2["better"], r2["equal"]) == ("r2", True, 2, 1, 1)
    assert found["ranked_by"] == "rmse"
    assert found["worst"] == [
        {"key": {"k": None}, "old": 5.0, "new": 25.0, "old_rows": 7, "new_rows": 1},
        {"key": {"k": "b"}, "old": 2.0, "new": 2.5, "old_rows": 2, "new_rows": 3},
    ]
    assert [group["key"] for group in found["best"]] == [{"k": "a"}]
    assert found["lost_groups"] == [{"key": {"k": "lost"}, "old": "trained", "new": "failed", "error": "no [bold]luck"}]
    statuses = {(s["old"], s["new"]): s["groups"] for s in found["statuses"]}
    assert statuses == {
        ("trained", "trained"): 4,
        ("trained", "failed"): 1,
        ("failed", "trained"): 1,
        ("trained", None): 1,
        (None, "trained"): 1,
    }
    assert (found["definition_changed"], found["data_changed"], found["same_test_rows"]) == (False, True, False)


def test_a_definition_and_libraries_that_differ_are_named(folder: Path) -> None:
    text = (folder / "families/f.yml").read_text(encoding="utf-8")
    (folder / "families/f.yml").write_text(text + "  seed: 7\n", encoding="utf-8")
    environment = {"libraries": {"scikit-learn": "9.9"}}
    publish(folder, NEW, **environment)
    found = compared(folder, "3", "4")
    assert [(c["path"], c["new"]) for c in found["changes"]] == [("seed", 7)]
    assert found["definition_changed"]
    assert found["libraries"] == {"scikit-learn": {"old": None, "new": "9.9"}}
    assert (found["data_changed"], found["same_test_rows"]) == (False, False)
    shown = mf(folder, "diff", "f", "--versions", "3", "4").stdout
    assert "changed: 1 value" in shown
    assert "the versions were measured in other ways" in shown


def test_the_same_version_twice_differs_in_nothing(folder: Path) -> None:
    result = mf(folder, "diff", "f", "--versions", "3", "3", "--detailed-exitcode")
    assert result.exit_code == 0
    assert "cannot be compared strictly" not in result.stdout
    assert compared(folder, "3", "3")["same_test_rows"]
    publish(folder, NEW)
    assert mf(folder, "diff", "f", "--versions", "3", "4", "--detailed-exitcode").exit_code == 0
    assert mf(folder, "diff", "f", "--versions", "2", "4", "--detailed-exitcode").exit_code == 3
    assert mf(folder, "diff", "f", "--versions", "1", "2", "--detailed-exitcode").exit_code == 3  # the definition alone


@pytest.mark.parametrize("output", ["text", "markdown"])
def test_people_read_the_same(folder: Path, output: str) -> None:
    shown = mf(folder, "diff", "f", "--versions", "2", "3", "--output", output).stdout
    assert "version 2 → version 3" in shown
    assert "7 groups: 1 gained a model, 1 lost their model, 1 new, 1 vanished" in shown
    assert "1 of 6 groups were measured on other rows or columns" in shown
    assert "3.5 → 4.5" in shown
    assert "k=null" in shown
    assert "no [bold]luck" in shown
    assert not any(line.endswith(" ") for line in shown.splitlines())


def test_metrics_with_other_names_are_told_of_one_side(folder: Path) -> None:
    publish(folder, [("a", "trained", {"mae": 1.0}, "1"), ("b", "trained", {"made_up": 2.0}, "1")])
    metrics = {m["name"]: m for m in compared(folder, "3", "4")["metrics"]}
    assert (metrics["rmse"]["compared"], metrics["rmse"]["new_median"]) == (0, None)
    assert (metrics["mae"]["compared"], metrics["mae"]["old_median"], metrics["mae"]["new_median"]) == (0, None, 1.0)
    assert metrics["made_up"]["higher_is_better"] is None
    shown = mf(folder, "diff", "f", "--versions", "3", "4").stdout
    assert "none → 1" in shown
    assert "most lost" not in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("f", "--versions", "2", "9"), "family `f` has no version 9\nhelp: it has 1, 2, 3"),
        (("ff", "--versions", "1", "2"), "no family `ff` in the project\nhelp: did you mean `f`?"),
        (("--versions", "1", "2"), "mf diff FAMILY --versions OLD NEW"),
        (("f", "--versions", "1", "x"), "Input should be a valid integer"),
        (("f", "--versions", "1"), "requires 2 arguments"),
        (("f", "--versions", "1", "2", "--output", "github"), "goes with neither"),
        (("f", "--versions", "1", "2", "--no-store"), "goes with neither"),
    ],
)
def test_what_cannot_be_compared_is_one_message(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    result = mf(folder, "diff", *arguments)
    assert result.exit_code == 2
    assert " ".join(said.split()) in " ".join(result.stderr.replace("│", "").split())
    assert result.stdout == ""


def test_versions_of_other_group_columns_cannot_be_compared(folder: Path) -> None:
    publish(folder, NEW, group_by=["k", "j"])
    result = mf(folder, "diff", "f", "--versions", "3", "4")
    assert result.exit_code == 2
    assert "have other groups: by `k`, and by `k`, `j`" in result.stderr


# Comparing group tables -----------------------------------------------------------------------------------------------

values = st.one_of(st.none(), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1.0, 2.0]))


@st.composite
def two_tables(draw: st.DrawFn) -> tuple[list[Group], list[Group]]:
    def one() -> list[Group]:
        keys = draw(st.lists(st.one_of(st.none(), st.integers(0, 9)), unique=True, max_size=8))
        return [
            (
                key,
                draw(st.sampled_from([Status.TRAINED, Status.REUSED, Status.FAILED])).value,
                {} if (value := draw(values)) is None else {"rmse": value},
                draw(st.sampled_from("12")),
            )
            for key in keys
        ]

    return one(), one()


@given(both=two_tables(), kinds=st.tuples(*[st.sampled_from([pa.int32(), pa.int64(), pa.string()])] * 2))
def test_what_is_told_of_groups_is_what_counting_one_by_one_tells(
    both: tuple[list[Group], list[Group]], kinds: tuple[pa.DataType, pa.DataType]
) -> None:
    def keyed(groups: list[Group], kind: pa.DataType) -> pa.Table:
        texts = [(str(key) if kind == pa.string() and key is not None else key, *rest) for key, *rest in groups]
        return table(texts, kind)  # type: ignore[arg-type]

    found = compare_groups(keyed(both[0], kinds[0]), keyed(both[1], kinds[1]), ["k"])
    old, new = ({key: rest for key, *rest in groups} for groups in both)
    shared = [key for key in new if key in old]
    assert (found.old, found.new) == (len(old), len(new))
    assert (found.added, found.vanished) == (len(new) - len(shared), len(old) - len(shared))
    served = {"trained", "reused"}
    assert found.gained == sum(old[k][0] not in served and new[k][0] in served for k in shared)
    assert found.lost == len(found.without) == sum(old[k][0] in served and new[k][0] not in served for k in shared)
    assert found.same_rows == sum(old[k][2] == new[k][2] for k in shared)
    assert sum(change.groups for change in found.statuses) == len(old) + len(new) - len(shared)
    pairs = [(old[k][1].get("rmse", math.nan), new[k][1].get("rmse", math.nan)) for k in shared]
    pairs = [(a, b) for a, b in pairs if not math.isnan(a) and not math.isnan(b)]
    for metric in found.metrics:
        assert metric.compared == len(pairs)
        assert metric.better == sum(b < a for a, b in pairs)
        assert metric.worse == sum(b > a for a, b in pairs)
        assert metric.equal == sum(a == b for a, b in pairs)
    worse = sorted((b - a for a, b in pairs if b > a), reverse=True)
    assert [group.new - group.old for group in found.worst] == worse[:10]
    assert len(found.best) == sum(b < a for a, b in pairs)


# rollback -------------------------------------------------------------------------------------------------------------


def test_a_rollback_says_what_was_and_what_is_and_what_comes(folder: Path) -> None:
    result = mf(folder, "rollback", "f", "--to", "1")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.splitlines() == [
        "family f: version 3 was current, version 1 is now",
        "it was trained from another definition; `mf diff` shows how the files differ from it",
        "the next build trains version 4",
    ]
    assert manifest_of(folder).current == 1
    again = mf(folder, "rollback", "f", "--to", "1")
    assert (again.exit_code, again.stderr) == (0, "version 1 of family f is current already\n")


def test_after_a_rollback_the_state_is_that_of_the_version(folder: Path) -> None:
    def state() -> list[str]:
        return json.loads(mf(folder, "ls", "--output", "json", "--output-keys", "state").stdout)["state"]

    assert state() == "current"
    mf(folder, "rollback", "f", "--to", "1")
    assert state() == "modified"
    assert "v1 → v4" in mf(folder, "plan", "--no-census").stdout
    mf(folder, "rollback", "f", "--to", "2")
    assert state() == "current"


def test_a_dry_run_of_a_rollback_changes_nothing(folder: Path) -> None:
    result = mf(folder, "rollback", "f", "--to", "2", "--dry-run")
    assert result.exit_code == 0
    assert "version 2 would be now" in result.stderr
    assert manifest_of(folder).current == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("f", "--to", "9"), "family `f` has no version 9"),
        (("g", "--to", "1"), "no family `g` in the project"),
        (("f", "--to", "0"), "greater than or equal to 1"),
        (("f",), "Missing option '--to'"),
        (("../store/f", "--to", "1"), "no family `../store/f` in the project"),
    ],
)
def test_what_cannot_be_rolled_back_is_one_message(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    result = mf(folder, "rollback", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert manifest_of(folder).current == 3


def test_a_family_that_the_project_does_not_have_any_more_can_be_rolled_back(folder: Path) -> None:
    text = (folder / "families/f.yml").read_text(encoding="utf-8")
    (folder / "families/f.yml").write_text(text.replace("name: f", "name: g"), encoding="utf-8")
    assert mf(folder, "rollback", "f", "--to", "2").exit_code == 0
    assert manifest_of(folder).current == 2
    assert "was never built" in mf(folder, "rollback", "g", "--to", "2").stderr


def test_a_family_that_is_being_built_is_told_by_exit_code_5(folder: Path) -> None:
    with Store(folder / "store").locked("f", run_id="r9"):
        for arguments in (("rollback", "f", "--to", "1"), ("prune", "--keep", "1", "--delete")):
            result = mf(folder, *arguments)
            assert result.exit_code == 5
            assert "run r9" in result.stderr
    assert len(manifest_of(folder).versions) == 3


# prune ----------------------------------------------------------------------------------------------------------------


def test_prune_lists_and_deletes_only_when_told_to(folder: Path) -> None:
    listed = mf(folder, "prune", "--keep", "1")
    assert listed.exit_code == 0
    assert listed.stdout.splitlines()[-1].split()[:4] == ["f", "v1-v2", "v3", "current"]
    assert "nothing was deleted: `mf prune --delete` does it" in listed.stderr
    assert len(manifest_of(folder).versions) == 3
    done = mf(folder, "prune", "--keep", "1", "--delete")
    assert done.exit_code == 0
    assert "deleted 2 versions" in done.stderr
    assert [v.number for v in manifest_of(folder).versions] == [3]
    assert [path.name for path in (folder / "store/f").glob("v*")] == ["v000003-run3"]
    assert mf(folder, "prune", "--keep", "1", "--delete").stderr == "nothing to delete\n"


def test_prune_keeps_five_unless_told_otherwise(folder: Path) -> None:
    for _ in range(4):
        publish(folder, NEW)
    (family,) = json.loads(mf(folder, "prune", "--output", "json").stdout)["families"]
    assert [v["number"] for v in family["versions"]] == [1, 2]


def test_prune_in_json_has_what_goes_and_what_stays(folder: Path) -> None:
    stage(Store(folder / "store"), 4)  # and the build dies
    document = json.loads(mf(folder, "prune", "--keep", "2", "--output", "json").stdout)
    (first, *_) = manifest_of(folder).versions
    assert document == {
        "schema": 1,
        "keep": 2,
        "deleted": False,
        "families": [
            {
                "family": "f",
                "versions": [{"number": 1, "published_at": first.published_at, "bytes": first.bytes}],
                "kept": [{"number": 2, "why": "newest"}, {"number": 3, "why": "current"}],
                "leftovers": ["f/v000004-run4"],
                "bytes": first.bytes,
            }
        ],
        "foreign": [],
        "errors": [],
    }


def test_one_family_that_is_held_does_not_stop_the_others(tmp_path: Path) -> None:
    two = ONE_ROW["families/f.yml"] + ONE_ROW["families/f.yml"].partition("\n")[2].replace("name: f", "name: g")
    folder = write_project(tmp_path, {**ONE_ROW, "families/f.yml": two})
    publish(folder, OLD)
    publish(folder, OLD)
    publish_family(workspace_of(folder), "g")
    with Store(folder / "store").locked("g"):
        result = mf(folder, "prune", "--keep", "1", "--delete", "--output", "json")
    assert result.exit_code == 5
    assert "family `g` is being built" in result.stderr
    assert json.loads(result.stdout)["errors"]
    assert [v.number for v in manifest_of(folder).versions] == [2]


def test_families_that_the_project_does_not_have_are_left_alone_and_named(folder: Path) -> None:
    text = (folder / "families/f.yml").read_text(encoding="utf-8")
    (folder / "families/f.yml").write_text(text.replace("name: f", "name: g"), encoding="utf-8")
    result = mf(folder, "prune", "--keep", "1")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "left alone, since the project does not have them: f" in result.stderr
    mf(folder, "prune", "--keep", "1", "--delete")
    assert len(manifest_of(folder).versions) == 3


def test_a_renamed_family_is_shown_rolled_back_compared_and_pruned_under_its_new_name(folder: Path) -> None:
    text = (folder / "families/f.yml").read_text(encoding="utf-8").replace("name: f", "name: h")
    (folder / "families/f.yml").write_text(text + "moved: [{from: f, to: h}]\n", encoding="utf-8")
    assert mf(folder, "diff", "h", "--versions", "2", "3").exit_code == 0
    assert mf(folder, "rollback", "h", "--to", "2").exit_code == 0
    assert "v2 current" in mf(folder, "show", "h").stdout
    result = mf(folder, "prune", "--keep", "1", "--delete")
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in (folder / "store/f").glob("v*")) == ["v000002-run2", "v000003-run3"]
    assert mf(folder, "ls", "--groups", "h").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("--keep", "0"), 2), (("--keep", "x"), 2), (("-s", "nope"), 4), (("--output", "csv"), 2)],
)
def test_what_cannot_be_pruned_is_one_message(folder: Path, arguments: tuple[str, ...], code: int) -> None:
    result = mf(folder, "prune", *arguments, "--delete")
    assert result.exit_code == code
    assert "Traceback" not in result.stderr
    assert len(manifest_of(folder).versions) == 3
