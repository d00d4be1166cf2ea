"""Hold a family on an object store: a lease that is renewed while the build lives and runs out when it has died.

A lease keeps two builds from doing the same work. It cannot keep a process that was paused from waking up after its
lease ran out; what makes a lost update impossible is that the manifest is replaced on the condition that nobody else
has replaced it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, ValidationError

from modelfactory.store.holding import HolderRecord, held_by, overtaken, this_process
from modelfactory.store.objects import Objects
from modelfactory.store.places import Conflict, Edition

LEASE = ".lease.json"
LASTS = timedelta(seconds=60)


class LeaseRecord(HolderRecord):
    """What stands in a lease.

    Attributes:
        expires: when it runs out unless it is renewed, by the holder's clock, in UTC.
    """

    expires: AwareDatetime


@contextmanager
def leased(objects: Objects, family: str, run_id: str | None, *, lasts: timedelta = LASTS) -> Iterator[Lease]:
    """Hold a family by a lease.

    Args:
        objects: the store's objects.
        family: its name.
        run_id: the run that holds it.
        lasts: how long the lease holds if it is not renewed; it is renewed three times in that time.

    Raises:
        StoreLocked: another build holds it.
    """
    lease = Lease(objects, family, this_process(run_id), lasts)
    lease.take()
    ended = threading.Event()
    renewing = threading.Thread(target=lease.keep, args=(ended,), name=f"mf-lease-{family}", daemon=True)
    renewing.start()
    try:
        yield lease
    finally:
        ended.set()
        renewing.join()
        lease.let_go()


class Lease:
    """A lease on one family, of one process.

    Args:
        objects: the store's objects.
        family: the family's name.
        holder: who wants it.
        lasts: how long it holds if it is not renewed.
        now: the clock.
    """

    def __init__(
        self,
        objects: Objects,
        family: str,
        holder: HolderRecord,
        lasts: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._objects = objects
        self._family = family
        self._holder = holder
        self._lasts = lasts
        self._now = now
        self._written: Edition | None = None
        self._lost = False
        self._one_at_a_time = threading.Lock()

    @property
    def name(self) -> str:
        """The lease's object."""
        return f"{self._family}/{LEASE}"

    def take(self) -> None:
        """Take the lease if nobody holds it, or if who held it has let it run out.

        Raises:
            StoreLocked: another build holds it.
        """
        for _ in range(2):  # who is refused looks again at who was quicker
            found = self._objects.read(self.name)
            if found is not None:
                _refuse_if_held(self._family, found, self._now())
            with suppress(Conflict):
                self._written = self._objects.write(self.name, self._text(self._lasts), found)
                return
        raise held_by(self._family, "another process")

    def keep(self, ended: threading.Event) -> None:
        """Renew the lease until the build has ended or the lease is lost; runs in a thread of its own."""
        while not ended.wait(self._lasts.total_seconds() / 3):
            # An object store that cannot be reached now may be reached in time; the manifest's condition decides.
            with suppress(Exception):
                self._renew(self._lasts)
            if self._lost:
                return

    def confirm(self) -> None:
        """Renew the lease now.

        Raises:
            StoreLocked: another build has taken it over.
        """
        self._renew(self._lasts)
        if self._lost:
            raise overtaken(self._family)

    def let_go(self) -> None:
        """Let the lease run out now; it is not deleted, as a deletion knows no condition."""
        with suppress(Exception):  # it runs out by itself
            self._renew(timedelta())

    def _renew(self, lasts: timedelta) -> None:
        with self._one_at_a_time:
            while not self._lost:
                try:
                    self._written = self._objects.write(self.name, self._text(lasts), self._written)
                    return
                except Conflict:
                    self._written = self._objects.read(self.name)
                    # It may be this process's own: the answer to the last renewal was lost.
                    self._lost = self._written is None or _holder(self._written) != self._holder

    def _text(self, lasts: timedelta) -> bytes:
        record = LeaseRecord(**self._holder.model_dump(), expires=self._now() + lasts)
        return record.model_dump_json(indent=1).encode()


def check_lease(objects: Objects, family: str) -> None:
    """See whether nobody holds a family now.

    Raises:
        StoreLocked: another build holds it.
    """
    found = objects.read(f"{family}/{LEASE}")
    if found is not None:
        _refuse_if_held(family, found, datetime.now(UTC))


def _refuse_if_held(family: str, found: Edition, now: datetime) -> None:
    try:
        record = LeaseRecord.model_validate_json(found.content)
    except ValidationError:  # nobody's: no build writes such a lease
        return
    if record.expires > now:
        hint = f"wait until it has finished; if it has died, its lease runs out at {record.expires:%H:%M:%S} UTC"
        raise held_by(family, record.text(), help=hint)


def _holder(lease: Edition) -> HolderRecord | None:
    try:
        return HolderRecord.model_validate_json(lease.content)
    except ValidationError:
        return None
