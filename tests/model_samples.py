"""Versions with real models of scikit-learn, published without Spark, for tests of what loads and asks them.

`fitted` fits one model as training does; `Group` is what came of one group; `publish` writes a version.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.base import clone

from modelfactory.plan.outcomes import GROUP_HASH
from modelfactory.store.manifest import FeatureRecord, FileRecord, Fingerprints, GlobalModelRecord, VersionRecord
from modelfactory.store.store import Store
from modelfactory.store.versions import Staging, next_number, publish_version, rows_of, stage_version
from modelfactory.store.versions import digest_of as file_digest
from modelfactory.training.encoding import EncodedModel, encode_model
from modelfactory.training.schema import MODEL_FIELDS, OUTCOME_SCHEMA

FEATURES = ("x0", "x1")
_TYPES = {"numeric": "double", "categorical": "string"}
_NUMBERS = pa.map_(pa.string(), pa.float64())


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What came of one group.

    Attributes:
        key: a value for each group column.
        model: the fitted estimator, or its bytes; None where there is none.
        status: as in the group table.
        model_version: version that holds the model of a `reused` group.
        n_rows: rows of the group.
    """

    key: tuple[Any, ...]
    model: Any = None
    status: str = "trained"
    model_version: int | None = None
    n_rows: int = 40


