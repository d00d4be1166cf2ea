"""Start Spark ahead of its session: everything that needs no PySpark, whose import takes as long as the JVM."""

from __future__ import annotations

import os
import sys
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
from modelfactory.spark.settings import is_embedded, session_settings


@dataclass(frozen=True, slots=True)
class StartingSpark:
    """A Spark whose JVM is starting.

    Attributes:
        jvm: the JVM.
        settings: settings of the session.
        embedded: it runs inside this machine's JVM.
        log: file that takes what it prints.
    """

    jvm: Jvm
    settings: Mapping[str, str]
    embedded: bool
    log: SparkLog | None


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
    """Start the JVM of a target's Spark, and end it at the end.

    Args:
        target: where to run.
        log: file that takes what Spark prints; None leaves it on the terminal.
        shown_as: values that must not stay in that file or in an error, and what stands there instead.
        input_bytes: size of the input, if it is known.
        cache: folder for what makes later starts faster.

    Raises:
        InputError: there is no fit Java, or the target sets what has to be as it is.
    """
    words = SparkLog(log, shown_as) if log is not None else None
    embedded = is_embedded(target)
    # The JVM, too, starts Pythons, to look for data sources.
    environ = {**os.environ, "PYSPARK_PYTHON": sys.executable} if embedded else os.environ
    try:
        java = find_java(environ)
        archive = find_archive(cache, java) if cache is not None else None
        with (
            scratch_folder() as place,
            words.taking() if words is not None else nullcontext() as output,
        ):
            settings = session_settings(target, input_bytes=input_bytes, archive=archive, sockets=place)
            with starting_jvm(settings, java=java, folder=place, output=output, environ=environ) as jvm:
                yield StartingSpark(jvm, settings, embedded, words)
    except InputError as error:
        raise InputError(*(diagnostic.hiding(shown_as) for diagnostic in error.diagnostics)) from None
