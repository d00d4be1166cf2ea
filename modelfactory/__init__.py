"""modelfactory: dbt for fleets of models.

A project is data, a plan is data, a version is data; only `modelfactory.spark` touches Spark.

`open_store` opens a store of published families, to load their models and to predict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelfactory.serving.stores import Family as Family
    from modelfactory.serving.stores import ModelStore as ModelStore
    from modelfactory.serving.stores import NoModel as NoModel
    from modelfactory.serving.stores import open_store as open_store

__version__ = "0.1.0"
_SERVING = ("Family", "ModelStore", "NoModel", "open_store")


def __getattr__(name: str) -> Any:
    """Load the Python interface when it is first used: workers and light commands do without."""
    if name in _SERVING:
        from modelfactory.serving import stores

        return getattr(stores, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
