"""Open a project for a command: read it, learn its classes, compile the selected families."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from modelfactory.commands.cache import cache_folder
from modelfactory.commands.catalog import learn_classes
from modelfactory.commands.project_options import ProjectOptions, store_of
from modelfactory.commands.remembering import remembered_readings
from modelfactory.commands.review import Review, review_revisions, review_store
from modelfactory.commands.schemas import missing_paths, read_schemas
from modelfactory.commands.selecting import EVERYTHING, Choice, choose_families
from modelfactory.commands.states import states_of
from modelfactory.diagnostics import (
    Code,
    Diagnostic,
    InputError,
    NothingSelected,
    Severity,
    did_you_mean,
    input_error,
    warning,
)
from modelfactory.plan.columns import check_columns
from modelfactory.plan.compiler import check_partial, compile_plan
from modelfactory.plan.steps import Plan
from modelfactory.project.classes import ClassFacts
from modelfactory.project.files import find_project_file
from modelfactory.project.loading import Family, Project, load_project
from modelfactory.project.positions import KeyPath
from modelfactory.store.store import Store


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
        review: compares the whole project with an earlier state.
        by_default: name of the selector that chose the families since nothing was given.
        trial: where builds are written, if not to the store of the target.
    """

    project: Project
    facts: Mapping[str, ClassFacts]
    families: tuple[Family, ...]
    plan: Plan
    environ: Mapping[str, str]
    review: Callable[[], Review]
    warnings: tuple[Diagnostic, ...] = ()
    by_default: str | None = None
    trial: Store | None = None

    @cached_property
    def published(self) -> Store:
        """The store of the project's target."""
        return store_of(self.project)

    @property
    def store(self) -> Store:
        """The store that builds are written to: the target's, but for one of which nothing is to become current."""
        return self.published if self.trial is None else self.trial

    def store_with(self, family: str) -> Store:
        """Return the store in which others find a family: that of this build if it is in it, else the target's."""
        return self.store if family in self._by_name else self.published

    def family(self, name: str) -> Family:
        """Return a selected family by name."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Family]:
        return {family.name: family for family in self.families}


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
        choice: Choice = EVERYTHING,
        *,
        may_be_empty: bool = False,
        whole: bool = True,
        columns: bool = False,
    ) -> Workspace:
        """Choose families and compile them.

        Args:
            choice: which families.
            may_be_empty: accept a selection that matches nothing.
            whole: compile the families that are not chosen too, to find their mistakes.
            columns: check the columns of the chosen families against the data, where it can be read without Spark.

        Raises:
            InputError: with every mistake that was found.
            NothingSelected: no family matches.
        """
        project, options = self.project, self.options
        if self.refused:
            choice = EVERYTHING  # whatever is chosen, the mistakes are what is told
        facts = learn_classes(project, cache_folder(options.environ))
        whole_plan = functools.cache(lambda: compile_plan(project, project.families, facts, options.environ))
        review = functools.cache(lambda: self._review(whole_plan, choice.state))
        chosen = choose_families(
            project,
            options.environ,
            choice,
            states=lambda: states_of(review(), [family.name for family in project.families]),
        )
        names = {family.name for family in chosen.families}
        if whole:
            plan, found_by_compiler = whole_plan()
        else:
            compiled = [f for f in project.families if f.name in names or f.name in chosen.unknown]
            plan, found_by_compiler = compile_plan(project, compiled, facts, options.environ)
        more = found_by_compiler + check_partial(project, facts, options.environ)
        more += _missing_packages(project.families)
        if columns:
            more += _check_data(project, chosen.families, plan, facts, options.environ)
        warnings = _unknown_variables(project, options)
        found = (*self.mistakes, *more)
        if _any_error(found):
            # What is wrong may be what should refer to a variable.
            raise InputError(*(d for d in found if d.code != Code.UNUSED_VARIABLE), *warnings)
        if chosen.nothing is not None and not may_be_empty:
            raise NothingSelected(chosen.nothing)
        steps = tuple(step for step in plan.steps if step.family in names)
        warnings = (*found, *chosen.warnings, *warnings)
        return Workspace(
            project=project,
            facts=facts,
            families=chosen.families,
            plan=Plan(steps, plan.defaults),
            environ=options.environ,
            review=review,
            warnings=warnings,
            by_default=chosen.by_default,
        )

    def _review(self, whole_plan: Callable[[], tuple[Plan, list[Diagnostic]]], state: str | None) -> Review:
        """Compare the whole project with an earlier state.

        Args:
            whole_plan: compiles all of its families.
            state: a git revision; the store if None.

        Raises:
            InputError: the project has mistakes, or there is nothing to compare it with.
        """
        project, options = self.project, self.options
        if state is not None and ".." in state:
            message = "`--state` is one revision: the project is compared with it"
            raise input_error(Code.BAD_OPTION, message, help=state.split("..")[0] or None)
        if state is not None:
            return review_revisions(options, state, look_at_store=False)
        plan, mistakes = whole_plan()
        if _any_error((*self.mistakes, *mistakes)):
            raise InputError(*self.mistakes, *mistakes)
        return review_store(project, plan, store_of(project))


def read_project(options: ProjectOptions) -> ReadProject:
    """Read the files of a project.

    Args:
        options: where it is and how to read it.

    Raises:
        InputError: there is no project, or no such target.
    """
    project_file = find_project_file(options.project_dir or Path.cwd(), search_parents=options.project_dir is None)
    with remembered_readings(project_file.parent, options.environ) as readings:
        project, mistakes = load_project(
            project_file,
            target=options.target,
            variables=options.variables,
            environ=options.environ,
            profiles_dir=options.profiles_dir,
            readings=readings,
        )
    return ReadProject(project, mistakes, options)


def open_workspace(
    options: ProjectOptions,
    choice: Choice = EVERYTHING,
    *,
    may_be_empty: bool = False,
    whole: bool = True,
    columns: bool = False,
) -> Workspace:
    """Read, check and compile a project, as `read_project` and `ReadProject.compile` do."""
    return read_project(options).compile(choice, may_be_empty=may_be_empty, whole=whole, columns=columns)


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


def _missing_packages(families: Sequence[Family]) -> list[Diagnostic]:
    """Tell which families ask for a package that is not installed."""
    asking: list[tuple[Family, str, str, KeyPath]] = [
        *((f, "persistence: skops", "skops", ("persistence",)) for f in families if f.spec.persistence == "skops"),
        *(
            (family, "sql", "duckdb", ("tests", index, "sql"))
            for family in families
            for index, test in enumerate(family.spec.tests)
            if test.kind == "sql"
        ),
    ]
    missing = {name for name in {package for _, _, package, _ in asking} if importlib.util.find_spec(name) is None}
    return [
        family.diagnostic(
            Code.NO_PACKAGE,
            f"`{what}` needs {package}, which is not installed",
            path,
            key=package == "duckdb",
            help=f"pip install 'modelfactory-spark[{_EXTRAS[package]}]'",
        )
        for family, what, package, path in asking
        if package in missing
    ]


_EXTRAS = {"skops": "skops", "duckdb": "sql"}
"""The extra that brings a package."""


def _any_error(diagnostics: Iterable[Diagnostic]) -> bool:
    return any(diagnostic.severity == Severity.ERROR for diagnostic in diagnostics)


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


def no_family(name: str, known: Sequence[str]) -> InputError:
    """Return an error that says that a project has no such family.

    Args:
        name: what was asked for.
        known: names of the families that could have been meant.
    """
    return input_error(Code.BAD_OPTION, f"no family `{name}` in the project", help=did_you_mean(name, known))
