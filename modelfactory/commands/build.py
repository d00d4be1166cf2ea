"""`mf build`: census, train, account, publish, family by family."""

from __future__ import annotations

import json
import platform
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelfactory import __version__
from modelfactory.commands.report import BuildResult, FamilyResult, Fault, Reporter
from modelfactory.commands.workspace import Workspace
from modelfactory.diagnostics import BuildFailed, Code, Diagnostic, InputError, MfError
from modelfactory.plan.fingerprint import fingerprint, plain
from modelfactory.plan.outcomes import FAULTS, Status
from modelfactory.plan.steps import TrainStep
from modelfactory.store.manifest import FeatureRecord, Fingerprints, VersionRecord
from modelfactory.store.store import Store, replace_file

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

    from modelfactory.plan.schedule import Schedule
    from modelfactory.spark.census import CensusTable
    from modelfactory.spark.inputs import Input
    from modelfactory.store.versions import Staging

FAULTS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Run:
    """One invocation of `mf build`.

    Attributes:
        run_id: its name, unique and sortable by time.
        artefacts: folder of what it leaves behind besides models.
        log: file that takes what Spark prints.
        git_commit: commit of the project, if it is in a repository.
        libraries: versions of what decides the models' bytes.
    """

    run_id: str
    artefacts: Path
    log: Path
    git_commit: str | None
    libraries: Mapping[str, str]


def build(
    workspace: Workspace, reporter: Reporter, *, fail_fast: bool = False, session: SparkSession | None = None
) -> BuildResult:
    """Train the workspace's families and publish their new versions.

    The inputs of all families are opened and checked before the first is trained.

    Args:
        workspace: what to build.
        reporter: hears what happens.
        fail_fast: skip the rest after the first family that fails.
        session: Spark session to use and to leave open; without it, one is opened on the target and closed.

    Raises:
        InputError: the store or Spark cannot be used, or an input is not as declared; nothing was written.
    """
    from modelfactory.spark.session import open_session

    began = time.monotonic()
    store = workspace.store
    run = start_run(workspace.project.root)
    results: list[FamilyResult] = []
    target = workspace.project.target
    with ExitStack() as stack:
        if session is None:
            reporter.note(f"Run {run.run_id}: starting Spark on {target.master}")
            name = f"mf {workspace.project.spec.name}"
            session = stack.enter_context(open_session(target, name=name, log=run.log))
        inputs = open_inputs(session, workspace)
        store.check_writable()
        total = len(workspace.plan.steps)
        for index, step in enumerate(workspace.plan.steps, start=1):
            if fail_fast and any(result.status == "error" for result in results):
                result = FamilyResult(family=step.family, status="skipped")
            else:
                reporter.family_started(index, total, step.family)
                result = _build_family(session, workspace, step, inputs[step.family], run, reporter)
            results.append(result)
            reporter.family_finished(index, total, result)
    done = BuildResult(run_id=run.run_id, families=tuple(results), seconds=time.monotonic() - began)
    _write_run_results(run, done)
    reporter.build_finished(done)
    return done


def start_run(root: Path) -> Run:
    """Name a new run of the project in `root`."""
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    target = root / "target"
    return Run(
        run_id=run_id,
        artefacts=target / "runs" / run_id,
        log=target / "logs" / "spark.log",
        git_commit=_git_commit(root),
        libraries={
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("scikit-learn", "numpy", "pandas", "pyarrow", "pyspark")},
        },
    )


def open_inputs(spark: SparkSession, workspace: Workspace) -> dict[str, Input]:
    """Open and check the inputs of all families.

    Raises:
        InputError: with everything that is wrong with any of them.
    """
    from modelfactory.spark.inputs import open_input

    inputs, mistakes = {}, []
    for step in workspace.plan.steps:
        opened, findings = open_input(spark, step, root=workspace.project.root, environ=workspace.environ)
        family = workspace.family(step.family)
        for finding in findings:
            place = family if finding.source is None else workspace.project.sources[finding.source]
            mistakes.append(place.diagnostic(finding.code, finding.message, finding.path, help=finding.help))
        if opened is not None:
            inputs[step.family] = opened
    if mistakes:
        raise InputError(*dict.fromkeys(mistakes))
    return inputs


