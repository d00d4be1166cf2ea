"""The plan of a build as a file, as far as the build that carries it out needs it."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field

from modelfactory.diagnostics import Code, input_error
from modelfactory.store.manifest import Fingerprints, Record

SCHEMA = 1
"""Number of the form of a plan; it rises when a key changes its meaning or goes."""


class SavedFamily(Record):
    """One family of a plan: what it was planned from.

    Attributes:
        name: its name.
        current_version: number of the version that was current; None if there was none.
        fingerprints: of what the plan was made from; `data` is empty text if the groups were not counted.
    """

    name: str
    current_version: int | None
    fingerprints: Fingerprints


class SavedPlan(Record):
    """A plan; other keys of its file are for readers.

    Attributes:
        project: name of the project.
        target: name of the target.
        families: in the order in which they are built.
        full_refresh: whether all groups are trained again.
    """

    plan_schema: int = Field(alias="schema")
    project: str
    target: str
    families: list[SavedFamily] = Field(min_length=1)
    full_refresh: bool = False


def read_plan(file: Path) -> SavedPlan:
    """Read a plan from a file.

    Raises:
        InputError: the file cannot be read, or is not a plan of this form.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise input_error(Code.BAD_OPTION, f"cannot read the plan: {said}", file=file) from error
    try:
        plan = SavedPlan.model_validate(json.loads(text))
    except ValueError as error:
        message = "this is not a plan of modelfactory"
        raise input_error(Code.BAD_OPTION, message, file=file, help="`mf plan --out FILE` writes one") from error
    if plan.plan_schema != SCHEMA:
        message = f"the plan has schema {plan.plan_schema}; this modelfactory reads {SCHEMA}"
        raise input_error(Code.BAD_OPTION, message, file=file, help="make the plan again")
    return plan
