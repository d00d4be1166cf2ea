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
from modelfactory.commands.plans import BuildPlan, PlannedFamily
from modelfactory.commands.project_options import ProjectOptions
from modelfactory.commands.provenance import place_of
from modelfactory.commands.report import Reporter
from modelfactory.commands.review import ReviewedChange, known_of
from modelfactory.commands.run import start_run
from modelfactory.commands.selecting import EVERYTHING, Choice
from modelfactory.commands.workspace import Workspace, open_workspace
from modelfactory.diagnostics import Diagnostic, InputError
from modelfactory.plan.comparing import Comparison, Known, compare
from modelfactory.plan.fingerprint import fingerprint
from modelfactory.plan.steps import TrainStep
from modelfactory.store.manifest import Fingerprints, Manifest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from modelfactory.commands.counting import Censuses


_DECIDE_ROWS = frozenset({"sources", "sql", "where", "group_by", "features", "feature_order", "label", "weight"})
"""Keys of the definition that say which rows there are and what is read of them."""


def plan_project(
    options: ProjectOptions,
    reporter: Reporter,
    choice: Choice = EVERYTHING,
    *,
    census: bool = True,
) -> BuildPlan:
    """Tell what a build would do; writes nothing to the store.

    Args:
        options: where the project is and how to read it.
        reporter: hears what happens.
        choice: which families.
        census: count the groups, which starts Spark and reads the data.

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
        return plan_workspace(workspace, libraries)
    with launched(options, reporter, choice, ready=lambda _: None) as launch:
        return plan_workspace(launch.workspace, launch.run.libraries, spark=launch.spark)


def plan_workspace(
    workspace: Workspace, libraries: Mapping[str, str] | None, *, spark: SparkSession | None = None
) -> BuildPlan:
    """Tell what a build of a workspace would do.

    Args:
        workspace: what would be built.
        libraries: versions of what it would be built with; None if they are not known.
        spark: session to count the groups with; None to leave that out.
    """
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    project = workspace.project
    planned, slots = _without_census(workspace, libraries), None
    mistakes: list[Diagnostic] = []
    if spark is not None:
        planned, slots, mistakes = _counted(planned, workspace, spark)
    planned = _after_what_they_read(planned)
    return BuildPlan(
        project=project.spec.name,
        target=project.target_name,
        made_at=made_at,
        slots=slots,
        families=tuple(planned),
        mistakes=tuple(mistakes),
    )


def _after_what_they_read(planned: list[PlannedFamily]) -> list[PlannedFamily]:
    """Take families for changed that read one which is; they come behind it."""
    changed: set[str] = set()
    found = []
    for family in planned:
        if family.action == "repeat" and changed & set(family.waits_for):
            family = dataclasses.replace(family, action="retrain", parents_changed=True)  # noqa: PLW2901
        if family.action != "repeat":
            changed.add(family.name)
        found.append(family)
    return found


def _without_census(workspace: Workspace, libraries: Mapping[str, str] | None) -> list[PlannedFamily]:
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
) -> PlannedFamily:
    family = workspace.family(step.family)
    version = manifest.version() if manifest else None
    differing = _differing(version.libraries, libraries) if version and libraries else {}
    deciding = [change for change in comparison.changes if change.kind.decides_models]
    changed = bool(deciding or comparison.parents_changed or differing)
    return PlannedFamily(
        name=step.family,
        action="create" if version is None else "retrain" if changed else "repeat",
        current=version.number if version else None,
        next_version=1 + (manifest.highest if manifest else 0),
        changes=tuple(
            ReviewedChange.of(change, old_at=None, new_at=place_of(workspace.project, family, change.path))
            for change in comparison.changes
        ),
        parents_changed=comparison.parents_changed,
        data_changed=None,
        libraries=differing,
        groups=None,
        waits_for=tuple(waits_for),
        fingerprints=Fingerprints(
            definition=step.definition_fingerprint,
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
    planned: list[PlannedFamily], workspace: Workspace, spark: SparkSession
) -> tuple[list[PlannedFamily], int, list[Diagnostic]]:
    """Add what a census tells to what is planned."""
    from modelfactory.commands.counting import Censuses
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
        for family in planned:
            try:
                waits = family.name in later
                found.append(family if waits else _with_groups(family, steps[family.name], workspace, censuses, slots))
            except InputError as error:
                mistakes.extend(error.diagnostics)
        return slots

    slots = run_interruptibly(count, cancel=lambda: cancel_jobs(spark))
    return found, slots, mistakes


def _with_groups(
    family: PlannedFamily, step: TrainStep, workspace: Workspace, censuses: Censuses, slots: int
) -> PlannedFamily:
    from modelfactory.commands.accounting import data_fingerprint
    from modelfactory.commands.counting import census_of, measured_before
    from modelfactory.commands.foreseeing import foresee
    from modelfactory.plan.schedule import schedule_groups

    declared = workspace.family(step.family)
    counted = census_of(step, declared, censuses, workspace.environ, lambda: None)
    version = workspace.store.current(step.family)
    measured = measured_before(workspace.store, step, version)
    schedule = schedule_groups(step, counted.census, slots=slots, measured=measured)
    files = [] if version is None else workspace.store.files(step.family, version, "groups")
    data = data_fingerprint(counted)
    comparable = not any(change.path.partition(".")[0] in _DECIDE_ROWS for change in family.changes)
    changed = version is not None and version.fingerprints.data != data if comparable else None
    return dataclasses.replace(
        family,
        action="retrain" if changed and family.action == "repeat" else family.action,
        data_changed=changed,
        groups=foresee(step, counted, schedule, files, slots=slots, comparable=comparable),
        fingerprints=family.fingerprints.model_copy(update={"data": data}),
    )
