"""`target/logs/mf.log`: what builds have told, one JSON object a line."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

from modelfactory.commands.events import Event

MOST_BYTES, KEPT = 10_000_000, 5
"""Size at which the file is put aside, and how many of those there are at most."""


class Log:
    """A file of events that several builds may write at once.

    A log that cannot be written costs nobody a build: it is said once, and no more is written.

    Args:
        file: the file.
        shown_as: values that must not be in it, and what stands there instead.
        complain: is told why it cannot be written.
    """

    def __init__(self, file: Path, *, shown_as: Mapping[str, str], complain: Callable[[str], None]) -> None:
        self.file = file
        self._shown_as = shown_as
        self._complain = complain
        self._broken = False

    def write(self, event: Event) -> None:
        """Append an event."""
        if self._broken:
            return
        line = event.line(shown_as=self._shown_as)
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with _alone_in(self.file.parent):
                # Opened for each line: another build may have put the file aside since.
                out = _File(self.file, maxBytes=MOST_BYTES, backupCount=KEPT, encoding="utf-8", delay=True)
                try:
                    out.emit(logging.makeLogRecord({"msg": line}))
                finally:
                    out.close()
        except OSError as error:
            self._broken = True
            self._complain(error.strerror or str(error))


class _File(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002
        raise  # noqa: PLE0704 - logging calls this where it has caught the error


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other builds from writing or putting aside a log in a folder at the same moment."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network folders have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
