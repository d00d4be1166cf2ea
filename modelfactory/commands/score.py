"""`mf score`: start Spark, read a table, and write it with an answer for every row."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from modelfactory.commands.interrupt import run_interruptibly
from modelfactory.commands.launching import launched
from modelfactory.commands.outputs import check_apart, check_free, check_scored, replaced
from modelfactory.commands.project_options import ProjectOptions
from modelfactory.commands.report import Reporter, ScoreResult
from modelfactory.commands.selecting import Choice
from modelfactory.commands.workspace import Workspace
from modelfactory.diagnostics import BuildFailed, Code, Diagnostic, did_you_mean, input_error
from modelfactory.plan.compiler import source_read
from modelfactory.plan.steps import SourceRead
from modelfactory.project.variables import hide_environment

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from modelfactory.serving.chain import Chain
    from modelfactory.serving.stores import Family
    from modelfactory.spark.scoring import Counts

FORMATS = {"parquet": "parquet", "csv": "csv", "json": "json", "jsonl": "json", "orc": "orc", "avro": "avro"}
"""Formats of files by how their names end."""
CSV_OPTIONS = {"header": "true", "inferSchema": "true"}
"""How a CSV file is read that is no declared source."""
_FORMAT_HELP = "--input-format and --input-option say how it is to be read"
_BATCH_ROWS = 1 << 16
Mode = Literal["error", "overwrite", "append"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """What to score.

    Attributes:
        family: name of the family.
        version: number of its version; None for the current one.
        input: a declared source, a path, a URL, or a table of the catalog.
        input_format: format of a path or URL; None to see it by its name.
        input_options: options of Spark's reader for it.
        where: Spark SQL predicate on the rows of the input.
        output: path or URL.
        output_format: its format; None to see it by its name, `parquet` otherwise.
        mode: what becomes of what is at the output.
        fallback: whether other families stand in where a group has no model.
        allow_version_mismatch: load models of another scikit-learn than the installed one.
    """

    family: str
    version: int | None = None
    input: str
    input_format: str | None = None
    input_options: Mapping[str, str] = field(default_factory=dict)
    where: str | None = None
    output: str
    output_format: str | None = None
    mode: Mode = "error"
    fallback: bool = True
    allow_version_mismatch: bool = False


def score_table(options: ProjectOptions, reporter: Reporter, wanted: Scoring) -> ScoreResult:
    """Score a table by the models of a family, and write every row of it once, with its answer.

    Args:
        options: where the project is and how to read it.
        reporter: hears what happens.
        wanted: what to score.

    Raises:
        InputError: the family was never built, its models may not be loaded, or the input does not fit them; nothing
            was written.
        BuildFailed: the Spark job failed, or rows are missing; what was at the output before is still there, unless it
            is a URL.
    """
    began = time.monotonic()
    output = _output_format(wanted)
    given: list[_Input] = []
    opened: list[Family] = []

    def ready(workspace: Workspace) -> None:
        given.append(_input_of(workspace, wanted))
        _check_input(given[0], workspace, wanted)
        _check_output(wanted, given[0], workspace)
        from modelfactory.commands.published import published_family

        mismatch = wanted.allow_version_mismatch
        opened.append(published_family(workspace, wanted.family, wanted.version, allow_version_mismatch=mismatch))
        opened[0].chain(fallback=wanted.fallback)

    choice = Choice(only=[wanted.family])
    with launched(options, reporter, choice, ready=ready, reads=[wanted.input]) as launch:
        (source,), (family,) = given, opened
        spark, workspace = launch.spark, launch.workspace
        job = f"{launch.run.run_id}/score"

        def report(rows: int) -> None:
            reporter.scoring_progress(wanted.family, rows)

        def score() -> Counts:
            from modelfactory.spark.scoring import Output, write_scored

            chain = family.chain(fallback=wanted.fallback)
            _settle(spark, chain)
            rows = _rows(spark, source, workspace, wanted)
            reporter.scoring_started(wanted.family, family.number, wanted.input)
            with _written(wanted, source, launch.run.run_id, workspace) as url:
                return write_scored(
                    rows,
                    lambda given: family.score(given, fallback=wanted.fallback),
                    Output(url, output, wanted.mode),
                    servers=chain.servers,
                    reasons=chain.reasons,
                    job=job,
                    report=report,
                )

        counts = _run(spark, score, lambda said: hide_environment(said, " ".join(source.read.texts), workspace.environ))
    if counts.read != counts.written:
        message = f"{counts.read:,} rows were read and {counts.written:,} written"
        raise BuildFailed(Diagnostic(code=Code.ACCOUNTING, message=message))
    result = ScoreResult(
        family=wanted.family,
        version=family.number,
        output=wanted.output,
        rows=counts.written,
        served_by=counts.served_by,
        reasons=counts.reasons,
        seconds=time.monotonic() - began,
    )
    reporter.scoring_finished(result)
    return result


def _run(spark: SparkSession, score: Callable[[], Counts], hidden: Callable[[str], str]) -> Counts:
    """Score so that Ctrl-C ends it.

    Args:
        spark: the session.
        score: does it.
        hidden: takes the values of the environment out of what Spark says.

    Raises:
        BuildFailed: the Spark job failed.
    """
    from modelfactory.spark.errors import SparkFailed
    from modelfactory.spark.session import cancel_jobs

    try:
        return run_interruptibly(lambda _: score(), cancel=lambda: cancel_jobs(spark))
    except SparkFailed as error:
        message = f"the Spark job that scores failed: {hidden(str(error))}"
        hint = "what Spark said is in target/logs/spark.log"
        raise BuildFailed(Diagnostic(code=Code.RUN_FAILED, message=message, help=hint)) from error


def _settle(spark: SparkSession, chain: Chain) -> None:
    """Give the session the settings that decide what rows mean, and larger batches where rows are numbers."""
    from modelfactory.spark.session import pin_settings

    pin_settings(spark)
    if all(feature.kind == "numeric" for feature in chain.features) and not chain.gives_probability:
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(_BATCH_ROWS))


def _rows(spark: SparkSession, source: _Input, workspace: Workspace, wanted: Scoring) -> DataFrame:
    """Open the input.

    Raises:
        InputError: it is not there, cannot be read, or the predicate cannot be.
    """
    from modelfactory.spark.errors import SPARK_ERRORS, reason
    from modelfactory.spark.inputs import Finding, analysed, read_source

    found = read_source(spark, source.read, root=source.root, environ=workspace.environ)
    if isinstance(found, Finding):
        near = (
            did_you_mean(wanted.input, list(workspace.project.sources))
            if source.read.table is not None
            else _FORMAT_HELP
        )
        raise input_error(
            found.code, f"Spark cannot read --input {wanted.input}: {found.message}", help=found.help or near
        )
    if wanted.where is None:
        return found
    try:
        return analysed(found.where(wanted.where))
    except SPARK_ERRORS as error:
        raise input_error(Code.SPARK_SQL, f"--where: {reason(error)}") from error


@dataclass(frozen=True, slots=True)
class _Input:
    """What is read.

    Attributes:
        read: how Spark reads it.
        root: where a relative path begins.
    """

    read: SourceRead
    root: Path

    @property
    def local(self) -> Path | None:
        """The path, if it is one on this machine."""
        path = self.read.path
        return None if path is None or "://" in path or "${env:" in path else self.root / path


def _input_of(workspace: Workspace, wanted: Scoring) -> _Input:
    """Return what is read.

    Raises:
        InputError: an option is given that goes with a path only.
    """
    declared = workspace.project.sources.get(wanted.input)
    if declared is not None:
        if wanted.input_format or wanted.input_options:
            raise input_error(Code.BAD_OPTION, f"`{wanted.input}` is a declared source, whose format and options stand")
        return _Input(source_read(declared.spec), workspace.project.root)
    kind = wanted.input_format or format_of(wanted.input)
    path = wanted.input if kind or _looks_like_a_path(wanted.input) else None
    options = {**(CSV_OPTIONS if kind == "csv" else {}), **wanted.input_options}
    read = SourceRead(
        name="input",
        path=path,
        table=None if path is not None else wanted.input,
        format=kind or "parquet",
        options=tuple(sorted(options.items())),
        columns=(),
    )
    return _Input(read, Path.cwd())


def format_of(name: str) -> str | None:
    """Return the format that a file's name tells, compressed or not; None if it tells none."""
    found = re.search(r"\.([a-z]+)(?:\.(?:gz|bz2|zst|snappy))?/?$", name.lower())
    return FORMATS.get(found[1]) if found else None


