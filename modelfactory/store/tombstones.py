"""Tombstones: who asks for a group that was forgotten by its key is told, and nobody can read which keys there were.

A key is hashed behind salt of its own. That keeps anybody from reading keys off, or from telling that two families have
forgotten the same; it keeps nobody from trying keys one by one, where these are few.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from modelfactory.store.keys import key_texts
from modelfactory.store.manifest import TombstoneRecord

if TYPE_CHECKING:
    import pyarrow as pa

_SALT_BYTES = 16


def tombstone(
    columns: Sequence[str],
    texts: Collection[str],
    *,
    run_id: str,
    versions: Iterable[int],
    groups: int,
    models: int,
) -> TombstoneRecord:
    """Return a new tombstone.

    Args:
        columns: the group columns by which the groups were named.
        texts: the key as `key_texts` writes it; more than one where versions had it in types of other kinds.
        run_id: the run that removes them.
        versions: numbers of the versions that lose something.
        groups: how many groups there were.
        models: how many models are removed.
    """
    salt = secrets.token_hex(_SALT_BYTES)
    return TombstoneRecord(
        run_id=run_id,
        forgotten_at=datetime.now(UTC).isoformat(timespec="seconds"),
        columns=list(columns),
        salt=salt,
        keys=sorted(_hashed(salt, text) for text in texts),
        versions=sorted(versions),
        groups=groups,
        models=models,
    )


def are_forgotten(tombstones: Iterable[TombstoneRecord], keys: Mapping[str, pa.Array]) -> npt.NDArray[np.bool_]:
    """Return which of some keys were forgotten, shape (n,); whether they are back is another matter.

    Args:
        tombstones: those of a manifest.
        keys: group columns by name, at least one, each of shape (n,). A tombstone of other columns says nothing.
    """
    found = np.zeros(len(next(iter(keys.values()))), dtype=bool)
    texts: dict[tuple[str, ...], list[str]] = {}
    for stone in tombstones:
        columns = tuple(stone.columns)
        if not keys.keys() >= set(columns):
            continue
        if columns not in texts:
            texts[columns] = key_texts([keys[name] for name in columns])
        hashes = set(stone.keys)
        found |= np.fromiter((_hashed(stone.salt, text) in hashes for text in texts[columns]), bool, len(found))
    return found


def forgotten_at(tombstones: Sequence[TombstoneRecord], key: Mapping[str, pa.Array]) -> str | None:
    """Return when the group of one key was forgotten last, as ISO 8601; None if it never was.

    Args:
        tombstones: those of a manifest.
        key: the group columns by name, each of one row.
    """
    return max((stone.forgotten_at for stone in tombstones if are_forgotten([stone], key)[0]), default=None)


def _hashed(salt: str, text: str) -> str:
    return hashlib.sha256(bytes.fromhex(salt) + text.encode()).hexdigest()
