"""The function that runs on Spark's workers: batches of rows in, batches of outcomes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import joblib
import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from modelfactory.plan.steps import FitStep
from modelfactory.training.batches import Chunk, Rows, group_bounds, identities, read_chunk, whole_groups
from modelfactory.training.champions import Champions, parted
from modelfactory.training.contenders import make_contenders
from modelfactory.training.fitting import FitOutcome, champion_stands, failed_group, fit_group, lost_group
from modelfactory.training.isolation import Death, apart
from modelfactory.training.linear import SolvedGroups, make_solver
from modelfactory.training.outcomes import outcome_batch, solved_batch
from modelfactory.training.splitting import measured_in

_BATCH_BYTES = 16 << 20
_BATCH_GROUPS = 5_000


def train_batches(
    step: FitStep,
    batches: Iterable[pa.RecordBatch],
    *,
    isolated: bool = False,
    champions: Champions | None = None,
) -> Iterator[pa.RecordBatch]:
    """Fit every group of a stream.

    Args:
        step: what to do.
        batches: columns as in `training.batches`; the rows of each group stand together.
        isolated: fit each group so that, if it kills its process, it costs no other group; the models are the same to
            the byte, in more time.
        champions: the contest, if new models have to beat others, which stand in rows of their own then.

    Yields:
        Batches of `OUTCOME_SCHEMA`, one row per group.
    """
    with threadpool_limits(1), joblib.parallel_config(backend="sequential"):
        try:
            fitter = _Fitter(step, champions)
        except Exception as error:
            outcomes = _failed(batches, error, champions)
        else:
            fit = fitter.fit_apart if isolated else fitter.fit
            outcomes = (outcome for table in whole_groups(batches) for outcome in fit(table))
        yield from _gathered(outcomes)


def check_batches(step: FitStep, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Do without rows what `train_batches` does with some, and raise whatever is wrong.

    Args:
        step: what to do.
        batches: batches without rows, with columns as in `training.batches`.

    Yields:
        One batch of `OUTCOME_SCHEMA` without rows.
    """
    for contender in make_contenders(step):
        if contender.error is not None:
            raise contender.error
    for batch in batches:
        read_chunk(step, pa.Table.from_batches([batch]))
    yield outcome_batch([])


_Outcome: TypeAlias = FitOutcome | pa.RecordBatch
"""What came of a group, or of several as a batch of `OUTCOME_SCHEMA`."""


class _Fitter:
    """Fits the groups of a family."""

    def __init__(self, step: FitStep, champions: Champions | None = None) -> None:
        self._step = step
        self._contenders = make_contenders(step)
        template = self._contenders[0].template
        self._solver = None if template is None else make_solver(step, template)
        self._champions = champions

    def fit(self, table: pa.Table) -> Iterator[_Outcome]:
        """Fit the groups of a table, which has them whole."""
        step = self._step
        table, champions = parted(table, self._champions)
        chunk = read_chunk(step, table)
        del table  # what it holds is as large as the matrix of its groups
        measured = measured_in(step.evaluation, step.seed, chunk.row_hash, chunk.time, chunk.bounds)
        finite = chunk.finite()
        left = np.arange(len(chunk))
        if self._solver is not None:
            solved = self._solver.solve(chunk, measured, finite)
            left = np.setdiff1d(left, solved.index, assume_unique=True)
            if champions is not None:
                yield from self._contested(chunk, solved, measured, champions)
            elif len(solved.index):
                yield solved_batch(chunk, solved)
        for index in left.tolist():
            rows = slice(chunk.bounds[index], chunk.bounds[index + 1])
            yield fit_group(
                step,
                self._contenders,
                chunk.group(index),
                measured[rows],
                finite=bool(finite[index]),
                champions=champions,
            )

    def _contested(
        self, chunk: Chunk, solved: SolvedGroups, measured: Rows, champions: Champions
    ) -> Iterator[_Outcome]:
        """Compare groups that were solved at once with their champions, one by one."""
        found, stand = [], np.zeros(len(solved.index), dtype=bool)
        for place, index in enumerate(solved.index.tolist()):
            rows = chunk.group(index)
            bounds = slice(chunk.bounds[index], chunk.bounds[index + 1])
            metrics, baseline = solved.measured(place)
            champion, said, stand[place] = champions.meet(self._step, rows, measured[bounds], metrics)
            if stand[place]:
                yield FitOutcome(
                    group=rows.group,
                    data_digest=rows.digest,
                    n_test=int(solved.n_test[place]),
                    baseline=baseline,
                    champion=champion,
                    fit_seconds=float(solved.fit_seconds[place]),
                    cpu_seconds=float(solved.cpu_seconds[place]),
                    warnings=(said,),
                    **champion_stands(champion),
                )
            found.append((champion, said))
        rest = solved.take(~stand)
        if len(rest.index):
            yield solved_batch(chunk, rest, [found[place] for place in np.flatnonzero(~stand).tolist()])

    def fit_apart(self, table: pa.Table) -> Iterator[_Outcome]:
        """Fit the groups of a table in child processes, of which none dies for more than one group."""
        bounds = group_bounds(table)

        def rows_of(index: int) -> pa.Table:
            return table.slice(bounds[index], bounds[index + 1] - bounds[index])

        def fit(index: int) -> _Outcome:
            try:
                (outcome,) = self.fit(rows_of(index))
            except MemoryError as error:  # while its rows were read
                return failed_group(groups[index], error)
            return outcome

        groups = identities(parted(table, self._champions)[0])
        for group, outcome in zip(groups, apart(fit, len(groups), limit=self._step.timeout), strict=True):
            yield lost_group(self._step, group, outcome) if isinstance(outcome, Death) else outcome


def _failed(batches: Iterable[pa.RecordBatch], error: Exception, champions: Champions | None) -> Iterator[FitOutcome]:
    for table in whole_groups(batches):
        rows, _ = parted(table, champions)
        yield from (failed_group(group, error) for group in identities(rows))


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
