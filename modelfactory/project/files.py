"""Find and read project files; the only module that knows YAML and TOML.

Both give the same plain data: mappings, lists, text, numbers, true and false; a date is text.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Any

import yaml

from modelfactory.diagnostics import Code, Diagnostic, InputError, Place, Position, Related, input_error
from modelfactory.project.positions import KeyPath, locate
from modelfactory.project.yaml12 import DuplicateKey, YamlLoader

PROJECT_FILES = ("mf_project.yml", "mf_project.yaml", "mf_project.toml")
SUFFIXES = (".yml", ".yaml", ".toml")
FOLDER_DEFAULTS = "_defaults"
DEEPEST = 40
"""Levels of nesting a project file may have."""


@dataclass(frozen=True, slots=True)
class Document:
    """One file as it was read.

    Attributes:
        file: absolute path.
        name: the path as the user knows it, relative to the project where that is shorter.
        text: the whole text.
        data: the parsed mapping.
        secret: the text may hold secrets, so none of its lines is ever shown.
    """

    file: Path
    name: str
    text: str
    data: dict[str, Any]
    secret: bool = False

    def diagnostic(
        self,
        code: Code,
        message: str,
        path: KeyPath = (),
        *,
        key: bool = False,
        help: str | None = None,
        related: tuple[Related, ...] = (),
    ) -> Diagnostic:
        """Describe a mistake at `path`; `key` points at the key and not at its value."""
        return Diagnostic(code=code, message=message, place=self.place(path, key=key), help=help, related=related)

    def at(
        self,
        code: Code,
        message: str,
        position: Position | None,
        *,
        help: str | None = None,
        related: tuple[Related, ...] = (),
    ) -> Diagnostic:
        """Describe a mistake at a position."""
        return Diagnostic(code=code, message=message, place=self.place_at(position), help=help, related=related)

    def place(self, path: KeyPath = (), *, key: bool = False) -> Place:
        """Return the place of the value at `path`, or of its key."""
        return self.place_at(locate(self.text, self.file.suffix, path, key=key))

    def place_at(self, position: Position | None) -> Place:
        """Return a place with its line, unless that may hold secrets."""
        lines = self.text.split("\n")
        known = position is not None and position.line <= len(lines) and not self.secret
        line = lines[position.line - 1].rstrip("\r") if position is not None and known else None
        return Place(file=self.name, path=self.file, position=position, source_line=line)


def find_project_file(folder: Path, *, search_parents: bool) -> Path:
    """Return the project file of `folder`, or of its nearest parent that has one.

    Raises:
        InputError: there is no such folder, no project file, or there are two.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise input_error(Code.NO_PROJECT, f"project folder `{folder}` {what}")
    for candidate in (folder, *folder.parents) if search_parents else (folder,):
        found = _project_files(candidate)
        if len(found) > 1:
            names = " and ".join(f"`{path.name}`" for path in found)
            raise input_error(
                Code.TWO_PROJECT_FILES,
                f"two project files in `{candidate}`: {names}",
                help="keep one of them; a project may mix YAML and TOML in its other files",
            )
        if found:
            return found[0]
    raise input_error(
        Code.NO_PROJECT,
        f"no project file in `{folder}`" + (" or any folder above it" if search_parents else ""),
        help="`mf init DIR` makes a project; `--project-dir DIR` names one",
    )


def check_paths(paths: Iterable[Path]) -> None:
    """See that files and folders are there.

    Raises:
        InputError: with each that is not.
    """
    missing = [path for path in paths if not path.exists()]
    if missing:
        message = "there is no such file or folder"
        raise InputError(
            *(Diagnostic(code=Code.UNREADABLE, message=message, place=Place(file=str(p))) for p in missing)
        )


def find_projects(paths: Iterable[Path]) -> list[Path]:
    """Return the folders of the projects that some files and folders are in, and of those below the folders."""
    found: set[Path] = set()
    for path in map(absolute, paths):
        found |= set(itertools.islice(filter(_project_files, [path, *path.parents]), 1))
        for folder, folders, _ in os.walk(path):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found |= set(filter(_project_files, [Path(folder)]))
    return sorted(found)


