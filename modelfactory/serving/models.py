"""The models of one published version: which groups have one, and loading it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from cachetools import LRUCache

from modelfactory.diagnostics import Code, input_error
from modelfactory.plan.outcomes import SERVED
from modelfactory.plan.steps import Feature
from modelfactory.scoring.forms import AnswerType, ModelForm, StoredModel
from modelfactory.scoring.linear import LinearModels, linear_models
from modelfactory.scoring.loading import check_versions, load_model, silenced_mismatch
from modelfactory.store.copying import copy_version
from modelfactory.store.groups import read_groups, served
from modelfactory.store.keys import KeyIndex, KeyTypeDiffers
from modelfactory.store.manifest import Manifest, VersionRecord
from modelfactory.store.models import ModelTable, open_models
from modelfactory.store.store import Store
from modelfactory.store.tombstones import forgotten_at

Index = npt.NDArray[np.int64]
_LARGEST = 2**63
"""Arrow takes no whole numbers of this size on, but as decimals."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What may be loaded.

    Attributes:
        packages: top-level packages besides scikit-learn's own whose classes may be loaded.
        version_mismatch: whether models of another scikit-learn than the installed one may be loaded.
    """

    packages: frozenset[str] = frozenset()
    version_mismatch: bool = False


class LoadedModels:
    """The models that were loaded last, up to a size; several threads may share it.

    Args:
        size: most bytes, counted as the models are stored.
    """

    def __init__(self, size: int) -> None:
        self._held: LRUCache[Any, tuple[int, Any]] = LRUCache(size, getsizeof=lambda held: held[0])
        self._lock = threading.Lock()

    def get(self, key: Any) -> Any | None:
        """Return a model, or None if it is not there."""
        with self._lock:
            found = self._held.get(key)
        return None if found is None else found[1]

    def put(self, key: Any, size: int, model: Any) -> None:
        """Keep a model, unless it is larger than all that may be kept."""
        with self._lock:
            if size <= self._held.maxsize:
                self._held[key] = (size, model)


class VersionModels:
    """The models of one version of a family.

    Nothing is read before it is asked for. Several threads may share it.

    Args:
        store: where it is.
        manifest: the family's manifest.
        record: the version.
        trust: what may be loaded.
        loaded: keeps what was loaded.
    """

    _kind = "models"

    def __init__(
        self, store: Store, manifest: Manifest, record: VersionRecord, trust: Trust, loaded: LoadedModels
    ) -> None:
        self.family = manifest.family
        self.record = record
        self.keys: tuple[str, ...] = tuple(record.group_by)
        self._store = store
        self._manifest = manifest
        self._trust = trust
        self._loaded = loaded
        self._tables: dict[int, ModelTable] = {}

    @cached_property
    def groups(self) -> pa.Table:
        """Key, status, rows, and version and bytes of the model of each group, g rows."""
        columns = [*self.keys, "status", "n_rows", "model_version", "model_bytes"]
        return read_groups(self._store.files(self.family, self.record, "groups"), columns)

    @cached_property
    def has_model(self) -> npt.NDArray[np.bool_]:
        """Which groups have a model, shape (g,)."""
        return served(self.groups)

    @cached_property
    def form(self) -> ModelForm:
        """How the models take rows.

        Raises:
            InputError: they predict nothing, or were fitted with another scikit-learn than is installed.
        """
        one = next((self.load(group) for group in np.flatnonzero(self.has_model)[:1].tolist()), None)
        if one is not None and not hasattr(one, "predict"):
            message = f"models of family `{self.family}` do not predict: {type(one).__name__} has no `predict`"
            raise input_error(Code.NO_PREDICTION, message)
        return ModelForm(
            task=self.record.task,
            features=tuple(Feature(feature.name, feature.kind) for feature in self.record.features),
            container=self.record.container,
            answer=_answer_type(self.record, one),
            classes=None if self.record.classes is None else tuple(self.record.classes),
            packages=self._trust.packages,
        )

    def places(self, columns: Sequence[pa.Array]) -> Index:
        """Return the group of each key, -1 where the version knows none; shape (n,).

        Args:
            columns: the group columns, at least one, each of shape (n,).

        Raises:
            KeyTypeDiffers: a column is of another kind than the groups' own.
        """
        return self._index.places(columns)

    def place(self, key: Mapping[str, Any]) -> int:
        """Return the group of one key, -1 if the version knows none.

        Args:
            key: a value for each group column.

        Raises:
            KeyTypeDiffers: a value is of another kind than its column.
        """
        return int(self._index.places([_column(key[name]) for name in self.keys])[0])

    def forgotten_at(self, key: Mapping[str, Any]) -> str | None:
        """Return when the group of a key was removed on request, as ISO 8601; None if it never was.

        Args:
            key: a value for each group column.

        Raises:
            KeyTypeDiffers: a value is in no column.
        """
        return forgotten_at(self._manifest.forgotten, {name: _column(key[name]) for name in self.keys})

    def load(self, group: int) -> Any:
        """Return the model of a group that has one.

        Raises:
            InputError: its bytes are not those that were published, or may not be loaded.
        """
        ((_, model),) = self.load_all([group])
        return model

    def load_all(self, groups: Iterable[int] | None = None) -> Iterator[tuple[int, Any]]:
        """Yield groups that have a model, in no order, and their models; no part of a model table is read twice.

        Args:
            groups: the groups; None for all that have a model.

        Raises:
            InputError: the bytes of one are not those that were published, or may not be loaded.
        """
        missing = []
        for group in np.flatnonzero(self.has_model).tolist() if groups is None else groups:
            found = self._loaded.get(self._loaded_as(group))
            if found is None:
                missing.append(group)
            else:
                yield group, found
        for group, stored in self.each_stored(missing):
            model = self._loaded_anew(stored)
            self._loaded.put(self._loaded_as(group), len(stored.data), model)
            yield group, model

    def each_stored(self, groups: Sequence[int]) -> Iterator[tuple[int, StoredModel]]:
        """Yield groups that have a model, in no order, and their models as they are stored.

        Raises:
            InputError: a model table cannot be read.
        """
        if not groups:
            return
        for numbers, table in self.stored(np.asarray(groups)):
            columns = (table[name].to_pylist() for name in ("model", "format", "sha256"))
            for group, *parts in zip(numbers.tolist(), *columns, strict=True):
                yield group, StoredModel(*parts)

    def stored(self, groups: Index) -> Iterator[tuple[Index, pa.Table]]:
        """Yield groups that have a model, in no order, and a table of their `model`, `format` and `sha256`.

        Raises:
            InputError: a model table cannot be read.
        """
        versions = self.groups["model_version"].to_numpy()[groups]
        for number in np.unique(versions).tolist():
            table, own = self._table(int(number)), groups[versions == number]
            rows = table.index.places(self._keys_of(own))
            if (rows < 0).any():
                message = f"version {number} of family `{self.family}` lacks models of version {self.record.number}"
                raise input_error(Code.STORE, message)
            order = np.argsort(rows)
            for numbers, found in table.read(rows):
                yield own[order[np.searchsorted(rows, numbers, sorter=order)]], found

    @cached_property
    def linear(self) -> LinearModels | None:
        """The numbers of all models by group, if all are linear; those of groups without a model mean nothing."""
        return self.linear_of(np.flatnonzero(self.has_model))

    def linear_of(self, groups: Index) -> LinearModels | None:
        """Return the numbers of some models by group, if these are linear; those of all others mean nothing.

        Args:
            groups: groups that have a model.

        Raises:
            InputError: the bytes of one are not those that were published, or may not be loaded.
        """
        if self.record.task != "regression":
            return None
        return linear_models(self.stored(groups), len(self.has_model), self._loaded_anew)

    def whole(self) -> GlobalModel:
        """Return the model of all rows of this version."""
        return GlobalModel(self._store, self._manifest, self.record, self._trust, self._loaded)

    @property
    def model_versions(self) -> list[int]:
        """Versions whose model tables hold models of this one."""
        return sorted(pc.unique(self.groups["model_version"].drop_null()).to_pylist())

    def model_url(self, number: int) -> str:
        """Return the URL of the folder of a version's model table, for Spark."""
        return self._store.table_url(self.family, self._version(number), self._kind)

    @property
    def bytes(self) -> int:
        """Bytes of all models as they are stored."""
        return int(pc.sum(self.groups["model_bytes"]).as_py() or 0)

    def copy_to(self, folder: Path) -> None:
        """Copy the version, and what it needs of earlier ones, into a store of its own, byte for byte.

        Args:
            folder: the store's folder.

        Raises:
            InputError: a file is missing, or is not as it was published.
        """
        whole = self.whole().model_versions if self.record.global_model else []
        copy_version(self._store, self._manifest, self.record, [*self.model_versions, *whole], folder)

    def _version(self, number: int) -> VersionRecord:
        record = self._manifest.version(number)
        if record is None:
            message = f"version {number} of family `{self.family}` holds models of this one, and is gone"
            raise input_error(Code.STORE, message)
        return record

    def _check(self, number: int) -> None:
        check_versions(self._version(number).libraries, allow_mismatch=self._trust.version_mismatch)

    def _table(self, number: int) -> ModelTable:
        if number not in self._tables:
            self._check(number)
            files = self._store.files(self.family, self._version(number), self._kind)
            self._tables[number] = open_models(files, self.keys)
        return self._tables[number]

    @cached_property
    def _index(self) -> KeyIndex:
        return KeyIndex([self.groups[name] for name in self.keys])

    def _keys_of(self, groups: Index) -> list[pa.ChunkedArray]:
        return [self.groups[name].take(pa.array(groups)) for name in self.keys]

    def _loaded_as(self, group: int) -> Any:
        # Where groups are forgotten, a version is written anew into another folder, and its groups have other places.
        return type(self).__name__, self.family, self.record.run_id, *sorted(self.record.folders), group

    def _loaded_anew(self, stored: StoredModel) -> Any:
        with silenced_mismatch(allowed=self._trust.version_mismatch):
            return load_model(stored.data, format=stored.format, sha256=stored.sha256, packages=self._trust.packages)


