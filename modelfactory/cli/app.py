"""The commands: parse the arguments, one call into `commands`, print."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelfactory import __version__
from modelfactory.cli.formatting import add_formatting
from modelfactory.cli.options import (
    Debug,
    Exclude,
    Log,
    LogFormat,
    Output,
    ProfilesDir,
    ProjectDir,
    Quiet,
    Select,
    ShowOutput,
    Target,
    Vars,
)
from modelfactory.diagnostics import Code, InputError, MfError, counted, input_error

if TYPE_CHECKING:
    from modelfactory.cli.console import Console
    from modelfactory.commands.workspace import ProjectOptions

_UsageError: Any = typer.BadParameter.__base__  # of Click, whether Typer brings its own or not

app = typer.Typer(
    name="mf",
    help="dbt for fleets of models: one scikit-learn model per group, declared in files, trained on Spark.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run `mf`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # how schedulers interrupt
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
    except _UsageError as error:
        from modelfactory.cli.console import Console

        Console(log_format=LogFormat.JSON).tell("usage", error.format_message(), level="error")
        return MfError.exit_code


@contextmanager
def _console(log_format: LogFormat, quiet: bool, debug: bool) -> Iterator[Console]:
    """Give a command its console and turn errors into messages and exit codes, in this one place."""
    from modelfactory.cli.console import Console
    from modelfactory.cli.libraries import libraries_told_by

    console = Console(log_format=log_format, quiet=quiet, debug=debug)
    try:
        with libraries_told_by(console):
            yield console
    except MfError as error:
        console.close()
        console.error(error)
        raise typer.Exit(error.exit_code) from None
    except BrokenPipeError:  # `mf ls | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise typer.Exit(0) from None
    except OSError as error:
        console.close()
        console.error(input_error(Code.STORE, f"cannot write `{error.filename}`: {error.strerror or error}"))
        raise typer.Exit(MfError.exit_code) from None
    except KeyboardInterrupt:
        from modelfactory.commands.interrupt import INTERRUPTED

        console.close()
        console.tell("interrupted", "interrupted", level="warning")
        raise typer.Exit(INTERRUPTED) from None
    except (typer.Exit, _UsageError):
        raise
    except Exception as error:  # a fault of mf itself
        console.close()
        console.trace(error)
        if console.json:
            raise typer.Exit(1) from None
        raise
    finally:
        console.close()


def _options(project_dir: Path | None, target: str | None, variables: str, profiles_dir: Path | None) -> ProjectOptions:
    from modelfactory.commands.workspace import ProjectOptions
    from modelfactory.project.files import read_mapping

    return ProjectOptions(
        project_dir=project_dir,
        target=target,
        variables=read_mapping(variables, option="--vars") if variables else {},
        profiles_dir=profiles_dir,
        environ=os.environ,
    )


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


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make.")],
    log_format: Log = LogFormat.TEXT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make a small project that builds at once, with data."""
    from modelfactory.commands.init import init_project

    with _console(log_format, quiet, debug) as console:
        for file in init_project(folder):
            console.note(f"wrote {folder / file}")
        console.note(f"next: mf build --project-dir {folder}")


