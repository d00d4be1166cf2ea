"""A store in a folder: renames publish, a lock of the system keeps builds apart. Loads no pyarrow."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from modelfactory.diagnostics import Code, StoreLocked, input_error
from modelfactory.store.holding import Hold, held_by, this_process
from modelfactory.store.places import Conflict, Edition

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder of this machine, or one that is mounted.

    Attributes:
        root: absolute path.
    """

    root: Path

    @property
    def holds_surely(self) -> bool:
        """Always: the system holds the lock for the process."""
        return True

    def shown(self, name: str = "") -> str:
        """Return the path."""
        return str(self.root / name)

    def check_writable(self) -> None:
        """Write a probe to the folder, or to where it will be made."""
        with self._told("write to"):
            place = next(folder for folder in (self.root, *self.root.parents) if folder.exists())
            if not place.is_dir():
                raise input_error(Code.STORE, f"the store `{self.root}` is not a folder")
            with tempfile.TemporaryFile(dir=place) as probe:
                probe.write(b"probe")

    @contextmanager
    def held(self, family: str, run_id: str | None) -> Iterator[Hold]:
        """Hold a family by a lock of the system, which lets go when the process ends, however it ends."""
        with self._told("write to", family):
            (self.root / family).mkdir(parents=True, exist_ok=True)
            lock = (self.root / family / LOCK).open("a+b", buffering=0)
        with lock:
            try:
                with self._told("lock", f"{family}/{LOCK}", but=BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise _held(family, lock) from error
            with self._told("write to", family):
                lock.truncate(0)
                lock.write(this_process(run_id).text().encode())
            try:
                yield _Locked()
            finally:
                with suppress(OSError):  # who held it is a courtesy
                    lock.truncate(0)

    def check_unheld(self, family: str) -> None:
        """Look at the lock, and make nothing."""
        file = self.root / family / LOCK
        with suppress(FileNotFoundError, NotADirectoryError), file.open("rb") as lock:
            if not file.stat().st_size:  # who holds it has written its name
                return
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise _held(family, lock) from error

    def read(self, name: str) -> bytes | None:
        """Return the content of a small file, or None if there is none."""
        with self._told("read", name, but=(FileNotFoundError, NotADirectoryError)):
            try:
                return (self.root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def edition(self, name: str) -> Edition | None:
        """Return a small file such that it can be replaced, or None if there is none."""
        content = self.read(name)
        return None if content is None else Edition(content)

    def replace(self, name: str, content: bytes, former: Edition | None) -> None:
        """Replace a file by a rename."""
        # The lock keeps others away. Where a mounted folder knows no locks, this finds nearly all that it let through.
        if self.edition(name) != former:
            raise Conflict(name)
        with self._told("write to", name):
            replace_file(self.root / name, content.decode())

    def folders(self, name: str) -> list[str]:
        """Return the names of the folders in a folder."""
        return [entry.name for entry in self._entries(name) if entry.is_dir()]

    def files(self, name: str) -> list[str]:
        """Return the names of the files in a folder."""
        return [entry.name for entry in self._entries(name) if entry.is_file()]

    def _entries(self, name: str) -> list[Path]:
        with self._told("read", name, but=(FileNotFoundError, NotADirectoryError)):
            try:
                return sorted((self.root / name).iterdir())
            except (FileNotFoundError, NotADirectoryError):
                return []

    def size(self, name: str) -> int | None:
        """Return the bytes of a file, or None if there is none."""
        with self._told("read", name, but=(FileNotFoundError, NotADirectoryError)):
            try:
                return (self.root / name).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def source(self, name: str) -> Path:
        """Return the file's path."""
        return self.root / name

    @contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO]:
        """Open a file to read it."""
        with self._told("read", name, but=FileNotFoundError), (self.root / name).open("rb") as file:
            yield file

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Open a file to write it."""
        file = self.root / name
        with self._told("write to", name):
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("wb") as out:
                yield out

    def copy(self, name: str, to: str) -> None:
        """Link a file, or copy it where the file system knows no links."""
        source, copied = self.root / name, self.root / to
        with self._told("write to", to):
            copied.parent.mkdir(parents=True, exist_ok=True)
            try:
                copied.hardlink_to(source)
            except (OSError, NotImplementedError):
                shutil.copyfile(source, copied)

    def move(self, name: str, to: str) -> None:
        """Rename a file."""
        with self._told("write to", to):
            (self.root / to).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).rename(self.root / to)

    def remove(self, folder: str) -> None:
        """Remove a folder or a file, and the folder above if it is empty then."""
        path = self.root / folder
        shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()

    def sync(self, folder: str) -> None:
        """Force the files of a folder and its entries to disk."""
        with self._told("write to", folder):
            for name in self.files(folder):
                _sync(self.root / folder / name)
            _sync(self.root / folder)

    def opened(self, folder: str) -> tuple[FileSystem, str, str]:
        """Make a folder and open it to others."""
        from pyarrow.fs import LocalFileSystem

        path = self.root / folder
        with self._told("write to", folder):
            path.mkdir(parents=True, exist_ok=True)
        return LocalFileSystem(), str(path), f"file://{path}"

    @contextmanager
    def _told(
        self, doing: str, name: str = "", *, but: type[OSError] | tuple[type[OSError], ...] = ()
    ) -> Iterator[None]:
        """Turn an error of the system into a message, except those in `but`."""
        try:
            yield
        except OSError as error:
            if isinstance(error, but):
                raise
            said = os.strerror(error.errno) if error.errno else str(error)
            raise input_error(Code.STORE, f"cannot {doing} the store `{self.shown(name)}`: {said}") from error


def _held(family: str, lock: BinaryIO | FileIO) -> StoreLocked:
    lock.seek(0)
    holder = (lock.read() or b"").decode(errors="replace").strip()
    return held_by(family, holder or "another process")


class _Locked:
    """A lock of the system, which is there or not."""

    def confirm(self) -> None:
        """Do nothing: the system does not take a lock away."""


def replace_file(file: Path, text: str, *, mode: int | None = None) -> None:
    """Replace a file's content in one step that survives a crash of the machine.

    Args:
        file: the file.
        text: its new content.
        mode: its permissions; those of a new file if None.
    """
    draft = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as out:
            if mode is not None:
                draft.chmod(mode)
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
    except OSError:
        draft.unlink(missing_ok=True)  # a full disk is not made fuller
        raise
    _sync(file.parent)


def _sync(path: Path) -> None:
    """Force a file, or a folder's entries, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
