"""Batches of rows in, batches of outcomes out."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import pickle
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from threadpoolctl import threadpool_info
from training_samples import call, cut, holdout, make_batch, make_step, pipeline, sample_group, train

from modelfactory.plan.outcomes import Status
from modelfactory.training import worker
from modelfactory.training.encoding import EncodedModel
from modelfactory.training.fitting import FitOutcome
from modelfactory.training.outcomes import outcome_batch
from modelfactory.training.schema import OUTCOME_DDL, OUTCOME_SCHEMA
from modelfactory.training.worker import train_batches

LINEAR = call("sklearn.linear_model.LinearRegression")


def outcome(group: int = 1, **changes: Any) -> FitOutcome:
    model = EncodedModel("pickle", b"m", "5")
    return FitOutcome(**{"group": group, "status": Status.TRAINED, "data_digest": "3-0-0", "model": model, **changes})


# The form of the outcomes -----------------------------------------------------------------------------------------


def test_outcomes_have_the_schema() -> None:
    step = make_step(LINEAR, evaluation=holdout(0.3))
    for batch in train_batches(step, [make_batch(step, *(sample_group(g, n) for g, n in enumerate((40, 2, 30))))]):
        assert batch.schema == OUTCOME_SCHEMA
        batch.validate(full=True)


def test_the_words_for_spark_are_the_same_schema() -> None:
    spark = {
        "bigint": pa.int64(),
        "boolean": pa.bool_(),
        "string": pa.string(),
        "double": pa.float64(),
        "binary": pa.binary(),
        "map<string,double>": pa.map_(pa.string(), pa.float64()),
        "array<string>": pa.list_(pa.string()),
    }
    words = [part.split(" ") for part in OUTCOME_DDL.replace(",double", ";double").split(", ")]
    assert [(name, spark[kind.replace(";", ",")]) for name, kind in words] == [
        (field.name, field.type) for field in OUTCOME_SCHEMA
    ]


def test_a_trained_outcome_as_a_row() -> None:
    step = make_step(LINEAR, evaluation=holdout(0.3, "rmse"))
    row = train(step, [make_batch(step, sample_group(-5, 20))])[-5]
    assert (row["_mf_fitted"], row["status"], row["format"]) == (True, "trained", "pickle")
    assert row["model_bytes"] == len(row["model"])
    assert row["sha256"] == hashlib.sha256(row["model"]).hexdigest()
    assert int(row["data_digest"].split("-")[0], 16) == row["n_train"] + row["n_test"] == 20
    assert [name for name, _ in row["metrics"]] == [name for name, _ in row["baseline"]] == ["rmse"]
    assert row["warnings"] == []
    assert (row["error_type"], row["error"]) == (None, None)


@pytest.mark.parametrize("status", [s for s in Status if s != Status.TRAINED])
def test_an_outcome_without_a_model_as_a_row(status: Status) -> None:
    batch = outcome_batch([outcome(status=status, model=None, error="why", error_type="Why")])
    (row,) = batch.to_pylist()
    assert row["status"] == status.value
    assert row["_mf_fitted"] is False
    assert [row[name] for name in ("model", "format", "sha256", "model_bytes")] == [None] * 4


def test_outcomes_survive_parquet() -> None:
    batch = outcome_batch([outcome(1, metrics={"rmse": 1.5}, warnings=("a", "b")), outcome(2, model=None)])
    file = io.BytesIO()
    pq.write_table(pa.Table.from_batches([batch]), file)
    assert pq.read_table(file).to_pylist() == batch.to_pylist()


@pytest.mark.parametrize("text", ["nul \x00 inside", "\U0001f600", ""])
def test_any_text_of_an_error_can_be_written(text: str) -> None:
    (row,) = outcome_batch([outcome(status=Status.FAILED, model=None, error=text, warnings=(text,))]).to_pylist()
    assert isinstance(row["error"], str)
    assert len(row["warnings"]) == 1


# Batches ----------------------------------------------------------------------------------------------------------


def test_every_group_has_one_outcome_in_the_order_of_the_stream() -> None:
    step = make_step("Mean")
    groups = [sample_group(g, 1 + g % 3) for g in (9, -4, 0, 7, 3)]
    batches = list(train_batches(step, cut(make_batch(step, *groups), [1, 2, 2, 5])))
    assert [g for batch in batches for g in batch.column(0).to_pylist()] == [9, -4, 0, 7, 3]


def test_batches_are_bounded_by_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_BATCH_GROUPS", 3)
    step = make_step("Mean")
    batch = make_batch(step, *(sample_group(g, 2) for g in range(7)))
    assert [b.num_rows for b in train_batches(step, [batch])] == [3, 3, 1]


def test_batches_are_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    step = make_step("Mean")
    batch = make_batch(step, *(sample_group(g, 2) for g in range(5)))
    monkeypatch.setattr(worker, "_BATCH_BYTES", 1)
    assert [b.num_rows for b in train_batches(step, [batch])] == [1] * 5


def test_outcomes_come_while_the_stream_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_BATCH_GROUPS", 1)
    step = make_step("Mean")
    pulled = []

    def stream():
        for group in range(5):
            pulled.append(group)
            yield make_batch(step, sample_group(group, 2))

    outcomes = train_batches(step, stream())
    next(outcomes)
    assert len(pulled) <= 2
    assert len(list(outcomes)) == 4


# The surroundings -------------------------------------------------------------------------------------------------


def test_a_fit_has_one_thread_and_the_limits_end_with_it() -> None:
    before = [pool["num_threads"] for pool in threadpool_info()]
    step = make_step("Records")
    seen = []

    class Looking:
        def __iter__(self):
            yield make_batch(step, sample_group(1, 4))
            seen.append(({pool["num_threads"] for pool in threadpool_info()}, joblib.effective_n_jobs(-1)))

    list(train_batches(step, Looking()))
    assert seen == [({1}, 1)]
    assert [pool["num_threads"] for pool in threadpool_info()] == before


@pytest.mark.parametrize("n_jobs", [None, 2, -1])
def test_an_estimator_with_jobs_of_its_own_gives_the_same_model(n_jobs: int | None) -> None:
    found = []
    for jobs in (n_jobs, 1):
        forest = call("sklearn.ensemble.RandomForestRegressor", n_estimators=4, n_jobs=jobs)
        step = make_step(forest, features=("a", "b"), evaluation=holdout(0.3))
        row = train(step, [make_batch(step, sample_group(1, 30, 2))])[1]
        assert row["status"] == "trained"
        found.append((row["metrics"], [t.tree_.threshold.tolist() for t in pickle.loads(row["model"]).estimators_]))
    assert found[0] == found[1]


def test_a_class_that_is_deprecated_says_so_in_the_outcomes() -> None:
    """Its warning comes from the constructor; filters of the process, here pytest's `error`, must not kill the bin."""
    step = make_step(call("Deprecated"))
    row = train(step, [make_batch(step, sample_group(1, 10))])[1]
    assert (row["status"], row["warnings"]) == ("trained", ["FutureWarning: out of fashion"])


