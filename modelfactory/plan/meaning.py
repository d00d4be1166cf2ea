"""What a family's definition means, once the way it is written is taken away, and how two meanings differ.

Key order, quotes, `1` for `1.0`, a short class name, a value inherited or written out: none of them is in a meaning. A
fingerprint is the hash of a part of it, so what has another fingerprint always differs in a value that can be named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

ValuePath = tuple[str, ...]
"""Where a value stands in a meaning: keys of the definition, names of features, indexes of lists as text."""


class _Missing(Enum):
    """Stands in the place of a value that one side does not have."""

    MISSING = "—"


MISSING = _Missing.MISSING


class ChangeKind(StrEnum):
    """What a change asks for, gravest first."""

    BREAKING = "breaking"
    RETRAIN = "retrain"
    RETEST = "re-test"
    METADATA = "metadata"

    @property
    def decides_models(self) -> bool:
        """Whether models have to be trained for it."""
        return self in (ChangeKind.BREAKING, ChangeKind.RETRAIN)


_INTERFACE = frozenset({"group_by", "features", "feature_order", "label", "task"})
"""Keys that decide what a model is asked with and what it answers: whoever uses the models has to change too."""


_DECIDE_ROWS = frozenset({"sources", "sql", "where", "min_rows", "max_rows", "on_too_many", "null_keys", "fallback"})
"""Keys that decide which rows and groups there are, and not what becomes of given rows."""


def fit_part(models: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of what decides the models by which two definitions make the same model of the same rows."""
    found = {key: value for key, value in models.items() if key not in _DECIDE_ROWS}
    if models.get("on_too_many") == "sample":
        found["max_rows"] = models.get("max_rows")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """The parts of a definition, as plain data in the words of the project files.

    Attributes:
        models: what decides the models.
        tests: what decides whether a version is published, and what is measured of it.
        metadata: what is told of the family.
    """

    models: Mapping[str, Any]
    tests: Mapping[str, Any]
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One value that differs.

    Attributes:
        path: where it stands.
        old: what it was; `MISSING` if there was none.
        new: what it is; `MISSING` if there is none.
        kind: what the change asks for.
    """

    path: ValuePath
    old: Any
    new: Any
    kind: ChangeKind


def differences(old: Meaning, new: Meaning) -> tuple[Change, ...]:
    """Return what differs between two meanings of a family, gravest first and then in the order of the definition."""
    found = []
    for part, kind in (("models", None), ("tests", ChangeKind.RETEST), ("metadata", ChangeKind.METADATA)):
        before, after = getattr(old, part), getattr(new, part)
        for path, was, now in _differing(before, after, ()):
            if path == ("feature_order",) and before.get("features") != after.get("features"):
                continue  # told by what was added or taken away
            models = ChangeKind.BREAKING if path[0] in _INTERFACE else ChangeKind.RETRAIN
            found.append(Change(path=path, old=was, new=now, kind=kind or models))
    return tuple(sorted(found, key=lambda change: list(ChangeKind).index(change.kind)))


def gravest(changes: Sequence[Change]) -> ChangeKind | None:
    """Return the gravest kind among changes; None if there are none."""
    return min((change.kind for change in changes), key=list(ChangeKind).index, default=None)


def _differing(old: Any, new: Any, path: ValuePath) -> Iterator[tuple[ValuePath, Any, Any]]:
    """Yield the innermost values that differ."""
    match old, new:
        case dict(), dict():
            # The parameters of another class are others, even where they have the same name.
            whole = "class" in old and "class" in new and old["class"] != new["class"]
            for key in dict.fromkeys([*old, *new]):
                sides = old.get(key, MISSING), new.get(key, MISSING)
                if whole and (MISSING in sides or _text(sides[0]) != _text(sides[1])):
                    yield (*path, str(key)), *sides
                else:
                    yield from _differing(*sides, (*path, str(key)))
        case list(), list() if len(old) == len(new) and any(isinstance(item, dict) for item in [*old, *new]):
            for index, (one, other) in enumerate(zip(old, new, strict=True)):
                yield from _differing(one, other, (*path, str(index)))
        case _:
            if old is MISSING or new is MISSING or _text(old) != _text(new):
                yield path, old, new


def _text(value: Any) -> str:
    """Write a value as a fingerprint does: 1 is neither 1.0 nor true."""
    return json.dumps(value, sort_keys=True)
