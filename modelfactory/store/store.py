"""A store: folders of families with their manifests and versions.

A version is staged in a folder that no manifest names, and published by replacing the manifest in one step. Until
then it does not exist; what a build that died has left behind is removed by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from modelfactory.diagnostics import Code, Diagnostic, StoreLocked, input_error
from modelfactory.store.manifest import FileRecord, Manifest, VersionRecord, manifest_text, read_manifest

MANIFEST = "manifest.json"
STAGING = "_staging"
LOCK = ".lock"
GROUPS, MODELS = "groups", "models"


@dataclass(frozen=True, slots=True)
class Store:
    """A folder that holds families.

    Attributes:
        root: absolute path.
    """

    root: Path

    def check_writable(self) -> None:
        """Make the folder if it is missing and write a probe.

        Raises:
            InputError: the path is not a folder, or nothing can be written there.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".probe-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except (FileExistsError, NotADirectoryError) as error:
            raise input_error(Code.STORE, f"the store `{self.root}` is not a folder") from error
        except OSError as error:
            raise input_error(Code.STORE, f"cannot write to the store `{self.root}`: {error.strerror}") from error

    def manifest(self, family: str) -> Manifest | None:
        """Return a family's manifest, or None if it was never published.

        Raises:
            InputError: the manifest cannot be read.
        """
        file = self.root / family / MANIFEST
        try:
            text = file.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise input_error(Code.STORE, f"cannot read the manifest: {error.strerror}", file=file) from error
        return read_manifest(text, place=str(file))

    def files(self, family: str, version: VersionRecord, table: str) -> list[Path]:
        """Return the files of one table of a version."""
        return [self.root / family / f.path for f in version.files if f.table == table]

    @contextmanager
    def locked(self, family: str) -> Iterator[None]:
        """Hold a family for one build; the system lets go when the process ends, however it ends.

        Raises:
            StoreLocked: another build holds it.
        """
        folder = self.root / family
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("a+", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                lock.seek(0)
                holder = lock.read().strip() or "another process"
                raise StoreLocked(
                    Diagnostic(
                        code=Code.STORE_LOCKED,
                        message=f"family `{family}` is being built by {holder}",
                        help="wait until it has finished",
                    )
                ) from error
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {os.uname().nodename}")
            lock.flush()
            try:
                yield
            finally:
                lock.truncate(0)

    def stage(self, family: str, number: int, run_id: str) -> Staging:
        """Open a staging folder for a new version, after removing what dead builds left; needs the lock."""
        folder = self.root / family
        manifest = self.manifest(family)
        named = {Path(f.path).parts[0] for v in manifest.versions for f in v.files} if manifest else set()
        for left in folder.glob("v[0-9]*-*"):
            if left.name not in named:
                shutil.rmtree(left)
        shutil.rmtree(folder / STAGING, ignore_errors=True)
        name = f"v{number:06d}-{run_id}"
        staging = Staging(family_root=folder, name=name)
        staging.folder.mkdir(parents=True)
        return staging

    def publish(self, staging: Staging, version: VersionRecord) -> Manifest:
        """Make a staged version the current one, in one step; needs the lock."""
        before = self.manifest(version_family := staging.family_root.name)
        versions = [*before.versions, version] if before else [version]
        manifest = Manifest(family=version_family, current=version.number, versions=versions)
        staging.folder.rename(staging.family_root / staging.name)
        with contextlib.suppress(OSError):
            (staging.family_root / STAGING).rmdir()
        _sync(staging.family_root)
        replace_file(staging.family_root / MANIFEST, manifest_text(manifest))
        return manifest


@dataclass(frozen=True, slots=True)
class Staging:
    """A version that is being written.

    Attributes:
        family_root: folder of the family.
        name: name of the version's folder once it is published.
    """

    family_root: Path
    name: str

    @property
    def folder(self) -> Path:
        """Where the version is written until it is published."""
        return self.family_root / STAGING / self.name

    def write_groups(self, table: pa.Table) -> None:
        """Write the group table."""
        folder = self.folder / GROUPS
        folder.mkdir()
        pq.write_table(table, folder / "part-00000.parquet", compression="zstd", row_group_size=100_000)

    def adopt_models(self, written: Path) -> None:
        """Move the Parquet files that Spark wrote to their place as model table."""
        folder = self.folder / MODELS
        folder.mkdir()
        for number, file in enumerate(sorted(written.glob("*.parquet"))):
            file.rename(folder / f"part-{number:05d}.parquet")

    def discard(self) -> None:
        """Remove everything that was staged."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            (self.family_root / STAGING).rmdir()

    def seal(self) -> list[FileRecord]:
        """Force the files to disk and describe them."""
        records = []
        for table in (GROUPS, MODELS):
            for file in sorted((self.folder / table).glob("*.parquet")):
                digest, size = _digest_synced(file)
                records.append(
                    FileRecord(
                        path=f"{self.name}/{table}/{file.name}",
                        table=table,
                        rows=pq.read_metadata(file).num_rows,
                        bytes=size,
                        sha256=digest,
                    )
                )
        return records


def replace_file(file: Path, text: str) -> None:
    """Replace a file's content in one step that survives a crash of the machine."""
    draft = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    with draft.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
    _sync(file.parent)


def _digest_synced(file: Path) -> tuple[str, int]:
    with file.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
        os.fsync(data.fileno())
    return digest, file.stat().st_size


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
