"""The data and the project of each workload."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FEATURES = 5
CHUNK_ROWS = 200_000
"""Rows of a row group: small enough that two cores have as many to read."""
PROJECTS = Path(__file__).parent.parent / "projects"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A project to build, and which peers train the same models.

    Attributes:
        name: name of the workload.
        title: what it is, in words.
        peers: names of peers.
        sizes: rows of each group; None for the project of the flights.
        estimator: class name of the estimator.
        params: its parameters.
        features: how many numbers a row has besides group and label.
    """

    name: str
    title: str
    peers: tuple[str, ...] = ()
    sizes: np.ndarray | None = None
    estimator: str = "LinearRegression"
    params: dict[str, object] | None = None
    features: int = FEATURES


def equal_sizes(groups: int, rows: int) -> np.ndarray:
    """Return the rows of groups of one size."""
    return np.full(groups, rows)


def _zipf(groups: int, largest: int, smallest: int) -> np.ndarray:
    return np.maximum(smallest, largest // np.arange(1, groups + 1))


ALL_PEERS = ("apply_in_pandas", "fugue", "pandas_loop", "joblib")
GROWTH = ("linear_1k", "linear_10k", "linear_100k", "linear_1m")
"""Workloads that differ in the number of groups only."""
WORKLOADS = {
    w.name: w
    for w in (
        Workload(
            name="linear_20k",
            title="20,000 groups × 50 rows × 5 features, LinearRegression",
            sizes=equal_sizes(20_000, 50),
            peers=ALL_PEERS,
        ),
        Workload(
            name="linear_100k",
            title="100,000 groups × 30 rows × 5 features, LinearRegression",
            sizes=equal_sizes(100_000, 30),
            peers=ALL_PEERS,
        ),
        Workload(
            name="forest_2k",
            title="2,000 groups × 200 rows × 5 features, RandomForestRegressor of 20 trees",
            sizes=equal_sizes(2_000, 200),
            estimator="RandomForestRegressor",
            params={"n_estimators": 20},
            peers=ALL_PEERS,
        ),
        Workload(
            name="zipf",
            title="1,000 groups, the n-th of 60,000 / n rows, at least 40, RandomForestRegressor of 10 trees",
            sizes=_zipf(1_000, 60_000, 40),
            estimator="RandomForestRegressor",
            params={"n_estimators": 10},
            peers=("apply_in_pandas", "joblib"),
        ),
        Workload(
            name="flights",
            title="The project flights: 336,776 rows, six families of 16 to 4,044 groups, two at a time",
            peers=("flights_by_hand",),
        ),
        Workload(name="linear_1k", title="1,000 groups × 30 rows", sizes=equal_sizes(1_000, 30)),
        Workload(name="linear_10k", title="10,000 groups × 30 rows", sizes=equal_sizes(10_000, 30)),
        Workload(
            name="linear_1m",
            title="1,000,000 groups × 30 rows × 5 features, LinearRegression",
            sizes=equal_sizes(1_000_000, 30),
        ),
    )
}


def write_project(workload: Workload, folder: Path) -> Path:
    """Write a workload's project with its data, unless it is there, and return the data's path."""
    if workload.sizes is None:
        shutil.copytree(PROJECTS / "flights", folder, ignore=shutil.ignore_patterns("store", "target"))
        return folder / "data" / "flights.parquet"
    data = folder / "data" / "rows.parquet"
    if not data.exists():
        data.parent.mkdir(parents=True, exist_ok=True)
        _write_rows(workload.sizes, workload.features, data)
    family = {
        "name": "models",
        "group_by": ["g"],
        "source": "rows",
        "features": [f"x{i}" for i in range(workload.features)],
        "label": "y",
        "estimator": {"class": workload.estimator, "params": workload.params or {}},
        "evaluate": {"holdout": 0.2, "metrics": ["rmse", "mae", "r2"]},
    }
    write_files(
        folder,
        {
            "mf_project.yml": {"name": "bench"},
            "sources/rows.yml": {"sources": [{"name": "rows", "path": "data/rows.parquet"}]},
            "families/models.yml": {"families": [family]},
        },
    )
    return data


def write_files(folder: Path, documents: dict[str, object]) -> None:
    """Write the files of a project."""
    for name, document in documents.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML


def _write_rows(sizes: np.ndarray, features: int, file: Path) -> None:
    """Write rows in random order, as they come from the world."""
    rng = np.random.default_rng(0)
    keys = np.repeat(np.arange(len(sizes)), sizes)
    rng.shuffle(keys)
    names = [f"x{i}" for i in range(features)]
    schema = pa.schema([("g", pa.int64()), *((name, pa.float64()) for name in names), ("y", pa.float64())])
    draft = file.with_suffix(".tmp")
    with pq.ParquetWriter(draft, schema, compression="zstd") as writer:
        for start in range(0, len(keys), CHUNK_ROWS):
            part = keys[start : start + CHUNK_ROWS]
            x = rng.normal(size=(features, len(part)))
            y = (x * (1 + part % 7)).sum(axis=0) + rng.normal(size=len(part))
            writer.write_table(pa.table([part, *x, y], schema=schema))
    draft.rename(file)
