"""Tell when groups that were forgotten come back: a build trains whatever the input has."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from modelfactory.commands.report import Reporter
from modelfactory.diagnostics import Code, warning
from modelfactory.plan.steps import TrainStep
from modelfactory.spark.census import CensusTable
from modelfactory.store.groups import read_groups
from modelfactory.store.keys import KeyIndex, KeyTypeDiffers
from modelfactory.store.store import Store
from modelfactory.store.tombstones import are_forgotten


def warn_of_returned(store: Store, step: TrainStep, found: CensusTable, reporter: Reporter) -> None:
    """Warn of groups that were forgotten and that the input has again.

    Of one that the current version has, it was told when it came back; so only new groups are looked for among the
    tombstones.

    Args:
        store: the store.
        step: the family's step.
        found: its census.
        reporter: hears it.

    Raises:
        InputError: the store cannot be read; or warnings are to be errors, and there is one.
    """
    manifest = store.manifest(step.family)
    version = manifest.version() if manifest else None
    if manifest is None or version is None or not manifest.forgotten:
        return
    keys = found.keys
    if set(version.group_by) == set(step.keys):
        keys = _without(keys, read_groups(store.files(step.family, version, "groups"), step.keys))
    if not len(keys):
        return
    back = int(are_forgotten(manifest.forgotten, {key: keys[key] for key in step.keys}).sum())
    if back:
        which = "1 group that was" if back == 1 else f"{back:,} groups that were"
        reporter.warn(
            [
                warning(
                    Code.FORGOTTEN,
                    f"the input of family `{step.family}` has rows of {which} forgotten, and trained again now",
                    help="delete the rows where the input has them, then forget the groups once more",
                )
            ]
        )


def _without(keys: pa.Table, groups: pa.Table) -> pa.Table:
    """Return the keys that a group table does not have."""
    if not len(groups):
        return keys
    try:
        known = KeyIndex([groups[name] for name in keys.column_names]).places(keys.columns) >= 0
    except KeyTypeDiffers:
        return keys
    return keys.filter(pa.array(np.logical_not(known)))
