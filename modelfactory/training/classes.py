"""Write classes as text: the keys of probabilities, and what a manifest says that the models of a version know."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def class_text(value: Any) -> str:
    """Write one class as Spark's `cast(label as string)` does, so that SQL finds it by its label.

    `True` becomes `true`, `3` becomes `3`, `1.0` becomes `1.0` and `1e7` becomes `1.0E7`. Of a double the fewest
    digits are written that tell it from its neighbours, as Java does from version 19 on; an older one writes some
    doubles with a digit more.

    Args:
        value: a class as a fitted classifier has it in `classes_`.
    """
    match value.item() if isinstance(value, np.generic) else value:
        case bool(truth):
            return str(truth).lower()
        case float(number):
            return _double_text(number)
        case other:
            return str(other)


def class_texts(values: Any) -> tuple[str, ...]:
    """Write classes as text, in their order.

    Args:
        values: an array or list of classes, shape (c,).
    """
    return tuple(map(class_text, np.asarray(values).ravel().tolist()))


def known_classes(model: Any, label: Any) -> tuple[str, ...]:
    """Return the classes that a fitted classifier knows, as text, in the order of its probabilities.

    Args:
        model: the classifier.
        label: labels of its group, shape (n,), which tell where the model does not.
    """
    known = getattr(model, "classes_", None)
    return class_texts(np.unique(label) if known is None else known)


def _double_text(number: float) -> str:
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    if number == 0 or 1e-3 <= abs(number) < 1e7:
        return np.format_float_positional(number, trim="0")
    digits, exponent = np.format_float_scientific(number, trim="0").split("e")
    return f"{digits}E{int(exponent)}"
