"""`mf build`: open all inputs, then train family by family."""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from modelfactory import __version__
from modelfactory.commands.interrupt import Cancelled, run_interruptibly
from modelfactory.commands.report import BuildResult, FamilyResult, Reporter
from modelfactory.commands.run import Run, start_run
from modelfactory.commands.workspace import Workspace
from modelfactory.diagnostics import BuildFailed, Code, Diagnostic, InputError, MfError
from modelfactory.plan.fingerprint import plain
from modelfactory.plan.steps import TrainStep
from modelfactory.store.store import replace_file

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from modelfactory.spark.inputs import Input


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
        KeyboardInterrupt: the user interrupted; what is already published stays.
        InputError: the store or Spark cannot be used, or an input is not as declared; nothing was written.
    """
    from modelfactory.spark.session import cancel_jobs, open_session, pin_settings

    began = time.monotonic()
    workspace.store.check_writable()
    run = start_run(workspace.project.root)
    target = workspace.project.target
    with ExitStack() as stack:
        if session is None:
            reporter.note(f"Run {run.run_id}: starting Spark on {target.master}")
            name = f"mf {workspace.project.spec.name}"
            shown_as = workspace.project.shown_as
            session = stack.enter_context(open_session(target, name=name, log=run.log, shown_as=shown_as))
        pin_settings(session)
        spark = session
        inputs = run_interruptibly(lambda _: open_inputs(spark, workspace), cancel=lambda: cancel_jobs(spark))
        results: list[FamilyResult] = []
        try:
            run_interruptibly(
                lambda cancelled: _build_families(
                    spark, workspace, inputs, run, reporter, fail_fast, results, cancelled
                ),
                cancel=lambda: cancel_jobs(spark),
            )
        finally:  # what was published before an interrupt stays, and is told
            done = BuildResult(run_id=run.run_id, families=tuple(results), seconds=time.monotonic() - began)
            _write_run_results(run, done)
    reporter.build_finished(done)
    return done


def _build_families(
    spark: SparkSession,
    workspace: Workspace,
    inputs: Mapping[str, Input],
    run: Run,
    reporter: Reporter,
    fail_fast: bool,
    results: list[FamilyResult],
    cancelled: threading.Event,
) -> None:
    total = len(workspace.plan.steps)
    for index, step in enumerate(workspace.plan.steps, start=1):
        if fail_fast and any(result.status == "error" for result in results):
            result = FamilyResult(family=step.family, status="skipped")
        else:
            reporter.family_started(index, total, step.family)
            result = _build_family(spark, workspace, step, inputs[step.family], run, reporter)
        if cancelled.is_set() and result.status != "success":
            raise Cancelled
        results.append(result)
        reporter.family_finished(index, total, result)
        if cancelled.is_set():
            raise Cancelled


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
    from modelfactory.commands.train import train_family

    began = time.monotonic()
    failure: MfError
    try:
        return train_family(spark, workspace, step, table, run, reporter)
    except MfError as error:
        failure = error
    except OSError as error:
        place = f" `{error.filename}`" if error.filename else ""
        failure = BuildFailed(Diagnostic(code=Code.STORE, message=f"cannot write{place}: {error.strerror or error}"))
    except Exception as error:  # a fault of mf itself must not cost the other families
        trace = run.artefacts / f"{step.family}.traceback.txt"
        trace.parent.mkdir(parents=True, exist_ok=True)
        trace.write_text(traceback.format_exc(), encoding="utf-8")
        failure = BuildFailed(
            Diagnostic(
                code=Code.RUN_FAILED,
                message=f"family `{step.family}` failed inside mf: {type(error).__name__}",
                help=f"please report it with {trace}",
            )
        )
    return FamilyResult(
        family=step.family,
        status="error",
        seconds=time.monotonic() - began,
        diagnostics=failure.diagnostics,
        exit_code=failure.exit_code,
    )


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
