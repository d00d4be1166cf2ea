"""Forget groups on request: their rows and models go from all versions, and a tombstone stays that does not name them.

Whatever holds a group is written anew without it, into a folder of its own beside the old one; then the manifest is
replaced in one step, and only then the old folder is removed. Killed before that step, nothing has happened; killed
after it, what is left counts for nothing, and the next forget, prune or build of the family removes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modelfactory.diagnostics import Code, InputError, StoreLocked, counted, did_you_mean, input_error
from modelfactory.plan.outcomes import rows_of_digest
from modelfactory.store.candidates import CANDIDATE, Candidate, candidate_of, write_candidate
from modelfactory.store.groups import choices, metric_quantiles, opened, read_groups, statuses
from modelfactory.store.history import manifests_of, named_folders, published, replace_manifest
from modelfactory.store.holding import Hold, overtaken
from modelfactory.store.keys import KeyTypeDiffers, key_texts, rows_with, typed
from modelfactory.store.leftovers import leftovers
from modelfactory.store.manifest import FileRecord, Manifest, TombstoneRecord, VersionRecord
from modelfactory.store.places import Edition
from modelfactory.store.rewriting import write_without
from modelfactory.store.store import MANIFEST, Store
from modelfactory.store.tombstones import forgotten_at, tombstone
from modelfactory.store.versions import GROUPS, MODELS, digest_of, rows_of

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Loss:
    """What a version loses.

    Attributes:
        version: the version, as it was.
        groups: how many groups.
        models: how many models of its own model table.
        held_back: whether it is the candidate, which was never published.
    """

    version: VersionRecord
    groups: int
    models: int
    held_back: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What was forgotten of a family, or would be.

    Attributes:
        family: its name.
        key: values of group columns as text; of all, or of some.
        losses: the versions that lose something, by number, and the candidate.
        groups: how many groups these are, over all of these.
        others: versions whose groups have not all of these columns; they are left as they are.
        earlier: when groups of this key were forgotten before.
        leftovers: what no manifest names and goes with it, relative to the store: it may hold the groups.
    """

    family: str
    key: Mapping[str, str]
    losses: tuple[Loss, ...]
    groups: int
    others: tuple[VersionRecord, ...] = ()
    earlier: str | None = None
    leftovers: tuple[str, ...] = ()

    @property
    def models(self) -> int:
        """How many models these are, over all of these versions."""
        return sum(loss.models for loss in self.losses)


def forget(store: Store, family: str, key: Mapping[str, str], *, run_id: str, delete: bool = False) -> Forgotten:
    """Remove groups from all versions of a family, or say what would be removed.

    The candidate loses them too, and what nothing names goes. A family that was renamed loses the groups under all
    names whose manifests name its versions. The models of all rows, and those of families that stand in, were fitted on
    rows of the groups and stay.

    Args:
        store: the store.
        family: name of the family.
        key: values of group columns as text, as `keys.typed` reads them. If it does not have all of them, all groups
            with these values are meant.
        run_id: the run that does it.
        delete: do it.

    Raises:
        InputError: the family was never built, the key names no group column or holds no value of one, there never was
            such a group, or the store cannot be read or written.
        StoreLocked: a build of the family is under way, or came first.
    """
    manifests = manifests_of(store)
    names = _sharing(store, family, manifests)
    if not any(name in manifests or store.place.size(f"{name}/{CANDIDATE}") for name in names):
        published(store, family)
    if not delete:
        found = _found(store, family, key, _named_by(store, names, manifests))
        for name in names:
            store.check_unlocked(name)
        return found.forgotten
    with ExitStack() as stack:
        holds = [stack.enter_context(store.locked(name, run_id=run_id)) for name in names]
        editions = {name: store.place.edition(f"{name}/{MANIFEST}") for name in names}
        manifests |= {name: store.parsed(name, edition.content) for name, edition in editions.items() if edition}
        if _sharing(store, family, manifests) != names:
            raise overtaken(family, "nothing was changed")
        found = _found(store, family, key, _named_by(store, names, manifests))
        _Removal(store, found, editions, holds, run_id).carry_out()
    return found.forgotten


@dataclass(frozen=True, slots=True)
class _Named:
    """What names versions of a family.

    Attributes:
        names: the names under which something does.
        manifests: all manifests of the store, by name.
        candidates: the candidates of these names.
    """

    names: Sequence[str]
    manifests: Mapping[str, Manifest]
    candidates: Mapping[str, Candidate]

    @property
    def held(self) -> dict[str, Manifest]:
        """The manifests of these names."""
        return {name: self.manifests[name] for name in self.names if name in self.manifests}

    @property
    def versions(self) -> Iterator[tuple[str, VersionRecord, bool]]:
        """All versions with the name that names them, and whether they are candidates."""
        yield from ((name, v, False) for name, manifest in self.held.items() for v in manifest.versions)
        yield from ((name, candidate.version, True) for name, candidate in self.candidates.items())


