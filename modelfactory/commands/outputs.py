"""Write what a user asks for beside its place, and put it there once it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
