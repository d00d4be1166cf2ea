"""A store: folders of families with their manifests. Reading it needs no Parquet and no pandas."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from modelfactory.diagnostics import Code, Diagnostic, StoreLocked, input_error
from modelfactory.store.manifest import Manifest, VersionRecord, read_manifest

MANIFEST = "manifest.json"
LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Store:
    """A folder that holds families.

    Attributes:
        root: absolute path.
    """

    root: Path

    def check_writable(self) -> None:
        """Write a probe to the store, or to where it will be made; leaves nothing behind.

        Raises:
            InputError: the path is not a folder, or nothing can be written there.
        """
        place = next(folder for folder in (self.root, *self.root.parents) if folder.exists())
        if not place.is_dir():
            raise input_error(Code.STORE, f"the store `{self.root}` is not a folder")
        try:
            with tempfile.TemporaryFile(dir=place) as probe:
                probe.write(b"probe")
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
        except UnicodeDecodeError as error:
            raise input_error(Code.STORE_SCHEMA, "the manifest is damaged", file=file) from error
        return read_manifest(text, place=str(file))

    def files(self, family: str, version: VersionRecord, table: str) -> list[Path]:
        """Return the files of one table of a version."""
        return [self.root / family / f.path for f in version.files if f.table == table]

    def check_unlocked(self, family: str) -> None:
        """See whether a family is free, before work that would be for nothing; it may be taken the next moment.

        Raises:
            StoreLocked: another build holds it.
        """
        file = self.root / family / LOCK
        with suppress(FileNotFoundError, NotADirectoryError), file.open(encoding="utf-8") as lock:
            if not file.stat().st_size:  # who holds it has written its name
                return
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError as error:
                raise _held(family, lock) from error

    @contextmanager
    def locked(self, family: str) -> Iterator[None]:
        """Hold a family for one build; the system lets go when the process ends, however it ends.

        Raises:
            StoreLocked: another build holds it.
        """
        folder = self.root / family
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise input_error(Code.STORE, f"cannot make the folder `{folder}`: {error.strerror}") from error
        with (folder / LOCK).open("a+", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise _held(family, lock) from error
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {os.uname().nodename}")
            lock.flush()
            try:
                yield
            finally:
                lock.truncate(0)


def _held(family: str, lock: IO[str]) -> StoreLocked:
    lock.seek(0)
    holder = lock.read().strip() or "another process"
    return StoreLocked(
        Diagnostic(
            code=Code.STORE_LOCKED,
            message=f"family `{family}` is being built by {holder}",
            help="wait until it has finished",
        )
    )


def replace_file(file: Path, text: str) -> None:
    """Replace a file's content in one step that survives a crash of the machine."""
    draft = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    with draft.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
