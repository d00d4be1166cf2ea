"""What stands in a family's folder and counts for nothing: of builds that died, or of versions that were pruned."""

from __future__ import annotations

import re

from modelfactory.store.candidates import CANDIDATE, candidate_of
from modelfactory.store.manifest import Manifest
from modelfactory.store.store import MANIFEST, Store

STAGING = "_staging"


def leftovers(store: Store, family: str, manifest: Manifest | None) -> list[str]:
    """Return the folders and drafts of a family that its manifest does not name, by their names in its folder.

    What the manifest of a former name still names is none: a family may have been renamed back, and pruned by half. Nor
    is the candidate, until a version is published.
    """
    place = store.place
    former = {name: store.own_manifest(name) for name in store.names(family)[1:]}
    named = {
        folder
        for name, found in {**former, family: manifest}.items()
        for version in (found.versions if found else ())
        if version.folder(name) == family
        for folder in version.folders
    }
    candidate = candidate_of(store, family, manifest)
    if candidate is not None:
        named.add(candidate.folder or "")
    versions = [name for name in place.folders(family) if re.match(r"v\d+-", name) and name not in named]
    staged = [f"{STAGING}/{name}" for name in place.folders(f"{family}/{STAGING}")]
    files = place.files(family)
    drafts = [name for name in files if name.startswith((f"{MANIFEST}.", f"{CANDIDATE}."))]
    return versions + staged + drafts + [name for name in files if name == CANDIDATE and candidate is None]


def only_first(left: list[str]) -> bool:
    """Tell whether all that is left may be of builds that died before a family was ever published."""
    return not any(re.match(r"v(?!0*1-)", name) for name in left)
