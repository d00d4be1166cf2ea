"""Groups in child processes: what kills one costs it alone, and the others are the same to the byte."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from faulty_estimators import FAULTS, NUMBERS
from hypothesis import given, settings
from hypothesis import strategies as st
from training_samples import Group, call, holdout, make_batch, make_step, pipeline, sample_group

from modelfactory.plan.steps import Feature, FitStep
from modelfactory.training import worker
from modelfactory.training.isolation import Death, apart
from modelfactory.training.memory import limit_memory
from modelfactory.training.worker import train_batches

TIMED = ("fit_seconds", "cpu_seconds")


def outcomes(step: FitStep, *groups: Group, isolated: bool = True) -> dict[int, dict[str, Any]]:
    """Train groups and return their outcomes without what is measured by a clock."""
    batches = train_batches(step, [make_batch(step, *groups)], isolated=isolated)
    rows = [{k: v for k, v in row.items() if k not in TIMED} for batch in batches for row in batch.to_pylist()]
    assert len({row["_mf_group"] for row in rows}) == len(rows)
    return {row["_mf_group"]: row for row in rows}


@pytest.mark.parametrize(
    ("estimator", "changes"),
    [
        (call("sklearn.linear_model.LinearRegression"), {}),
        (pipeline(call("sklearn.preprocessing.StandardScaler"), call("sklearn.linear_model.Ridge")), {}),
        (call("sklearn.ensemble.RandomForestRegressor", n_estimators=5), {}),
        (call("sklearn.neighbors.KNeighborsRegressor"), {"container": "frame"}),
        (call("faulty_estimators.Faulty"), {}),
        (call("sklearn.cluster.KMeans", n_clusters=2), {"task": "unsupervised"}),
    ],
    ids=["solved", "solved pipeline", "forest", "frame", "foreign", "unsupervised"],
)
def test_isolated_groups_are_the_same_to_the_byte(estimator, changes):
    measured = {} if changes else {"evaluation": holdout(0.3)}
    step = make_step(estimator, **measured, **changes)
    groups = [sample_group(number, rows) for number, rows in enumerate((40, 1, 7, 300, 12))]
    assert outcomes(step, *groups) == outcomes(step, *groups, isolated=False)


def faulty_group(number: int, fault: str | None) -> Group:
    group = sample_group(number, 20)
    mark = np.full(20, float(NUMBERS[fault])) if fault else np.zeros(20)
    return Group(number, (mark, *group.columns[1:]), group.label)


@pytest.fixture
def _memory() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    limit_memory(2 << 30)
    yield
    resource.setrlimit(resource.RLIMIT_DATA, limits)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is not counted")
@pytest.mark.usefixtures("_memory")
def test_every_fault_at_once_costs_only_the_groups_that_have_it():
    step = make_step(call("faulty_estimators.Faulty"), evaluation=holdout(0.3), timeout=2.0)
    faults = [fault.__name__ for fault in FAULTS]
    mixed = [faulty_group(n, faults[n // 2] if n % 2 else None) for n in range(2 * len(faults) + 1)]
    well = [faulty_group(n, None) for n in range(0, 2 * len(faults) + 1, 2)]
    found, expected = outcomes(step, *mixed), outcomes(step, *well, isolated=False)
    assert {n: found[n] for n in expected} == expected
    told = {faults[n // 2]: (found[n]["status"], found[n]["error_type"]) for n in found if n % 2}
    assert told == {fault.__name__: outcome for fault, outcome in FAULTS.items()}
    assert all(len(row["warnings"]) <= 6 and sum(map(len, row["warnings"])) < 4000 for row in found.values())
    (printed,) = found[2 * faults.index("prints") + 1]["warnings"]
    assert printed.startswith("printed: loud loud")


def test_a_death_says_how():
    assert (Death(-11, 0).kind, Death(-11, 0).text) == ("SIGSEGV", "the process that fitted it was ended by SIGSEGV")
    assert Death(3, 0).text == "the process that fitted it ended itself with exit code 3"
    assert "memory" in Death(-9, 0).text
    assert Death(-63, 0).kind == "Signal63"


# The child processes ----------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(["well", "dies", "dies among others"]), max_size=6))
def test_each_piece_gives_its_result_or_a_death(kinds):
    parent, done_before = os.getpid(), []

    def work(piece: int) -> int:
        if kinds[piece] == "dies" or (kinds[piece] == "dies among others" and done_before):
            os._exit(7)
        assert os.getpid() != parent
        done_before.append(piece)
        return piece

    found = list(apart(work, len(kinds), limit=None))
    assert [r.exit_code if isinstance(r, Death) else r for r in found] == [
        7 if kind == "dies" else piece for piece, kind in enumerate(kinds)
    ]


def test_a_piece_that_was_ended_for_its_slowness_is_not_tried_again(tmp_path):
    def work(piece: int) -> int:
        if piece == 1:
            with (tmp_path / "tries").open("a") as tries:
                tries.write("x")
            time.sleep(0.3)
            os._exit(1)
        return piece

    first, death, last = apart(work, 3, limit=0.2)
    assert (first, last) == (0, 2)
    assert isinstance(death, Death)
    assert death.seconds > 0.2
    assert (tmp_path / "tries").read_text() == "x"


def test_a_slow_receiver_is_not_taken_for_a_slow_piece():
    done_before = []

    def work(piece: int) -> int:
        if done_before:
            os._exit(7)
        done_before.append(piece)
        return piece

    found = []
    for result in apart(work, 3, limit=0.1):
        found.append(result)
        time.sleep(0.3)
    assert found == [0, 1, 2]


def test_a_thread_that_is_left_behind_keeps_nobody():
    began = time.monotonic()
    found = list(apart(lambda n: (threading.Thread(target=time.sleep, args=[60]).start(), n)[1], 3, limit=None))
    assert found == [0, 1, 2]
    assert time.monotonic() - began < 20


def test_only_the_watchdog_ends_for_slowness():
    assert Death(1, 3.0).was_for_slowness(2.0)
    assert not Death(-11, 3.0).was_for_slowness(2.0)
    assert not Death(1, 1.0).was_for_slowness(2.0)
    assert not Death(1, 3.0).was_for_slowness(None)


def test_a_group_whose_rows_find_no_room_is_a_row(monkeypatch):
    step = make_step("faulty_estimators.Faulty")
    parent, real = os.getpid(), worker.read_chunk

    def read(step, table):
        if len(table) == 33 or os.getpid() == parent:
            raise MemoryError("no room")
        return real(step, table)

    monkeypatch.setattr(worker, "read_chunk", read)
    found = outcomes(step, sample_group(1, 20), sample_group(2, 33), sample_group(3, 20))
    assert {n: (row["status"], row["error_type"]) for n, row in found.items()} == {
        1: ("trained", None),
        2: ("failed", "MemoryError"),
        3: ("trained", None),
    }


def test_results_may_be_larger_than_a_pipe():
    assert [len(r) for r in apart(lambda n: bytes(n << 20), 4, limit=None)] == [0, 1 << 20, 2 << 20, 3 << 20]


def test_a_child_ends_with_the_iteration():
    results = apart(lambda _: (os.getpid(), time.sleep(0.01))[0], 1000, limit=None)
    child = next(results)
    results.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a child ends with its next result")
def test_a_child_ends_with_its_parent():
    reader, writer = os.pipe()
    parent = os.fork()
    if parent == 0:
        for child in apart(lambda n: os.getpid() if n == 0 else time.sleep(60), 2, limit=None):
            os.write(writer, str(child).encode())
            os.kill(os.getpid(), signal.SIGKILL)
    child = int(os.read(reader, 100))
    os.waitpid(parent, 0)
    deadline = time.monotonic() + 5
    while is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_frames_with_texts_are_the_same_to_the_byte():
    step = make_step(
        call("sklearn.dummy.DummyClassifier", strategy="stratified"),
        task="classification",
        features=("a", Feature("b", "categorical")),
        container="frame",
    )
    groups = [
        Group(n, (np.arange(9.0), [None if i == n else f"t{i % 3}" for i in range(9)]), list("aabbaabba"))
        for n in range(4)
    ]
    assert outcomes(step, *groups) == outcomes(step, *groups, isolated=False)
    assert isinstance(make_batch(step, *groups), pa.RecordBatch)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is not counted")
@pytest.mark.usefixtures("_memory")
def test_memory_that_a_group_took_is_free_for_the_next():
    step = make_step(call("faulty_estimators.Faulty"), timeout=5.0)
    groups = [faulty_group(n, "eats_memory" if n % 2 == 0 else None) for n in range(6)]
    found = outcomes(step, *groups, isolated=False)
    assert [found[n]["status"] for n in range(6)] == ["failed", "trained"] * 3
