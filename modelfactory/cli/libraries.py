"""What libraries log or warn of, as events: they are for the log, and nothing is written beside what `mf` says."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from modelfactory.commands.events import Events, Level


class _Told(logging.Handler):
    def __init__(self, events: Events) -> None:
        super().__init__(logging.WARNING)
        self.events = events

    def emit(self, record: logging.LogRecord) -> None:
        level: Level = "warning" if record.levelno < logging.ERROR else "error"
        trace = "".join(traceback.format_exception(record.exc_info[1])) if record.exc_info else None
        self.events.tell("library", record.getMessage().strip(), level=level, logger=record.name, traceback=trace)


@contextmanager
def libraries_told_by(events: Events) -> Iterator[None]:
    """Tell as events what libraries log, and what they warn of by Python's `warnings`."""
    told, root = _Told(events), logging.getLogger()
    root.addHandler(told)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(told)