def _build_family(
    spark: SparkSession, workspace: Workspace, step: TrainStep, table: Input, run: Run, reporter: Reporter
) -> FamilyResult:
    """Build one family; an error ends this family, not the build."""
    began = time.monotonic()
    try:
        with workspace.store.locked(step.family):
            return _FamilyBuild(spark, workspace, step, table, run, reporter).run(began)
    except MfError as error:
        return FamilyResult(
            family=step.family,
            status="error",
            seconds=time.monotonic() - began,
            diagnostics=error.diagnostics,
            exit_code=error.exit_code,
        )


class _FamilyBuild:
    """The stations of one family: census, schedule, training, accounting, publishing."""

    def __init__(
        self,
        spark: SparkSession,
        workspace: Workspace,
        step: TrainStep,
        table: Input,
        run: Run,
        reporter: Reporter,
    ) -> None:
        self.spark = spark
        self.workspace = workspace
        self.step = step
        self.table = table
        self.this_run = run
        self.reporter = reporter

    @property
    def store(self) -> Store:
        return self.workspace.store

    def run(self, began: float) -> FamilyResult:
        from modelfactory.commands.accounting import group_table
        from modelfactory.plan.schedule import schedule_groups
        from modelfactory.spark.session import slots_of
        from modelfactory.store.versions import publish_version, stage_version

        step = self.step
        started_at = _now()
        manifest = self.store.manifest(step.family)
        number = 1 + max((v.number for v in manifest.versions), default=0) if manifest else 1
        found = self._census()
        slots = slots_of(self.spark)
        schedule = schedule_groups(step, found.census, slots=slots)
        self.reporter.family_scheduled(step.family, len(found.census.group), int(schedule.to_train.sum()))
        staging = stage_version(self.store, step.family, number, self.this_run.run_id)
        try:
            training_began = time.monotonic()
            outcomes = self._train(found, schedule, staging)
            training_seconds = time.monotonic() - training_began
            groups = group_table(step, found, schedule, outcomes, version=number)
            refusal = _refusal(step, groups)
            if refusal is None:
                staging.write_groups(groups)
                version = self._version_record(
                    number,
                    started_at,
                    found,
                    groups,
                    staging,
                    slots,
                    training_seconds,
                    time.monotonic() - began,
                )
                publish_version(self.store, staging, version)
            else:
                self._keep_refused(groups)
        finally:
            staging.discard()
        return FamilyResult(
            family=step.family,
            status="success" if refusal is None else "error",
            version=number if refusal is None else None,
            seconds=time.monotonic() - began,
            statuses=_statuses(groups),
            faults=_faults(step, groups),
            rows_without_label=int((found.census.n_rows - found.census.n_usable).sum()),
            diagnostics=() if refusal is None else (refusal,),
            exit_code=0 if refusal is None else BuildFailed.exit_code,
        )

    def _census(self) -> CensusTable:
        from modelfactory.spark.census import take_census

        family = self.workspace.family(self.step.family)
        found = take_census(self.table, classes=self.step.fit.task == "classification")
        if not len(found.census.group):
            raise InputError(
                family.diagnostic(
                    Code.EMPTY_INPUT,
                    f"the input of family `{family.name}` has no rows",
                    _input_path(self.step),
                )
            )
        if self.step.null_keys == "error" and found.census.null_key.any():
            rows = int(found.census.n_rows[found.census.null_key].sum())
            raise InputError(
                family.diagnostic(
                    Code.NULL_KEY,
                    f"{rows:,} rows of family `{family.name}` have a null in a group column",
                    ("null_keys",),
                    help="`null_keys: skip` gives them an outcome `null_key`, `group` makes null a group",
                )
            )
        return found

    def _train(self, found: CensusTable, schedule: Schedule, staging: Staging) -> pa.Table:
        from modelfactory.spark.training import FITTED_FOLDER, train_groups

        written = staging.folder / "spark"
        outcomes = train_groups(
            self.spark,
            self.step,
            self.table,
            found,
            schedule,
            staging=written,
            job=f"{self.this_run.run_id}/{self.step.family}",
            report=lambda done: self.reporter.family_progress(self.step.family, done),
        )
        staging.adopt_models(written / FITTED_FOLDER)
        shutil.rmtree(written, ignore_errors=True)
        return outcomes

    def _version_record(
        self,
        number: int,
        started_at: str,
        found: CensusTable,
        groups: pa.Table,
        staging: Staging,
        slots: int,
        training_seconds: float,
        wall_seconds: float,
    ) -> VersionRecord:
        from modelfactory.commands.accounting import quantiles

        step, family = self.step, self.workspace.family(self.step.family)
        cpu_seconds = float(sum(groups["cpu_seconds"].drop_null().to_pylist()))
        return VersionRecord(
            number=number,
            run_id=self.this_run.run_id,
            started_at=started_at,
            published_at=_now(),
            mf_version=__version__,
            libraries=dict(self.this_run.libraries),
            git_commit=self.this_run.git_commit,
            definition=plain(dict(family.definition)),
            fingerprints=Fingerprints(
                definition=step.definition_fingerprint,
                metadata=step.metadata_fingerprint,
                data=fingerprint(sorted(found.digests.tolist())),
                environment=fingerprint(dict(self.this_run.libraries)),
            ),
            group_by=list(step.keys),
            label=step.label,
            task=step.fit.task,
            features=[
                FeatureRecord(name=f.name, kind=f.kind, type="double" if f.kind == "numeric" else "string")
                for f in step.fit.features
            ],
            statuses=_statuses(groups),
            rows=int(found.census.n_rows.sum()),
            rows_without_label=int((found.census.n_rows - found.census.n_usable).sum()),
            metrics=quantiles(step, groups, "metrics"),
            baseline=quantiles(step, groups, "baseline"),
            cpu_seconds=cpu_seconds,
            wall_seconds=wall_seconds,
            training_seconds=training_seconds,
            slots=slots,
            efficiency=cpu_seconds / (slots * training_seconds) if training_seconds > 0 else None,
            files=staging.seal(),
        )

    def _keep_refused(self, groups: pa.Table) -> None:
        """Keep the outcomes of a version that is not published, so that its failures can be looked into."""
        import pyarrow.parquet as pq

        folder = self.this_run.artefacts / "refused"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(groups, folder / f"{self.step.family}.parquet")