def _named_by(store: Store, names: Sequence[str], manifests: Mapping[str, Manifest]) -> _Named:
    found = {name: candidate_of(store, name, manifests.get(name)) for name in names}
    return _Named(names, manifests, {name: candidate for name, candidate in found.items() if candidate})


def _sharing(store: Store, family: str, manifests: Mapping[str, Manifest]) -> list[str]:
    """Return the names of a family, and those under which there are manifests that name versions of it too."""
    names = list(store.names(family))
    while True:
        folders = named_folders({name: manifests[name] for name in names if name in manifests}).keys()
        more = [n for n, m in manifests.items() if n not in names and named_folders({n: m}).keys() & folders]
        if not more:
            return names
        names += more


# Finding --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Holding:
    """Where a version holds the groups.

    Attributes:
        version: the version, as a manifest names it, or a candidate.
        held_back: whether it is a candidate.
        rows: by the path of a file, the numbers of its rows; only files that have any.
        keys: each group's key as text.
        n_rows: rows of the input that these groups had.
        without_label: how many of them had no label.
    """

    version: VersionRecord
    held_back: bool
    rows: Mapping[str, Rows]
    keys: frozenset[str]
    n_rows: int
    without_label: int

    @property
    def loss(self) -> Loss:
        """How much it is."""
        models = {file.path for file in self.version.files if file.table == MODELS}
        lost = sum(len(rows) for path, rows in self.rows.items() if path in models)
        return Loss(self.version, len(self.keys), lost, self.held_back)


@dataclass(frozen=True, slots=True)
class _Found:
    """What is to be forgotten, and where it is.

    Attributes:
        forgotten: what is told of it.
        named: what names the versions.
        texts: the key as `key_texts` writes it, in each of the types that versions have it in.
        holdings: the versions that hold it, by the name of what names them.
    """

    forgotten: Forgotten
    named: _Named
    texts: frozenset[str]
    holdings: Mapping[str, Sequence[_Holding]]


def _found(store: Store, family: str, key: Mapping[str, str], named: _Named) -> _Found:
    """Look for groups in all versions under all names.

    Raises:
        InputError: there is nothing to forget, and never was.
    """
    versions = list(named.versions)
    _check_columns(family, key, [version for _, version, _ in versions])
    holdings: dict[str, list[_Holding]] = {name: [] for name in named.names}
    texts: set[str] = set()
    misfit: KeyTypeDiffers | None = None
    earlier: str | None = None
    for name, version, held_back in versions:
        if not key.keys() <= set(version.group_by):
            continue
        try:
            kinds, holding = _holding(store, name, version, key, held_back=held_back)
        except KeyTypeDiffers as error:  # in this version the column is of another type
            misfit = error
            continue
        columns = {column: typed(text, kinds.field(column).type) for column, text in key.items()}
        texts.update(key_texts(list(columns.values())))
        stones = named.manifests[name].forgotten if name in named.manifests else []
        earlier = max(filter(None, (earlier, forgotten_at(stones, columns))), default=None)
        if holding is not None:
            holdings[name].append(holding)
    if misfit is not None and not texts:
        raise input_error(Code.BAD_OPTION, f"in the groups of family `{family}`, {misfit}") from misfit
    known = named_folders(named.manifests)
    left = [
        path
        for name in named.names
        for found in leftovers(store, name, named.manifests.get(name))
        if (path := f"{name}/{found}") not in known
    ]
    every = [holding for each in holdings.values() for holding in each]
    losses = {(h.held_back, h.version.number, h.version.run_id): h.loss for h in every}
    others = {(v.number, v.run_id): v for _, v, _ in versions if not key.keys() <= set(v.group_by)}
    forgotten = Forgotten(
        family=family,
        key=key,
        losses=tuple(losses[which] for which in sorted(losses)),
        groups=len({text for holding in every for text in holding.keys}),
        others=tuple(others[which] for which in sorted(others)),
        earlier=earlier,
        leftovers=tuple(left),
    )
    _check_any(forgotten)
    return _Found(forgotten, named, frozenset(texts), holdings)


def _check_any(told: Forgotten) -> None:
    """See that there is, or was, something to forget.

    Raises:
        InputError: there never was.
    """
    if told.losses or told.leftovers or told.earlier:
        return
    shown = ", ".join(f"{column} = {text}" for column, text in told.key.items())
    raise input_error(
        Code.BAD_OPTION,
        f"no version of family `{told.family}` has a group with {shown}",
        help=f"`mf ls --groups {told.family}` lists those of the current one",
    )