def sample_rows(n: int = 40, features: Sequence[str] = FEATURES, *, seed: int = 0) -> pd.DataFrame:
    """Return rows of ordinary numbers."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({name: rng.normal(size=n) for name in features})


def sample_label(rows: pd.DataFrame, *, seed: int = 0, classes: Sequence[Any] = ()) -> np.ndarray:
    """Return a noisy sum of numbers that is different for each seed, or classes cut out of it, each with some rows."""
    rng = np.random.default_rng(seed + 1)
    numbers = rows.select_dtypes("number")
    y = numbers.to_numpy() @ rng.normal(size=numbers.shape[1]) + seed + 0.1 * rng.normal(size=len(rows))
    if not len(classes):
        return y
    return np.asarray(classes)[np.argsort(np.argsort(y)) * len(classes) // len(rows)]


def fitted(estimator: Any, rows: pd.DataFrame, label: Any = None, *, container: str = "matrix") -> Any:
    """Fit a copy of an estimator as training does: from a matrix, and named after it, or from a DataFrame."""
    model = clone(estimator)
    given = np.asfortranarray(rows.to_numpy(dtype=np.float64)) if container == "matrix" else rows
    model.fit(given) if label is None else model.fit(given, label)
    if container == "matrix":
        first = model.steps[0][1] if type(model).__name__ == "Pipeline" else model
        first.feature_names_in_ = np.array(list(rows.columns), dtype=object)
    return model


def asked(model: Any, rows: pd.DataFrame, features: Sequence[str] = FEATURES) -> np.ndarray:
    """Return what scikit-learn says when a user asks a model about rows, at least one."""
    return np.asarray(model.predict(rows[list(features)]))


def sample_groups(
    estimator: Any,
    keys: Iterable[Any],
    *,
    classes: Callable[[int], Sequence[Any]] = lambda _: (),
    features: Sequence[str] = FEATURES,
    supervised: bool = True,
    container: str = "matrix",
) -> list[Group]:
    """Fit a model for each key, on rows of its own.

    Args:
        estimator: a copy of it is fitted.
        keys: the keys; one that is no tuple is the value of the one group column.
        classes: takes the number of a group and returns the classes of its label, none for numbers.
        features: numeric features.
        supervised: whether the models see a label.
        container: what the models are fitted from.
    """
    groups = []
    for i, key in enumerate(keys):
        rows = sample_rows(features=features, seed=i)
        label = sample_label(rows, seed=i, classes=classes(i)) if supervised else None
        model = fitted(estimator, rows, label, container=container)
        groups.append(Group(key=key if isinstance(key, tuple) else (key,), model=model))
    return groups


def publish(
    store: Store | Path,
    family: str,
    keys: Mapping[str, pa.DataType],
    groups: Sequence[Group],
    *,
    features: Sequence[str | tuple[str, str]] = FEATURES,
    task: str = "regression",
    container: str = "matrix",
    persistence: str = "pickle",
    fallback: str | None = None,
    global_model: Any = None,
    files: int = 2,
    row_group_size: int = 3,
    **record: Any,
) -> VersionRecord:
    """Publish the next version of a family.

    Args:
        store: the store, or its folder.
        family: name of the family.
        keys: name and type of each group column.
        groups: what came of each group.
        features: names of numeric features, or names and kinds.
        task: of the models.
        container: what they were fitted from.
        persistence: how they are written.
        fallback: what stands in, as in the definition.
        global_model: the fitted model of all rows.
        files: files of the model table.
        row_group_size: models in each row group of these.
        **record: other attributes of the version's record.
    """
    store = Store(store) if isinstance(store, Path) else store
    number = next_number(store, family)
    with store.locked(family):
        staging = stage_version(store, family, number, f"run{number}")
        encoded = [_encoded(group.model, persistence) if group.status == "trained" else None for group in groups]
        staging.write_groups(group_table(number, keys, groups, encoded))
        table = model_table(keys, groups, encoded)
        ends = np.linspace(0, len(table), min(files, max(len(table), 1)) + 1).astype(int).tolist()
        for i, (start, end) in enumerate(itertools.pairwise(ends)):
            _write(staging, f"models/part-{i:05d}.parquet", table.slice(start, end - start), row_group_size)
        whole = None
        if global_model is not None:
            stored = _encoded(global_model, persistence)
            one = [Group(key=(), model=global_model)]
            _write(staging, "global/part-00000.parquet", model_table({}, one, [stored]), 1)
            whole = GlobalModelRecord(
                status="trained",
                n_rows=sum(group.n_rows for group in groups),
                n_train=40,
                model_bytes=len(stored.data),
                model_sha256=stored.sha256,
            )
        sealed = staging.seal()
        if whole is not None and not any(file.table == "global" for file in sealed):
            sealed.append(_described(staging, "global/part-00000.parquet", "global"))
        fields: dict[str, Any] = {
            "number": number,
            "run_id": f"run{number}",
            "started_at": "2024-01-01T00:00:00+00:00",
            "published_at": "2024-01-01T00:00:00+00:00",
            "mf_version": "0",
            "libraries": {"scikit-learn": metadata.version("scikit-learn")},
            "definition": {"name": family} | ({"fallback": fallback} if fallback else {}),
            "fingerprints": Fingerprints(definition="", metadata="", data="", environment=""),
            "group_by": list(keys),
            "label": None if task == "unsupervised" else "y",
            "task": task,
            "features": [FeatureRecord(name=f, kind=k, type=_TYPES[k]) for f, k in map(_feature, features)],
            "container": container,
            "global_model": whole,
            "statuses": dict(Counter(group.status for group in groups)),
            "rows": sum(group.n_rows for group in groups),
            "rows_without_label": 0,
            "metrics": {},
            "baseline": {},
            "cpu_seconds": 0,
            "wall_seconds": 0,
            "training_seconds": 0,
            "slots": 1,
            "efficiency": None,
            "files": sealed,
        }
        version = VersionRecord(**fields | record)
        publish_version(store, staging, version)
        staging.discard()
    return version


def group_table(
    number: int, keys: Mapping[str, pa.DataType], groups: Sequence[Group], encoded: Sequence[EncodedModel | None]
) -> pa.Table:
    """Write outcomes with the columns of the contract."""
    g = len(groups)
    versions = [number if group.status == "trained" else group.model_version for group in groups]
    return pa.table(
        {
            **_key_columns(keys, groups),
            "status": pa.array([group.status for group in groups], pa.string()),
            "n_rows": pa.array([group.n_rows for group in groups], pa.int64()),
            "n_train": pa.array([0 if model is None else 40 for model in encoded], pa.int64()),
            "n_test": pa.array([0] * g, pa.int64()),
            "metrics": pa.array([[]] * g, _NUMBERS),
            "baseline": pa.array([[]] * g, _NUMBERS),
            "fit_seconds": pa.array([0.0] * g),
            "cpu_seconds": pa.array([0.0] * g),
            "model_version": pa.array(versions, pa.int32()),
            "model_bytes": pa.array([model and len(model.data) for model in encoded], pa.int64()),
            "model_sha256": pa.array([model and model.sha256 for model in encoded], pa.string()),
            "data_digest": pa.array([""] * g),
            "error_type": pa.array(["ValueError" if group.status == "failed" else None for group in groups]),
            "error": pa.array(["no luck" if group.status == "failed" else None for group in groups]),
            "warnings": pa.array([[]] * g, pa.list_(pa.string())),
        }
    )


def model_table(
    keys: Mapping[str, pa.DataType], groups: Sequence[Group], encoded: Sequence[EncodedModel | None]
) -> pa.Table:
    """Write the models that were fitted in this version, in another order than the groups."""
    pairs = [(group, model) for group, model in zip(groups, encoded, strict=True) if model is not None][::-1]
    fields = [field for field in OUTCOME_SCHEMA if not field.name.startswith("_") and field.name not in MODEL_FIELDS]
    known = {"status": "trained", "n_train": 40, "cpu_seconds": 0.0}
    outcome = pa.struct([pa.field(GROUP_HASH, pa.int64()), *fields])
    return pa.table(
        {
            **_key_columns(keys, [group for group, _ in pairs]),
            "model": pa.array([model.data for _, model in pairs], pa.binary()),
            "format": pa.array([model.format for _, model in pairs], pa.string()),
            "sha256": pa.array([model.sha256 for _, model in pairs], pa.string()),
            "outcome": pa.array([known | {GROUP_HASH: i} for i in range(len(pairs))], outcome),
        }
    )


def _key_columns(keys: Mapping[str, pa.DataType], groups: Sequence[Group]) -> dict[str, pa.Array]:
    return {name: pa.array([group.key[i] for group in groups], kind) for i, (name, kind) in enumerate(keys.items())}


def _encoded(model: Any, persistence: Any) -> EncodedModel:
    return model if isinstance(model, EncodedModel) else encode_model(model, persistence)


def _feature(written: str | tuple[str, str]) -> tuple[str, Any]:
    return (written, "numeric") if isinstance(written, str) else written


def _write(staging: Staging, name: str, table: pa.Table, row_group_size: int) -> None:
    with staging.place.writing(f"{staging.folder}/{name}") as out:
        pq.write_table(table, out, compression="zstd", row_group_size=row_group_size)


def _described(staging: Staging, name: str, table: str) -> FileRecord:
    file = f"{staging.folder}/{name}"
    digest, size = file_digest(staging.place, file)
    rows = rows_of(staging.place, file)
    return FileRecord(path=f"{staging.name}/{name}", table=table, rows=rows, bytes=size, sha256=digest)
