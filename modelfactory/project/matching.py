"""Match single nodes with single criteria: the methods of selection, and what a criterion could have meant."""

from __future__ import annotations

import functools
import operator
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Any, Literal

from modelfactory.diagnostics import did_you_mean
from modelfactory.project.selectors import Criterion
from modelfactory.project.specs import FamilySpec
from modelfactory.project.variables import as_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Selectable:
    """What selectors look at in a family or a source.

    Attributes:
        id: its node in the graph.
        kind: what it is.
        name: its name.
        fqn: project, folders and name.
        paths: files that hold it, relative to the project, the definition first.
        tags: its tags.
        owner: who answers for it.
        estimators: classes of the estimators that it may fit, as written.
        config: makes its definition: as it is understood, with all defaults, and as it is written.
    """

    id: str
    kind: Literal["family", "source"]
    name: str
    fqn: tuple[str, ...]
    paths: tuple[str, ...]
    tags: tuple[str, ...] = ()
    owner: str | None = None
    estimators: tuple[str, ...] = ()
    config: Callable[[], Sequence[Mapping[str, Any]]] = tuple

    @property
    def package(self) -> str:
        """Name of the project it belongs to."""
        return self.fqn[0]


# Methods ------------------------------------------------------------------------------------------------------------

Matcher = Callable[[Selectable], bool]


def glob_of(pattern: str) -> Callable[[str], bool]:
    """Return the test whether a text matches a pattern with `*`, `?` and `[…]`."""
    if not _is_glob(pattern):
        return pattern.__eq__
    found = re.compile(translate(pattern)).match
    return lambda text: found(text) is not None


def _is_glob(pattern: str) -> bool:
    return any(sign in pattern for sign in "*?[]")


def _by_fqn(criterion: Criterion) -> Matcher:
    """Match the name, or the beginning of `project.folder.name` or of `folder.name`, as dbt does.

    A pattern without dots is matched with the name alone, too.
    """
    value = criterion.value
    parts = value.split(".")
    first = next((index for index, part in enumerate(parts) if _is_glob(part)), len(parts))
    rest = glob_of(".".join(parts[first:]))
    by_name = glob_of(value) if len(parts) == 1 else value.__eq__

    def begins(fqn: Sequence[str]) -> bool:
        if len(fqn) < len(parts) or list(fqn[:first]) != parts[:first]:
            return False
        return first == len(parts) or rest(".".join(fqn[first:]))

    def matches(node: Selectable) -> bool:
        if node.kind != "family":
            return False
        if by_name(node.name):
            return True
        flat = [part for name in node.fqn[1:] for part in name.split(".")]
        return begins(flat) or begins([node.package, *flat])

    return matches


def clean_path(path: str) -> str:
    """Return a path without `./`, `//` and a slash at the end; the project folder itself is empty."""
    cleaned = posixpath.normpath(path)
    return "" if cleaned == "." else cleaned


def _by_path(criterion: Criterion) -> Matcher:
    """Match a file or a folder above it; `*` stays within a folder, and `**` is any number of folders."""
    pattern = clean_path(criterion.value)
    segments = [None if name == "**" else glob_of(name) for name in pattern.split("/")] if pattern else []

    @functools.cache
    def matches_path(path: str) -> bool:
        reached = _beyond({0}, segments)
        for name in path.split("/"):
            if len(segments) in reached:  # a folder above it
                return True
            stays = {index for index in reached if index < len(segments) and segments[index] is None}
            steps = {
                index + 1
                for index in reached
                if index < len(segments) and (segment := segments[index]) is not None and segment(name)
            }
            reached = _beyond(stays | steps, segments)
        return len(segments) in reached

    return lambda node: criterion.value != "" and any(matches_path(path) for path in node.paths)


def _beyond(reached: Iterable[int], segments: Sequence[object]) -> set[int]:
    """Add the places behind each `**`, which may be no folder at all."""
    found: set[int] = set()
    for start in reached:
        behind = next((i for i in range(start, len(segments)) if segments[i] is not None), len(segments))
        found.update(range(start, behind + 1))
    return found


def _by_file(criterion: Criterion) -> Matcher:
    is_meant = glob_of(criterion.value)

    def matches(node: Selectable) -> bool:
        names = [posixpath.basename(path) for path in node.paths]
        return any(is_meant(name) or is_meant(posixpath.splitext(name)[0]) for name in names)

    return matches


def _by_tag(criterion: Criterion) -> Matcher:
    is_meant = glob_of(criterion.value)
    return lambda node: any(map(is_meant, node.tags))


def _by_source(criterion: Criterion) -> Matcher:
    package, _, name = criterion.value.rpartition(".")
    is_package, is_name = glob_of(package or "*"), glob_of(name)
    return lambda node: node.kind == "source" and is_name(node.name) and is_package(node.package)


def _by_owner(criterion: Criterion) -> Matcher:
    is_meant = glob_of(criterion.value)
    return lambda node: node.owner is not None and is_meant(node.owner)


def _by_estimator(criterion: Criterion) -> Matcher:
    is_meant = glob_of(criterion.value)

    def matches(node: Selectable) -> bool:
        return any(is_meant(written) or is_meant(written.rpartition(".")[2]) for written in node.estimators)

    return matches


