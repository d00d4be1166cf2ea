"""Choose the families of a command by `--select`, `--exclude` and `--selector`."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelfactory.diagnostics import (
    Code,
    Diagnostic,
    InputError,
    Place,
    Position,
    Severity,
    did_you_mean,
    input_error,
    warning,
)
from modelfactory.plan.graph import project_graph
from modelfactory.project.graph import Graph
from modelfactory.project.loading import Family, Project
from modelfactory.project.named import NamedSelector
from modelfactory.project.selection import Selected, Told, select_nodes, selectables
from modelfactory.project.selectors import Expression, parse_options

RUN_RESULTS = "run_results.json"
RUN_RESULTS_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which families a command is to work on; all of them if nothing is given.

    Attributes:
        select: selectors.
        exclude: selectors of families to leave out.
        selector: name of a selector; then the others are ignored, as in dbt.
        by_default: whether the project's default selector counts where none of them is given.
        state: git revision that `state:` compares with; the store if None.
        only: names of the families, instead of all selectors.
    """

    select: Sequence[str] = ()
    exclude: Sequence[str] = ()
    selector: str | None = None
    by_default: bool = False
    state: str | None = None
    only: Collection[str] | None = None


EVERYTHING = Choice()


@dataclass(frozen=True, slots=True)
class Chosen:
    """The families that a command is to work on.

    Attributes:
        families: in the order of the project.
        unknown: names of families whose SQL cannot be rendered, so that nobody can tell whether they are meant; empty
            if it did not matter.
        nothing: why there is no family, if there is none.
        warnings: what is not wrong but probably not meant.
        by_default: name of the selector that counted since nothing was given.
    """

    families: tuple[Family, ...]
    unknown: frozenset[str] = frozenset()
    nothing: Diagnostic | None = None
    warnings: tuple[Diagnostic, ...] = ()
    by_default: str | None = None


def choose_families(
    project: Project, environ: Mapping[str, str], choice: Choice, *, states: Told | None = None
) -> Chosen:
    """Choose families.

    Args:
        project: the project.
        environ: the environment.
        choice: which are wanted.
        states: what `state:` compares with; see `project.selection`.

    Raises:
        InputError: a selector cannot be read, or needs what there is not.
    """
    if choice.only is not None:
        return Chosen(tuple(family for family in project.families if family.name in choice.only))
    select, exclude, selector = choice.select, choice.exclude, choice.selector
    named = None
    if selector is not None or (choice.by_default and not select and not exclude):
        named = _named(project, selector)
    include = named.expression if named else parse_options(select, option="--select") if select else None
    without = parse_options(exclude, option="--exclude") if exclude and not named else None
    if not project.families or (include is None and without is None):
        return Chosen(project.families, nothing=None if project.families else _no_family(project))
    found, unknown = _selected(project, environ, include, without, states)
    names = set(found.families)
    nothing = None if names else _nothing(named, select, exclude, found).hiding(project.shown_as)
    warnings = [warning(Code.UNMATCHED, f"`{part.text}` matches no family", help=part.help) for part in found.unmatched]
    if selector is not None and (select or exclude):
        warnings.append(warning(Code.BAD_OPTION, "beside `--selector`, `--select` and `--exclude` are ignored"))
    if nothing is not None and not warnings:
        warnings.append(dataclasses.replace(nothing, severity=Severity.WARNING))
    return Chosen(
        families=tuple(family for family in project.families if family.name in names),
        unknown=unknown,
        nothing=nothing,
        warnings=tuple(diagnostic.hiding(project.shown_as) for diagnostic in warnings),
        by_default=named.name if named and selector is None else None,
    )


def _named(project: Project, name: str | None) -> NamedSelector | None:
    """Return a named selector; the default, if there is one, where no name is given.

    Raises:
        InputError: there is no selector of that name.
    """
    if name is None:
        return next((selector for selector in project.selectors.values() if selector.default), None)
    if name not in project.selectors:
        near = did_you_mean(name, list(project.selectors)) or "`selectors.yml` declares them"
        place = Place(file="--selector", position=Position(1, 1, max(len(name), 1)), source_line=name)
        message = f"there is no selector `{name}`"
        raise InputError(Diagnostic(code=Code.BAD_OPTION, message=message, place=place, help=near))
    return project.selectors[name]


def _selected(
    project: Project,
    environ: Mapping[str, str],
    include: Expression | None,
    exclude: Expression | None,
    states: Told | None,
) -> tuple[Selected, frozenset[str]]:
    unknown: set[str] = set()

    def graph() -> Graph:
        found, broken = project_graph(project, environ)
        unknown.update(broken)
        return found

    found = select_nodes(
        selectables(project),
        include,
        exclude,
        named={name: selector.expression for name, selector in project.selectors.items()},
        graph=graph,
        states=states,
        results=functools.partial(last_results, project.root),
    )
    return found, frozenset(unknown)


def _no_family(project: Project) -> Diagnostic:
    return Diagnostic(
        code=Code.NOTHING_SELECTED,
        message="the project has no families",
        help=f"declare one in {' or '.join(f'`{p}/`' for p in project.spec.family_paths)}",
    )


def _nothing(named: NamedSelector | None, select: Sequence[str], exclude: Sequence[str], found: Selected) -> Diagnostic:
    """Say why there is no family, and what could have been meant."""
    wanted, unwanted = " ".join(select).strip(), " ".join(exclude).strip()
    if named is not None:
        message = f"selector `{named.name}` matches no family"
    elif select and not wanted:
        message = "the selection is empty"
    elif not wanted:
        message = "every family is excluded"
    else:
        message = f"no family matches `{wanted}`" + (f" and not `{unwanted}`" if unwanted else "")
    hint = next((part.help for part in found.unmatched if part.help), None)
    if wanted and found.sources and f"source:{found.sources[0]}+" not in wanted:
        hint = f"`source:{found.sources[0]}+` selects the families that read it"
    return Diagnostic(code=Code.NOTHING_SELECTED, message=message, help=hint)


def last_results(root: Path) -> Mapping[str, frozenset[str]] | None:
    """Return by family the statuses that it and its groups had in the project's last run; None before the first.

    Raises:
        InputError: the results cannot be read.
    """
    files = sorted((root / "target" / "runs").glob(f"*/{RUN_RESULTS}"))  # the name of a run begins with its time
    if not files:
        return None
    name = str(files[-1].relative_to(root))
    try:
        document = json.loads(files[-1].read_text(encoding="utf-8"))
        if document["schema"] > RUN_RESULTS_SCHEMA:
            message = "the results were written by a later release of mf"
            raise input_error(Code.UNREADABLE, message, file=name)
        return {
            result["family"]: frozenset(
                {result["status"], *(status for status, count in result["groups"].items() if count)}
            )
            for result in document["results"]
        }
    except OSError as error:
        raise input_error(Code.UNREADABLE, f"cannot read the file: {error.strerror}", file=name) from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise input_error(Code.UNREADABLE, "the file holds no results of a run", file=name) from None
