"""Score a Spark DataFrame by a chain of models."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelfactory.plan.schedule import place
from modelfactory.scoring.forms import StoredModel
from modelfactory.scoring.linear import LinearModels
from modelfactory.scoring.worker import Level, Scorer, resident_scorer, streaming_scorer
from modelfactory.serving.chain import Chain, Link
from modelfactory.serving.models import VersionModels
from modelfactory.spark.scoring import LevelTable, scored
from modelfactory.spark.session import slots_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FEW_MODELS, FEW_BYTES = 256, 64 << 20
"""Models of a version, and bytes of them, up to which they travel with the function to every task."""
LINEAR_BYTES = 256 << 20
"""Bytes of the numbers of linear models up to which these do."""
FORMULA_FEATURES = 100
"""Features of linear models up to which Spark compiles their formula."""
BINS_PER_SLOT = 4


def score_frame(chain: Chain, rows: DataFrame) -> DataFrame:
    """Return rows with their answers; nothing runs before an action on the result.

    Args:
        chain: the models.
        rows: the rows.

    Raises:
        InputError: a column of the rows does not fit, or a model may not be loaded.
    """
    resident = [_resident(link.models) for link in chain.links]
    stay = all(models is not None for models in resident)
    levels = [
        Level(link.models.form, link.start, len(link.models.has_model), models if stay else None)
        for link, models in zip(chain.links, resident, strict=True)
    ]
    n_bins = None if stay else slots_of(rows.sparkSession) * BINS_PER_SLOT
    bins = _bins(chain, n_bins)
    tables = [_table(link, bins, with_models=not stay) for link in chain.links]
    scorer: Scorer | None = None
    if all(isinstance(models, LinearModels) for models in resident) and len(chain.features) <= FORMULA_FEATURES:
        tables = [_with_formula(table, link.models) for table, link in zip(tables, chain.links, strict=True)]
    else:
        scorer = (resident_scorer if stay else streaming_scorer)(levels, chain.features)
    return scored(
        rows,
        tables,
        chain.features,
        scorer,
        answer=chain.links[0].models.form.answer,
        probability=chain.gives_probability,
        n_bins=n_bins,
    )


def _resident(models: VersionModels) -> LinearModels | dict[int, StoredModel] | None:
    """Return models that are small enough to travel with the function; None if they are not."""
    p, g = len(models.record.features), len(models.has_model)
    if models.record.task == "regression" and g * (3 * p + 1) * 8 <= LINEAR_BYTES and models.linear is not None:
        return models.linear
    groups = np.flatnonzero(models.has_model)
    if len(groups) > FEW_MODELS or models.bytes > FEW_BYTES:
        return None
    return dict(models.each_stored(groups.tolist()))


def _bins(chain: Chain, n_bins: int | None) -> npt.NDArray[np.int32]:
    """Return the bin of every group: even by the rows that each had in training, since it will have as many again."""
    rows = np.concatenate([link.models.groups["n_rows"].to_numpy() for link in chain.links]).astype(np.float64)
    if n_bins is None:
        return np.zeros(len(rows), dtype=np.int32)
    return place(rows, np.arange(len(rows)), min(n_bins, len(rows)))


def _table(link: Link, bins: npt.NDArray[np.int32], *, with_models: bool) -> LevelTable:
    models, groups = link.models, link.models.groups
    numbers = np.arange(link.start, link.start + len(models.has_model))
    columns = {f"key_{i}": groups[key] for i, key in enumerate(models.keys)}
    columns |= {
        "status": groups["status"],
        "version": groups["model_version"],
        "number": pa.array(numbers, mask=~models.has_model),
        "bin": pa.array(bins[numbers]),
    }
    folders = {version: models.model_url(version) for version in models.model_versions} if with_models else {}
    return LevelTable(served_by=link.served_by, keys=models.keys, groups=pa.table(columns), models=folders)


def _with_formula(table: LevelTable, models: VersionModels) -> LevelTable:
    """Put the numbers of linear models beside their groups."""
    numbers, groups = models.linear, table.groups
    if numbers is None:
        raise AssertionError("only linear models have a formula")
    groups = groups.append_column("intercept", pa.array(numbers.intercept))
    for name, values in (("coef", numbers.coef), ("mean", numbers.mean), ("scale", numbers.scale)):
        for k, column in enumerate(() if values is None else values.T):
            groups = groups.append_column(f"{name}_{k}", pa.array(np.ascontiguousarray(column)))
    return replace(table, groups=groups, formula=models.form.features)
