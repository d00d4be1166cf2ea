"""Scoring ten million rows by ten thousand linear models: `mf score`, the same by hand, and NumPy with all in memory.

Also how long one model takes to load out of a hundred thousand. Run as `benchmarks/scoring.py PEER ROWS STORE OUT`
it is one of the peers, and writes one line of JSON to stdout.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from commands import MF
from peers import FEATURES, spark_session
from processes import last_events, run_watched
from workloads import WORKLOADS, write_project

from modelfactory.serving.stores import open_store

SCORE, LOAD = "score", "load"
ROWS, GROUPS = 10_000_000, 10_000
_CHUNK = 500_000
NAMES = {
    "mf": "`mf score`",
    "by_hand": "join the pickles to the rows, `groupBy().applyInPandas`",
    "numpy": "NumPy, one process, coefficients in memory",
}


@dataclass(frozen=True, slots=True)
class Scored:
    """What one program took: seconds of the job without the start of Python and Spark, and of the process."""

    program: str
    job: float
    whole: float


@dataclass(frozen=True, slots=True)
class Loads:
    """Seconds until one model out of a hundred thousand is there: first in a process that has the libraries, then."""

    cold: float
    warm: float


def score_workload(folder: Path, environment: Mapping[str, str]) -> list[Scored]:
    """Build ten thousand models, and score ten million rows in every way."""
    project = _built("linear_10k", folder, environment)
    rows = folder / "rows.parquet"
    _write_rows(rows)
    time.sleep(2)  # what was just written is still on its way to the disk
    command = [*MF, "score", "models", "--input", str(rows), "--output", str(folder / "mf.out"), "--quiet"]
    watched = run_watched([*command, "--project-dir", str(project)], environment)
    times = last_events(project)
    spark = times["timings"]["spark_seconds"] + times["timings"]["compile_seconds"]
    found = [Scored("mf", times["scoring_finished"]["seconds"] - spark, watched.seconds)]
    for peer in ("numpy", "by_hand"):
        arguments = [peer, str(rows), str(project / "store"), str(folder / f"{peer}.out")]
        done = run_watched([sys.executable, __file__, *arguments])
        found.append(Scored(peer, json.loads(done.stdout.splitlines()[-1])["seconds"], done.seconds))
        print(f"{SCORE}: {found[-1]}", file=sys.stderr)
    return found


def load_workload(folder: Path, environment: Mapping[str, str]) -> Loads:
    """Build a hundred thousand models, and load some."""
    store = _built("linear_100k", folder, environment) / "store"
    done = run_watched([sys.executable, __file__, LOAD, "", str(store), ""])
    return Loads(**json.loads(done.stdout.splitlines()[-1]))


def report(scored: list[Scored], loads: Loads | None) -> list[str]:
    """Return the lines of the report."""
    lines = []
    if scored:
        own = scored[0]
        lines += ["", "## Scoring", "", f"{ROWS:,} rows × {len(FEATURES)} features, {GROUPS:,} linear models."]
        lines += ["", "| program | job, s | ratio | rows a second | process, s | ratio |", "|" + " --- |" * 6]
        for row in scored:
            cells = [NAMES[row.program], f"{row.job:.1f}", f"{row.job / own.job:.2f}", f"{ROWS / row.job:,.0f}"]
            cells += [f"{row.whole:.1f}", f"{row.whole / own.whole:.2f}"]
            lines.append(f"| {' | '.join(cells)} |")
    if loads:
        lines += ["", "## Loading one model of 100,000", "", "| | ms |", "| --- | --- |"]
        lines += [f"| first, libraries loaded | {loads.cold * 1000:.0f} |", f"| then | {loads.warm * 1000:.1f} |"]
    return lines


def _built(workload: str, folder: Path, environment: Mapping[str, str]) -> Path:
    project = folder / workload
    write_project(WORKLOADS[workload], project)
    run_watched([*MF, "build", "--quiet", "--project-dir", str(project)], environment)
    return project


def _write_rows(file: Path) -> None:
    rng = np.random.default_rng(1)
    schema = pa.schema([("g", pa.int64()), *((name, pa.float64()) for name in FEATURES)])
    with pq.ParquetWriter(file, schema) as out:
        for _ in range(ROWS // _CHUNK):
            columns = {name: rng.normal(size=_CHUNK) for name in FEATURES}
            out.write_table(pa.table({"g": rng.integers(0, GROUPS, _CHUNK), **columns}))


# The peers ----------------------------------------------------------------------------------------------------------


def by_hand(rows: str, store: str, out: str) -> float:
    """What one writes first: each row carries the pickle of its model, and each group unpickles it once."""
    import cloudpickle
    from pyspark.sql import functions as F

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    spark = spark_session()
    (models,) = Path(store).glob("models/v*/models")

    def score(frame: pd.DataFrame) -> pd.DataFrame:
        model = pickle.loads(frame["model"].iloc[0])
        return frame.drop(columns="model").assign(prediction=model.predict(frame[FEATURES]))

    began = time.perf_counter()
    table = spark.read.parquet(str(models)).select("g", "model")
    joined = spark.read.parquet(rows).join(F.broadcast(table), "g")
    schema = "g long, " + ", ".join(f"{name} double" for name in FEATURES) + ", prediction double"
    joined.groupBy("g").applyInPandas(score, schema).write.parquet(out)
    seconds = time.perf_counter() - began
    spark.stop()
    return seconds


def numpy(rows: str, store: str, out: str) -> float:
    """The floor: coefficients in memory before the clock starts; read, find, predict, write in one process."""
    (models,) = Path(store).glob("models/v*/models")
    table = pq.read_table(models, columns=["g", "model"])
    fitted = [pickle.loads(model) for model in table["model"].to_pylist()]
    coef, intercept = np.array([m.coef_ for m in fitted]), np.array([m.intercept_ for m in fitted])
    began = time.perf_counter()
    read = pq.read_table(rows)
    model = pc.index_in(read["g"].combine_chunks(), value_set=table["g"].combine_chunks()).to_numpy()
    prediction = intercept[model]
    for i, name in enumerate(FEATURES):
        prediction += read[name].to_numpy() * coef[model, i]
    n = len(prediction)
    answered = read.append_column("prediction", pa.array(prediction))
    answered = answered.append_column("model_version", pa.repeat(pa.scalar(1, pa.int32()), n))
    answered = answered.append_column("served_by", pa.repeat("group", n))
    pq.write_table(answered.append_column("reason", pa.nulls(n, pa.string())), out)
    return time.perf_counter() - began


def load(store: str) -> dict[str, float]:
    """Load one model after the other; the libraries are imported before."""
    import sklearn.linear_model  # noqa: F401

    open_store("nowhere")
    began = time.perf_counter()
    family = open_store(store).family("models")
    family.model(g=0)
    cold, warm = time.perf_counter() - began, []
    for group in range(1, 100_000, 997):
        began = time.perf_counter()
        family.model(g=group)
        warm.append(time.perf_counter() - began)
    return {"cold": cold, "warm": float(np.median(warm))}


def main(peer: str, rows: str, store: str, out: str) -> None:
    """Run one peer."""
    if peer == LOAD:
        print(json.dumps(load(store)))
        return
    peers: dict[str, Any] = {"by_hand": by_hand, "numpy": numpy}
    print(json.dumps({"seconds": peers[peer](rows, store, out)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
