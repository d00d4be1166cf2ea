"""Start Spark ahead of its session: everything that needs no PySpark, whose import takes as long as the JVM."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO

from modelfactory.diagnostics import InputError, hide
from modelfactory.project.specs import TargetSpec
from modelfactory.spark.archive import find_archive
from modelfactory.spark.java import find_java
from modelfactory.spark.jvm import Jvm, starting_jvm
from modelfactory.spark.scratch import open_draft, scratch_folder
from modelfactory.spark.settings import is_embedded, session_settings, worker_python


@dataclass(frozen=True, slots=True)
class StartingSpark:
    """A Spark that is starting.

    Attributes:
        target: where it runs.
        settings: settings of the session.
        folder: an empty folder of its own.
        jvm: the JVM of its driver; None where that is a Spark Connect server's.
        log: file that takes what the JVM prints.
    """

    target: TargetSpec
    settings: Mapping[str, str]
    folder: Path
    jvm: Jvm | None
    log: SparkLog | None

    @property
    def embedded(self) -> bool:
        """Whether it runs inside one JVM on this machine."""
        return is_embedded(self.target)


class SparkLog:
    """The file that takes what Spark prints.

    Until a session is wanted it has another name, so that a refused project leaves all files as they were.

    Args:
        file: the file.
        shown_as: values that must not stay in it, and what stands there instead.
    """

    def __init__(self, file: Path, shown_as: Mapping[str, str]) -> None:
        self.file = file
        self._draft: Path | None = None
        self._shown_as = shown_as
        self._made: list[Path] = []

    @contextmanager
    def taking(self) -> Iterator[IO[bytes]]:
        """Open the file for Spark's words, and at the end take out of it what a user keeps in the environment."""
        self._made = [folder for folder in self.file.parents if not folder.exists()]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        draft, opened = open_draft(self.file)
        self._draft = draft
        with opened:
            try:
                yield opened
            finally:
                if draft.exists():
                    draft.unlink()
                    self._forget()
                else:
                    self._redact()

    def keep(self) -> None:
        """Give the file its name."""
        if self._draft is not None and self._draft.exists():
            self._draft.replace(self.file)

    def _forget(self) -> None:
        with suppress(OSError):
            for folder in self._made:
                folder.rmdir()

    def _redact(self) -> None:
        if not self._shown_as or not self.file.exists():
            return
        before = self.file.read_text(encoding="utf-8", errors="replace")
        after = hide(before, self._shown_as)
        if after != before:
            self.file.write_text(after, encoding="utf-8")


@contextmanager
def starting_spark(
    target: TargetSpec,
    *,
    log: Path | None,
    shown_as: Mapping[str, str] = MappingProxyType({}),
    input_bytes: int | None = None,
    cache: Path | None = None,
) -> Iterator[StartingSpark]:
    """Start the JVM of a target's Spark, and end it at the end; a Spark Connect server has one already.

    Args:
        target: where to run.
        log: file that takes what Spark prints; None leaves it on the terminal.
        shown_as: values that must not stay in that file or in an error, and what stands there instead.
        input_bytes: size of the input, if it is known.
        cache: folder for what makes later starts faster.

    Raises:
        InputError: there is no fit Java, or the target sets what has to be as it is.
    """
    try:
        with scratch_folder() as place:
            if target.remote is not None:
                settings = session_settings(target, input_bytes=None, archive=None, sockets=place)
                yield StartingSpark(target, settings, place, None, None)
                return
            # The JVM, too, starts Pythons, to look for data sources.
            environ = {**os.environ, "PYSPARK_PYTHON": worker_python(target, os.environ)}
            java = find_java(environ)
            archive = find_archive(cache, java) if cache is not None else None
            words = SparkLog(log, shown_as) if log is not None else None
            settings = session_settings(target, input_bytes=input_bytes, archive=archive, sockets=place)
            with (
                words.taking() if words is not None else nullcontext() as output,
                starting_jvm(settings, java=java, folder=place, output=output, environ=environ) as jvm,
            ):
                yield StartingSpark(target, settings, place, jvm, words)
    except InputError as error:
        raise InputError(*(diagnostic.hiding(shown_as) for diagnostic in error.diagnostics)) from None
