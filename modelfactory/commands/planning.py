"""`mf plan`: what a build would do and why, from the definitions, the store, and a census of the data."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from modelfactory.commands.interrupt import run_interruptibly
from modelfactory.commands.launching import launched
from modelfactory.commands.opening import open_inputs
from modelfactory.commands.plans import Action, BuildPlan, PlannedFamily, PlannedGroups
from modelfactory.commands.project_options import ProjectOptions
from modelfactory.commands.provenance import place_of
from modelfactory.commands.report import Reporter
from modelfactory.commands.review import ReviewedChange, known_of
from modelfactory.commands.run import start_run
from modelfactory.commands.scope import Scope
from modelfactory.commands.selecting import EVERYTHING, Choice
from modelfactory.commands.workspace import Workspace, open_workspace
from modelfactory.diagnostics import Diagnostic, InputError
from modelfactory.plan.comparing import Comparison, Known, compare
from modelfactory.plan.fingerprint import fingerprint
from modelfactory.plan.outcomes import BuildReason
from modelfactory.plan.steps import TrainStep
from modelfactory.store.manifest import Fingerprints, Manifest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from modelfactory.commands.work import Work


def plan_project(
    options: ProjectOptions,
    reporter: Reporter,
    choice: Choice = EVERYTHING,
    *,
    census: bool = True,
    full_refresh: bool = False,
) -> BuildPlan:
    """Tell what a build would do; writes nothing to the store.

    Args:
        options: where the project is and how to read it.
        reporter: hears what happens.
        choice: which families.
        census: count the groups, which starts Spark and reads the data.
        full_refresh: of a build that trains all groups again.

    Raises:
        InputError: the project has mistakes, the store cannot be read, or Spark cannot be used.
        NothingSelected: no family matches.
    """
    from modelfactory.spark.settings import is_embedded

    if not census:
        workspace = open_workspace(options, choice)
        reporter.opened(workspace)
        # What the workers of a cluster have is known once they are asked.
        known = is_embedded(workspace.project.target)
        libraries = start_run(workspace.project.root).libraries if known else None
        return plan_workspace(workspace, libraries, full_refresh=full_refresh)
    with launched(options, reporter, choice, ready=lambda _: None) as launch:
        libraries = launch.run.libraries
        return plan_workspace(launch.workspace, libraries, spark=launch.spark, full_refresh=full_refresh)


def plan_workspace(
    workspace: Workspace,
    libraries: Mapping[str, str] | None,
    *,
    spark: SparkSession | None = None,
    full_refresh: bool = False,
) -> BuildPlan:
    """Tell what a build of a workspace would do.

    Args:
        workspace: what would be built.
        libraries: versions of what it would be built with; None if they are not known.
        spark: session to count the groups with; None to leave that out.
        full_refresh: whether the build would train all groups again.
    """
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    project = workspace.project
    planned, slots = _without_census(workspace, libraries, full_refresh=full_refresh), None
    mistakes: list[Diagnostic] = []
    if spark is not None:
        scope = Scope(full_refresh=full_refresh)
        planned, slots, mistakes = _counted(planned, workspace, spark, libraries or {}, scope)
    planned = _after_what_they_read(planned)
    return BuildPlan(
        project=project.spec.name,
        target=project.target_name,
        made_at=made_at,
        slots=slots,
        families=tuple(planned),
        mistakes=tuple(mistakes),
        full_refresh=full_refresh,
    )


def _after_what_they_read(planned: list[PlannedFamily]) -> list[PlannedFamily]:
    """Take families for changed that read one which is; they come behind it."""
    changed: set[str] = set()
    found = []
    for family in planned:
        if family.action == "reuse" and changed & set(family.waits_for):
            family = dataclasses.replace(family, action="update", parents_changed=True)  # noqa: PLW2901
        if family.action != "reuse":
            changed.add(family.name)
        found.append(family)
    return found


def _without_census(
    workspace: Workspace, libraries: Mapping[str, str] | None, *, full_refresh: bool
) -> list[PlannedFamily]:
    steps = workspace.plan.steps
    manifests = {step.family: workspace.store.manifest(step.family) for step in steps}
    versions = {name: manifest.version() if manifest else None for name, manifest in manifests.items()}
    old = {name: known_of(version) for name, version in versions.items() if version}
    compared = compare(old, {step.family: Known.of(step) for step in steps}, former_names={})
    return [
        _planned(
            workspace,
            step,
            comparison,
            manifests[step.family],
            libraries,
            [ref for ref in step.refs if ref in versions],
            full_refresh=full_refresh,
        )
        for step, comparison in zip(steps, compared, strict=True)
    ]


def _planned(
    workspace: Workspace,
    step: TrainStep,
    comparison: Comparison,
    manifest: Manifest | None,
    libraries: Mapping[str, str] | None,
    waits_for: Sequence[str],
    *,
    full_refresh: bool,
) -> PlannedFamily:
    family = workspace.family(step.family)
    version = manifest.version() if manifest else None
    differing = _differing(version.libraries, libraries) if version and libraries else {}
    retrains = "environment" in step.retrain_on
    changed = bool(comparison.changes or comparison.parents_changed or (differing and retrains) or full_refresh)
    return PlannedFamily(
        name=step.family,
        action="create" if version is None else "update" if changed else "reuse",
        current=version.number if version else None,
        next_version=1 + (manifest.highest if manifest else 0),
        changes=tuple(
            ReviewedChange.of(change, old_at=None, new_at=place_of(workspace.project, family, change.path))
            for change in comparison.changes
        ),
        parents_changed=comparison.parents_changed,
        data_changed=None,
        retrains_on_libraries=retrains,
        libraries=differing,
        groups=None,
        waits_for=tuple(waits_for),
        fingerprints=Fingerprints(
            definition=step.definition_fingerprint,
            fit=step.fit_fingerprint,
            metadata=step.metadata_fingerprint,
            parents=step.parents_fingerprint,
            data="",
            environment=fingerprint(dict(libraries)) if libraries else "",
        ),
    )


def _differing(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, tuple[str | None, str | None]]:
    names = dict.fromkeys([*old, *new])
    return {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}


# With a census -------------------------------------------------------------------------------------------------------


def _counted(
    planned: list[PlannedFamily],
    workspace: Workspace,
    spark: SparkSession,
    libraries: Mapping[str, str],
    scope: Scope,
) -> tuple[list[PlannedFamily], int, list[Diagnostic]]:
    """Add what a census tells to what is planned."""
    from modelfactory.commands.counting import Censuses, census_of
    from modelfactory.commands.foreseeing import foresee
    from modelfactory.commands.work import work_of
    from modelfactory.spark.session import cancel_jobs, pin_settings, slots_of

    steps = {step.family: step for step in workspace.plan.steps}
    later = {family.name for family in planned if family.waits_for}
    found: list[PlannedFamily] = []
    mistakes: list[Diagnostic] = []

    def count(_: threading.Event) -> int:
        pin_settings(spark)
        inputs = open_inputs(spark, workspace, later=later)
        censuses = Censuses([step for step in steps.values() if step.family not in later], inputs)
        slots = slots_of(spark)
        packages = frozenset(workspace.project.spec.estimator_packages)
        for family in planned:
            if family.name in later:
                found.append(family)
                continue
            step = steps[family.name]
            try:
                counted = census_of(step, workspace.family(family.name), censuses, workspace.environ, lambda: None)
                table = inputs[family.name]
                work = work_of(
                    workspace.store, step, table, counted, libraries, slots=slots, scope=scope, packages=packages
                )
            except InputError as error:
                mistakes.extend(error.diagnostics)
            else:
                found.append(_with_groups(family, work, foresee(work, slots=slots)))
        return slots

    slots = run_interruptibly(count, cancel=lambda: cancel_jobs(spark))
    return found, slots, mistakes


def _with_groups(family: PlannedFamily, work: Work, groups: PlannedGroups) -> PlannedFamily:
    """Add what becomes of the groups; where all stand as they are, so does the family."""
    action: Action = "create" if family.current is None else "reuse" if work.nothing_to_do else "update"
    by_data = {str(reason) for reason in (BuildReason.NEW, BuildReason.DATA, BuildReason.VANISHED)}
    return dataclasses.replace(
        family,
        action=action,
        data_changed=bool(by_data & groups.reasons.keys()),
        groups=groups,
        fingerprints=family.fingerprints.model_copy(update={"data": work.data}),
    )
