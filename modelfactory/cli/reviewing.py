"""Commands for reviews: diff."""

from __future__ import annotations

from typing import Annotated

import typer

from modelfactory.cli.options import DetailedExitCode, ReviewOutput
from modelfactory.cli.running import CHANGES, Invocation, command


def register(app: typer.Typer) -> None:
    """Make these functions commands of an app."""
    command(app)(diff)


def diff(
    call: Invocation,
    base: Annotated[
        str | None,
        typer.Argument(help="Git revision to compare with: A, A..B or A...B; without it, what the store has."),
    ] = None,
    output: Annotated[ReviewOutput, typer.Option("--output", "-o", help="What to write.")] = ReviewOutput.TEXT,
    store: Annotated[
        bool | None,
        typer.Option(
            "--store/--no-store",
            help="Tell what is trained of the families; not given, where the store is a folder that exists.",
        ),
    ] = None,
    detailed_exitcode: DetailedExitCode = False,
) -> None:
    """Show what a change of the project's files means for its families, between git revisions or against the store."""
    from modelfactory.cli.review_text import review_annotations, review_json, review_markdown, review_text
    from modelfactory.commands.review import review_revisions, review_store
    from modelfactory.commands.workspace import open_workspace
    from modelfactory.diagnostics import counted

    if base is None:
        if store is False:
            raise typer.BadParameter("without a revision, the store is what is compared with")
        workspace = open_workspace(call.options, may_be_empty=True)
        review = review_store(workspace.project, workspace.plan, workspace.store)
    else:
        review = review_revisions(call.options, base, look_at_store=store)
    if review.base_mistakes:
        call.console.note(f"{review.base} has {counted(len(review.base_mistakes), 'mistake')} of its own")
        for mistake in review.base_mistakes:
            call.console.note(f"  {mistake.place.shown if mistake.place else '-'}: {mistake.message}")
    match output:
        case ReviewOutput.TEXT:
            call.console.text(review_text(review))
        case ReviewOutput.MARKDOWN:
            call.console.data(review_markdown(review))
        case ReviewOutput.JSON:
            call.console.data(review_json(review))
        case ReviewOutput.GITHUB:
            call.console.lines(review_annotations(review).splitlines())
    if review.store_problem is not None:
        raise review.store_problem
    if detailed_exitcode and review.families:
        raise typer.Exit(CHANGES)
