"""The plan of a build as data: what would be done with each family and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from modelfactory import __version__
from modelfactory.commands.review import ReviewedChange
from modelfactory.diagnostics import Diagnostic
from modelfactory.plan.outcomes import STANDING
from modelfactory.store.manifest import Fingerprints
from modelfactory.store.saved_plan import SCHEMA

Action = Literal["create", "update", "reuse"]
ACTIONS: tuple[Action, ...] = ("create", "update", "reuse")
HEAVIEST = 3
"""Groups that are named as the ones that take longest."""
EXAMPLES = 10
"""Groups that are named of each reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeavyGroup:
    """One of the groups that are expected to take longest."""

    key: Mapping[str, Any]
    rows: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedGroups:
    """What a census tells of a family's groups.

    Attributes:
        reasons: groups by the `BuildReason` for which they are trained, `unchanged` for those that stand, and
            `vanished` for those of the current version that are gone.
        examples: keys of the first groups of each reason but `unchanged`.
        decided: groups that are not trained by a rule, by the outcome they get.
        rows: rows of the input.
        median_rows: usable rows of the middle one of the groups to train.
        cpu_seconds: processor seconds that fitting is expected to take.
        wall_seconds: the least time that this takes on the slots there are.
        heaviest: the groups that take longest, the longest first.
        with_other_libraries: groups that stand although other libraries trained them.
        vanished_stay: how many of those that are gone are kept.
    """

    reasons: Mapping[str, int]
    examples: Mapping[str, tuple[Mapping[str, Any], ...]]
    decided: Mapping[str, int]
    rows: int
    median_rows: int
    cpu_seconds: float
    wall_seconds: float
    heaviest: tuple[HeavyGroup, ...]
    with_other_libraries: int
    vanished_stay: int

    @property
    def to_train(self) -> int:
        """How many groups are trained."""
        return sum(n for reason, n in self.reasons.items() if reason not in STANDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFamily:
    """What a build would do with a family.

    Attributes:
        name: its name.
        action: `create` the first version, `update` it since something has changed, or `reuse` what is there; without
            a census as far as definition and libraries tell.
        current: number of the current version, if there is one.
        next_version: number that a build would give.
        changes: values of the definition that differ from those of the current version.
        parents_changed: whether a family that it reads has another definition.
        data_changed: whether the rows differ; None if they were not counted, or cannot be compared.
        retrains_on_libraries: whether other libraries are a reason to train.
        libraries: versions that differ from those that trained the current version, old and new.
        groups: what the census tells; None without one.
        waits_for: families of the same plan that it reads: its groups are known once they are built.
        fingerprints: of definition, metadata, parents, data (empty text without a census) and environment.
    """

    name: str
    action: Action
    current: int | None
    next_version: int
    changes: tuple[ReviewedChange, ...]
    parents_changed: bool
    data_changed: bool | None
    retrains_on_libraries: bool
    libraries: Mapping[str, tuple[str | None, str | None]]
    groups: PlannedGroups | None
    waits_for: tuple[str, ...]
    fingerprints: Fingerprints

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it would be built, in words."""
        said = {
            "never built": self.action == "create",
            "definition": bool(self.changes),
            "families it reads": self.parents_changed,
            "data": bool(self.data_changed) and self.action != "create",
            "libraries": bool(self.libraries) and self.retrains_on_libraries,
        }
        return tuple(reason for reason, holds in said.items() if holds)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """What a build would do.

    Attributes:
        project: name of the project.
        target: name of the target.
        made_at: when the plan was made, ISO 8601.
        slots: tasks that Spark runs at once; None without a census.
        families: in the order in which they are built.
        mistakes: what keeps families from being built.
        full_refresh: whether all groups are trained again.
    """

    project: str
    target: str
    made_at: str
    slots: int | None
    families: tuple[PlannedFamily, ...]
    mistakes: tuple[Diagnostic, ...] = ()
    full_refresh: bool = False

    def count(self, action: Action) -> int:
        """Return how many families get this action."""
        return sum(family.action == action for family in self.families)

    @property
    def has_changes(self) -> bool:
        """Whether anything is to be built that is not there already."""
        return any(family.action != "reuse" for family in self.families)


def plan_document(plan: BuildPlan) -> dict[str, Any]:
    """Return a plan as plain data for JSON; `store.saved_plan` reads back what a build needs of it."""
    return {
        "schema": SCHEMA,
        "mf_version": __version__,
        "project": plan.project,
        "target": plan.target,
        "made_at": plan.made_at,
        "slots": plan.slots,
        "full_refresh": plan.full_refresh,
        "summary": {action: plan.count(action) for action in ACTIONS},
        "families": [_family_document(family) for family in plan.families],
        "errors": [mistake.message for mistake in plan.mistakes],
    }


def _family_document(family: PlannedFamily) -> dict[str, Any]:
    groups = family.groups
    return {
        "name": family.name,
        "action": family.action,
        "reasons": list(family.reasons),
        "current_version": family.current,
        "next_version": family.next_version,
        "changes": [change.document() for change in family.changes],
        "parents_changed": family.parents_changed,
        "data_changed": family.data_changed,
        "libraries": {name: {"old": old, "new": new} for name, (old, new) in family.libraries.items()},
        "waits_for": list(family.waits_for),
        "groups": None
        if groups is None
        else {
            "reasons": dict(groups.reasons),
            "examples": {reason: [dict(key) for key in keys] for reason, keys in groups.examples.items()},
            "to_train": groups.to_train,
            "vanished_stay": groups.vanished_stay,
            "with_other_libraries": groups.with_other_libraries,
            "not_trained": dict(groups.decided),
            "rows": groups.rows,
            "median_rows": groups.median_rows,
            "expected_cpu_seconds": groups.cpu_seconds,
            "expected_wall_seconds": groups.wall_seconds,
            "heaviest": [
                {"key": dict(heavy.key), "rows": heavy.rows, "expected_cpu_seconds": heavy.cpu_seconds}
                for heavy in groups.heaviest
            ],
        },
        "fingerprints": family.fingerprints.model_dump(),
    }