class GlobalModel(VersionModels):
    """The model of all rows of one version, as models of one group whose key has no columns."""

    _kind = "global"

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.keys = ()

    @cached_property
    def groups(self) -> pa.Table:
        """One row, with the columns of a group table that has no key."""
        found = self.record.global_model
        if found is None:
            raise AssertionError("the version has no model of all rows")
        version = pa.array([self._number if found.status in SERVED else None], pa.int32())
        row = {"status": [found.status], "n_rows": [found.n_rows], "model_version": version}
        return pa.table({**row, "model_bytes": pa.array([found.model_bytes], pa.int64())})

    def stored(self, groups: Index) -> Iterator[tuple[Index, pa.Table]]:
        """Yield the model, if it is asked for."""
        self._check(self._number)
        table = open_models(self._store.files(self.family, self._version(self._number), self._kind), ())
        yield from table.read(groups)

    @property
    def _number(self) -> int:
        """Version whose files hold the model."""
        found = self.record.global_model.model_version if self.record.global_model else None
        return self.record.number if found is None else found


def _column(value: Any) -> pa.Array:
    """Return a value of a key as a column of one row.

    Raises:
        KeyTypeDiffers: no column holds such a value.
    """
    try:
        return pa.array([Decimal(value) if type(value) is int and abs(value) >= _LARGEST else value], from_pandas=True)
    except (pa.ArrowException, OverflowError, TypeError, UnicodeError) as error:
        raise KeyTypeDiffers(f"a {type(value).__name__} is in no column") from error


_BY_KIND: Mapping[str, AnswerType] = {"b": "boolean", "i": "bigint", "f": "double"}


def _answer_type(record: VersionRecord, model: Any) -> AnswerType:
    """Return the type of a prediction; of versions that do not say it, the type of one model's classes."""
    match record.task:
        case "regression":
            return "double"
        case "classification":
            kind = getattr(getattr(model, "classes_", None), "dtype", np.dtype(object)).kind
            return record.label_type or _BY_KIND.get(kind, "string")
        case _:
            return "bigint"
