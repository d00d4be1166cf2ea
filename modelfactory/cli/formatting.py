"""`mf fmt`, and what pre-commit runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelfactory.cli.options import Debug, Log, LogFormat, ProfilesDir, ProjectDir, Quiet, Target, Vars
from modelfactory.diagnostics import InputError, counted

if TYPE_CHECKING:
    from modelfactory.cli.console import Console

_Opened = Callable[[LogFormat, bool, bool], AbstractContextManager["Console"]]


def add_formatting(app: typer.Typer, opened: _Opened) -> None:
    """Add the commands of this module.

    Args:
        app: where to.
        opened: gives a command its console and turns errors into messages and exit codes.
    """

    @app.command()
    def fmt(
        paths: Annotated[
            list[Path] | None,
            typer.Argument(metavar="[PATHS]...", help="Files and folders; by default the whole project."),
        ] = None,
        check: Annotated[
            bool, typer.Option("--check", help="Write nothing; name the files that would change.")
        ] = False,
        diff: Annotated[bool, typer.Option("--diff", help="Write nothing; print what would change.")] = False,
        project_dir: ProjectDir = None,
        log_format: Log = LogFormat.TEXT,
        quiet: Quiet = False,
        debug: Debug = False,
    ) -> None:
        """Write project files in their canonical form; comments and meaning stay."""
        from modelfactory.commands.fmt import format_paths, format_project

        with opened(log_format, quiet, debug) as console:
            given = format_paths(paths, project_dir, os.environ) if paths else format_project(project_dir, os.environ)
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

    @app.command(context_settings={"ignore_unknown_options": True})
    def parse_files(
        files: Annotated[list[str], typer.Argument(help="Files and folders; other options of `parse`, too.")],
        project_dir: ProjectDir = None,
        target: Target = None,
        variables: Vars = "",
        profiles_dir: ProfilesDir = None,
        log_format: Log = LogFormat.TEXT,
    ) -> None:
        """Check the projects that some files belong to, each as `parse` does; for pre-commit."""
        from modelfactory.commands.fmt import project_folders

        given = {"--target": target, "--vars": variables, "--profiles-dir": profiles_dir, "--log-format": log_format}
        options = [f"{name}={value}" for name, value in given.items() if value]
        options += [word for word in files if word.startswith("-")]
        paths = [Path(word) for word in files if not word.startswith("-")]
        folders = [project_dir] if project_dir else project_folders(paths)
        ends = [0]
        for folder in folders:
            if len(folders) > 1 and log_format == LogFormat.TEXT:
                typer.echo(f"in {folder}", err=True)
            ends.append(app(["parse", f"--project-dir={folder}", *options], standalone_mode=False) or 0)
        raise typer.Exit(max(ends))
