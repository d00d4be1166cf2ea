"""`mf forget`: remove groups of a family from the store, and say what has learned from them and stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelfactory.commands.history import project_with
from modelfactory.commands.project_options import ProjectOptions, store_of
from modelfactory.commands.run import new_run_id
from modelfactory.commands.trials import clear_sample
from modelfactory.diagnostics import Code, input_error
from modelfactory.plan.outcomes import GLOBAL, SERVED
from modelfactory.store.history import manifests_of

if TYPE_CHECKING:
    from modelfactory.store.forgetting import Forgotten


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgetting:
    """What came of a wish to forget groups.

    Attributes:
        forgotten: what was removed from the store, or would be.
        current: number of the current version, if there is one.
        deleted: whether it was removed.
        run_id: the run that did it.
        sample: whether the last sample build of the family was removed with it.
        global_models: versions whose model of all rows was fitted on rows of the groups too, and stays.
        fallbacks: families that stand in, whose models were fitted on such rows, and stay.
        families: other families of the store whose groups are known by some of the same columns.
    """

    forgotten: Forgotten
    current: int | None
    deleted: bool
    run_id: str
    sample: bool
    global_models: tuple[int, ...]
    fallbacks: tuple[str, ...]
    families: tuple[str, ...]


def forget_groups(options: ProjectOptions, family: str, key: Sequence[str], *, delete: bool = False) -> Forgetting:
    """Remove groups of a family from all its versions, or say what would be removed.

    Args:
        options: where the project is and how to read it.
        family: name of the family; one that is in the store alone will do.
        key: `column=value` for group columns, of all or of some.
        delete: do it.

    Raises:
        InputError: there is no such family or group, or the store cannot be read or written.
        StoreLocked: a build of the family is under way, or came first.
    """
    from modelfactory.store.forgetting import forget

    wanted = _written_key(key)
    project = project_with(options, family)
    store, run_id = store_of(project), new_run_id()
    forgotten = forget(store, family, wanted, run_id=run_id, delete=delete)
    manifest, names = store.manifest(family), store.names(family)
    sample = delete and clear_sample(store, family)
    versions = [loss.version for loss in forgotten.losses]
    fallbacks = {str(v.definition["fallback"]) for v in versions if v.definition.get("fallback")}
    return Forgetting(
        forgotten=forgotten,
        current=manifest.current if manifest else None,
        deleted=delete,
        sample=sample,
        run_id=run_id,
        global_models=tuple(v.number for v in versions if v.global_model and v.global_model.status in SERVED),
        fallbacks=tuple(sorted(fallbacks - {GLOBAL})),
        families=tuple(
            name
            for name, manifest in sorted(manifests_of(store).items())
            if name not in names and any(wanted.keys() & set(v.group_by) for v in manifest.versions)
        ),
    )


def _written_key(parts: Sequence[str]) -> dict[str, str]:
    wanted: dict[str, str] = {}
    for part in parts:
        column, equals, value = part.partition("=")
        if not equals or not column:
            raise input_error(
                Code.BAD_OPTION, f"`{part}` names no group", help="write COLUMN=VALUE, such as store_id=17"
            )
        if column in wanted:
            raise input_error(Code.BAD_OPTION, f"the value of `{column}` is given twice")
        wanted[column] = value
    return wanted
