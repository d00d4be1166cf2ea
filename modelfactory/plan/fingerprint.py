"""Stable hashes of plain values."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any


def fingerprint(value: Any) -> str:
    """Return the SHA-256 of a plain value in canonical JSON: mappings by key, dataclasses as mappings."""
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Any) -> Any:
    """Turn dataclasses and tuples into mappings and lists, as JSON has them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    match value:
        case dict():
            return {str(k): plain(v) for k, v in value.items()}
        case list() | tuple():
            return [plain(v) for v in value]
        case _:
            return value
