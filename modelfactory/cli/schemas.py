"""The command that describes the project files to editors: schema."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from modelfactory.cli.running import Invocation, command


class SchemaName(StrEnum):
    """The kinds of project files."""

    PROJECT = "project"
    PROFILES = "profiles"
    SOURCES = "sources"
    FAMILIES = "families"
    DEFAULTS = "defaults"


def register(app: typer.Typer) -> None:
    """Make these functions commands of an app."""
    command(app, project=False, panel="Write and check")(schema)


def schema(
    call: Invocation,
    name: Annotated[SchemaName | None, typer.Argument(help="The kind of file; all if not given.")] = None,
    write: Annotated[
        Path | None, typer.Option("--write", metavar="DIR", help="Write DIR/<name>.schema.json instead.")
    ] = None,
) -> None:
    """Print JSON Schemas of the project files, with the parameters of scikit-learn's classes, for editors."""
    from modelfactory.commands.schema import installed_schemas, schema_text, write_schemas
    from modelfactory.project.schemas import one_schema

    documents = installed_schemas(os.environ)
    wanted = documents if name is None else {str(name): documents[name]}
    if write is not None:
        for file in write_schemas(wanted, write):
            call.console.note(f"wrote {file}")
    else:
        call.console.data(schema_text(one_schema(documents) if name is None else documents[name]))
