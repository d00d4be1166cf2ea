"""Copy a version into a store of its own, which needs nothing of the first one."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from modelfactory.diagnostics import Code, input_error
from modelfactory.store.local import replace_file
from modelfactory.store.manifest import FileRecord, Manifest, VersionRecord, manifest_text
from modelfactory.store.places import Place
from modelfactory.store.store import MANIFEST, Store
from modelfactory.store.versions import GROUPS

_CHUNK = 8 << 20


def copy_version(
    store: Store, manifest: Manifest, version: VersionRecord, models_of: Collection[int], to: Path
) -> None:
    """Copy a version, and the model tables of the earlier versions whose models it uses, byte for byte.

    Args:
        store: where it is.
        manifest: the family's manifest.
        version: the version; the copy has it as the current one.
        models_of: numbers of the versions whose model tables hold its models.
        to: folder of the store to write; other families may be in it.

    Raises:
        InputError: a file is missing or has other bytes than were published, or a version that is needed is gone.
    """
    kept = []
    for number in sorted({version.number, *models_of}):
        record = version if number == version.number else manifest.version(number)
        if record is None:
            message = f"version {number} of family `{manifest.family}` holds models of version {version.number}, and is"
            raise input_error(Code.STORE, f"{message} gone")
        files = [file for file in record.files if record is version or file.table != GROUPS]
        for file in files:
            name = f"{record.folder(manifest.family)}/{file.path}"
            _copy(store.place, name, file, to / name)
        kept.append(record.model_copy(update={"files": files}))
    folder = to / manifest.family
    folder.mkdir(parents=True, exist_ok=True)
    cut = Manifest(family=manifest.family, current=version.number, versions=kept, forgotten=manifest.forgotten)
    replace_file(folder / MANIFEST, manifest_text(cut))


def _copy(place: Place, name: str, file: FileRecord, to: Path) -> None:
    digest = hashlib.sha256()
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        with place.reading(name) as data, to.open("wb") as out:
            while chunk := data.read(_CHUNK):
                digest.update(chunk)
                out.write(chunk)
    except FileNotFoundError as error:
        raise input_error(Code.STORE, "a file of the version is missing", file=place.shown(name)) from error
    if digest.hexdigest() != file.sha256:
        raise input_error(Code.STORE, "the file has another SHA-256 than when it was published", file=place.shown(name))
