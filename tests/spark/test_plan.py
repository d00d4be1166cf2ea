"""`mf plan`: what a build would do, per family and per group; and a build that carries a plan out or refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import RecordingReporter, workspace_of, write_project

from modelfactory.cli.plan_text import plan_markdown, plan_text
from modelfactory.commands.build import build
from modelfactory.commands.planning import plan_workspace
from modelfactory.commands.plans import BuildPlan, PlannedFamily, PlannedGroups, plan_document
from modelfactory.commands.report import BuildResult
from modelfactory.commands.run import start_run
from modelfactory.commands.staleness import check_unmoved
from modelfactory.diagnostics import PlanStale
from modelfactory.store.saved_plan import SavedPlan, read_plan

FAMILIES = """\
families:
- name: first
  group_by: [k]
  source: rows
  features: [x]
  label: y
  min_rows: 3
  estimator: LinearRegression
- name: forest
  group_by: [k]
  source: rows
  features: [x]
  label: y
  estimator: {class: RandomForestRegressor, params: {n_estimators: 5}}
- name: reads
  group_by: [k]
  sql: select rows.* from {{ source('rows') }} rows join {{ ref('first') }} g on rows.k = g.k
  features: [x]
  label: y
  estimator: LinearRegression
"""
SIZES = {"a": 20, "b": 20, "c": 200, "d": 2, None: 4}


def write_rows(folder: Path, sizes: dict[str | None, int], **shift: float) -> None:
    """Write rows of groups of some sizes; the labels of some groups are shifted."""
    rng = np.random.default_rng(5)
    keys = [key for key, size in sizes.items() for _ in range(size)]
    x = rng.normal(size=len(keys))
    y = 2 * x + np.array([shift.get(key or "", 0.0) for key in keys])
    pq.write_table(pa.table({"k": pa.array(keys, pa.string()), "x": x, "y": y}), folder / "rows.parquet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_rows(tmp_path, SIZES)
    sources = "sources: [{name: rows, path: rows.parquet}]"
    return write_project(tmp_path, {"sources/s.yml": sources, "families/f.yml": FAMILIES})


def planned(spark: Any, folder: Path, *select: str) -> BuildPlan:
    workspace = workspace_of(folder, *select)
    return plan_workspace(workspace, start_run(folder).libraries, spark=spark)


def run(spark: Any, folder: Path, *select: str, plan: SavedPlan | None = None) -> BuildResult:
    return build(workspace_of(folder, *select), RecordingReporter(), session=spark, plan=plan)


def family_of(plan: BuildPlan, name: str) -> PlannedFamily:
    return next(family for family in plan.families if family.name == name)


def groups_of(plan: BuildPlan, name: str) -> PlannedGroups:
    groups = family_of(plan, name).groups
    assert groups is not None
    return groups


def edit(folder: Path, old: str, new: str) -> None:
    file = folder / "families/f.yml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_what_was_never_built_is_created(spark: Any, folder: Path) -> None:
    plan = planned(spark, folder)
    assert [(f.name, f.action, f.current) for f in plan.families] == [
        ("first", "create", None),
        ("forest", "create", None),
        ("reads", "create", None),
    ]
    first = groups_of(plan, "first")
    assert dict(first.reasons) == {"new": 3}
    assert dict(first.decided) == {"too_few_rows": 1, "null_key": 1}
    assert (first.rows, first.to_train, first.median_rows) == (246, 3, 20)
    assert (first.heaviest[0].key, first.heaviest[0].rows) == ({"k": "c"}, 200)
    assert 0 < first.wall_seconds <= first.cpu_seconds
    assert (family_of(plan, "reads").groups, family_of(plan, "reads").waits_for) == (None, ("first",))
    assert not (folder / "store").exists()


def test_what_has_changed_is_told_by_group(spark: Any, folder: Path) -> None:
    run(spark, folder)
    plan = planned(spark, folder)
    assert {f.action for f in plan.families} == {"reuse"}
    assert not plan.has_changes
    assert dict(groups_of(plan, "first").reasons) == {"unchanged": 3}
    write_rows(folder, {"a": 20, "c": 201, "d": 5, "e": 30, None: 4})
    plan = planned(spark, folder)
    first = family_of(plan, "first")
    assert (first.action, first.reasons) == ("update", ("data",))
    assert dict(groups_of(plan, "first").examples) == {
        "new": ({"k": "e"},),
        "data_changed": ({"k": "c"}, {"k": "d"}),
        "vanished": ({"k": "b"},),
    }
    # `b` is gone; `d` had too few rows and now has enough: its group is not new, its rows are others.
    assert dict(groups_of(plan, "first").reasons) == {"new": 1, "data_changed": 2, "unchanged": 1, "vanished": 1}
    assert dict(groups_of(plan, "first").decided) == {"null_key": 1}


def test_the_order_of_rows_is_no_change_and_a_label_is(spark: Any, folder: Path) -> None:
    run(spark, folder, "first")
    table = pq.read_table(folder / "rows.parquet")
    pq.write_table(table.take(pa.array(np.arange(table.num_rows)[::-1])), folder / "rows.parquet")
    assert family_of(planned(spark, folder, "first"), "first").action == "reuse"
    write_rows(folder, SIZES, b=1.0)
    changes = groups_of(planned(spark, folder, "first"), "first").reasons
    assert dict(changes) == {"data_changed": 1, "unchanged": 2}


def test_a_null_key_is_a_group_like_any_other_where_it_is_to_be(spark: Any, folder: Path) -> None:
    edit(folder, "min_rows: 3", "min_rows: 3\n  null_keys: group")
    run(spark, folder, "first")
    changes = groups_of(planned(spark, folder, "first"), "first").reasons
    assert dict(changes) == {"unchanged": 4}


def test_keys_of_another_type_are_other_groups(spark: Any, folder: Path) -> None:
    run(spark, folder, "first")
    table = pq.read_table(folder / "rows.parquet")
    keys = pa.array([None if k is None else ord(k) for k in table["k"].to_pylist()], pa.int64())
    pq.write_table(table.set_column(0, "k", keys), folder / "rows.parquet")
    changes = groups_of(planned(spark, folder, "first"), "first").reasons
    assert (changes["new"], changes.get("data_changed"), changes.get("unchanged")) == (3, None, None)


def test_a_changed_definition_and_changed_parents_are_reasons(spark: Any, folder: Path) -> None:
    run(spark, folder)
    edit(folder, "min_rows: 3", "min_rows: 2\n  description: told")
    plan = planned(spark, folder)
    assert [(f.name, f.action, f.reasons) for f in plan.families] == [
        ("first", "update", ("definition",)),
        ("forest", "reuse", ()),
        ("reads", "update", ("families it reads",)),
    ]
    assert [(c.path, c.old, c.new) for c in family_of(plan, "first").changes] == [
        ("min_rows", 3, 2),
        ("description", plan.families[0].changes[1].old, "told"),
    ]


def test_other_libraries_are_told_and_are_a_reason_where_the_family_says_so(spark: Any, folder: Path) -> None:
    run(spark, folder, "first")
    libraries = {**start_run(folder).libraries, "scikit-learn": "9.9"}
    (first,) = plan_workspace(workspace_of(folder, "first"), libraries, spark=spark).families
    assert (first.action, first.reasons) == ("reuse", ())
    assert first.libraries["scikit-learn"][1] == "9.9"
    assert (
        groups_of(plan_workspace(workspace_of(folder, "first"), libraries, spark=spark), "first").with_other_libraries
        == 3
    )
    edit(folder, "min_rows: 3", "min_rows: 3\n  retrain_on: environment")
    plan = plan_workspace(workspace_of(folder, "first"), libraries, spark=spark)
    assert (plan.families[0].action, plan.families[0].reasons) == ("update", ("definition", "libraries"))
    assert dict(groups_of(plan, "first").reasons) == {"environment_changed": 3}


def test_it_is_told_as_text_markdown_and_json(spark: Any, folder: Path) -> None:
    run(spark, folder, "first", "forest")
    write_rows(folder, {**SIZES, "e": 50})
    edit(folder, "n_estimators: 5", "n_estimators: 9")
    plan = planned(spark, folder)
    text = plan_text(plan).plain
    assert "~ forest  v1 → v2  definition, data" in text
    assert "    new: k=e\n" in text
    assert "    estimator.params.n_estimators  5 → 9  (families/f.yml:14)" in text
    assert "    1 group to train: + 1 new  = 3 unchanged; not trained: 1 too_few_rows, 1 null_key" in text
    assert "    groups are known once first is built" in text
    assert (
        "Plan: 1 to create, 2 to update, 0 to reuse as they stand, 6 groups to train, less than a second of CPU."
        in text
    )
    markdown = plan_markdown(plan)
    assert "| ~ `forest` | v1 → v2 | definition, data | 5 groups to train: + 1 new ~ 4 definition_changed |" in markdown
    document = json.loads(json.dumps(plan_document(plan)))
    assert document["summary"] == {"create": 1, "update": 2, "reuse": 0}
    assert document["families"][1]["groups"]["heaviest"][0]["key"] == {"k": "c"}


class TestCarriedOut:
    def save(self, plan: BuildPlan, folder: Path) -> SavedPlan:
        file = folder / "plan.json"
        file.write_text(json.dumps(plan_document(plan)), encoding="utf-8")
        return read_plan(file)

    def test_a_plan_that_still_holds_is_carried_out(self, spark: Any, folder: Path) -> None:
        saved = self.save(planned(spark, folder), folder)
        result = run(spark, folder, plan=saved)
        assert [(f.family, f.status) for f in result.families] == [
            ("first", "success"),
            ("forest", "success"),
            ("reads", "success"),
        ]

    def test_other_rows_refuse_it_before_anything_is_trained(self, spark: Any, folder: Path) -> None:
        saved = self.save(planned(spark, folder), folder)
        write_rows(folder, SIZES, c=1.0)
        with pytest.raises(PlanStale, match="the rows of family `forest` have changed") as raised:
            run(spark, folder, plan=saved)
        assert raised.value.exit_code == 5
        assert not list((folder / "store").glob("*/manifest.json"))

    def test_other_definitions_and_versions_refuse_it(self, spark: Any, folder: Path) -> None:
        saved = self.save(planned(spark, folder, "first", "forest"), folder)
        run(spark, folder, "forest")
        edit(folder, "min_rows: 3", "min_rows: 2")
        with pytest.raises(PlanStale) as raised:
            check_unmoved(saved, workspace_of(folder))
        assert [d.message.partition(" since")[0] for d in raised.value.diagnostics] == [
            "the current version of family `forest` is v1, and was none when the plan was made",
            "the definition of family `first` has changed",
        ]
        edit(folder, "name: first", "name: other")
        edit(folder, "ref('first')", "ref('other')")
        with pytest.raises(PlanStale, match="family `first` is not declared any more"):
            check_unmoved(saved, workspace_of(folder))

    def test_other_libraries_refuse_it(self, spark: Any, folder: Path) -> None:
        plan = plan_workspace(workspace_of(folder, "first"), {"scikit-learn": "9.9"}, spark=spark)
        with pytest.raises(PlanStale, match="the versions of the libraries"):
            run(spark, folder, "first", plan=self.save(plan, folder))
