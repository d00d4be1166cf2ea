"""A store: families with their manifests. Reading a local one needs no Parquet and no pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from modelfactory.diagnostics import Code, input_error
from modelfactory.store.holding import Hold
from modelfactory.store.local import LocalFolder
from modelfactory.store.manifest import Manifest, VersionRecord, read_manifest
from modelfactory.store.places import Place
from modelfactory.store.urls import parse_url

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Store:
    """A folder that holds families.

    Attributes:
        root: absolute path, or URL.
        former_names: names that families had before, by the name they have now, the latest first.
    """

    root: Path | str
    former_names: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def place(self) -> Place:
        """What reads and writes there.

        Raises:
            InputError: no store can stand at the URL.
        """
        if isinstance(self.root, Path):
            return LocalFolder(self.root)
        from modelfactory.store.remote import RemoteFolder

        return RemoteFolder(parse_url(self.root))

    def check_writable(self) -> None:
        """Write a probe to the store, or to where it will be made; leaves nothing behind.

        Raises:
            InputError: the path is not a folder, or nothing can be written there.
        """
        self.place.check_writable()

    def manifest(self, family: str) -> Manifest | None:
        """Return a family's manifest, or None if it was never published; a family that was renamed keeps its versions.

        Where several of its names have a manifest, it is the one that has gone furthest: a family may have been renamed
        and built, and renamed back.

        Raises:
            InputError: the manifest cannot be read.
        """
        found = {name: self.own_manifest(name) for name in self.names(family)}
        return furthest(family, {name: manifest for name, manifest in found.items() if manifest})

    def own_manifest(self, name: str) -> Manifest | None:
        """Return the manifest that stands in a folder of the store, whatever names its family has had.

        Raises:
            InputError: the manifest cannot be read.
        """
        content = self.place.read(f"{name}/{MANIFEST}")
        return None if content is None else self.parsed(name, content)

    def names(self, family: str) -> tuple[str, ...]:
        """Return the name of a family and those it had before, the latest first."""
        return (family, *self.former_names.get(family, ()))

    def current(self, family: str) -> VersionRecord | None:
        """Return a family's current version, or None if it was never published.

        Raises:
            InputError: the manifest cannot be read.
        """
        manifest = self.manifest(family)
        return manifest.version() if manifest else None

    def parsed(self, family: str, content: bytes) -> Manifest:
        """Read the content of a family's manifest.

        Raises:
            InputError: it is damaged, or of a later schema.
        """
        file = self.place.shown(f"{family}/{MANIFEST}")
        try:
            return read_manifest(content.decode("utf-8"), place=file)
        except UnicodeDecodeError as error:
            raise input_error(Code.STORE_SCHEMA, "the manifest is damaged", file=file) from error

    def files(self, family: str, version: VersionRecord, table: str) -> list[Any]:
        """Return the files of one table of a version: paths, or what `groups.read_groups` takes in their place."""
        folder = version.folder(family)
        return [self.place.source(f"{folder}/{f.path}") for f in version.files if f.table == table]

    def table_url(self, family: str, version: VersionRecord, table: str) -> str:
        """Return the URL of the folder of a version's table, for Spark; nothing in it is escaped."""
        file = next(file for file in version.files if file.table == table)
        return self.place.opened(f"{version.folder(family)}/{PurePosixPath(file.path).parent}")[2]

    def check_whole(self, family: str, version: VersionRecord) -> None:
        """See whether all files of a version are there with their sizes; their bytes are not read.

        Raises:
            InputError: one is missing or has another size.
        """
        for file in version.files:
            name = f"{version.folder(family)}/{file.path}"
            size = self.place.size(name)
            if size != file.bytes:
                what = "is missing" if size is None else f"has {size:,} bytes and not {file.bytes:,}"
                raise input_error(
                    Code.STORE,
                    f"version {version.number} of family `{family}` is not whole: a file {what}",
                    file=self.place.shown(name),
                    help="`mf debug --store` verifies every file of the store",
                )

    def check_unlocked(self, family: str) -> None:
        """See whether a family is free, before work that would be for nothing; it may be taken the next moment.

        Raises:
            StoreLocked: another build holds it.
        """
        self.place.check_unheld(family)

    def locked(self, family: str, *, run_id: str | None = None) -> AbstractContextManager[Hold]:
        """Hold a family for one build.

        Args:
            family: its name.
            run_id: the run that holds it, for the message that others get.

        Raises:
            StoreLocked: another build holds it.
        """
        return self.place.held(family, run_id)


def furthest(family: str, manifests: Mapping[str, Manifest]) -> Manifest | None:
    """Return the manifest that counts of those that a family has under its names, as one of its present name.

    Args:
        family: its present name.
        manifests: by name; it may have been renamed and built, and renamed back.
    """
    order = {name: (manifest.highest, manifest.revision) for name, manifest in manifests.items()}
    name = max(order, key=lambda name: order[name], default=None)
    if name is None:
        return None
    return manifests[name] if name == family else manifests[name].moved_to(family)


def store_at(written: str, *, base: Path, former_names: Mapping[str, Sequence[str]] | None = None) -> Store:
    """Return the store of a path or URL as a user writes it.

    Args:
        written: path or URL; `file:///…` is a path.
        base: where a relative path starts.
        former_names: names that families had before.

    Raises:
        InputError: no store can stand at the URL.
    """
    if written.lower().startswith("file:"):
        parts = urlsplit(written)
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise input_error(Code.STORE, "the store's URL of `file` names no absolute path", help="write `file:///…`")
        return Store(Path(unquote(parts.path)), former_names or {})
    root = str(parse_url(written)) if "://" in written else base / written
    return Store(root, former_names or {})
