"""How the classes of a classifier are written as text: as Spark casts them, so that SQL finds a class by its label."""

from __future__ import annotations

from typing import Any

import numpy as np


def class_texts(classes: Any) -> tuple[str, ...]:
    """Return classes as text, in their order.

    Args:
        classes: what a fitted classifier has as `classes_`, shape (k,).
    """
    values = np.asarray(classes)
    if values.dtype.kind == "b":
        return tuple("true" if value else "false" for value in values.tolist())
    return tuple(map(str, values.tolist()))