def _by_kind(criterion: Criterion) -> Matcher:
    return lambda node: node.kind == criterion.value


def _by_package(criterion: Criterion) -> Matcher:
    is_meant = glob_of("*" if criterion.value == "this" else criterion.value)
    return lambda node: is_meant(node.package)


def _by_config(criterion: Criterion) -> Matcher:
    is_meant = _value_test(criterion.value)
    return lambda node: any(map(is_meant, _values_at(node.config(), criterion.arguments)))


_MATCHERS: Mapping[str, Callable[[Criterion], Matcher]] = {
    "fqn": _by_fqn,
    "path": _by_path,
    "file": _by_file,
    "tag": _by_tag,
    "source": _by_source,
    "owner": _by_owner,
    "estimator": _by_estimator,
    "resource_type": _by_kind,
    "package": _by_package,
    "config": _by_config,
}


def matcher_of(criterion: Criterion) -> Matcher:
    """Return the test that a criterion makes on a node; not of `selector`, `state` and `result`, which ask others."""
    return _MATCHERS[criterion.method](criterion)


# Values of definitions ----------------------------------------------------------------------------------------------


def _values_at(value: Any, keys: Sequence[str]) -> Iterator[Any]:
    """Yield what stands at keys of a definition: the items of a list, and of `{class: Ridge}` its short form too."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from _values_at(item, keys)
    elif isinstance(value, Mapping):
        if keys and keys[0] in value:
            yield from _values_at(value[keys[0]], keys[1:])
        elif not keys:
            yield from (value[key] for key in _SHORT if isinstance(value.get(key), str))
    elif not keys or (list(keys) in _SHORT_PATHS and isinstance(value, str)):
        yield value


_SHORT = ("class", "name")
"""Keys that may stand for their mapping: `estimator: Ridge` is `estimator: {class: Ridge}`."""
_SHORT_PATHS = [[key] for key in _SHORT]
_COMPARED = re.compile(r"(>=|<=|>|<)\s*(.+)")
_COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


def _value_test(wanted: str) -> Callable[[Any], bool]:
    """Return the test of a value: texts are patterns, numbers are compared as numbers, true and false in any case."""
    is_text = glob_of(wanted)
    number = _number(wanted)
    found = _COMPARED.fullmatch(wanted)
    limit = _number(found[2]) if found else None

    def matches(value: Any) -> bool:
        if isinstance(value, bool):
            return wanted.lower() == as_text(value)
        if isinstance(value, int | float):
            if found and limit is not None:
                return bool(_COMPARE[found[1]](value, limit))
            return number is not None and value == number
        return isinstance(value, str) and (value == wanted or is_text(value))

    return matches


def _number(text: str) -> float | None:
    """Return the number that a text is, exactly if it is a whole one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


# Hints --------------------------------------------------------------------------------------------------------------


def could_mean(nodes: Sequence[Selectable], criterion: Criterion) -> str | None:
    """Return what a criterion that matches nothing could have meant."""
    value = criterion.value
    if criterion.method == "fqn":
        for method in ("tag", "source", "owner", "estimator", "file"):
            if value in _known(nodes, method):
                return f"did you mean `{method}:{value}`?"
    if criterion.method == "config":
        return _near_config(nodes, criterion)
    known = _known(nodes, criterion.method)
    return did_you_mean(value, known) if value or known else None


def _known(nodes: Sequence[Selectable], method: str) -> list[str]:
    families = [node for node in nodes if node.kind == "family"]
    found: Iterable[str | None]
    match method:
        case "fqn":
            found = [name for node in families for name in (node.name, *node.fqn[1:-1])]
        case "tag":
            found = [tag for node in nodes for tag in node.tags]
        case "path":
            found = [path for node in nodes for path in node.paths]
        case "file":
            found = [posixpath.basename(path) for node in nodes for path in node.paths]
        case "source":
            found = [node.name for node in nodes if node.kind == "source"]
        case "owner":
            found = [node.owner for node in nodes]
        case "estimator":
            found = [written.rpartition(".")[2] for node in families for written in node.estimators]
        case "package":
            found = [node.package for node in nodes]
        case _:
            found = []
    return list(dict.fromkeys(name for name in found if name))


def _near_config(nodes: Sequence[Selectable], criterion: Criterion) -> str | None:
    """Return the nearest key, or else the nearest value that some family has there."""
    configs = [config for node in nodes for config in node.config()]
    for depth, key in enumerate(criterion.arguments):
        above = [found for config in configs for found in _mappings_at(config, criterion.arguments[:depth])]
        if not any(key in mapping for mapping in above):
            optional = FamilySpec.model_fields if depth == 0 else ()
            known = list(dict.fromkeys([*(k for mapping in above for k in mapping), *optional]))
            return None if key in known else did_you_mean(key, known)
    values = [as_text(v) for config in configs for v in _values_at(config, criterion.arguments) if v is not None]
    return did_you_mean(criterion.value, list(dict.fromkeys(values)))


def _mappings_at(value: Any, keys: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _mappings_at(item, keys)
    elif isinstance(value, Mapping):
        if not keys:
            yield value
        elif keys[0] in value:
            yield from _mappings_at(value[keys[0]], keys[1:])
