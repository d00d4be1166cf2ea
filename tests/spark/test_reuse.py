"""Builds of what has changed: which groups are trained, which stand, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import RecordingReporter, workspace_of, write_project

from modelfactory import open_store
from modelfactory.commands.build import build
from modelfactory.commands.candidates import publish, show_candidate
from modelfactory.commands.inspect import list_groups
from modelfactory.commands.project_options import ProjectOptions
from modelfactory.commands.report import FamilyResult
from modelfactory.commands.run import start_run
from modelfactory.commands.scope import WHAT_CHANGED, Scope
from modelfactory.store.history import prune
from modelfactory.store.store import Store

FAMILY = """\
families:
- name: f
  group_by: [k]
  source: rows
  features: [x]
  label: y
  evaluate: {holdout: 0.3}
  max_failed: 50%
  preprocess: {numeric: {class: PowerTransformer, params: {method: box-cox}}}  # fails on a number below zero
  estimator: {class: DecisionTreeRegressor, params: {max_depth: 3, max_features: 1}}
"""
KEYS = ["a", "b", "c"]


def rows(keys: list[str], n: int = 30, *, seed: int = 0, **shift: float) -> pa.Table:
    """Return rows of some groups, always the same of one key; the labels of some groups are shifted."""
    parts = []
    for key in keys:
        rng = np.random.default_rng([seed, ord(key)])
        x = rng.uniform(1, 2, n)
        y = 3 * x + rng.normal(size=n) + shift.get(key, 0.0)
        parts.append(pa.table({"k": [key] * n, "x": x, "z": rng.uniform(1, 2, n), "y": y}))
    return pa.concat_tables(parts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "sources/s.yml": "sources: [{name: rows, path: rows.parquet}]",
        "families/f.yml": FAMILY,
    }
    write(tmp_path, rows(KEYS))
    return write_project(tmp_path, files)


def write(folder: Path, table: pa.Table) -> None:
    pq.write_table(table, folder / "rows.parquet")


def edit(folder: Path, old: str, new: str) -> None:
    file = folder / "families/f.yml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def run(spark: Any, folder: Path, scope: Scope = WHAT_CHANGED, **libraries: str) -> FamilyResult:
    started = start_run(folder)
    started.libraries.update(libraries)  # type: ignore[attr-defined]
    (result,) = build(workspace_of(folder), RecordingReporter(), session=spark, run=started, scope=scope).families
    return result


def outcomes(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Return status, reason and version of the model of each group."""
    groups = open_store(folder / "store").family("f").groups().to_pylist()
    return {g["k"]: (g["status"], g["reason"], g["model_version"]) for g in groups}


def file_rows(folder: Path, version: int) -> list[str]:
    """Return the groups whose bytes are in the folder of a version."""
    files = folder.glob(f"store/f/v{version:06d}-*/models/*.parquet")
    return sorted(key for file in files for key in pq.read_table(file, columns=["k"])["k"].to_pylist())


def test_a_group_with_other_rows_is_trained_and_the_others_stand(spark: Any, folder: Path) -> None:
    assert run(spark, folder).statuses == {"trained": 3}
    assert outcomes(folder) == dict.fromkeys(KEYS, ("trained", "new", 1))
    first = {g["k"]: g for g in open_store(folder / "store").family("f").groups().to_pylist()}

    unchanged = run(spark, folder)
    assert (unchanged.status, unchanged.version, unchanged.statuses) == ("reused", 1, {"reused": 3})
    assert not list(folder.glob("store/f/v000002-*"))

    write(folder, pa.concat_tables([rows(KEYS), rows(["b"], 4, seed=1), rows(["d"])]))
    again = run(spark, folder)
    assert (again.status, again.version, again.statuses) == ("success", 2, {"trained": 2, "reused": 2})
    assert again.reasons == {"new": 1, "data_changed": 1, "unchanged": 2}
    assert outcomes(folder) == {
        "a": ("reused", "unchanged", 1),
        "b": ("trained", "data_changed", 2),
        "c": ("reused", "unchanged", 1),
        "d": ("trained", "new", 2),
    }
    assert file_rows(folder, 2) == ["b", "d"]
    family = open_store(folder / "store").family("f")
    second = {g["k"]: g for g in family.groups().to_pylist()}
    same = ["n_rows", "n_train", "n_test", "metrics", "baseline", "model_bytes", "model_sha256", "data_digest"]
    assert [second["a"][name] for name in same] == [first["a"][name] for name in same]
    assert (second["a"]["fit_seconds"], second["a"]["cpu_seconds"]) == (None, None)
    assert sum(g["n_rows"] for g in second.values()) == 124
    manifest = Store(folder / "store").manifest("f")
    assert manifest is not None
    newest = manifest.versions[-1]
    assert (newest.model_versions, newest.own_groups, newest.metrics["rmse"].count) == ([1, 2], 4, 4)
    # Whoever loads them gets what a build of everything would train, to the byte.
    for key in ("a", "b"):
        assert family.model(k=key)[-1].tree_.node_count > 1
    fresh = run(spark, folder, Scope(full_refresh=True))
    assert (fresh.version, fresh.reasons) == (3, {"full_refresh": 4})
    third = {g["k"]: g for g in open_store(folder / "store").family("f").groups().to_pylist()}
    assert {k: g["model_sha256"] for k, g in third.items()} == {k: g["model_sha256"] for k, g in second.items()}
    assert {g["reason"] for g in third.values()} == {"full_refresh"}
    # Pruning keeps what a kept version needs.
    pruned = prune(Store(folder / "store"), "f", keep=1, delete=True)
    assert [v.number for v in pruned.versions] == [1, 2]
    assert open_store(folder / "store").family("f").model(k="a")[-1].tree_.node_count > 1


