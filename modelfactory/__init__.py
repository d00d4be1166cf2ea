"""modelfactory: dbt for fleets of models.

A project is data, a plan is data, a version is data; only `modelfactory.spark` touches Spark.

`open_store` opens a store of published families, to load their models and to predict.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelfactory.diagnostics import InputError as InputError
    from modelfactory.scoring.loading import BrokenModel as BrokenModel
    from modelfactory.scoring.loading import UnsafeModel as UnsafeModel
    from modelfactory.scoring.loading import VersionMismatch as VersionMismatch
    from modelfactory.serving.stores import Family as Family
    from modelfactory.serving.stores import ModelStore as ModelStore
    from modelfactory.serving.stores import NoModel as NoModel
    from modelfactory.serving.stores import open_store as open_store

__version__ = "0.1.0"
_PUBLIC = {
    "BrokenModel": "scoring.loading",
    "Family": "serving.stores",
    "InputError": "diagnostics",
    "ModelStore": "serving.stores",
    "NoModel": "serving.stores",
    "UnsafeModel": "scoring.loading",
    "VersionMismatch": "scoring.loading",
    "open_store": "serving.stores",
}
__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604 - all are names


def __getattr__(name: str) -> Any:
    """Load the Python interface when it is first used: workers and light commands do without."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"modelfactory.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
