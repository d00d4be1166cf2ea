"""What the fault suite shares: a project whose groups go wrong on demand, and what must hold whatever happened."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from faulty_estimators import FAULTS, NUMBERS
from support import write_project

from modelfactory.plan.outcomes import Status
from modelfactory.store.manifest import VersionRecord
from modelfactory.store.store import Store

FAMILY = """
families:
- name: sales
  group_by: shop
  source: rows
  features: [a, b]
  label: y
  estimator: {class: faulty_estimators.Faulty, params: {pause: PAUSE}}
  evaluate: {holdout: 0.3, metrics: [rmse]}
  timeout: 2s
  max_failed: 100%
"""
WELL = 30
"""Groups of the project in which nothing goes wrong."""


def faulty_project(folder: Path, faults: Sequence[str], *, pause: float = 0.0) -> Path:
    """Write a project of `WELL` groups, and one more for each fault, named after it; each fit takes a pause."""
    names = [f"well {number:02}" for number in range(WELL)] + list(faults)
    parts = []
    for number, name in enumerate(names):  # the rows of a group do not depend on which others there are
        own = np.random.default_rng(number if number < WELL else NUMBERS[name] + 1000)
        b, y = own.normal(size=(20, 2)).T
        parts.append(pd.DataFrame({"shop": name, "a": float(NUMBERS.get(name, 0)), "b": b, "y": y}))
    table = pd.concat(parts, ignore_index=True)
    table = table.sample(frac=1.0, random_state=0)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), folder / "data/rows.parquet")
    return write_project(
        folder,
        {
            "mf_project.yml": "name: demo\nestimator_packages: [sklearn, faulty_estimators]\n",
            "sources/rows.yml": "sources:\n  - {name: rows, path: data/rows.parquet}\n",
            "families/sales.yml": FAMILY.replace("PAUSE", str(pause)),
        },
    )


def assert_whole(store: Store, family: str, version: VersionRecord) -> None:
    """Every file of a version has the bytes that the manifest says."""
    for record in version.files:
        data = (Path(store.root) / family / record.path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (record.bytes, record.sha256), record.path


def checked_groups(folder: Path, family: str = "sales") -> dict[str, dict[str, Any]]:
    """Return the current group table by key, after checking all that must hold of a published version.

    Every file has the bytes that the manifest says, every group has one outcome, the rows add up, and every model has
    the bytes that its outcome says.
    """
    store = Store(folder / "store")
    manifest = store.manifest(family)
    assert manifest is not None
    version = manifest.version()
    assert version is not None
    assert_whole(store, family, version)
    rows = pq.read_table(folder / "data/rows.parquet", columns=["shop"])["shop"].to_pylist()
    groups = [row for f in store.files(family, version, "groups") for row in pq.read_table(f).to_pylist()]
    assert sorted(row["shop"] for row in groups) == sorted(set(rows))
    assert {row["shop"]: row["n_rows"] for row in groups} == pd.Series(rows).value_counts().to_dict()
    assert sum(version.statuses.values()) == len(groups)
    models = [row for f in store.files(family, version, "models") for row in pq.ParquetFile(f).read().to_pylist()]
    trained = {row["shop"]: row["model_sha256"] for row in groups if row["status"] == Status.TRAINED}
    assert {row["shop"]: hashlib.sha256(row["model"]).hexdigest() for row in models} == trained
    return {row["shop"]: row for row in groups}


def models_of(groups: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return the SHA-256 of the models of the groups in which nothing goes wrong."""
    return {name: row["model_sha256"] for name, row in groups.items() if name.startswith("well")}


def expected_outcomes(faults: Sequence[str]) -> dict[str, tuple[str, str | None]]:
    """Return status and error type that the groups of faults must have."""
    by_name = {fault.__name__: outcome for fault, outcome in FAULTS.items()}
    return {name: by_name[name] for name in faults}


def outcomes_of(groups: dict[str, dict[str, Any]]) -> dict[str, tuple[str, str | None]]:
    """Return status and error type of the groups of faults."""
    return {name: (row["status"], row["error_type"]) for name, row in groups.items() if not name.startswith("well")}
