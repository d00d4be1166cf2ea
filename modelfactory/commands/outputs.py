"""Write what a user asks for beside its place, and put it there once it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelfactory.commands.workspace import Workspace
from modelfactory.diagnostics import Code, input_error


def check_free(output: str, *, help: str) -> None:
    """See that nothing is at an output.

    Args:
        output: a path as the user has written it.
        help: what would make it right.

    Raises:
        InputError: something is there.
    """
    if Path(output).exists():
        raise input_error(Code.BAD_OPTION, f"--output {output} exists", help=help)


def check_apart(output: str, workspace: Workspace) -> None:
    """See that an output that is to be replaced takes nothing of the project with it.

    Args:
        output: a path as the user has written it.
        workspace: the project.

    Raises:
        InputError: the project, its store, a family's folder there or the working directory is at the output, or in it.
    """
    place = Path(output).resolve()
    store, kept = workspace.store.root, [workspace.project.root, Path.cwd()]
    if isinstance(store, Path):
        kept += [store, *(store / name for name in workspace.store.place.folders(""))]
    for folder in kept:
        if folder.resolve().is_relative_to(place):
            message = f"--output {output} would take the place of {folder}, with all that is there"
            raise input_error(Code.BAD_OPTION, message, help="name a folder that is not there yet")


def check_scored(output: str, source: Path | None) -> None:
    """See that what is to be replaced is what an earlier `mf score` has written, and not what is read.

    Args:
        output: a path as the user has written it.
        source: the path that is read, if it is one on this machine.

    Raises:
        InputError: something else is there.
    """
    place = Path(output)
    if source is not None and place.resolve() == source.resolve():
        raise input_error(Code.BAD_OPTION, f"--output {output} is what is read", help="write beside it")
    if not place.exists():
        return
    written = place.is_dir() and ((place / "_SUCCESS").exists() or not any(place.iterdir()))
    if not written:
        message = f"--output {output} holds something that no `mf score` has written"
        raise input_error(Code.BAD_OPTION, message, help="move it away, or name another folder")


@contextmanager
def replaced(place: Path, name: str) -> Iterator[Path]:
    """Give the block a place to write a file or a folder to, and put it in its own place once the block is done.

    What was there before stays until then, and for good if the block raises.

    Args:
        place: absolute path; the folder above it is made.
        name: tells this run from others.
    """
    draft, former = (place.with_name(f".{place.name}.{name}{end}") for end in ("", ".former"))
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield draft
        if place.exists():
            place.rename(former)
        draft.rename(place)
    finally:
        if former.exists() and not place.exists():  # the work failed between, or was interrupted
            former.rename(place)
        for left in (draft, former):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
