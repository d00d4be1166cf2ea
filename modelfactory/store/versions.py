"""Write versions: stage, seal, publish.

A version is staged in a folder that no manifest names, and published by replacing the manifest in one step. Until
then it does not exist; what a build that died has left behind is removed by the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from modelfactory.diagnostics import Code, input_error
from modelfactory.store.manifest import FileRecord, Manifest, VersionRecord, manifest_text
from modelfactory.store.store import MANIFEST, Store, replace_file, sync_folder

STAGING = "_staging"
GROUPS, MODELS = "groups", "models"


def next_number(store: Store, family: str) -> int:
    """Return the number of the next version; a number is never given twice."""
    manifest = store.manifest(family)
    return 1 + max((version.number for version in manifest.versions), default=0) if manifest else 1


def stage_version(store: Store, family: str, number: int, run_id: str) -> Staging:
    """Open a staging folder for a new version, after removing what dead builds left; needs the family's lock."""
    folder = store.root / family
    manifest = store.manifest(family)
    folders = [left for left in folder.glob("v[0-9]*-*") if left.is_dir()]
    if manifest is None and any(not left.name.startswith("v000001-") for left in folders):
        raise input_error(
            Code.STORE,
            f"family `{family}` has versions and no {MANIFEST}; nothing was removed",
            file=folder,
            help=f"restore {MANIFEST}, or move the folders away to begin anew",
        )
    named = {Path(f.path).parts[0] for v in manifest.versions for f in v.files} if manifest else set()
    for left in folders:
        if left.name not in named:
            shutil.rmtree(left)
    shutil.rmtree(folder / STAGING, ignore_errors=True)
    for draft in folder.glob("*.tmp"):
        draft.unlink()
    staging = Staging(family_root=folder, name=f"v{number:06d}-{run_id}")
    staging.folder.mkdir(parents=True)
    return staging


def publish_version(store: Store, staging: Staging, version: VersionRecord) -> Manifest:
    """Make a staged version the current one, in one step; needs the family's lock."""
    family = staging.family_root.name
    before = store.manifest(family)
    versions = [*before.versions, version] if before else [version]
    manifest = Manifest(family=family, current=version.number, versions=versions)
    staging.folder.rename(staging.family_root / staging.name)
    sync_folder(staging.family_root)
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

    @property
    def has_models(self) -> bool:
        """Whether any model was written."""
        return any((self.folder / MODELS).glob("*.parquet"))

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
            if (self.folder / table).is_dir():
                sync_folder(self.folder / table)
        sync_folder(self.folder)
        return records


def _digest_synced(file: Path) -> tuple[str, int]:
    with file.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
        os.fsync(data.fileno())
    return digest, file.stat().st_size
