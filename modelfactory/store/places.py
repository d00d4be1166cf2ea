"""What a store needs of where it stands: a folder in `local`, a URL in `remote`.

Names are relative to the place and parted by slashes.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from modelfactory.store.holding import Hold

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


@dataclass(frozen=True, slots=True)
class Edition:
    """What a file held when it was read.

    Attributes:
        tag: what tells this content from every other to the place; None where the place has no such thing.
    """

    content: bytes
    tag: Any = None


class Conflict(Exception):
    """A file was to be replaced and is no longer what it was when it was read."""


class Place(Protocol):
    """A folder, or what stands for one.

    Every method raises `InputError` with one sentence where the place cannot be used: a disk is full, a bucket is
    missing, credentials are wrong.

    Attributes:
        holds_surely: whether a hold cannot be lost while its process runs.
    """

    @property
    def holds_surely(self) -> bool:
        """Whether a hold lasts as long as its process."""

    def shown(self, name: str = "") -> str:
        """Return a name as messages show it."""

    def check_writable(self) -> None:
        """Write a probe, to the place or to where it will be made; leaves nothing behind."""

    def held(self, family: str, run_id: str | None) -> AbstractContextManager[Hold]:
        """Hold a family for one build.

        Raises:
            StoreLocked: another build holds it.
        """

    def check_unheld(self, family: str) -> None:
        """See whether a family is free; it may be taken the next moment.

        Raises:
            StoreLocked: another build holds it.
        """

    def read(self, name: str) -> bytes | None:
        """Return the content of a small file, or None if there is none."""

    def edition(self, name: str) -> Edition | None:
        """Return a small file such that it can be replaced, or None if there is none."""

    def replace(self, name: str, content: bytes, former: Edition | None) -> None:
        """Replace a file in one step.

        Args:
            name: the file.
            content: what it will hold.
            former: what it held when it was read; None if there was none.

        Raises:
            Conflict: it has changed since.
        """

    def folders(self, name: str) -> list[str]:
        """Return the names of the folders in a folder, sorted; none if there is no such folder."""

    def files(self, name: str) -> list[str]:
        """Return the names of the files in a folder, sorted; none if there is no such folder."""

    def size(self, name: str) -> int | None:
        """Return the bytes of a file without reading it, or None if there is none."""

    def source(self, name: str) -> Any:
        """Return a file as `groups.read_groups` takes it; nothing is opened yet."""

    def reading(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a file to read it from its beginning to its end.

        Raises:
            FileNotFoundError: there is none.
        """

    def writing(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a file to write it, and make the folders above it."""

    def copy(self, name: str, to: str) -> None:
        """Give what a file holds a second name, and make the folders above it; files are never changed in place."""

    def move(self, name: str, to: str) -> None:
        """Give a file another name, and make the folders above it."""

    def remove(self, folder: str) -> None:
        """Remove a folder or a file if it is there, and the folder above if nothing else is in it."""

    def sync(self, folder: str) -> None:
        """Force the files of a folder to disk, where that is not done with every write."""

    def opened(self, folder: str) -> tuple[FileSystem, str, str]:
        """Open a folder to others, and make it where an empty folder is something.

        Returns:
            A file system, the folder's path in it, and its URL in which nothing is escaped.
        """
