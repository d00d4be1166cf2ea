"""The stations of one family in a build: census, schedule, training, accounting, publishing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from modelfactory import __version__
from modelfactory.commands.accounting import faults, group_table, quantiles, refusal
from modelfactory.commands.counting import Censuses, census_of
from modelfactory.commands.former import standing
from modelfactory.commands.global_model import fault_of, known_to_any, without_global_model
from modelfactory.commands.report import FamilyResult, Reporter
from modelfactory.commands.returning import warn_of_returned
from modelfactory.commands.run import Run
from modelfactory.commands.sampling import sampled
from modelfactory.commands.scope import Scope
from modelfactory.commands.testing import failure, judge_candidate
from modelfactory.commands.work import Work, work_of
from modelfactory.commands.workspace import Workspace
from modelfactory.diagnostics import BuildFailed, Code, Diagnostic
from modelfactory.plan.fingerprint import fingerprint, plain
from modelfactory.plan.outcomes import BuildReason, Status
from modelfactory.plan.steps import TrainStep
from modelfactory.project.variables import hide_environment, resolve_variables
from modelfactory.spark.errors import SparkFailed
from modelfactory.spark.inputs import Input
from modelfactory.spark.session import slots_of
from modelfactory.spark.training import GLOBAL_FOLDER, MODELS_FOLDER, Outcomes, Scratch, train_groups
from modelfactory.store.groups import choices, counted_texts, statuses
from modelfactory.store.manifest import FeatureRecord, Fingerprints, GlobalModelRecord, MeaningRecord, VersionRecord
from modelfactory.store.versions import Staging, hold_back, next_number, publish_version, stage_version

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
    scope: Scope,
    go_on: Callable[[], None],
) -> FamilyResult:
    """Train what has changed of one family and publish a new version, or leave the current one as it is.

    Args:
        spark: the session.
        workspace: the project.
        step: the family's step.
        table: the family's input.
        censuses: takes its census.
        run: the run this belongs to.
        reporter: hears what happens.
        scope: which of its groups are looked at.
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
    found = census_of(step, family, censuses, workspace.environ, go_on, may_be_empty=scope.empty)
    warn_of_returned(store, step, found, reporter)
    clock.counted = time.monotonic()
    slots = slots_of(spark)
    packages = frozenset(workspace.project.spec.estimator_packages)
    if scope.sample is not None:
        n_groups = len(found.census.group)
        step, found = sampled(step, found, scope.sample)
        reporter.note(f"family {step.family}: a sample of {len(found.census.group):,} out of {n_groups:,} groups")
    work = work_of(store, step, table, found, run.libraries, slots=slots, scope=scope, packages=packages)
    if work.nothing_to_do:
        stands = _as_it_stands(step, work, clock)
        reporter.timings(clock.parts, step.family)
        return stands
    reporter.family_scheduled(step.family, len(work.found.census.group), int(work.schedule.to_train.sum()))
    go_on()
    with store.locked(step.family, run_id=run.run_id) as hold:
        work.check_base(store, step.family)
        number = next_number(store, step.family)
        staging = stage_version(store, step.family, number, run.run_id)
        try:
            outcomes = _train(spark, workspace, step, table, work, staging, run, reporter, clock, go_on, scope=scope)
            if work.candidate is not None:
                staging.adopt_candidate(work.candidate)
            if scope.empty:
                work = replace(work, schedule=replace(work.schedule, global_fit=None))  # there are no rows to fit it on
            trained = _accounted(step, work, outcomes, number)
            staging.write_groups(trained.groups)
            record = _record(number, workspace, step, table, work, trained, staging, run, clock, slots)
            refused = None if scope.empty else refusal(step, trained.groups)
            judged = refused is None and not scope.empty
            tests = judge_candidate(workspace, step, trained.groups, record) if judged else ()
            refused = refused or failure(step, tests)
            hold.confirm()
            go_on()
            if refused is None or scope.is_trial:  # a trial is there to be looked at
                publish_version(store, staging, record)
            else:
                hold_back(store, staging, record, [refused.message])
        finally:
            staging.discard()
    reporter.timings(clock.parts, step.family)
    return FamilyResult(
        family=step.family,
        status="success" if refused is None else "error",
        version=number if refused is None and not scope.is_trial else None,
        trial="empty" if scope.empty else "sample" if scope.sample else None,
        seconds=clock.seconds,
        statuses=statuses(trained.groups["status"]),
        reasons=counted_texts(trained.groups["reason"]),
        other_libraries=work.former.other_libraries,
        faults=faults(step, trained.groups),
        global_fault=fault_of(trained.global_model),
        rows_without_label=record.rows_without_label,
        tests=tests,
        diagnostics=() if refused is None else (_of_trial(refused) if scope.is_trial else refused,),
        exit_code=0 if refused is None else BuildFailed.exit_code,
    )


