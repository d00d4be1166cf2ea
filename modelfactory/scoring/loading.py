"""Turn the bytes of a model table into a fitted estimator, without running code from them.

UnsafeModel             the bytes are others than were published, or would do what is not admitted
├── VersionMismatch     the model was trained with another scikit-learn
└── BrokenModel         the bytes are whole and harmless, and still no model can be made of them
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import io
import json
import pickle
import struct
import sys
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata, resources
from typing import Any

import numpy as np
import pyarrow as pa

from modelfactory.diagnostics import Code
from modelfactory.scoring.pickles import CALL, NEW, NOTHING, VALUE, Refused, UnsafeModel, check_pickle, listed_module
from modelfactory.training.encoding import COMPRESSED, PICKLE, SKOPS

__all__ = ["BrokenModel", "UnsafeModel", "VersionMismatch", "check_versions", "decode_model", "load_model"]

OURS = frozenset({"sklearn", "numpy", "scipy", *sys.stdlib_module_names})
"""Packages of which names.txt alone tells what is admitted; a project's list opens none of them any wider."""
_SKLEARN = "scikit-learn"


class VersionMismatch(UnsafeModel):
    """The model was trained with another version of scikit-learn than is installed."""

    code = Code.OTHER_LIBRARIES


class BrokenModel(UnsafeModel):
    """No model can be made of the bytes, whole as they are."""


def load_model(data: bytes, *, format: str, sha256: str, packages: Collection[str] = ()) -> Any:
    """Return a fitted estimator.

    Args:
        data: the bytes, as the model table has them.
        format: how they were written.
        sha256: what they must hash to, in hexadecimal.
        packages: top-level packages besides scientific Python's own whose classes may be loaded.

    Raises:
        UnsafeModel: the bytes are others, or name what may not be loaded.
        BrokenModel: no model can be made of them.
    """
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UnsafeModel("the bytes are not those that were published: their SHA-256 differs")
    return decode_model(data, format=format, packages=packages)


def decode_model(data: bytes, *, format: str, packages: Collection[str] = ()) -> Any:
    """Return a fitted estimator, of bytes whose SHA-256 is checked already.

    Args:
        data: the bytes, as the model table has them.
        format: how they were written.
        packages: top-level packages besides scientific Python's own whose classes may be loaded.

    Raises:
        UnsafeModel: the bytes name what may not be loaded.
        BrokenModel: no model can be made of them.
    """
    foreign = frozenset(packages) - OURS
    try:
        if format == SKOPS:
            return _load_skops(data, foreign)
        if format == COMPRESSED:
            data = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
        elif format != PICKLE:
            raise BrokenModel(f"no model can be made of the bytes: the format `{format}` is not known")
        return _load_pickle(data, foreign)
    except UnsafeModel:
        raise
    except Refused as error:
        raise UnsafeModel(f"the model is not loaded: {error}{_remedy(error.module, foreign)}") from None
    except Exception as error:  # what fails in the middle of making an object fails in any way
        said = " ".join(str(error).split())[:200]
        raise BrokenModel(f"no model can be made of the bytes: {type(error).__name__}: {said}") from error


def check_versions(libraries: Mapping[str, str], *, allow_mismatch: bool) -> None:
    """Compare what a version was trained with to what is installed.

    Args:
        libraries: versions by name, as the version's record has them.
        allow_mismatch: accept another scikit-learn.

    Raises:
        VersionMismatch: scikit-learn is another, or it is not known which one trained the models.
    """
    if allow_mismatch:
        return
    try:
        here = metadata.version(_SKLEARN)
    except metadata.PackageNotFoundError:
        here = "none"
    trained = libraries.get(_SKLEARN, "an unknown version")
    if trained != here:
        raise VersionMismatch(
            f"the models were trained with scikit-learn {trained}, and {here} is installed: install "
            f"{trained}, train the family again, or set `allow_version_mismatch` if the answers may differ"
        )


@contextmanager
def silenced_mismatch(*, allowed: bool) -> Iterator[None]:
    """Silence scikit-learn's own warning about another version in the block, where that was allowed."""
    if not allowed:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Trying to unpickle estimator")
        yield


def _load_pickle(data: bytes, foreign: frozenset[str]) -> Any:
    try:
        check_pickle(data, _admitting(foreign))
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise BrokenModel("no model can be made of the bytes: they are cut off, or are no pickle") from error
    return _Unpickler(data, foreign).load()


class _Unpickler(pickle.Unpickler):
    """Looks up admitted names only; `check_pickle` has seen to what is done with them."""

    def __init__(self, data: bytes, foreign: frozenset[str]) -> None:
        super().__init__(io.BytesIO(data), fix_imports=False)
        self._foreign = foreign
        self._admitted = _admitting(foreign)

    def find_class(self, module: str, name: str) -> Any:
        if not self._admitted(module, name):
            raise Refused(f"it names `{module}.{name}`", module, name)
        if name in _STAND_INS and module[:5] == "numpy":
            return _STAND_INS[name]
        found = super().find_class(_home(module), name)
        if self._foreign:
            package = module.partition(".")[0]
            if package in self._foreign and not _is_own_class(found, package):
                raise Refused(f"it names `{module}.{name}`, which is no class of `{package}`", module, name)
        return found

    def persistent_load(self, _: Any) -> Any:
        raise Refused("it refers to what is outside of it")


_ARRAY_CLASS, _MASKED_ARRAY_CLASS = object(), object()


def _new_array(*_: Any) -> Any:
    """Return what NumPy's `_reconstruct` gives with the arguments that it always has."""
    return np.ndarray((0,), "b")


