"""Versions that were trained and held back: kept in the store beside the published ones, named by no manifest.

A family has one candidate at most. Its number is that of the version that would come next, so publishing anything
makes it out of date.
"""

from __future__ import annotations

import json

from pydantic import Field

from modelfactory.diagnostics import Code, InputError, input_error
from modelfactory.store.holding import overtaken
from modelfactory.store.manifest import Manifest, Record, VersionRecord
from modelfactory.store.places import Conflict
from modelfactory.store.store import Store

CANDIDATE = "candidate.json"
_SCHEMA = 1


class Candidate(Record):
    """A version that was held back.

    Attributes:
        version: the version, as it would be published.
        why: what held it back, a sentence each.
    """

    candidate_schema: int = Field(_SCHEMA, alias="schema")
    version: VersionRecord
    why: list[str]

    @property
    def folder(self) -> str | None:
        """Its folder, in that of the family; None if it has no files."""
        return next(iter(self.version.folders), None)


def candidate_of(store: Store, family: str, manifest: Manifest | None) -> Candidate | None:
    """Return the candidate of a family, or None if there is none that could still be published.

    Args:
        store: the store.
        family: name of the family.
        manifest: its manifest.

    Raises:
        InputError: it cannot be read.
    """
    content = store.place.read(f"{family}/{CANDIDATE}")
    if content is None:
        return None
    try:
        found = Candidate.model_validate(json.loads(content))
    except ValueError as error:
        file = store.place.shown(f"{family}/{CANDIDATE}")
        raise input_error(Code.STORE_SCHEMA, "this is not a candidate of modelfactory", file=file) from error
    return found if found.version.number > (manifest.highest if manifest else 0) else None


def kept_candidate(store: Store, family: str, manifest: Manifest | None) -> Candidate:
    """Return the candidate of a family that has one.

    Args:
        store: the store.
        family: name of the family.
        manifest: its manifest.

    Raises:
        InputError: it has none, or that cannot be read.
    """
    found = candidate_of(store, family, manifest)
    if found is None:
        raise no_candidate(family)
    return found


def no_candidate(family: str) -> InputError:
    """Make the error of a family that has no candidate."""
    return input_error(
        Code.NOT_BUILT,
        f"family `{family}` has no candidate",
        help="a build keeps one where a test or `max_failed` holds a version back, until a version is published",
    )


def write_candidate(store: Store, family: str, candidate: Candidate) -> None:
    """Name the candidate of a family, in the place of another; needs a hold on the family.

    Raises:
        StoreLocked: another build of the family came first.
        InputError: the store cannot be written.
    """
    name = f"{family}/{CANDIDATE}"
    text = json.dumps(candidate.model_dump(mode="json", by_alias=True), indent=1) + "\n"
    try:
        store.place.replace(name, text.encode(), store.place.edition(name))
    except Conflict as error:
        raise overtaken(family, "this candidate is not kept") from error
