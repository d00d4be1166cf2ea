"""What `mf build --sample` trains of a family: some groups, and some rows of each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from modelfactory.commands.scope import Sample
from modelfactory.plan.mixing import mix
from modelfactory.plan.schedule import ruled_out
from modelfactory.plan.steps import TrainStep
from modelfactory.spark.census import CensusTable


def sampled(step: TrainStep, found: CensusTable, sample: Sample) -> tuple[TrainStep, CensusTable]:
    """Return what to do for a sample of a family.

    The groups are drawn out of those that are to be trained by a hash of their key and the seed of the family, the rows
    of a group as `on_too_many: sample` draws them: the same input gives the same sample. Where no group is to be
    trained, all stay, so that the build tells why.

    Args:
        step: the family's step.
        found: the census of the whole input.
        sample: how much is wanted.

    Returns:
        The step, and the census of the groups that are looked at.
    """
    allowed = np.flatnonzero(ruled_out(step, found.census) == "")
    if len(allowed):
        chosen = np.zeros(len(found.census.group), dtype=bool)
        chosen[allowed[_least(found.census.group[allowed], step.fit.seed, sample.groups)]] = True
        found = found.take(chosen)
    if sample.rows is None:
        return step, found
    most = min(sample.rows, step.max_rows or sample.rows) if step.on_too_many == "sample" else sample.rows
    return replace(step, max_rows=most, on_too_many="sample"), found


def _least(groups: npt.NDArray[np.int64], seed: int, count: int | None) -> npt.NDArray[np.intp]:
    """Return the places of those groups whose numbers, drawn by the seed, are the least."""
    if count is None or count >= len(groups):
        return np.arange(len(groups))
    return np.argsort(mix(groups.view(np.uint64) ^ mix(np.array([seed % 2**64], dtype=np.uint64), 0), 0))[:count]