def _check_columns(family: str, key: Mapping[str, str], versions: Sequence[VersionRecord]) -> None:
    known = dict.fromkeys(column for version in versions for column in version.group_by)
    for column in key:
        if column not in known:
            shown = ", ".join(f"`{name}`" for name in known)
            raise input_error(
                Code.BAD_OPTION,
                f"`{column}` is no group column of family `{family}`",
                help=did_you_mean(column, list(known)) or f"its groups are known by {shown}",
            )


def _holding(
    store: Store, name: str, version: VersionRecord, key: Mapping[str, str], *, held_back: bool
) -> tuple[pa.Schema, _Holding | None]:
    """Return the types of a version's group columns, and where it holds the groups of a key.

    Raises:
        KeyTypeDiffers: a text of the key is no value of its column's type.
        InputError: a file cannot be read.
    """
    rows: dict[str, Rows] = {}
    keys: set[str] = set()
    n_rows = without_label = 0
    schema = pa.schema([])
    for file in version.files:
        if file.table not in (GROUPS, MODELS):
            continue
        source = store.place.source(f"{version.folder(name)}/{file.path}")
        table = _read(source, version.group_by)
        schema = table.schema if file.table == GROUPS else schema
        found = rows_with(table, key)
        if not len(found):
            continue
        rows[file.path] = found
        lost = table.take(pa.array(found))
        keys.update(key_texts([lost[column] for column in sorted(version.group_by)]))
        if file.table == GROUPS:
            counts = _read(source, ["n_rows", "data_digest"]).take(pa.array(found))
            own = counts["n_rows"].to_pylist()  # none of a group that has vanished and is kept
            usable = [rows_of_digest(digest) if digest else 0 for digest in counts["data_digest"].to_pylist()]
            n_rows += sum(own)
            without_label += sum(max(0, n - m) for n, m in zip(own, usable, strict=True))
    holding = _Holding(version, held_back, rows, frozenset(keys), n_rows, without_label) if rows else None
    return schema, holding


def _read(source: Any, columns: Sequence[str]) -> pa.Table:
    try:
        return pq.ParquetFile(opened(source)).read(columns=list(columns)).select(list(columns))
    except (OSError, pa.ArrowException) as error:
        raise input_error(Code.STORE, f"cannot read a table of groups or models: {error}") from error


