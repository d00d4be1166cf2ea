"""The function that runs on Spark's workers: batches of rows in, batches of answers out, row for row."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from modelfactory.plan.steps import Feature
from modelfactory.scoring.answering import ask, ready
from modelfactory.scoring.forms import ModelForm, StoredModel
from modelfactory.scoring.gathering import Gathered
from modelfactory.scoring.linear import LinearModels
from modelfactory.scoring.loading import load_model
from modelfactory.scoring.rows import Index, Rows

Batch = tuple[pa.Array, ...]
"""Columns of some rows."""
Scorer = Callable[[Iterator[Batch]], Iterator[pa.StructArray]]
"""What runs on the workers: for each row one answer."""
LARGE = 1 << 18
"""Rows from which on a call of a model costs little beside its work."""


@dataclass(frozen=True, slots=True)
class Level:
    """The models of one version, whose numbers among all models begin at `start`.

    Attributes:
        form: how they take rows.
        start: number of the first.
        count: how many numbers are theirs.
        models: the models themselves, by number from 0; None where they come with the rows.
    """

    form: ModelForm
    start: int
    count: int
    models: LinearModels | dict[int, StoredModel] | None = None


def resident_scorer(levels: Sequence[Level], columns: Sequence[Feature]) -> Scorer:
    """Return what scores rows with models that it has with it.

    Args:
        levels: the models.
        columns: the features that come behind the number of a row's model.
    """

    def score(batches: Iterator[Batch]) -> Iterator[pa.StructArray]:
        with _quiet():
            loaded: dict[int, Any] = {}

            def model_of(level: Level, number: int) -> Any:
                if number not in loaded and isinstance(level.models, dict):
                    loaded[number] = _loaded(level.form, level.models[number - level.start])
                return loaded[number]

            calls = not all(isinstance(level.models, LinearModels) for level in levels)
            for number, *values in _large(batches) if calls else batches:
                yield _scored(levels, _numbers(number), _rows(columns, values), model_of)

    return score


def streaming_scorer(levels: Sequence[Level], columns: Sequence[Feature]) -> Scorer:
    """Return what scores rows whose models come with them.

    Each model stands in a row of its own before the rows that it answers, and all rows of a model together.

    Args:
        levels: how the models take rows.
        columns: the features that come behind the number of a row's model and the model's bytes, format and hash.
    """

    def score(batches: Iterator[Batch]) -> Iterator[pa.StructArray]:
        with _quiet():
            held: tuple[int, Any] = (-1, None)

            def model_of(_: Level, number: int) -> Any:
                if held[0] != number:
                    raise AssertionError(f"rows of model {number} came without it")
                return held[1]

            for number, data, kind, sha256, *values in batches:
                numbers, rows = _numbers(number), _rows(columns, values)
                brought = np.flatnonzero(data.is_valid().to_numpy(zero_copy_only=False)).tolist()
                parts, begin = [], 0
                for place in [*brought, len(numbers)]:
                    if place > begin:
                        part = np.arange(begin, place)
                        parts.append(_scored(levels, numbers[part], rows.take(part), model_of))
                    if place < len(numbers):
                        model = StoredModel(data[place].as_py(), kind[place].as_py(), sha256[place].as_py())
                        held = (int(numbers[place]), _loaded(_level_of(levels, int(numbers[place])).form, model))
                        parts.append(_nothing(levels))
                    begin = place + 1
                yield pa.concat_arrays(parts)

    return score


def _large(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Put batches together, so that each model is called for many rows; Spark takes the answers in any pieces."""
    held: list[Batch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += len(batch[0])
        if rows >= LARGE:
            yield tuple(map(pa.concat_arrays, zip(*held, strict=True)))
            held, rows = [], 0
    if held:
        yield tuple(map(pa.concat_arrays, zip(*held, strict=True)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Let models work by themselves, and keep what they warn of: thousands of them would say the same."""
    with threadpool_limits(1), joblib.parallel_config(backend="sequential"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _loaded(form: ModelForm, model: StoredModel) -> Any:
    loaded = load_model(model.data, format=model.format, sha256=model.sha256, packages=form.packages)
    return ready(form, loaded)


def _level_of(levels: Sequence[Level], number: int) -> Level:
    return next(level for level in levels if level.start <= number < level.start + level.count)


def _numbers(number: pa.Array) -> Index:
    """Return the number of each row's model, -1 where it has none."""
    return np.asarray(number.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.intp)


def _rows(columns: Sequence[Feature], values: Sequence[pa.Array]) -> Rows:
    return Rows({f: v.to_numpy(zero_copy_only=False) for f, v in zip(columns, values, strict=True)})


def _scored(
    levels: Sequence[Level], numbers: Index, rows: Rows, model_of: Callable[[Level, int], Any]
) -> pa.StructArray:
    gathered = Gathered(len(numbers), levels[0].form.answer)
    for level in levels:
        inside = (numbers >= level.start) & (numbers < level.start + level.count)
        if not inside.any():
            continue
        chosen = None if inside.all() else np.flatnonzero(inside)
        own = numbers if chosen is None else numbers[chosen]
        if isinstance(level.models, LinearModels):
            given = rows if chosen is None else rows.take(chosen)
            gathered.add(chosen, level.models.answer(level.form, given, own - level.start))
            continue
        for number, places in runs(own):
            where = places if chosen is None else chosen[places]
            gathered.add(where, ask(level.form, model_of(level, number), rows.take(where)), classes=level.form.classes)
    return gathered.struct(probability=gives_probability(levels))


def runs(numbers: Index) -> Iterator[tuple[int, Index]]:
    """Yield each number with the places where it stands, both rising."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    bounds = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    for begin, end in zip(bounds.tolist(), [*bounds[1:].tolist(), len(ordered)], strict=True):
        yield int(ordered[begin]), order[begin:end]


def _nothing(levels: Sequence[Level]) -> pa.StructArray:
    """Return what stands for an answer in the row that is a model."""
    return Gathered(1, levels[0].form.answer).struct(probability=gives_probability(levels))


def gives_probability(levels: Sequence[Level]) -> bool:
    """Tell whether answers hold probabilities."""
    return any(level.form.has_probability for level in levels)
