"""`mf diff`: what a change of the project's files means for its families."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from modelfactory.commands.cache import cache_folder
from modelfactory.commands.catalog import learn_classes
from modelfactory.commands.project_options import ProjectOptions, store_of
from modelfactory.commands.provenance import place_of
from modelfactory.commands.remembering import remembered_readings
from modelfactory.commands.revisions import files_at, revisions_of
from modelfactory.diagnostics import Code, Diagnostic, InputError, Place, Severity
from modelfactory.plan.comparing import Comparison, FamilyChange, Known, compare
from modelfactory.plan.compiler import compile_plan
from modelfactory.plan.meaning import MISSING, Change, ChangeKind, Meaning
from modelfactory.plan.steps import Plan, TrainStep
from modelfactory.project.files import Readings, find_project_file
from modelfactory.project.graph import Graph
from modelfactory.project.loading import Family, Project, load_project, load_target
from modelfactory.store.manifest import VersionRecord
from modelfactory.store.store import Store

WORKING_TREE, STORE = "working tree", "store"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedChange:
    """One value that differs, and where it is written on both sides.

    Attributes:
        path: where it stands, in the words of the definition.
        old: what it was; `plan.meaning.MISSING` if there was none.
        new: what it is; the same.
        kind: what the change asks for.
        old_at: where the old value is written.
        new_at: where the new value is written.
    """

    path: str
    old: Any
    new: Any
    kind: ChangeKind
    old_at: Place | None
    new_at: Place | None

    @classmethod
    def of(cls, change: Change, *, old_at: Place | None, new_at: Place | None) -> ReviewedChange:
        """Give a change its places."""
        path = ".".join(change.path)
        return cls(path=path, old=change.old, new=change.new, kind=change.kind, old_at=old_at, new_at=new_at)

    def document(self) -> dict[str, Any]:
        """Return the change as plain data for JSON; a side that has no value has no key."""
        sides = (("old", self.old), ("new", self.new))
        return {
            "path": self.path,
            **{key: value for key, value in sides if value is not MISSING},
            "kind": str(self.kind),
            "old_at": self.old_at.shown if self.old_at else None,
            "new_at": self.new_at.shown if self.new_at else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What the store has of a family.

    Attributes:
        version: number of the current version.
        groups: groups of its census.
        models: groups that have a model.
        metrics: median of each metric.
        cpu_seconds: processor seconds inside `fit`.
        expected_cpu_seconds: the same of the changed definition, by the rule of thumb; None if it trains nothing anew.
    """

    version: int
    groups: int
    models: int
    metrics: Mapping[str, float]
    cpu_seconds: float
    expected_cpu_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyReview:
    """A family that differs.

    Attributes:
        name: its name.
        former: the name it had, if that was another.
        change: what became of it.
        kind: the gravest thing that the change asks for.
        changes: the values that differ.
        parents_changed: whether a family that it reads has another definition.
        like: a family on the other side that means the same; a rename perhaps.
        owner: who answers for it.
        at: where it is declared, or was if it is gone.
        dependents: families that read its groups or that it stands in for, and those behind them.
        trained: what the store has of it.
    """

    name: str
    former: str | None
    change: FamilyChange
    kind: ChangeKind | None
    changes: tuple[ReviewedChange, ...]
    parents_changed: bool
    like: str | None
    owner: str | None
    at: Place | None
    dependents: tuple[str, ...]
    trained: Trained | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """All that differs between two sides of a project.

    Attributes:
        project: its name.
        base: what is compared with.
        head: what is compared.
        families: the families that differ.
        unchanged: how many do not.
        base_mistakes: what is wrong with the files of the base; families that cannot be read there count as changed.
        store_problem: why the store was not looked at, if it was to be.
    """

    project: str
    base: str
    head: str
    families: tuple[FamilyReview, ...]
    unchanged: int
    base_mistakes: tuple[Diagnostic, ...] = ()
    store_problem: InputError | None = None

    def count(self, kind: ChangeKind) -> int:
        """Return how many families have a change of which this kind is the gravest."""
        return sum(family.kind == kind for family in self.families)


UNREADABLE = Known(meaning=None, definition="", metadata="", parents="")
"""What is known of a family whose definition has a mistake."""


