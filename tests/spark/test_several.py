"""Several families in one build: built at once, counted together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from support import RecordingReporter, workspace_of, write_project

from modelfactory.commands.build import build
from modelfactory.commands.counting import MOST_AT_ONCE, Censuses
from modelfactory.commands.opening import open_inputs
from modelfactory.commands.report import BuildResult
from modelfactory.store.store import Store

FAMILY = """
- {{name: {name}, group_by: [k], source: {source}, features: [{feature}], label: y, estimator: {estimator},
   max_failed: {max_failed}}}
"""


def project(folder: Path, *families: str, **sources: str) -> Path:
    """Write a project whose families read `rows`, where `x` and `z` are numbers."""
    rng = np.random.default_rng(3)
    columns = {"k": np.repeat(["a", "b", "c"], 20), "x": rng.integers(0, 9, 60), "z": rng.normal(size=60)}
    table = pa.table({**columns, "y": rng.normal(size=60)})
    (folder / "rows").mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "rows/one.parquet")
    return write_project(
        folder,
        {
            "mf_project.yml": "name: demo\nestimator_packages: [sklearn, spark_estimators]\n",
            "sources/rows.yml": "sources: [{name: rows, path: rows, format: parquet}]",
            "families/all.yml": "families:\n" + "".join(families),
        },
    )


def family(name: str, *, estimator: str = "LinearRegression", feature: str = "x", max_failed: int = 0) -> str:
    return FAMILY.format(name=name, source="rows", feature=feature, estimator=estimator, max_failed=max_failed)


def run(folder: Path, spark: Any, reporter: RecordingReporter | None = None, **options: Any) -> BuildResult:
    return build(workspace_of(folder), reporter or RecordingReporter(), session=spark, **options)


def hashes(folder: Path, name: str) -> dict[str, str]:
    store = Store(folder / "store")
    manifest = store.manifest(name)
    assert manifest is not None
    files = store.files(name, manifest.version(), "groups")
    return {row["k"]: row["model_sha256"] for file in files for row in pq.read_table(file).to_pylist()}


class TestThreads:
    def test_families_are_built_at_once_and_told_in_their_order(self, spark, tmp_path):
        slow = family("slow", estimator="spark_estimators.Sleeps")
        folder = project(tmp_path, slow, family("one"), family("two", feature="z"), family("three"))
        reporter = RecordingReporter()
        result = run(folder, spark, reporter, threads=2)
        assert [f.family for f in result.families] == ["slow", "one", "two", "three"]
        assert {f.status for f in result.families} == {"success"}
        assert sorted(place for place, _, _ in reporter.of("family_finished")) == [1, 2, 3, 4]
        told = [(event[0], event[1]) for event in reporter.events if event[0].startswith("family_")]
        assert told.index(("family_started", 2)) < told.index(("family_finished", 1))

    def test_the_models_are_the_same(self, spark, tmp_path):
        names = ["one", "two", "three"]
        folders = [project(tmp_path / str(n), *map(family, names)) for n in (1, 3)]
        for folder, threads in zip(folders, (1, 3), strict=True):
            run(folder, spark, threads=threads)
        for name in names:
            assert hashes(folders[0], name) == hashes(folders[1], name)

    def test_one_that_fails_costs_no_other(self, spark, tmp_path):
        folder = project(
            tmp_path, family("bad", estimator="spark_estimators.FailsOnNegative", feature="z"), family("one")
        )
        result = run(folder, spark, threads=2)
        assert [f.status for f in result.families] == ["error", "success"]
        assert result.exit_code == 1

    def test_with_fail_fast_none_starts_after_a_failure(self, spark, tmp_path):
        bad = family("bad", estimator="spark_estimators.FailsOnNegative", feature="z")
        slow = [family(f"slow{n}", estimator="spark_estimators.Sleeps") for n in range(3)]
        result = run(project(tmp_path, bad, *slow), spark, threads=2, fail_fast=True)
        assert [f.status for f in result.families] == ["error", "success", "skipped", "skipped"]


class TestCensus:
    def jobs(self, spark: Any) -> int:
        return len(spark.sparkContext.statusTracker().getJobIdsForGroup(None))

    def take(self, spark: Any, folder: Path) -> tuple[dict[str, Any], int]:
        """Count the groups of all families; return censuses and the number of Spark jobs."""
        workspace = workspace_of(folder)
        steps = workspace.plan.steps
        censuses = Censuses(steps, open_inputs(spark, workspace))
        before = self.jobs(spark)
        found = {step.family: censuses.of(step) for step in steps}
        return found, self.jobs(spark) - before

    def test_families_that_read_the_same_rows_are_counted_together(self, spark, tmp_path):
        families = [family("one"), family("two", feature="z"), family("three", feature="x, z")]
        _, alone = self.take(spark, project(tmp_path / "one", families[0]))
        together, jobs = self.take(spark, project(tmp_path / "all", *families))
        assert jobs == alone
        for n, text in enumerate(families):
            (single,) = self.take(spark, project(tmp_path / f"only{n}", text))[0].values()
            shared = list(together.values())[n]
            order, other = np.argsort(shared.census.group), np.argsort(single.census.group)
            assert shared.digests.take(pa.array(order)).to_pylist() == single.digests.take(pa.array(other)).to_pylist()
            assert shared.census.n_rows[order].tolist() == single.census.n_rows[other].tolist()
        assert len({table.digests[0].as_py() for table in together.values()}) == 3

    def test_other_rows_or_other_keys_are_counted_apart(self, spark, tmp_path):
        families = [family("one"), family("two").replace("label", "where: x > 3, label")]
        found, jobs = self.take(spark, project(tmp_path / "both", *families))
        _, alone = self.take(spark, project(tmp_path / "one", families[0]))
        assert jobs == 2 * alone
        assert found["one"].census.n_rows.sum() > found["two"].census.n_rows.sum()

    def test_very_many_are_counted_in_several_goes(self, spark, tmp_path):
        found, _ = self.take(spark, project(tmp_path, *(family(f"f{n}") for n in range(MOST_AT_ONCE + 1))))
        assert len(found) == MOST_AT_ONCE + 1
        assert len({tuple(table.digests.to_pylist()) for table in found.values()}) == 1

    def test_rows_that_cannot_be_read_for_one_family_cost_no_other(self, spark, tmp_path):
        folder = project(tmp_path, family("good"), family("bad", feature="z"))
        # In this file `z` is text, which Spark finds out when it reads the column.
        table = pq.read_table(folder / "rows/one.parquet")
        pq.write_table(table.set_column(2, "z", pa.array(["?"] * 60)), folder / "rows/two.parquet")
        result = run(folder, spark)
        assert [f.status for f in result.families] == ["success", "error"]
        assert result.families[1].diagnostics[0].code == "MF305"
