"""Stable hashes of plain values."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from typing import Any


def fingerprint(value: Any) -> str:
    """Return the SHA-256 of a plain value in canonical JSON: mappings by key, dataclasses as mappings."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=plain)
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Any) -> Any:
    """Turn dataclasses and tuples into mappings and lists, as JSON has them."""
    match value:
        case str() | int() | float() | None:
            return value
        case list() | tuple():
            return [plain(v) for v in value]
        case dict():
            return {str(k): plain(v) for k, v in value.items()}
    kind: Any = type(value)
    names = _field_names(kind)
    return value if names is None else {name: plain(getattr(value, name)) for name in names}


@functools.cache
def _field_names(kind: Any) -> tuple[str, ...] | None:
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else None
