"""Commands on the files of a project: init, debug, parse, compile."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelfactory.cli.options import Exclude, Paths, Select, Selector, State
from modelfactory.cli.running import Invocation, choice_of, command
from modelfactory.diagnostics import InputError, MfError, counted

if TYPE_CHECKING:
    from modelfactory.commands.project_options import ProjectOptions


def register(app: typer.Typer) -> None:
    """Make these functions commands of an app."""
    command(app, project=False, panel="Write and check")(init)
    command(app, panel="Write and check")(debug)
    command(app, panel="Write and check")(parse)
    command(app, panel="Write and check")(compile)


def init(call: Invocation, folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make.")]) -> None:
    """Make a small project that builds at once, with data."""
    from modelfactory.commands.init import add_schemas, init_project

    for file in init_project(folder):
        call.console.note(f"wrote {folder / file}")
    try:
        for file in add_schemas(folder, os.environ):
            call.console.note(f"wrote {folder / file}")
    except InputError as error:  # the project is whole without them
        call.console.note(f"wrote no schemas for editors: {error.diagnostics[0].message}")
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


def parse(call: Invocation, paths: Paths = None) -> None:
    """Check the whole project and report every mistake at once; of files, the projects that they belong to."""
    call.console.diagnostics_are_data = True
    if paths is None or call.options.project_dir is not None:
        _parse(call, call.options)
        return
    from modelfactory.project.files import check_paths, find_projects

    check_paths(paths)
    ends = [0]
    for folder in find_projects(paths):
        try:
            _parse(call, dataclasses.replace(call.options, project_dir=folder))
        except MfError as error:
            call.console.note(f"in {folder}")
            call.console.error(error)
            ends.append(error.exit_code)
    raise typer.Exit(max(ends))


def _parse(call: Invocation, options: ProjectOptions) -> None:
    from modelfactory.commands.workspace import open_workspace

    workspace = open_workspace(options, may_be_empty=True, columns=True)
    call.console.opened(workspace)
    families, sources = len(workspace.families), len(workspace.project.sources)
    name = workspace.project.spec.name
    call.console.note(f"{name}: {counted(families, 'family', 'families')} and {counted(sources, 'source')}, all valid")


def compile(
    call: Invocation,
    select: Select = None,
    exclude: Exclude = None,
    selector: Selector = None,
    state: State = None,
) -> None:
    """Print the training plan and write it to target/compiled."""
    from modelfactory.commands.compile import write_compiled
    from modelfactory.commands.workspace import open_workspace

    workspace = open_workspace(call.options, choice_of(select, exclude, selector, state), columns=True)
    call.console.opened(workspace)
    call.console.data(write_compiled(workspace))
