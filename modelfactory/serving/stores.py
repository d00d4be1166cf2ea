"""What a user of Python sees: a store, its families, their models and predictions."""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from cachetools import LRUCache

from modelfactory.diagnostics import Code, InputError, did_you_mean, input_error, shortened
from modelfactory.plan.outcomes import Reason
from modelfactory.serving.chain import Chain, chain_of
from modelfactory.serving.frames import Frame
from modelfactory.serving.models import LoadedModels, Trust, VersionModels
from modelfactory.serving.predicting import key_differs, predict_frame
from modelfactory.store.groups import read_groups
from modelfactory.store.keys import KeyTypeDiffers
from modelfactory.store.manifest import Manifest, VersionRecord
from modelfactory.store.store import MANIFEST, Store, store_at

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CACHE_BYTES = 256 << 20
_VERSIONS_KEPT = 32
"""Versions of which a store keeps the keys; a server that lives long sees many."""
_SHOWN = 80
"""Characters of a value that a message shows."""
FORGOTTEN = "forgotten"
"""Why a group has no model that was removed on request; of rows that are scored, such a group is unseen."""


class NoModel(LookupError):
    """A group has no model.

    Attributes:
        reason: why: `unseen`, `forgotten` if it was removed on request, or the status of the group, such as
            `too_few_rows`.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class ModelStore:
    """A store of published families, to be read. Several threads may share it.

    Made by `modelfactory.open_store`.
    """

    def __init__(self, store: Store, trust: Trust, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._store = store
        self._trust = trust
        self._loaded = LoadedModels(cache_bytes)
        self._opened: LRUCache[tuple[str, str, int], VersionModels] = LRUCache(_VERSIONS_KEPT)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<modelfactory store at {self._store.place.shown()}>"

    @property
    def families(self) -> list[str]:
        """Names of the published families, sorted.

        Raises:
            InputError: the store cannot be read.
        """
        place = self._store.place
        return [name for name in place.folders("") if place.read(f"{name}/{MANIFEST}") is not None]

    def family(self, name: str, *, version: int | None = None) -> Family:
        """Return a family as it is published now.

        Args:
            name: its name.
            version: number of a version; the current one if None.

        Raises:
            InputError: there is no such family or version, or the manifest cannot be read.
        """
        manifest = self._store.manifest(name) if _is_name(name) else None
        if manifest is None:
            raise self._unknown(name)
        return Family(self, manifest, _version(manifest, version))

    def _unknown(self, name: str) -> InputError:
        place, families = self._store.place, self.families
        if families:
            return input_error(Code.NOT_BUILT, f"the store has no family `{name}`", help=did_you_mean(name, families))
        near = "its store is the folder `store` in it" if "store" in place.folders("") else None
        return input_error(Code.NOT_BUILT, f"no family was ever published at {place.shown()}", help=near)

    def _models(self, manifest: Manifest, record: VersionRecord) -> VersionModels:
        key = (manifest.family, record.run_id, len(manifest.forgotten))  # forgetting moves the files of versions
        with self._lock:
            if key not in self._opened:
                self._opened[key] = VersionModels(self._store, manifest, record, self._trust, self._loaded)
            return self._opened[key]

    def _current(self, name: str) -> VersionModels | None:
        manifest = self._store.manifest(name)
        record = manifest.version() if manifest else None
        return None if manifest is None or record is None else self._models(manifest, record)


class Family:
    """One version of a family: its groups, their models, and predictions by them. Several threads may share it.

    Made by `ModelStore.family`.

    Attributes:
        name: name of the family.
        record: what the manifest tells of the version: definition, fingerprints, counts, metrics, libraries.
    """

    def __init__(self, store: ModelStore, manifest: Manifest, record: VersionRecord) -> None:
        self.name = manifest.family
        self.record = record
        self._store = store
        self._manifest = manifest
        self._models = store._models(manifest, record)
        self._chains: dict[bool, Chain] = {}

    def __repr__(self) -> str:
        return f"<family {self.name} v{self.number} by {', '.join(self.group_by)}>"

    @property
    def number(self) -> int:
        """Number of the version."""
        return self.record.number

    @property
    def group_by(self) -> tuple[str, ...]:
        """The group columns."""
        return tuple(self.record.group_by)

    @property
    def versions(self) -> tuple[VersionRecord, ...]:
        """All published versions of the family, the oldest first."""
        return tuple(self._manifest.versions)

    def version(self, number: int) -> Family:
        """Return another version of the family.

        Raises:
            InputError: there is none of that number.
        """
        return Family(self._store, self._manifest, _version(self._manifest, number))

    def groups(self) -> pa.Table:
        """Return the group table: one row for each group of the input, whether it has a model or not.

        Returns:
            The group columns, then `status`, `n_rows`, `metrics` and the others of the contract, g rows.

        Raises:
            InputError: a file is missing or damaged.
        """
        return read_groups(self._store._store.files(self.name, self.record, "groups"))

    def model(self, /, **key: Any) -> Any:
        """Return the fitted estimator of one group; those loaded last are kept, so do not change it.

        Args:
            **key: a value for each group column; None for null.

        Returns:
            The estimator of scikit-learn, or of the class that the family declares.

        Raises:
            NoModel: the group is unknown, or has none; `reason` says why.
            TypeError: the key names other columns than the groups have.
            InputError: a value is of another kind than its column, or the model may not be loaded.
        """
        if key.keys() != set(self.group_by):
            wanted = ", ".join(f"{name}=…" for name in self.group_by)
            raise TypeError(f"the groups of `{self.name}` are known by {wanted}")
        try:
            group = self._models.place(key)
        except KeyTypeDiffers as error:
            raise key_differs(self._models, {name: type(value).__name__ for name, value in key.items()}) from error
        if group < 0 or not self._models.has_model[group]:
            raise self._no_model(key, group)
        return self._models.load(group)

    def _no_model(self, key: Mapping[str, Any], group: int) -> NoModel:
        when = self._models.forgotten_at(key) if group < 0 else None
        if group >= 0:
            reason = why = str(self._models.groups["status"][group].as_py())
        elif when is None:
            reason = why = str(Reason.UNSEEN)
        else:
            reason, why = FORGOTTEN, f"{FORGOTTEN} on {when[:10]}"
        shown = ", ".join(f"{name}={shortened(str(value), _SHOWN)}" for name, value in key.items())
        return NoModel(f"the group {shown} of `{self.name}` v{self.number} has no model: {why}", reason)

    def models(self) -> Iterator[tuple[dict[str, Any], Any]]:
        """Yield the key and the fitted estimator of every group that has one, in no order.

        Raises:
            InputError: a model may not be loaded.
        """
        for group, model in self._models.load_all():
            yield {name: self._models.groups[name][group].as_py() for name in self.group_by}, model

    def predict(self, rows: Any, *, fallback: bool = True) -> Any:
        """Predict rows, each by the model of its group, or of the family that stands in where the group has none.

        Args:
            rows: a pandas DataFrame or a pyarrow Table of n rows, with at least the group columns and features.
            fallback: whether other families, or the model of all rows, stand in as the definition says.

        Returns:
            A frame of the same kind with n rows in the same order, and with the same index: `prediction`,
            for classifiers `probability` (a dict, or map, from each class as text to its probability),
            `model_version`, `served_by` (`group`, `fallback:NAME` or `none`), and `reason`: why it is not the
            group's own model that answered, else null.

        Raises:
            TypeError: `rows` is something else.
            InputError: a column is missing or of another type, or a model may not be loaded.
        """
        frame = Frame(rows)
        return frame.answered(predict_frame(self.chain(fallback=fallback), frame))

    def score(self, rows: DataFrame, *, fallback: bool = True) -> DataFrame:
        """Predict the rows of a Spark DataFrame; nothing runs before an action on the result.

        Args:
            rows: at least the group columns and features, in any order.
            fallback: whether other families, or the model of all rows, stand in as the definition says.

        Returns:
            The same rows, each exactly once and in no order, with the columns that `predict` returns behind their own;
            `probability` is a map.

        Raises:
            TypeError: `rows` is something else.
            InputError: a column is missing, of another type, or has the name of one to be added; or a model may not be
                loaded.
        """
        if not hasattr(rows, "sparkSession"):
            raise TypeError(
                f"`score` takes a DataFrame of Spark, not {type(rows).__name__}; `predict` takes the others"
            )
        from modelfactory.serving.scoring import score_frame

        return score_frame(self.chain(fallback=fallback), rows)

    def chain(self, *, fallback: bool = True) -> Chain:
        """Return the models that answer rows, in the order in which they are asked.

        Raises:
            InputError: a family that is to stand in was never built, or predicts something else.
        """
        if fallback not in self._chains:
            self._chains[fallback] = chain_of(self._models, self._store._current, fallback=fallback)
        return self._chains[fallback]


def open_store(
    place: str | Path,
    *,
    packages: Collection[str] = (),
    allow_version_mismatch: bool = False,
    cache_bytes: int = CACHE_BYTES,
) -> ModelStore:
    """Open a store to read models from it; no Spark, and nothing is read before it is asked for.

    Args:
        place: path of its folder, or URL.
        packages: top-level packages besides scikit-learn's own whose classes may be loaded, as `estimator_packages` of
            a project.
        allow_version_mismatch: load models that another scikit-learn has fitted than the one that is installed.
        cache_bytes: most bytes of models to keep loaded, counted as they are stored.

    Raises:
        InputError: no store can stand at the URL.
    """
    trust = Trust(frozenset(packages), allow_version_mismatch)
    return ModelStore(store_at(str(place), base=Path.cwd()), trust, cache_bytes=cache_bytes)


def _version(manifest: Manifest, number: int | None) -> VersionRecord:
    record = manifest.version(number)
    if record is None:
        known = ", ".join(str(version.number) for version in manifest.versions)
        raise input_error(Code.NOT_BUILT, f"family `{manifest.family}` has no version {number}; its versions: {known}")
    return record


def _is_name(text: str) -> bool:
    """Tell whether a text can be a family's name: one that leads nowhere but to its folder."""
    return re.fullmatch(r"\w{1,255}", text, re.ASCII) is not None
