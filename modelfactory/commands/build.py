"""`mf build`: start Spark, open all inputs, then train the families, one or several at once."""

from __future__ import annotations

import dataclasses
import glob
import json
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from modelfactory import __version__
from modelfactory.commands.archiving import start_archiving
from modelfactory.commands.catalog import cache_folder
from modelfactory.commands.interrupt import Cancelled, run_interruptibly
from modelfactory.commands.logs import Log
from modelfactory.commands.report import BuildResult, FamilyResult, Reporter
from modelfactory.commands.run import Run, start_run
from modelfactory.commands.workspace import ProjectOptions, Workspace, read_project
from modelfactory.diagnostics import BuildFailed, Code, Diagnostic, InputError, MfError, StoreLocked, hide, warning
from modelfactory.plan.fingerprint import plain
from modelfactory.plan.steps import TrainStep
from modelfactory.project.loading import Project
from modelfactory.project.variables import resolve_environment
from modelfactory.store.local import replace_file

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from modelfactory.spark.inputs import Input
    from modelfactory.spark.probe import Workers

_PATIENCE = 10.0
"""Seconds without a sign of life after which a user is told what is waited for."""


def build_project(
    options: ProjectOptions,
    reporter: Reporter,
    *,
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
    fail_fast: bool = False,
    threads: int | None = None,
) -> BuildResult:
    """Start Spark while the project is compiled, then build the chosen families.

    Args:
        options: where the project is and how to read it.
        reporter: hears what happens.
        select: selectors; all families if empty.
        exclude: selectors of families to leave out.
        fail_fast: skip the rest after the first family that fails.
        threads: how many families to build at once; as the target says if None.

    Raises:
        KeyboardInterrupt: the user interrupted; what is already published stays.
        InputError: the project has mistakes, the store or Spark cannot be used, or an input is not as declared;
            nothing was written.
        NothingSelected: no family matches.
        StoreLocked: other builds hold all chosen families.
    """
    from modelfactory.spark.starting import starting_spark

    began = time.monotonic()
    read = read_project(options)
    if read.refused:
        read.compile()  # raises them, and those of the compiler
    project, run = read.project, start_run(read.project.root)
    cache = cache_folder(options.environ)
    input_bytes = _input_bytes(project, options.environ)
    with starting_spark(
        project.target, log=run.log, shown_as=project.shown_as, input_bytes=input_bytes, cache=cache
    ) as starting:
        workspace = read.compile(select=select, exclude=exclude, columns=True)
        workspace.store.check_writable()
        reporter.also(_log(run, workspace, reporter).write)
        # Of what is missing, Spark will say that it is an error.
        reporter.warn([w for w in workspace.warnings if w.code != Code.MISSING_PATH])
        _check_unlocked(workspace)
        compiled = time.monotonic()
        reporter.run_started(run.run_id, hide(project.target.address, project.shown_as))
        from modelfactory.spark.session import session_of

        with session_of(starting, name=f"mf {project.spec.name}") as spark:
            if not starting.embedded:
                run = _with_workers(spark, run, reporter)
            reporter.timings({"compile": compiled - began, "spark": time.monotonic() - compiled})
            done = build(
                workspace,
                reporter,
                session=spark,
                run=run,
                fail_fast=fail_fast,
                threads=threads or project.target.threads,
                began=began,
            )
    if starting.embedded:
        start_archiving(cache, options.environ)
    return done