@dataclass(frozen=True)
class _Side:
    """A project as it is in one place, with its steps."""

    project: Project
    steps: Mapping[str, TrainStep]
    mistakes: tuple[Diagnostic, ...]

    @property
    def known(self) -> dict[str, Known]:
        """What is known of every family that is declared, even with a mistake."""
        declared = [*(family.name for family in self.project.families), *(self.project.broken_families or ())]
        return dict.fromkeys(declared, UNREADABLE) | {name: Known.of(step) for name, step in self.steps.items()}

    @cached_property
    def families(self) -> dict[str, Family]:
        return {family.name: family for family in self.project.families}

    @cached_property
    def graph(self) -> Graph:
        nodes = tuple(self.steps)
        parents = {name: tuple(p for p in step.parents if p in self.steps) for name, step in self.steps.items()}
        return Graph(nodes, parents)

    def dependents(self, name: str) -> tuple[str, ...]:
        """Return the families that depend on one, and those behind them, in the order of the plan."""
        found = self.graph.descendants(name)
        return tuple(node for node in self.graph.nodes if node in found)


def review_revisions(options: ProjectOptions, written: str, *, look_at_store: bool | None = None) -> Review:
    """Compare a project with a git revision, or two revisions of it, from git's trees alone.

    Args:
        options: where the project is and how to read it.
        written: `A`, `A..B` or `A...B`; see `commands.revisions`.
        look_at_store: tell what the store has of the families too; None does so where it is a folder that exists.

    Raises:
        InputError: git cannot give the revisions, or the side that is to be reviewed has mistakes.
    """
    root = find_project_file(options.project_dir or Path.cwd(), search_parents=options.project_dir is None).parent
    base, head = revisions_of(root, written)
    with ExitStack() as stack:
        # Most files are the same on both sides.
        readings = stack.enter_context(remembered_readings(root, options.environ))
        old, base_mistakes = _read_base(stack.enter_context(files_at(root, base)), options, readings)
        new = _read(root if head is None else stack.enter_context(files_at(root, head)), options, readings)
        if any(mistake.severity == Severity.ERROR for mistake in new.mistakes):
            raise InputError(*new.mistakes)
        names = {name: tuple(new.project.former_names(name)) for name in new.project.moved}
        before = old.known if old else {}
        # Where a file cannot be read, what seems to be new may be in it.
        if old.project.broken_families is None if old else base_mistakes:
            before = {name: UNREADABLE for name in new.steps if not names.get(name)} | before
        compared = compare(before, new.known, former_names=names)
        store, problem = _store(root, new.project, options, look_at_store)
        families = [_reviewed(c, old, new, store) for c in compared if c.change != "unchanged"]
    return Review(
        project=new.project.spec.name,
        base=base.shown,
        head=WORKING_TREE if head is None else head.shown,
        families=_gravest_first(families),
        unchanged=len(compared) - len(families),
        base_mistakes=base_mistakes,
        store_problem=problem,
    )


def review_store(project: Project, plan: Plan, store: Store) -> Review:
    """Compare a project with what was published of it.

    Args:
        project: the project.
        plan: the steps of all its families.
        store: where they are published.

    Raises:
        InputError: the store cannot be read.
    """
    steps = {step.family: step for step in plan.steps}
    former = {name for family in steps for name in project.former_names(family)}
    versions = {
        name: version for name in {*steps, *store.place.folders("")} - former if (version := store.current(name))
    }
    new = _Side(project, steps, ())
    compared = compare({name: known_of(v) for name, v in versions.items()}, new.known, former_names={})
    families = [_reviewed(c, None, new, store) for c in compared if c.change != "unchanged"]
    return Review(
        project=project.spec.name,
        base=STORE,
        head=WORKING_TREE,
        families=_gravest_first(families),
        unchanged=len(compared) - len(families),
    )


def known_of(version: VersionRecord) -> Known:
    """Return what a published version tells of its family's definition."""
    kept = version.meaning
    prints = version.fingerprints
    return Known(
        meaning=None if kept is None else Meaning(models=kept.models, tests=kept.tests, metadata=kept.metadata),
        definition=prints.definition,
        metadata=prints.metadata,
        parents=prints.parents,
    )


