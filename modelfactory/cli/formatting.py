"""The command that formats project files: fmt."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from modelfactory.cli.options import Paths, ProjectDir
from modelfactory.cli.running import Invocation, command
from modelfactory.diagnostics import InputError, counted


def register(app: typer.Typer) -> None:
    """Make this function a command of an app."""
    command(app, project=False, panel="Write and check")(fmt)


def fmt(
    call: Invocation,
    paths: Paths = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; name the files that would change.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Write nothing; print what would change.")] = False,
    project_dir: ProjectDir = None,
) -> None:
    """Write project files in their canonical form; comments and meaning stay."""
    from modelfactory.commands.fmt import format_paths, format_project

    given = format_paths(paths, project_dir, os.environ) if paths else format_project(project_dir, os.environ)
    console = call.console
    console.warn(given.warnings)
    for name in given.strangers:
        console.note(f"{name} belongs to no project and is left as it is")
    keep = check or diff
    for file in given.changed:
        if diff:
            console.data(file.diff())
        elif check:
            console.data(f"would reformat: {file.name}")
        else:
            file.write()
    n_changed = len(given.changed)
    rest = len(given.files) - n_changed
    console.note(
        f"{counted(n_changed, 'file')} {'would be reformatted' if keep else 'reformatted'}, "
        + (f"{rest:,} already formatted" if keep else f"{rest:,} left unchanged")
    )
    if given.mistakes:
        raise InputError(*given.mistakes)
    if keep and n_changed:
        raise typer.Exit(1)
