"""Choose families: what the expressions of `selectors` choose among the nodes of a project."""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelfactory.diagnostics import Code, Diagnostic, InputError, did_you_mean
from modelfactory.project.graph import Graph, source_id
from modelfactory.project.loading import Family, Project, Source
from modelfactory.project.matching import Selectable, clean_path, could_mean, glob_of, matcher_of
from modelfactory.project.selectors import (
    AllOf,
    AnyOf,
    Around,
    Criterion,
    Expression,
    Not,
    Walk,
    text_of,
)
from modelfactory.project.variables import resolve_variables

Told = Callable[[], Mapping[str, frozenset[str]] | None]
"""Tells something of families that their files do not hold, by name; None if there is nothing to ask."""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A part of a selection that matches nothing, and the nearest thing it could have meant."""

    text: str
    help: str | None


@dataclass(frozen=True, slots=True)
class Selected:
    """What a selection chose.

    Attributes:
        families: names, in the order of the project.
        sources: names of the sources it chose beside them.
        unmatched: parts that match no family and no source.
    """

    families: tuple[str, ...]
    sources: tuple[str, ...]
    unmatched: tuple[Unmatched, ...]


def select_nodes(
    nodes: Sequence[Selectable],
    include: Expression | None,
    exclude: Expression | None = None,
    *,
    named: Mapping[str, Expression],
    graph: Callable[[], Graph],
    states: Told | None = None,
    results: Told | None = None,
) -> Selected:
    """Evaluate a selection.

    What is not in the files is asked for only if a selector needs it.

    Args:
        nodes: families and sources, in the order of the project.
        include: what to choose; everything if None.
        exclude: what to leave out.
        named: the selectors that `selector:` knows.
        graph: makes the graph of the nodes.
        states: by family, which of `new`, `modified`, `modified.params` and so on it is.
        results: by family, the statuses that it and its groups had in the last run.

    Raises:
        InputError: a selector needs what there is not: a named selector, states, results.
    """
    evaluation = _Evaluation(nodes, named, graph, states, results)
    chosen = evaluation.everything if include is None else evaluation.ids(include)
    if exclude is not None:
        chosen -= evaluation.ids(exclude)
    written = [expression for expression in (include, exclude) if expression is not None]
    return Selected(
        families=tuple(node.name for node in nodes if node.kind == "family" and node.id in chosen),
        sources=tuple(node.name for node in nodes if node.kind == "source" and node.id in chosen),
        unmatched=tuple(dict.fromkeys(u for expression in written for u in evaluation.unmatched(expression))),
    )


# Nodes --------------------------------------------------------------------------------------------------------------


def selectables(project: Project) -> tuple[Selectable, ...]:
    """Return the sources and families of a project as selectors see them."""
    folders = [clean_path(path) for path in (*project.spec.family_paths, *project.spec.source_paths)]
    scope = _Scope(project.spec.name, tuple(sorted(folders, key=len, reverse=True)), project.variables)
    return (
        *(_source_node(source, scope) for source in project.sources.values()),
        *(_family_node(family, scope) for family in project.families),
    )


@dataclass(frozen=True, slots=True)
class _Scope:
    """What the nodes of one project share: its name, its folders of definitions, longest first, and its variables."""

    project: str
    folders: tuple[str, ...]
    variables: Mapping[str, Any]

    def fqn(self, path: str, name: str) -> tuple[str, ...]:
        folder = posixpath.dirname(path)
        for top in self.folders:
            if folder == top or folder.startswith(f"{top}/") or not top:
                folder = folder[len(top) :]
                break
        return (self.project, *filter(None, folder.split("/")), name)


def _source_node(source: Source, scope: _Scope) -> Selectable:
    name, path = source.spec.name, source.origin.document.name
    return Selectable(
        id=source_id(name),
        kind="source",
        name=name,
        fqn=scope.fqn(path, name),
        paths=(path,),
        config=lambda: (source.spec.model_dump(mode="json", exclude_none=True),),
    )


def _family_node(family: Family, scope: _Scope) -> Selectable:
    spec = family.spec
    queries = () if spec.sql_file is None else (clean_path(spec.sql_file),)
    return Selectable(
        id=spec.name,
        kind="family",
        name=spec.name,
        fqn=scope.fqn(family.path, spec.name),
        paths=(family.path, *queries),
        tags=spec.tags,
        owner=spec.owner,
        estimators=tuple(final.spec.class_ for final in spec.finals),
        config=functools.partial(_family_config, family, scope.variables),
    )


def _family_config(family: Family, variables: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return a definition as 600 seconds and as the `10m` that is written; what holds a secret only as the former."""
    written = resolve_variables(family.definition, variables)
    return (
        family.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        {key: value for key, value in written.items() if "${env:" not in repr(value)},
    )


