"""The same models by hand, as one would write them without `mf`. Each peer only fits and keeps the pickles.

Run as `python benchmarks/peers.py PEER DATA OUT ESTIMATOR PARAMS`; writes one line of JSON to stdout.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

FEATURES = [f"x{i}" for i in range(5)]
SCHEMA = "g long, n long, model binary"


def estimator_of(name: str, params: dict[str, Any]) -> Any:
    """Make an unfitted estimator."""
    modules = {"LinearRegression": "sklearn.linear_model", "RandomForestRegressor": "sklearn.ensemble"}
    return getattr(importlib.import_module(modules[name]), name)(**params)


def spark_session() -> Any:
    """Open Spark as the seed's readers would, with workers of this Python and enough memory."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[*]")
        .config("spark.driver.memory", "6g")
        .config("spark.ui.enabled", "false")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )
    session.range(1).count()
    return session


def trainer(name: str, params: dict[str, Any]) -> Any:
    """Return the seed's function, brought up to date: one group's frame in, one row out."""

    def train(frame: pd.DataFrame) -> pd.DataFrame:
        model = estimator_of(name, params)
        model.fit(frame[FEATURES], frame["y"])
        return pd.DataFrame({"g": [frame["g"].iloc[0]], "n": [len(frame)], "model": [pickle.dumps(model)]})

    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return train


def apply_in_pandas(data: str, out: str, name: str, params: dict[str, Any]) -> float:
    """Spark's grouped map: `groupBy().applyInPandas`, hash-partitioned, without a plan for skew."""
    spark = spark_session()
    # Spark would coalesce a shuffle this small to one partition and train on one core.
    spark.conf.set("spark.sql.adaptive.coalescePartitions.enabled", "false")
    spark.conf.set("spark.sql.shuffle.partitions", "16")
    began = time.perf_counter()
    spark.read.parquet(data).groupBy("g").applyInPandas(trainer(name, params), SCHEMA).write.parquet(out)
    seconds = time.perf_counter() - began
    spark.stop()
    return seconds


def fugue(data: str, out: str, name: str, params: dict[str, Any]) -> float:
    """Fugue's transform over the same function."""
    from fugue import transform

    spark = spark_session()
    spark.conf.set("spark.sql.adaptive.coalescePartitions.enabled", "false")
    spark.conf.set("spark.sql.shuffle.partitions", "16")
    began = time.perf_counter()
    rows = spark.read.parquet(data)
    done = transform(
        rows, trainer(name, params), schema="g:long,n:long,model:binary", partition={"by": "g"}, engine=spark
    )
    done.write.parquet(out)
    seconds = time.perf_counter() - began
    spark.stop()
    return seconds


def pandas_loop(data: str, out: str, name: str, params: dict[str, Any]) -> float:
    """A loop over pandas' groups in one process."""
    began = time.perf_counter()
    rows = []
    for group, frame in pd.read_parquet(data).groupby("g"):
        model = estimator_of(name, params)
        model.fit(frame[FEATURES], frame["y"])
        rows.append((group, len(frame), pickle.dumps(model)))
    pd.DataFrame(rows, columns=["g", "n", "model"]).to_parquet(out)
    return time.perf_counter() - began


def _fit_part(name: str, params: dict[str, Any], x: np.ndarray, y: np.ndarray, bounds: list[tuple[int, int]]) -> Any:
    return [
        (end - start, pickle.dumps(estimator_of(name, params).fit(x[start:end], y[start:end]))) for start, end in bounds
    ]


def joblib(data: str, out: str, name: str, params: dict[str, Any]) -> float:
    """Sorted NumPy arrays in memory, all cores: the fastest plain Python without a cluster."""
    from joblib import Parallel, delayed

    began = time.perf_counter()
    frame = pd.read_parquet(data).sort_values("g", kind="stable")
    keys, x, y = frame["g"].to_numpy(), np.ascontiguousarray(frame[FEATURES].to_numpy()), frame["y"].to_numpy()
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    bounds = list(zip(starts.tolist(), [*starts[1:].tolist(), len(keys)], strict=True))
    cores = os.cpu_count() or 1
    parts = np.array_split(np.arange(len(bounds)), cores * 8)
    done = Parallel(n_jobs=cores)(
        delayed(_fit_part)(name, params, x, y, [bounds[i] for i in part]) for part in parts if len(part)
    )
    rows = [row for part in done for row in part]
    pd.DataFrame(rows, columns=["n", "model"]).assign(g=keys[starts]).to_parquet(out)
    return time.perf_counter() - began


PEERS = {f.__name__: f for f in (apply_in_pandas, fugue, pandas_loop, joblib)}


def main() -> None:
    """Run one peer."""
    peer, data, out, name, params = sys.argv[1:]
    seconds = PEERS[peer](data, out, name, json.loads(params))
    written = sum(f.stat().st_size for f in ([Path(out)] if Path(out).is_file() else Path(out).rglob("*.parquet")))
    print(json.dumps({"seconds": seconds, "bytes": written}))


if __name__ == "__main__":
    main()
