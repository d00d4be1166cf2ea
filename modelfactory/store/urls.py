"""The URLs at which a store may stand, checked before anything opens them; no secret may stand in one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from modelfactory.diagnostics import Code, InputError, did_you_mean, input_error

_AUTHORITY = {
    "s3": r"[\w.-]+",
    "gs": r"[\w.-]+",
    "abfs": r"[\w-]+@[\w.-]+",
    "abfss": r"[\w-]+@[\w.-]+",
    "hdfs": r"(?:[\w.-]+@)?[\w.-]*(?::\d+)?",
}
_SAME = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """A URL without a secret.

    Attributes:
        scheme: `s3`, `gs`, `abfs`, `abfss` or `hdfs`.
        authority: the bucket, `container@account`, or host and port.
        prefix: what follows, without slashes at its ends.
    """

    scheme: str
    authority: str
    prefix: str

    def __str__(self) -> str:
        """Return the URL without a slash at its end."""
        return f"{self.scheme}://{self.authority}/{self.prefix}".rstrip("/")

    @property
    def has_conditional_put(self) -> bool:
        """Whether it is an object store: no rename in one step, but a put that is refused if another came first."""
        return self.scheme != "hdfs"


def parse_url(text: str) -> StoreUrl:
    """Read a store's URL.

    The errors repeat no more of it than its scheme: what makes it wrong may be a secret.

    Raises:
        InputError: the scheme is not known, or there stands more in it than the name of a place.
    """
    scheme, _, rest = text.partition("://")
    scheme = _SAME.get(scheme.lower(), scheme.lower())
    if scheme not in _AUTHORITY:
        known = [*_AUTHORITY, *_SAME, "file"]
        raise input_error(Code.STORE, f"a store cannot stand at a URL of `{scheme}`", help=did_you_mean(scheme, known))
    try:
        parts = urlsplit(f"{scheme}://{rest}")
    except ValueError:
        raise _not_plain(scheme) from None
    if parts.query or parts.fragment or "@" in parts.path or not re.fullmatch(_AUTHORITY[scheme], parts.netloc):
        raise _not_plain(scheme)
    return StoreUrl(scheme, parts.netloc, re.sub("/+", "/", parts.path).strip("/"))


def _not_plain(scheme: str) -> InputError:
    form = {"hdfs": "hdfs://host:port/folder", "abfs": "abfs://container@account.dfs.core.windows.net/folder"}
    plain = form.get(scheme.replace("abfss", "abfs"), f"{scheme}://bucket/prefix")
    return input_error(
        Code.STORE,
        f"the store's URL of `{scheme}` holds more than the name of a place",
        help=f"write `{plain}`; credentials, region and endpoint belong into the environment",
    )
