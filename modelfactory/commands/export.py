"""`mf export`: write the models of a family for other tools; nothing is trained, and Spark is not started."""

from __future__ import annotations

import importlib.util
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from modelfactory.commands.outputs import check_free, replaced
from modelfactory.commands.project_options import ProjectOptions
from modelfactory.commands.report import ExportResult, Reporter
from modelfactory.commands.selecting import Choice
from modelfactory.commands.workspace import Workspace, open_workspace
from modelfactory.diagnostics import Code, counted, input_error, warning
from modelfactory.plan.outcomes import GLOBAL

if TYPE_CHECKING:
    from modelfactory.exporting.exported import Exported
    from modelfactory.serving.stores import Family

Format = Literal["mlflow", "onnx", "joblib", "sql"]
EXTRAS: Mapping[str, str] = {"mlflow": "mlflow", "onnx": "skl2onnx"}
"""Formats that need an extra of the same name, and the module that tells whether it is installed."""
_MARKS = ("MLmodel", "index.parquet", "score.sql")
"""Files by which a folder is known to be an export."""
_MOST_REASONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporting:
    """What to export.

    Attributes:
        family: name of the family.
        version: number of its version; None for the current one.
        format: what to write.
        output: path of the folder or file.
        overwrite: whether what is there may be replaced.
        fallback: whether what stands in for groups without a model is exported too.
        allow_version_mismatch: load models of another scikit-learn than the installed one.
    """

    family: str
    version: int | None = None
    format: Format
    output: str
    overwrite: bool = False
    fallback: bool = True
    allow_version_mismatch: bool = False


def export_family(options: ProjectOptions, reporter: Reporter, wanted: Exporting) -> ExportResult:
    """Export a version of a family.

    Args:
        options: where the project is and how to read it.
        reporter: hears what happens.
        wanted: what to export.

    Raises:
        InputError: a package is missing, the output exists, the family was never built, or the format cannot hold any
            of its models; what was at the output before is still there.
    """
    began = time.monotonic()
    _check_output(wanted)
    _check_installed(wanted.format)
    workspace = open_workspace(options, Choice(only=[wanted.family]), may_be_empty=True, whole=False)
    reporter.opened(workspace)
    from modelfactory.commands.published import published_family

    family = published_family(
        workspace, wanted.family, wanted.version, allow_version_mismatch=wanted.allow_version_mismatch
    )
    with replaced(Path(wanted.output).absolute(), secrets.token_hex(3)) as draft:
        exported = _written(workspace, family, draft, wanted)
        if exported.refused:
            _tell_refused(reporter, exported, wanted)
        if exported.global_refused is not None:
            message = f"the model of all rows cannot be written as {wanted.format}: {exported.global_refused}"
            reporter.warn([warning(Code.NOT_EXPORTED, message)])
        _check_output(wanted)
    result = ExportResult(
        family=wanted.family,
        version=family.number,
        format=wanted.format,
        output=wanted.output,
        exported=exported.exported,
        without_model=exported.without_model,
        refused=sum(exported.refused.values()),
        seconds=time.monotonic() - began,
    )
    reporter.export_finished(result)
    return result


def _check_output(wanted: Exporting) -> None:
    if "://" in wanted.output:
        raise input_error(
            Code.BAD_OPTION, f"--output {wanted.output} is a URL", help="write the path of a local folder"
        )
    if not wanted.overwrite:
        check_free(wanted.output, help="--mode overwrite replaces it")
    folder = Path(wanted.output)
    if folder.is_dir() and any(folder.iterdir()) and not any((folder / mark).is_file() for mark in _MARKS):
        raise input_error(
            Code.BAD_OPTION,
            f"--output {wanted.output} is a folder that no export has written, and stays as it is",
            help="name another, or one that is empty",
        )


def _check_installed(format: Format) -> None:
    if format in EXTRAS and importlib.util.find_spec(EXTRAS[format]) is None:
        message = f"--format {format} needs {EXTRAS[format]}, which is not installed"
        raise input_error(Code.NO_PACKAGE, message, help=f"pip install 'modelfactory-spark[{format}]'")


def _written(workspace: Workspace, family: Family, draft: Path, wanted: Exporting) -> Exported:
    """Write the models.

    Raises:
        InputError: the format cannot hold them, or they may not be loaded.
    """
    stands_in = wanted.fallback
    if wanted.format in ("onnx", "joblib"):  # of models alone, those of another family are exported with that
        stands_in = stands_in and family.record.definition.get("fallback") == GLOBAL
    chain = family.chain(fallback=stands_in)
    match wanted.format:
        case "mlflow":
            from modelfactory.exporting.mlflow_model import write_mlflow

            return write_mlflow(
                chain,
                draft,
                packages=workspace.project.spec.estimator_packages,
                fallback=wanted.fallback,
                allow_version_mismatch=wanted.allow_version_mismatch,
            )
        case "onnx":
            from modelfactory.exporting.onnx_files import write_onnx

            return write_onnx(chain, draft)
        case "joblib":
            from modelfactory.exporting.joblib_file import write_joblib

            return write_joblib(chain, draft)
        case "sql":
            from modelfactory.exporting.sql_files import write_sql

            return write_sql(chain, draft)


def _tell_refused(reporter: Reporter, exported: Exported, wanted: Exporting) -> None:
    """Tell why models cannot be written.

    Raises:
        InputError: none could be.
    """
    most = sorted(exported.refused.items(), key=lambda item: -item[1])
    if not exported.exported:
        message = f"no model of family `{wanted.family}` can be written as {wanted.format}: {most[0][0]}"
        raise input_error(Code.NOT_EXPORTED, message, help="`--format joblib` and `--format mlflow` hold any model")
    told = [
        warning(Code.NOT_EXPORTED, f"{counted(groups, 'model')} cannot be written as {wanted.format}: {reason}")
        for reason, groups in most[:_MOST_REASONS]
    ]
    reporter.warn(told)
