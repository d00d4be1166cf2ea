"""A store at a URL: pyarrow reads and writes what is large, `objects` what must not be overwritten."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, BinaryIO, cast

import pyarrow as pa
from pyarrow.fs import (
    AwsStandardS3RetryStrategy,
    FileSelector,
    FileSystem,
    FileType,
    GcsFileSystem,
    S3FileSystem,
    resolve_s3_region,
)

from modelfactory.diagnostics import Code, InputError, input_error
from modelfactory.store.holding import Hold
from modelfactory.store.lease import check_lease, leased
from modelfactory.store.objects import Objects, errors
from modelfactory.store.places import Edition
from modelfactory.store.urls import StoreUrl

_CHUNK = 8 << 20
_CREDENTIALS = {"s3": "AWS_ACCESS_KEY_ID", "gs": "GOOGLE_APPLICATION_CREDENTIALS"}


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a store at a URL; nothing is opened yet."""

    filesystem: FileSystem
    path: str

    def open(self) -> Any:
        """Open it for Parquet's reader.

        Raises:
            OSError: it is missing or cannot be reached.
        """
        return self.filesystem.open_input_file(self.path)


@dataclass(frozen=True)
class RemoteFolder:
    """A prefix of an object store, or a folder of HDFS.

    Credentials, region and endpoint are those of the environment.

    Attributes:
        where: its URL.
    """

    where: StoreUrl

    @property
    def holds_surely(self) -> bool:
        """Never: a lease runs out when its process is paused."""
        return False

    @cached_property
    def _settings(self) -> Mapping[str, str]:
        """Region and endpoint of S3, the same for both libraries; nothing elsewhere."""
        if self.where.scheme != "s3":
            return {}
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if not region:
            region = "us-east-1" if endpoint else resolve_s3_region(self.where.authority)
        return {"region": region, **({"endpoint": endpoint} if endpoint else {})}

    @cached_property
    def _opened(self) -> tuple[FileSystem, str]:
        path = f"{self.where.authority}/{self.where.prefix}".rstrip("/")
        if self.where.scheme == "s3":
            files = S3FileSystem(
                region=self._settings["region"],
                endpoint_override=self._settings.get("endpoint"),
                retry_strategy=AwsStandardS3RetryStrategy(max_attempts=3),
                connect_timeout=10,
                request_timeout=60,
            )
            return files, path
        if self.where.scheme == "gs":
            return GcsFileSystem(retry_time_limit=timedelta(seconds=30)), path
        if self.where.has_conditional_put:
            # Without credentials, pyarrow's client of Azure ends the process; obstore's says what is missing.
            self._objects.read(".probe")
        try:
            found = FileSystem.from_uri(str(self.where))
        except pa.ArrowException as error:
            raise OSError(f"this pyarrow cannot open it: {error}") from error
        return found[0], found[1]

    @cached_property
    def _objects(self) -> Objects:
        if not self.where.has_conditional_put:
            raise input_error(
                Code.STORE,
                f"the store `{self.where}` can be read and not be written: {self.where.scheme} cannot replace a "
                "manifest in one step",
                help="mount it, and give the folder as store",
            )
        return Objects(self.where, self._settings)

    def _path(self, name: str) -> str:
        return f"{self._opened[1]}/{name}".rstrip("/")

    def shown(self, name: str = "") -> str:
        """Return the URL."""
        return f"{self.where}/{name}".rstrip("/")

    def check_writable(self) -> None:
        """Write an object and delete it."""
        with self._told("write to"):
            self._objects.probe(f".probe-{secrets.token_hex(4)}")

    @contextmanager
    def held(self, family: str, run_id: str | None) -> Iterator[Hold]:
        """Hold a family by a lease."""
        with ExitStack() as stack:
            with self._told("write to", family):
                hold = stack.enter_context(leased(self._objects, family, run_id))
            yield _Told(self, hold)

    def check_unheld(self, family: str) -> None:
        """Look at the lease."""
        with self._told("read", family):
            check_lease(self._objects, family)

    def read(self, name: str) -> bytes | None:
        """Return the content of a small object, or None if there is none."""
        with self._told("read", name):
            try:
                with self._opened[0].open_input_stream(self._path(name)) as file:
                    return bytes(file.read())
            except FileNotFoundError:
                self._check_bucket()
                return None

    def _check_bucket(self) -> None:
        """Tell a missing bucket from a missing object: a store that is not there is no store without families."""
        if self.where.scheme == "hdfs":
            return
        files, path = self._opened
        bucket = path.partition("/")[0]
        if files.get_file_info(bucket).type == FileType.NotFound:
            raise FileNotFoundError(f"there is no bucket `{bucket}`")

    def edition(self, name: str) -> Edition | None:
        """Return a small object with its tag, or None if there is none."""
        with self._told("read", name):
            return self._objects.read(name)

    def replace(self, name: str, content: bytes, former: Edition | None) -> None:
        """Replace an object by a put that is refused if it has changed."""
        with self._told("write to", name):
            self._objects.write(name, content, former)

    def folders(self, name: str) -> list[str]:
        """Return the names of the folders in a folder."""
        return self._entries(name, FileType.Directory)

    def files(self, name: str) -> list[str]:
        """Return the names of the files in a folder."""
        return self._entries(name, FileType.File)

    def _entries(self, name: str, kind: FileType) -> list[str]:
        with self._told("read", name):
            found = self._opened[0].get_file_info(FileSelector(self._path(name), allow_not_found=True))
            if not found:
                self._check_bucket()
            return sorted(entry.base_name for entry in found if entry.type == kind)

    def size(self, name: str) -> int | None:
        """Return the bytes of an object, or None if there is none."""
        with self._told("read", name):
            found = self._opened[0].get_file_info(self._path(name))
            return found.size if found.type == FileType.File else None

    def source(self, name: str) -> RemoteFile:
        """Return the file, unopened."""
        return RemoteFile(self._opened[0], self._path(name))

    @contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO]:
        """Open a file to read it."""
        with self._told("read", name, but=FileNotFoundError):
            files = self._opened[0]
            with files.open_input_stream(self._path(name), buffer_size=_CHUNK) as file:
                yield cast("BinaryIO", file)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Open a file to write it; object stores know no folders."""
        with self._told("write to", name), self._opened[0].open_output_stream(self._path(name)) as out:
            yield cast("BinaryIO", out)

    def copy(self, name: str, to: str) -> None:
        """Copy an object inside the object store."""
        with self._told("write to", to):
            self._objects.copy(name, to)

    def move(self, name: str, to: str) -> None:
        """Copy an object inside the object store, then delete it."""
        with self._told("write to", to):
            self._objects.move(name, to)

    def remove(self, folder: str) -> None:
        """Delete all objects of a folder, or an object."""
        with self._told("write to", folder):
            self._objects.remove(folder)
            files, path = self._opened[0], self._path(folder)
            if files.get_file_info(path).type == FileType.Directory:  # Spark leaves empty objects for folders
                files.delete_dir(path)

    def sync(self, folder: str) -> None:
        """Do nothing: an object that is written is stored."""

    def opened(self, folder: str) -> tuple[FileSystem, str, str]:
        """Open a folder to others."""
        with self._told("read"):
            return self._opened[0], self._path(folder), self.shown(folder)

    @contextmanager
    def _told(self, doing: str, name: str = "", *, but: type[Exception] | tuple[()] = ()) -> Iterator[None]:
        """Turn what the libraries raise into a message, except errors in `but`."""
        try:
            yield
        except Exception as error:
            if isinstance(error, but) or not isinstance(error, (OSError, *errors())):
                raise
            raise self._error(doing, name, error) from error

    def _error(self, doing: str, name: str, error: Exception) -> InputError:
        said = str(error)
        denied = re.search(r"\b40[13]\b|access_?denied|invalid_?access_?key|token|signature|credential", said, re.I)
        name_of_one = _CREDENTIALS.get(self.where.scheme, "AZURE_CLIENT_ID")
        hint = f"credentials are those of the environment, such as {name_of_one}" if denied else None
        return input_error(Code.STORE, f"cannot {doing} the store `{self.shown(name)}`: {_reason(said)}", help=hint)


@dataclass(frozen=True, slots=True)
class _Told:
    """A hold whose errors are told as the place's."""

    place: RemoteFolder
    hold: Hold

    def confirm(self) -> None:
        with self.place._told("write to"):
            self.hold.confirm()


def _reason(said: str) -> str:
    """Return what an object store said, without the request and its numbers, in which keys may stand."""
    if code := re.search(r"<Code>(\w+)</Code>", said):
        message = re.search(r"<Message>([^<]*)</Message>", said)
        return f"{code[1]}: {message[1]}" if message and message[1] else code[1]
    if aws := re.search(r"AWS Error (\w+)(?: \(HTTP status \d+\))? during (\w+)", said):
        return f"{aws[1]} in {aws[2]}"
    first = said.splitlines()[0] if said else "it cannot be reached"
    return re.sub(r"[?#]\S*", "", first)[:300]
