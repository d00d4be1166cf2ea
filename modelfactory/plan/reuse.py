"""Which groups a build has to train, and which stand as the current version has them; vectorised, pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modelfactory.plan.outcomes import BY_CHANCE, SERVED, BuildReason, Status

Bools = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Before:
    """What the current version says of the groups of a census; one entry per group in every array.

    Attributes:
        known: whether it has the group; what stands for the others below means nothing.
        status: the group's status; empty text where a rule decided it that may not hold any more.
        same_definition: whether what was decided of it was so by a definition that gives the same models of the same
            rows.
        same_rows: whether its usable rows are the same.
        same_libraries: whether its model, or its fault, is of the libraries at hand.
        measured: whether its model was measured by all metrics that are asked for.
    """

    known: Bools
    status: Texts
    same_definition: Bools
    same_rows: Bools
    same_libraries: Bools
    measured: Bools


def reasons_to_build(before: Before, *, retrain_on_libraries: bool = False, full_refresh: bool = False) -> Texts:
    """Say for each group why it is to be trained, or that it stands.

    A fault stands like a model: the same rows fail again in the same way. But not a timeout or a crash, which may have
    been the machine's.

    Args:
        before: what the current version says.
        retrain_on_libraries: whether other libraries are a reason.
        full_refresh: train all.

    Returns:
        A `BuildReason` of each group, shape (g,).
    """
    has_model = np.isin(before.status, [str(status) for status in SERVED])
    failed = before.status == Status.FAILED
    by_chance = np.isin(before.status, [str(status) for status in BY_CHANCE])
    # The least comes first: what is said later counts.
    reasons = np.full(len(before.known), BuildReason.UNCHANGED, dtype=object)
    reasons[has_model & ~before.measured] = BuildReason.METRICS
    if retrain_on_libraries:
        reasons[~before.same_libraries] = BuildReason.ENVIRONMENT
    reasons[by_chance | (failed & ~before.same_libraries)] = BuildReason.RETRY
    # What was kept out by a rule has no fault and no model, and the rule lets it in now.
    reasons[~(has_model | failed | by_chance | (before.status == Status.ONE_CLASS))] = BuildReason.DEFINITION
    reasons[~before.same_rows] = BuildReason.DATA
    reasons[~before.same_definition] = BuildReason.DEFINITION
    if full_refresh:
        reasons[:] = BuildReason.REFRESH
    reasons[~before.known] = BuildReason.NEW
    return reasons
