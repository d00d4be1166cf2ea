"""The user's cache folder: it may be deleted at any time, and what cannot be read or written there costs time only."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return the user's cache folder for `mf`."""
    base = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "modelfactory"


def read_values(file: Path) -> dict[str, Any]:
    """Return what was remembered in a file; nothing if it cannot be read."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_values(file: Path, values: Mapping[str, Any]) -> None:
    """Remember values in a file, if it can be written."""
    draft = file.with_suffix(f".{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(values), encoding="utf-8")
        draft.replace(file)