def test_what_decides_other_rows_but_not_the_models_of_given_rows_retrains_nothing(spark: Any, folder: Path) -> None:
    run(spark, folder)
    edit(folder, "  label: y", "  label: y\n  where: k <> 'c'\n  min_rows: 10\n  description: told")
    result = run(spark, folder)
    assert (result.version, result.statuses) == (2, {"reused": 3})
    assert outcomes(folder)["c"] == ("reused", "vanished", 1)
    groups = {g["k"]: g for g in open_store(folder / "store").family("f").groups().to_pylist()}
    assert (groups["c"]["n_rows"], groups["c"]["model_version"]) == (0, 1)
    assert run(spark, folder).status == "reused"
    edit(folder, "max_depth: 3", "max_depth: 2")
    result = run(spark, folder)
    assert result.reasons == {"definition_changed": 2, "vanished": 1}
    # The group comes back with the same rows: its model is of another definition by now.
    edit(folder, "  where: k <> 'c'\n", "")
    assert run(spark, folder).reasons == {"definition_changed": 1, "unchanged": 2}
    edit(folder, "max_failed: 50%", "max_failed: 50%\n  on_vanished: retire")
    write(folder, rows(["a", "b"]))
    result = run(spark, folder)
    assert (result.statuses, set(outcomes(folder))) == ({"reused": 2}, {"a", "b"})


def test_other_features_make_the_models_of_before_useless(spark: Any, folder: Path) -> None:
    run(spark, folder)
    edit(folder, "features: [x]", "features: [x, z]")
    bad = rows(["a", "b"]).to_pandas()
    bad.loc[bad.k == "b", "x"] *= -1
    write(folder, pa.Table.from_pandas(bad, preserve_index=False))
    run(spark, folder)
    assert outcomes(folder) == {"a": ("trained", "definition_changed", 2), "b": ("failed", "definition_changed", None)}


def test_a_group_that_fails_keeps_its_last_good_model_and_is_not_tried_for_ever(spark: Any, folder: Path) -> None:
    run(spark, folder)
    bad = rows(KEYS).to_pandas()
    bad.loc[bad.k == "b", "x"] *= -1
    write(folder, pa.Table.from_pandas(bad, preserve_index=False))
    result = run(spark, folder)
    assert (result.version, result.statuses) == (2, {"reused": 2, "failed": 1})
    assert outcomes(folder)["b"] == ("failed", "data_changed", 1)
    family = open_store(folder / "store").family("f")
    assert family.model(k="b")[-1].tree_.node_count > 1
    answers = family.predict(rows(["b"], 3).to_pandas())
    assert set(answers["model_version"]) == {1}
    again = run(spark, folder)
    assert (again.status, again.statuses) == ("reused", {"reused": 2, "failed": 1})
    # On request it is tried again, and no other: the rows of `a` have changed meanwhile.
    write(folder, pa.concat_tables([rows(["a"], 40), rows(["b", "c"])]))
    retried = run(spark, folder, Scope(retry={"f": "current"}))
    assert (retried.version, retried.statuses) == (3, {"trained": 1, "reused": 2})
    assert outcomes(folder) == {
        "a": ("reused", "unchanged", 1),
        "b": ("trained", "retry", 3),
        "c": ("reused", "unchanged", 1),
    }
    assert run(spark, folder).reasons == {"data_changed": 1, "unchanged": 2}


