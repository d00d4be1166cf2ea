"""Which project a command works on, how it is read, and where its store is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelfactory.project.loading import Project
from modelfactory.store.store import Store, store_at


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectOptions:
    """Options that every command on a project takes.

    Attributes:
        project_dir: folder of the project; here or the nearest parent if None.
        target: name of the target; the project's own if None.
        variables: values of `--vars`.
        profiles_dir: folder of `profiles.yml`.
        environ: the environment.
    """

    project_dir: Path | None = None
    target: str | None = None
    variables: Mapping[str, Any]
    profiles_dir: Path | None = None
    environ: Mapping[str, str]


def store_of(project: Project) -> Store:
    """Return the store of a project's target.

    Raises:
        InputError: no store can stand at its URL.
    """
    former_names = {name: tuple(project.former_names(name)) for name in project.moved}
    return store_at(project.target.store, base=project.root, former_names=former_names)
