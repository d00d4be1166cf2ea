"""`mf init`: a small project that builds at once, with data."""

from __future__ import annotations

import shutil
from pathlib import Path

from modelfactory.diagnostics import Code, input_error

STARTER = Path(__file__).parent.parent / "starter"


def init_project(folder: Path) -> tuple[Path, ...]:
    """Write the starter project into a folder that is missing or empty.

    Returns:
        The files that were written, relative to the folder.

    Raises:
        InputError: the folder holds something already, or cannot be written.
    """
    try:
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            raise input_error(
                Code.BAD_OPTION,
                f"`{folder}` is not an empty folder",
                help="name a folder that does not exist yet",
            )
        shutil.copytree(STARTER, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    except OSError as error:
        raise input_error(Code.BAD_OPTION, f"cannot write to `{folder}`: {error.strerror}") from error
    return tuple(sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file()))
