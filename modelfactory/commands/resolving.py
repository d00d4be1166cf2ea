"""Every single value of a family with the place it comes from, from the files and the facts of classes alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from modelfactory.diagnostics import Place, Position
from modelfactory.plan.steps import TrainStep
from modelfactory.project.classes import NO_DEFAULT, ClassFacts, nested_class
from modelfactory.project.files import FOLDER_DEFAULTS
from modelfactory.project.loading import ALTERNATIVES, Family, Origin, Project
from modelfactory.project.positions import KeyPath
from modelfactory.project.spec_types import Spec
from modelfactory.project.specs import EstimatorSpec, PipelineStepSpec, SearchedEstimatorSpec
from modelfactory.project.variables import Reference, environment_names, follow, references_to, substituted

_OF_SOURCES = ("path", "table", "format", "options")
"""Keys of a source that decide what is read."""
_CALLS = ("estimator", "preprocess", "pipeline", "search")
"""Keys of a family in which a mapping with a `class` is an estimator."""


class OriginKind(StrEnum):
    """What a value comes from."""

    FAMILY = "family"
    FOLDER_DEFAULT = "folder default"
    PROJECT_DEFAULT = "project default"
    SOURCE = "source"
    QUERY_FILE = "query file"
    BUILT_IN = "built-in"
    SCIKIT_LEARN = "scikit-learn"
    CLASS = "class"
    VARIABLE = "variable"
    COMMAND_LINE = "command line"
    REFERENCE_DEFAULT = "reference default"
    ENVIRONMENT = "environment"
    SEED = "seed"


@dataclass(frozen=True, slots=True)
class ValueOrigin:
    """What a value comes from, or what it came through.

    Attributes:
        kind: what it is.
        name: of a variable.
        place: where it is written; None where no file of the project says it.
    """

    kind: OriginKind
    name: str | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overridden:
    """A farther value that a nearer one hides.

    Attributes:
        path: its key: that of the nearer one, or one that this stands for.
        value: what it would be, with references to the environment as they are written.
        origin: where it is written.
    """

    path: KeyPath
    value: Any
    origin: ValueOrigin


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedValue:
    """One innermost value of a family's definition.

    Attributes:
        path: keys and list indexes from the top of the family; what its sources declare stands under `sources`.
        value: the value, with references in the place of values of the environment.
        origin: where it is written, or which default it is.
        via: what it came through: variables, the environment, a default in a reference, the seed.
        overrides: what it hides, nearest first. Keys are hidden as a whole, items of `tags` and `meta` one by one.
    """

    path: KeyPath
    value: Any
    origin: ValueOrigin
    via: tuple[ValueOrigin, ...] = ()
    overrides: tuple[Overridden, ...] = ()


def resolved_values(
    project: Project,
    step: TrainStep,
    family: Family,
    *,
    facts: Mapping[str, ClassFacts],
    given: Iterable[str],
    environ: Mapping[str, str],
) -> Iterator[ResolvedValue]:
    """Yield every value that a family depends on, in the order of the reference.

    Args:
        project: the project of the family.
        step: what the family was compiled to.
        family: the family.
        facts: what is known of the classes it names, by the name as written.
        given: names of the variables of `--vars`.
        environ: the environment; none of its values is in the result.
    """
    resolving = _Resolving(project, family, frozenset(given), environ)
    for leaf in _family_leaves(family, step, facts):
        yield resolving.of_family(leaf)
        if leaf.path == ("sql_file",) and leaf.default is None:
            yield resolving.query()
    for read in step.sources:
        source = project.sources[read.name]
        for leaf in _leaves(source.spec, ("sources", read.name), facts, None):
            if leaf.path[2] in _OF_SOURCES and not (leaf.path[2] == "format" and source.spec.table is not None):
                yield resolving.of_source(leaf, source.origin)


@dataclass(frozen=True, slots=True)
class _Leaf:
    """An innermost value, and which default it is if it is one."""

    path: KeyPath
    value: Any
    default: ValueOrigin | None


def _family_leaves(family: Family, step: TrainStep, facts: Mapping[str, ClassFacts]) -> Iterator[_Leaf]:
    given = family.origins.keys()
    idle = {other for group in ALTERNATIVES if group & given for other in group - given}
    for leaf in _leaves(family.spec, (), facts, None):
        if leaf.path[0] in idle:
            continue
        yield leaf
        if leaf.path == ("evaluate", "refit") and family.spec.evaluate and not family.spec.evaluate.metrics:
            usual = step.fit.evaluation.metrics if step.fit.evaluation else ()
            yield from _leaves(usual, ("evaluate", "metrics"), facts, ValueOrigin(OriginKind.BUILT_IN))
        if (
            leaf.path == ("search", "folds")
            and step.fit.search
            and family.spec.search
            and not family.spec.search.metric
        ):
            yield _Leaf(("search", "metric"), step.fit.search.metric, ValueOrigin(OriginKind.BUILT_IN))


def _leaves(value: Any, path: KeyPath, facts: Mapping[str, ClassFacts], default: ValueOrigin | None) -> Iterator[_Leaf]:
    """Yield the innermost values in a value.

    What is neither written nor has a default is a leaf at the top of a family only: inside a mapping it says nothing.
    """
    match value:
        case EstimatorSpec():
            if isinstance(value, PipelineStepSpec):
                yield _Leaf((*path, "name"), value.name, default)
            yield _Leaf((*path, "class"), value.class_, default)
            yield from _parameters(value.class_, value.params, (*path, "params"), facts, default)
            if isinstance(value, SearchedEstimatorSpec) and value.search:
                yield from _leaves(value.search, (*path, "search"), facts, default)
        case Spec():
            for name, field in type(value).model_fields.items():
                inner, key = getattr(value, name), field.alias or name
                written = name in value.model_fields_set
                if written or not path or inner not in (None, (), {}):
                    built_in = None if written else ValueOrigin(OriginKind.BUILT_IN)
                    yield from _leaves(inner, (*path, key), facts, default or built_in)
        case dict() if path[0] in _CALLS and nested_class(value) is not None:
            yield _Leaf((*path, "class"), value["class"], default)
            yield from _parameters(value["class"], value.get("params", {}), (*path, "params"), facts, default)
        case dict() if value:
            for key, item in value.items():
                yield from _leaves(item, (*path, key), facts, default)
        case list() | tuple() if value:
            for index, item in enumerate(value):
                yield from _leaves(item, (*path, index), facts, default)
        case _:
            yield _Leaf(path, list(value) if isinstance(value, tuple) else value, default)


def _parameters(
    name: str, given: Mapping[str, Any], path: KeyPath, facts: Mapping[str, ClassFacts], default: ValueOrigin | None
) -> Iterator[_Leaf]:
    """Yield the parameters of a class, first those that are given."""
    for key, value in given.items():
        yield from _leaves(value, (*path, key), facts, default)
    known = facts[name]
    kind = OriginKind.SCIKIT_LEARN if known.path.startswith("sklearn.") else OriginKind.CLASS
    for key, parameter in known.parameters.items():
        if key not in given and parameter.default not in NO_DEFAULT:
            yield from _leaves(parameter.default_value, (*path, key), facts, ValueOrigin(kind))


@dataclass(frozen=True, slots=True)
class _Written:
    """Where a value is written: a key in a file, and the way from there."""

    key: Origin
    rest: KeyPath

    @property
    def place(self) -> Place:
        """The place of the value, or of the short form or the reference that it is written in."""
        return self.key.document.place((*self.key.path, *self.rest))


@dataclass(frozen=True, slots=True)
class _Resolving:
    """Finds the origins of one family's values.

    Attributes:
        project: the project.
        family: the family.
        given: names of the variables of `--vars`.
        environ: the environment.
    """

    project: Project
    family: Family
    given: frozenset[str]
    environ: Mapping[str, str]

    def of_family(self, leaf: _Leaf) -> ResolvedValue:
        key = str(leaf.path[0])
        if key not in self.family.origins:
            return self._default(leaf, leaf.default or ValueOrigin(OriginKind.BUILT_IN), ())
        nearest, *farther = self._written_at(leaf)
        hidden = [*farther, *(_Written(origin, ()) for origin in self.family.overridden.get(key, ()))]
        overrides = tuple(self._overridden(written) for written in hidden)
        if leaf.default is not None:
            return self._default(leaf, leaf.default, overrides)
        return self._value(leaf, nearest, self._layer(nearest.key), overrides)

    def of_source(self, leaf: _Leaf, source: Origin) -> ResolvedValue:
        if leaf.default is not None:
            return self._default(leaf, leaf.default, ())
        return self._value(leaf, _Written(source, leaf.path[2:]), OriginKind.SOURCE, ())

    def query(self) -> ResolvedValue:
        """Return the text of the query that stands in a file of its own."""
        file = self._shown(self.family.origins["sql_file"][0].value)
        place = Place(file=str(file), path=self.project.root / str(self.family.spec.sql_file), position=Position(1, 1))
        origin = ValueOrigin(OriginKind.QUERY_FILE, place=place)
        return ResolvedValue(path=("query",), value=self.family.query, origin=origin)

    def _default(self, leaf: _Leaf, default: ValueOrigin, overrides: tuple[Overridden, ...]) -> ResolvedValue:
        return ResolvedValue(
            path=leaf.path, value=leaf.value, origin=default, via=self._seed(leaf), overrides=overrides
        )

    def _value(
        self, leaf: _Leaf, written: _Written, kind: OriginKind, overrides: tuple[Overridden, ...]
    ) -> ResolvedValue:
        text, left = _descended(written.key.value, written.rest)
        value, via = leaf.value, list[ValueOrigin]()
        if isinstance(text, str) and leaf.path != ("sql",):  # Jinja has functions of its own in place of references
            value, references = self._followed(text, left, value)
            for reference in references:
                via.append(self._reference(reference, left))
                if reference.kind == "var" and reference.name in self.given:
                    overrides = (*self._declared(reference.name), *overrides)
        return ResolvedValue(
            path=leaf.path,
            value=value,
            origin=ValueOrigin(kind, place=written.place),
            via=(*via, *self._seed(leaf)),
            overrides=overrides,
        )

    def _followed(self, text: str, left: KeyPath, value: Any) -> tuple[Any, tuple[Reference, ...]]:
        """Return how to show a value that is written as a text, and the references in that.

        Args:
            text: what is written.
            left: where the value stands in what the text refers to.
            value: the value as it was validated; references that are filled in late are still in it.
        """
        shown, references = follow(text, self.project.variables, self.environ)
        is_late = isinstance(value, str) and bool(environment_names(value))
        if is_late and left:
            shown, more = follow(value, {}, self.environ)
            references += more
        is_secret = any(reference.kind == "env" and not reference.by_default for reference in references)
        return shown if is_late or is_secret else value, references

    def _reference(self, reference: Reference, left: KeyPath) -> ValueOrigin:
        name = reference.name
        if reference.by_default:
            return ValueOrigin(OriginKind.REFERENCE_DEFAULT, name)
        if reference.kind == "env":
            return ValueOrigin(OriginKind.ENVIRONMENT, name)
        if name in self.given:
            return ValueOrigin(OriginKind.COMMAND_LINE, name)
        return ValueOrigin(OriginKind.VARIABLE, name, self.project.document.place(("vars", name, *left)))

    def _declared(self, name: str) -> tuple[Overridden, ...]:
        """Return the value that the project gives to a variable of `--vars`."""
        declared = Origin(self.project.document, ("vars", name))
        if name not in self.project.spec.vars:
            return ()
        origin = ValueOrigin(OriginKind.VARIABLE, name, declared.place)
        return (Overridden(path=("vars", name), value=self._shown(declared.value), origin=origin),)

    def _overridden(self, written: _Written) -> Overridden:
        key = written.key.path[-1]
        whole = written.key.value if key == "sql" else self._shown(written.key.value)
        value, _ = _descended(whole, written.rest)
        origin = ValueOrigin(self._layer(written.key), place=written.place)
        return Overridden(path=(key, *written.rest), value=value, origin=origin)

    def _seed(self, leaf: _Leaf) -> tuple[ValueOrigin, ...]:
        """Return the family's seed for a random state that the definition leaves open."""
        if leaf.value is not None or leaf.path[-1] != "random_state" or leaf.path[0] not in _CALLS:
            return ()
        place = self.family.place(("seed",)) if "seed" in self.family.origins else None
        return (ValueOrigin(OriginKind.SEED, "seed", place),)

    def _written_at(self, leaf: _Leaf) -> list[_Written]:
        """Return where a value is written, nearest first: in several layers, where they give an item each."""
        key, *rest = leaf.path
        origins = self.family.origins[str(key)]
        match key, rest:
            case "meta", [name, *_]:
                has_it = [name in substituted(o.value, self.project.variables, self.environ) for o in origins]
                return [_Written(o, tuple(rest)) for o, has in zip(origins, has_it, strict=True) if has]
            case "tags", [_]:
                return [written for origin in origins for written in self._tag(origin, leaf.value)]
            case _:
                return [_Written(origins[0], tuple(rest))]

    def _tag(self, origin: Origin, tag: str) -> Iterator[_Written]:
        tags = substituted(origin.value, self.project.variables, self.environ)
        tags = [tags] if isinstance(tags, str) else tags
        if tag in tags:
            yield _Written(origin, (tags.index(tag),))

    def _layer(self, key: Origin) -> OriginKind:
        if key.document is self.project.document:
            return OriginKind.PROJECT_DEFAULT
        return OriginKind.FOLDER_DEFAULT if key.document.file.stem == FOLDER_DEFAULTS else OriginKind.FAMILY

    def _shown(self, value: Any) -> Any:
        """Replace the references in a value but those to the environment."""
        return substituted(value, self.project.variables, references_to(self.environ))


def _descended(value: Any, path: KeyPath) -> tuple[Any, KeyPath]:
    """Follow a path into a value as far as it is written; return what is there and what is left of the path."""
    for depth, part in enumerate(path):
        match value, part:
            case dict(), str() if part in value:
                value = value[part]
            case list(), int() if part < len(value):
                value = value[part]
            case _:
                return value, path[depth:]
    return value, ()
