"""Tests that look at group tables and manifests: what they say of figures that are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_samples import version

from modelfactory.plan.steps import DeclaredTest
from modelfactory.store.manifest import Quantiles, VersionRecord
from modelfactory.testing import registry, results, tested

NUMBERS = pa.map_(pa.string(), pa.float64())
INF = float("inf")
Row = tuple[str, str, Mapping[str, float]]


def table(rows: Sequence[Row], **columns: Sequence[Mapping[str, float] | None]) -> pa.Table:
    """Return a group table of rows of key, status and metrics."""
    keys, statuses, metrics = zip(*rows, strict=True) if rows else ((), (), ())
    maps = {"metrics": metrics, "baseline": [{}] * len(rows), **columns}
    return pa.table(
        {
            "k": pa.array(keys, pa.string()),
            "status": pa.array(statuses, pa.string()),
            "model_bytes": pa.array(
                [100 if status in ("trained", "reused") else None for status in statuses], pa.int64()
            ),
            "model_version": pa.array(
                [1 if status in ("trained", "reused") else None for status in statuses], pa.int32()
            ),
            **{name: pa.array([m and list(m.items()) for m in found], NUMBERS) for name, found in maps.items()},
        }
    )


def trained(*values: float, metric: str = "rmse") -> list[Row]:
    return [(f"g{i}", "trained", {metric: value}) for i, value in enumerate(values)]


def record(number: int, **more: Any) -> VersionRecord:
    return version(number, []).model_copy(update=more)


def judged(
    groups: pa.Table,
    kind: str,
    *,
    previous: pa.Table | None = None,
    history: Sequence[VersionRecord] = (),
    severity: Any = "error",
    record_: VersionRecord | None = None,
    **parameters: Any,
) -> results.TestResult:
    """Run one test on version 2."""
    before = history[-1] if history else record(1) if previous is not None else None
    made = tested.Tested(
        tests=(DeclaredTest(kind=kind, name=kind, severity=severity, parameters=tuple(parameters.items())),),
        groups=groups,
        record=record_ or record(2),
        open_models=lambda: pytest.fail("no model is needed"),
        read_previous=lambda: previous if previous is not None else pytest.fail("there is no version before"),
        previous_record=before,
        history=tuple(history),
    )
    (result,) = registry.run_tests(made)
    return result


class TestCoverage:
    groups = table([*trained(1, 1, 1), ("g3", "too_few_rows", {}), ("g4", "null_key", {})])

    def test_all_groups_count(self):
        passed = judged(self.groups, "coverage", min=0.6)
        assert (passed.status, passed.message, passed.n_failing) == ("pass", "0.6 >= 0.6", 0)

    def test_a_failure_names_groups(self):
        failed = judged(self.groups, "coverage", min=0.61)
        assert (failed.status, failed.message) == ("fail", "0.6 < 0.61: 2 groups without a model")
        assert (failed.n_failing, failed.failing) == (2, ({"k": "g3"}, {"k": "g4"}))
        assert failed.holds_back

    def test_of_a_warning_it_is_told_and_no_more(self):
        failed = judged(self.groups, "coverage", min=0.61, severity="warn")
        assert failed.status == "warn"
        assert not failed.holds_back

    def test_few_of_many_groups_are_named(self):
        failed = judged(table([(f"g{i}", "failed", {}) for i in range(100)]), "coverage", min=0.5)
        assert (failed.n_failing, len(failed.failing)) == (100, 5)

    def test_a_number_that_seems_to_be_the_limit_is_written_out(self):
        assert tested.compared(0.94999, "<", 0.95) == "0.94999 < 0.95"
        assert tested.compared(0.1 + 0.2, ">", 0.3) == "0.30000000000000004 > 0.29999999999999999"
        assert tested.compared(12_000, "<=", 1_000_000) == "12,000 <= 1,000,000"

    def test_without_groups_nothing_is_covered(self):
        assert judged(table([]), "coverage", min=0.1).status == "fail"


class TestMetric:
    @pytest.mark.parametrize(
        ("stat", "expected"),
        [("median", 3), ("mean", 22), ("p10", 1.4), ("p25", 2), ("p75", 4), ("p90", 61.6), ("worst", 100), ("best", 1)],
    )
    def test_each_statistic(self, stat, expected):
        groups = table([*trained(1, 2, 3, 4, 100), ("gone", "failed", {}), ("none", "trained", {})])
        limits = {"name": "rmse", "stat": stat}
        assert judged(groups, "metric", **limits, min=None, max=expected + 1e-9).status == "pass"
        assert judged(groups, "metric", **limits, min=None, max=expected - 1e-9).status == "fail"
        assert judged(groups, "metric", **limits, min=expected - 1e-9, max=None).status == "pass"

    def test_the_worst_of_a_metric_that_is_to_be_high_is_the_lowest(self):
        groups = table(trained(0.1, 0.9, metric="r2"))
        worst = judged(groups, "metric", name="r2", stat="worst", min=0.2, max=None)
        assert (worst.status, worst.message, worst.failing) == (
            "fail",
            "0.1 < 0.2: 1 group beyond",
            ({"k": "g0"},),
        )
        assert judged(groups, "metric", name="r2", stat="best", min=0.2, max=None).status == "pass"

    def test_both_limits(self):
        assert (
            judged(table(trained(5)), "metric", name="rmse", stat="mean", min=1, max=9).message == "5 >= 1 and 5 <= 9"
        )

    def test_what_no_group_has_cannot_be_judged(self):
        result = judged(table([("g", "failed", {"rmse": 1.0})]), "metric", name="rmse", stat="mean", min=None, max=9)
        assert (result.status, result.message) == ("error", "no group has `rmse`")
        assert result.holds_back

    @pytest.mark.parametrize(("stat", "values"), [("p90", [1.0, INF]), ("p75", [INF, INF, 1.0]), ("p10", [1.0, INF])])
    def test_predictions_that_overflow_count_as_infinite(self, stat, values):
        failed = judged(table(trained(*values)), "metric", name="rmse", stat=stat, min=None, max=9)
        assert (failed.status, failed.message.partition(":")[0]) == ("fail", "inf > 9")

    def test_a_low_percentile_of_a_metric_without_a_floor(self):
        groups = table(trained(-INF, 0.5, 0.9, metric="r2"))
        failed = judged(groups, "metric", name="r2", stat="p10", min=0.1, max=None)
        assert (failed.status, failed.message) == ("fail", "-inf < 0.1: 1 group beyond")
        assert judged(groups, "metric", name="r2", stat="p75", min=0.1, max=None).status == "pass"

    @given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.sampled_from([10, 25, 75, 90]))
    def test_percentiles_are_those_of_numpy(self, values, percent):
        limit = float(np.percentile(values, percent))
        room = 1e-9 * max(map(abs, values))  # NumPy interpolates in another order
        parameters = {"name": "rmse", "stat": f"p{percent}", "min": limit - room, "max": limit + room}
        assert judged(table(trained(*values)), "metric", **parameters).status == "pass"


class TestBaseline:
    @pytest.mark.parametrize("metric", ["rmse", "r2"])
    def test_a_group_that_is_equal_does_not_beat_it(self, metric):
        rows = trained(1, 2, 3, 5, metric=metric)
        groups = table(rows, baseline=[{metric: 2.0}, {metric: 2.0}, {metric: 2.0}, {}])
        assert judged(groups, "beats_baseline", metric=metric, min_share=0.33).status == "pass"
        failed = judged(groups, "beats_baseline", metric=metric, min_share=0.9)
        assert failed.status == "fail"
        beaten = {"rmse": {"g0"}, "r2": {"g2"}}[metric]
        assert {key["k"] for key in failed.failing} == {"g0", "g1", "g2"} - beaten

    def test_a_model_that_cannot_be_measured_where_the_baseline_can_does_not_beat_it(self):
        groups = table([*trained(1), ("nan", "trained", {})], baseline=[{"rmse": 2.0}, {"rmse": 2.0}])
        failed = judged(groups, "beats_baseline", metric="rmse", min_share=0.9)
        assert (failed.message, failed.failing) == ("0.5 < 0.9: 1 group no better", ({"k": "nan"},))

    def test_without_a_baseline_it_cannot_be_judged(self):
        assert judged(table(trained(1)), "beats_baseline", metric="rmse", min_share=0.5).status == "error"


CURRENT = {"metric": "rmse", "min_share": 0.5, "tolerance": 0.0, "per_group": False}
STABLE = {"metric": "rmse", "versions": 3, "tolerance": 0.2}


class TestCurrent:
    def groups(self, *champion: float | None) -> pa.Table:
        maps = [None if value is None else {"rmse": value} for value in champion]
        return table(trained(*[10.0] * len(champion)), champion=maps)

    def judged(self, groups: pa.Table, **more: Any) -> results.TestResult:
        return judged(groups, "beats_current", **{"previous": self.groups(1), **CURRENT, **more})

    def test_groups_that_both_have_count(self):
        result = self.judged(self.groups(10, 11, 9, None))
        assert (result.status, result.message) == ("pass", "0.6667 >= 0.5")
        failed = self.judged(self.groups(9, 9, 10, None))
        assert (failed.status, failed.message) == ("fail", "0.3333 < 0.5: 2 groups worse")
        assert [key["k"] for key in failed.failing] == ["g0", "g1"]

    def test_a_model_that_cannot_be_measured_where_the_current_one_can_is_worse(self):
        groups = table([*trained(1), ("nan", "trained", {})], champion=[{"rmse": 2.0}, {"rmse": 2.0}])
        failed = self.judged(groups, min_share=0.9)
        assert (failed.message, failed.failing) == ("0.5 < 0.9: 1 group worse", ({"k": "nan"},))

    def test_a_little_worse_may_do(self):
        assert self.judged(self.groups(9.6, 9.6), tolerance=0.05).status == "pass"
        assert self.judged(self.groups(9.4, 9.4), tolerance=0.05).status == "fail"

    def test_negative_metrics_have_a_tolerance_too(self):
        groups = table(trained(-1.04, metric="r2"), champion=[{"r2": -1.0}])
        assert self.judged(groups, metric="r2", tolerance=0.05).status == "pass"
        assert self.judged(groups, metric="r2", tolerance=0.03).status == "fail"

    def test_the_first_version_has_nothing_to_beat(self):
        assert self.judged(self.groups(9), previous=None).status == "skipped"

    def test_versions_that_were_built_without_it_have_no_such_column(self):
        result = self.judged(table(trained(1, 2)))
        assert (result.status, result.message) == (
            "skipped",
            "of no group a model of both versions was measured on the same rows",
        )


class TestLostGroups:
    previous = table([*trained(1, 1, 1, 1), ("h", "failed", {})])
    none, one = (("share", None), ("count", 0)), (("share", None), ("count", 1))

    def test_groups_may_fail_or_vanish(self):
        now = table([("g0", "trained", {}), ("g1", "reused", {}), ("g2", "failed", {}), ("new", "failed", {})])
        failed = judged(now, "no_lost_groups", previous=self.previous, max=self.one)
        assert (failed.status, failed.message) == ("fail", "2 > 1: 2 groups lost")
        assert [key["k"] for key in failed.failing] == ["g2", "g3"]
        half = (("share", 0.5), ("count", None))
        assert judged(now, "no_lost_groups", previous=self.previous, max=half).status == "pass"

    def test_nothing_is_lost(self):
        now = table([*trained(1, 1, 1, 1), ("new", "failed", {})])
        assert judged(now, "no_lost_groups", previous=self.previous, max=self.none).message == "0 <= 0"

    def test_the_first_version_loses_nothing(self):
        assert judged(self.previous, "no_lost_groups", max=self.none).status == "skipped"

    def test_keys_of_another_type_are_the_same_groups(self):
        before = self.previous.set_column(0, "k", pa.array([1, 2, 3, 4, 5]))
        now = self.previous.set_column(0, "k", pa.array([1, 2, 3, 4, 5], pa.int32()))
        assert judged(now, "no_lost_groups", previous=before, max=self.none).status == "pass"

    def test_other_groups_cannot_be_compared(self):
        before = self.previous.rename_columns(["other", *self.previous.column_names[1:]])
        assert judged(self.previous, "no_lost_groups", previous=before, max=self.none).status == "skipped"

    def test_a_null_key_is_a_group(self):
        rows = [(None, "trained", {})]
        assert judged(table(rows), "no_lost_groups", previous=table(rows), max=self.none).status == "pass"


def test_every_model_has_to_be_small():
    groups = table([*trained(1, 2), ("failed", "failed", {})])
    assert judged(groups, "max_model_bytes", max=100).message == "100 <= 100"
    failed = judged(groups, "max_model_bytes", max=99)
    assert (failed.status, failed.message) == ("fail", "100 > 99: 2 groups larger")


class TestPredictionRange:
    groups = table(
        [
            ("a", "trained", {"min_prediction": -1.0, "max_prediction": 5.0}),
            ("b", "trained", {"min_prediction": 2.0, "max_prediction": 9.0}),
            ("c", "trained", {}),
        ]
    )

    def test_all_predictions_are_within(self):
        assert judged(self.groups, "prediction_range", min=-1, max=9).message == "-1 >= -1 and 9 <= 9"

    def test_groups_with_others_are_named(self):
        failed = judged(self.groups, "prediction_range", min=0, max=None)
        assert (failed.status, failed.message, failed.failing) == ("fail", "-1 < 0: 1 group outside", ({"k": "a"},))
        assert judged(self.groups, "prediction_range", min=None, max=8).failing == ({"k": "b"},)

    def test_an_older_version_did_not_measure_them(self):
        assert judged(table(trained(1)), "prediction_range", min=0, max=None).status == "skipped"


class TestStable:
    def history(self, *medians: float) -> list[VersionRecord]:
        quantiles = [Quantiles(count=1, min=m, q25=m, median=m, q75=m, max=m) for m in medians]
        return [record(i, metrics={"rmse": q, "r2": q}) for i, q in enumerate(quantiles, start=1)]

    @pytest.mark.parametrize(("value", "status"), [(12.0, "pass"), (12.1, "fail"), (0.1, "pass")])
    def test_only_worse_fails(self, value, status):
        result = judged(table(trained(value)), "stable_metrics", history=self.history(1, 9, 10, 50), **STABLE)
        assert result.status == status

    def test_it_says_what_it_was(self):
        result = judged(table(trained(13)), "stable_metrics", history=self.history(10), **STABLE)
        assert result.message == "13 > 12, from 10 of the version before"

    def test_of_a_metric_that_is_to_be_high(self):
        parameters = {**STABLE, "metric": "r2"}
        for value, status in ((7.9, "fail"), (8.1, "pass"), (100, "pass")):
            groups = table(trained(value, metric="r2"))
            assert judged(groups, "stable_metrics", history=self.history(10), **parameters).status == status

    def test_the_first_version_is_as_it_is(self):
        assert judged(table(trained(1)), "stable_metrics", **STABLE).status == "skipped"


def test_a_fault_in_a_test_is_told_and_the_others_go_on(monkeypatch):
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(registry, "REGISTRY", {**registry.REGISTRY, "broken": broken})
    result = judged(table(trained(1)), "broken", severity="warn")
    assert (result.status, result.message) == ("error", "ZeroDivisionError: by zero")
    assert result.holds_back
