"""Ask a model about rows: a row that it cannot answer costs no other row."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modelfactory.diagnostics import shortened
from modelfactory.plan.outcomes import Reason
from modelfactory.scoring.forms import ModelForm
from modelfactory.scoring.rows import Rows
from modelfactory.training.classes import class_texts
from modelfactory.training.texts import one_line

ERROR_LENGTH = 200
"""Characters of an error that a reason holds."""
_CALLS = 256
"""Calls of a model after which the rows that it has not answered yet are left together."""
_TYPES = {"double": np.float64, "bigint": np.int64, "boolean": np.bool_, "string": object}


@dataclass(frozen=True, slots=True)
class Answers:
    """What models said of some rows.

    Attributes:
        prediction: shape (n,), of the form's type; what stands at a fault means nothing.
        probability: of each class, shape (n, k); None where the model gives none.
        classes: the classes of the columns of `probability`, as text.
        fault: why there is no prediction, None where there is one, shape (n,); None if all rows have one.
    """

    prediction: npt.NDArray[Any]
    probability: npt.NDArray[np.float64] | None = None
    classes: tuple[str, ...] = ()
    fault: npt.NDArray[np.object_] | None = None


def ask(form: ModelForm, model: Any, rows: Rows) -> Answers:
    """Ask a model about rows, at least one.

    Args:
        form: how it takes rows.
        model: the fitted estimator, as `ready` has made it.
        rows: the rows.

    Returns:
        The answers, in the order of the rows.
    """
    try:
        return _asked(form, model, rows)
    except Exception as error:
        return _Careful(form, model, rows).answers(error)


def ready(form: ModelForm, model: Any) -> Any:
    """Return a model to ask with the rows that its form makes; the one that is given stays as it is.

    One that was fitted from a matrix has names of features for its user, and would complain of a matrix without.
    """
    if form.container == "frame":
        return model
    bare = copy.copy(model)
    if type(bare).__name__ == "Pipeline":
        (name, first), *others = bare.steps
        bare.steps = [(name, copy.copy(first)), *others]
        first = bare.steps[0][1]
    else:
        first = bare
    vars(first).pop("feature_names_in_", None)
    return bare


def _asked(form: ModelForm, model: Any, rows: Rows) -> Answers:
    features = rows.features(form)
    prediction: npt.NDArray[Any] = _shaped(model.predict(features), (len(rows), 1)).ravel().astype(_TYPES[form.answer])
    if not form.has_probability or not hasattr(model, "predict_proba"):
        return Answers(prediction)
    classes = class_texts(model.classes_)
    return Answers(prediction, _shaped(model.predict_proba(features), (len(rows), len(classes))), classes)


def _shaped(said: Any, shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Return what a model said as a table of a shape.

    Raises:
        ValueError: it is of another.
    """
    table = np.asarray(said)
    table = table[:, None] if table.ndim == 1 else table
    if table.shape != shape:
        raise ValueError(f"the model said an array of shape {np.shape(said)} for {shape[0]} rows")
    return table


class _Careful:
    """Asks a model that raised about the same rows, part by part."""

    def __init__(self, form: ModelForm, model: Any, rows: Rows) -> None:
        self._form = form
        self._model = model
        self._rows = rows
        self._calls = 0
        self._found: list[tuple[npt.NDArray[np.intp], Answers]] = []
        self._fault = np.full(len(rows), None, dtype=object)

    def answers(self, error: Exception) -> Answers:
        """Return the answers; `error` is what all rows together raised."""
        features = self._form.features
        infinite = self._rows.infinite(features)
        missing = self._rows.missing(features) & ~infinite
        whole = ~(infinite | missing)
        if whole.all():
            self._halves(np.arange(len(self._rows)), error)
        else:
            self._try(np.flatnonzero(whole), self._halves)
            self._try(np.flatnonzero(missing), lambda rows, _: self._blame(rows, Reason.MISSING_VALUES))
            self._try(np.flatnonzero(infinite), lambda rows, _: self._blame(rows, Reason.INFINITE_VALUES))
        return self._joined()

    def _try(self, chosen: npt.NDArray[np.intp], otherwise: Callable[[npt.NDArray[np.intp], Exception], None]) -> None:
        if not len(chosen):
            return
        self._calls += 1
        try:
            self._found.append((chosen, _asked(self._form, self._model, self._rows.take(chosen))))
        except Exception as error:
            otherwise(chosen, error)

    def _halves(self, chosen: npt.NDArray[np.intp], error: Exception) -> None:
        if len(chosen) == 1 or self._calls >= _CALLS:
            among = f" (among {len(chosen):,} rows)" if len(chosen) > 1 else ""
            self._blame(chosen, f"{Reason.PREDICT_FAILED}: {error_text(error)}{among}")
            return
        middle = len(chosen) // 2
        self._try(chosen[:middle], self._halves)
        self._try(chosen[middle:], self._halves)

    def _blame(self, chosen: npt.NDArray[np.intp], reason: str) -> None:
        self._fault[chosen] = str(reason)

    def _joined(self) -> Answers:
        n = len(self._rows)
        prediction: npt.NDArray[Any] = np.zeros(n, dtype=_TYPES[self._form.answer])
        probability: npt.NDArray[np.float64] | None = None
        classes: tuple[str, ...] = ()
        for chosen, answers in self._found:
            prediction[chosen] = answers.prediction
            if answers.probability is not None:
                if probability is None:
                    probability, classes = np.full((n, answers.probability.shape[1]), np.nan), answers.classes
                probability[chosen] = answers.probability
        return Answers(prediction, probability, classes, self._fault)


def error_text(error: BaseException) -> str:
    """Return an error as a reason holds it."""
    return shortened(f"{type(error).__name__}: {one_line(error, ERROR_LENGTH)}", ERROR_LENGTH)
