"""Start Spark for a project while it is compiled, and give both to a command that needs them."""

from __future__ import annotations

import dataclasses
import glob
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelfactory.commands.archiving import start_archiving
from modelfactory.commands.cache import cache_folder
from modelfactory.commands.interrupt import run_interruptibly
from modelfactory.commands.logs import Log
from modelfactory.commands.project_options import ProjectOptions
from modelfactory.commands.report import Reporter
from modelfactory.commands.run import Run, start_run
from modelfactory.commands.selecting import Choice
from modelfactory.commands.workspace import Workspace, read_project
from modelfactory.diagnostics import Code, InputError, Severity, hide, warning
from modelfactory.project.loading import Project
from modelfactory.project.variables import resolve_environment

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from modelfactory.spark.probe import Workers

_PATIENCE = 10.0
"""Seconds without a sign of life after which a user is told what is waited for."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A compiled project and a session of Spark for it.

    Attributes:
        workspace: the project, with the families that were chosen.
        spark: the session; it is closed at the end of the context.
        run: the run this is, with the versions of what trains.
    """

    workspace: Workspace
    spark: SparkSession
    run: Run


@contextmanager
def launched(
    options: ProjectOptions,
    reporter: Reporter,
    choice: Choice,
    *,
    ready: Callable[[Workspace], None],
    reads: Collection[str] | None = None,
) -> Iterator[Launch]:
    """Start Spark while the project is compiled.

    Args:
        options: where the project is and how to read it.
        reporter: hears what happens.
        choice: which families.
        ready: looks at the compiled project before Spark is waited for, and may refuse it.
        reads: paths and URLs that are read, where it is not the project's sources.

    Raises:
        InputError: the project has mistakes, or Spark cannot be used.
        NothingSelected: no family matches.
    """
    from modelfactory.spark.starting import starting_spark

    began = time.monotonic()
    read = read_project(options)
    if read.refused:
        read.compile()  # raises them, and those of the compiler
    project, run = read.project, start_run(read.project.root)
    cache = cache_folder(options.environ)
    input_bytes = _input_bytes(project, _paths_of(project, options.environ) if reads is None else reads)
    with starting_spark(
        project.target, log=run.log, shown_as=project.shown_as, input_bytes=input_bytes, cache=cache
    ) as starting:
        workspace = read.compile(choice, columns=True)
        missing = [d for d in workspace.warnings if d.code == Code.MISSING_PATH]
        if missing and reads is None:  # what may be elsewhere when a project is checked has to be here when it is built
            raise InputError(*(dataclasses.replace(d, severity=Severity.ERROR) for d in missing))
        ready(workspace)
        reporter.also(_log(run, workspace, reporter).write)
        reporter.opened(workspace)
        compiled = time.monotonic()
        reporter.run_started(run.run_id, hide(project.target.address, project.shown_as))
        from modelfactory.spark.session import session_of

        with session_of(starting, name=f"mf {project.spec.name}") as spark:
            if not starting.embedded:
                run = _with_workers(spark, run, reporter)
            reporter.timings({"compile": compiled - began, "spark": time.monotonic() - compiled})
            yield Launch(workspace, spark, run)
    if starting.embedded:
        start_archiving(cache, options.environ)


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


def _paths_of(project: Project, environ: Mapping[str, str]) -> list[str | None]:
    paths = (source.spec.path for source in project.sources.values())
    return [None if path is None else resolve_environment(path, environ) for path in paths]


def _input_bytes(project: Project, paths: Iterable[str | None]) -> int | None:
    """Return the size of all files that are read, counted until it is large; None where it cannot be told."""
    from modelfactory.spark.settings import SMALL_INPUT

    total = 0
    for place in paths:
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
