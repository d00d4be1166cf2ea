"""`mf show --candidate` and `mf publish`: what a build has held back, and publishing it by hand."""

from __future__ import annotations

from dataclasses import dataclass

from modelfactory.commands.history import VersionComparison, compared, project_with
from modelfactory.commands.project_options import ProjectOptions, store_of
from modelfactory.store.candidates import Candidate, kept_candidate
from modelfactory.store.manifest import Manifest


@dataclass(frozen=True, slots=True)
class CandidateDetails:
    """A version that was held back.

    Attributes:
        family: name of the family.
        candidate: the version and why it was held back.
        comparison: how it differs from the current version; None if there is none, or one of other groups.
    """

    family: str
    candidate: Candidate
    comparison: VersionComparison | None


def show_candidate(options: ProjectOptions, family: str) -> CandidateDetails:
    """Return the candidate of a family, compared with the current version.

    Args:
        options: where the project is and how to read it.
        family: name of the family.

    Raises:
        InputError: there is no such family, or it has no candidate.
    """
    store = store_of(project_with(options, family))
    manifest = store.manifest(family)
    candidate = kept_candidate(store, family, manifest)
    current = manifest.version() if manifest else None
    if current is None or set(current.group_by) != set(candidate.version.group_by):
        return CandidateDetails(family, candidate, None)
    found = compared(store, family, current, candidate.version, current=current.number)
    return CandidateDetails(family, candidate, found)


def publish(options: ProjectOptions, family: str) -> Manifest:
    """Make the candidate of a family its current version, whatever held it back.

    Args:
        options: where the project is and how to read it.
        family: name of the family.

    Raises:
        InputError: there is no such family, it has no candidate, or files of that are missing.
        StoreLocked: a build of the family is under way, or came first.
    """
    from modelfactory.store.versions import publish_candidate

    store = store_of(project_with(options, family))
    kept_candidate(store, family, store.manifest(family))  # or nobody need be locked out
    with store.locked(family):
        return publish_candidate(store, family)