def _refusal(step: TrainStep, groups: pa.Table) -> Diagnostic | None:
    statuses = _statuses(groups)
    failed = sum(statuses.get(status, 0) for status in FAULTS)
    tried = failed + statuses.get(Status.TRAINED, 0)
    allowed = step.failures_allowed(tried)
    if failed <= allowed:
        return None
    return Diagnostic(
        code=Code.TOO_MANY_FAILED,
        message=f"{failed:,} of {tried:,} groups of family `{step.family}` failed, {allowed:,} may; "
        "the version is not published",
        help="`max_failed` sets how many may fail; the outcomes are kept beside run_results.json",
    )


def _statuses(groups: pa.Table) -> dict[str, int]:
    counted = groups["status"].value_counts().to_pylist()
    return {str(status): n for status in Status for n in [c["counts"] for c in counted if c["values"] == status]}


def _faults(step: TrainStep, groups: pa.Table) -> tuple[Fault, ...]:
    import pyarrow.compute as pc

    columns = ["status", "error_type", "error"]
    lost = groups.filter(pc.is_in(groups["status"], value_set=_strings(FAULTS))).select([*step.keys, *columns])
    kinds: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in lost.to_pylist():
        kinds.setdefault(tuple(row[name] for name in columns), []).append(row)
    most = sorted(kinds.items(), key=lambda item: -len(item[1]))[:FAULTS_SHOWN]
    return tuple(
        Fault(
            status=status,
            error_type=error_type,
            error=error,
            count=len(rows),
            example={key: rows[0][key] for key in step.keys},
        )
        for (status, error_type, error), rows in most
    )


def _strings(values: Iterable[str]) -> pa.Array:
    import pyarrow as pa

    return pa.array([str(value) for value in values])


def _input_path(step: TrainStep) -> tuple[str, ...]:
    if step.where is not None:
        return ("where",)
    return ("sql",) if step.relation.startswith("(") else ("source",)


def _write_run_results(run: Run, result: BuildResult) -> None:
    run.artefacts.mkdir(parents=True, exist_ok=True)
    results = [
        {
            "family": family.family,
            "status": family.status,
            "version": family.version,
            "seconds": round(family.seconds, 3),
            "groups": dict(family.statuses),
            "faults": [plain(fault) for fault in family.faults],
            "diagnostics": [
                {
                    "code": str(d.code),
                    "message": d.message,
                    "file": d.file,
                    "line": d.position.line if d.position else None,
                }
                for d in family.diagnostics
            ],
        }
        for family in result.families
    ]
    document = {
        "schema": 1,
        "run_id": result.run_id,
        "mf_version": __version__,
        "seconds": round(result.seconds, 3),
        "exit_code": result.exit_code,
        "results": results,
    }
    replace_file(run.artefacts / "run_results.json", json.dumps(document, indent=1, default=str) + "\n")


def _git_commit(root: Path) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
