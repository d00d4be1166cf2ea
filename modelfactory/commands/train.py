"""The stations of one family in a build: census, schedule, training, accounting, publishing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modelfactory import __version__
from modelfactory.commands.accounting import data_fingerprint, faults, group_table, quantiles, refusal, statuses
from modelfactory.commands.counting import Censuses, census_of, measured_before
from modelfactory.commands.global_model import fault_of, known_to_any, without_global_model
from modelfactory.commands.report import FamilyResult, Reporter
from modelfactory.commands.run import Run
from modelfactory.commands.workspace import Workspace
from modelfactory.diagnostics import BuildFailed, Code, Diagnostic
from modelfactory.plan.fingerprint import fingerprint, plain
from modelfactory.plan.schedule import Schedule, schedule_groups
from modelfactory.plan.steps import TrainStep
from modelfactory.project.variables import hide_environment, resolve_variables
from modelfactory.spark.census import CensusTable
from modelfactory.spark.errors import SparkFailed
from modelfactory.spark.inputs import Input
from modelfactory.spark.session import slots_of
from modelfactory.spark.training import GLOBAL_FOLDER, MODELS_FOLDER, Outcomes, Scratch, train_groups
from modelfactory.store.manifest import FeatureRecord, Fingerprints, GlobalModelRecord, MeaningRecord, VersionRecord
from modelfactory.store.versions import Staging, next_number, publish_version, stage_version

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def train_family(
    spark: SparkSession,
    workspace: Workspace,
    step: TrainStep,
    table: Input,
    censuses: Censuses,
    run: Run,
    reporter: Reporter,
    *,
    go_on: Callable[[], None],
) -> FamilyResult:
    """Train one family and publish a new version of it, or leave the current one as it is.

    Args:
        spark: the session.
        workspace: the project.
        step: the family's step.
        table: the family's input.
        censuses: takes its census.
        run: the run this belongs to.
        reporter: hears what happens.
        go_on: raises `Cancelled` once the build is cancelled; asked before each job, and before publishing.

    Raises:
        Cancelled: the build was cancelled; nothing was published.
        InputError: the input has no rows, or null keys where they are an error; nothing was written.
        BuildFailed: the Spark job failed, or the rows do not add up; nothing was published.
        StoreLocked: another build of the family is under way.
    """
    family, store = workspace.family(step.family), workspace.store
    clock = _Clock()
    store.check_unlocked(step.family)
    found = census_of(step, family, censuses, workspace.environ, go_on)
    clock.counted = time.monotonic()
    slots = slots_of(spark)
    measured = measured_before(store, step, store.current(step.family))
    schedule = schedule_groups(step, found.census, slots=slots, measured=measured)
    reporter.family_scheduled(step.family, len(found.census.group), int(schedule.to_train.sum()))
    go_on()
    with store.locked(step.family, run_id=run.run_id) as hold:
        number = next_number(store, step.family)
        staging = stage_version(store, step.family, number, run.run_id)
        try:
            clock.training_began = time.monotonic()
            try:
                memory = workspace.project.target.worker_memory
                outcomes = _train(spark, step, table, found, schedule, staging, memory, run, reporter, go_on)
            except SparkFailed as error:
                said = hide_environment(str(error), step.texts_for_spark, workspace.environ)
                raise BuildFailed(
                    Diagnostic(
                        code=Code.RUN_FAILED,
                        message=f"the Spark job of family `{step.family}` failed: {said}",
                        help="what Spark said is in target/logs/spark.log",
                    )
                ) from error
            clock.training_ended = time.monotonic()
            classes = known_to_any(step, outcomes)
            outcomes, global_model = without_global_model(step, found, schedule, outcomes)
            groups = group_table(step, found, schedule, outcomes, version=number)
            kept_in = run.artefacts / "refused" / f"{step.family}.parquet"
            refused = refusal(step, groups, kept_in=str(kept_in.relative_to(workspace.project.root)))
            if refused is None:
                staging.write_groups(groups)
                trained = _Trained(groups=groups, classes=classes, global_model=global_model)
                record = _record(number, workspace, step, table, found, trained, staging, run, clock, slots)
                hold.confirm()
                go_on()
                publish_version(store, staging, record)
            else:
                _keep_refused(kept_in, groups)
        finally:
            staging.discard()
    reporter.timings(clock.parts, step.family)
    return FamilyResult(
        family=step.family,
        status="success" if refused is None else "error",
        version=number if refused is None else None,
        seconds=clock.seconds,
        statuses=statuses(groups),
        faults=faults(step, groups),
        global_fault=fault_of(global_model),
        rows_without_label=_rows_without_label(found),
        diagnostics=() if refused is None else (refused,),
        exit_code=0 if refused is None else BuildFailed.exit_code,
    )


class _Clock:
    """When the stations of a family began and ended."""

    def __init__(self) -> None:
        self.started_at = _now()
        self.began = self.counted = self.training_began = self.training_ended = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def parts(self) -> dict[str, float]:
        return {
            "census": self.counted - self.began,
            "training": self.training_seconds,
            "publishing": time.monotonic() - self.training_ended,
        }

    @property
    def training_seconds(self) -> float:
        return self.training_ended - self.training_began


def _train(
    spark: SparkSession,
    step: TrainStep,
    table: Input,
    found: CensusTable,
    schedule: Schedule,
    staging: Staging,
    memory: int | None,
    run: Run,
    reporter: Reporter,
    go_on: Callable[[], None],
) -> Outcomes:
    def report(done: int) -> None:
        reporter.family_progress(step.family, done)

    scratch = Scratch(*staging.place.opened(staging.scratch))
    job = f"{run.run_id}/{step.family}"
    outcomes = train_groups(
        spark, step, table, found, schedule, staging=scratch, memory=memory, job=job, report=report, go_on=go_on
    )
    global_model = f"{staging.scratch}/{GLOBAL_FOLDER}" if schedule.global_fit else None
    staging.adopt_models(f"{staging.scratch}/{MODELS_FOLDER}", global_model=global_model)
    return outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trained:
    """What came of a training: the group table, the classes that any model knows, and the model of all rows."""

    groups: pa.Table
    classes: list[str] | None
    global_model: GlobalModelRecord | None

    @property
    def cpu_seconds(self) -> float:
        """Processor seconds inside `fit`."""
        alone = self.global_model.cpu_seconds if self.global_model else None
        return (pc.sum(self.groups["cpu_seconds"]).as_py() or 0.0) + (alone or 0.0)


def _record(
    number: int,
    workspace: Workspace,
    step: TrainStep,
    table: Input,
    found: CensusTable,
    trained: _Trained,
    staging: Staging,
    run: Run,
    clock: _Clock,
    slots: int,
) -> VersionRecord:
    family = workspace.family(step.family)
    groups, cpu_seconds = trained.groups, trained.cpu_seconds
    return VersionRecord(
        number=number,
        run_id=run.run_id,
        started_at=clock.started_at,
        published_at=_now(),
        mf_version=__version__,
        libraries=dict(run.libraries),
        git_commit=run.git_commit,
        definition=plain(resolve_variables(family.definition, workspace.project.variables)),
        meaning=MeaningRecord(**plain(step.meaning)),
        sources=[plain(source) for source in step.sources],
        refs=dict(table.refs),
        fingerprints=Fingerprints(
            definition=step.definition_fingerprint,
            metadata=step.metadata_fingerprint,
            parents=step.parents_fingerprint,
            data=data_fingerprint(found),
            environment=fingerprint(dict(run.libraries)),
        ),
        group_by=list(step.keys),
        label=step.label,
        task=step.fit.task,
        features=[
            FeatureRecord(name=f.name, kind=f.kind, type="double" if f.kind == "numeric" else "string")
            for f in step.fit.features
        ],
        label_type=table.label_type,
        classes=trained.classes,
        container=step.fit.container,
        global_model=trained.global_model,
        statuses=statuses(groups),
        rows=int(found.census.n_rows.sum()),
        rows_without_label=_rows_without_label(found),
        metrics=quantiles(step, groups, "metrics"),
        baseline=quantiles(step, groups, "baseline"),
        cpu_seconds=cpu_seconds,
        wall_seconds=clock.seconds,
        training_seconds=clock.training_seconds,
        slots=slots,
        efficiency=cpu_seconds / (slots * clock.training_seconds) if staging.has_models else None,
        files=staging.seal(),
    )


def _keep_refused(file: Path, groups: pa.Table) -> None:
    """Keep the outcomes of a version that is not published, so that its failures can be looked into."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(groups, file)


def _rows_without_label(found: CensusTable) -> int:
    return int((found.census.n_rows - found.census.n_usable).sum())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
