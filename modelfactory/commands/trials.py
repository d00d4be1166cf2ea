"""Where a build goes of which nothing is to become current: a store of its own, in a folder of the target's."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from modelfactory.commands.run import Run, run_moment
from modelfactory.commands.scope import Scope
from modelfactory.commands.workspace import Workspace
from modelfactory.store.candidates import CANDIDATE
from modelfactory.store.leftovers import STAGING
from modelfactory.store.store import MANIFEST, Store

SAMPLE, EMPTY = "build-sample", "build-empty-"
"""Folder of a store for samples, and how those begin that have no rows in them; no family can be called so."""
_DEAD_AFTER = timedelta(days=1)


def with_trial_store(workspace: Workspace, scope: Scope, run_id: str) -> Workspace:
    """Return a workspace whose builds are written where they belong.

    Args:
        workspace: the workspace.
        scope: what is built.
        run_id: the run that does it.
    """
    if not scope.is_trial:
        return workspace
    folder = f"{EMPTY}{run_id}" if scope.empty else SAMPLE
    return dataclasses.replace(workspace, trial=_below(workspace.published, folder))


def clear_sample(store: Store, family: str) -> bool:
    """Remove the last sample of a family; return whether there was one.

    Args:
        store: the store of the target.
        family: name of the family.

    Raises:
        InputError: the store cannot be written.
        StoreLocked: a build of a sample holds the family.
    """
    return _clear(_below(store, SAMPLE), family)


@contextmanager
def trial(workspace: Workspace, scope: Scope, run: Run) -> Iterator[Workspace]:
    """Give a build the workspace that it is to write to.

    A sample takes the place of the one before. What is built on no rows is removed at the end, and so is what such
    builds have left that died long ago.

    Raises:
        InputError: the store cannot be written.
        StoreLocked: another build of a sample holds a family.
    """
    there, place = with_trial_store(workspace, scope, run.run_id), workspace.published.place
    if scope.sample is not None:
        for family in there.families:
            _clear(there.store, family.name)
    if not scope.empty:
        yield there
        return
    dead = datetime.now(UTC) - _DEAD_AFTER
    for name in place.folders(""):
        moment = run_moment(name.removeprefix(EMPTY)) if name.startswith(EMPTY) else None
        if moment is not None and moment < dead:
            place.remove(name)
    try:
        yield there
    finally:
        place.remove(f"{EMPTY}{run.run_id}")


def _below(store: Store, folder: str) -> Store:
    return Store(store.root / folder if isinstance(store.root, Path) else f"{store.root.rstrip('/')}/{folder}")


def _clear(store: Store, family: str) -> bool:
    """Remove all that a store has of a family; what stands without a manifest counts for nothing."""
    place = store.place
    versions = [name for name in place.folders(family) if name == STAGING or re.match(r"v\d+-", name)]
    files = [name for name in (MANIFEST, CANDIDATE) if place.size(f"{family}/{name}") is not None]
    if not versions and not files:
        return False
    with store.locked(family):
        for name in (*files, *versions):
            place.remove(f"{family}/{name}")
    return True
