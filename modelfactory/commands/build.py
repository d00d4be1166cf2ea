"""`mf build`: start Spark, open all inputs, then train the families, one or several at once."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TYPE_CHECKING

from modelfactory import __version__
from modelfactory.commands.events import document_of
from modelfactory.commands.interrupt import Cancelled, run_interruptibly
from modelfactory.commands.launching import launched
from modelfactory.commands.opening import built_on, open_inputs, open_late
from modelfactory.commands.project_options import ProjectOptions
from modelfactory.commands.report import STANDS, BuildResult, FamilyResult, Reporter
from modelfactory.commands.run import Run, start_run
from modelfactory.commands.scope import WHAT_CHANGED, Scope
from modelfactory.commands.selecting import EVERYTHING, RUN_RESULTS, RUN_RESULTS_SCHEMA, Choice
from modelfactory.commands.staleness import check_belongs, check_data, check_libraries, check_unmoved
from modelfactory.commands.trials import trial, with_trial_store
from modelfactory.commands.workspace import Workspace
from modelfactory.diagnostics import BuildFailed, Code, Diagnostic, MfError, StoreLocked, hide
from modelfactory.plan.fingerprint import fingerprint, plain
from modelfactory.plan.steps import TrainStep
from modelfactory.store.local import replace_file
from modelfactory.store.saved_plan import SavedPlan

TRIAL_RESULTS = "trial_results.json"
"""What came of a build of which nothing is to become current; it is no last run to go on from."""

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from modelfactory.spark.inputs import Input


def build_project(
    options: ProjectOptions,
    reporter: Reporter,
    choice: Choice = EVERYTHING,
    *,
    scope: Scope = WHAT_CHANGED,
    fail_fast: bool = False,
    threads: int | None = None,
    plan: SavedPlan | None = None,
) -> BuildResult:
    """Start Spark while the project is compiled, then build the chosen families.

    Args:
        options: where the project is and how to read it.
        reporter: hears what happens.
        choice: which families.
        scope: which of their groups are looked at.
        fail_fast: skip the rest after the first family that fails.
        threads: how many families to build at once; as the target says if None.
        plan: what to do, instead of a choice.

    Raises:
        KeyboardInterrupt: the user interrupted; what is already published stays.
        PlanStale: something has moved since the plan was made; nothing was built.
        InputError: the project has mistakes, the store or Spark cannot be used, or an input is not as declared;
            nothing was written.
        NothingSelected: no family matches.
        StoreLocked: other builds hold all chosen families.
    """
    began = time.monotonic()

    def ready(workspace: Workspace) -> None:
        if plan is not None:
            check_belongs(plan, workspace.project)
            check_unmoved(plan, workspace)
        there = with_trial_store(workspace, scope, "")
        there.store.check_writable()
        _check_unlocked(there)
        if any(test.kind == "sql" for step in workspace.plan.steps for test in step.tests):
            from modelfactory.commands.testing import check_queries  # DuckDB is for those who have queries

            check_queries(workspace)

    if plan is not None:
        choice = Choice(only=[family.name for family in plan.families])
        scope = Scope(full_refresh=plan.full_refresh)
    with launched(options, reporter, choice, ready=ready) as launch:
        return build(
            launch.workspace,
            reporter,
            session=launch.spark,
            run=launch.run,
            scope=scope,
            fail_fast=fail_fast,
            threads=threads or launch.workspace.project.target.threads,
            began=began,
            plan=plan,
        )


def build(
    workspace: Workspace,
    reporter: Reporter,
    *,
    session: SparkSession,
    run: Run | None = None,
    scope: Scope = WHAT_CHANGED,
    fail_fast: bool = False,
    threads: int = 1,
    began: float | None = None,
    plan: SavedPlan | None = None,
) -> BuildResult:
    """Train the workspace's families and publish their new versions.

    The inputs of all families are opened and checked before the first is trained; but for those that read the groups of
    families that are built before them.

    Args:
        workspace: what to build.
        reporter: hears what happens.
        session: Spark session to use; it is left open.
        run: the run this is; a new one if None.
        scope: which groups are looked at.
        fail_fast: skip the rest after the first family that fails.
        threads: how many families to build at once.
        began: when the run began, by the monotonic clock; now if None.
        plan: what the build is to carry out as it stands; the workspace has its families.

    Raises:
        KeyboardInterrupt: the user interrupted; what is already published stays.
        PlanStale: libraries or rows are not those that the plan was made from; nothing was built.
        InputError: an input is not as declared; nothing was written.
    """
    from modelfactory.spark.session import empties_kept

    began = time.monotonic() if began is None else began
    run = start_run(workspace.project.root) if run is None else run
    with trial(workspace, scope, run) as there, empties_kept(session) if scope.empty else nullcontext():
        _tell_trial(there, scope, reporter)
        return _build(
            there, reporter, session, run, scope, fail_fast=fail_fast, threads=threads, began=began, plan=plan
        )


def _tell_trial(workspace: Workspace, scope: Scope, reporter: Reporter) -> None:
    """Say where a sample goes."""
    if scope.sample is not None:
        shown = hide(workspace.store.place.shown(), workspace.project.shown_as)
        reporter.note(f"a sample: it goes to {shown}, in the place of the last one, and nothing of it becomes current")


def _build(
    workspace: Workspace,
    reporter: Reporter,
    session: SparkSession,
    run: Run,
    scope: Scope,
    *,
    fail_fast: bool,
    threads: int,
    began: float,
    plan: SavedPlan | None,
) -> BuildResult:
    """Build what the workspace has, into the store that it has."""
    from modelfactory.spark.session import cancel_jobs, limit_batches, pin_settings

    def cancel() -> None:
        cancel_jobs(session)

    def prepare(_: threading.Event) -> dict[str, Input]:
        pin_settings(session)
        limit_batches(session, workspace.plan.steps, workspace.project.target.conf)
        return open_inputs(session, workspace, later=built_on(workspace.plan.steps))

    prepared = time.monotonic()
    inputs = run_interruptibly(prepare, cancel=cancel)
    reporter.timings({"inputs": time.monotonic() - prepared})
    families = _Families(session, workspace, inputs, run, reporter, scope=scope, fail_fast=fail_fast)
    if plan is not None:
        check_libraries(plan, fingerprint(dict(run.libraries)))
        run_interruptibly(lambda _: check_data(plan, families.count()), cancel=cancel)

    def ended(*, interrupted: bool = False) -> BuildResult:
        seconds, results = time.monotonic() - began, families.in_order()
        done = BuildResult(run_id=run.run_id, families=results, seconds=seconds, interrupted=interrupted)
        # Whoever tries the run again has to know what it did not come to.
        told = dataclasses.replace(done, families=(*results, *families.not_ended()))
        write_run_results(run, told, TRIAL_RESULTS if scope.is_trial else RUN_RESULTS)
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
        inputs: dict[str, Input],
        run: Run,
        reporter: Reporter,
        *,
        scope: Scope,
        fail_fast: bool,
    ) -> None:
        from modelfactory.commands.counting import Censuses

        self.spark = spark
        self.workspace = workspace
        self.steps = workspace.plan.steps
        self.inputs = {family: self._rows_of(opened, scope) for family, opened in inputs.items()}
        self.censuses = Censuses(self.steps, self.inputs)
        self.run = run
        self.reporter = reporter
        self.scope = scope
        self.fail_fast = fail_fast
        self.results: dict[str, FamilyResult] = {}
        self.ended = {step.family: threading.Event() for step in self.steps}

    @staticmethod
    def _rows_of(opened: Input, scope: Scope) -> Input:
        """Return an input with the rows that are looked at."""
        return opened.without_rows() if scope.empty else opened

    def count(self) -> dict[str, str]:
        """Take the censuses of all families that can be counted by now; return the fingerprint of each one's data.

        Raises:
            InputError: the rows of a family cannot be read, or it has none.
        """
        from modelfactory.commands.accounting import data_fingerprint
        from modelfactory.commands.counting import census_of

        found = {}
        for step in self.steps:
            if step.family in self.inputs:
                census = census_of(
                    step, self.workspace.family(step.family), self.censuses, self.workspace.environ, lambda: None
                )
                found[step.family] = data_fingerprint(census)
                self.censuses.keep(step, census)
        return found

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

    def not_ended(self) -> tuple[FamilyResult, ...]:
        """Return the families of an interrupted build that it has not built, as such that were skipped."""
        left = (step.family for step in self.steps if step.family not in self.results)
        return tuple(FamilyResult(family=family, status="skipped") for family in left)

    def _build(self, index: int, cancelled: threading.Event) -> None:
        step = self.steps[index]
        for ref in self._built_before(step):
            self.ended[ref].wait()  # it was begun before this one, since the plan is in that order
        try:
            self._build_now(index, step, cancelled)
        finally:
            self.ended[step.family].set()

    def _built_before(self, step: TrainStep) -> list[str]:
        return [ref for ref in step.refs if ref in self.ended]

    def _is_skipped(self, step: TrainStep) -> bool:
        """Tell whether a family is left out: what it reads is not there, or a failure is to end the build."""
        unread = any(self.results[ref].status not in STANDS for ref in self._built_before(step) if ref in self.results)
        return unread or (self.fail_fast and any(r.status == "error" for r in list(self.results.values())))

    def _build_now(self, index: int, step: TrainStep, cancelled: threading.Event) -> None:
        if cancelled.is_set():
            return
        place, total = index + 1, len(self.steps)
        if self._is_skipped(step):
            result = FamilyResult(family=step.family, status="skipped")
        else:
            self.reporter.family_started(place, total, step.family)
            try:
                result = self._built(step, lambda: _go_on(cancelled))
            except Cancelled:
                return
        if cancelled.is_set() and result.status not in STANDS:
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
            if step.family not in self.inputs:
                self.inputs[step.family] = self._rows_of(open_late(self.spark, self.workspace, step), self.scope)
            return train_family(
                self.spark,
                self.workspace,
                step,
                self.inputs[step.family],
                self.censuses,
                self.run,
                self.reporter,
                scope=self.scope,
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
    if held:
        raise StoreLocked(*held)


def write_run_results(run: Run, result: BuildResult, name: str = RUN_RESULTS) -> None:
    """Write what came of a run among its artefacts.

    Args:
        run: the run.
        result: what came of each family.
        name: of the file; a trial writes to another than a build.
    """
    run.artefacts.mkdir(parents=True, exist_ok=True)
    results = [
        {
            "family": family.family,
            "status": family.status,
            "version": family.version,
            "seconds": round(family.seconds, 3),
            "groups": dict(family.statuses),
            "reasons": dict(family.reasons),
            "faults": [plain(fault) for fault in family.faults],
            "global_fault": plain(family.global_fault),
            "tests": [document_of(test) for test in family.tests],
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
        "schema": RUN_RESULTS_SCHEMA,
        "run_id": result.run_id,
        "mf_version": __version__,
        "seconds": round(result.seconds, 3),
        "exit_code": result.exit_code,
        "results": results,
    }
    replace_file(run.artefacts / name, json.dumps(document, indent=1, default=str) + "\n")
