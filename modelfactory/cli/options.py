"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

PROJECT = "Project"


class LogFormat(StrEnum):
    """How progress and diagnostics are written to stderr."""

    TEXT = "text"
    JSON = "json"


class DiagnosticsFormat(StrEnum):
    """How diagnostics are written."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"


class Output(StrEnum):
    """What `mf ls` writes."""

    TABLE = "table"
    JSON = "json"
    NAME = "name"
    PATH = "path"
    SELECTOR = "selector"
    CSV = "csv"


class PlanOutput(StrEnum):
    """What `mf plan` writes."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


class ReviewOutput(StrEnum):
    """What `mf diff` writes."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"
    GITHUB = "github"


class ShowOutput(StrEnum):
    """What `mf show` writes."""

    TEXT = "text"
    JSON = "json"


class ScoreMode(StrEnum):
    """What `mf score` does with what is at the output."""

    ERROR = "error"
    OVERWRITE = "overwrite"
    APPEND = "append"


class ExportFormat(StrEnum):
    """What `mf export` writes."""

    MLFLOW = "mlflow"
    ONNX = "onnx"
    JOBLIB = "joblib"
    SQL = "sql"


class ExportMode(StrEnum):
    """What `mf export` does with what is at the output."""

    ERROR = "error"
    OVERWRITE = "overwrite"


Paths = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[PATHS]...", help="Files and folders of projects; by default the whole project."),
]
FamilyName = Annotated[str, typer.Argument(help="Name of the family.")]
VersionNumber = Annotated[
    int | None, typer.Option("--version", help="Number of the version; by default the current one.")
]
AllowVersionMismatch = Annotated[
    bool, typer.Option("--allow-version-mismatch", help="Load models that another scikit-learn has fitted.")
]
ProjectDir = Annotated[
    Path | None,
    typer.Option(
        "--project-dir",
        help="Project folder; by default here or the nearest parent.",
        rich_help_panel=PROJECT,
    ),
]
ProfilesDir = Annotated[
    Path | None,
    typer.Option(
        "--profiles-dir",
        help="Folder of profiles.yml; by default the project, then ~/.mf.",
        rich_help_panel=PROJECT,
    ),
]
Target = Annotated[
    str | None,
    typer.Option("--target", "-t", help="Target to use, an entry of profiles.yml.", rich_help_panel=PROJECT),
]
Vars = Annotated[
    str,
    typer.Option("--vars", help="Variables as a YAML mapping: '{min_rows: 30}'.", rich_help_panel=PROJECT),
]
Diagnostics = Annotated[
    DiagnosticsFormat,
    typer.Option(
        "--diagnostics",
        help="How to write errors and warnings; other than text as one document, of `parse` to stdout.",
        rich_help_panel=PROJECT,
    ),
]
WarnError = Annotated[bool, typer.Option("--warn-error", help="Take warnings for errors.", rich_help_panel=PROJECT)]
Log = Annotated[
    LogFormat,
    typer.Option(
        "--log-format", help="How to write to stderr: text, or one JSON object a line.", rich_help_panel=PROJECT
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Write errors only to stderr.", rich_help_panel=PROJECT)]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=PROJECT)]
OfCandidate = Annotated[
    bool, typer.Option("--candidate", help="Look at the version that a test or `max_failed` has held back.")
]
FullRefresh = Annotated[
    bool, typer.Option("--full-refresh", help="Train all groups again, whether their rows have changed or not.")
]
DetailedExitCode = Annotated[bool, typer.Option("--detailed-exitcode", help="Exit with 3 where there are changes.")]
Select = Annotated[
    list[str] | None,
    typer.Option(
        "--select",
        "-s",
        help="Families: NAME, tag:TAG, path:PATH, source:NAME+, state:modified …; a space is or, a comma is and.",
    ),
]
State = Annotated[
    str | None,
    typer.Option("--state", help="Git revision that state: compares with; by default what was published."),
]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", help="Families to leave out, as for --select.")]
Selector = Annotated[
    str | None,
    typer.Option("--selector", help="A selector of selectors.yml, in place of --select and --exclude."),
]
