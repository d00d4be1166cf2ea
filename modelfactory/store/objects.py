"""Objects of an object store that are written on a condition; obstore does it, pyarrow has no such put."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, cast

from modelfactory.diagnostics import Code, input_error
from modelfactory.store.places import Conflict, Edition
from modelfactory.store.urls import StoreUrl

_RETRY = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
_CLIENT = {"connect_timeout": timedelta(seconds=10), "timeout": timedelta(seconds=60)}


class Objects:
    """The objects below a URL, by names relative to it.

    Every method raises `OSError` or one of `errors()` where the object store refuses or cannot be reached.

    Args:
        url: where they are.
        settings: region and endpoint, by obstore's names.

    Raises:
        InputError: obstore is not installed.
    """

    def __init__(self, url: StoreUrl, settings: Mapping[str, str]) -> None:
        try:
            import obstore
            from obstore.exceptions import AlreadyExistsError, PreconditionError
            from obstore.store import from_url
        except ImportError as error:
            raise input_error(
                Code.STORE,
                f"a store at a URL of `{url.scheme}` is written with obstore, which is not installed",
                help="pip install 'modelfactory-spark[cloud]'",
            ) from error
        self._client: Any = obstore
        self._refused = (AlreadyExistsError, PreconditionError)
        plain_http = settings.get("endpoint", "").startswith("http://")
        client = {**_CLIENT, **({"allow_http": True} if plain_http else {})}
        open_url: Any = from_url  # its types have one overload for each kind of store
        self._store: Any = open_url(str(url), client_options=client, retry_config=_RETRY, **settings)

    def read(self, name: str) -> Edition | None:
        """Return an object, or None if there is none."""
        try:
            found = self._client.get(self._store, name)
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise
            return None
        tag = {key: found.meta[key] for key in ("e_tag", "version") if found.meta.get(key)}
        return Edition(bytes(found.bytes()), tag)

    def write(self, name: str, content: bytes, former: Edition | None) -> Edition:
        """Write an object if it is still what it was.

        Args:
            name: the object.
            content: what it will hold.
            former: what it held when it was read; None if there was none.

        Returns:
            What it holds now.

        Raises:
            Conflict: it has changed since.
        """
        try:
            put = self._client.put(self._store, name, content, mode="create" if former is None else former.tag)
        except self._refused as error:
            now = self.read(name)
            if now is None or now.content != content:
                raise Conflict(name) from error
            return now  # the put succeeded, its answer was lost, and its repetition was refused
        return Edition(content, {key: put[key] for key in ("e_tag", "version") if put.get(key)})

    def probe(self, name: str) -> None:
        """Write an object and delete it."""
        self._client.put(self._store, name, b"probe")
        self._client.delete(self._store, name)

    def copy(self, name: str, to: str) -> None:
        """Copy an object inside the object store."""
        self._client.copy(self._store, name, to)

    def move(self, name: str, to: str) -> None:
        """Copy an object inside the object store, then delete it."""
        self.copy(name, to)
        self._client.delete(self._store, name)

    def remove(self, name: str) -> None:
        """Delete all objects of a folder, or the one object of that name."""
        for chunk in self._client.list(self._store, prefix=name):
            self._client.delete(self._store, [found["path"] for found in cast("Sequence[Any]", chunk)])
        with suppress(FileNotFoundError):  # not every object store minds
            self._client.delete(self._store, name)


def errors() -> tuple[type[Exception], ...]:
    """Return what obstore raises, if it is installed."""
    try:
        from obstore.exceptions import BaseError
    except ImportError:
        return ()
    return (BaseError,)
