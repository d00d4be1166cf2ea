"""`mf init`: a small project that builds at once, with data and schemas for editors."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from modelfactory.commands.schema import installed_schemas, write_schemas
from modelfactory.diagnostics import Code, input_error

STARTER = Path(__file__).parent.parent / "starter"
SCHEMA_FOLDER = ".mf/schemas"
"""Where the starter's settings of editors look for schemas."""


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


def add_schemas(folder: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Write the schemas of the installed scikit-learn into a project.

    Args:
        folder: the project.
        environ: the environment, for the cache of what is known of the classes.

    Returns:
        The files that were written, relative to the folder.

    Raises:
        InputError: scikit-learn's classes cannot be asked, or a file cannot be written.
    """
    files = write_schemas(installed_schemas(environ), folder / SCHEMA_FOLDER)
    return tuple(file.relative_to(folder) for file in files)
