"""See whether anything has moved since a plan was made that a build is to carry out as it stands."""

from __future__ import annotations

from collections.abc import Iterator

from modelfactory.commands.workspace import Workspace
from modelfactory.diagnostics import Code, Diagnostic, InputError, PlanStale, input_error
from modelfactory.project.loading import Project
from modelfactory.store.saved_plan import SavedFamily, SavedPlan


def check_belongs(plan: SavedPlan, project: Project) -> None:
    """See that a plan is one of this project and target.

    Raises:
        InputError: it is of another.
    """
    for what, planned, found in (
        ("project", plan.project, project.spec.name),
        ("target", plan.target, project.target_name),
    ):
        if planned != found:
            raise input_error(Code.BAD_OPTION, f"the plan is of {what} `{planned}`, and this is `{found}`")


def check_unmoved(plan: SavedPlan, workspace: Workspace) -> None:
    """See that definitions and current versions are those that the plan was made from.

    Raises:
        PlanStale: with everything that has moved.
    """
    moved = [diagnostic for family in plan.families for diagnostic in _moved(family, workspace)]
    if moved:
        raise PlanStale(*moved)


def check_libraries(plan: SavedPlan, environment: str) -> None:
    """See that models are trained with the libraries that the plan was made with.

    Args:
        plan: the plan.
        environment: fingerprint of the libraries.

    Raises:
        PlanStale: they are others.
    """
    if any(family.fingerprints.environment not in ("", environment) for family in plan.families):
        raise PlanStale(_stale("the versions of the libraries have changed since the plan was made"))


def check_data(plan: SavedPlan, data: dict[str, str]) -> None:
    """See that the rows are those that the plan was made from.

    Args:
        plan: the plan.
        data: fingerprint of the data of each family that was counted.

    Raises:
        PlanStale: rows of families are others.
    """
    planned = {family.name: family.fingerprints.data for family in plan.families}
    moved = [name for name, found in data.items() if planned[name] not in ("", found)]
    if moved:
        said = "the rows of family `{}` have changed since the plan was made"
        raise PlanStale(*(_stale(said.format(name)) for name in moved))


def _moved(family: SavedFamily, workspace: Workspace) -> Iterator[Diagnostic]:
    step = next((step for step in workspace.plan.steps if step.family == family.name), None)
    if step is None:
        yield _stale(f"family `{family.name}` is not declared any more")
        return
    prints = family.fingerprints
    if (step.definition_fingerprint, step.metadata_fingerprint) != (prints.definition, prints.metadata):
        yield _stale(f"the definition of family `{family.name}` has changed since the plan was made")
    if step.parents_fingerprint != prints.parents:
        yield _stale(f"a family that `{family.name}` reads has changed since the plan was made")
    try:
        version = workspace.store.current(family.name)
    except InputError as error:
        yield from error.diagnostics
        return
    number = version.number if version else None
    if number != family.current_version:
        now = "none" if number is None else f"v{number}"
        then = "none" if family.current_version is None else f"v{family.current_version}"
        yield _stale(f"the current version of family `{family.name}` is {now}, and was {then} when the plan was made")


def _stale(message: str) -> Diagnostic:
    return Diagnostic(code=Code.PLAN_STALE, message=message, help="`mf plan` makes a new one; nothing was built")
