"""The archive of Spark's classes, with which a JVM starts in half the time (AppCDS, JEP 350).

It belongs to one installed Spark on one Java and lies in the user's cache folder, about 190 MB. A JVM writes it when it
ends, which takes it some ten seconds; `commands.archiving` lets one do so in the background.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
from pathlib import Path

from modelfactory.spark.home import find_spark
from modelfactory.spark.java import Java

_MAGIC = bytes.fromhex("f00baba8")
"""First bytes of a finished archive, in the order of the machine; they are written last."""
_KEPT = 3
SHARING, WRITING = "-XX:SharedArchiveFile", "-XX:ArchiveClassesAtExit"


def archive_file(cache: Path, java: Java) -> Path:
    """Return where the archive for a Java and the Spark at hand belongs.

    A JVM passes over an archive without a word if the jars have moved or were written anew.

    Raises:
        InputError: Spark is not installed.
    """
    jars = find_spark(os.environ) / "jars"
    changed = jars.stat().st_mtime_ns if jars.is_dir() else 0
    spark = hashlib.sha256(f"{jars}:{changed}".encode()).hexdigest()[:12]
    return cache / f"spark-{spark}-java-{java.version}-{os.uname().machine}.jsa"


def find_archive(cache: Path, java: Java) -> Path | None:
    """Return the archive for a Java, or None if there is none; it counts as used from now on."""
    file = archive_file(cache, java)
    if not is_finished(file):
        return None
    with contextlib.suppress(OSError):
        os.utime(file)
    return file


def is_finished(file: Path) -> bool:
    """Tell whether an archive was written to its end."""
    try:
        with file.open("rb") as data:
            return data.read(len(_MAGIC)) in (_MAGIC, _MAGIC[::-1])
    except OSError:
        return False


def sharing_flag(file: Path) -> str:
    """Return the flag that makes a JVM start with an archive."""
    return shlex.quote(f"{SHARING}={file}")


def writing_flag(file: Path) -> str:
    """Return the flag that makes a JVM write an archive when it ends."""
    return shlex.quote(f"{WRITING}={file}")


def remove_unused(cache: Path) -> None:
    """Remove all archives but those that were used last."""
    used = sorted(cache.glob("spark-*.jsa"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in used[_KEPT:]:
        file.unlink(missing_ok=True)
