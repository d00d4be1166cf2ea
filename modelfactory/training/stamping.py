"""Write the pickles of many models that differ in their numbers only.

The pickle of one fitted model is made once, with marks in the place of its numbers. A model's pickle is then a copy
of those bytes with its own numbers at the marks: the same bytes that `pickle.dumps` would give, without an object.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Stamp:
    """The pickle of a model with marks.

    Attributes:
        data: the bytes.
        places: for each set of numbers where they stand in the bytes, and their type and count.
    """

    data: Bytes
    places: Mapping[str, tuple[int, np.dtype[Any], int]]

    def press(self, numbers: Mapping[str, Numbers]) -> Bytes:
        """Return the pickles of many models.

        Args:
            numbers: by name as in `places`, shape (g, count) or (g,) where the count is one.

        Returns:
            The bytes, a row for each model, shape (g, length).
        """
        models = len(next(iter(numbers.values())))
        pressed = np.tile(self.data, (models, 1))
        for name, (place, dtype, count) in self.places.items():
            values = np.ascontiguousarray(numbers[name], dtype=dtype).reshape(models, count)
            pressed[:, place : place + count * dtype.itemsize] = values.view(np.uint8)
        return pressed

    def read(self, pressed: Bytes) -> tuple[npt.NDArray[np.bool_], dict[str, Numbers]]:
        """Take the numbers out of pickles.

        Args:
            pressed: the bytes, a row for each model, shape (g, length).

        Returns:
            Which of them are pressed by this stamp, shape (g,), and their numbers by name, shape (g, count); those of
            other pickles mean nothing.
        """
        fixed = np.ones(len(self.data), dtype=bool)
        numbers = {}
        for name, (place, dtype, count) in self.places.items():
            part = slice(place, place + count * dtype.itemsize)
            fixed[part] = False
            numbers[name] = np.ascontiguousarray(pressed[:, part]).view(dtype)
        same = (pressed[:, fixed] == self.data[fixed]).all(axis=1)
        return same, numbers


def make_stamp(model: Any, attributes: Mapping[str, tuple[Any, str]]) -> Stamp | None:
    """Make the stamp of a fitted model.

    Args:
        model: the model; its numbers are overwritten.
        attributes: by a name of your choice the object and the attribute that holds the numbers, an array or a
            NumPy scalar of 64 bits.

    Returns:
        The stamp; None where the numbers cannot be found in the pickle, each exactly once.
    """
    rng = np.random.default_rng(0)
    marks = {}
    for name, (holder, attribute) in attributes.items():
        value = getattr(holder, attribute)
        dtype = getattr(value, "dtype", None)
        if dtype not in (np.float64, np.int64):
            return None
        mark = rng.integers(1 << 60, 1 << 61, np.size(value)).view(dtype)
        setattr(holder, attribute, mark if np.ndim(value) else mark[0])
        marks[name] = mark
    stamp = find_stamp(pickle.dumps(model, protocol=5), marks)
    return stamp if stamp.places.keys() == marks.keys() else None


def find_stamp(data: bytes, numbers: Mapping[str, Any]) -> Stamp:
    """Take the pickle of a fitted model for a stamp.

    Args:
        data: the bytes.
        numbers: by a name of your choice an array or a NumPy scalar that the model holds.

    Returns:
        The stamp; its `places` name those numbers that stand in the bytes exactly once.
    """
    places = {}
    for name, value in numbers.items():
        written = np.asarray(value).tobytes()
        place = data.find(written)
        if written and place >= 0 and data.rfind(written) == place:
            places[name] = (place, np.asarray(value).dtype, np.size(value))
    return Stamp(np.frombuffer(data, dtype=np.uint8), places)
