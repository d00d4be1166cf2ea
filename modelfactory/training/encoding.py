"""Turn fitted models into the bytes that the model table holds."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from modelfactory.plan.steps import Persistence

PICKLE, COMPRESSED, SKOPS = "pickle", "pickle+zstd", "skops"
LARGE = 1 << 15
"""Bytes from which a pickle is compressed: a forest shrinks to a quarter, in less time than its way through Spark."""
_ZSTD = pa.Codec("zstd", compression_level=1)


@dataclass(frozen=True, slots=True)
class EncodedModel:
    """A model as it is stored.

    Attributes:
        format: `pickle`, `pickle+zstd` for one that is compressed, or `skops`.
        data: the bytes.
        sha256: of `data`, in hexadecimal.
    """

    format: str
    data: bytes
    sha256: str


def encode_model(model: Any, persistence: Persistence = "pickle") -> EncodedModel:
    """Write a model, and compress its pickle where it is large.

    Args:
        model: the model.
        persistence: by what it is written.

    Raises:
        Exception: of any type: the model holds what cannot be written.
    """
    if persistence == "skops":
        from skops import io as skops  # only for the families that ask for it

        kind, data = SKOPS, skops.dumps(model)
    else:
        kind, data = PICKLE, pickle.dumps(model, protocol=5)
        if len(data) >= LARGE:
            kind, data = COMPRESSED, _ZSTD.compress(data, asbytes=True)
    return EncodedModel(kind, data, hashlib.sha256(data).hexdigest())
