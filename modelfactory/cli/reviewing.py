"""Commands for reviews: diff."""

from __future__ import annotations

from typing import Annotated

import typer

from modelfactory.cli.options import DetailedExitCode, ReviewOutput
from modelfactory.cli.running import CHANGES, Invocation, command


def register(app: typer.Typer) -> None:
    """Make these functions commands of an app."""
    command(app, panel="Review")(diff)


def diff(
    call: Invocation,
    base: Annotated[
        str | None,
        typer.Argument(
            help="Git revision to compare with: A, A..B or A...B; without it, what the store has. With --versions, a "
            "family."
        ),
    ] = None,
    versions: Annotated[
        tuple[int, int] | None,
        typer.Option("--versions", help="Compare two versions of the family that stands first: --versions 2 3."),
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
    """Show what a change of the project's files means for its families, between git revisions or against the store.

    With --versions, show how two published versions of one family differ, group by group.
    """
    if versions is not None:
        if base is None:
            raise typer.BadParameter("--versions compares versions of a family: mf diff FAMILY --versions OLD NEW")
        if store is not None or output == ReviewOutput.GITHUB:
            raise typer.BadParameter("--versions goes with neither --store nor --output github: it is about no file")
        _diff_versions(call, base, versions, output, detailed_exitcode=detailed_exitcode)
        return
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


def _diff_versions(
    call: Invocation, family: str, versions: tuple[int, int], output: ReviewOutput, *, detailed_exitcode: bool
) -> None:
    from modelfactory.cli.version_text import comparison_json, comparison_markdown, comparison_parts
    from modelfactory.commands.history import compare_versions

    found = compare_versions(call.options, family, *versions)
    if output == ReviewOutput.JSON:
        call.console.data(comparison_json(found))
    elif output == ReviewOutput.MARKDOWN:
        call.console.data(comparison_markdown(found))
    else:
        call.console.parts(comparison_parts(found))
    if detailed_exitcode and found.differ:
        raise typer.Exit(CHANGES)
