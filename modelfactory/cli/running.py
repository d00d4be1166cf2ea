"""Run one command: its shared options, its console, and the way from an error to an exit code."""

from __future__ import annotations

import functools
import inspect
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import typer
from typer.core import TyperCommand

from modelfactory.cli.options import (
    Debug,
    Diagnostics,
    DiagnosticsFormat,
    Log,
    LogFormat,
    ProfilesDir,
    ProjectDir,
    Quiet,
    Target,
    Vars,
    WarnError,
)
from modelfactory.diagnostics import Code, MfError, input_error, nearest

if TYPE_CHECKING:
    from modelfactory.cli.console import Console
    from modelfactory.commands.project_options import ProjectOptions
    from modelfactory.commands.selecting import Choice

CHANGES = 3
"""Exit code of changes, where it is asked for."""
UsageError: Any = typer.BadParameter.__base__  # of Click, whether Typer brings its own or not


@dataclass(frozen=True)
class Invocation:
    """One call of a command.

    Attributes:
        console: where it writes.
        project_dir: folder of the project, if given.
        target: name of the target, if given.
        variables: the text of `--vars`.
        profiles_dir: folder of `profiles.yml`, if given.
    """

    console: Console
    project_dir: Path | None = None
    target: str | None = None
    variables: str = ""
    profiles_dir: Path | None = None

    @cached_property
    def options(self) -> ProjectOptions:
        """The options that say which project is meant and how to read it.

        Raises:
            InputError: `--vars` is not a mapping.
        """
        from modelfactory.commands.project_options import ProjectOptions
        from modelfactory.project.files import read_mapping

        return ProjectOptions(
            project_dir=self.project_dir,
            target=self.target,
            variables=read_mapping(self.variables, option="--vars") if self.variables else {},
            profiles_dir=self.profiles_dir,
            environ=os.environ,
        )


def choice_of(
    select: Sequence[str] | None, exclude: Sequence[str] | None, selector: str | None, state: str | None
) -> Choice:
    """Return the choice that the options of a command make; without any, the project's default selector counts."""
    from modelfactory.commands.selecting import Choice

    return Choice(select=select or (), exclude=exclude or (), selector=selector, by_default=True, state=state)


def command(
    app: typer.Typer, name: str | None = None, *, project: bool = True, panel: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command of `mf`: with the options that all commands share, in one place.

    The function takes an `Invocation`, then the arguments and options of its own.

    Args:
        app: what it becomes a command of.
        name: its name, if it is not the function's.
        project: whether it works on a project, and takes the options that name one.
        panel: heading under which `mf --help` lists it.
    """

    def registered(function: Callable[..., None]) -> Callable[..., None]:
        of_all = _parameters(_of_all)
        _, *own = _parameters(function)
        parameters = [*own, *(_parameters(_of_project) if project else ()), *of_all]

        def run(**given: Any) -> None:
            wanted = {p.name: given.pop(p.name) for p in own}
            console_options = {p.name: given.pop(p.name) for p in of_all}
            with _console(**console_options) as console:
                function(Invocation(console=console, **given), **wanted)

        run.__name__, run.__doc__ = function.__name__, function.__doc__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        app.command(name, cls=_Command, rich_help_panel=panel)(run)
        return run

    return registered


@functools.cache
def _parameters(function: Callable[..., None]) -> tuple[inspect.Parameter, ...]:
    """Return the parameters of a function with their annotations evaluated, as Typer needs them."""
    hints = get_type_hints(function, include_extras=True)
    return tuple(p.replace(annotation=hints[p.name]) for p in inspect.signature(function).parameters.values())


class _Command(TyperCommand):
    """A command that says which value of an option was probably meant."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words behind the command."""
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            error.message = _with_nearest(error.message.replace("Value error, ", ""))
            raise


def _with_nearest(message: str) -> str:
    found = re.search(r"'([^']*)' is not one of ('.*')", message)
    near = nearest(found[1], re.findall(r"'([^']*)'", found[2])) if found else None
    return message if near is None else f"{message} Did you mean '{near}'?"


def _of_project(
    project_dir: ProjectDir = None,
    target: Target = None,
    variables: Vars = "",
    profiles_dir: ProfilesDir = None,
) -> None:
    """Stand for the options that every command on a project has more than others."""


def _of_all(
    diagnostics: Diagnostics = DiagnosticsFormat.TEXT,
    warn_error: WarnError = False,
    log_format: Log = LogFormat.TEXT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Stand for the options of every command."""


@contextmanager
def _console(**options: Any) -> Iterator[Console]:
    """Give a command its console and turn errors into messages and exit codes, in this one place."""
    from modelfactory.cli.console import Console
    from modelfactory.cli.libraries import libraries_told_by

    console = Console(**options)
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
    except (typer.Exit, UsageError):
        raise
    except Exception as error:  # a fault of mf itself
        console.close()
        console.trace(error)
        if console.json:
            raise typer.Exit(1) from None
        raise
    finally:
        console.close()
        console.finish()
