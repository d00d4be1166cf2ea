"""The function that runs on Spark's workers: batches of rows in, batches of outcomes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import joblib
import numpy as np
import pyarrow as pa
from sklearn import config_context
from threadpoolctl import threadpool_limits

from modelfactory.plan.outcomes import Status
from modelfactory.plan.steps import FitStep
from modelfactory.training.batches import Chunk, read_chunk, whole_groups
from modelfactory.training.estimators import Template, make_template
from modelfactory.training.fitting import FitOutcome, failed_group, fit_group
from modelfactory.training.linear import make_solver
from modelfactory.training.outcomes import outcome_batch, solved_batch
from modelfactory.training.splitting import measured_in

_BATCH_BYTES = 16 << 20
_BATCH_GROUPS = 5_000


def train_batches(step: FitStep, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Fit every group of a stream.

    Args:
        step: what to do.
        batches: columns as in `training.batches`; the rows of each group stand together.

    Yields:
        Batches of `OUTCOME_SCHEMA`, one row per group.
    """
    with threadpool_limits(1), joblib.parallel_config(backend="sequential"):
        try:
            template = make_template(step.estimator, step.seed)
        except Exception as error:
            outcomes = _failed(step, batches, error)
        else:
            outcomes = _trained(step, template, batches)
        yield from _gathered(outcomes)


def _trained(
    step: FitStep, template: Template, batches: Iterable[pa.RecordBatch]
) -> Iterator[FitOutcome | pa.RecordBatch]:
    if step.linear_solve is not None:
        template = replace(template, random_states=())  # a direct solver draws nothing, here or in scikit-learn
    solver = make_solver(step, template)
    checked = False
    for table in whole_groups(batches):
        chunk = read_chunk(step, table)
        del table  # what it holds is as large as the matrix of its groups
        measured = measured_in(step.evaluation, step.seed, chunk.row_hash, chunk.time, chunk.bounds)
        finite = chunk.finite()
        left = np.arange(len(chunk))
        if solver is not None:
            solved = solver.solve(chunk, measured, finite)
            if len(solved.index):
                yield solved_batch(chunk, solved)
            left = np.setdiff1d(left, solved.index, assume_unique=True)
        for index in left.tolist():
            assume_finite = bool(finite[index]) and template.alone
            # The parameters are the same in all groups: once a fit has checked them, the others need not.
            with config_context(assume_finite=assume_finite, skip_parameter_validation=checked):
                rows = slice(chunk.bounds[index], chunk.bounds[index + 1])
                outcome = fit_group(step, template, chunk.group(index), measured[rows])
            checked = checked or outcome.status == Status.TRAINED
            yield outcome


def _failed(step: FitStep, batches: Iterable[pa.RecordBatch], error: Exception) -> Iterator[FitOutcome]:
    for table in whole_groups(batches):
        chunk: Chunk = read_chunk(step, table)
        yield from (failed_group(chunk.group(index), error) for index in range(len(chunk)))


def _gathered(outcomes: Iterable[FitOutcome | pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Gather single outcomes into batches of bounded size."""
    pending: list[FitOutcome] = []
    size = 0
    for outcome in outcomes:
        if isinstance(outcome, pa.RecordBatch):
            yield outcome
            continue
        pending.append(outcome)
        size += len(outcome.model.data) if outcome.model else 0
        if size >= _BATCH_BYTES or len(pending) >= _BATCH_GROUPS:
            yield outcome_batch(pending)
            pending, size = [], 0
    if pending:
        yield outcome_batch(pending)
