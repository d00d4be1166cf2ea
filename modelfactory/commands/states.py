"""In which states the families of a project are, for `state:` selectors: what differs from before, and how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from modelfactory.commands.review import FamilyReview, Review, ReviewedChange
from modelfactory.plan.meaning import ChangeKind
from modelfactory.project.selectors import MODIFIED

_RESPECTS = {
    **dict.fromkeys(("sources", "sql", "where"), "body"),
    **dict.fromkeys(("estimator", "pipeline", "preprocess"), "params"),
    **dict.fromkeys(("features", "feature_order"), "features"),
    **dict.fromkeys(("label", "weight", "task"), "label"),
    **dict.fromkeys(("group_by", "min_rows", "max_rows", "on_too_many", "null_keys"), "groups"),
}
"""What is modified, by the key of the definition; of all other keys that decide the models it is `configs`."""


def states_of(review: Review, families: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """Return the states that each family of a project is in.

    A family is `modified` if what decides its models differs, or the definition of a family that it reads. What only
    tells of it, or judges it, is `modified.meta` and `modified.tests`.

    Args:
        review: how the project differs from an earlier state.
        families: names of its families.
    """
    differing = {family.name: family for family in review.families if family.change != "removed"}
    return {name: _states(differing[name]) if name in differing else frozenset({"old"}) for name in families}


def _states(family: FamilyReview) -> frozenset[str]:
    if family.change == "added":
        return frozenset({"new", "modified", *(f"modified.{respect}" for respect in MODIFIED)})
    states = {"old", *(f"modified.{_respect(change)}" for change in family.changes)}
    if family.parents_changed:
        states.add("modified.parents")
    if family.parents_changed or any(change.kind.decides_models for change in family.changes):
        states.add("modified")
    return frozenset(states)


def _respect(change: ReviewedChange) -> str:
    match change.kind:
        case ChangeKind.METADATA:
            return "meta"
        case ChangeKind.RETEST:
            return "tests"
        case _:
            return _RESPECTS.get(change.path.partition(".")[0], "configs")
