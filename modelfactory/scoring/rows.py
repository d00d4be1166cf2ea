"""Rows to be scored, column by column, and what models get of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from modelfactory.plan.steps import Feature
from modelfactory.scoring.forms import ModelForm

Index = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to be scored.

    Attributes:
        columns: by feature its values, shape (n,): doubles, NaN where missing, or texts, None where missing.
        index: which of the values are meant, and in which order, shape (m,); None for all as they stand.
    """

    columns: Mapping[Feature, npt.NDArray[Any]]
    index: Index | None = None

    def take(self, chosen: Index) -> Rows:
        """Return some of the rows."""
        return Rows(self.columns, chosen if self.index is None else self.index[chosen])

    def column(self, feature: Feature) -> npt.NDArray[Any]:
        """Return the values of one feature."""
        values = self.columns[feature]
        return values if self.index is None else values[self.index]

    def features(self, form: ModelForm) -> Any:
        """Return what a model gets: a matrix laid out column by column, as in training, or a DataFrame."""
        values = [self.column(feature) for feature in form.features]
        if form.container == "matrix":
            return np.stack(values).T
        return pd.DataFrame({f.name: column for f, column in zip(form.features, values, strict=True)})

    def missing(self, features: Sequence[Feature]) -> Bools:
        """Return which rows have a feature that is missing."""
        return np.asarray(np.logical_or.reduce([pd.isna(self.column(feature)) for feature in features]))

    def infinite(self, features: Sequence[Feature]) -> Bools:
        """Return which rows have a number that is infinite."""
        numbers = [np.isinf(self.column(feature)) for feature in features if feature.kind == "numeric"]
        return np.asarray(np.logical_or.reduce(numbers)) if numbers else np.zeros(len(self), dtype=bool)

    def __len__(self) -> int:
        if self.index is not None:
            return len(self.index)
        return len(next(iter(self.columns.values())))
