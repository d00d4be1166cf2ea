"""Compare a store with what its manifests say: every file of every version, byte by byte."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from modelfactory.diagnostics import InputError
from modelfactory.store.leftovers import leftovers, only_first
from modelfactory.store.manifest import FileRecord, Manifest
from modelfactory.store.places import Place
from modelfactory.store.store import MANIFEST, Store
from modelfactory.store.versions import digest_of, rows_of


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is not as a manifest says.

    Attributes:
        family: name of the family.
        version: number of the version; None if the manifest itself is damaged.
        file: the file, relative to the family's folder.
        what: what is wrong with it.
    """

    family: str
    version: int | None
    file: str
    what: str

    def text(self) -> str:
        """Say it in one line."""
        version = "" if self.version is None else f", version {self.version}"
        return f"family `{self.family}`{version}: `{self.file}` {self.what}"


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look at a whole store found.

    Attributes:
        families: how many families have a manifest.
        versions: how many versions these name.
        files: how many files these have.
        bytes: how many bytes were read.
        damages: what is not as it should be.
        leftovers: what no manifest names, relative to the store: of builds that died, or of one that is under way.
    """

    families: int
    versions: int
    files: int
    bytes: int
    damages: tuple[Damage, ...]
    leftovers: tuple[str, ...]


def verify_store(store: Store) -> Verified:
    """Read all files of all versions of a store; never more than some megabytes of one at once.

    Raises:
        InputError: the store cannot be read at all.
    """
    place = store.place
    manifests: list[Manifest] = []
    damages: list[Damage] = []
    unnamed: list[str] = []
    for family in place.folders(""):
        try:
            manifest = store.manifest(family)
        except InputError as error:
            damages.append(Damage(family, None, MANIFEST, f"cannot be read: {error.diagnostics[0].message}"))
            continue
        left = leftovers(store, family, manifest)
        if manifest is not None:
            manifests.append(manifest)
            damages += _damages(place, family, manifest)
        elif not only_first(left):
            damages.append(Damage(family, None, MANIFEST, "is missing, and there are versions"))
            continue
        unnamed += [f"{family}/{name}" for name in left]
    files = [file for manifest in manifests for version in manifest.versions for file in version.files]
    return Verified(
        families=len(manifests),
        versions=sum(len(manifest.versions) for manifest in manifests),
        files=len(files),
        bytes=sum(file.bytes for file in files),
        damages=tuple(damages),
        leftovers=tuple(unnamed),
    )


def _damages(place: Place, family: str, manifest: Manifest) -> list[Damage]:
    found = []
    if manifest.family != family:
        found.append(Damage(family, None, MANIFEST, f"is the one of family `{manifest.family}`"))
    if manifest.version() is None:
        found.append(
            Damage(family, None, MANIFEST, f"names version {manifest.current} as current and does not have it")
        )
    for version in manifest.versions:
        for file in version.files:
            what = _damage(place, f"{version.folder(family)}/{file.path}", file)
            if what is not None:
                found.append(Damage(family, version.number, file.path, what))
    return found


def _damage(place: Place, name: str, file: FileRecord) -> str | None:
    """Return the first thing that is wrong with a file, or None."""
    try:
        digest, size = digest_of(place, name)
        if size != file.bytes:
            return f"has {size:,} bytes and not {file.bytes:,}"
        if digest != file.sha256:
            return "has another SHA-256 than when it was published"
        rows = rows_of(place, name)
        return None if rows == file.rows else f"has {rows:,} rows and not {file.rows:,}"
    except FileNotFoundError:
        return "is missing"
    except InputError as error:
        return f"cannot be read: {error.diagnostics[0].message}"
    except (OSError, pa.ArrowInvalid):
        return "is no Parquet file"
