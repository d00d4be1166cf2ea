"""Take what the workers report of the global model, and of classes, apart from what they report of groups."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc

from modelfactory.commands.accounting import rows_differ
from modelfactory.commands.report import Fault
from modelfactory.plan.outcomes import FAULTS, Status, digest_text
from modelfactory.plan.schedule import GLOBAL_GROUP, GlobalFit, Schedule
from modelfactory.plan.steps import TrainStep
from modelfactory.spark.census import CensusTable
from modelfactory.spark.inputs import GROUP
from modelfactory.spark.training import Outcomes
from modelfactory.store.manifest import GlobalModelRecord


def known_to_any(step: TrainStep, outcomes: Outcomes) -> list[str] | None:
    """Return all classes that a model knows, sorted as text; None where models know no classes.

    Args:
        step: the family's step.
        outcomes: what came of the groups and of the global model; the classes are taken out.
    """
    if step.fit.task != "classification":
        return None
    return sorted(pc.unique(pc.list_flatten(outcomes.pop("classes"))).to_pylist())


def without_global_model(
    step: TrainStep, found: CensusTable, schedule: Schedule, outcomes: Outcomes
) -> tuple[Outcomes, GlobalModelRecord | None]:
    """Take the global model out of the outcomes; it is no group.

    Args:
        step: the family's step.
        found: its census.
        schedule: what was decided before training.
        outcomes: what came of the trained groups and of the global model.

    Returns:
        What came of the groups, and of the global model if the family has one.

    Raises:
        BuildFailed: it has no outcome, or the workers saw other rows than the census.
    """
    fit = schedule.global_fit
    if fit is None:
        return outcomes, None
    is_global = pc.equal(outcomes[GROUP], GLOBAL_GROUP)
    rows = [
        dict(zip(outcomes, values, strict=True))
        for values in zip(*(column.filter(is_global).to_pylist() for column in outcomes.values()), strict=True)
    ]
    if len(rows) > 1 or not all(_as_counted(found, fit, row["data_digest"]) for row in rows):
        raise rows_differ(step, "the global model saw other rows in training than in the census")
    if not rows and fit.most is None:
        raise rows_differ(step, "nothing came back of the global model")
    others = {name: column.filter(pc.invert(is_global)) for name, column in outcomes.items()}
    return others, _record(fit, rows[0] if rows else None)


def fault_of(model: GlobalModelRecord | None) -> Fault | None:
    """Return what went wrong with a global model, if anything did; no group has the fault."""
    if model is None or model.status not in FAULTS:
        return None
    return Fault(status=model.status, error_type=model.error_type, error=model.error, count=0, example={})


def _as_counted(found: CensusTable, fit: GlobalFit, digest: str) -> bool:
    """Tell whether the workers saw all usable rows, where they were to see all: digests of groups add up."""
    if fit.most is not None or found.census.inexact.any():
        return True
    parts = [[int(part, 16) for part in text.split("-")] for text in found.digests.to_pylist()]
    return digest == digest_text(*map(sum, zip(*parts, strict=True)))


def _record(fit: GlobalFit, outcome: dict[str, Any] | None) -> GlobalModelRecord:
    if outcome is None:  # a sample of a few rows may be one of none
        return GlobalModelRecord(status=Status.TOO_FEW_ROWS, n_rows=fit.n_rows)
    return GlobalModelRecord(
        status=outcome["status"],
        n_rows=fit.n_rows,
        n_train=outcome["n_train"],
        n_test=outcome["n_test"],
        metrics=dict(outcome["metrics"] or ()),
        baseline=dict(outcome["baseline"] or ()),
        fit_seconds=outcome["fit_seconds"],
        cpu_seconds=outcome["cpu_seconds"],
        model_bytes=outcome["model_bytes"],
        model_sha256=outcome["sha256"],
        error_type=outcome["error_type"],
        error=outcome["error"],
        chosen=outcome["chosen"],
        candidates=dict(outcome["candidates"] or ()),
    )
