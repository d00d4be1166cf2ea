"""Do pieces of work in a child process, so that one that dies or hangs takes nothing else with it."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

_T = TypeVar("_T")
_LOOK = 0.1
"""Seconds between looks at whether the child lives: a process that it left behind may hold its pipe open."""
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ended before its work was done.

    Attributes:
        exit_code: its exit code; a negative one is the number of the signal that ended it.
        seconds: how long it had worked on the piece that it died on.
    """

    exit_code: int
    seconds: float

    @property
    def kind(self) -> str:
        """The signal's name, or `ExitCode`."""
        if self.exit_code >= 0:
            return "ExitCode"
        try:
            return signal.Signals(-self.exit_code).name
        except ValueError:
            return f"Signal{-self.exit_code}"

    def was_for_slowness(self, limit: float | None) -> bool:
        """Tell whether the watchdog ended it, for having worked longer than a limit in seconds."""
        return limit is not None and self.exit_code == 1 and self.seconds > limit

    @property
    def text(self) -> str:
        """What happened, in words."""
        if self.exit_code >= 0:
            return f"the process that fitted it ended itself with exit code {self.exit_code}"
        hint = "; so does a system that runs out of memory" if self.kind == "SIGKILL" else ""
        return f"the process that fitted it was ended by {self.kind}{hint}"


def apart(work: Callable[[int], _T], n: int, *, limit: float | None) -> Iterator[_T | Death]:
    """Do pieces of work one after another in a child process, and go on in a new one when it dies.

    A piece on which a child dies that has done others before is tried once more: it is first in the next child, whose
    memory no other piece has touched.

    Args:
        work: does the piece of a number; its result is pickled.
        n: how many pieces there are, numbered from 0.
        limit: seconds after which a child is known to have been ended for a piece's slowness, which is not tried
            again; None if pieces may take forever.

    Yields:
        For each piece in turn its result, or how the process ended that tried it.
    """
    done = 0
    while done < n:
        first = done
        began = time.monotonic()
        child = _Child(work, range(done, n))
        for result in child.results():
            done += 1
            yield result
            began = time.monotonic()  # what the receiver of a result took is not the next piece's
        if done == n:
            return
        death = Death(child.exit_code(), time.monotonic() - began)
        if done == first or death.was_for_slowness(limit):
            done += 1
            yield death


class _Child(Generic[_T]):
    """A child process that works."""

    def __init__(self, work: Callable[[int], _T], pieces: Sequence[int]) -> None:
        context = multiprocessing.get_context("fork")
        self._pieces = pieces
        self._receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(work, pieces, self._receiver, sender))
        with warnings.catch_warnings():
            # Python warns of a fork beside other threads, which might hold locks; those of a worker are idle.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._process.start()
        sender.close()

    def results(self) -> Iterator[_T]:
        """Yield results until all are there or the child ends; ends the child with the iteration.

        A child that has done its work need not end by itself: a thread that a fit has left behind may keep it.
        """
        try:
            for _ in self._pieces:
                while not self._receiver.poll(_LOOK):
                    if not self._process.is_alive() and not self._receiver.poll():
                        return
                yield self._receiver.recv()
        except (EOFError, OSError):  # the pipe was closed, perhaps in the middle of a result
            self._process.join(1.0)
        finally:
            self._receiver.close()
            self._process.kill()
            self._process.join()

    def exit_code(self) -> int:
        """Return how the child ended."""
        return self._process.exitcode or 0


def _work(work: Callable[[int], object], pieces: Sequence[int], receiver: Connection, sender: Connection) -> None:
    receiver.close()
    _end_with_parent()
    for piece in pieces:
        sender.send(work(piece))


def _end_with_parent() -> None:
    """Let the system end this process when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