@app.command()
def debug(
    project_dir: ProjectDir = None,
    connection: Annotated[bool, typer.Option("--connection", help="Start Spark and ask a worker.")] = False,
    store: Annotated[bool, typer.Option("--store", help="Read every file of the store and verify it.")] = False,
    target: Target = None,
    variables: Vars = "",
    profiles_dir: ProfilesDir = None,
    log_format: Log = LogFormat.TEXT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show versions, Java, Python and whether the store can be written; with --store, whether it is whole."""
    from modelfactory.cli.tables import check_table
    from modelfactory.commands.debug import debug as look

    with _console(log_format, quiet, debug) as console:
        checks = look(_options(project_dir, target, variables, profiles_dir), connection=connection, store=store)
        console.table(check_table(checks))
        if not all(check.passed for check in checks):
            raise typer.Exit(MfError.exit_code)


@app.command()
def parse(
    project_dir: ProjectDir = None,
    target: Target = None,
    variables: Vars = "",
    profiles_dir: ProfilesDir = None,
    log_format: Log = LogFormat.TEXT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Check the whole project and report every mistake at once."""
    from modelfactory.commands.workspace import open_workspace

    with _console(log_format, quiet, debug) as console:
        workspace = open_workspace(_options(project_dir, target, variables, profiles_dir), may_be_empty=True)
        console.warn(workspace.warnings)
        families, sources = len(workspace.families), len(workspace.project.sources)
        name = workspace.project.spec.name
        console.note(f"{name}: {counted(families, 'family', 'families')} and {counted(sources, 'source')}, all valid")


@app.command()
def compile(
    select: Select = None,
    exclude: Exclude = None,
    project_dir: ProjectDir = None,
    target: Target = None,
    variables: Vars = "",
    profiles_dir: ProfilesDir = None,
    log_format: Log = LogFormat.TEXT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Print the training plan and write it to target/compiled."""
    from modelfactory.commands.compile import write_compiled
    from modelfactory.commands.workspace import open_workspace

    with _console(log_format, quiet, debug) as console:
        options = _options(project_dir, target, variables, profiles_dir)
        workspace = open_workspace(options, select=select or (), exclude=exclude or ())
        console.warn(workspace.warnings)
        console.data(write_compiled(workspace))


@app.command()
def build(
    select: Select = None,
    exclude: Exclude = None,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", "-x", help="Skip the rest after the first failure.")
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="Families to build at once; the target's `threads` if not given."),
    ] = None,
    project_dir: ProjectDir = None,
    target: Target = None,
    variables: Vars = "",
    profiles_dir: ProfilesDir = None,
    log_format: Log = LogFormat.TEXT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train families and publish their new versions."""
    from modelfactory.commands.build import build_project

    with _console(log_format, quiet, debug) as console:
        result = build_project(
            _options(project_dir, target, variables, profiles_dir),
            console,
            select=select or (),
            exclude=exclude or (),
            fail_fast=fail_fast,
            threads=threads,
        )
        raise typer.Exit(result.exit_code)


@app.command("ls")
def ls(
    select: Select = None,
    exclude: Exclude = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="What to write.")] = Output.TABLE,
    output_keys: Annotated[
        str | None,
        typer.Option("--output-keys", help="Keys of the JSON lines or CSV columns, by commas or spaces."),
    ] = None,
    groups: Annotated[str | None, typer.Option("--groups", help="List the groups of this family.")] = None,
    where: Annotated[
        str | None, typer.Option("--where", help="With --groups: such as 'status = failed and n_rows > 100'.")
    ] = None,
    sort: Annotated[str | None, typer.Option("--sort", help="With --groups: column or metric; -NAME falls.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=0, help="With --groups: most rows.")] = None,
    project_dir: ProjectDir = None,
    target: Target = None,
    variables: Vars = "",
    profiles_dir: ProfilesDir = None,
    log_format: Log = LogFormat.TEXT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """List families and what is trained; with --groups, the groups of one."""
    from modelfactory.cli.listing import write_families, write_groups
    from modelfactory.commands.inspect import list_families, list_groups
    from modelfactory.commands.workspace import open_workspace

    with _console(log_format, quiet, debug) as console:
        options = _options(project_dir, target, variables, profiles_dir)
        if groups is None:
            _only_with_groups(where=where, sort=sort, limit=limit)
            workspace = open_workspace(
                options, select=select or (), exclude=exclude or (), may_be_empty=True, whole=False
            )
            console.warn(workspace.warnings)
            listings, unreadable = list_families(workspace)
            write_families(console, listings, output, output_keys, now=datetime.now(UTC))
            if unreadable:
                raise InputError(*unreadable)
        else:
            if select or exclude:
                raise typer.BadParameter("--select and --exclude choose families, --groups lists the groups of one")
            table = list_groups(open_workspace(options), groups, where=where, sort=sort, limit=limit)
            write_groups(console, table, output, output_keys)


def _only_with_groups(**given: object) -> None:
    for name, value in given.items():
        if value is not None:
            raise typer.BadParameter(f"--{name} goes with --groups FAMILY")


@app.command()
def show(
    family: Annotated[str, typer.Argument(help="Name of the family.")],
    group: Annotated[
        list[str] | None, typer.Option("--group", help="A group's key: COLUMN=VALUE, once per column.")
    ] = None,
    output: Annotated[ShowOutput, typer.Option("--output", "-o", help="What to write.")] = ShowOutput.TEXT,
    project_dir: ProjectDir = None,
    target: Target = None,
    variables: Vars = "",
    profiles_dir: ProfilesDir = None,
    log_format: Log = LogFormat.TEXT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show a family: its definition and where each value is written, its versions; or one group's outcome."""
    from modelfactory.cli.listing import write_details, write_group
    from modelfactory.commands.inspect import show_family, show_group
    from modelfactory.commands.workspace import open_workspace

    with _console(log_format, quiet, debug) as console:
        workspace = open_workspace(_options(project_dir, target, variables, profiles_dir))
        as_json = output == ShowOutput.JSON
        if group:
            write_group(console, show_group(workspace, family, group), as_json=as_json)
        else:
            write_details(console, show_family(workspace, family), as_json=as_json, now=datetime.now(UTC))


add_formatting(app, _console)
