"""`mf ls` and `mf show`: what is declared and what is trained, from the files and manifests alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from modelfactory.commands.review import FamilyReview
from modelfactory.commands.workspace import Workspace, no_family
from modelfactory.diagnostics import Code, Diagnostic, InputError, input_error
from modelfactory.plan.meaning import ChangeKind
from modelfactory.plan.metrics import METRICS
from modelfactory.plan.outcomes import Status
from modelfactory.plan.steps import TrainStep
from modelfactory.project.loading import Family
from modelfactory.project.specs import FamilySpec
from modelfactory.store.candidates import kept_candidate
from modelfactory.store.history import published, version_of
from modelfactory.store.manifest import Manifest, TombstoneRecord, VersionRecord

if TYPE_CHECKING:
    import pyarrow as pa

    from modelfactory.commands.resolving import ResolvedValue

State = Literal["current", "modified", "never built", "unreadable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyListing:
    """One line of `mf ls`; the attributes are the keys of its JSON.

    Attributes:
        groups: count of groups by status in the current version.
        why: what differs from the earlier state, if that was asked for.
        metrics: median over groups of each metric in the current version.
        baseline: the same of the baseline.
        own_groups: how many groups have a model of their own in the current version; None without a version.
        fallback: the family that stands in for the others, or `global`; None if nothing does.
    """

    name: str
    path: str
    source: str
    group_by: list[str]
    label: str | None
    estimator: str
    tags: list[str]
    owner: str | None
    state: State
    current_version: int | None
    trained_at: str | None
    groups: Mapping[str, int]
    metrics: Mapping[str, float]
    baseline: Mapping[str, float]
    own_groups: int | None
    fallback: str | None
    why: list[dict[str, Any]] = field(default_factory=list)


def list_families(workspace: Workspace, *, why: bool = False) -> tuple[list[FamilyListing], list[Diagnostic]]:
    """List the selected families with what their manifests tell.

    Args:
        workspace: the project.
        why: say what differs from the earlier state.

    Returns:
        The families, and what is wrong with the manifests that cannot be read.
    """
    listings: list[FamilyListing] = []
    unreadable: list[Diagnostic] = []
    for step in workspace.plan.steps:
        family = workspace.family(step.family)
        try:
            listings.append(_listing(family, step, workspace.store.current(step.family)))
        except InputError as error:
            unreadable += error.diagnostics
            listings.append(dataclasses.replace(_listing(family, step, None), state="unreadable"))
    if why:
        differing = {family.name: family for family in workspace.review().families}
        listings = [dataclasses.replace(item, why=_why(differing.get(item.name))) for item in listings]
    return listings, unreadable


def _why(family: FamilyReview | None) -> list[dict[str, Any]]:
    if family is None:
        return []
    parents = [{"path": "parents", "kind": str(ChangeKind.RETRAIN)}] if family.parents_changed else []
    return [*(change.document() for change in family.changes), *parents]


def _listing(family: Family, step: TrainStep, version: VersionRecord | None) -> FamilyListing:
    return FamilyListing(
        name=family.name,
        path=family.path,
        source=", ".join(source.name for source in step.sources),
        group_by=list(step.keys),
        label=step.label,
        estimator=", ".join(final_estimators(step)),
        tags=list(family.spec.tags),
        owner=family.spec.owner,
        state=_state(step, version),
        current_version=version.number if version else None,
        trained_at=version.published_at if version else None,
        groups=version.statuses if version else {},
        metrics={name: q.median for name, q in version.metrics.items()} if version else {},
        baseline={name: q.median for name, q in version.baseline.items()} if version else {},
        own_groups=version.own_groups if version else None,
        fallback=step.fallback,
    )


def final_estimators(step: TrainStep) -> list[str]:
    """Return the class name of the estimator, without the steps in front of it; of a search those of all candidates."""
    return list(dict.fromkeys(candidate.estimator.final.name for candidate in step.fit.candidates))


def _state(step: TrainStep, version: VersionRecord | None) -> State:
    if version is None:
        return "never built"
    published = (version.fingerprints.definition, version.fingerprints.parents)
    return "current" if published == (step.definition_fingerprint, step.parents_fingerprint) else "modified"


def list_groups(
    workspace: Workspace,
    name: str,
    *,
    where: str | None,
    sort: str | None,
    limit: int | None,
    candidate: bool = False,
) -> pa.Table:
    """Return rows of the current group table of a family.

    Args:
        workspace: the project.
        name: name of the family.
        where: expression as in `store.filters`.
        sort: column or metric, a leading `-` for falling order.
        limit: most rows to return.
        candidate: take the group table of the version that was held back.

    Raises:
        InputError: no such family or column, the family was never built, or the expression cannot be read.
    """
    from modelfactory.store.filters import filter_table, plain_column
    from modelfactory.store.groups import read_groups

    _, version = built_family(workspace, name, candidate=candidate)
    table = read_groups(workspace.store.files(name, version, "groups"))
    if where is not None:
        table = filter_table(table, where)
    if sort is not None:
        by = plain_column(table, sort.removeprefix("-"))
        order = "descending" if sort.startswith("-") else "ascending"
        table = table.append_column("_sort", by).sort_by([("_sort", order)]).drop_columns("_sort")
    return table if limit is None else table.slice(0, limit)


def known_family(workspace: Workspace, name: str) -> Family:
    """Return a family by name.

    Raises:
        InputError: there is none.
    """
    for family in workspace.families:
        if family.name == name:
            return family
    raise no_family(name, [family.name for family in workspace.families])


def built_family(workspace: Workspace, name: str, *, candidate: bool = False) -> tuple[Family, VersionRecord]:
    """Return a family and its current version, or the one that was held back.

    Raises:
        InputError: there is no such family, or it was never built, or nothing was held back.
    """
    family = known_family(workspace, name)
    if candidate:
        return family, kept_candidate(workspace.store, name, workspace.store.manifest(name)).version
    manifest = published(workspace.store, name)
    return family, version_of(manifest, manifest.current)


@dataclass(frozen=True, slots=True)
class WrittenKey:
    """The value of one key of a definition and the places it comes from."""

    key: str
    value: Any
    origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FamilyDetails:
    """All that `mf show` tells of a family."""

    listing: FamilyListing
    values: tuple[WrittenKey, ...]
    versions: tuple[VersionRecord, ...]
    current: int | None
    forgotten: tuple[TombstoneRecord, ...] = ()

    @property
    def definition_changed(self) -> dict[int, bool | None]:
        """By version, whether what decides the models differs from the version before; None of the first."""
        prints = [(v.fingerprints.definition, v.fingerprints.parents) for v in self.versions]
        changed = [None, *(one != other for one, other in pairwise(prints))]
        return {version.number: is_changed for version, is_changed in zip(self.versions, changed, strict=False)}


def show_family(workspace: Workspace, name: str) -> FamilyDetails:
    """Return a family's resolved definition with provenance, and its versions.

    Raises:
        InputError: there is no such family.
    """
    family = known_family(workspace, name)
    step = next(step for step in workspace.plan.steps if step.family == name)
    manifest = workspace.store.manifest(name)
    versions = tuple(manifest.versions) if manifest else ()
    return FamilyDetails(
        listing=_listing(family, step, manifest.version() if manifest else None),
        values=tuple(_written(family)),
        versions=versions,
        current=manifest.current if manifest else None,
        forgotten=tuple(manifest.forgotten) if manifest else (),
    )


def _written(family: Family) -> list[WrittenKey]:
    values = family.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    found = []
    for key in FamilySpec.model_fields:
        origins = family.origins.get(key, ())
        value = family.definition[key] if origins else None
        resolved = values.get(key)
        if origins:
            places = [origin.text() for origin in origins]
            if isinstance(value, str) and "${" in value and "${env:" not in value:
                places.append(value)
                value = resolved
            found.append(WrittenKey(key, value, tuple(places)))
        elif resolved not in (None, (), [], {}):
            found.append(WrittenKey(key, resolved, ("default",)))
    return found


def resolve_family(workspace: Workspace, name: str, *, given: Iterable[str]) -> tuple[ResolvedValue, ...]:
    """Return every single value that a family depends on, and where it comes from; the store is not looked at.

    Args:
        workspace: the project.
        name: name of the family.
        given: names of the variables of `--vars`.

    Raises:
        InputError: there is no such family.
    """
    family = known_family(workspace, name)
    step = next(step for step in workspace.plan.steps if step.family == name)
    from modelfactory.commands.resolving import resolved_values

    values = resolved_values(
        workspace.project, step, family, facts=workspace.facts, given=given, environ=workspace.environ
    )
    return tuple(values)


def show_group(workspace: Workspace, name: str, key: Sequence[str], *, candidate: bool = False) -> dict[str, Any]:
    """Return one group's row of the current group table, or of the version that was held back.

    Args:
        workspace: the project.
        name: name of the family.
        key: the group's key as `column=value`, one for each group column.
        candidate: take the version that was held back.

    Raises:
        InputError: the key is not complete or no such group exists.
    """
    from modelfactory.store.groups import find_group, read_groups

    _, version = built_family(workspace, name, candidate=candidate)
    wanted = {}
    for part in key:
        column, equals, value = part.partition("=")
        if not equals or column not in version.group_by:
            raise input_error(
                Code.BAD_OPTION,
                f"`{part}` does not name a group column",
                help="write " + " ".join(f"--group {column}=…" for column in version.group_by),
            )
        if column in wanted:
            raise input_error(Code.BAD_OPTION, f"the group's `{column}` is given twice")
        wanted[column] = value
    missing = [column for column in version.group_by if column not in wanted]
    if missing:
        raise input_error(Code.BAD_OPTION, f"the group's `{missing[0]}` is missing", help=f"--group {missing[0]}=…")
    groups = read_groups(workspace.store.files(name, version, "groups"))
    row = find_group(groups, wanted)
    if row is None:
        shown = ", ".join(f"{column} = {value}" for column, value in wanted.items())
        when = _forgotten_on(workspace.store.manifest(name), groups, wanted)
        raise input_error(
            Code.BAD_OPTION,
            f"family `{name}` has no group with {shown}" + (f"; it was forgotten on {when}" if when else ""),
            help=f"`mf ls --groups {name}` lists them",
        )
    return row


def _forgotten_on(manifest: Manifest | None, groups: pa.Table, key: Mapping[str, str]) -> str | None:
    """Return the day on which a group was forgotten, if it was."""
    from modelfactory.store.keys import KeyTypeDiffers, typed
    from modelfactory.store.tombstones import forgotten_at

    try:
        columns = {name: typed(text, groups.schema.field(name).type) for name, text in key.items()}
    except KeyTypeDiffers:
        return None
    when = forgotten_at(manifest.forgotten if manifest else (), columns)
    return when[:10] if when else None


STATUS_ORDER = tuple(str(status) for status in Status)


def better_than_baseline(metric: str, value: float, baseline: float) -> bool | None:
    """Tell whether a metric beats the baseline; None where neither is better."""
    if value == baseline or metric not in METRICS:
        return None
    return (value > baseline) == METRICS[metric].higher_is_better