def test_a_constructor_that_raises_fails_the_groups_not_the_run() -> None:
    step = make_step(call("Dice", unknown=1))
    found = train(step, [make_batch(step, sample_group(1, 3), sample_group(2, 3))])
    assert {o["status"] for o in found.values()} == {"failed"}
    assert {o["error_type"] for o in found.values()} == {"TypeError"}


def test_what_crosses_to_a_worker_can_be_pickled_and_does_the_same_there() -> None:
    step = make_step(
        pipeline(call("sklearn.preprocessing.StandardScaler"), LINEAR), evaluation=holdout(0.3), timeout=60.0
    )
    batch = make_batch(step, sample_group(1), sample_group(2))
    crossing = pickle.loads(pickle.dumps(partial(train_batches, step)))
    here, there = train(step, [batch]), [row for b in crossing([batch]) for row in b.to_pylist()]
    assert [row["sha256"] for row in there] == [row["sha256"] for row in here.values()]


def test_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    """Neither hash randomisation nor the interning of names may show in a model."""
    categorical = call("sklearn.tree.DecisionTreeClassifier", max_depth=3, criterion="gini")
    step = make_step(categorical, task="classification", evaluation=holdout(0.3, "accuracy"))
    batch = make_batch(step, *(sample_group(g, 30, classes=["no", "yes", "été"]) for g in range(3)))
    (tmp_path / "in").write_bytes(pickle.dumps((step, batch)))
    program = """
        import pickle, sys
        from modelfactory.training.worker import train_batches
        step, batch = pickle.load(open(sys.argv[1], "rb"))
        print([row["sha256"] for b in train_batches(step, [batch]) for row in b.to_pylist()])
    """
    said = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "in")],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        said.add(done.stdout.strip())
    assert len(said) == 1
    # A step that was pickled has strings of its own, so compare with one that crossed in the same way.
    crossed, rows = pickle.loads((tmp_path / "in").read_bytes())
    assert said == {str([row["sha256"] for row in train(crossed, [rows]).values()])}


def test_a_worker_needs_neither_spark_nor_pydantic() -> None:
    program = """
        import sys
        import modelfactory.training.worker
        loaded = {name.partition(".")[0] for name in sys.modules}
        print(sorted(loaded & {"pyspark", "pydantic", "typer", "yaml", "jinja2", "py4j"}))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("container", ["frame", "matrix"])
def test_a_missing_number_is_found_also_where_an_estimator_fits_others(container):
    inner = call("sklearn.svm.SVR")
    step = make_step(call("sklearn.ensemble.AdaBoostRegressor", estimator=inner), container=container)
    group = sample_group(1, 30)
    holed = [np.where(np.arange(30) == 7, np.nan, column) for column in group.columns]
    outcome = train(step, [make_batch(step, dataclasses.replace(group, columns=holed), sample_group(2, 30))])
    assert outcome[1]["status"] == "failed"
    assert "Input X contains NaN" in outcome[1]["error"]
    assert outcome[2]["status"] == "trained"
