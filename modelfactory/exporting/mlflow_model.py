"""Write a family as one model of MLflow, which routes rows to the models of their groups."""

from __future__ import annotations

import logging
import os
import re
import tempfile
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyarrow import types as t

from modelfactory import __version__
from modelfactory.exporting.exported import Exported, all_exported
from modelfactory.serving.chain import Chain
from modelfactory.store.manifest import VersionRecord

CODE = Path(__file__).with_name("routed.py")
_NO_TELEMETRY = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
_TO_INSTALL = ("joblib", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy")
"""What models need of what a version records. Whoever can write into a store must not tell others what to install."""
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+!-]*")
_OUTPUT = {"double": "double", "bigint": "long", "boolean": "boolean", "string": "string"}


def write_mlflow(
    chain: Chain, folder: Path, *, packages: Collection[str] = (), fallback: bool, allow_version_mismatch: bool
) -> Exported:
    """Write a model of MLflow that needs nothing but itself and this package: the versions of the store are in it.

    Args:
        chain: the models.
        folder: what to write.
        packages: top-level packages besides scikit-learn's own whose classes it may load.
        fallback: whether others stand in where a group has no model.
        allow_version_mismatch: whether it loads models that another scikit-learn has fitted.

    Raises:
        InputError: a file of the store is missing or damaged, or the models do not predict.
    """
    own = chain.links[0].models
    with _quiet_mlflow() as mlflow, tempfile.TemporaryDirectory(prefix="mf-export-", dir=folder.parent) as scratch:
        store = Path(scratch) / "store"
        for models in {link.models.family: link.models for link in reversed(chain.links)}.values():
            models.copy_to(store)
        mlflow.pyfunc.save_model(
            path=folder,
            python_model=str(CODE),
            artifacts={"store": str(store)},
            signature=_signature(chain),
            pip_requirements=requirements(own.record),
            metadata=_metadata(own.family, own.record),
            model_config={
                "family": own.family,
                "packages": sorted(packages),
                "fallback": fallback,
                "allow_version_mismatch": allow_version_mismatch,
            },
        )
    return all_exported(own)


@contextmanager
def _quiet_mlflow() -> Iterator[Any]:
    """Import MLflow such that it tells nobody about it, and writes nothing beside the console in the block.

    What it warns of is no news: other libraries than the installed ones are loaded if that was asked for, and types
    and examples that it misses are left out on purpose.
    """
    for name, value in _NO_TELEMETRY.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.pyfunc

        logger = logging.getLogger("mlflow")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield mlflow
        finally:
            logger.setLevel(level)


def requirements(record: VersionRecord) -> list[str]:
    """Return the packages that the models need, in the versions that have fitted them, and this one."""
    recorded = [(name, record.libraries.get(name, "")) for name in _TO_INSTALL]
    pinned = [f"{name}=={version}" for name, version in recorded if _VERSION.fullmatch(version)]
    return [*pinned, f"modelfactory-spark=={__version__}"]


def _signature(chain: Chain) -> Any:
    """Return the columns of rows and answers.

    MLflow would refuse a whole number where a double is declared, and a null where a whole number is; what `predict`
    takes, it has to let through. So only texts and booleans have a type; the types are in the metadata.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType, Map

    any_type: Any = AnyType
    inputs: dict[str, Any] = {}
    for link in chain.links:
        for key in link.models.keys:
            kind = link.models.groups.schema.field(key).type
            text = t.is_string(kind) or t.is_large_string(kind)
            inputs[key] = DataType.string if text else DataType.boolean if t.is_boolean(kind) else any_type()
    for feature in chain.features:
        inputs.setdefault(feature.name, any_type())
    outputs: dict[str, Any] = {"prediction": DataType[_OUTPUT[chain.links[0].models.form.answer]]}
    if chain.gives_probability:
        outputs["probability"] = Map(DataType.double)
    outputs |= {"model_version": DataType.integer, "served_by": DataType.string, "reason": DataType.string}
    return ModelSignature(
        inputs=Schema([ColSpec(kind, name) for name, kind in inputs.items()]),
        outputs=Schema([ColSpec(kind, name, required=name == "served_by") for name, kind in outputs.items()]),
    )


def _metadata(family: str, record: VersionRecord) -> dict[str, Any]:
    return {
        "family": family,
        "version": record.number,
        "run_id": record.run_id,
        "published_at": record.published_at,
        "group_by": list(record.group_by),
        "features": [{"name": f.name, "kind": f.kind, "type": f.type} for f in record.features],
        "label": record.label,
        "label_type": record.label_type,
        "task": record.task,
        "statuses": dict(record.statuses),
        "fingerprints": record.fingerprints.model_dump(),
        "modelfactory": __version__,
    }