def build(
    workspace: Workspace,
    reporter: Reporter,
    *,
    session: SparkSession,
    run: Run | None = None,
    fail_fast: bool = False,
    threads: int = 1,
    began: float | None = None,
) -> BuildResult:
    """Train the workspace's families and publish their new versions.

    The inputs of all families are opened and checked before the first is trained.

    Args:
        workspace: what to build.
        reporter: hears what happens.
        session: Spark session to use; it is left open.
        run: the run this is; a new one if None.
        fail_fast: skip the rest after the first family that fails.
        threads: how many families to build at once.
        began: when the run began, by the monotonic clock; now if None.

    Raises:
        KeyboardInterrupt: the user interrupted; what is already published stays.
        InputError: an input is not as declared; nothing was written.
    """
    from modelfactory.spark.session import cancel_jobs, limit_batches, pin_settings

    began = time.monotonic() if began is None else began
    run = start_run(workspace.project.root) if run is None else run

    def cancel() -> None:
        cancel_jobs(session)

    def prepare(_: threading.Event) -> dict[str, Input]:
        pin_settings(session)
        limit_batches(session, workspace.plan.steps, workspace.project.target.conf)
        return open_inputs(session, workspace)

    prepared = time.monotonic()
    inputs = run_interruptibly(prepare, cancel=cancel)
    reporter.timings({"inputs": time.monotonic() - prepared})
    families = _Families(session, workspace, inputs, run, reporter, fail_fast=fail_fast)

    def ended(*, interrupted: bool = False) -> BuildResult:
        seconds, results = time.monotonic() - began, families.in_order()
        done = BuildResult(run_id=run.run_id, families=results, seconds=seconds, interrupted=interrupted)
        _write_run_results(run, done)
        return done

    try:
        run_interruptibly(lambda cancelled: families.build_all(threads, cancelled), cancel=cancel)
    except KeyboardInterrupt:  # what was published before stays, and is told
        ended(interrupted=True)
        raise
    done = ended()
    reporter.build_finished(done)
    return done


class _Families:
    """The families of a build and what came of them."""

    def __init__(
        self,
        spark: SparkSession,
        workspace: Workspace,
        inputs: Mapping[str, Input],
        run: Run,
        reporter: Reporter,
        *,
        fail_fast: bool,
    ) -> None:
        from modelfactory.commands.counting import Censuses

        self.spark = spark
        self.workspace = workspace
        self.steps = workspace.plan.steps
        self.inputs = inputs
        self.censuses = Censuses(self.steps, inputs)
        self.run = run
        self.reporter = reporter
        self.fail_fast = fail_fast
        self.results: dict[str, FamilyResult] = {}

    def build_all(self, threads: int, cancelled: threading.Event) -> None:
        """Build all families, some at once, in their order.

        Raises:
            Cancelled: the build was cancelled.
        """
        with ThreadPoolExecutor(threads, thread_name_prefix="mf-family") as pool:
            for ended in [pool.submit(self._build, index, cancelled) for index in range(len(self.steps))]:
                ended.result()
        if cancelled.is_set():
            raise Cancelled

    def in_order(self) -> tuple[FamilyResult, ...]:
        """Return what came of the families that have ended, in the order of the plan."""
        return tuple(self.results[step.family] for step in self.steps if step.family in self.results)

    def _build(self, index: int, cancelled: threading.Event) -> None:
        if cancelled.is_set():
            return
        step, place, total = self.steps[index], index + 1, len(self.steps)
        if self.fail_fast and any(result.status == "error" for result in list(self.results.values())):
            result = FamilyResult(family=step.family, status="skipped")
        else:
            self.reporter.family_started(place, total, step.family)
            try:
                result = self._built(step, lambda: _go_on(cancelled))
            except Cancelled:
                return
        if cancelled.is_set() and result.status != "success":
            return
        self.results[step.family] = result
        self.reporter.family_finished(place, total, result)

    def _built(self, step: TrainStep, go_on: Callable[[], None]) -> FamilyResult:
        """Build one family; an error ends this family, not the build.

        Raises:
            Cancelled: the build was cancelled before the family was published.
        """
        from modelfactory.commands.train import train_family

        began, shown_as = time.monotonic(), self.workspace.project.shown_as
        failure: MfError
        try:
            return train_family(
                self.spark,
                self.workspace,
                step,
                self.inputs[step.family],
                self.censuses,
                self.run,
                self.reporter,
                go_on=go_on,
            )
        except Cancelled:
            raise
        except MfError as error:
            failure = error
        except OSError as error:
            place = f" `{error.filename}`" if error.filename else ""
            message = f"cannot write{place}: {error.strerror or error}"
            failure = BuildFailed(Diagnostic(code=Code.STORE, message=message))
        except Exception as error:  # a fault of mf itself must not cost the other families
            trace = self.run.artefacts / f"{step.family}.traceback.txt"
            trace.parent.mkdir(parents=True, exist_ok=True)
            trace.write_text(hide(traceback.format_exc(), shown_as), encoding="utf-8")
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
            diagnostics=tuple(diagnostic.hiding(shown_as) for diagnostic in failure.diagnostics),
            exit_code=failure.exit_code,
        )