# Removing -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Removal:
    """The removal of groups, while all names of their family are held.

    Attributes:
        store: the store.
        found: what is to be forgotten, and where it is.
        editions: what stood in the manifests when they were read.
        holds: the holds.
        run_id: the run that does it.
        written: folders that were written, relative to the store.
        may_be_named: whether something may name some of these already.
    """

    store: Store
    found: _Found
    editions: Mapping[str, Edition | None]
    holds: Sequence[Hold]
    run_id: str
    written: list[str] = field(default_factory=list)
    may_be_named: bool = False

    def carry_out(self) -> None:
        """Write what stays, replace what names it, remove what was."""
        named = self.found.named
        try:
            candidates = {name: self._candidate(name, candidate) for name, candidate in named.candidates.items()}
            after = {name: self._without(name, manifest) for name, manifest in named.held.items()}
            for hold in self.holds:
                hold.confirm()
            for name, candidate in candidates.items():
                if candidate is not named.candidates[name]:
                    self.may_be_named = True
                    write_candidate(self.store, name, candidate)
            for name, manifest in after.items():
                if manifest is not named.manifests[name]:
                    self._replace(name, manifest)
        except BaseException:
            if not self.may_be_named:
                with suppress(InputError):  # the next one removes what is left
                    for folder in self.written:
                        self.store.place.remove(folder)
            raise
        kept = _Named(named.names, {**named.manifests, **after}, candidates)
        before, still = _folders(named), _folders(kept)
        self._remove([*(folder for folder in before if folder not in still), *self.found.forgotten.leftovers])

    def _candidate(self, name: str, before: Candidate) -> Candidate:
        """Return a candidate without the groups; the files that it names are written."""
        for holding in self.found.holdings[name]:
            if holding.held_back:
                return before.model_copy(update={"version": self._rewritten(name, holding)})
        return before

    def _without(self, name: str, before: Manifest) -> Manifest:
        """Return a manifest without the groups; the files that it names are written."""
        holdings = {h.version.number: h for h in self.found.holdings[name] if not h.held_back}
        # A build whose lease ran out may still be alive: it cannot publish any more once its manifest is replaced.
        unsure = not self.store.place.holds_surely and any(
            path.startswith(f"{name}/") for path in self.found.forgotten.leftovers
        )
        update: dict[str, Any] = {}
        if self.found.holdings[name]:
            update["forgotten"] = [*before.forgotten, self._tombstone(name)]
            update["versions"] = [
                self._rewritten(name, holdings[v.number]) if v.number in holdings else v for v in before.versions
            ]
        return before.model_copy(update={**update, "revision": before.revision + 1}) if update or unsure else before

    def _tombstone(self, name: str) -> TombstoneRecord:
        holdings = self.found.holdings[name]
        return tombstone(
            list(self.found.forgotten.key),
            self.found.texts,
            run_id=self.run_id,
            versions=[holding.version.number for holding in holdings if not holding.held_back],
            groups=len({text for holding in holdings for text in holding.keys}),
            models=sum(holding.loss.models for holding in holdings),
        )

    def _rewritten(self, name: str, holding: _Holding) -> VersionRecord:
        """Write a version without the groups into a new folder; no other name has files there."""
        version, place = holding.version, self.store.place
        folder = f"v{version.number:06d}-{self.run_id}"
        self.written.append(f"{name}/{folder}")
        files = []
        for file in version.files:
            path = str(PurePosixPath(folder, *PurePosixPath(file.path).parts[1:]))
            own, to = f"{version.folder(name)}/{file.path}", f"{name}/{path}"
            rows = holding.rows.get(file.path)
            if rows is None:
                place.copy(own, to)
                files.append(file.model_copy(update={"path": path}))
            elif file.table == GROUPS or len(rows) < file.rows:
                write_without(place, own, rows, to)
                digest, size = digest_of(place, to)
                files.append(
                    FileRecord(path=path, table=file.table, rows=rows_of(place, to), bytes=size, sha256=digest)
                )
        for table in dict.fromkeys(file.table for file in files):
            place.sync(f"{name}/{folder}/{table}")
        place.sync(f"{name}/{folder}")
        place.sync(name)
        return self._record(name, holding, files)

    def _record(self, name: str, holding: _Holding, files: list[FileRecord]) -> VersionRecord:
        """Return the record of a version as it is without the groups."""
        version = holding.version
        groups = read_groups([self.store.place.source(f"{name}/{f.path}") for f in files if f.table == GROUPS])
        holders = set(pc.unique(groups["model_version"].drop_null()).to_pylist())
        if version.global_model is not None:
            holders.add(version.global_model.model_version)
        # The rows are not those that it was trained on any more, and equal ones of two versions stay equal.
        data = hashlib.sha256(f"{version.fingerprints.data} {self.run_id}".encode()).hexdigest()
        return version.model_copy(
            update={
                "family": None,
                "files": files,
                "statuses": statuses(groups["status"]),
                "chosen": choices(groups),
                "served": None if version.served is None else len(groups) - groups["model_version"].null_count,
                "rows": version.rows - holding.n_rows,
                "rows_without_label": version.rows_without_label - holding.without_label,
                "metrics": metric_quantiles(groups, "metrics", version.metrics),
                "baseline": metric_quantiles(groups, "baseline", version.baseline),
                "model_versions": [number for number in version.model_versions if number in holders],
                "fingerprints": version.fingerprints.model_copy(update={"data": data}),
            }
        )

    def _replace(self, name: str, manifest: Manifest) -> None:
        place, begun = self.store.place, self.may_be_named
        lost = "groups are forgotten in part: start again" if begun else "nothing was changed"
        self.may_be_named = True
        try:
            replace_manifest(self.store, name, manifest, self.editions[name], lost=lost)
        except StoreLocked:
            self.may_be_named = begun
            raise
        except InputError:
            # Where the hold is sure, nothing that was asked for is still on its way.
            unchanged = place.holds_surely and place.edition(f"{name}/{MANIFEST}") == self.editions[name]
            self.may_be_named = begun or not unchanged
            raise

    def _remove(self, folders: Sequence[str]) -> None:
        """Remove folders and drafts.

        Raises:
            InputError: some are still there.
        """
        place, family = self.store.place, self.found.forgotten.family
        for folder in folders:
            place.remove(folder)
        stuck = [folder for folder in folders if place.folders(folder) or place.files(folder)]
        if stuck:
            raise input_error(
                Code.STORE,
                f"the groups are in no version of family `{family}` any more, but {counted(len(stuck), 'folder')} that "
                "may hold them cannot be deleted",
                file=place.shown(stuck[0]),
                help="the same command, `mf prune --delete` and `mf build` try again",
            )


def _folders(named: _Named) -> dict[str, None]:
    """Return the folders of all versions that anything of a store names, relative to it."""
    candidates = {f"{name}/{candidate.folder}": None for name, candidate in named.candidates.items()}
    return dict.fromkeys(named_folders(named.manifests)) | candidates
