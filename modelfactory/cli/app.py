"""The program `mf`: its commands, and how they are run."""

from __future__ import annotations

import gc
import itertools
import sys
from typing import Annotated

import typer

from modelfactory import __version__
from modelfactory.cli import (
    building,
    explaining,
    formatting,
    inspecting,
    projects,
    reviewing,
    schemas,
    testing,
    using,
    versioning,
)
from modelfactory.cli.options import LogFormat
from modelfactory.cli.running import UsageError
from modelfactory.diagnostics import MfError

app = typer.Typer(
    name="mf",
    help="dbt for fleets of models: one scikit-learn model per group, declared in files, trained on Spark.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
projects.register(app)
building.register(app)
inspecting.register(app)
testing.register(app)
reviewing.register(app)
versioning.register(app)
formatting.register(app)
schemas.register(app)
explaining.register(app)
using.register(app)


def main() -> None:
    """Run `mf`."""
    gc.set_threshold(100_000)  # a project is many small objects, and none of them is garbage
    try:
        if _wants_json(sys.argv):
            sys.exit(_run_in_json())
        app()
    finally:
        gc.freeze()  # nor at the end


def _wants_json(words: list[str]) -> bool:
    return "--log-format=json" in words or ("--log-format", "json") in itertools.pairwise(words)


def _run_in_json() -> int:
    """Run `mf` so that a wrong option, too, is a line of JSON; return the exit code."""
    try:
        return int(app(standalone_mode=False) or 0)
    except UsageError as error:
        from modelfactory.cli.console import Console

        Console(log_format=LogFormat.JSON).tell("usage", error.format_message(), level="error")
        return MfError.exit_code


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"modelfactory {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Dbt for fleets of models. No telemetry; stdout carries data only."""
