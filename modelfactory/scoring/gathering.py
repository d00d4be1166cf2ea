"""Gather the answers of several models about the same rows, row for row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelfactory.scoring.answering import Answers
from modelfactory.scoring.forms import AnswerType
from modelfactory.scoring.rows import Index

_ARROW_TYPES = {"double": pa.float64(), "bigint": pa.int64(), "boolean": pa.bool_(), "string": pa.string()}
_ZERO = {"double": 0.0, "bigint": 0, "boolean": False, "string": None}


class Gathered:
    """Answers about some rows, as far as they have come in.

    Args:
        n: how many rows.
        answer: type of a prediction.
    """

    def __init__(self, n: int, answer: AnswerType) -> None:
        self._n = n
        self._type = _ARROW_TYPES[answer]
        self._prediction: npt.NDArray[Any] = np.full(n, _ZERO[answer])
        self._answered = np.zeros(n, dtype=bool)
        self._fault: npt.NDArray[np.object_] | None = None
        self._probabilities: list[tuple[Index, npt.NDArray[np.float64], tuple[str, ...], tuple[str, ...]]] = []

    def add(self, places: Index | None, answers: Answers, *, classes: tuple[str, ...] | None = None) -> None:
        """Take in the answers about some of the rows.

        Args:
            places: which rows, shape (m,); None for all.
            answers: the answers, in that order.
            classes: classes that every probability names, those too that the model has never seen; None for the
                model's own.
        """
        if places is None and answers.fault is None and answers.probability is None:
            self._prediction, self._answered[:] = answers.prediction, True
            return
        places = np.arange(self._n) if places is None else places
        self._prediction[places] = answers.prediction
        answered = np.ones(len(places), dtype=bool)
        if answers.fault is not None:
            if self._fault is None:
                self._fault = np.full(self._n, None, dtype=object)
            self._fault[places] = answers.fault
            answered = np.array([fault is None for fault in answers.fault])
        self._answered[places] = answered
        if answers.probability is not None:
            rows, values = places[answered], answers.probability[answered]
            self._probabilities.append((rows, values, answers.classes, classes or answers.classes))

    def predictions(self) -> pa.Array:
        """Return the predictions, null where there is none."""
        return pa.array(self._prediction, self._type, mask=None if self._answered.all() else ~self._answered)

    def faults(self) -> pa.Array:
        """Return why a model that was asked gave no prediction, null where it did or none was asked."""
        return pa.nulls(self._n, pa.string()) if self._fault is None else pa.array(self._fault, pa.string())

    def probabilities(self) -> pa.MapArray:
        """Return the probability of each class by its name, null where there is none."""
        count = np.zeros(self._n, dtype=np.int64)
        for rows, _, _, named in self._probabilities:
            count[rows] = len(named)
        ends = np.concatenate(([0], np.cumsum(count)))
        names: dict[str, int] = {}
        keys, values = np.zeros(ends[-1], dtype=np.int32), np.zeros(ends[-1])
        for rows, probability, own, named in self._probabilities:
            entries = ends[rows][:, None] + np.arange(len(named))
            keys[entries] = [names.setdefault(name, len(names)) for name in named]
            place = {name: i for i, name in enumerate(named)}
            known = [i for i, name in enumerate(own) if name in place]
            values[entries[:, [place[own[i]] for i in known]]] = probability[:, known]
        offsets = pa.array(ends.astype(np.int32), mask=np.concatenate((count == 0, [False])))
        texts = pa.array(list(names), pa.string()).take(pa.array(keys))
        return pa.MapArray.from_arrays(offsets, texts, pa.array(values))

    def struct(self, *, probability: bool) -> pa.StructArray:
        """Return all of it as one column with fields `prediction`, `probability` if that is wanted, and `fault`."""
        columns = {"prediction": self.predictions, "probability": self.probabilities, "fault": self.faults}
        wanted = [name for name in columns if probability or name != "probability"]
        return pa.StructArray.from_arrays([columns[name]() for name in wanted], wanted)
