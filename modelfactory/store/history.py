"""What becomes of versions after they were published: go back to one, delete old ones. Loads no pyarrow by itself.

Both replace the manifest in one step, under the hold that a build would have, and neither ever gives a number twice:
the newest version of a manifest stays in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from modelfactory.diagnostics import Code, counted, input_error
from modelfactory.store.candidates import candidate_of
from modelfactory.store.holding import overtaken
from modelfactory.store.leftovers import leftovers
from modelfactory.store.manifest import Manifest, VersionRecord, manifest_text
from modelfactory.store.places import Conflict, Edition
from modelfactory.store.store import MANIFEST, Store, furthest

KEEP = 5
"""Versions that are kept where nobody says how many."""


# Reading --------------------------------------------------------------------------------------------------------------


def published(store: Store, family: str) -> Manifest:
    """Return a family's manifest.

    Raises:
        InputError: it was never built, or its manifest cannot be read.
    """
    manifest = store.manifest(family)
    if manifest is None:
        raise input_error(
            Code.NOT_BUILT, f"family `{family}` was never built", help=f"`mf build --select {family}` trains it"
        )
    return manifest


def version_of(manifest: Manifest, number: int) -> VersionRecord:
    """Return a version by number.

    Raises:
        InputError: there is no such version; names those there are.
    """
    version = manifest.version(number)
    if version is None:
        raise input_error(
            Code.BAD_OPTION,
            f"family `{manifest.family}` has no version {number}",
            help=f"it has {_listed(v.number for v in manifest.versions)}",
        )
    return version


def _listed(numbers: Iterable[int], *, most: int = 10) -> str:
    """Name the latest numbers."""
    found = sorted(numbers)
    shown = ", ".join(map(str, found[-most:]))
    return shown if len(found) <= most else f"{shown} and {len(found) - most} before"


# Rolling back ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rollback:
    """What a rollback did.

    Attributes:
        before: number of the version that was current.
        manifest: the manifest as it is now; after a dry run, as it would be.
    """

    before: int
    manifest: Manifest

    @property
    def changed(self) -> bool:
        """Whether another version is current now."""
        return self.before != self.manifest.current


def rollback(store: Store, family: str, to: int, *, dry_run: bool = False) -> Rollback:
    """Make an earlier version, or a later one, the current one again; nothing is trained and nothing deleted.

    Args:
        store: the store.
        family: name of the family.
        to: number of the version.
        dry_run: check everything and change nothing.

    Raises:
        InputError: the family was never built, has no such version, or files of that version are not there as they
            were published.
        StoreLocked: a build of the family is under way, or came first; nothing was changed.
    """
    done = _rolled_back(store, family, to)
    if dry_run or not done.changed:
        store.check_unlocked(family)
        return done
    with store.locked(family):
        former = store.place.edition(f"{family}/{MANIFEST}")
        done = _rolled_back(store, family, to)  # as it is under the hold
        if done.changed:
            replace_manifest(store, family, done.manifest, former)
    return done


def _rolled_back(store: Store, family: str, to: int) -> Rollback:
    manifest = published(store, family)
    if version_of(manifest, to).number == manifest.current:
        return Rollback(manifest.current, manifest)
    for version in _only(manifest, _with_needed(manifest, {to})).versions:
        store.check_whole(family, version)
    update = {"current": to, "revision": manifest.revision + 1}
    return Rollback(manifest.current, manifest.model_copy(update=update))


# Pruning --------------------------------------------------------------------------------------------------------------


Why = Literal["current", "newest", "needed", "named"]
"""Why a version stays: it is current; it is one of the newest; a version that stays has models of it; the manifest of
another name counts on it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A version that pruning keeps, and the first reason."""

    version: VersionRecord
    why: Why


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was pruned of a family, or would be.

    Attributes:
        family: its name.
        kept: versions that stay, in the order of the manifest.
        versions: versions that go.
        leftovers: folders and drafts that no manifest names, relative to the store; of builds that died, or of a
            prune that did.
    """

    family: str
    kept: tuple[Kept, ...] = ()
    versions: tuple[VersionRecord, ...] = ()
    leftovers: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Bytes of the versions that go."""
        return sum(version.bytes for version in self.versions)


def versions_to_prune(manifest: Manifest, keep: int, *, named: Collection[int] = ()) -> list[VersionRecord]:
    """Return the versions that may go, in the order of the manifest.

    The newest stay, the current one, and those whose models a version needs that stays.

    Args:
        manifest: the manifest.
        keep: how many of the newest stay, at least one: by the highest number, numbers go on.
        named: numbers of further versions that stay.

    Raises:
        ValueError: `keep` is less than one.
    """
    kept = _reasons(manifest, keep, named=named)
    return [version for version in manifest.versions if version.number not in kept]


def prune(
    store: Store,
    family: str,
    *,
    keep: int = KEEP,
    delete: bool = False,
    manifests: Mapping[str, Manifest] | None = None,
) -> Pruned:
    """Delete old versions of a family and what no manifest names, or say what would be deleted.

    First the manifest is replaced, then folders are deleted; what is left of a prune that dies between is a leftover,
    which the next prune or build of the family removes. A family that was renamed loses the same versions under its
    former names, where the current and the newest of each stay.

    Args:
        store: the store.
        family: name of the family.
        keep: how many of the newest versions stay; see `versions_to_prune`.
        delete: do it.
        manifests: those of the whole store, of `manifests_of`; read if not given.

    Raises:
        InputError: a manifest cannot be read, or something cannot be deleted.
        StoreLocked: a build of the family is under way, or came first; nothing was deleted.
        ValueError: `keep` is less than one.
    """
    manifests = manifests_of(store) if manifests is None else manifests
    names = [name for name in store.names(family) if name in manifests]
    plan = _plan(store, family, names, manifests, keep)
    if plan is None:
        return Pruned(family)
    if not delete or not (plan.pruned.versions or plan.pruned.leftovers):
        for name in names:
            store.check_unlocked(name)
        return plan.pruned
    with ExitStack() as holds:
        for name in dict.fromkeys([family, *names]):
            holds.enter_context(store.locked(name))
        editions = {name: store.place.edition(f"{name}/{MANIFEST}") for name in store.names(family)}
        now = {name: store.parsed(name, edition.content) for name, edition in editions.items() if edition}
        plan = _plan(store, family, [*now], {**manifests, **now}, keep)
        if plan is None:
            return Pruned(family)
        for name, manifest in plan.manifests.items():
            replace_manifest(store, name, manifest, editions[name])
        for folder in plan.folders:
            store.place.remove(folder)
        stuck = [f for f in plan.folders if store.place.folders(f) or store.place.files(f)]
        if stuck:
            raise input_error(
                Code.STORE,
                f"cannot delete {counted(len(stuck), 'folder')} of family `{family}`; no manifest names them any more",
                file=store.place.shown(stuck[0]),
                help="the next `mf prune --delete` or `mf build` of the family tries again",
            )
    return plan.pruned


def manifests_of(store: Store) -> dict[str, Manifest]:
    """Return all manifests of a store by the names of their folders.

    Raises:
        InputError: one cannot be read; then nobody can tell which versions it needs.
    """
    found = {name: store.own_manifest(name) for name in store.place.folders("")}
    return {name: manifest for name, manifest in found.items() if manifest}


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to do, in this order.

    Attributes:
        pruned: what goes and what stays.
        manifests: by what to replace manifests, by name, the present one first.
        folders: what to delete then, relative to the store.
    """

    pruned: Pruned
    manifests: Mapping[str, Manifest]
    folders: Sequence[str]


