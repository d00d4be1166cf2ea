"""From the census to a decision and a bin for every group; vectorised, pure.

Bins are filled longest first by expected cost and numbered by falling cost. Spark starts tasks in the order of
their numbers, so its own scheduler follows the longest-processing-time rule (Graham 1969), whose makespan is at
most 4/3 of the best.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modelfactory.plan.costs import Measured, expected_seconds
from modelfactory.plan.outcomes import Status
from modelfactory.plan.steps import TrainStep

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
BINS_PER_SLOT = 8
"""Most bins for each task that can run at once: enough to even out wrong guesses of cost, few enough to stay cheap."""
BIN_SECONDS = 0.5
"""Least expected seconds of a bin, which make the start of its task worth while, if there are more bins than slots."""
GLOBAL_GROUP = -0x6D66_676C_6F62_616C
"""Identity of the rows of the global model, among those of groups, which are hashes of 64 bits. Should a group have the
same, its rows do not add up, and nothing is published."""
_EXACT = 64
"""Groups per bin that are placed one by one; the rest, the cheapest, is poured in to level the bins."""


@dataclass(frozen=True, slots=True)
class Census:
    """What is known of every group before training; one entry per group in every array.

    Attributes:
        group: identity of the group, a hash of its key.
        n_rows: rows of the input.
        n_usable: rows that have a label, or all rows where there is none.
        null_key: whether a group column is null.
        one_class: whether all labels are equal.
        inexact: whether a numeric column holds a whole number that a double cannot hold.
    """

    group: Ints
    n_rows: Ints
    n_usable: Ints
    null_key: Bools
    one_class: Bools
    inexact: Bools


@dataclass(frozen=True, slots=True)
class GlobalFit:
    """How the global model is fitted: in the same walk as the groups, as if its rows were one group more.

    Attributes:
        n_rows: usable rows of all groups.
        most: about how many of them it is fitted on; None for all.
        bin: number of its bin.
        seconds: processor seconds that it is expected to take.
    """

    n_rows: int
    most: int | None
    bin: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """What becomes of every group, in the order of the census.

    Attributes:
        status: the outcome that is certain before training, by a rule or since it stands; empty text where the
            group is to be trained.
        bin: number of the bin, from 0 by falling cost; -1 where the group is not trained.
        n_bins: how many bins there are.
        seconds: processor seconds that each group is expected to take; 0 where it is not trained.
        global_fit: how the global model is fitted, if there is one; it is none of the groups.
    """

    status: npt.NDArray[np.object_]
    bin: npt.NDArray[np.int32]
    n_bins: int
    seconds: Floats
    global_fit: GlobalFit | None = None

    @property
    def to_train(self) -> Bools:
        """Which groups are trained."""
        return self.bin >= 0


def schedule_groups(
    step: TrainStep,
    census: Census,
    *,
    slots: int,
    measured: Callable[[], Measured | None] = lambda: None,
    stands: npt.NDArray[np.object_] | None = None,
    global_stands: bool = False,
) -> Schedule:
    """Decide what becomes of every group and place those that are trained.

    Args:
        step: the family's step.
        census: what is known of its groups.
        slots: how many tasks Spark runs at once.
        measured: returns what the same definition took before, if it is known; asked if any group is to be trained.
        stands: the status of each group that the rules let in and that need not be trained, empty text of the others.
        global_stands: whether the global model, if the family has one, need not be trained.
    """
    status = ruled_out(step, census)
    if stands is not None:
        status = np.where(status == "", stands, status)
    train = status == ""
    bins = np.full(len(status), -1, dtype=np.int32)
    identity, n_rows = census.group[train], census.n_usable[train]
    n_rows = np.where(step.samples(n_rows), step.max_rows or 0, n_rows)
    trained, usable, most = len(identity), int(census.n_usable.sum()), step.global_rows
    # Without a model of a group there is no version, and nothing to stand in for.
    alive = trained > 0 or bool((status == Status.REUSED).any())
    if has_global := step.has_global_model and alive and not global_stands:
        identity, n_rows = np.append(identity, GLOBAL_GROUP), np.append(n_rows, min(most, usable))
    costs = expected_seconds(step.fit, identity, n_rows, measured() if len(identity) else None)
    n_bins = min(len(costs), BINS_PER_SLOT * slots, max(slots, math.ceil(costs.sum() / BIN_SECONDS)))
    placed = place(costs, identity, n_bins)
    bins[train] = placed[:trained]
    seconds = np.zeros(len(status))
    seconds[train] = costs[:trained]
    if not has_global:
        return Schedule(status, bins, n_bins, seconds)
    whole = GlobalFit(usable, most if usable > most else None, int(placed[-1]), float(costs[-1]))
    return Schedule(status, bins, n_bins, seconds, whole)


def schedule_nothing(step: TrainStep) -> Schedule:
    """Return the schedule of a build on no rows: one bin without groups, since a bin is what starts a worker."""
    whole = GlobalFit(n_rows=0, most=None, bin=0, seconds=0.0) if step.has_global_model else None
    return Schedule(np.empty(0, dtype=object), np.empty(0, dtype=np.int32), 1, np.empty(0), whole)


def ruled_out(step: TrainStep, census: Census) -> npt.NDArray[np.object_]:
    """Return the outcome of each group that a rule decides before training, empty text of the others; shape (g,).

    Args:
        step: the family's step.
        census: what is known of its groups.
    """
    status = np.full(len(census.group), "", dtype=object)  # a reference each, to one of few texts
    if step.fit.task == "classification":
        status[census.one_class] = Status.ONE_CLASS
    status[census.inexact] = Status.FAILED
    if step.max_rows is not None and step.on_too_many == "skip":
        status[census.n_usable > step.max_rows] = Status.TOO_MANY_ROWS
    status[census.n_usable < step.min_rows] = Status.TOO_FEW_ROWS
    if step.null_keys == "skip":
        status[census.null_key] = Status.NULL_KEY
    return status


def place(costs: Floats, identity: Ints, n_bins: int) -> npt.NDArray[np.int32]:
    """Place items into bins so that the fullest bin is small.

    The dearest items go one by one into the emptiest bin; the many cheap ones are then poured in to level the bins.

    Args:
        costs: cost of each item, shape (n,).
        identity: breaks ties, so that the result does not depend on the order of the items; shape (n,).
        n_bins: number of bins, at most n.

    Returns:
        The bin of each item, shape (n,); bin 0 is the fullest.
    """
    if n_bins == 0:
        return np.empty(0, dtype=np.int32)
    order = np.lexsort((identity, -costs))
    bins = np.empty(len(costs), dtype=np.int32)
    exact, poured = order[: n_bins * _EXACT], order[n_bins * _EXACT :]
    heap = [(0.0, number) for number in range(n_bins)]
    for item in exact.tolist():
        load, number = heap[0]
        bins[item] = number
        heapq.heapreplace(heap, (load + float(costs[item]), number))
    loads = np.zeros(n_bins)
    for load, number in heap:
        loads[number] = load
    if len(poured):
        room = _room(loads, float(costs[poured].sum()))
        middle = np.cumsum(costs[poured]) - costs[poured] / 2
        bins[poured] = np.minimum(np.searchsorted(np.cumsum(room), middle), n_bins - 1)
    totals = np.bincount(bins, weights=costs, minlength=n_bins)
    rank: npt.NDArray[np.int32] = np.empty(n_bins, dtype=np.int32)
    rank[np.argsort(-totals, kind="stable")] = np.arange(n_bins, dtype=np.int32)
    numbered: npt.NDArray[np.int32] = rank[bins]
    return numbered


def _room(loads: Floats, amount: float) -> Floats:
    """Return how much to pour into each bin so that all reach one level, as water would."""
    rising = np.sort(loads)
    filled = np.arange(1, len(loads) + 1) * rising - np.cumsum(rising)
    covered = int(np.searchsorted(filled, amount, side="right"))
    level = (amount + rising[:covered].sum()) / covered
    room: Floats = np.maximum(level - loads, 0.0)
    return room