def _go_on(cancelled: threading.Event) -> None:
    """Let work go on.

    Raises:
        Cancelled: it is to end.
    """
    if cancelled.is_set():
        raise Cancelled


def _with_workers(spark: SparkSession, run: Run, reporter: Reporter) -> Run:
    """Return the run with the versions that its workers have.

    A cluster without a free core lets everybody wait for as long as it has none, and Spark says so in its log alone.

    Raises:
        InputError: the workers cannot train what is loaded here.
    """
    from modelfactory.spark.probe import probe_workers
    from modelfactory.spark.session import cancel_jobs

    def probe(_: threading.Event) -> Workers:
        return probe_workers(spark, run.libraries)

    waiting = threading.Timer(_PATIENCE, lambda: reporter.note("still waiting for the first worker of the cluster"))
    waiting.daemon = True
    waiting.start()
    try:
        workers = run_interruptibly(probe, cancel=lambda: cancel_jobs(spark))
    finally:
        waiting.cancel()
    return dataclasses.replace(run, libraries=dict(workers.libraries))


def _log(run: Run, workspace: Workspace, reporter: Reporter) -> Log:
    """Return the log of a run; a project that was refused has left it as it was."""

    def complain(why: str) -> None:
        reporter.warn([warning(Code.STORE, f"cannot write {run.events}: {why}")])

    return Log(run.events, shown_as=workspace.project.shown_as, complain=complain)


def _check_unlocked(workspace: Workspace) -> None:
    """See that there is something to build before Spark is waited for.

    Raises:
        StoreLocked: other builds hold all families. If it is some of them, the others are built.
    """
    held: list[Diagnostic] = []
    for step in workspace.plan.steps:
        try:
            workspace.store.check_unlocked(step.family)
        except StoreLocked as error:
            held += error.diagnostics
        else:
            return
    raise StoreLocked(*held)


def _input_bytes(project: Project, environ: Mapping[str, str]) -> int | None:
    """Return the size of all files that sources name, counted until it is large; None where it cannot be told."""
    from modelfactory.spark.settings import SMALL_INPUT

    total = 0
    for source in project.sources.values():
        place = None if source.spec.path is None else resolve_environment(source.spec.path, environ)
        if place is None or "://" in place:
            return None
        try:
            for size in _sizes(project.root, place):
                total += size
                if total > SMALL_INPUT:  # a lake may have a million files
                    return total
        except OSError:
            return None
    return total


def _sizes(root: Path, place: str) -> Iterator[int]:
    for found in glob.iglob(place, root_dir=root):  # noqa: PTH207 - `Path.glob` takes no absolute pattern
        file = root / found
        files = file.rglob("*") if file.is_dir() else [file]
        yield from (f.stat().st_size for f in files if f.is_file())


def open_inputs(spark: SparkSession, workspace: Workspace) -> dict[str, Input]:
    """Open and check the inputs of all families.

    Raises:
        InputError: with everything that is wrong with any of them.
    """
    from modelfactory.spark.inputs import open_input, open_source

    project, environ = workspace.project, workspace.environ
    steps = workspace.plan.steps
    sources = {source.name: source for step in steps for source in step.sources}
    mistakes = []
    wrong = set()
    for name, source in sources.items():
        for finding in open_source(spark, source, root=project.root, environ=environ):
            wrong.add(name)
            place = project.sources[finding.source or name]
            mistakes.append(place.diagnostic(finding.code, finding.message, finding.path, help=finding.help))
    inputs = {}
    for step in steps:
        if wrong & {source.name for source in step.sources}:
            continue
        opened, findings = open_input(spark, step, environ=environ)
        family = workspace.family(step.family)
        mistakes += [family.diagnostic(f.code, f.message, f.path, help=f.help) for f in findings]
        if opened is not None:
            inputs[step.family] = opened
    if mistakes:
        raise InputError(*mistakes)
    return inputs


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
