"""Find where a value stands in a YAML or TOML text; used only when a diagnostic needs it.

Both readers give plain data without places, which keeps reading fast. Here a file that is known to be valid
is walked once more with its places.
"""

from __future__ import annotations

import bisect
import functools
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from modelfactory.diagnostics import Position
from modelfactory.project.yaml12 import MERGE, YamlLoader

KeyPath = tuple[str | int, ...]
"""Where a value stands in a document: keys and list indexes from the top."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key and its value stand; an item of a list has no key."""

    key: Position | None
    value: Position
    scalar: bool = True


_MERGE = "tag:yaml.org,2002:merge"


def locate(text: str, suffix: str, path: KeyPath, *, key: bool = False) -> Position | None:
    """Return the place of `path`, or of its nearest parent that is written in the document.

    Args:
        text: a document that was read without error.
        suffix: `.toml`, else the text is YAML.
        path: keys and list indexes from the top.
        key: return the place of the key and not of its value.
    """
    places = places_of(text, suffix)
    for end in range(len(path), 0, -1):
        place = places.get(path[:end])
        if place is not None:
            # Of a value written short (`estimator: Ridge`), the value itself is meant and not its key.
            by_key = key if end == len(path) else not place.scalar
            return place.key if place.key and by_key else place.value
    return None if path else _first(text)


def _first(text: str) -> Position | None:
    """Return where the first thing that is no comment stands."""
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            return Position(number, len(line) - len(line.lstrip()) + 1)
    return None


@functools.lru_cache(maxsize=64)
def places_of(text: str, suffix: str) -> dict[KeyPath, Place]:
    """Return the places of all values of a document by their paths."""
    if suffix == ".toml":
        return dict(_TomlScanner(text).scan())
    loader = YamlLoader(text)
    try:
        root = loader.get_single_node()
    except yaml.YAMLError:
        return {}
    finally:
        loader.dispose()
    return {} if root is None else dict(_yaml_places(root, (), None, set()))


def _yaml_places(
    node: yaml.Node, path: KeyPath, key: Position | None, above: set[int]
) -> Iterator[tuple[KeyPath, Place]]:
    if path:
        yield path, Place(key, _span(node), isinstance(node, yaml.ScalarNode))
    if id(node) in above:  # an alias inside what it names
        return
    above = above | {id(node)}
    if isinstance(node, yaml.MappingNode):
        for key_node, value in _pairs(node):
            yield from _yaml_places(value, (*path, key_node.value), _span(key_node), above)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _yaml_places(item, (*path, index), None, above)


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Yield keys and values; those that `<<` brings in come first, so that the mapping's own take their place."""
    for key, value in node.value:
        if key.tag == MERGE:
            for other in reversed(value.value if isinstance(value, yaml.SequenceNode) else [value]):
                yield from _pairs(other)
    yield from node.value


def _span(node: yaml.Node) -> Position:
    start, end = node.start_mark, node.end_mark
    length = end.column - start.column if end.line == start.line and isinstance(node, yaml.ScalarNode) else 1
    return Position(start.line + 1, start.column + 1, max(length, 1))


class _TomlScanner:
    """Walk a valid TOML text and yield the place of each key and value.

    Follows the grammar of TOML 1.0: headers `[a.b]` and `[[a]]`, dotted keys, inline tables, arrays and the four
    kinds of strings. Validity is not checked again: `tomllib` has read the text before.
    """

    _BARE = re.compile(r"[A-Za-z0-9_-]+")
    _SCALAR = re.compile(r"[^\s,\]}#]+(?:[ \t]+\d{2}:[^\s,\]}#]+)?")
    _BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line_starts = [0, *(m.end() for m in re.finditer("\n", text))]
        self.counts: dict[KeyPath, int] = {}

    def scan(self) -> Iterator[tuple[KeyPath, Place]]:
        table: KeyPath = ()
        self._blank()
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                start = self.at
                array = self.text.startswith("[[", self.at)
                self.at += 2 if array else 1
                names = [name for name, _ in self._keys()]
                self._skip("]" * (2 if array else 1))
                place = self._position(start, self.at)
                for depth in range(1, len(names)):
                    yield self._resolve(names[:depth], array=False), Place(place, place, scalar=False)
                table = self._resolve(names, array=array)
                yield table, Place(None if array else place, place, scalar=False)
            else:
                yield from self._pair(table)
            self._blank()

    def _pair(self, table: KeyPath) -> Iterator[tuple[KeyPath, Place]]:
        keys = self._keys()
        self._skip("=")
        path = table
        for name, key in keys[:-1]:
            path = (*path, name)
            yield path, Place(key, key, scalar=False)
        yield from self._value((*path, keys[-1][0]), keys[-1][1])

    def _value(self, path: KeyPath, key: Position | None) -> Iterator[tuple[KeyPath, Place]]:
        self._blank()
        start = self.at
        first = self.text[start]
        if first in "\"'":
            self._string()
            yield path, Place(key, self._position(start, self.at))
        elif first == "[":
            yield path, Place(key, self._position(start, start + 1), scalar=False)
            self.at += 1
            index = 0
            while not self._closes("]"):
                yield from self._value((*path, index), None)
                index += 1
        elif first == "{":
            yield path, Place(key, self._position(start, start + 1), scalar=False)
            self.at += 1
            while not self._closes("}"):
                yield from self._pair(path)
        else:
            found = self._SCALAR.match(self.text, start)
            self.at = found.end() if found else start + 1
            yield path, Place(key, self._position(start, self.at))

    def _keys(self) -> list[tuple[str, Position]]:
        keys = []
        while True:
            self._blank()
            start = self.at
            name = self._key()
            keys.append((name, self._position(start, self.at)))
            self._blank()
            if self.text[self.at] != ".":
                return keys
            self.at += 1

    def _key(self) -> str:
        if self.text[self.at] in "\"'":
            start = self.at
            self._string()
            return next(iter(tomllib.loads(f"{self.text[start : self.at]} = 0")))
        found = self._BARE.match(self.text, self.at)
        if found is None:
            raise ValueError(f"no key at offset {self.at}")
        self.at = found.end()
        return found[0]

    def _string(self) -> None:
        quote = self.text[self.at]
        fence = quote * 3 if self.text.startswith(quote * 3, self.at) else quote
        self.at += len(fence)
        while not self.text.startswith(fence, self.at):
            self.at += 2 if self.text[self.at] == "\\" and quote == '"' else 1
        self.at += len(fence)
        while len(fence) == 3 and self.text.startswith(quote, self.at):  # up to two quotes may end the content
            self.at += 1

    def _resolve(self, names: list[str], *, array: bool) -> KeyPath:
        path: KeyPath = ()
        for depth, name in enumerate(names):
            path = (*path, name)
            last = depth == len(names) - 1
            if last and array:
                self.counts[path] = self.counts.get(path, -1) + 1
            if path in self.counts:
                path = (*path, self.counts[path])
        return path

    def _closes(self, bracket: str) -> bool:
        self._blank()
        if self.text[self.at] == ",":
            self.at += 1
            self._blank()
        if self.text[self.at] == bracket:
            self.at += 1
            return True
        return False

    def _blank(self) -> None:
        found = self._BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def _skip(self, mark: str) -> None:
        self._blank()
        self.at += len(mark)

    def _position(self, start: int, end: int) -> Position:
        line = bisect.bisect_right(self.line_starts, start)
        newline = self.text.find("\n", start, end)
        end = end if newline < 0 else newline
        return Position(line, start - self.line_starts[line - 1] + 1, max(end - start, 1))
