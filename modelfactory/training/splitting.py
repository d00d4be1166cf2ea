"""Which rows of a group are measured and not fitted on.

That depends on the content of rows and the seed, never on positions, partitions or the number of cores.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from modelfactory.plan.mixing import mix
from modelfactory.plan.steps import Evaluation
from modelfactory.training.batches import Bools, Floats, Hashes, Rows

NEVER = -1
"""Of a row that no split measures."""


def measured_in(
    evaluation: Evaluation | None, seed: int, row_hash: Hashes, time: Floats | None, bounds: Rows
) -> npt.NDArray[np.intp]:
    """Return the number of the split that measures each row; all other splits of the group fit on it.

    Args:
        evaluation: how to measure.
        seed: seed of the family.
        row_hash: hash of each row's content, shape (n,).
        time: time of each row for `by_time`, shape (n,).
        bounds: the rows of group i are `bounds[i]` to `bounds[i + 1]`, shape (g + 1,).

    Returns:
        Numbers from 0, or `NEVER`, shape (n,). A group whose rows are all `NEVER` is not to be measured or cannot be.
    """
    found = np.full(len(row_hash), NEVER, dtype=np.intp)
    if evaluation is None:
        return found
    starts, sizes = bounds[:-1], np.diff(bounds)
    if evaluation.method == "folds":
        order = np.lexsort((mix(row_hash, seed), np.repeat(np.arange(len(sizes)), sizes)))
        place = np.arange(len(order)) - np.repeat(starts, sizes)
        found[order] = place % np.repeat(np.minimum(evaluation.folds, sizes), sizes)
    else:
        if evaluation.method == "by_time":
            chosen = _latest(evaluation.share, time, starts, sizes)
        else:
            chosen = _hashed(evaluation.share, mix(row_hash, seed), starts, sizes)
        found[chosen] = 0
    found[np.repeat(sizes < 2, sizes)] = NEVER
    return found


def splits(measured: npt.NDArray[np.intp]) -> Iterator[tuple[Rows, Rows]]:
    """Yield pairs of rows to fit on and rows to measure on, by what `measured_in` found for one group."""
    for number in range(int(measured.max()) + 1):
        yield np.flatnonzero(measured != number), np.flatnonzero(measured == number)


def _hashed(share: float, mixed: npt.NDArray[np.uint64], starts: Rows, sizes: Rows) -> Bools:
    """Choose rows by their hash; at least one for either side.

    A row stays on its side when others come or go, unless it is the only one there.
    """
    chosen = mixed < np.uint64(int(share * 2.0**64))
    count = np.add.reduceat(chosen, starts, dtype=np.intp)
    for group in np.flatnonzero((count == 0) | (count == sizes)).tolist():
        rows = slice(starts[group], starts[group] + sizes[group])
        nearest = np.argmin(mixed[rows]) if count[group] == 0 else np.argmax(mixed[rows])
        chosen[rows][nearest] ^= True
    return chosen


def _latest(share: float, time: Floats | None, starts: Rows, sizes: Rows) -> Bools:
    """Choose the latest rows; rows of one moment stay on one side, rows without a time are never chosen."""
    if time is None:
        raise AssertionError("by_time has a time column")
    time = np.where(np.isnan(time), -np.inf, time)
    rising = time[np.lexsort((time, np.repeat(np.arange(len(sizes)), sizes)))]
    cut = np.minimum(np.ceil(np.round(sizes * (1 - share), 9)).astype(np.intp), sizes - 1)
    first, at_cut = rising[starts], rising[starts + cut]
    # Where the moment of the cut is the earliest one, all rows would be chosen: measure on what comes after it.
    above = np.repeat(at_cut == first, sizes)
    at_cut = np.repeat(at_cut, sizes)
    chosen: Bools = np.where(above, time > at_cut, time >= at_cut)
    return chosen