def _read_base(
    folder: Path, options: ProjectOptions, readings: Readings
) -> tuple[_Side | None, tuple[Diagnostic, ...]]:
    """Return the side that is compared with, None if it has no project that can be read, and what is wrong with it."""
    try:
        side = _read(folder, options, readings)
    except InputError as error:
        missing = all(diagnostic.code == Code.NO_PROJECT for diagnostic in error.diagnostics)
        return None, () if missing else error.diagnostics
    return side, side.mistakes


def _read(folder: Path, options: ProjectOptions, readings: Readings) -> _Side:
    """Read a project without its profiles: what a review tells needs no secret."""
    project, mistakes = load_project(
        find_project_file(folder, search_parents=False),
        target=options.target,
        variables=options.variables,
        environ=options.environ,
        profiles=False,
        unset=True,
        readings=readings,
    )
    facts = learn_classes(project, cache_folder(options.environ))
    plan, more = compile_plan(project, project.families, facts, options.environ)
    return _Side(project, {step.family: step for step in plan.steps}, (*mistakes, *more))


def _store(
    root: Path, project: Project, options: ProjectOptions, wanted: bool | None
) -> tuple[Store | None, InputError | None]:
    """Return the store if it is to be looked at and can be, or else why it cannot."""
    if wanted is False:
        return None, None
    try:
        project = dataclasses.replace(project, root=root)
        target = load_target(project, environ=options.environ, profiles_dir=options.profiles_dir)
        store = store_of(dataclasses.replace(project, target=target))
    except InputError as error:
        return None, error if wanted else None
    if wanted:
        try:
            store.place.folders("")
        except InputError as error:
            return None, error
    local = isinstance(store.root, Path)
    return (store, None) if wanted or (local and Path(store.root).is_dir()) else (None, None)


def _reviewed(comparison: Comparison, old: _Side | None, new: _Side, store: Store | None) -> FamilyReview:
    """Describe a family; `old` is None where the old side has no files."""
    name, before = comparison.family, comparison.former or comparison.family
    was, now = old.families.get(before) if old else None, new.families.get(name)
    former_step = old.steps.get(before) if old else None
    step = new.steps.get(name) or former_step
    declared = now or was
    return FamilyReview(
        name=name,
        former=comparison.former,
        change=comparison.change,
        kind=comparison.kind,
        changes=tuple(
            ReviewedChange.of(
                change,
                old_at=None if was is None or old is None else place_of(old.project, was, change.path),
                new_at=None if now is None else place_of(new.project, now, change.path),
            )
            for change in comparison.changes
        ),
        parents_changed=comparison.parents_changed,
        like=comparison.like,
        owner=step.meaning.metadata.get("owner") if step else None,
        at=None if declared is None else declared.origin.place,
        dependents=(new if now or old is None else old).dependents(name),
        trained=None if store is None else _trained(store, comparison, former_step, new.steps.get(name)),
    )


def _gravest_first(families: Iterable[FamilyReview]) -> tuple[FamilyReview, ...]:
    order = [*ChangeKind, None]
    return tuple(sorted(families, key=lambda family: order.index(family.kind)))


def _trained(store: Store, comparison: Comparison, old: TrainStep | None, new: TrainStep | None) -> Trained | None:
    name = comparison.family
    try:
        version = store.current(name) or (store.current(comparison.former) if comparison.former else None)
    except InputError:
        return None  # `mf ls` tells what is wrong with it
    if version is None:
        return None
    expected = None
    if comparison.kind is not None and comparison.kind.decides_models and old is not None and new is not None:
        from modelfactory.plan.costs import relative_cost  # NumPy is for those who have models

        models = max(version.own_groups, 1)
        rows = (version.rows - version.rows_without_label) / models
        expected = version.cpu_seconds * relative_cost(old.fit, new.fit, rows)
    return Trained(
        version=version.number,
        groups=sum(version.statuses.values()),
        models=version.own_groups,
        metrics={metric: q.median for metric, q in version.metrics.items()},
        cpu_seconds=version.cpu_seconds,
        expected_cpu_seconds=expected,
    )
