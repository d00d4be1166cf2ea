"""Write versions: stage, seal, publish.

A version is written to its own folder, which no manifest names, and published by replacing the manifest in one step.
Until then it does not exist; what a build that died has left behind is removed by the next one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from modelfactory.diagnostics import Code, InputError, input_error
from modelfactory.plan.outcomes import GLOBAL
from modelfactory.store.candidates import Candidate, kept_candidate, no_candidate, write_candidate
from modelfactory.store.groups import opened
from modelfactory.store.holding import overtaken
from modelfactory.store.leftovers import STAGING, leftovers, only_first
from modelfactory.store.manifest import FileRecord, Manifest, VersionRecord, manifest_text
from modelfactory.store.places import Conflict, Edition, Place
from modelfactory.store.store import MANIFEST, Store

GROUPS, MODELS = "groups", "models"
"""Tables of a version; beside them that of the global model, `GLOBAL`, where the family has one."""
_CHUNK = 8 << 20


def next_number(store: Store, family: str) -> int:
    """Return the number of the next version; a number is never given twice."""
    manifest = store.manifest(family)
    return manifest.highest + 1 if manifest else 1


def stage_version(store: Store, family: str, number: int, run_id: str) -> Staging:
    """Begin a new version; needs a hold on the family.

    What dead builds left is removed first, where the hold is sure.

    Raises:
        InputError: the family has versions and no manifest, or the store cannot be used.
        StoreLocked: the family has a new name, and another build has taken it over since.
    """
    place = store.place
    former = place.edition(f"{family}/{MANIFEST}")
    renamed = bool(store.former_names.get(family))  # then another of its names may have gone further
    manifest = store.manifest(family) if former is None or renamed else store.parsed(family, former.content)
    left = leftovers(store, family, manifest)
    if former is None and not only_first(left):
        raise input_error(
            Code.STORE,
            f"family `{family}` has versions and no {MANIFEST}; nothing was removed",
            file=place.shown(family),
            help=f"restore {MANIFEST}, or move the folders away to begin anew",
        )
    if former is None and manifest is not None:
        # The family has a new name. Were this build to die, what it leaves could not be told from versions whose
        # manifest was lost.
        former = _take_over(place, family, manifest)
    if place.holds_surely:
        for name in left:
            place.remove(f"{family}/{name}")
    return Staging(place, family, f"v{number:06d}-{run_id}", former, manifest)


def _take_over(place: Place, family: str, manifest: Manifest) -> Edition | None:
    """Write the manifest of a former name under the present one, and return what was written."""
    moved = manifest.model_copy(update={"revision": manifest.revision + 1})
    try:
        place.replace(f"{family}/{MANIFEST}", manifest_text(moved).encode(), None)
    except Conflict as error:
        raise overtaken(family) from error
    return place.edition(f"{family}/{MANIFEST}")


def publish_version(store: Store, staging: Staging, version: VersionRecord) -> Manifest:
    """Make a staged version the current one, in one step; needs a hold on the family.

    Raises:
        StoreLocked: another build has published since this one began.
        InputError: the store cannot be written.
    """
    place, family, before = store.place, staging.family, staging.manifest
    if before and any(other.number == version.number for other in before.versions):
        raise overtaken(family)
    versions = [*before.versions, version] if before else [version]
    revision = before.revision + 1 if before else 0
    forgotten = before.forgotten if before else []
    manifest = Manifest(
        family=family, current=version.number, revision=revision, versions=versions, forgotten=forgotten
    )
    # A build whose lease ran out may still be alive. Only once the manifest is replaced can it not publish any more;
    # and what is found after that may be of a build that has begun since.
    left = leftovers(store, family, manifest)  # what was held back among it: it is out of date now
    staging.may_be_named = True
    try:
        place.replace(f"{family}/{MANIFEST}", manifest_text(manifest).encode(), staging.former)
    except Conflict as error:
        staging.may_be_named = False
        raise overtaken(family) from error
    except InputError:
        # Where the hold is sure, nothing that was asked for is still on its way.
        staging.may_be_named = not place.holds_surely or place.edition(f"{family}/{MANIFEST}") != staging.former
        raise
    _remove(staging, left)
    return manifest


def hold_back(store: Store, staging: Staging, version: VersionRecord, why: Sequence[str]) -> None:
    """Keep a staged version as the family's candidate, in the place of another; needs a hold on the family.

    Args:
        store: the store.
        staging: the version.
        version: what would be published of it.
        why: what holds it back.

    Raises:
        StoreLocked: another build of the family came first.
        InputError: the store cannot be written.
    """
    staging.may_be_named = True
    write_candidate(store, staging.family, Candidate(version=version, why=list(why)))
    _remove(staging, leftovers(store, staging.family, staging.manifest))


def publish_candidate(store: Store, family: str) -> Manifest:
    """Make the candidate of a family its current version; needs a hold on the family.

    Raises:
        InputError: there is no candidate, or its files are not there as they were written.
        StoreLocked: another build has published since.
    """
    former = store.place.edition(f"{family}/{MANIFEST}")
    manifest = None if former is None else store.parsed(family, former.content)
    candidate = kept_candidate(store, family, manifest)
    if candidate.folder is None:
        raise no_candidate(family)
    store.check_whole(family, candidate.version)
    for number in candidate.version.model_versions:
        needed = manifest.version(number) if manifest else None
        if needed is not None:
            store.check_whole(family, needed)
        elif number != candidate.version.number:
            message = f"the candidate of family `{family}` needs models of version {number}, which is gone"
            raise input_error(Code.STORE, message, help="build it again")
    staging = Staging(store.place, family, candidate.folder, former, manifest)
    published_at = datetime.now(UTC).isoformat(timespec="seconds")
    return publish_version(store, staging, candidate.version.model_copy(update={"published_at": published_at}))


def _remove(staging: Staging, left: Sequence[str]) -> None:
    with suppress(InputError):  # the version stands; the next build tries again
        for name in left:
            if name not in (staging.name, f"{STAGING}/{staging.name}"):
                staging.place.remove(f"{staging.family}/{name}")


@dataclass(slots=True)
class Staging:
    """A version that is being written.

    Attributes:
        place: where its store stands.
        family: name of the family.
        name: name of the version's folder.
        former: the family's manifest when this began, as it must still be when it is replaced.
        manifest: what stood in it, or in the one of the family's former name.
        may_be_named: whether a manifest may name the version already: an object store may have done what it was asked
            to and its answer be lost.
    """

    place: Place
    family: str
    name: str
    former: Edition | None
    manifest: Manifest | None
    may_be_named: bool = False

    @property
    def folder(self) -> str:
        """The version's folder, in the place."""
        return f"{self.family}/{self.name}"

    @property
    def scratch(self) -> str:
        """A folder, in the place, for what others write on the way; it is not made yet."""
        return f"{self.family}/{STAGING}/{self.name}"

    @property
    def has_models(self) -> bool:
        """Whether any model was written."""
        return bool(self._parquet(f"{self.folder}/{MODELS}"))

    def write_groups(self, table: pa.Table) -> None:
        """Write the group table."""
        with self.place.writing(f"{self.folder}/{GROUPS}/part-00000.parquet") as out:
            pq.write_table(table, out, compression="zstd", row_group_size=100_000)

    def adopt_models(self, written: str, *, global_model: str | None = None) -> None:
        """Move the Parquet files that Spark wrote where they belong, and clear the scratch.

        Args:
            written: folder of the place that holds the model table.
            global_model: folder that holds the global model's, if the family has one.
        """
        for table, folder in ((MODELS, written), (GLOBAL, global_model)):
            for number, name in enumerate(self._parquet(folder) if folder else ()):
                self.place.move(f"{folder}/{name}", f"{self.folder}/{table}/part-{number:05d}.parquet")
        self.place.remove(self.scratch)

    def adopt_candidate(self, version: VersionRecord) -> None:
        """Have the models of a candidate, whose number this version has, beside its own.

        They stay the candidate's too, until this version takes its place: this one may yet fail.
        """
        for number, file in enumerate(file for file in version.files if file.table != GROUPS):
            self.place.copy(f"{self.family}/{file.path}", f"{self.folder}/{file.table}/candidate-{number:05d}.parquet")

    def discard(self) -> None:
        """Remove everything that was written, unless it is published or may be."""
        with suppress(InputError):  # the next build removes what is left
            self.place.remove(self.scratch)
            if not self.may_be_named:
                self.place.remove(self.folder)

    def seal(self) -> list[FileRecord]:
        """Force the files to disk and describe them."""
        records = []
        for table in (GROUPS, MODELS, GLOBAL):
            names = self._parquet(f"{self.folder}/{table}")
            for name in names:
                file = f"{self.folder}/{table}/{name}"
                digest, size = digest_of(self.place, file)
                path = f"{self.name}/{table}/{name}"
                rows = rows_of(self.place, file)
                records.append(FileRecord(path=path, table=table, rows=rows, bytes=size, sha256=digest))
            if names:
                self.place.sync(f"{self.folder}/{table}")
        self.place.sync(self.folder)
        self.place.sync(self.family)
        return records

    def _parquet(self, folder: str) -> list[str]:
        return [name for name in self.place.files(folder) if name.endswith(".parquet")]


def digest_of(place: Place, name: str) -> tuple[str, int]:
    """Return the SHA-256 of a file and its bytes, read piece by piece.

    Raises:
        FileNotFoundError: there is none.
    """
    digest, size = hashlib.sha256(), 0
    with place.reading(name) as data:
        while chunk := data.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def rows_of(place: Place, name: str) -> int:
    """Return the rows of a Parquet file.

    Raises:
        OSError: it cannot be read.
        pyarrow.ArrowInvalid: it is not Parquet.
    """
    rows: int = pq.read_metadata(opened(place.source(name))).num_rows
    return rows