# Evaluation ---------------------------------------------------------------------------------------------------------


class _Evaluation:
    """Evaluates expressions over the nodes of one project, each distinct one once."""

    def __init__(
        self,
        nodes: Sequence[Selectable],
        named: Mapping[str, Expression],
        graph: Callable[[], Graph],
        states: Told | None,
        results: Told | None,
    ) -> None:
        self.nodes = nodes
        self.named = named
        self.graph = functools.cache(graph)
        self.told = {"state": states and functools.cache(states), "result": results and functools.cache(results)}
        self.everything = frozenset(node.id for node in nodes)
        self.families = frozenset(node.id for node in nodes if node.kind == "family")
        self.known: dict[Expression, frozenset[str]] = {}

    def ids(self, expression: Expression) -> frozenset[str]:
        if expression not in self.known:
            self.known[expression] = self._ids(expression)
        return self.known[expression]

    def _ids(self, expression: Expression) -> frozenset[str]:
        match expression:
            case Criterion():
                return self._matched(expression)
            case Walk(inner) | Around(inner) if not self.ids(inner):
                return frozenset()  # without the graph
            case Walk(inner, parents, children):
                start, graph = self.ids(inner), self.graph()
                return start | graph.ancestors(*start, depth=parents) | graph.descendants(*start, depth=children)
            case Around(inner, depth):
                start, graph = self.ids(inner), self.graph()
                below = start | graph.descendants(*start, depth=depth)
                return below | graph.ancestors(*below)
            case Not(inner):
                return self.families - self.ids(inner)
            case AllOf(parts):
                chosen = [self.ids(part) for part in parts if not isinstance(part, Not)]
                left_out = [self.ids(part.inner) for part in parts if isinstance(part, Not)]
                return frozenset.intersection(*chosen or [self.families]).difference(*left_out)
            case AnyOf(parts):
                return frozenset().union(*map(self.ids, parts))

    def _matched(self, criterion: Criterion) -> frozenset[str]:
        match criterion.method:
            case "selector":
                return self._of_named(criterion)
            case "state":
                states = self._asked(criterion, "compares with an earlier state, and there is none")
                wanted = _in_state(criterion.value)
                return frozenset(name for name in self.families if wanted(states.get(name, frozenset())))
            case "result":
                results = self._asked(criterion, "needs the results of a run, and there are none")
                return frozenset(name for name in self.families if criterion.value in results.get(name, ()))
            case _:
                matches = matcher_of(criterion)
                return frozenset(node.id for node in self.nodes if matches(node))

    def _of_named(self, criterion: Criterion) -> frozenset[str]:
        is_meant = glob_of(criterion.value)
        found = [expression for name, expression in self.named.items() if is_meant(name)]
        if not found:
            hint = did_you_mean(criterion.value, list(self.named)) or "`selectors.yml` declares them"
            raise _wrong(criterion, f"there is no selector `{criterion.value}`", hint)
        return self.ids(AnyOf(tuple(found)))

    def _asked(self, criterion: Criterion, lack: str) -> Mapping[str, frozenset[str]]:
        ask = self.told[criterion.method]
        told = None if ask is None else ask()
        if told is None:
            raise _wrong(criterion, f"`{text_of(criterion)}` {lack}", None)
        return told

    def unmatched(self, expression: Expression) -> Iterator[Unmatched]:
        """Yield the parts that match nothing: those of unions, and what is negated."""
        if isinstance(expression, AnyOf):
            for part in expression.parts:
                yield from self.unmatched(part)
        elif not self.ids(expression):
            yield Unmatched(text_of(expression), self._near(expression))
        else:
            for inner in _inside(expression):
                yield from self.unmatched(inner)

    def _near(self, expression: Expression) -> str | None:
        """Return what the first criterion that matches nothing could have meant."""
        if isinstance(expression, Criterion):
            return None if self.ids(expression) else could_mean(self.nodes, expression)
        return next((hint for inner in _inside(expression) if (hint := self._near(inner))), None)


def _inside(expression: Expression) -> tuple[Expression, ...]:
    match expression:
        case Walk(inner) | Around(inner) | Not(inner):
            return (inner,)
        case AllOf(parts) | AnyOf(parts):
            return parts
        case _:
            return ()


def _wrong(criterion: Criterion, message: str, help: str | None) -> InputError:
    return InputError(Diagnostic(code=Code.BAD_OPTION, message=message, place=criterion.place(), help=help))


def _in_state(wanted: str) -> Callable[[frozenset[str]], bool]:
    """Return the test of a family's states; a new family is modified in every respect."""
    match wanted:
        case "old":
            return lambda states: "new" not in states
        case "unmodified":
            return lambda states: not states & {"new", "modified"}
        case _:
            return lambda states: bool(states & {"new", wanted})