def test_a_candidate_is_kept_and_its_faults_tried_again(spark: Any, folder: Path) -> None:
    edit(folder, "max_failed: 50%", "max_failed: 0")
    bad = rows(KEYS).to_pandas()
    bad.loc[bad.k == "b", "x"] *= -1
    write(folder, pa.Table.from_pandas(bad, preserve_index=False))
    held_back = run(spark, folder)
    assert (held_back.status, held_back.exit_code) == ("error", 1)
    store = Store(folder / "store")
    assert store.manifest("f") is None
    options = ProjectOptions(project_dir=folder, variables={}, environ={})
    found = show_candidate(options, "f")
    assert (found.candidate.version.statuses, found.comparison) == ({"trained": 2, "failed": 1}, None)

    write(folder, rows(KEYS))
    retried = run(spark, folder, Scope(retry={"f": "candidate"}))
    assert (retried.status, retried.version, retried.statuses) == ("success", 1, {"trained": 1, "reused": 2})
    assert file_rows(folder, 1) == KEYS
    family = open_store(folder / "store").family("f")
    assert {family.model(k=key)[-1].tree_.node_count > 1 for key in KEYS} == {True}
    assert not (folder / "store/f/candidate.json").exists()
    assert len(list(folder.glob("store/f/v0*"))) == 1

    write(folder, pa.Table.from_pandas(bad, preserve_index=False))
    assert run(spark, folder).status == "error"
    assert store.manifest("f").current == 1  # type: ignore[union-attr]
    assert show_candidate(options, "f").comparison is not None
    assert publish(options, "f").current == 2
    assert outcomes(folder)["b"] == ("failed", "data_changed", 1)


def test_other_libraries_retrain_where_the_family_says_so(spark: Any, folder: Path) -> None:
    run(spark, folder, numpy="1.0")
    told = run(spark, folder)
    assert (told.status, told.other_libraries) == ("reused", 3)
    edit(folder, "max_failed: 50%", "max_failed: 50%\n  retrain_on: [environment]")
    result = run(spark, folder)
    assert result.reasons == {"environment_changed": 3}
    assert run(spark, folder).status == "reused"


CONTEST = """\
families:
- name: f
  group_by: [k]
  source: rows
  features: [x]
  label: y
  evaluate: {holdout: 0.3}
  estimator: LinearRegression
  tests:
  - beats_current: {metric: rmse, min_share: 0.9}
"""


@pytest.fixture
def contest(folder: Path) -> Path:
    (folder / "families/f.yml").write_text(CONTEST, encoding="utf-8")
    return folder


def measured(folder: Path, *, candidate: bool = False) -> dict[str, tuple[dict[str, float], dict[str, float]]]:
    """Return metrics of each group and of its champion."""
    table = list_groups(workspace_of(folder), "f", where=None, sort=None, limit=None, candidate=candidate)
    rows = table.to_pylist(maps_as_pydicts="strict")
    return {g["k"]: (g["metrics"], g["champion"]) for g in rows}


def test_a_worse_model_is_held_back_or_does_not_replace_the_champion(spark: Any, contest: Path) -> None:
    run(spark, contest)
    first = measured(contest)
    assert {champion == {} for _, champion in first.values()} == {True}
    edit(contest, "estimator: LinearRegression", "estimator: {class: DecisionTreeRegressor, params: {max_depth: 1}}")
    held_back = run(spark, contest)
    assert (held_back.status, held_back.exit_code, held_back.statuses) == ("error", 1, {"trained": 3})
    # The champion is measured on the very rows that the new model is, which it was not fitted on.
    candidate = measured(contest, candidate=True)
    for key, (_, champion) in candidate.items():
        assert champion == pytest.approx(first[key][0])
    assert all(new["rmse"] > champion["rmse"] for new, champion in candidate.values())

    edit(contest, "min_share: 0.9", "min_share: 0.9, per_group: true")
    result = run(spark, contest)
    assert (result.status, result.version, result.statuses) == ("success", 2, {"reused": 3})
    assert outcomes(contest) == dict.fromkeys(KEYS, ("reused", "champion_stands", 1))
    groups = {g["k"]: g for g in open_store(contest / "store").family("f").groups().to_pylist()}
    assert groups["a"]["warnings"][0].startswith("the new model lost: rmse ")
    assert groups["a"]["n_train"] + groups["a"]["n_test"] == 30
    assert measured(contest)["a"][0] == pytest.approx(first["a"][0])
    assert open_store(contest / "store").family("f").model(k="a").coef_.shape == (1,)
    # What was decided stands: nobody fits a loser every night.
    assert run(spark, contest).status == "reused"
    # A better one replaces it, group by group; these are solved all at once.
    write(contest, pa.concat_tables([rows(["a"]), rows(["b"], 200), rows(["c"])]))
    edit(contest, "{class: DecisionTreeRegressor, params: {max_depth: 1}}", "LinearRegression")
    edit(contest, "min_share: 0.9, per_group: true", "min_share: 0.1, tolerance: 0.0, per_group: true")
    run(spark, contest)
    found = measured(contest)
    assert outcomes(contest)["a"] == ("trained", "definition_changed", 3)  # as good as the champion, which is equal
    assert found["a"][0] == pytest.approx(found["a"][1])
    new, champion = found["b"]
    stands = outcomes(contest)["b"][0] == "reused"
    assert champion["rmse"] > 0
    assert stands == (new["rmse"] == champion["rmse"])