def absolute(path: Path) -> Path:
    """Return a path from the root, with no `..` in it and links as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - a link is not followed, `..` is resolved


def _project_files(folder: Path) -> list[Path]:
    return [folder / name for name in PROJECT_FILES if (folder / name).is_file()]


def find_definition_files(folder: Path) -> Iterator[Path]:
    """Yield the YAML and TOML files in and below `folder`, sorted by path."""
    yield from sorted(p for p in folder.rglob("*") if p.suffix in SUFFIXES and not p.is_dir())


@dataclass(frozen=True, slots=True)
class Readings:
    """What texts hold, by their hash: a text that was read before is not read again.

    Attributes:
        before: what is remembered.
        used: what was asked for, remembered or read.
    """

    before: Mapping[str, Any] = field(default_factory=dict)
    used: dict[str, Any] = field(default_factory=dict)

    def plain(self, draft: Document) -> Any:
        """Return what a document holds; nobody may change it.

        Raises:
            InputError: it is not valid YAML or TOML, or holds a key twice.
        """
        key = hashlib.sha256(f"{draft.file.suffix}\n{draft.text}".encode("utf-8", "surrogatepass")).hexdigest()
        if key not in self.used:
            self.used[key] = self.before[key] if key in self.before else _read_plain(draft)
        return self.used[key]


def read_document(file: Path, root: Path, *, secret: bool = False, readings: Readings | None = None) -> Document:
    """Read one YAML or TOML file whose top is a mapping.

    Args:
        file: the file.
        root: folder that its name is relative to.
        secret: it may hold secrets: no line of it is ever shown, and nothing of it remembered.
        readings: what is remembered of texts.

    Raises:
        InputError: the file cannot be read, is empty, is not valid YAML or TOML, holds a key twice, or its
            top is not a mapping.
    """
    name = str(file.relative_to(root)) if file.is_relative_to(root) else str(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise input_error(Code.UNREADABLE, f"cannot read the file: {error.strerror}", file=name) from error
    except UnicodeDecodeError as error:
        raise input_error(Code.UNREADABLE, "the file is not UTF-8 text", file=name) from error
    if not text.strip():
        raise input_error(Code.EMPTY_FILE, "the file is empty", file=name)
    draft = Document(file, name, text, {}, secret)
    data = _read_plain(draft) if readings is None or secret else readings.plain(draft)
    if data is None or data == {}:
        raise input_error(Code.EMPTY_FILE, "the file holds nothing but comments", file=name)
    if not isinstance(data, dict):
        raise InputError(draft.diagnostic(Code.BAD_VALUE, f"the file must hold keys and values, not {kind_of(data)}"))
    return Document(file, name, text, data, secret)


def read_mapping(text: str, *, option: str) -> dict[str, Any]:
    """Read a YAML mapping out of a command-line option.

    Raises:
        InputError: the text is not a YAML mapping.
    """
    draft = Document(Path(option), option, text, {})
    data = _read_plain(draft)
    if not isinstance(data, dict):
        raise input_error(
            Code.BAD_OPTION, f"`{option}` must be a mapping", help=f"for example {option} '{{min_rows: 30}}'"
        )
    return data


def read_plain(text: str, suffix: str) -> Any:
    """Read a YAML or TOML text that is in no file.

    Raises:
        InputError: the text is not valid.
    """
    return _read_plain(Document(Path(f"text{suffix}"), "text", text, {}))


def _read_plain(draft: Document) -> Any:
    try:
        return _plain(_read_toml(draft) if draft.file.suffix == ".toml" else _read_yaml(draft))
    except RecursionError:
        message = f"the file is nested deeper than {DEEPEST} levels, or holds itself"
        raise input_error(Code.SYNTAX, message, file=draft.name) from None
    except _NotPlain as error:
        raise InputError(draft.diagnostic(Code.SYNTAX, f"{error} cannot stand in a project file")) from None


def kind_of(value: object) -> str:
    """Name the kind of a value as a writer of YAML or TOML would."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return f"a {type(value).__name__}"


