"""Make the archive of Spark's classes in the background, so that the next build starts faster.

A process of its own builds the starter project once, at the lowest priority, in a JVM that writes down what classes it
has loaded. Whether it succeeds is nobody's concern: without an archive Spark starts as ever.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from modelfactory.commands.init import init_project
from modelfactory.diagnostics import MfError
from modelfactory.spark.archive import archive_file, is_finished, remove_unused, writing_flag
from modelfactory.spark.java import find_java

SWITCH = "MODELFACTORY_ARCHIVE"
"""Environment variable that keeps the archive from being made if it is `off`."""
_RETRY = 86_400.0
"""Seconds after which another process may try what one has not finished."""


def start_archiving(cache: Path, environ: Mapping[str, str]) -> None:
    """Start making the archive in the background, unless there is one or it is not wanted."""
    if environ.get(SWITCH, "").lower() == "off" or "CI" in environ:
        return
    with contextlib.suppress(OSError, MfError):
        java = find_java(environ)
        file = archive_file(cache, java)
        if not java.has_archive or is_finished(file) or _is_fresh(_claim(file)):
            return
        subprocess.Popen(
            [sys.executable, "-m", "modelfactory.commands.archiving", str(cache)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**environ, SWITCH: "off"},
        )


def make_archive(cache: Path) -> Path:
    """Make the archive for the Java at hand; return its file, which is there if it could be made.

    Of several processes one tries, and again after a day at the earliest.
    """
    file = archive_file(cache, find_java(os.environ))
    claim, draft = _claim(file), file.with_suffix(f".{os.getpid()}.tmp")
    cache.mkdir(parents=True, exist_ok=True)
    if not _is_fresh(claim):
        claim.unlink(missing_ok=True)
    try:
        claim.touch(exist_ok=False)
    except FileExistsError:
        return file
    with tempfile.TemporaryDirectory(prefix="mf-archive-") as folder:
        project = Path(folder) / "project"
        init_project(project)
        targets = {"local": {"conf": {"spark.driver.extraJavaOptions": writing_flag(draft)}}}
        (project / "profiles.yml").write_text(json.dumps({"targets": targets}), encoding="utf-8")
        command = [sys.executable, "-m", "modelfactory", "build", "--quiet", "--project-dir", str(project)]
        subprocess.run(command, check=False)
    if is_finished(draft):
        draft.replace(file)
        claim.unlink()
        remove_unused(cache)
    draft.unlink(missing_ok=True)
    return file


def _claim(file: Path) -> Path:
    return file.with_suffix(".claim")


def _is_fresh(claim: Path) -> bool:
    try:
        return time.time() - claim.stat().st_mtime < _RETRY
    except OSError:
        return False


if __name__ == "__main__":
    os.nice(19)
    make_archive(Path(sys.argv[1]))