def _plan(
    store: Store, family: str, names: Sequence[str], manifests: Mapping[str, Manifest], keep: int
) -> _Plan | None:
    """Say what to do with a family; None if it has no manifest.

    Args:
        store: the store.
        family: its present name.
        names: those of its names that have a manifest.
        manifests: all of the store.
        keep: how many versions stay.
    """
    counts = furthest(family, {name: manifests[name] for name in names})
    if counts is None:
        return None
    others = {name: manifest for name, manifest in manifests.items() if name not in names}
    former = {name: manifests[name] for name in names if name != family}
    pointers = {
        name: _only(manifest, _with_needed(manifest, {manifest.current, manifest.highest}))
        for name, manifest in former.items()
    }
    pinned = named_folders(others).keys() | named_folders(pointers).keys()
    named = [v.number for v in counts.versions if folders_of(family, v) & pinned]
    candidate = candidate_of(store, family, counts)
    reasons = _reasons(counts, keep, named=named, needed=candidate.version.model_versions if candidate else ())
    stays = pinned | named_folders({family: _only(counts, reasons)}).keys()
    before = {family: counts, **former}
    after = {
        name: _only(manifest, [v.number for v in manifest.versions if folders_of(name, v) <= stays])
        for name, manifest in before.items()
    }
    gone = {folder: version for folder, version in named_folders(before).items() if folder not in stays}
    known = named_folders(manifests)
    left = [
        path
        for name in names
        for found in leftovers(store, name, manifests[name])
        if (path := f"{name}/{found}") not in known
    ]
    # A build whose lease ran out may still be alive: it cannot publish any more once its manifest is replaced.
    unsure = {path.partition("/")[0] for path in left} if not store.place.holds_surely else set()
    pruned = Pruned(
        family=family,
        kept=tuple(Kept(v, reasons[v.number]) for v in counts.versions if v.number in reasons),
        versions=tuple(sorted(gone.values(), key=lambda version: version.number)),
        leftovers=tuple(left),
    )
    replaced = {
        name: manifest.model_copy(update={"revision": manifest.revision + 1})
        for name, manifest in after.items()
        if manifest.versions != before[name].versions or name in unsure
    }
    return _Plan(pruned, replaced, [*gone, *left])