def _read_toml(draft: Document) -> Any:
    try:
        return tomllib.loads(draft.text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at (?:line (\d+), column (\d+)|end of document)\)", str(error))
        message = re.sub(r"\s*\(at [^)]*\)$", "", str(error))
        if found and found[1]:
            position = Position(int(found[1]), int(found[2]))
        else:
            position = Position(len(draft.text.splitlines()), 1)
        if "overwrite" in message or "declare" in message:
            raise InputError(_twice(draft, position)) from error
        hint = "a text needs quotes in TOML" if message == "Invalid value" else None
        raise InputError(draft.at(Code.SYNTAX, f"not valid TOML: {message}", position, help=hint)) from error
    except ValueError as error:
        raise InputError(draft.at(Code.SYNTAX, f"not valid TOML: {error}", Position(1, 1))) from error


def _twice(draft: Document, found: Position) -> Diagnostic:
    """Describe a key that stands twice; the reader stops behind its value."""
    line = draft.text.split("\n")[found.line - 1]
    key = re.match(r"\s*(\[*\s*)?([^=\]]*[^=\]\s])", line)
    name = key[2] if key else line.strip()
    position = Position(found.line, key.start(2) + 1 if key else 1, len(name))
    return draft.at(Code.DUPLICATE_KEY, f"key `{name}` stands twice", position)


class _NotPlain(Exception):
    """A value is of a kind that only one of the two formats knows."""


def _plain(value: Any, depth: int = 0) -> Any:
    """Check that values are of the kinds both formats have; TOML's dates become text, as YAML's are."""
    if depth > DEEPEST:
        raise RecursionError
    match value:
        case None | str() | bool() | int() | float():
            return value
        case dict():
            return {k: _plain(v, depth + 1) for k, v in value.items()}
        case list():
            return [_plain(v, depth + 1) for v in value]
        case date() | time():
            return value.isoformat()
        case _:
            raise _NotPlain(f"a value of kind {type(value).__name__}")


def _read_yaml(draft: Document) -> Any:
    loader = None
    try:
        loader = YamlLoader(draft.text)
        return loader.get_single_data()
    except yaml.reader.ReaderError as error:
        before = draft.text[: error.position]
        position = Position(before.count("\n") + 1, len(before) - before.rfind("\n"))
        message = f"not valid YAML: the character U+{ord(draft.text[error.position]):04X} is not allowed"
        raise InputError(draft.at(Code.SYNTAX, message, position)) from error
    except yaml.MarkedYAMLError as error:
        raise InputError(_yaml_mistake(draft, error)) from error
    except yaml.YAMLError as error:
        raise InputError(draft.at(Code.SYNTAX, f"not valid YAML: {error}", Position(1, 1))) from error
    finally:
        if loader is not None:
            loader.dispose()


def _yaml_mistake(draft: Document, error: yaml.MarkedYAMLError) -> Diagnostic:
    position, context = _position(error.problem_mark or error.context_mark), _position(error.context_mark)
    if isinstance(error, DuplicateKey):
        position, context = (dataclasses.replace(where, length=error.length) for where in (position, context))
        first = Related(message="the first one", place=draft.place_at(context))
        return draft.at(Code.DUPLICATE_KEY, f"key `{error.problem}` stands twice", position, related=(first,))
    problem, within = error.problem or error.context or "syntax error", error.context or ""
    if "quoted scalar" in within and "end of" in problem:
        return draft.at(Code.SYNTAX, "not valid YAML: this quote is not closed", context)
    line = draft.text.split("\n")[position.line - 1] if position.line <= draft.text.count("\n") + 1 else ""
    hint = None
    if "cannot start any token" in problem and "\t" in line[: position.column]:
        problem, hint = "a tab stands where only blanks may", "indent by blanks"
    elif "{{" in line[: position.column + 1]:
        hint = "Jinja is for `sql` alone: other values take `${var:NAME}` and `${env:NAME}`"
    elif "mapping values are not allowed" in problem:
        hint = "a text with `: ` in it needs quotes"
    begin = next((f"the {kind} begins here" for word, kind in _FLOW.items() if word in within), None)
    related = (Related(message=begin, place=draft.place_at(context)),) if begin else ()
    return draft.at(Code.SYNTAX, f"not valid YAML: {problem}", position, help=hint, related=related)


_FLOW = {"flow sequence": "list", "flow mapping": "mapping"}


def _position(mark: yaml.Mark | None) -> Position:
    return Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
