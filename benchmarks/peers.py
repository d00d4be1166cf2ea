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


def _hash_partitioned(spark: Any) -> None:
    """Keep Spark from coalescing a shuffle this small to one partition, which would train on one core."""
    spark.conf.set("spark.sql.adaptive.coalescePartitions.enabled", "false")
    spark.conf.set("spark.sql.shuffle.partitions", "16")


def apply_in_pandas(data: str, out: str, name: str, params: dict[str, Any]) -> float:
    """Spark's grouped map: `groupBy().applyInPandas`, hash-partitioned, without a plan for skew."""
    spark = spark_session()
    _hash_partitioned(spark)
    began = time.perf_counter()
    spark.read.parquet(data).groupBy("g").applyInPandas(trainer(name, params), SCHEMA).write.parquet(out)
    seconds = time.perf_counter() - began
    spark.stop()
    return seconds


def fugue(data: str, out: str, name: str, params: dict[str, Any]) -> float:
    """Fugue's transform over the same function."""
    from fugue import transform

    spark = spark_session()
    _hash_partitioned(spark)
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


def flights_by_hand(data: str, out: str, _name: str, _params: dict[str, Any]) -> float:
    """The six families of projects/flights, one `applyInPandas` after the other; measures nothing."""
    from pyspark.sql import functions as F
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    def mixed(numeric: list[str], categorical: list[str], model: Any) -> Any:
        scaled, encoded = (StandardScaler(), numeric), (OneHotEncoder(handle_unknown="ignore"), categorical)
        return make_pipeline(make_column_transformer(scaled, encoded), model)

    spark = spark_session()
    _hash_partitioned(spark)
    began = time.perf_counter()
    rows = spark.read.parquet(data)
    flown = rows.where("arr_delay is not null")
    label, late = F.col("arr_delay"), (F.col("arr_delay") > 15).cast("int")
    forest = RandomForestRegressor(n_estimators=20, min_samples_leaf=5)
    scaled = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    numbers = ["dep_delay", "distance", "hour"]
    families: list[tuple[str, Any, list[str], list[str], Any, Any]] = [
        ("plane", flown, ["tailnum"], ["dep_delay", "distance"], label, LinearRegression()),
        (
            "dest",
            flown,
            ["dest"],
            [*numbers, "month", "carrier"],
            label,
            mixed([*numbers, "month"], ["carrier"], Ridge()),
        ),
        ("route", flown, ["origin", "dest"], ["dep_delay", "hour", "month", "day"], label, forest),
        ("carrier", flown, ["carrier", "origin", "dest"], ["dep_delay", "hour", "month"], label, LinearRegression()),
        (
            "late",
            flown,
            ["carrier"],
            [*numbers, "origin"],
            late,
            mixed(numbers, ["origin"], LogisticRegression(max_iter=500)),
        ),
        ("cancelled", rows, ["dest"], ["month", "hour", "distance"], F.isnull("dep_time").cast("int"), scaled),
    ]
    for name, table, keys, features, y, model in families:
        train = _by_keys(model, keys, features)
        named = table.select(*{*keys, *features}, y.alias("y"))
        schema = ", ".join(f"{key} string" for key in keys) + ", n long, model binary"
        named.groupBy(*keys).applyInPandas(train, schema).write.parquet(f"{out}/{name}")
    seconds = time.perf_counter() - began
    spark.stop()
    return seconds


def starter_by_hand(data: str, out: str, _name: str, _params: dict[str, Any]) -> float:
    """The one family of the project that `mf init` writes."""
    from sklearn.linear_model import LinearRegression

    spark = spark_session()
    began = time.perf_counter()
    rows = spark.read.parquet(data).select("country", "year", "life_exp").withColumnRenamed("life_exp", "y")
    train = _by_keys(LinearRegression(), ["country"], ["year"])
    rows.groupBy("country").applyInPandas(train, "country string, n long, model binary").write.parquet(out)
    seconds = time.perf_counter() - began
    spark.stop()
    return seconds


def _by_keys(model: Any, keys: list[str], features: list[str]) -> Any:
    def train(frame: pd.DataFrame) -> pd.DataFrame:
        row = {**{key: [frame[key].iloc[0]] for key in keys}, "n": [len(frame)]}
        if len(frame) < 10 or frame["y"].nunique() < 2:
            return pd.DataFrame({**row, "model": [None]})
        return pd.DataFrame({**row, "model": [pickle.dumps(clone(model).fit(frame[features], frame["y"]))]})

    import cloudpickle
    from sklearn.base import clone

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return train


PEERS = {f.__name__: f for f in (apply_in_pandas, fugue, pandas_loop, joblib, flights_by_hand, starter_by_hand)}


def main() -> None:
    """Run one peer."""
    peer, data, out, name, params = sys.argv[1:]
    seconds = PEERS[peer](data, out, name, json.loads(params))
    written = sum(f.stat().st_size for f in ([Path(out)] if Path(out).is_file() else Path(out).rglob("*.parquet")))
    print(json.dumps({"seconds": seconds, "bytes": written}))


if __name__ == "__main__":
    main()
