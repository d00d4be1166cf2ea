"""Read the schemas of sources without Spark, where their data are local files that say what they hold."""

from __future__ import annotations

import csv
import dataclasses
import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from modelfactory.commands.parquet import parquet_columns
from modelfactory.diagnostics import Code, Diagnostic, Severity, nearest
from modelfactory.plan.columns import Schema
from modelfactory.project.loading import Project, Source
from modelfactory.project.variables import as_text, resolve_environment

_PARQUET_OPTIONS = frozenset({"compression", "datetimerebasemode", "int96rebasemode"})
_CSV_OPTIONS = frozenset(
    {"header", "sep", "delimiter", "inferschema", "quote", "nullvalue", "nanvalue", "dateformat", "timestampformat"}
    | {"mode", "encoding", "charset", "locale", "samplingratio"}
)
"""Options with which the columns of a file are still those that it names; in lower case, as Spark takes any."""
_SETTINGS = re.compile(r"spark\.sql\.(?:parquet|files|sources|csv)\..*|spark\.sql\.(?:caseSensitive|timestampType)")
"""Settings of Spark that change what it reads."""


def read_schemas(project: Project, sources: Iterable[str], environ: Mapping[str, str]) -> dict[str, Schema]:
    """Return the schemas of sources, as far as they can be read; others are left out.

    A Parquet file is read by its footer, and a CSV file with `header: true` by its first line; of a folder the first
    file, as Spark does.

    Args:
        project: the project.
        sources: names of the sources.
        environ: values of `${env:…}` in paths and options.
    """
    if any(_SETTINGS.fullmatch(name) for name in project.target.conf):
        return {}
    found = {name: _schema(project, project.sources[name], environ) for name in sources}
    return {name: schema for name, schema in found.items() if schema is not None}


def missing_paths(project: Project, sources: Iterable[str], environ: Mapping[str, str]) -> list[Diagnostic]:
    """Warn of local paths that do not exist beside others that do; where there is no data at all, none is expected."""
    found = []
    for name in sources:
        source = project.sources[name]
        place = _local_place(project, source, environ)
        if place is None or glob.has_magic(str(place)) or place.exists() or not place.parent.is_dir():
            continue
        beside = sorted(entry.name for entry in place.parent.iterdir())
        near = nearest(place.name, beside)
        if near is None and not any(Path(other).suffix == place.suffix != "" for other in beside):
            continue
        written = source.spec.path or ""
        hint = None
        if near is not None and "${" not in written:
            hint = f"did you mean `{written.removesuffix(place.name)}{near}`?"
        wrong = source.diagnostic(Code.MISSING_PATH, f"`{written}` does not exist", ("path",), help=hint)
        found.append(dataclasses.replace(wrong, severity=Severity.WARNING))
    return found


def _local_place(project: Project, source: Source, environ: Mapping[str, str]) -> Path | None:
    """Return the path of a source, relative to nothing, if it is one on this machine."""
    if source.spec.path is None:
        return None
    path = resolve_environment(source.spec.path, environ)
    return None if "://" in path or path.startswith("file:") else project.root / path


def _schema(project: Project, source: Source, environ: Mapping[str, str]) -> Schema | None:
    place = _local_place(project, source, environ)
    kind = resolve_environment(source.spec.format, environ).lower()
    options = {key.lower(): resolve_environment(as_text(v), environ) for key, v in source.spec.options.items()}
    if place is None or kind not in ("parquet", "csv"):
        return None
    try:
        file = _first_file(place)
        if file is None:
            return None
        if kind == "csv":
            types = _csv_columns(file, options) if options.keys() <= _CSV_OPTIONS else None
        else:
            types = parquet_columns(file) if options.keys() <= _PARQUET_OPTIONS else None
    except (OSError, ValueError):  # Spark will say what is wrong with the file
        return None
    if types is None:
        return None
    return Schema({**types, **dict.fromkeys(_partitions(file, project.root))}, complete=True)


def _first_file(place: Path) -> Path | None:
    """Return the file by which Spark knows the columns: the first by name."""
    for found in sorted(glob.iglob(str(place))) if glob.has_magic(str(place)) else [str(place)]:  # noqa: PTH207
        file = next(_files(Path(found)), None)
        if file is not None:
            return file
    return None


def _files(place: Path) -> Iterator[Path]:
    """Yield the files at and below a place in the order of their paths; those with `_` or `.` in front are hidden."""
    if place.is_file():
        yield place
        return
    with os.scandir(place) as entries:
        beside = sorted(entries, key=lambda entry: entry.name + ("/" if entry.is_dir() else ""))
    for name in ("_common_metadata", "_metadata"):
        yield from (Path(entry.path) for entry in beside if entry.name == name)
    for entry in beside:
        if entry.is_dir() and (not entry.name.startswith(("_", ".")) or "=" in entry.name):
            yield from _files(Path(entry.path))
        elif entry.is_file() and not entry.name.startswith(("_", ".")):
            yield Path(entry.path)


def _partitions(file: Path, root: Path) -> list[str]:
    """Return the columns that are folders: `year` of `year=2020`."""
    parts = file.relative_to(root).parts if file.is_relative_to(root) else file.parts
    return [part.partition("=")[0] for part in parts[:-1] if "=" in part]


def _csv_columns(file: Path, options: Mapping[str, str]) -> dict[str, str | None] | None:
    """Return the columns that the first line of a CSV file names, if it does."""
    encoding = options.get("encoding", options.get("charset", "utf-8")).lower()
    separator = options.get("sep", options.get("delimiter", ",")).replace("\\t", "\t")
    quote = options.get("quote", '"')
    if options.get("header", "false").lower() != "true" or encoding not in ("utf-8", "utf8"):
        return None
    if len(separator) != 1 or len(quote) != 1 or file.suffix in (".gz", ".bz2", ".zst", ".lz4", ".snappy", ".deflate"):
        return None
    with file.open(encoding="utf-8-sig", newline="") as lines:
        head = next((line for line in lines if line.strip()), "")
    names = next(csv.reader([head], delimiter=separator, quotechar=quote), [])
    folded = [name.lower() for name in names]
    kind = None if options.get("inferschema", "false").lower() == "true" else "string"
    return {_safe(name, i, twice=folded.count(folded[i]) > 1): kind for i, name in enumerate(names)} or None


def _safe(name: str, index: int, *, twice: bool) -> str:
    """Name a column as Spark does, which makes up names for those without one, and tells apart those of one name."""
    return f"_c{index}" if not name else f"{name}{index}" if twice else name
