"""Who holds a family for a build."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Protocol

from modelfactory.diagnostics import Code, Diagnostic, StoreLocked
from modelfactory.store.manifest import Record


class HolderRecord(Record):
    """A process that holds a family.

    Attributes:
        run_id: the run it does, if it does one.
        since: when it took hold, as ISO 8601 in UTC.
    """

    run_id: str | None
    pid: int
    host: str
    since: str

    def text(self) -> str:
        """Say who it is."""
        run = f", run {self.run_id}" if self.run_id else ""
        return f"process {self.pid} on {self.host}{run}, since {self.since}"


class Hold(Protocol):
    """The hold that a build has on a family."""

    def confirm(self) -> None:
        """Make sure that the family is still held.

        Raises:
            StoreLocked: another build has taken it over.
        """


def this_process(run_id: str | None) -> HolderRecord:
    """Return the record of this process as one that takes hold now."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return HolderRecord(run_id=run_id, pid=os.getpid(), host=os.uname().nodename, since=since)


def held_by(family: str, holder: str, *, help: str = "wait until it has finished") -> StoreLocked:
    """Make the error of a family that another build holds.

    Args:
        family: its name.
        holder: who holds it.
        help: what to do.
    """
    message = f"family `{family}` is being built by {holder}"
    return StoreLocked(Diagnostic(code=Code.STORE_LOCKED, message=message, help=help))


def overtaken(family: str, lost: str = "this version is not published") -> StoreLocked:
    """Make the error of one whom another has overtaken.

    Args:
        family: the family that both would change.
        lost: what came of that.
    """
    return StoreLocked(
        Diagnostic(
            code=Code.STORE_LOCKED,
            message=f"another build of family `{family}` came first; {lost}",
            help=f"`mf show {family}` shows what is current now; start again if it is still needed",
        )
    )
