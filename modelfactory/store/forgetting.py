"""Forget groups on request: their rows and models go from all versions, and a tombstone stays that does not name them.

Whatever holds a group is written anew without it, into a folder of its own beside the old one; then the manifest is
replaced in one step, and only then the old folder is removed. Killed before that step, nothing has happened; killed
after it, what is left counts for nothing, and the next forget, prune or build of the family removes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
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
from modelfactory.store.groups import metric_quantiles, opened, read_groups, statuses
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
    """What a version loses: how many groups, and how many models of its own model table."""

    version: VersionRecord
    groups: int
    models: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What was forgotten of a family, or would be.

    Attributes:
        family: its name.
        key: values of group columns as text; of all, or of some.
        losses: the versions that lose something, by number.
        groups: how many groups these are, over all versions.
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
        """How many models these are, over all versions."""
        return sum(loss.models for loss in self.losses)


def forget(
    store: Store, family: str, key: Mapping[str, str], *, run_id: str, delete: bool = False, elsewhere: bool = False
) -> Forgotten:
    """Remove groups from all versions of a family, or say what would be removed.

    What no manifest names goes too. A family that was renamed loses the groups under all names whose manifests name its
    versions. The models of all rows, and those of families that stand in, were fitted on rows of the groups and stay.

    Args:
        store: the store.
        family: name of the family.
        key: values of group columns as text, as `keys.typed` reads them. If it does not have all of them, all groups
            with these values are meant.
        run_id: the run that does it.
        delete: do it.
        elsewhere: whether there are such groups somewhere else, so that it is no mistake if no version has any.

    Raises:
        InputError: the family was never built, the key names no group column or holds no value of one, there never was
            such a group, or the store cannot be read or written.
        StoreLocked: a build of the family is under way, or came first.
    """
    published(store, family)
    manifests = manifests_of(store)
    names = _sharing(store, family, manifests)
    if not delete:
        found = _found(store, family, key, {name: manifests[name] for name in names}, manifests)
        _check_any(found, elsewhere=elsewhere)
        for name in names:
            store.check_unlocked(name)
        return found.forgotten
    with ExitStack() as stack:
        holds = [stack.enter_context(store.locked(name, run_id=run_id)) for name in dict.fromkeys([family, *names])]
        editions = {name: store.place.edition(f"{name}/{MANIFEST}") for name in names}
        held = {name: store.parsed(name, edition.content) for name, edition in editions.items() if edition}
        manifests = {**manifests, **held}
        if _sharing(store, family, manifests) != names:
            raise overtaken(family, "nothing was changed")
        found = _found(store, family, key, held, manifests)
        _check_any(found, elsewhere=elsewhere)
        _Removal(store, found, held, manifests, editions, holds, run_id).carry_out()
    return found.forgotten


def _sharing(store: Store, family: str, manifests: Mapping[str, Manifest]) -> list[str]:
    """Return the names under which there are manifests that name versions of a family, its own names first."""
    names = [name for name in store.names(family) if name in manifests]
    while True:
        folders = named_folders({name: manifests[name] for name in names}).keys()
        more = [n for n, m in manifests.items() if n not in names and named_folders({n: m}).keys() & folders]
        if not more:
            return names
        names += more


# Finding --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Holding:
    """Where a version holds the groups.

    Attributes:
        version: the version, as a manifest names it.
        rows: by the path of a file, the numbers of its rows; only files that have any.
        keys: each group's key as text.
        n_rows: rows of the input that these groups had.
        without_label: how many of them had no label.
    """

    version: VersionRecord
    rows: Mapping[str, Rows]
    keys: frozenset[str]
    n_rows: int
    without_label: int

    @property
    def loss(self) -> Loss:
        """How much it is."""
        models = {file.path for file in self.version.files if file.table == MODELS}
        return Loss(self.version, len(self.keys), sum(len(rows) for path, rows in self.rows.items() if path in models))


@dataclass(frozen=True, slots=True)
class _Found:
    """What is to be forgotten, and where it is.

    Attributes:
        forgotten: what is told of it.
        texts: the key as `key_texts` writes it, in each of the types that versions have it in.
        holdings: the versions that hold it, by the name of the manifest.
    """

    forgotten: Forgotten
    texts: frozenset[str]
    holdings: Mapping[str, Sequence[_Holding]]


def _found(
    store: Store, family: str, key: Mapping[str, str], held: Mapping[str, Manifest], manifests: Mapping[str, Manifest]
) -> _Found:
    """Look for groups in all versions under all names.

    Raises:
        InputError: no version can have such groups.
    """
    versions = [(name, version) for name, manifest in held.items() for version in manifest.versions]
    _check_columns(family, key, [version for _, version in versions])
    holdings: dict[str, list[_Holding]] = {name: [] for name in held}
    texts: set[str] = set()
    misfit: KeyTypeDiffers | None = None
    earlier: str | None = None
    for name, version in versions:
        if not key.keys() <= set(version.group_by):
            continue
        try:
            kinds, holding = _holding(store, name, version, key)
        except KeyTypeDiffers as error:  # in this version the column is of another type
            misfit = error
            continue
        columns = {column: typed(text, kinds.field(column).type) for column, text in key.items()}
        texts.update(key_texts(list(columns.values())))
        earlier = max(filter(None, (earlier, forgotten_at(held[name].forgotten, columns))), default=None)
        if holding is not None:
            holdings[name].append(holding)
    if misfit is not None and not texts:
        raise input_error(Code.BAD_OPTION, f"in the groups of family `{family}`, {misfit}") from misfit
    known = named_folders(manifests)
    left = [f"{n}/{path}" for n in held for path in leftovers(store, n, held[n]) if f"{n}/{path}" not in known]
    found = [holding for each in holdings.values() for holding in each]
    losses = {(h.version.number, h.version.run_id): h.loss for h in found}
    others = {(v.number, v.run_id): v for _, v in versions if not key.keys() <= set(v.group_by)}
    forgotten = Forgotten(
        family=family,
        key=key,
        losses=tuple(losses[which] for which in sorted(losses)),
        groups=len({text for holding in found for text in holding.keys}),
        others=tuple(others[which] for which in sorted(others)),
        earlier=earlier,
        leftovers=tuple(left),
    )
    return _Found(forgotten, frozenset(texts), holdings)


def _check_any(found: _Found, *, elsewhere: bool) -> None:
    """See that there is, or was, something to forget.

    Raises:
        InputError: there never was.
    """
    told = found.forgotten
    if told.losses or told.leftovers or told.earlier or elsewhere:
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
    store: Store, name: str, version: VersionRecord, key: Mapping[str, str]
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
    holding = _Holding(version, rows, frozenset(keys), n_rows, without_label) if rows else None
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
        held: the manifests that name it.
        manifests: all of the store.
        editions: what stood in these when they were read.
        holds: the holds.
        run_id: the run that does it.
        written: folders that were written, relative to the store.
        may_be_named: whether a manifest may name some of these already.
    """

    store: Store
    found: _Found
    held: Mapping[str, Manifest]
    manifests: Mapping[str, Manifest]
    editions: Mapping[str, Edition | None]
    holds: Sequence[Hold]
    run_id: str
    written: list[str] = field(default_factory=list)
    may_be_named: bool = False

    def carry_out(self) -> None:
        """Write what stays, replace the manifests, remove what was."""
        try:
            after = {name: self._without(name) for name in self.held}
            for hold in self.holds:
                hold.confirm()
            for name, manifest in after.items():
                if manifest is not self.held[name]:
                    self._replace(name, manifest)
        except BaseException:
            if not self.may_be_named:
                with suppress(InputError):  # the next one removes what is left
                    for folder in self.written:
                        self.store.place.remove(folder)
            raise
        named = named_folders({**self.manifests, **after}).keys()
        gone = [folder for folder in named_folders(self.held) if folder not in named]
        self._remove([*gone, *self.found.forgotten.leftovers])

    def _without(self, name: str) -> Manifest:
        """Return a manifest without the groups; the files that it names are written."""
        before, holdings = self.held[name], {h.version.number: h for h in self.found.holdings[name]}
        # A build whose lease ran out may still be alive: it cannot publish any more once its manifest is replaced.
        unsure = not self.store.place.holds_surely and any(
            path.startswith(f"{name}/") for path in self.found.forgotten.leftovers
        )
        if not holdings:
            return before.model_copy(update={"revision": before.revision + 1}) if unsure else before
        versions = [self._rewritten(name, holdings[v.number]) if v.number in holdings else v for v in before.versions]
        update = {"versions": versions, "revision": before.revision + 1}
        return before.model_copy(update={**update, "forgotten": [*before.forgotten, self._tombstone(name)]})

    def _tombstone(self, name: str) -> TombstoneRecord:
        holdings, key = self.found.holdings[name], self.found.forgotten.key
        return tombstone(
            list(key),
            self.found.texts,
            run_id=self.run_id,
            versions=[holding.version.number for holding in holdings],
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
        has_models_of = set(pc.unique(groups["model_version"].drop_null()).to_pylist())
        # The rows are not those that it was trained on any more, and equal ones of two versions stay equal.
        data = hashlib.sha256(f"{version.fingerprints.data} {self.run_id}".encode()).hexdigest()
        return version.model_copy(
            update={
                "family": None,
                "files": files,
                "statuses": statuses(groups),
                "rows": version.rows - holding.n_rows,
                "rows_without_label": version.rows_without_label - holding.without_label,
                "metrics": metric_quantiles(groups, "metrics", version.metrics),
                "baseline": metric_quantiles(groups, "baseline", version.baseline),
                "model_versions": [number for number in version.model_versions if number in has_models_of],
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
