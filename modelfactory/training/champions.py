"""Measure the models that new ones have to beat, on rows that neither was fitted on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelfactory.plan.steps import Contest, FitStep
from modelfactory.training.batches import GroupRows, Rows
from modelfactory.training.evaluation import measure
from modelfactory.training.schema import CHAMPION_COLUMNS
from modelfactory.training.texts import one_line

Load = Callable[[bytes, str, str], Any]
"""Makes a model of its bytes, their format and their SHA-256."""


@dataclass(frozen=True, slots=True)
class Champions:
    """The models of the current version, of the groups of a table.

    Attributes:
        contest: what decides.
        load: makes a model of what is stored.
        stored: bytes, format and SHA-256 by group.
    """

    contest: Contest
    load: Load
    stored: Mapping[int, tuple[bytes, str, str]] = field(default_factory=dict)

    def meet(
        self, step: FitStep, rows: GroupRows, measured: Rows, metrics: Mapping[str, float]
    ) -> tuple[dict[str, float], str, bool]:
        """Compare the new model of a group with its champion.

        Args:
            step: the family's step.
            rows: the group.
            measured: the split that measures each row, shape (n,).
            metrics: those of the new model.

        Returns:
            Metrics of the champion on the same rows, none without one; what there is to say, or empty text; and whether
            the champion stands in the group.
        """
        stored, test = self.stored.get(rows.group), np.flatnonzero(measured == 0)
        if stored is None or step.evaluation is None or rows.label is None or not len(test):
            return {}, "", False
        try:
            names, predictions = step.evaluation.metrics, step.evaluation.predictions
            model = self.load(*stored)
            found = measure(names, model, rows.features(test), rows.label[test], predictions=predictions)
        except Exception as error:  # it may not know what the rows hold by now
            said = f"the current model cannot be measured: {type(error).__name__}: {one_line(error, 200)}"
            return {}, said, False
        name = self.contest.metric
        if not self.contest.per_group or name not in found:
            return found, "", False
        if name in metrics and not self.contest.is_worse(metrics[name], found[name]):
            return found, "", False
        new = f"{metrics[name]:.6g}" if name in metrics else "none"
        return found, f"the new model lost: {name} {new} against {found[name]:.6g}", True


def parted(table: pa.Table, champions: Champions | None) -> tuple[pa.Table, Champions | None]:
    """Take the champions out of a table of whole groups, where each stands in a row of its own.

    Args:
        table: columns as in `training.batches`, and behind them those of the champions if there are any.
        champions: the contest; None without one.
    """
    if champions is None:
        return table, None
    own = table.num_columns - len(CHAMPION_COLUMNS)
    is_champion = pc.is_valid(table.column(own))
    columns = [table.column(0), *(table.column(own + i) for i in range(len(CHAMPION_COLUMNS)))]
    rows = pa.table(columns, names=[str(i) for i in range(len(columns))]).filter(is_champion).to_pylist()
    stored = {row["0"]: (row["1"], row["2"], row["3"]) for row in rows}
    rest = table.select(list(range(own))).filter(pc.invert(is_champion))
    return rest, Champions(champions.contest, champions.load, stored)
