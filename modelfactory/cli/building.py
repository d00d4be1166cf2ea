"""Commands that train, or tell what training would do: plan, build, retry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelfactory.cli.options import DetailedExitCode, Exclude, FullRefresh, PlanOutput, Select, Selector, State
from modelfactory.cli.running import CHANGES, Invocation, choice_of, command

if TYPE_CHECKING:
    from modelfactory.commands.selecting import Choice

FailFast = Annotated[bool, typer.Option("--fail-fast", "-x", help="Skip the rest after the first failure.")]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Families to build at once; the target's `threads` if not given."),
]


def register(app: typer.Typer) -> None:
    """Make these functions commands of an app."""
    command(app, panel="Train")(plan)
    command(app, panel="Train")(build)
    command(app, panel="Train")(retry)


def plan(
    call: Invocation,
    select: Select = None,
    exclude: Exclude = None,
    selector: Selector = None,
    state: State = None,
    census: Annotated[
        bool, typer.Option("--census/--no-census", help="Count the groups, which starts Spark and reads the data.")
    ] = True,
    output: Annotated[PlanOutput, typer.Option("--output", "-o", help="What to write.")] = PlanOutput.TEXT,
    full_refresh: FullRefresh = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the plan to this file too, for `mf build --plan`.")
    ] = None,
    detailed_exitcode: DetailedExitCode = False,
) -> None:
    """Tell what a build would do and why: per family, and after a census per group."""
    choice = choice_of(select, exclude, selector, state)
    _plan(
        call,
        choice,
        census=census,
        full_refresh=full_refresh,
        output=output,
        out=out,
        detailed_exitcode=detailed_exitcode,
    )


def _plan(
    call: Invocation,
    choice: Choice,
    *,
    census: bool = True,
    full_refresh: bool = False,
    output: PlanOutput = PlanOutput.TEXT,
    out: Path | None = None,
    detailed_exitcode: bool = False,
) -> None:
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise typer.BadParameter(f"--out {out}: there is no such folder, or it is one itself")
    from modelfactory.cli.plan_text import plan_markdown, plan_text
    from modelfactory.commands.planning import plan_project
    from modelfactory.commands.plans import plan_document
    from modelfactory.diagnostics import InputError
    from modelfactory.store.local import replace_file

    found = plan_project(call.options, call.console, choice, census=census, full_refresh=full_refresh)
    document = json.dumps(plan_document(found), indent=1, ensure_ascii=False, default=str) + "\n"
    match output:
        case PlanOutput.TEXT:
            call.console.text(plan_text(found))
        case PlanOutput.MARKDOWN:
            call.console.data(plan_markdown(found))
        case PlanOutput.JSON:
            call.console.data(document)
    if found.mistakes:
        raise InputError(*found.mistakes)
    if out is not None:
        replace_file(out, document)
    if detailed_exitcode and found.has_changes:
        raise typer.Exit(CHANGES)


def build(
    call: Invocation,
    select: Select = None,
    exclude: Exclude = None,
    selector: Selector = None,
    state: State = None,
    plan: Annotated[
        Path | None,
        typer.Option("--plan", help="Carry out this plan, exactly, or nothing if something has moved since."),
    ] = None,
    full_refresh: FullRefresh = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, as `mf plan` does.")] = False,
    sample: Annotated[
        str | None,
        typer.Option(
            "--sample",
            metavar="groups=N,rows=N",
            help="Train so many groups of each family, and so many rows of each group, apart from what is published.",
        ),
    ] = None,
    empty: Annotated[
        bool, typer.Option("--empty", help="Run everything on no rows, to see that it fits together; publish nothing.")
    ] = False,
    fail_fast: FailFast = False,
    threads: Threads = None,
) -> None:
    """Train what has changed and publish new versions."""
    from modelfactory.commands.build import build_project
    from modelfactory.commands.scope import Scope, read_sample
    from modelfactory.store.saved_plan import read_plan

    if plan is not None and (select or exclude or selector or state or dry_run or full_refresh or sample or empty):
        raise typer.BadParameter("--plan has its own families, and is to be carried out")
    if sum(map(bool, (sample is not None, empty, dry_run))) > 1:
        raise typer.BadParameter("--sample, --empty and --dry-run are three ways to try; give one")
    choice = choice_of(select, exclude, selector, state)
    if dry_run:
        _plan(call, choice, full_refresh=full_refresh)
        return
    result = build_project(
        call.options,
        call.console,
        choice,
        scope=Scope(full_refresh=full_refresh, sample=None if sample is None else read_sample(sample), empty=empty),
        fail_fast=fail_fast,
        threads=threads,
        plan=None if plan is None else read_plan(plan),
    )
    raise typer.Exit(result.exit_code)


def retry(call: Invocation, fail_fast: FailFast = False, threads: Threads = None) -> None:
    """Try again the groups that failed, timed out or crashed in the last run, and the families that it did not build.

    All other groups stay as they are. The definition has to be that of the last run.
    """
    from modelfactory.commands.retrying import retry_project

    result = retry_project(call.options, call.console, fail_fast=fail_fast, threads=threads)
    raise typer.Exit(0 if result is None else result.exit_code)
