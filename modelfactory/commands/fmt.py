"""`mf fmt`: which files of which projects are formatted, and what becomes of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelfactory.diagnostics import Code, Diagnostic, InputError, input_error, warning
from modelfactory.project.files import (
    SUFFIXES,
    absolute,
    check_paths,
    find_definition_files,
    find_project_file,
    find_projects,
    read_document,
)
from modelfactory.project.formatting import PROFILES, SELECTORS, format_text, holds_secrets, order_of
from modelfactory.project.layout import CannotFormat
from modelfactory.project.specs import ProjectSpec
from modelfactory.project.variables import substitute
from modelfactory.store.local import replace_file


@dataclass(frozen=True, slots=True)
class Formatted:
    """A file and its canonical form.

    Attributes:
        file: absolute path.
        name: the path as the user knows it.
        before: the text as it is, with its own line ends.
        after: the canonical form.
        secret: the text may hold secrets, so none of its lines is ever shown.
    """

    file: Path
    name: str
    before: str
    after: str
    secret: bool

    @property
    def changed(self) -> bool:
        """Whether the file is not in its canonical form."""
        return self.before != self.after

    def diff(self) -> str:
        """Return what would change as a unified diff, or a sentence where that may not be shown."""
        if self.secret:
            return f"{self.name} would change; its lines are not shown\n"
        lines = difflib.unified_diff(
            self.before.splitlines(keepends=True), self.after.splitlines(keepends=True), self.name, self.name
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def write(self) -> None:
        """Put the canonical form in the place of the file, in one step."""
        file = self.file.resolve()  # what a link points to
        replace_file(file, self.after, mode=file.stat().st_mode)


@dataclass(slots=True)
class Formatting:
    """What came of the files.

    Attributes:
        files: those that could be formatted, sorted by path.
        mistakes: what is wrong with the others.
        warnings: files that are left as they are, and why.
        strangers: paths that belong to no project.
    """

    files: list[Formatted] = field(default_factory=list)
    mistakes: list[Diagnostic] = field(default_factory=list)
    warnings: list[Diagnostic] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    @property
    def changed(self) -> list[Formatted]:
        """The files that are not in their canonical form."""
        return [file for file in self.files if file.changed]


def format_project(project_dir: Path | None, environ: Mapping[str, str]) -> Formatting:
    """Format all files of a project; nothing is written yet.

    Args:
        project_dir: folder of the project; here or the nearest parent if None.
        environ: the environment, for a project that names its folders by it.

    Raises:
        InputError: there is no project, or its project file is not valid.
    """
    project_file = find_project_file(project_dir or Path.cwd(), search_parents=project_dir is None)
    result = Formatting()
    for file in project_files(project_file, environ):
        _format(file, project_file.parent, project_file.parent, result)
    return result


def format_paths(paths: Sequence[Path], project_dir: Path | None, environ: Mapping[str, str]) -> Formatting:
    """Format the project files among some files, and those in and below some folders; nothing is written yet.

    Args:
        paths: files and folders.
        project_dir: take the files of this project only.
        environ: the environment, for a project that names its folders by it.

    Raises:
        InputError: a path does not exist.
    """
    check_paths(paths)
    result = Formatting()
    known: dict[Path, frozenset[Path]] = {}
    chosen: dict[Path, Path] = {}
    for path in map(absolute, paths):
        found: dict[Path, Path] = {}
        for root in [absolute(project_dir)] if project_dir else find_projects([path]):
            if root not in known:
                known[root] = frozenset()
                try:
                    known[root] = frozenset(project_files(find_project_file(root, search_parents=False), environ))
                except InputError as error:
                    result.mistakes += error.diagnostics
            found |= {file: root for file in known[root] if file.is_relative_to(path)}
        if not found and path.is_file():
            result.strangers.append(_name(path))
        chosen |= found
    for file, root in sorted(chosen.items()):
        _format(file, root, Path.cwd(), result)
    return result


def project_files(project_file: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files of a project that are formatted: its own, its definitions, its profiles and selectors.

    Raises:
        InputError: the project file cannot be read.
    """
    root = project_file.parent
    document = read_document(project_file, root)
    declared = document.data.get("vars")
    values, _ = substitute(document.data, declared if isinstance(declared, dict) else {}, environ)
    files = {project_file: None}
    for key in ("source_paths", "family_paths"):
        for folder in _folders(values, key):
            files |= dict.fromkeys(map(absolute, find_definition_files(root / folder)))
    for stem in (SELECTORS, PROFILES):
        files |= dict.fromkeys(root / f"{stem}{suffix}" for suffix in SUFFIXES if (root / f"{stem}{suffix}").is_file())
    yield from sorted(files)


def _folders(values: Mapping[str, Any], key: str) -> list[str]:
    given = values.get(key, ProjectSpec.model_fields[key].default)
    given = [given] if isinstance(given, str) else given
    return [folder for folder in given if isinstance(folder, str)] if isinstance(given, list | tuple) else []


def _format(file: Path, root: Path, base: Path, result: Formatting) -> None:
    """Add the canonical form of a file to the result, or say why there is none.

    Args:
        file: a file of a project.
        root: the project's folder.
        base: the folder that names are relative to.
        result: where to add it.
    """
    secret = holds_secrets(file, root)
    try:
        document = read_document(file, base, secret=secret)
    except InputError as error:
        result.mistakes += error.diagnostics
        return
    try:
        before = file.read_bytes().decode()
    except OSError as error:
        raise input_error(Code.UNREADABLE, f"cannot read the file: {error.strerror}", file=document.name) from error
    try:
        after = format_text(document.text, file.suffix, order_of(file, root))
    except CannotFormat as reason:
        result.warnings.append(warning(Code.CANNOT_FORMAT, f"the file is left as it is: {reason}", file=document.name))
        after = before
    result.files.append(Formatted(file, document.name, before, after, secret))


def _name(file: Path) -> str:
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)
