"""Say what will become of the groups of a census, and what training them will take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from modelfactory.commands.plans import EXAMPLES, HEAVIEST, HeavyGroup, PlannedGroups
from modelfactory.commands.work import Work
from modelfactory.plan.outcomes import BuildReason, Status


def foresee(work: Work, *, slots: int) -> PlannedGroups:
    """Say what will become of the groups of a census.

    Args:
        work: what is to be done for a family.
        slots: how many tasks Spark runs at once.
    """
    schedule, census, former = work.schedule, work.found.census, work.former
    seconds, rows = schedule.seconds, census.n_usable
    stands = former.stands_in(schedule)
    by_rule = ~stands & ~schedule.to_train
    decided = {str(status): int((by_rule & (schedule.status == status)).sum()) for status in Status}
    to_train = np.flatnonzero(schedule.to_train)
    heaviest = to_train[np.argsort(-seconds[to_train], kind="stable")[:HEAVIEST]]
    keys = work.found.keys.take(pa.array(heaviest)).to_pylist()
    alone = schedule.global_fit.seconds if schedule.global_fit else 0.0
    total = float(seconds.sum()) + alone
    reasons = {reason: np.flatnonzero(schedule.to_train & (former.reason == reason)) for reason in BuildReason}
    reasons[BuildReason.UNCHANGED] = np.flatnonzero(stands)
    counts = {str(reason): len(groups) for reason, groups in reasons.items()}
    counts[BuildReason.VANISHED] = len(former.vanished)
    return PlannedGroups(
        reasons={reason: n for reason, n in counts.items() if n},
        examples=dict(_examples(work, reasons)),
        decided={status: n for status, n in decided.items() if n},
        rows=int(census.n_rows.sum()),
        median_rows=int(np.median(rows[to_train])) if len(to_train) else 0,
        cpu_seconds=total,
        wall_seconds=max(total / slots, float(seconds.max(initial=alone))),
        heaviest=tuple(
            HeavyGroup(key=key, rows=int(rows[i]), cpu_seconds=float(seconds[i]))
            for key, i in zip(keys, heaviest.tolist(), strict=True)
        ),
        with_other_libraries=former.other_libraries,
        vanished_stay=len(np.intersect1d(former.vanished, former.staying)),
    )


def _examples(
    work: Work, reasons: dict[BuildReason, np.ndarray[Any, Any]]
) -> Iterator[tuple[str, tuple[dict[str, Any], ...]]]:
    """Yield by reason the keys of its first groups, in the order of the keys; not those of groups that stand."""
    names = work.found.keys.column_names
    for reason, groups in reasons.items():
        if len(groups) and reason != BuildReason.UNCHANGED:
            keys = work.found.keys.take(pa.array(groups)).sort_by([(name, "ascending") for name in names])
            yield str(reason), tuple(keys.slice(0, EXAMPLES).to_pylist())
    if len(work.former.vanished):
        keys = work.former.groups.select(names).take(pa.array(work.former.vanished[:EXAMPLES]))
        yield str(BuildReason.VANISHED), tuple(keys.to_pylist())
