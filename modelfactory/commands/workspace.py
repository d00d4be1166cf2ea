"""Open a project for a command: read it, learn its classes, compile the selected families."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from modelfactory.commands.catalog import cache_folder, learn_classes
from modelfactory.commands.schemas import missing_paths, read_schemas
from modelfactory.diagnostics import (
    Code,
    Diagnostic,
    InputError,
    NothingSelected,
    Severity,
    did_you_mean,
    warning,
)
from modelfactory.plan.columns import check_columns
from modelfactory.plan.compiler import check_partial, compile_plan
from modelfactory.plan.steps import Plan
from modelfactory.project.classes import ClassFacts
from modelfactory.project.files import find_project_file
from modelfactory.project.loading import Family, Project, load_project
from modelfactory.project.selection import select_families, unmatched_terms
from modelfactory.store.store import Store, store_at


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectOptions:
    """Options that every command on a project takes.

    Attributes:
        project_dir: folder of the project; here or the nearest parent if None.
        target: name of the target; the project's own if None.
        variables: values of `--vars`.
        profiles_dir: folder of `profiles.yml`.
        environ: the environment.
    """

    project_dir: Path | None = None
    target: str | None = None
    variables: Mapping[str, Any]
    profiles_dir: Path | None = None
    environ: Mapping[str, str]


@dataclass(frozen=True)
class Workspace:
    """A valid project with its plan.

    Attributes:
        project: the project.
        facts: what is known of its estimator classes.
        families: the selected families.
        plan: their steps, in the same order.
        environ: the environment.
        warnings: what is not wrong but probably not meant.
    """

    project: Project
    facts: Mapping[str, ClassFacts]
    families: tuple[Family, ...]
    plan: Plan
    environ: Mapping[str, str]
    warnings: tuple[Diagnostic, ...] = ()

    @cached_property
    def store(self) -> Store:
        """The store of the project's target."""
        return store_of(self.project)

    def family(self, name: str) -> Family:
        """Return a selected family by name."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Family]:
        return {family.name: family for family in self.families}


def store_of(project: Project) -> Store:
    """Return the store of a project's target.

    Raises:
        InputError: no store can stand at its URL.
    """
    return store_at(project.target.store, base=project.root)


@dataclass(frozen=True, slots=True)
class ReadProject:
    """A project whose files are read and whose families are not compiled yet.

    Attributes:
        project: what could be read.
        mistakes: what is wrong with the files, and warnings.
        options: how it was read.
    """

    project: Project
    mistakes: Sequence[Diagnostic]
    options: ProjectOptions

    @property
    def refused(self) -> bool:
        """Whether the files are wrong, so that `compile` raises."""
        return _any_error(self.mistakes)

    def compile(
        self,
        *,
        select: Sequence[str] = (),
        exclude: Sequence[str] = (),
        may_be_empty: bool = False,
        whole: bool = True,
        columns: bool = False,
    ) -> Workspace:
        """Choose families and compile them.

        Args:
            select: selectors; all families if empty.
            exclude: selectors of families to leave out.
            may_be_empty: accept a selection that matches nothing.
            whole: compile the families that are not chosen too, to find their mistakes.
            columns: check the columns of the chosen families against the data, where it can be read without Spark.

        Raises:
            InputError: with every mistake that was found.
            NothingSelected: no family matches.
        """
        project, options = self.project, self.options
        facts = learn_classes(project, cache_folder(options.environ))
        chosen = select_families(project.families, select, exclude)
        plan, more = compile_plan(project, project.families if whole else chosen, facts, options.environ)
        more += check_partial(project, facts, options.environ)
        if columns:
            more += _check_data(project, chosen, plan, facts, options.environ)
        warnings = _unknown_variables(project, options)
        found = (*self.mistakes, *more)
        if _any_error(found):
            # What is wrong may be what should refer to a variable.
            raise InputError(*(d for d in found if d.code != Code.UNUSED_VARIABLE), *warnings)
        if not chosen and not may_be_empty:
            raise NothingSelected(_nothing(project, select))
        names = {family.name for family in chosen}
        steps = tuple(step for step in plan.steps if step.family in names)
        warnings = (*found, *_unmatched(project, select), *_unmatched(project, exclude), *warnings)
        return Workspace(project, facts, chosen, Plan(steps, plan.defaults), options.environ, warnings)


def read_project(options: ProjectOptions) -> ReadProject:
    """Read the files of a project.

    Args:
        options: where it is and how to read it.

    Raises:
        InputError: there is no project, or no such target.
    """
    project_file = find_project_file(options.project_dir or Path.cwd(), search_parents=options.project_dir is None)
    project, mistakes = load_project(
        project_file,
        target=options.target,
        variables=options.variables,
        environ=options.environ,
        profiles_dir=options.profiles_dir,
    )
    return ReadProject(project, mistakes, options)


def open_workspace(
    options: ProjectOptions,
    *,
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
    may_be_empty: bool = False,
    whole: bool = True,
    columns: bool = False,
) -> Workspace:
    """Read, check and compile a project, as `read_project` and `ReadProject.compile` do."""
    return read_project(options).compile(
        select=select, exclude=exclude, may_be_empty=may_be_empty, whole=whole, columns=columns
    )


def _check_data(
    project: Project,
    families: Sequence[Family],
    plan: Plan,
    facts: Mapping[str, ClassFacts],
    environ: Mapping[str, str],
) -> list[Diagnostic]:
    """Check the sources that families read, and the columns that these take of them."""
    names = {family.name for family in families}
    read = {source.name for step in plan.steps if step.family in names for source in step.sources}
    read |= project.sources.keys() & {family.spec.source for family in families}
    missing = missing_paths(project, sorted(read), environ)
    schemas = read_schemas(project, sorted(read), environ)
    found = check_columns(project, families, facts, schemas)
    return [diagnostic.hiding(project.shown_as) for diagnostic in (*missing, *found)]


def _any_error(diagnostics: Iterable[Diagnostic]) -> bool:
    return any(diagnostic.severity == Severity.ERROR for diagnostic in diagnostics)


def _unmatched(project: Project, selectors: Sequence[str]) -> tuple[Diagnostic, ...]:
    return tuple(
        warning(Code.UNMATCHED, f"`{term}` matches no family", help=_near(project, term))
        for term in unmatched_terms(project.families, selectors)
    )


def _unknown_variables(project: Project, options: ProjectOptions) -> tuple[Diagnostic, ...]:
    declared = list(project.spec.vars)
    return tuple(
        warning(
            Code.UNDECLARED_VARIABLE,
            f"variable `{name}` is not one of the project's `vars`",
            help=did_you_mean(name, declared),
        )
        for name in options.variables
        if name not in declared
    )


def _near(project: Project, term: str) -> str | None:
    """Return the nearest thing that a term could have meant."""
    method, _, value = term.rpartition(":")
    known = {
        "tag": [tag for family in project.families for tag in family.spec.tags],
        "path": [family.path for family in project.families],
    }.get(method, [family.name for family in project.families])
    return did_you_mean(value, list(dict.fromkeys(known)))


def _nothing(project: Project, select: Sequence[str]) -> Diagnostic:
    names = [family.name for family in project.families]
    if not names:
        return Diagnostic(
            code=Code.NOTHING_SELECTED,
            message="the project has no families",
            help=f"declare one in {' or '.join(f'`{p}/`' for p in project.spec.family_paths)}",
        )
    written = " ".join(select)
    if select and not written.strip():
        return Diagnostic(code=Code.NOTHING_SELECTED, message="the selection is empty")
    return Diagnostic(
        code=Code.NOTHING_SELECTED,
        message=f"no family matches `{written}`" if written else "every family is excluded",
        help=_near(project, written),
    )
