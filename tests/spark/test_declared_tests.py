"""Declared tests in a build: what is held back, what is told, what the workers measure for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support import RecordingReporter, _cache, workspace_of, write_project
from typer.testing import CliRunner

from modelfactory.cli.app import app
from modelfactory.commands.build import build
from modelfactory.commands.events import Event, Events
from modelfactory.commands.report import BuildResult, FamilyResult
from modelfactory.commands.testing import check_queries, judge_published
from modelfactory.diagnostics import Code, InputError
from modelfactory.store.candidates import Candidate, candidate_of
from modelfactory.store.groups import read_groups
from modelfactory.store.store import Store

FAMILY = """
families:
  - name: sales
    group_by: [shop]
    source: rows
    features: [a, b]
    label: y
    estimator: {estimator}
    evaluate: {{holdout: 0.25, metrics: [rmse]}}
    max_failed: 50%
    tests:
"""


def frame(**sizes: int) -> pd.DataFrame:
    """Make rows of a linear law for each shop."""
    rng = np.random.default_rng(7)
    parts = []
    for shop, n in sizes.items():
        a, b = rng.integers(0, 50, n).astype(float), rng.integers(0, 50, n).astype(float)
        parts.append(pd.DataFrame({"shop": shop, "a": a, "b": b, "y": 3 * a - b + rng.integers(0, 9, n)}))
    return pd.concat(parts, ignore_index=True)


def declare(folder: Path, rows: pd.DataFrame, *tests: str, estimator: str = "LinearRegression") -> Path:
    """Write a project of one family with some tests."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    rows.to_parquet(folder / "data/rows.parquet")
    return write_project(
        folder,
        {
            "mf_project.yml": "name: demo\nestimator_packages: [sklearn, spark_estimators]\n",
            "sources/rows.yml": "sources: [{name: rows, path: data/rows.parquet}]\n",
            "families/sales.yml": FAMILY.format(estimator=estimator) + "".join(f"      - {test}\n" for test in tests),
        },
    )


def run(folder: Path, spark: Any) -> FamilyResult:
    return build(workspace_of(folder), RecordingReporter(), session=spark).families[0]


def told(folder: Path, spark: Any) -> tuple[BuildResult, list[Event]]:
    """Build a project, and return what was told of its tests and families."""
    heard: list[Event] = []
    result = build(workspace_of(folder), Events(heard.append), session=spark)
    return result, [e for e in heard if e.event in ("test_finished", "family_finished", "build_finished")]


def candidate(folder: Path) -> Candidate | None:
    store = Store(folder / "store")
    return candidate_of(store, "sales", store.manifest("sales"))


def test_a_version_that_fails_a_test_is_held_back_and_the_former_one_stays(spark, tmp_path):
    rows = frame(one=20, two=20)
    tests = ("coverage: {min: 1}", "metric: {name: rmse, stat: worst, max: 100, severity: warn}", "no_lost_groups")
    estimator = "spark_estimators.FailsOnNegative"
    folder = declare(tmp_path, rows, *tests, estimator=estimator)
    first, events = told(folder, spark)
    assert (first.families[0].version, first.exit_code, candidate(folder)) == (1, 0, None)
    assert [event.message for event in events] == [
        "1 of 1 OK family sales",
        "1 of 3 PASS coverage",
        "2 of 3 PASS metric rmse worst",
        "3 of 3 SKIP no_lost_groups",
        events[-1].message,
    ]

    broken = pd.concat([rows, frame(three=20).assign(a=-1.0)])
    folder = declare(tmp_path, broken, *tests, estimator=estimator)
    second, events = told(folder, spark)
    (family,) = second.families
    assert (family.status, family.version, second.exit_code) == ("error", None, 1)
    assert [(t.name, t.status) for t in family.tests] == [
        ("coverage", "fail"),
        ("metric rmse worst", "pass"),
        ("no_lost_groups", "pass"),
    ]
    (found,) = family.diagnostics
    assert found.code == Code.TESTS_FAILED
    assert "coverage (0.6667 < 1: 1 group without a model)" in found.message
    assert events[0].outcome is not None
    assert events[0].outcome.startswith("not published: 1 of 3 tests failed in ")
    assert (events[1].message, events[1].outcome) == (
        "1 of 3 FAIL coverage",
        "0.6667 < 1: 1 group without a model, such as shop=three",
    )

    manifest = Store(folder / "store").manifest("sales")
    assert manifest is not None
    assert (manifest.current, len(manifest.versions)) == (1, 1)
    held = candidate(folder)
    assert held is not None
    assert (held.version.number, held.why) == (2, [found.message])
    table = read_groups(Store(folder / "store").files("sales", held.version, "groups"))
    assert table["status"].to_pylist() == ["reused", "failed", "reused"]
    (results,) = folder.glob(f"target/runs/{second.run_id}/run_results.json")
    written = json.loads(results.read_text())["results"][0]["tests"]
    assert [(test["test"], test["status"]) for test in written] == [(t.name, t.status) for t in family.tests]
    assert written[0]["failing"] == [{"shop": "three"}]

    # What is published passes as it did.
    assert judge_published(workspace_of(folder), RecordingReporter()).exit_code == 0


