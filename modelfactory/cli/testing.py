"""The command that judges published versions: test."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from modelfactory.cli.options import Exclude, Select, Selector, ShowOutput, State, VersionNumber
from modelfactory.cli.running import Invocation, choice_of, command


def register(app: typer.Typer) -> None:
    """Make this function a command of an app."""
    command(app, "test", panel="Look at what is trained")(judge)


def judge(
    call: Invocation,
    select: Select = None,
    exclude: Exclude = None,
    selector: Selector = None,
    state: State = None,
    version: VersionNumber = None,
    output: Annotated[
        ShowOutput, typer.Option("--output", "-o", help="What to write to stdout: nothing, or a JSON document.")
    ] = ShowOutput.TEXT,
) -> None:
    """Run the declared tests of families on what is published, without Spark."""
    from modelfactory.commands.events import json_value
    from modelfactory.commands.testing import judge_published, judgement_document
    from modelfactory.commands.workspace import open_workspace

    workspace = open_workspace(call.options, choice_of(select, exclude, selector, state))
    call.console.opened(workspace)
    found = judge_published(workspace, call.console, version=version)
    if output == ShowOutput.JSON:
        call.console.data(json.dumps(json_value(judgement_document(found)), indent=1, ensure_ascii=False))
    raise typer.Exit(found.exit_code)