def _new_masked_array(*_: Any) -> Any:
    """Return what NumPy's `_mareconstruct` gives with the arguments that it always has."""
    return np.ma.MaskedArray(np.ndarray((0,), "b"), mask=np.ndarray((0,), "?"))


_STAND_INS = {
    "ndarray": _ARRAY_CLASS,
    "MaskedArray": _MASKED_ARRAY_CLASS,
    "_reconstruct": _new_array,
    "_mareconstruct": _new_masked_array,
}
"""What is given in the place of NumPy's own: its classes make arrays of any memory, for whoever calls them later."""


@functools.cache
def _names() -> Mapping[tuple[str, str], frozenset[str]]:
    """Return what each admitted name may be used for."""
    text = resources.files("modelfactory.scoring").joinpath("names.txt").read_text("utf-8")
    lines = (line.split() for line in text.splitlines())
    return {(module, name): frozenset({*uses, VALUE}) for module, name, *uses in lines}


@functools.cache
def _admitting(foreign: frozenset[str]) -> Callable[[str, str], Collection[str]]:
    """Return what tells the uses that are admitted of a name."""
    names = _names()
    every = frozenset({NEW, CALL, VALUE})

    def admitted(module: str, name: str) -> Collection[str]:
        uses = names.get((module, name)) or names.get((listed_module(module), name))
        if uses is not None:
            return uses
        return every if "." not in name and module.partition(".")[0] in foreign else NOTHING

    return admitted


@functools.cache
def _home(module: str) -> str:
    """Return where a module is in what is installed: NumPy 2 has renamed some of its own."""
    listed = listed_module(module)
    if listed.startswith("numpy._core.") and int(_major("numpy")) < 2:
        return f"numpy.core.{listed[12:]}"
    return listed


@functools.cache
def _major(package: str) -> str:
    """Return the first number of the version of an installed package."""
    return metadata.version(package).partition(".")[0]


def _is_own_class(found: Any, package: str) -> bool:
    home = found.__module__ if isinstance(found, type) else None
    return isinstance(home, str) and home.partition(".")[0] == package


def _remedy(module: str, foreign: Collection[str]) -> str:
    package = module.partition(".")[0]
    if not package or package in foreign or package in OURS - {"sklearn"}:
        return ""
    if package == "sklearn":
        return ", which no estimator of scikit-learn 1.5 to 1.9 does"
    return f"; if you trust the package, add `{package}` to `estimator_packages`"


def _load_skops(data: bytes, foreign: frozenset[str]) -> Any:
    try:
        from skops import io as skops
    except ImportError as error:
        message = "the model is written by skops, which is not installed: pip install 'modelfactory-spark[skops]'"
        raise BrokenModel(message) from error
    _check_schema(data)
    admitted = _admitting(foreign)
    types = skops.get_untrusted_types(data=data)
    for written in types:
        module, _, name = written.rpartition(".")
        if not admitted(module, name):
            raise Refused(f"it names `{written}`", module, name)
        package = module.partition(".")[0]
        if package in foreign and not _is_own_class(getattr(importlib.import_module(module), name, None), package):
            raise Refused(f"it names `{written}`, which is no class of `{package}`", module, name)
    return skops.loads(data, trusted=types)


_KEY_TYPES = frozenset(
    [f"builtins.{kind.__name__}" for kind in (bool, float, int, str)]
    + [
        f"numpy.{kind.__name__}"
        for kind in set(np.sctypeDict.values())
        if issubclass(kind, (np.number, np.bool_, np.str_))
    ]
)
"""Types of the keys of dicts: skops calls them."""


def _check_schema(data: bytes) -> None:
    """Check what a model of skops sets and calls; skops itself looks at the types alone.

    Raises:
        Refused: it does what no model does that skops has written.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        pending = [json.loads(archive.read("schema.json"))]
    kinds: dict[Any, tuple[Any, ...]] = {}
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending += item
        if not isinstance(item, dict):
            continue
        pending += item.values()
        loader = item.get("__loader__")
        if not isinstance(loader, str):
            name = next((name for name, value in item.items() if name[:2] == "__" and not _is_plain(value)), None)
            if name is not None:
                raise Refused(f"it sets `{name}`, by which Python and NumPy know what an object is", "", name)
            continue
        kind = _kind(item)
        if kinds.setdefault(item.get("__id__"), kind) != kind and item.get("__id__") is not None:
            raise Refused("it has two things under one number")
        if loader == "JsonNode" and not _is_plain(item):
            raise Refused("it has a dict or a list where skops writes a number or a text")
        if loader == "DictNode" and not _has_plain_keys(item["key_types"]):
            raise Refused("it has a dict whose keys are made by what makes no keys")


def _kind(node: Any) -> tuple[Any, ...]:
    """Return what a node makes, and a list of what."""
    if not isinstance(node, dict):
        return ()
    inside = map(_kind, node["content"]) if node.get("__loader__") == "ListNode" else ()
    return node.get("__loader__"), node.get("__module__"), node.get("__class__"), *inside


def _is_plain(node: Any) -> bool:
    """Tell whether a node of skops is a number, a text or None."""
    if not isinstance(node, dict) or node.get("__loader__") != "JsonNode":
        return False
    return not isinstance(json.loads(node["content"]), (dict, list))


def _has_plain_keys(types: Any) -> bool:
    """Tell whether the types of a dict's keys are Python's or NumPy's numbers and texts."""
    return types["__loader__"] == "ListNode" and all(
        node["__loader__"] == "TypeNode" and f"{node['__module__']}.{node['__class__']}" in _KEY_TYPES
        for node in types["content"]
    )