def _check_input(source: _Input, workspace: Workspace, wanted: Scoring) -> None:
    """See that a path is there, before Spark is waited for.

    Raises:
        InputError: it is not.
    """
    path = source.local
    if path is not None and not re.search(r"[*?\[{]", str(source.read.path)) and not path.exists():
        hint = did_you_mean(wanted.input, list(workspace.project.sources))
        raise input_error(Code.MISSING_PATH, f"--input {wanted.input} does not exist", help=hint)


def _looks_like_a_path(name: str) -> bool:
    return "/" in name or Path(name).exists()


def _output_format(wanted: Scoring) -> str:
    """Return the format of the output.

    Raises:
        InputError: its name ends like that of a format which is not known.
    """
    found = wanted.output_format or format_of(wanted.output)
    ending = re.search(r"\.(xlsx?|tsv|txt|feather|arrow|pkl|pickle|h5|db|sqlite|zip)/?$", wanted.output, re.IGNORECASE)
    if found is None and ending is not None:
        known = ", ".join(sorted(set(FORMATS)))
        message = f"--output {wanted.output}: `.{ending[1]}` is no format to write"
        raise input_error(Code.BAD_OPTION, message, help=f"--output-format names one; endings that do: {known}")
    return found or "parquet"


def _check_output(wanted: Scoring, source: _Input, workspace: Workspace) -> None:
    """See that the output may be written, before Spark is waited for.

    Raises:
        InputError: something is there that is not to go.
    """
    if "://" in wanted.output:
        return
    if wanted.mode == "error":
        check_free(wanted.output, help="--mode overwrite replaces it, --mode append adds to it")
    if wanted.mode == "overwrite":
        check_apart(wanted.output, workspace)
        check_scored(wanted.output, source.local)


@contextmanager
def _written(wanted: Scoring, source: _Input, run_id: str, workspace: Workspace) -> Iterator[str]:
    """Give the block a place to write to, and put what is there in the output's place once the block is done.

    Spark would remove what was there before it writes; and a job that fails would leave neither.
    """
    if "://" in wanted.output:
        yield wanted.output
        return
    place = Path(wanted.output).resolve()
    if wanted.mode == "append":
        yield f"file://{place}"
        return
    with replaced(place, run_id) as draft:
        yield f"file://{draft}"  # Spark takes what an URL escapes as it is written
        _check_output(wanted, source, workspace)
