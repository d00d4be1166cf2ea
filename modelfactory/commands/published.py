"""Open the version of a family that a command uses."""

from __future__ import annotations

from modelfactory.commands.workspace import Workspace, no_family
from modelfactory.serving.models import Trust
from modelfactory.serving.stores import Family, ModelStore
from modelfactory.store.history import published


def published_family(workspace: Workspace, name: str, version: int | None, *, allow_version_mismatch: bool) -> Family:
    """Return a version of a family.

    Args:
        workspace: the project.
        name: name of the family.
        version: number of the version; None for the current one.
        allow_version_mismatch: load models of another scikit-learn than the installed one.

    Raises:
        InputError: there is no such family, it was never built, or it has no such version.
    """
    names = [family.name for family in workspace.project.families]
    if name not in names:
        raise no_family(name, names)
    published(workspace.store, name)
    packages = frozenset(workspace.project.spec.estimator_packages)
    store = ModelStore(workspace.store, Trust(packages, allow_version_mismatch))
    return store.family(name, version=version)
