"""Commands on the files of a project: init, debug, parse, compile."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelfactory.cli.options import Exclude, Select
from modelfactory.cli.running import Invocation, command
from modelfactory.diagnostics import MfError, counted


def register(app: typer.Typer) -> None:
    """Make these functions commands of an app."""
    command(app, project=False)(init)
    command(app)(debug)
    command(app)(parse)
    command(app)(compile)


def init(call: Invocation, folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make.")]) -> None:
    """Make a small project that builds at once, with data."""
    from modelfactory.commands.init import init_project

    for file in init_project(folder):
        call.console.note(f"wrote {folder / file}")
    call.console.note(f"next: mf build --project-dir {folder}")


def debug(
    call: Invocation,
    connection: Annotated[bool, typer.Option("--connection", help="Start Spark and ask a worker.")] = False,
    store: Annotated[bool, typer.Option("--store", help="Read every file of the store and verify it.")] = False,
) -> None:
    """Show versions, Java, Python and whether the store can be written; with --store, whether it is whole."""
    from modelfactory.cli.tables import check_table
    from modelfactory.commands.debug import debug as look

    checks = look(call.options, connection=connection, store=store)
    call.console.table(check_table(checks))
    if not all(check.passed for check in checks):
        raise typer.Exit(MfError.exit_code)


def parse(call: Invocation) -> None:
    """Check the whole project and report every mistake at once."""
    from modelfactory.commands.workspace import open_workspace

    call.console.diagnostics_are_data = True
    workspace = open_workspace(call.options, may_be_empty=True, columns=True)
    call.console.warn(workspace.warnings)
    families, sources = len(workspace.families), len(workspace.project.sources)
    name = workspace.project.spec.name
    call.console.note(f"{name}: {counted(families, 'family', 'families')} and {counted(sources, 'source')}, all valid")


def compile(call: Invocation, select: Select = None, exclude: Exclude = None) -> None:
    """Print the training plan and write it to target/compiled."""
    from modelfactory.commands.compile import write_compiled
    from modelfactory.commands.workspace import open_workspace

    workspace = open_workspace(call.options, select=select or (), exclude=exclude or (), columns=True)
    call.console.warn(workspace.warnings)
    call.console.data(write_compiled(workspace))
