"""What a run keeps on disk only while it lives, and how the next one tells what the dead have left.

A lock on a file ends with its process, however that ends, and holds across containers, where a process number means
nothing.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

PREFIX = "mf-jvm-"
LOCK = "lock"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for one run, after removing those of runs that are dead; it is gone at the end."""
    _remove_dead(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (folder / "unlocked").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / "unlocked").rename(folder / LOCK)  # nobody finds it before it is locked
            yield folder


def open_draft(file: Path) -> tuple[Path, IO[bytes]]:
    """Make a draft of a file for one run, after removing those of runs that are dead; return its name and it, open.

    The lock holds for as long as anyone has the draft open, such as a JVM that outlives its run for a moment.
    """
    for left in file.parent.glob(f"{file.name}.*.tmp"):
        with suppress(OSError), left.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()
    while True:
        draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}.tmp")
        opened = draft.open("xb", buffering=0)
        fcntl.flock(opened, fcntl.LOCK_EX)
        if draft.exists():
            return draft, opened
        opened.close()  # it was taken for dead before it was locked


def _remove_dead(place: Path) -> None:
    """Remove the folders whose lock nobody holds; one without a lock is just being made, or of another release."""
    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with (folder / LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
