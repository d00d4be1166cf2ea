"""What builds make of the groups of a census, one after the other; nothing of it needs Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulated_builds import Group, Simulated
from support import write_project

from modelfactory.commands.scope import Scope
from modelfactory.diagnostics import BuildFailed
from modelfactory.plan.outcomes import digest_text

FAMILY = """\
families:
- name: f
  group_by: [k]
  source: s
  features: [x]
  label: y
  evaluate: {holdout: 0.3, metrics: [rmse]}
  max_failed: 60%
  estimator: Ridge
"""
FILES = {"families/f.yml": FAMILY, "sources/s.yml": "sources: [{name: s, path: x.parquet}]"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_project(tmp_path, FILES)


@pytest.fixture
def family(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Simulated:
    return Simulated(folder, monkeypatch)


def edit(folder: Path, old: str, new: str) -> None:
    file = folder / "families/f.yml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def these(*keys: Any, **others: Any) -> dict[Any, Group]:
    """Return groups that are alike."""
    return dict.fromkeys(keys, Group(**others))


def test_what_is_unchanged_stands(family: Simulated) -> None:
    assert family.build(these("a", "b")).statuses == {"trained": 2}
    assert family.build(these("a", "b")).status == "reused"
    assert family.build({**these("a"), **these("b", content=1)}).reasons == {"unchanged": 1, "data_changed": 1}
    assert family.outcomes() == {"a": ("reused", "unchanged", 1), "b": ("trained", "data_changed", 2)}


def test_rounding_that_is_accepted_lets_a_group_in(family: Simulated, folder: Path) -> None:
    family.build({**these("a"), **these("b", inexact=True)})
    assert family.outcomes()["b"] == ("failed", None, None)
    assert family.build({**these("a"), **these("b", inexact=True)}).status == "reused"
    # `sql` casts it to double now: the rows that workers get have the same digest, and none is inexact.
    family.build(these("a", "b"))
    assert family.outcomes()["b"] == ("trained", "definition_changed", 2)


RETRY = Scope(retry={"f": "current"})
RETRY_CANDIDATE = Scope(retry={"f": "candidate"})


def test_a_key_of_another_type_does_not_stand_there_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Simulated(folder, monkeypatch, pa.string()).build(these("1", "2"))
    later = Simulated(folder, monkeypatch, pa.int64())
    assert later.build(these(1)).reasons == {"new": 1}
    assert later.outcomes() == {1: ("trained", "new", 2)}
    assert later.build(these(1)).status == "reused"


def test_a_key_with_another_hash_has_other_seeds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Simulated(folder, monkeypatch, pa.int32()).build(these(1, 2))
    same = Simulated(folder, monkeypatch, pa.int32())
    assert same.build(these(1, 2)).status == "reused"
    wider = Simulated(folder, monkeypatch, pa.int64())
    assert wider.build(these(1)).reasons == {"definition_changed": 1, "vanished": 1}
    assert wider.outcomes() == {1: ("trained", "definition_changed", 2), 2: ("reused", "vanished", 1)}
    narrower = Simulated(folder, monkeypatch, pa.int16())
    wider.build(these(1, 1 << 40))
    assert narrower.build(these(1)).reasons == {"definition_changed": 1}  # the others have no place in such a column


def test_nan_and_null_are_two_groups(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(folder, "  estimator", "  null_keys: group\n  estimator")
    family = Simulated(folder, monkeypatch, pa.float64())
    groups = {1.5: Group(), float("nan"): Group(content=1), None: Group(content=2)}
    assert family.build(groups).reasons == {"new": 3}
    assert family.build(groups).status == "reused"
    assert family.build({**groups, 2.5: Group()}).reasons == {"new": 1, "unchanged": 3}


def test_a_retry_neither_knows_of_new_metrics_nor_forgets_what_is_to_be_retired(
    family: Simulated, folder: Path
) -> None:
    groups = {**these("a", "c"), **these("b", fate="failed")}
    family.build(groups)
    family.build({"a": Group(), "b": groups["b"]})
    edit(folder, "metrics: [rmse]", "metrics: [rmse, mae]")
    edit(folder, "  estimator", "  on_vanished: retire\n  estimator")
    assert family.build(these("a", "b"), RETRY).statuses == {"trained": 1, "reused": 2}
    assert family.trained == ["b"]
    assert family.current.measured == ["rmse"]
    family.build(these("a", "b"))
    assert family.trained == ["a", "b"]
    assert family.outcomes() == dict.fromkeys("ab", ("trained", "metrics_changed", 4))


def test_a_retry_leaves_a_group_that_is_to_be_retired_to_the_next_build(family: Simulated, folder: Path) -> None:
    groups = {**these("a", "c"), **these("b", fate="failed")}
    family.build(groups)
    family.build({"a": Group(), "b": groups["b"]})
    edit(folder, "  estimator", "  on_vanished: retire\n  estimator")
    family.build({"a": Group(), "b": groups["b"]}, RETRY)
    assert set(family.outcomes()) == {"a", "b", "c"}
    family.build({"a": Group(), "b": groups["b"]})
    assert set(family.outcomes()) == {"a", "b"}


def test_a_group_that_failed_and_vanished_does_not_hold_versions_back(family: Simulated, folder: Path) -> None:
    family.build(these("a", "b"))
    family.build({**these("a"), **these("b", content=1, fate="failed")})
    edit(folder, "max_failed: 60%", "max_failed: 0")
    result = family.build(these("a", content=2))
    assert (result.status, result.reasons) == ("success", {"data_changed": 1, "vanished": 1})
    assert family.outcomes()["b"] == ("failed", "vanished", 1)
    # It comes back with the rows that it failed on. Nobody knows any more by which definition.
    family.build({**these("a", content=2), **these("b", content=1)})
    assert family.outcomes()["b"] == ("trained", "definition_changed", 4)


def test_a_candidate_is_whole_until_another_takes_its_place(family: Simulated, folder: Path) -> None:
    edit(folder, "max_failed: 60%", "max_failed: 0")
    groups = {**these("a"), **these("b", fate="failed")}
    assert family.build(groups).status == "error"
    # The rows of `b` change while a retry reads them.
    with pytest.raises(BuildFailed, match="do not add up"):
        family.build({**groups, "b": Group(others={"data_digest": "1-1-1"})}, RETRY_CANDIDATE)
    assert family.build(these("a", "b"), RETRY_CANDIDATE).status == "success"
    assert family.trained == ["b"]
    assert family.current.files[1].rows + family.current.files[2].rows == 2
    for file in family.current.files:
        assert (folder / "store/f" / file.path).stat().st_size == file.bytes
    assert len(list((folder / "store/f").glob("v*"))) == 1
    assert not (folder / "store/f/candidate.json").exists()


def test_a_candidate_of_which_nothing_can_be_tried_again_is_not_called_current(family: Simulated, folder: Path) -> None:
    edit(folder, "max_failed: 60%", "max_failed: 0")
    family.build({**these("a"), **these("b", fate="failed")})
    assert "no group that failed in the candidate" in family.refused(these("a"), RETRY_CANDIDATE)
    assert family.manifest is None
    assert family.build(these("a")).status == "success"


def test_the_global_model_stands_and_falls_with_all_rows(family: Simulated, folder: Path) -> None:
    edit(folder, "  estimator", "  fallback: global\n  estimator")
    groups = {**these("a"), **these("b", fate="failed")}
    family.build(groups)
    assert family.trained == ["a", "b", "global"]
    family.build(groups)
    assert family.trained == []
    # Another family of this run is tried again; this one was not built.
    family.build({**these("a", content=1), "b": groups["b"]}, Scope(retry={"other": "current"}))
    assert family.trained == ["a", "global"]
    family.build(these("a", "b"), RETRY)
    assert family.trained == ["b"]
    assert family.current.global_model.model_version == 2  # type: ignore[union-attr]
    edit(folder, "metrics: [rmse]", "metrics: [rmse, mae]")
    family.build(these("a", "b"))
    assert family.trained == ["a", "b", "global"]


def test_a_global_model_that_fails_is_not_tried_for_ever(family: Simulated, folder: Path) -> None:
    edit(folder, "  estimator", "  fallback: global\n  estimator")
    family.global_fate = "failed"
    family.build(these("a"))
    assert family.build(these("a")).status == "reused"
    family.libraries["numpy"] = "0"
    family.build(these("a"))
    assert family.trained == ["global"]
    assert family.current.model_versions == [1]
    family.global_fate = "timed_out"
    family.build(these("a", content=1))
    family.global_fate = "trained"
    family.build(these("a", content=1))
    assert family.trained == ["global"]
    assert family.build(these("a", content=1)).status == "reused"


def test_classes_are_those_of_all_models_that_serve(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(folder, "Ridge", "LogisticRegression")
    edit(folder, "[rmse]", "[accuracy]")
    family = Simulated(folder, monkeypatch)
    family.label_type = "string"
    old, new = {"classes": ["x", "z"]}, {"classes": ["x", "y"]}
    family.build(these("a", "b", others=old))
    assert family.current.classes == ["x", "z"]
    family.build({"a": Group(others=new), "b": Group(fate="failed")}, Scope(full_refresh=True))
    assert family.outcomes()["b"] == ("failed", "full_refresh", 1)
    assert family.current.classes == ["x", "y", "z"]
    family.build(these("a", "b", others=new), Scope(full_refresh=True))
    assert family.current.classes == ["x", "y"]


def test_other_libraries_are_a_reason_once(family: Simulated, folder: Path) -> None:
    edit(
        folder,
        "  estimator",
        "  retrain_on: [environment]\n  tests:\n  - beats_current: {metric: rmse, per_group: true}\n  estimator",
    )
    family.build(these("a", rows=40))
    family.libraries["numpy"] = "0"
    assert family.champions(these("a", rows=40)) == {}
    family.build(these("a", rows=40))
    assert family.outcomes() == {"a": ("trained", "environment_changed", 2)}
    assert family.build(these("a", rows=40)).status == "reused"
    assert family.champions(these("a", rows=50)) == {"a": 2}


def test_what_is_said_of_a_build_without_work_is_what_the_plan_says(family: Simulated, folder: Path) -> None:
    edit(folder, "  estimator", "  min_rows: 10\n  estimator")
    groups = {**these("a", "b"), **these("c", rows=5)}
    family.build(groups)
    assert family.plan(groups).reasons == family.build(groups).reasons == {"unchanged": 2}


_GROUPS = st.dictionaries(
    st.sampled_from("abcde"),
    st.builds(
        Group,
        rows=st.sampled_from([5, 30]),
        content=st.integers(0, 1),
        inexact=st.booleans(),
        fate=st.sampled_from(["trained", "trained", "failed", "timed_out"]),
    ),
    min_size=1,
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(builds=st.lists(st.tuples(_GROUPS, st.booleans()), min_size=1, max_size=5))
def test_a_plan_tells_what_a_build_does(tmp_path_factory: Any, builds: list[tuple[dict[str, Group], bool]]) -> None:
    folder = write_project(tmp_path_factory.mktemp("p"), FILES)
    edit(folder, "max_failed: 60%", "max_failed: 100%\n  min_rows: 10")
    with pytest.MonkeyPatch.context() as patch:
        family = Simulated(folder, patch)
        for groups, full_refresh in builds:
            scope = Scope(full_refresh=full_refresh)
            planned, before = family.plan(groups, scope), family.manifest
            result = family.build(groups, scope)
            said = {reason: n for reason, n in result.reasons.items() if reason != "vanished"}
            assert said == {reason: n for reason, n in planned.reasons.items() if reason != "vanished"}
            assert len(family.trained) == sum(said.values()) - said.get("unchanged", 0)
            if result.status == "error":
                assert family.manifest == before
                continue
            rows = family.groups()
            assert sum(g["n_rows"] for g in rows) == sum(g.rows for g in groups.values())
            assert {g["k"] for g in rows} >= set(groups)
            assert len({g["k"] for g in rows}) == len(rows)
            assert {g["model_version"] for g in rows} - {None} <= set(family.current.model_versions)
            for row in rows:
                if (row["status"], row["reason"]) == ("reused", "unchanged"):
                    group = groups[row["k"]]
                    assert row["data_digest"] == digest_text(group.rows, group.content, group.content)
            assert family.build(groups).status == "reused" or "timed_out" in {g["status"] for g in rows}
