"""Commands that use what is trained: score, export."""

from __future__ import annotations

from typing import Annotated

import typer

from modelfactory.cli.options import (
    AllowVersionMismatch,
    ExportFormat,
    ExportMode,
    FamilyName,
    ScoreMode,
    VersionNumber,
)
from modelfactory.cli.running import Invocation, command


def register(app: typer.Typer) -> None:
    """Make these functions commands of an app."""
    command(app, panel="Use the models")(score)
    command(app, panel="Use the models")(export)


def score(
    call: Invocation,
    family: FamilyName,
    rows: Annotated[
        str, typer.Option("--input", "-i", help="A declared source, a path, a URL, or a table of Spark's catalog.")
    ],
    output: Annotated[str, typer.Option("--output", "-o", help="Path or URL of the folder to write.")],
    version: VersionNumber = None,
    where: Annotated[
        str | None, typer.Option("--where", help="Spark SQL predicate: rows of the input that fail it are not scored.")
    ] = None,
    input_format: Annotated[
        str | None, typer.Option("--input-format", help="Format of a path; by default as its name ends, or parquet.")
    ] = None,
    input_option: Annotated[
        list[str] | None,
        typer.Option("--input-option", metavar="KEY=VALUE", help="Option of Spark's reader, such as sep=;."),
    ] = None,
    output_format: Annotated[
        str | None, typer.Option("--output-format", help="Format to write; by default as the name ends, or parquet.")
    ] = None,
    mode: Annotated[
        ScoreMode, typer.Option("--mode", help="What becomes of what is at the output already.")
    ] = ScoreMode.ERROR,
    fallback: Annotated[
        bool, typer.Option("--fallback/--no-fallback", help="Let others stand in where a group has no model.")
    ] = True,
    allow_version_mismatch: AllowVersionMismatch = False,
) -> None:
    """Predict every row of a table by the model of its group, and write it with who answered and why."""
    from modelfactory.commands.score import Scoring, score_table

    options = {}
    for text in input_option or ():
        key, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"--input-option {text}: write KEY=VALUE")
        options[key] = value
    wanted = Scoring(
        family=family,
        version=version,
        input=rows,
        input_format=input_format,
        input_options=options,
        where=where,
        output=output,
        output_format=output_format,
        mode=mode.value,
        fallback=fallback,
        allow_version_mismatch=allow_version_mismatch,
    )
    score_table(call.options, call.console, wanted)


def export(
    call: Invocation,
    family: FamilyName,
    form: Annotated[ExportFormat, typer.Option("--format", "-f", help="What to write.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Path of the folder, or of the file of joblib.")],
    version: VersionNumber = None,
    mode: Annotated[
        ExportMode, typer.Option("--mode", help="What becomes of what is at the output already.")
    ] = ExportMode.ERROR,
    fallback: Annotated[
        bool, typer.Option("--fallback/--no-fallback", help="Export what stands in where a group has no model, too.")
    ] = True,
    allow_version_mismatch: AllowVersionMismatch = False,
) -> None:
    """Write the models of a family for other tools: one MLflow model, ONNX files, a joblib file, or SQL."""
    from modelfactory.commands.export import Exporting, export_family

    wanted = Exporting(
        family=family,
        version=version,
        format=form.value,
        output=output,
        overwrite=mode == ExportMode.OVERWRITE,
        fallback=fallback,
        allow_version_mismatch=allow_version_mismatch,
    )
    export_family(call.options, call.console, wanted)
