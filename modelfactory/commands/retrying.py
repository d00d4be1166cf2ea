"""`mf retry`: try again what the last run has left, and nothing else."""

from __future__ import annotations

from modelfactory.commands.build import build_project
from modelfactory.commands.project_options import ProjectOptions
from modelfactory.commands.report import BuildResult, Reporter
from modelfactory.commands.scope import Scope
from modelfactory.commands.selecting import Choice, last_results
from modelfactory.commands.workspace import read_project
from modelfactory.diagnostics import InputError
from modelfactory.plan.outcomes import FAULTS

_NOT_BUILT = frozenset({"error", "skipped"})


def retry_project(
    options: ProjectOptions, reporter: Reporter, *, fail_fast: bool = False, threads: int | None = None
) -> BuildResult | None:
    """Try again the groups that failed, timed out or crashed in the last run, and the families that it did not build.

    Args:
        options: where the project is and how to read it.
        reporter: hears what happens.
        fail_fast: skip the rest after the first family that fails.
        threads: how many families to build at once; as the target says if None.

    Returns:
        What came of it; None if there was nothing to try again.

    Raises:
        InputError: the project has mistakes, the results of the last run cannot be read, or a definition has changed.
        KeyboardInterrupt: the user interrupted.
        StoreLocked: other builds hold all families.
    """
    read = read_project(options)
    if read.refused:
        raise InputError(*read.mistakes)
    results = last_results(read.project.root)
    if results is None:
        reporter.note("there was no run yet: nothing to try again")
        return None
    results = {family.name: results.get(family.name, frozenset()) for family in read.project.families}
    unbuilt = [name for name, said in results.items() if said and said <= _NOT_BUILT]
    faulty = {name: said for name, said in results.items() if said & FAULTS}
    for name in [name for name, said in results.items() if said & _NOT_BUILT and name not in (*unbuilt, *faulty)]:
        reporter.note(f"family {name}: no group failed; `mf show {name} --candidate` shows what held it back")
    if not unbuilt and not faulty:
        reporter.note("no group failed, timed out or crashed in the last run: nothing to try again")
        return None
    scope = Scope(retry={name: "candidate" if "error" in said else "current" for name, said in faulty.items()})
    choice = Choice(only=[name for name in results if name in faulty or name in unbuilt])
    return build_project(options, reporter, choice, scope=scope, fail_fast=fail_fast, threads=threads)
