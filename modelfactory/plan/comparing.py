"""Compare all families of two sides: two revisions, or a project and what was published of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from modelfactory.plan.meaning import MISSING, Change, ChangeKind, Meaning, differences, gravest
from modelfactory.plan.steps import TrainStep

FamilyChange = Literal["added", "removed", "renamed", "changed", "unchanged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What one side knows of a family.

    Attributes:
        meaning: what its definition means; None if that was not kept.
        definition: hash of what decides the models.
        metadata: hash of what is told of it.
        parents: hash of the definitions of what it reads.
    """

    meaning: Meaning | None
    definition: str
    metadata: str
    parents: str

    @classmethod
    def of(cls, step: TrainStep) -> Known:
        """Return what a plan knows of a family."""
        return cls(
            meaning=step.meaning,
            definition=step.definition_fingerprint,
            metadata=step.metadata_fingerprint,
            parents=step.parents_fingerprint,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How a family differs between two sides.

    Attributes:
        family: its name; the one it had if it was removed.
        former: the name it had on the old side, if that was another.
        change: what became of it.
        changes: the values that differ, gravest first; none of a family that only one side has.
        parents_changed: whether a family that it reads, or one above, has another definition.
        like: an added family that means the same as this removed one, or the other way round; a rename perhaps.
    """

    family: str
    former: str | None = None
    change: FamilyChange
    changes: tuple[Change, ...] = ()
    parents_changed: bool = False
    like: str | None = None

    @property
    def kind(self) -> ChangeKind | None:
        """The gravest thing that the change asks for: training of a new family, attention to one that is gone."""
        if self.change in ("added", "removed"):
            return ChangeKind.RETRAIN if self.change == "added" else ChangeKind.BREAKING
        kinds = [ChangeKind.RETRAIN] if self.parents_changed else []
        own = gravest(self.changes)
        return min([*kinds, *([own] if own else [])], key=list(ChangeKind).index, default=None)


def compare(
    old: Mapping[str, Known], new: Mapping[str, Known], *, former_names: Mapping[str, Iterable[str]]
) -> tuple[Comparison, ...]:
    """Compare two sides.

    Args:
        old: what was.
        new: what is.
        former_names: by name of a new family, the names it had before.

    Returns:
        A comparison for every family of either side: those of the new in their order, then those that are gone.
    """
    found = []
    gone = dict(old)
    for name, now in new.items():
        before = next((other for other in (name, *former_names.get(name, ())) if other in old), None)
        if before is None:
            found.append(Comparison(family=name, change="added"))
            continue
        gone.pop(before, None)
        changes = _changes(old[before], now)
        moved = before if before != name else None
        parents_changed = old[before].parents != now.parents
        change: FamilyChange = "renamed" if moved else "changed" if changes or parents_changed else "unchanged"
        found.append(
            Comparison(family=name, former=moved, change=change, changes=changes, parents_changed=parents_changed)
        )
    added = {c.family: new[c.family].definition for c in found if c.change == "added"}
    removed = {name: known.definition for name, known in gone.items()}
    like = {name: _only(other for other, d in removed.items() if d == mine) for name, mine in added.items()}
    unlike = {removed_name: name for name, removed_name in like.items() if removed_name is not None}
    found = [dataclasses.replace(c, like=like.get(c.family)) for c in found]
    return (*found, *(Comparison(family=name, change="removed", like=unlike.get(name)) for name in gone))


def _changes(old: Known, new: Known) -> tuple[Change, ...]:
    changes = differences(old.meaning, new.meaning) if old.meaning and new.meaning else ()
    if old.definition != new.definition and not any(c.kind.decides_models for c in changes):
        # Not a value that may be shown: one of the environment, or of a definition that was not kept.
        unseen = "environment" if old.meaning is not None else "definition"
        changes = (Change(path=(unseen,), old=MISSING, new=MISSING, kind=ChangeKind.RETRAIN), *changes)
    return changes


def _only(names: Iterable[str]) -> str | None:
    found = list(names)
    return found[0] if len(found) == 1 else None
