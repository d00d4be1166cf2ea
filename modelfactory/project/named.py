"""Named selectors: the definitions of `selectors.yml`, in dbt's format, as expressions."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from pydantic import ValidationError

from modelfactory.diagnostics import Code, InputError, Place
from modelfactory.project.classes import Mistake
from modelfactory.project.explaining import explained
from modelfactory.project.files import DEEPEST, kind_of
from modelfactory.project.graph import Graph
from modelfactory.project.positions import KeyPath
from modelfactory.project.selectors import (
    AllOf,
    AnyOf,
    Around,
    Criterion,
    Expression,
    Not,
    Walk,
    WrongCriterion,
    make_criterion,
    parse,
)
from modelfactory.project.spec_types import Spec
from modelfactory.project.specs import CriterionSpec, ExcludeSpec, IntersectionSpec, SelectorSpec, UnionSpec
from modelfactory.project.variables import as_text

_S = TypeVar("_S", bound=Spec)
PlaceOf = Callable[[KeyPath], Place]
"""Tells where the value at a path of a definition is written."""


@dataclass(frozen=True, slots=True)
class NamedSelector:
    """A selector that has a name.

    Attributes:
        name: its name.
        description: what it is for.
        default: whether it holds where a command is given no other.
        expression: what it chooses.
    """

    name: str
    description: str | None
    default: bool
    expression: Expression


def read_selector(spec: SelectorSpec, place: PlaceOf) -> tuple[NamedSelector | None, list[Mistake]]:
    """Read a named selector.

    Args:
        spec: the selector as it is written.
        place: tells the place of a value inside it.

    Returns:
        The selector if it is right, and what is wrong with it.
    """
    reading = _Reading(place)
    expression = reading.definition(spec.definition, ("definition",))
    if reading.mistakes:
        return None, reading.mistakes
    return NamedSelector(spec.name, spec.description, spec.default, expression), []


_NOTHING = AnyOf(())
_EXCLUDE_HELP = "make it an item of a `union` or `intersection`, or put it beside `method` and `value`"
_FORMS = "a definition is `method` and `value`, one `METHOD: value`, `union` or `intersection`"


class _Reading:
    """One pass over a definition; what is wrong chooses nothing, and is gathered instead of stopping at the first."""

    def __init__(self, place: PlaceOf) -> None:
        self.place = place
        self.mistakes: list[Mistake] = []

    def definition(self, value: Any, path: KeyPath) -> Expression:
        """Read a definition or a part of one."""
        match value:
            case str():
                return self._text(value, path)
            case {"union": _}:
                union = self._validated(UnionSpec, value, path)
                return self._set(union.union, (*path, "union"), AnyOf) if union else _NOTHING
            case {"intersection": _}:
                both = self._validated(IntersectionSpec, value, path)
                return self._set(both.intersection, (*path, "intersection"), AllOf) if both else _NOTHING
            case {"method": _} | {"value": _}:
                spec = self._validated(CriterionSpec, value, path)
                return self._criterion(spec, path) if spec else _NOTHING
            case {"exclude": _}:
                return self._wrong("`exclude` has nothing to exclude from", path, _EXCLUDE_HELP)
            case dict() if len(value) == 1:
                [(method, wanted)] = value.items()
                if isinstance(wanted, str | bool | int | float):
                    return self._made(str(method), wanted, (*path, method), (*path, method), key=True)
                return self._wrong(f"`{method}` must be text, a number, true or false", (*path, method))
            case dict():
                return self._wrong(_FORMS, path)
            case _:
                return self._wrong(f"a definition must be text or a mapping, not {kind_of(value)}", path)

    def _text(self, text: str, path: KeyPath) -> Expression:
        try:
            found = parse(text, at=lambda *_: self.place(path), code=Code.BAD_VALUE)
        except InputError as error:
            [wrong] = error.diagnostics
            return self._wrong(wrong.message, path, wrong.help)
        return self._wrong("the selector is empty", path) if found == _NOTHING else found

    def _set(self, items: Sequence[Any], path: KeyPath, kind: type[AnyOf] | type[AllOf]) -> Expression:
        excluding = [i for i, item in enumerate(items) if isinstance(item, dict) and list(item) == ["exclude"]]
        for index in excluding[1:]:
            self._wrong("a second `exclude` in one list", (*path, index), "put all of it into one")
        parts = [self.definition(item, (*path, i)) for i, item in enumerate(items) if i not in excluding]
        if not parts:
            return self._wrong("`exclude` has nothing to exclude from", path)
        chosen = parts[0] if len(parts) == 1 else kind(tuple(parts))
        for index in excluding[:1]:
            spec = self._validated(ExcludeSpec, items[index], (*path, index))
            if spec is not None:
                chosen = self._without(chosen, spec.exclude, (*path, index, "exclude"))
        return chosen

    def _criterion(self, spec: CriterionSpec, path: KeyPath) -> Expression:
        found: Expression = self._made(spec.method, spec.value, (*path, "method"), (*path, "value"))
        parents = spec.parents_depth if spec.parents else 0
        children = spec.children_depth if spec.children else 0
        if spec.childrens_parents:
            found = Around(found, spec.childrens_parents_depth)
        elif parents != 0 or children != 0:
            found = Walk(found, parents, children)
        return self._without(found, spec.exclude, (*path, "exclude")) if spec.exclude else found

    def _without(self, chosen: Expression, excluded: Sequence[Any], path: KeyPath) -> Expression:
        parts = tuple(self.definition(item, (*path, index)) for index, item in enumerate(excluded))
        less = parts[0] if len(parts) == 1 else AnyOf(parts)
        return AllOf((*(chosen.parts if isinstance(chosen, AllOf) else (chosen,)), Not(less)))

    def _made(
        self, method: str, value: object, method_path: KeyPath, value_path: KeyPath, *, key: bool = False
    ) -> Expression:
        """Make a criterion; `key` says that the method is written as a key."""
        try:
            return make_criterion(method, as_text(value), functools.partial(self.place, value_path))
        except WrongCriterion as wrong:
            if wrong.part == "method":
                return self._wrong(str(wrong), method_path, wrong.help, key=key)
            return self._wrong(str(wrong), value_path, wrong.help)

    def _validated(self, spec: type[_S], value: Any, path: KeyPath) -> _S | None:
        try:
            return spec.model_validate(value)
        except ValidationError as error:
            for wrong in explained(spec, error):
                self.mistakes.append(dataclasses.replace(wrong, path=(*path, *wrong.path)))
            return None

    def _wrong(self, message: str, path: KeyPath, help: str | None = None, *, key: bool = False) -> Expression:
        self.mistakes.append(Mistake(Code.BAD_VALUE, message, path, key=key, help=help))
        return _NOTHING


# References ---------------------------------------------------------------------------------------------------------


def references(expression: Expression) -> list[Criterion]:
    """Return the `selector:` criteria of an expression."""
    match expression:
        case Criterion(method="selector"):
            return [expression]
        case Walk(inner) | Around(inner) | Not(inner):
            return references(inner)
        case AllOf(parts) | AnyOf(parts):
            return [found for part in parts for found in references(part)]
        case _:
            return []


def unknown_references(selector: NamedSelector, names: Sequence[str]) -> list[Criterion]:
    """Return the references of a selector that match none of some names."""
    return [found for found in references(selector.expression) if not _meant(found, names)]


def wrong_references(selectors: Mapping[str, NamedSelector]) -> Iterator[tuple[str, Mistake]]:
    """Yield what is wrong with how selectors refer to each other, and the name of the selector where it is told."""
    names = tuple(selectors)
    referring = {name: references(selector.expression) for name, selector in selectors.items()}
    parts = {name: tuple(part for r in found for part in _meant(r, names)) for name, found in referring.items()}
    graph = Graph(names, parts)
    cycle = graph.find_cycle()
    if cycle is not None:
        circle = " → ".join(f"`{name}`" for name in cycle)
        yield cycle[0], Mistake(Code.CONFLICT, f"a selector is part of itself: {circle}", ("definition",), key=True)
        return
    steps: dict[str, int] = {}
    for name in graph.in_order():
        steps[name] = max((steps[part] + 1 for part in parts[name]), default=0)
        if steps[name] == DEEPEST + 1:
            message = f"selector `{name}` refers to others over more than {DEEPEST} steps"
            yield name, Mistake(Code.CONFLICT, message, ("definition",), key=True)


def _meant(reference: Criterion, names: Sequence[str]) -> list[str]:
    return [name for name in names if fnmatchcase(name, reference.value)]
