"""Let Ctrl-C cancel work that waits for Spark, quietly and at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")
INTERRUPTED = 130
"""Exit code of a command that was interrupted, as shells have it."""


class Cancelled(Exception):
    """The work ended because it was cancelled."""


def run_interruptibly(work: Callable[[threading.Event], _T], cancel: Callable[[], None]) -> _T:
    """Run work in a thread while this one waits, so that an interrupt never hits the middle of a call to Spark.

    The first interrupt cancels; the second ends the process at once, and Spark's processes with it.

    Args:
        work: gets an event that is set once it is cancelled; it ends soon after `cancel` was called, however it ends.
        cancel: makes what the work waits for fail; called again until the work has ended.

    Raises:
        KeyboardInterrupt: there was an interrupt.
    """
    results: list[_T] = []
    errors: list[BaseException] = []
    cancelled, ended = threading.Event(), threading.Event()  # an interrupted `Thread.join` loses its thread

    def target() -> None:
        try:
            results.append(work(cancelled))
        except BaseException as error:
            errors.append(error)
        finally:
            ended.set()

    threading.Thread(target=target, name="mf-work", daemon=True).start()
    try:
        while not ended.wait(0.2):
            pass
    except KeyboardInterrupt:
        try:
            cancelled.set()
            while not ended.is_set():
                cancel()
                ended.wait(0.5)
        except KeyboardInterrupt:
            os._exit(INTERRUPTED)
        raise
    if errors:
        raise errors[0]
    return results[0]
