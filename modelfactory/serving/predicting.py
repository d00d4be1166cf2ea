"""Predict the rows of a frame in this process, without Spark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelfactory.diagnostics import Code, input_error
from modelfactory.plan.outcomes import NONE, Reason
from modelfactory.plan.steps import Feature
from modelfactory.scoring.answering import ask, ready
from modelfactory.scoring.gathering import Gathered
from modelfactory.scoring.rows import Rows
from modelfactory.scoring.worker import runs
from modelfactory.serving.chain import Chain, Link
from modelfactory.serving.frames import Frame
from modelfactory.serving.models import VersionModels
from modelfactory.store.keys import KeyTypeDiffers

Index = npt.NDArray[np.int64]
_MANY = 64
"""Models from which on the numbers of all linear models are read at once."""


def predict_frame(chain: Chain, frame: Frame) -> dict[str, pa.Array]:
    """Return an answer for every row of a frame, in its order.

    Args:
        chain: the models.
        frame: the rows; of its columns those of the models' keys and features are looked at.

    Returns:
        The columns `prediction`, `probability` for classifiers, `model_version`, `served_by` and `reason`, each of
        shape (n,).

    Raises:
        InputError: a column is missing or of another type, or a model may not be loaded.
    """
    keys = {key: "group column" for link in chain.links for key in link.models.keys}
    frame.check_columns(keys | {feature.name: f"{feature.kind} feature" for feature in chain.features})
    rows, inexact = _rows(frame, chain.features)
    n = len(frame)
    level, group, reason = _assigned(chain, frame)
    gathered = Gathered(n, chain.links[0].models.form.answer)
    for number, link in enumerate(chain.links):
        chosen = np.flatnonzero((level == number) & ~inexact)
        if len(chosen):
            _answer(link, rows, chosen, group[chosen], gathered)
    unasked, faults = inexact & (level >= 0), gathered.faults()
    failed = unasked | faults.is_valid().to_numpy(zero_copy_only=False)
    reason[failed] = faults.to_numpy(zero_copy_only=False)[failed]
    reason[unasked] = str(Reason.INEXACT_NUMBERS)
    names = np.array([*(link.served_by for link in chain.links), NONE], dtype=object)
    columns: dict[str, pa.Array] = {"prediction": gathered.predictions()}
    if chain.gives_probability:
        columns["probability"] = gathered.probabilities()
    return columns | {
        "model_version": _versions(chain, level, group),
        "served_by": pa.array(np.where(failed, NONE, names[level]), pa.string()),
        "reason": pa.array(reason, pa.string()),
    }


def _rows(frame: Frame, features: tuple[Feature, ...]) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Return the features, and which rows have a number that a double cannot hold."""
    columns: dict[Feature, npt.NDArray[Any]] = {}
    inexact = np.zeros(len(frame), dtype=bool)
    for feature in features:
        if feature.kind == "numeric":
            columns[feature], beyond = frame.numbers(feature)
            inexact |= False if beyond is None else beyond
        else:
            columns[feature] = frame.texts(feature)
    return Rows(columns), inexact


def _assigned(chain: Chain, frame: Frame) -> tuple[Index, Index, npt.NDArray[np.object_]]:
    """Return for each row the link that answers, -1 if none; its group there; and why it is not the first link."""
    n = len(frame)
    level, group = np.full(n, -1), np.full(n, -1)
    reason = np.full(n, None, dtype=object)
    for number, link in enumerate(chain.links):
        models = link.models
        at = group_places(models, {key: frame.column(key) for key in models.keys}, n)
        has = at >= 0
        has[has] = models.has_model[at[has]]
        if number == 0:
            without = at[~has]
            statuses = models.groups["status"].take(pa.array(without, mask=without < 0))
            reason[~has] = statuses.fill_null(str(Reason.UNSEEN)).to_numpy()
        taken = has & (level < 0)
        level[taken], group[taken] = number, at[taken]
    return level, group, reason


def group_places(models: VersionModels, key: Mapping[str, pa.Array], n: int) -> Index:
    """Return the group of each of `n` keys, -1 where there is none.

    Raises:
        InputError: a column of the key is of another kind than the groups' own.
    """
    if not models.keys:
        return np.zeros(n, dtype=np.int64)
    try:
        return models.places([key[name] for name in models.keys])
    except KeyTypeDiffers as error:
        raise key_differs(models, {name: column.type for name, column in key.items()}) from error


def key_differs(models: VersionModels, given: Mapping[str, object]) -> Exception:
    """Return an error that says of which type the values of a key have to be, and of which they are."""
    own = ", ".join(f"`{name}` is {models.groups.schema.field(name).type}" for name in models.keys)
    here = ", ".join(f"`{name}` is {given[name]}" for name in models.keys)
    return input_error(Code.COLUMN_TYPE, f"in the groups of `{models.family}` {own}; here {here}")


def _answer(link: Link, rows: Rows, chosen: Index, groups: Index, gathered: Gathered) -> None:
    form = link.models.form
    if np.count_nonzero(np.bincount(groups)) > _MANY and link.models.linear is not None:
        gathered.add(chosen, link.models.linear.answer(form, rows.take(chosen), groups))
        return
    places = dict(runs(groups))
    for group, model in link.models.load_all(places):
        where = chosen[places[group]]
        gathered.add(where, ask(form, ready(form, model), rows.take(where)), classes=form.classes)


def _versions(chain: Chain, level: Index, group: Index) -> pa.Array:
    versions, known = np.zeros(len(level), dtype=np.int32), level >= 0
    for number, link in enumerate(chain.links):
        here = level == number
        versions[here] = link.models.groups["model_version"].to_numpy()[group[here]]
    return pa.array(versions, mask=~known)
