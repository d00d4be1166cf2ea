"""The data and the family of each workload."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FEATURES = 5
CHUNK_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class Workload:
    """Rows for a number of groups, and the estimator to fit in each.

    Attributes:
        name: name of the workload.
        sizes: rows of each group.
        estimator: class name of the estimator.
        params: its parameters.
        peers: which peers run it.
    """

    name: str
    sizes: tuple[int, ...] | int
    estimator: str
    params: dict[str, object]
    peers: tuple[str, ...]
    groups: int = 0

    @property
    def rows_of_groups(self) -> np.ndarray:
        """Rows of each group, shape (groups,)."""
        if isinstance(self.sizes, int):
            return np.full(self.groups, self.sizes)
        return np.array(self.sizes)


def _zipf(groups: int, largest: int, smallest: int) -> tuple[int, ...]:
    return tuple(max(smallest, int(largest / rank)) for rank in range(1, groups + 1))


ALL_PEERS = ("apply_in_pandas", "fugue", "pandas_loop", "joblib")
LINEAR = ("LinearRegression", {})
WORKLOADS = {
    w.name: w
    for w in (
        Workload("linear_20k", 50, *LINEAR, ALL_PEERS, groups=20_000),
        Workload("linear_100k", 30, *LINEAR, ALL_PEERS, groups=100_000),
        Workload("forest_2k", 200, "RandomForestRegressor", {"n_estimators": 20}, ALL_PEERS, groups=2_000),
        Workload(
            "zipf",
            _zipf(1_000, 20_000, 40),
            "RandomForestRegressor",
            {"n_estimators": 10},
            ("apply_in_pandas", "joblib"),
        ),
        Workload("linear_1k", 30, *LINEAR, (), groups=1_000),
        Workload("linear_10k", 30, *LINEAR, (), groups=10_000),
        Workload("linear_1m", 30, *LINEAR, (), groups=1_000_000),
    )
}


def write_project(workload: Workload, folder: Path) -> Path:
    """Write a workload's project with its data, unless it is there, and return the data's path."""
    data = folder / "data" / "rows.parquet"
    if not data.exists():
        data.parent.mkdir(parents=True, exist_ok=True)
        _write_rows(workload, data)
    family = {
        "name": "models",
        "group_by": ["g"],
        "source": "rows",
        "features": [f"x{i}" for i in range(FEATURES)],
        "label": "y",
        "estimator": {"class": workload.estimator, "params": workload.params},
        "evaluate": {"holdout": 0.2, "metrics": ["rmse", "mae", "r2"]},
    }
    for name, document in (
        ("mf_project.yml", {"name": "bench"}),
        ("sources/rows.yml", {"sources": [{"name": "rows", "path": "data/rows.parquet"}]}),
        ("families/models.yml", {"families": [family]}),
    ):
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML
    return data


def _write_rows(workload: Workload, file: Path) -> None:
    """Write rows in random order, as they come from the world."""
    rng = np.random.default_rng(0)
    keys = np.repeat(np.arange(len(workload.rows_of_groups)), workload.rows_of_groups)
    rng.shuffle(keys)
    names = [f"x{i}" for i in range(FEATURES)]
    schema = pa.schema([("g", pa.int64()), *((name, pa.float64()) for name in names), ("y", pa.float64())])
    draft = file.with_suffix(".tmp")
    with pq.ParquetWriter(draft, schema, compression="zstd") as writer:
        for start in range(0, len(keys), CHUNK_ROWS):
            part = keys[start : start + CHUNK_ROWS]
            x = rng.normal(size=(FEATURES, len(part)))
            y = (x * (1 + part % 7)).sum(axis=0) + rng.normal(size=len(part))
            writer.write_table(pa.table([part, *x, y], schema=schema))
    draft.rename(file)