def test_a_test_that_warns_is_told_and_the_version_published(spark, tmp_path):
    folder = declare(tmp_path, frame(one=20), "metric: {name: rmse, max: 0.1, severity: warn}", "finite_parameters")
    result, events = told(folder, spark)
    assert (result.exit_code, result.families[0].version, result.families[0].warns) == (0, 1, True)
    assert [(event.level, event.message) for event in events[:3]] == [
        ("warning", "1 of 1 WARN family sales"),
        ("warning", "1 of 2 WARN metric rmse median"),
        ("info", "2 of 2 PASS finite_parameters"),
    ]
    assert events[-1].message.startswith("Done. PASS=0 WARN=1 ERROR=0 SKIP=0 REUSED=0 TOTAL=1 |")


def test_predictions_are_measured_for_the_test_of_their_range(spark, tmp_path):
    rows = frame(one=40, two=40)
    folder = declare(tmp_path, rows, "prediction_range: {min: -1000, max: 1000}")
    assert run(folder, spark).tests[0].status == "pass"
    record = Store(folder / "store").current("sales")
    assert record is not None
    table = read_groups(Store(folder / "store").files("sales", record, "groups"))
    for group in table.to_pylist(maps_as_pydicts="strict"):
        assert list(group["metrics"]) == ["rmse", "min_prediction", "max_prediction"]
        assert -100 < group["metrics"]["min_prediction"] < group["metrics"]["max_prediction"] < 300
        assert list(group["baseline"]) == ["rmse"]
    assert list(record.metrics) == ["rmse"]

    folder = declare(tmp_path, rows, "prediction_range: {max: 0}")
    again = run(folder, spark)
    assert (again.status, again.statuses) == ("error", {"reused": 2})
    assert again.tests[0].n_failing == 2


def test_models_that_were_taken_over_are_not_looked_at_again(spark, tmp_path):
    rows = frame(one=20, two=20)
    sign = "coefficient_sign: {feature: a, sign: positive}"
    assert run(declare(tmp_path, rows, "finite_parameters", sign), spark).tests[0].message == "2 models finite"
    more = pd.concat([rows, frame(three=20)])
    again = run(declare(tmp_path, more, "finite_parameters", sign), spark)
    assert again.statuses == {"trained": 1, "reused": 2}
    assert [test.message for test in again.tests] == ["1 model finite", "1 >= 1"]


def test_a_query_with_a_slip_is_told_before_anything_is_trained(tmp_path):
    folder = declare(tmp_path, frame(one=20), "sql: {query: selec * from groups}")
    with pytest.raises(InputError) as caught:
        check_queries(workspace_of(folder))
    (found,) = caught.value.diagnostics
    assert (found.code, found.file) == (Code.BAD_VALUE, "families/sales.yml")
    assert "syntax error" in found.message
    done = CliRunner().invoke(app, ["build", "--project-dir", str(folder)], env=_cache())
    assert (done.exit_code, "cannot run the query" in done.stderr) == (2, True)
    assert not (folder / "store").exists()
