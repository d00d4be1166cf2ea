"""Commands that train: build."""

from __future__ import annotations

from typing import Annotated

import typer

from modelfactory.cli.options import Exclude, Select
from modelfactory.cli.running import Invocation, command


def register(app: typer.Typer) -> None:
    """Make these functions commands of an app."""
    command(app)(build)


def build(
    call: Invocation,
    select: Select = None,
    exclude: Exclude = None,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", "-x", help="Skip the rest after the first failure.")
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="Families to build at once; the target's `threads` if not given."),
    ] = None,
) -> None:
    """Train families and publish their new versions."""
    from modelfactory.commands.build import build_project

    result = build_project(
        call.options,
        call.console,
        select=select or (),
        exclude=exclude or (),
        fail_fast=fail_fast,
        threads=threads,
    )
    raise typer.Exit(result.exit_code)
