"""`mf schema`: JSON Schemas of the project files, of the installed scikit-learn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from modelfactory import __version__
from modelfactory.commands.cache import cache_folder
from modelfactory.commands.catalog import learn_public_classes
from modelfactory.diagnostics import Code, input_error
from modelfactory.project.alternatives import Schema
from modelfactory.project.schemas import schemas


def installed_schemas(environ: Mapping[str, str]) -> dict[str, Schema]:
    """Return the JSON Schemas of the project files by name, with the classes of the installed scikit-learn.

    Args:
        environ: the environment, for the cache of what is known of the classes.

    Raises:
        InputError: scikit-learn's classes cannot be asked.
    """
    facts = learn_public_classes(cache_folder(environ))
    made_by = (
        f"written by `mf schema` of modelfactory {__version__} for scikit-learn {metadata.version('scikit-learn')}"
    )
    return schemas(facts, made_by)


def write_schemas(documents: Mapping[str, Schema], folder: Path) -> tuple[Path, ...]:
    """Write each schema to `NAME.schema.json` in a folder, which is made if it is missing.

    Returns:
        The files.

    Raises:
        InputError: a file cannot be written.
    """
    files = {folder / f"{name}.schema.json": schema_text(document) for name, document in documents.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise input_error(Code.BAD_OPTION, f"cannot write to `{folder}`: {error.strerror}") from error
    return tuple(files)


def schema_text(document: Schema) -> str:
    """Return a schema as text; the same schema is always the same bytes."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
