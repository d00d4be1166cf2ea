"""Frames of pandas and tables of Arrow: columns in, as Spark would cast them, and answers out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as t

from modelfactory.diagnostics import Code, Diagnostic, InputError, did_you_mean, input_error
from modelfactory.plan.steps import Feature

_EXACT_LIMIT = 2**53
"""Whole numbers up to here are doubles without rounding; of larger ones some are."""
_MICROSECONDS = 1e6


class Frame:
    """A DataFrame of pandas, or a Table or RecordBatch of Arrow, column by column.

    Args:
        data: the frame.

    Raises:
        TypeError: it is something else.
    """

    def __init__(self, data: Any) -> None:
        if not isinstance(data, pd.DataFrame | pa.Table | pa.RecordBatch):
            raise TypeError(f"rows are a pandas DataFrame or a pyarrow Table, not {type(data).__name__}")
        self._data = data

    def __len__(self) -> int:
        return len(self._data) if isinstance(self._data, pd.DataFrame) else int(self._data.num_rows)

    def check_columns(self, wanted: Mapping[str, str]) -> None:
        """See that columns are there.

        Args:
            wanted: their names, and what each is.

        Raises:
            InputError: with all that are missing, or stand twice.
        """
        names, wrong = self._names, []
        for name, role in wanted.items():
            if names.count(name) != 1:
                what = "is not a column" if name not in names else "stands twice among the columns"
                message = f"{role} `{name}` {what} of the rows"
                wrong.append(Diagnostic(code=Code.MISSING_COLUMN, message=message, help=did_you_mean(name, names)))
        if wrong:
            raise InputError(*wrong)

    @property
    def _names(self) -> list[str]:
        names = self._data.columns if isinstance(self._data, pd.DataFrame) else self._data.schema.names
        return [str(name) for name in names]

    def column(self, name: str) -> pa.Array:
        """Return one column as Arrow has it; NaN of pandas is null, and a column without any value has no type.

        Raises:
            InputError: its values are of several types, or fit no type.
        """
        place = self._names.index(name)  # a column of pandas may be called by a number
        found = self._data.iloc[:, place] if isinstance(self._data, pd.DataFrame) else self._data.column(place)
        if isinstance(found, pd.Series):
            try:
                found = pa.Array.from_pandas(found)
            except (pa.ArrowException, OverflowError, TypeError, UnicodeError) as error:
                message = f"column `{name}` holds values of several types, or some that no type can hold"
                raise input_error(Code.COLUMN_TYPE, message) from error
        if isinstance(found, pa.ChunkedArray):
            found = found.combine_chunks()
        if found.null_count == len(found):
            return pa.nulls(len(found))
        return found.dictionary_decode() if t.is_dictionary(found.type) else found

    def numbers(self, feature: Feature) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_] | None]:
        """Return a numeric feature as doubles, NaN where missing, as Spark casts it.

        Returns:
            The values, shape (n,), and which of them are not exact, shape (n,); None if all are.

        Raises:
            InputError: it is neither a number nor a moment.
        """
        column = self.column(feature.name)
        kind, inexact = column.type, None
        if t.is_integer(kind) or t.is_decimal(kind):
            inexact = _inexact(column)
        elif t.is_boolean(kind):
            column = column.cast(pa.uint8())
        elif t.is_date(kind):
            column = column.cast(pa.date32()).cast(pa.int32())
        elif t.is_timestamp(kind):
            column = column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
        elif not t.is_floating(kind) and not t.is_null(kind):
            raise _unfit(feature, kind, "a number, a date or a timestamp")
        values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return (values / _MICROSECONDS if t.is_timestamp(kind) else values), inexact

    def texts(self, feature: Feature) -> npt.NDArray[np.object_]:
        """Return a categorical feature as texts, None where missing, as Spark casts it.

        Raises:
            InputError: it is of a type that Spark and Python write in two ways.
        """
        column = self.column(feature.name)
        kind = column.type
        plain = t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind) or t.is_null(kind)
        if not (plain or t.is_integer(kind) or t.is_boolean(kind) or t.is_date(kind)):
            raise _unfit(feature, kind, "text, a whole number, a boolean or a date")
        return np.asarray(column.cast(pa.string()).to_numpy(zero_copy_only=False))

    def answered(self, columns: Mapping[str, pa.Array]) -> Any:
        """Return answers as the frame is: a DataFrame with its index, or a Table."""
        table = pa.table(dict(columns))
        if not isinstance(self._data, pd.DataFrame):
            return table
        frame = table.to_pandas(types_mapper=_PANDAS_TYPES.get, maps_as_pydicts="strict")
        frame.index = self._data.index
        return frame


def _inexact(column: pa.Array) -> npt.NDArray[np.bool_] | None:
    """Return which whole numbers or decimals are beyond what a double surely holds, and not held; None for none."""
    doubles = column.cast(pa.float64(), safe=False)
    beyond = pc.greater_equal(pc.abs(doubles), _EXACT_LIMIT).fill_null(False)
    if not beyond.true_count:
        return None
    wide = pa.decimal256(76, column.type.scale if t.is_decimal(column.type) else 0)
    differs = pc.not_equal(doubles.cast(wide, safe=False), column.cast(wide)).fill_null(False)
    return np.asarray(pc.and_(beyond, differs).to_numpy(zero_copy_only=False))


_PANDAS_TYPES = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.bool_(): pd.BooleanDtype()}
"""Whole numbers and booleans that may be missing; pandas would make doubles and objects of them."""


def _unfit(feature: Feature, kind: pa.DataType, must: str) -> InputError:
    message = f"{feature.kind} feature `{feature.name}` is {kind} and must be {must}"
    return input_error(Code.COLUMN_TYPE, message, help="cast it in the frame")
