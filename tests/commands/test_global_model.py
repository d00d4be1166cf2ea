"""What came of the global model is taken apart from what came of groups, and its rows are those of the census."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from support import FAMILY_YAML, workspace_of, write_project

from modelfactory.commands.global_model import fault_of, known_to_any, without_global_model
from modelfactory.diagnostics import BuildFailed
from modelfactory.plan.outcomes import digest_text
from modelfactory.plan.schedule import GLOBAL_GROUP, Census, GlobalFit, Schedule
from modelfactory.plan.steps import TrainStep
from modelfactory.spark.census import CensusTable
from modelfactory.store.manifest import GlobalModelRecord
from modelfactory.training.schema import MODEL_FIELDS, OUTCOME_SCHEMA

DIGESTS = [digest_text(20, 5, 7), digest_text(0, 0, 0), digest_text(12, 1, 0xFFFFFFFF)]
WHOLE = digest_text(32, 6, 7 + 0xFFFFFFFF)


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory) -> TrainStep:
    families = FAMILY_YAML + "  fallback: global\n"
    sources = "sources: [{name: s, path: x.parquet}]"
    folder = write_project(tmp_path_factory.mktemp("p"), {"families/f.yml": families, "sources/s.yml": sources})
    return workspace_of(Path(folder)).plan.steps[0]


def census(*, inexact: bool = False) -> CensusTable:
    counts, flags = np.array([20, 3, 12]), np.zeros(3, dtype=bool)
    return CensusTable(
        keys=pa.table({"k": ["a", "b", None]}),
        digests=pa.chunked_array([DIGESTS]),
        census=Census(np.arange(3), counts, np.array([20, 0, 12]), flags, flags, np.array([inexact, False, False])),
    )


def scheduled(most: int | None = None) -> Schedule:
    fit = GlobalFit(n_rows=32, most=most, bin=0, seconds=1.0)
    return Schedule(np.array(["", "", ""], dtype=object), np.array([0, -1, 0], np.int32), 1, np.zeros(3), fit)


def outcomes(*rows: dict[str, Any]) -> dict[str, pa.ChunkedArray]:
    schema = pa.schema(
        [field for field in OUTCOME_SCHEMA if field.name not in MODEL_FIELDS] + [("sha256", pa.string())]
    )
    table = pa.Table.from_pylist(list(rows), schema=schema)
    return dict(zip(table.column_names, table.columns, strict=True))


GROUP = {"_mf_group": 0, "status": "trained", "n_train": 20, "data_digest": DIGESTS[0], "classes": ["b", "a"]}
GLOBAL = {
    "_mf_group": GLOBAL_GROUP,
    "status": "trained",
    "n_train": 24,
    "n_test": 8,
    "metrics": [("mae", 1.5)],
    "baseline": [("mae", 2.0)],
    "cpu_seconds": 0.25,
    "sha256": "abc",
    "data_digest": WHOLE,
    "classes": ["c"],
}


def test_it_is_no_group(step: TrainStep) -> None:
    groups, model = without_global_model(step, census(), scheduled(), outcomes(GROUP, GLOBAL))
    assert groups["_mf_group"].to_pylist() == [0]
    assert groups["n_train"].to_pylist() == [20]
    assert model == GlobalModelRecord(
        status="trained",
        n_rows=32,
        n_train=24,
        n_test=8,
        metrics={"mae": 1.5},
        baseline={"mae": 2.0},
        cpu_seconds=0.25,
        model_sha256="abc",
    )


def test_a_family_without_one_keeps_its_outcomes(step: TrainStep) -> None:
    given = outcomes(GROUP)
    assert without_global_model(step, census(), replace(scheduled(), global_fit=None), given) == (given, None)


@pytest.mark.parametrize(
    ("most", "inexact", "rows"),
    [
        (None, False, [GROUP, {**GLOBAL, "data_digest": DIGESTS[0]}]),
        (None, False, [GROUP]),
        (None, True, [GROUP]),
        (None, False, [GROUP, GLOBAL, GLOBAL]),
        (10, False, [GROUP, GLOBAL, GLOBAL]),
    ],
)
def test_rows_that_do_not_add_up_are_not_published(
    step: TrainStep, most: int | None, inexact: bool, rows: list[dict[str, Any]]
) -> None:
    with pytest.raises(BuildFailed, match="do not add up"):
        without_global_model(step, census(inexact=inexact), scheduled(most), outcomes(*rows))


@pytest.mark.parametrize(("most", "inexact"), [(10, False), (None, True)])
def test_of_a_sample_or_without_inexact_rows_it_may_see_fewer(step: TrainStep, most: int | None, inexact: bool) -> None:
    fewer = {**GLOBAL, "data_digest": digest_text(9, 1, 1)}
    _, model = without_global_model(step, census(inexact=inexact), scheduled(most), outcomes(GROUP, fewer))
    assert model is not None
    assert model.n_rows == 32


def test_a_sample_of_no_row_is_too_few(step: TrainStep) -> None:
    _, model = without_global_model(step, census(), scheduled(most=1), outcomes(GROUP))
    assert model == GlobalModelRecord(status="too_few_rows", n_rows=32)


def test_classes_are_those_of_groups_and_of_the_global_model(step: TrainStep) -> None:
    classifier = replace(step, fit=replace(step.fit, task="classification"))
    assert known_to_any(classifier, outcomes(GROUP, GLOBAL)) == ["a", "b", "c"]
    assert known_to_any(step, outcomes(GROUP, GLOBAL)) is None


def test_only_what_failed_is_a_fault() -> None:
    assert fault_of(None) is None
    assert fault_of(GlobalModelRecord(status="one_class", n_rows=3)) is None
    fault = fault_of(GlobalModelRecord(status="timed_out", n_rows=3, error="took longer than 1 s"))
    assert fault is not None
    assert (fault.status, fault.error, fault.count, fault.example) == ("timed_out", "took longer than 1 s", 0, {})
