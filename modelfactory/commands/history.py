"""`mf rollback`, `mf prune` and `mf diff --versions`: what stands in the store, whatever the definitions say now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelfactory.commands.project_options import ProjectOptions, store_of
from modelfactory.commands.review import ReviewedChange, known_of
from modelfactory.commands.workspace import Workspace, no_family, read_project
from modelfactory.diagnostics import Code, InputError, MfError, input_error
from modelfactory.plan.comparing import compare
from modelfactory.project.loading import Project
from modelfactory.store.history import Pruned, Rollback, manifests_of, prune, published, rollback, version_of
from modelfactory.store.manifest import VersionRecord
from modelfactory.store.store import Store

if TYPE_CHECKING:
    from modelfactory.store.group_changes import GroupChanges


def project_with(options: ProjectOptions, family: str) -> Project:
    """Return the project if it or its store has a family; classes and SQL do not matter.

    Raises:
        InputError: the project's files have mistakes, or neither project nor store know the family.
    """
    read = read_project(options)
    if read.refused:
        raise InputError(*read.mistakes)
    declared = [declared.name for declared in read.project.families]
    if family not in declared and family not in store_of(read.project).place.folders(""):
        raise no_family(family, declared)
    return read.project


# Rolling back ---------------------------------------------------------------------------------------------------------


def roll_back(options: ProjectOptions, family: str, to: int, *, dry_run: bool = False) -> Rollback:
    """Make another version of a family current.

    Args:
        options: where the project is and how to read it.
        family: name of the family; one that is in the store alone will do.
        to: number of the version.
        dry_run: check everything and change nothing.

    Raises:
        InputError: there is no such family or version, or its files are not whole.
        StoreLocked: a build of the family is under way, or came first.
    """
    return rollback(store_of(project_with(options, family)), family, to, dry_run=dry_run)


# Pruning --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pruning:
    """What came of pruning several families.

    Attributes:
        families: what was pruned of each, or would be.
        foreign: families of the store that the project does not have; they are left alone.
        errors: why others were not pruned.
    """

    families: tuple[Pruned, ...]
    foreign: tuple[str, ...]
    errors: tuple[MfError, ...]


def prune_families(workspace: Workspace, *, keep: int, delete: bool) -> Pruning:
    """Prune the selected families, one after the other; one that is held by a build does not stop the others.

    Args:
        workspace: the project, with the families that were chosen.
        keep: how many of the newest versions stay.
        delete: do it.

    Raises:
        InputError: a manifest of the store cannot be read.
    """
    store, project = workspace.store, workspace.project
    manifests = manifests_of(store)
    pruned: list[Pruned] = []
    errors: list[MfError] = []
    for family in workspace.families:
        try:
            pruned.append(prune(store, family.name, keep=keep, delete=delete, manifests=manifests))
        except MfError as error:
            errors.append(error)
    known = {name for family in project.families for name in store.names(family.name)}
    return Pruning(tuple(pruned), tuple(sorted(manifests.keys() - known)), tuple(errors))


# Comparing versions ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionComparison:
    """How two versions of a family differ.

    Attributes:
        family: its name.
        current: number of its current version.
        old: the one version.
        new: the other.
        changes: values of the definition that differ.
        parents_changed: whether a family that it reads had another definition.
        libraries: name, old and new version of each library that differs; None where it was not there.
        measured_alike: whether both were measured in the same way: `evaluate` and `seed` are the same; None if that
            was not kept.
        groups: how the groups differ.
    """

    family: str
    current: int
    old: VersionRecord
    new: VersionRecord
    changes: tuple[ReviewedChange, ...]
    parents_changed: bool
    libraries: tuple[tuple[str, str | None, str | None], ...]
    measured_alike: bool | None
    groups: GroupChanges

    @property
    def definition_changed(self) -> bool:
        """Whether what decides the models differs."""
        prints, others = self.old.fingerprints, self.new.fingerprints
        return prints.definition != others.definition or self.parents_changed

    @property
    def data_changed(self) -> bool:
        """Whether the rows differ."""
        return self.old.fingerprints.data != self.new.fingerprints.data

    @property
    def environment_changed(self) -> bool:
        """Whether the libraries differ."""
        return self.old.fingerprints.environment != self.new.fingerprints.environment

    @property
    def same_test_rows(self) -> bool:
        """Whether the metrics of all groups were measured on the same rows, so that they can be compared strictly."""
        shared = self.groups.old - self.groups.vanished
        return bool(self.measured_alike) and self.groups.same_rows == shared

    @property
    def differ(self) -> bool:
        """Whether anything differs but number, time and cost."""
        told = bool(self.changes) or self.definition_changed or self.data_changed or self.environment_changed
        return told or self.groups.differ


def compare_versions(options: ProjectOptions, family: str, old: int, new: int) -> VersionComparison:
    """Compare two versions of a family, group by group.

    Args:
        options: where the project is and how to read it.
        family: name of the family.
        old: number of the one version.
        new: number of the other.

    Raises:
        InputError: there is no such family or version, the versions are grouped by other columns, or a group table
            cannot be read.
    """
    store = store_of(project_with(options, family))
    manifest = published(store, family)
    before, after = version_of(manifest, old), version_of(manifest, new)
    if set(before.group_by) != set(after.group_by):
        raise input_error(
            Code.BAD_OPTION,
            f"versions {old} and {new} of family `{family}` have other groups: "
            f"by {_columns(before.group_by)}, and by {_columns(after.group_by)}",
            help=f"`mf show {family}` shows what each version has",
        )
    return compared(store, family, before, after, current=manifest.current)


def compared(
    store: Store, family: str, before: VersionRecord, after: VersionRecord, *, current: int
) -> VersionComparison:
    """Compare two versions of a family that have the same group columns.

    Args:
        store: the store.
        family: name of the family.
        before: the one version.
        after: the other.
        current: number of the family's current version.

    Raises:
        InputError: a group table cannot be read.
    """
    from modelfactory.store.group_changes import compare_groups
    from modelfactory.store.groups import read_groups

    (definition,) = compare({family: known_of(before)}, {family: known_of(after)}, former_names={})
    tables = [read_groups(store.files(family, version, "groups")) for version in (before, after)]
    groups = compare_groups(tables[0], tables[1], after.group_by, metrics=[*after.metrics, *before.metrics])
    return VersionComparison(
        family=family,
        current=current,
        old=before,
        new=after,
        changes=tuple(ReviewedChange.of(change, old_at=None, new_at=None) for change in definition.changes),
        parents_changed=definition.parents_changed,
        libraries=tuple(
            (name, before.libraries.get(name), after.libraries.get(name))
            for name in dict.fromkeys([*before.libraries, *after.libraries])
            if before.libraries.get(name) != after.libraries.get(name)
        ),
        measured_alike=_measured_alike(before, after),
        groups=groups,
    )


def _measured_alike(old: VersionRecord, new: VersionRecord) -> bool | None:
    if old.meaning is None or new.meaning is None:
        return None
    return all(old.meaning.models.get(key) == new.meaning.models.get(key) for key in ("evaluate", "seed"))


def _columns(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