def _reasons(manifest: Manifest, keep: int, *, named: Collection[int], needed: Collection[int] = ()) -> dict[int, Why]:
    """Return the numbers of the versions that stay, and why; those that a candidate needs stay as well."""
    if keep < 1:
        raise ValueError("at least one version is kept")
    newest = sorted((version.number for version in manifest.versions), reverse=True)[:keep]
    reasons: dict[int, Why] = dict.fromkeys(named, "named")
    reasons |= dict.fromkeys(newest, "newest")
    reasons[manifest.current] = "current"
    there = {version.number for version in manifest.versions}
    also: dict[int, Why] = dict.fromkeys(_with_needed(manifest, {*reasons, *(there & set(needed))}), "needed")
    return also | reasons


def _with_needed(manifest: Manifest, numbers: Iterable[int]) -> set[int]:
    """Return versions and those whose models they need."""
    found: set[int] = set()
    wanted = set(numbers)
    while wanted:
        found |= wanted
        wanted = {n for v in manifest.versions if v.number in wanted for n in v.model_versions} - found
    return found


def _only(manifest: Manifest, numbers: Collection[int]) -> Manifest:
    """Return a manifest with some of its versions."""
    return manifest.model_copy(update={"versions": [v for v in manifest.versions if v.number in numbers]})


def named_folders(manifests: Mapping[str, Manifest]) -> dict[str, VersionRecord]:
    """Return the versions that manifests name, by folder."""
    versions = [(name, version) for name, manifest in manifests.items() for version in manifest.versions]
    return {folder: version for name, version in versions for folder in folders_of(name, version)}


def folders_of(name: str, version: VersionRecord) -> set[str]:
    """Return the folder of a version that a manifest names, relative to the store; none if it has no files."""
    return {f"{version.folder(name)}/{folder}" for folder in version.folders}


def replace_manifest(
    store: Store, family: str, manifest: Manifest, former: Edition | None, *, lost: str = "nothing was changed"
) -> None:
    """Replace a manifest in one step; needs a hold on the family.

    Args:
        store: the store.
        family: name of its folder.
        manifest: what is to stand there.
        former: what stood there when it was read.
        lost: what came of it if another has replaced it since.

    Raises:
        StoreLocked: another has.
        InputError: the store cannot be written.
    """
    try:
        store.place.replace(f"{family}/{MANIFEST}", manifest_text(manifest).encode(), former)
    except Conflict as error:
        raise overtaken(family, lost) from error
