"""Remember what the files of a project hold, so that only those that have changed are read by a YAML or TOML reader.

What is remembered goes by the hash of a text, not by its name or time, so it cannot be out of date.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from modelfactory.commands.cache import cache_folder, read_values, write_values
from modelfactory.project import files, yaml12
from modelfactory.project.files import Readings


@contextmanager
def remembered_readings(root: Path, environ: Mapping[str, str]) -> Iterator[Readings]:
    """Give what is remembered of a project's files, and remember what was asked for.

    A cache that cannot be read or written costs time only.

    Args:
        root: folder of the project.
        environ: the environment, which names the user's cache.
    """
    file = cache_folder(environ) / f"files-{_reader()}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}.json"
    readings = Readings(before=read_values(file))
    try:
        yield readings
    finally:
        if readings.used.keys() - readings.before.keys():
            write_values(file, readings.used)


def _reader() -> str:
    """Name the reader: what another one reads may be something else."""
    code = b"".join(Path(str(module.__file__)).read_bytes() for module in (files, yaml12))
    return hashlib.sha256(code + sys.version.encode() + yaml12.VERSION.encode()).hexdigest()[:16]