def _of_trial(refused: Diagnostic) -> Diagnostic:
    """Return why a version would not be published."""
    return replace(refused, help="nothing of a sample is published; it can be looked at all the same")


def _as_it_stands(step: TrainStep, work: Work, clock: _Clock) -> FamilyResult:
    """Return the result of a family of which nothing has changed."""
    version = work.former.version
    if version is None:
        raise AssertionError("only a version can stand")
    former, clock.training_began = work.former, time.monotonic()
    clock.training_ended = clock.training_began
    looked_at = int(former.stands_in(work.schedule).sum())
    return FamilyResult(
        family=step.family,
        status="reused",
        version=version.number,
        seconds=clock.seconds,
        statuses=statuses(standing(former.groups["status"])),
        reasons={str(BuildReason.UNCHANGED): len(former.groups) if former.others_stay == "all" else looked_at},
        other_libraries=former.other_libraries,
        rows_without_label=version.rows_without_label,
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
    workspace: Workspace,
    step: TrainStep,
    table: Input,
    work: Work,
    staging: Staging,
    run: Run,
    reporter: Reporter,
    clock: _Clock,
    go_on: Callable[[], None],
    *,
    scope: Scope,
) -> Outcomes:
    def report(done: int) -> None:
        reporter.family_progress(step.family, done)

    scratch = Scratch(*staging.place.opened(staging.scratch))
    job, memory = f"{run.run_id}/{step.family}", workspace.project.target.worker_memory
    clock.training_began = time.monotonic()
    try:
        outcomes = train_groups(
            spark,
            step,
            table,
            work.found,
            work.schedule,
            staging=scratch,
            memory=memory,
            job=job,
            report=report,
            go_on=go_on,
            champions=work.champions,
            part=scope.sample is not None,
            empty=scope.empty,
        )
    except SparkFailed as error:
        said = hide_environment(str(error), step.texts_for_spark, workspace.environ)
        raise BuildFailed(
            Diagnostic(
                code=Code.RUN_FAILED,
                message=f"the Spark job of family `{step.family}` failed: {said}",
                help="what Spark said is in target/logs/spark.log",
            )
        ) from error
    global_model = f"{staging.scratch}/{GLOBAL_FOLDER}" if work.schedule.global_fit else None
    staging.adopt_models(f"{staging.scratch}/{MODELS_FOLDER}", global_model=global_model)
    clock.training_ended = time.monotonic()
    return outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trained:
    """What came of a training: the group table, the classes that any model knows, and the model of all rows."""

    groups: pa.Table
    classes: list[str] | None
    global_model: GlobalModelRecord | None

    @property
    def cpu_seconds(self) -> float:
        """Processor seconds inside `fit`, in this run."""
        alone = self.global_model.cpu_seconds if self.global_model else None
        return (pc.sum(self.groups["cpu_seconds"]).as_py() or 0.0) + (alone or 0.0)

    @property
    def model_versions(self) -> list[int]:
        """Versions that hold the models."""
        numbers = set(pc.unique(self.groups["model_version"].drop_null()).to_pylist())
        alone = self.global_model.model_version if self.global_model else None
        return sorted(numbers | ({alone} if alone is not None else set()))


def _accounted(step: TrainStep, work: Work, outcomes: Outcomes, number: int) -> _Trained:
    classes = known_to_any(step, outcomes)
    outcomes, global_model = without_global_model(step, work.found, work.schedule, outcomes)
    groups = group_table(step, work.found, work.schedule, outcomes, work.former, version=number)
    former = work.former.version
    taken_over = pc.and_(pc.is_valid(groups["model_version"]), pc.not_equal(groups["status"], str(Status.TRAINED)))
    if former is not None and classes is not None and (pc.any(taken_over).as_py() or work.global_model is not None):
        classes = sorted({*classes, *(former.classes or ())})
    return _Trained(
        groups=groups,
        classes=classes,
        global_model=global_model if work.global_model is None else work.global_model,
    )


def _record(
    number: int,
    workspace: Workspace,
    step: TrainStep,
    table: Input,
    work: Work,
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
            fit=step.fit_fingerprint,
            metadata=step.metadata_fingerprint,
            parents=step.parents_fingerprint,
            data=work.data,
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
        measured=work.measured,
        global_model=trained.global_model,
        model_versions=trained.model_versions,
        served=len(groups) - groups["model_version"].null_count,
        statuses=statuses(groups["status"]),
        chosen=choices(groups),
        rows=pc.sum(groups["n_rows"]).as_py() or 0,
        rows_without_label=work.rows_without_label,
        metrics=quantiles(step, groups, "metrics"),
        baseline=quantiles(step, groups, "baseline"),
        cpu_seconds=cpu_seconds,
        wall_seconds=clock.seconds,
        training_seconds=clock.training_seconds,
        slots=slots,
        efficiency=cpu_seconds / (slots * clock.training_seconds) if staging.has_models else None,
        files=staging.seal(),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
