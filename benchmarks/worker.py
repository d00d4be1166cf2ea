"""Where a worker's time goes: its stations, timed on one core without Spark.

Run as `python benchmarks/worker.py`; writes a Markdown table to stdout.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from workloads import Workload, write_project

from modelfactory.commands.project_options import ProjectOptions
from modelfactory.commands.workspace import open_workspace
from modelfactory.plan.steps import FitStep
from modelfactory.training import fitting, linear, worker

STATIONS = {
    "take the rows of a batch apart into groups": [(worker, "read_chunk"), (worker, "measured_in")],
    "fit": [(linear.LinearSolver, "_fit"), (fitting, "_fit")],
    "predict and measure, model and baseline": [
        (linear.LinearSolver, "_measure"),
        (fitting, "measure"),
        (fitting, "measure_baseline"),
    ],
    "pickle, compress, hash": [(linear.LinearSolver, "_encode"), (fitting, "encode_model")],
    "write outcomes as Arrow": [(worker, "solved_batch"), (worker, "outcome_batch")],
}
WORKLOADS = (
    Workload(name="LinearRegression, 30 rows", title="", sizes=np.full(50_000, 30)),
    Workload(name="Lasso, 30 rows", title="", sizes=np.full(3_000, 30), estimator="Lasso"),
    Workload(
        name="RandomForestRegressor of 20 trees, 200 rows",
        title="",
        sizes=np.full(200, 200),
        estimator="RandomForestRegressor",
        params={"n_estimators": 20},
    ),
)
_BATCH_ROWS = 50_000


def stations(step: FitStep, batches: list[pa.RecordBatch]) -> dict[str, float]:
    """Return the seconds of each station, and of all else under `else`."""
    took: dict[str, float] = defaultdict(float)
    with _Timed(took):
        began = time.perf_counter()
        for _ in worker.train_batches(step, batches):
            pass
        whole = time.perf_counter() - began
    return {**took, "else": whole - sum(took.values())}


class _Timed:
    """Add up what calls of the stations take while the block runs."""

    def __init__(self, took: dict[str, float]) -> None:
        self.took = took
        self.before: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> None:
        for station, places in STATIONS.items():
            for owner, name in places:
                self.before.append((owner, name, getattr(owner, name)))
                setattr(owner, name, self._wrapped(getattr(owner, name), station))

    def __exit__(self, *_: object) -> None:
        for owner, name, function in self.before:
            setattr(owner, name, function)

    def _wrapped(self, function: Any, station: str) -> Any:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.took[station] += time.perf_counter() - began

        return wrapped


def batches_of(step: FitStep, data: Path) -> list[pa.RecordBatch]:
    """Return rows as Spark hands them to a worker: by group, in batches."""
    table = pq.read_table(data).sort_by("g")
    rng = np.random.default_rng(0)
    columns = {"_mf_group": table["g"], "_mf_row": pa.array(rng.integers(-(2**62), 2**62, table.num_rows))}
    columns |= {feature.name: table[feature.name] for feature in step.features}
    return pa.table({**columns, "_mf_label": table["y"]}).combine_chunks().to_batches(_BATCH_ROWS)


def main() -> None:
    """Time all, after a run to warm up."""
    columns: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="mf-bench-") as folder:
        for number, workload in enumerate(WORKLOADS):
            project = Path(folder) / str(number)
            data = write_project(workload, project)
            environ = {"XDG_CACHE_HOME": folder}
            step = open_workspace(ProjectOptions(project_dir=project, variables={}, environ=environ)).plan.steps[0].fit
            batches = batches_of(step, data)
            stations(step, batches[:1])
            groups = 0 if workload.sizes is None else len(workload.sizes)
            columns[workload.name] = {name: s / groups * 1e6 for name, s in stations(step, batches).items()}
    print("\n".join(_table(columns)))


def _table(columns: dict[str, dict[str, float]]) -> Iterator[str]:
    yield f"| µs for each group | {' | '.join(columns)} |"
    yield f"| --- |{' --- |' * len(columns)}"
    for station in (*STATIONS, "else"):
        cells = (f"{column.get(station, 0):,.1f}" for column in columns.values())
        yield f"| {station} | {' | '.join(cells)} |"
    yield f"| whole | {' | '.join(f'{sum(column.values()):,.1f}' for column in columns.values())} |"


if __name__ == "__main__":
    main()
