"""What came of an export: every group is counted once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from modelfactory.serving.chain import Chain
from modelfactory.serving.models import VersionModels


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What came of the groups of a family.

    Attributes:
        exported: groups whose model was written.
        without_model: groups that have none.
        refused: groups whose model the format cannot hold, by the reason.
        global_refused: why it cannot hold the model of all rows; None if it does, or if there is none.
    """

    exported: int
    without_model: int
    refused: Mapping[str, int] = field(default_factory=dict)
    global_refused: str | None = None


def all_exported(models: VersionModels) -> Exported:
    """Return what came of groups of which every model was written."""
    has = int(np.count_nonzero(models.has_model))
    return Exported(exported=has, without_model=len(models.has_model) - has)


def global_models(chain: Chain) -> VersionModels | None:
    """Return the model of all rows, if it is in a chain."""
    return next((link.models for link in chain.links if not link.models.keys), None)


def free_name(name: str, taken: Collection[str]) -> str:
    """Return a column's name, with underscores behind it until no other column has it in capitals or small letters."""
    folded = {other.lower() for other in taken}
    while name.lower() in folded:
        name += "_"
    return name
