"""URLs of stores: what names a place is taken, what may be a secret is refused and not repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelfactory.diagnostics import InputError
from modelfactory.store.store import store_at
from modelfactory.store.urls import parse_url


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("s3://bucket/some/prefix/", "s3://bucket/some/prefix"),
        ("s3a://bucket", "s3://bucket"),
        ("S3://bucket//a//b", "s3://bucket/a/b"),
        ("gs://bucket/a", "gs://bucket/a"),
        ("abfss://box@account.dfs.core.windows.net/a", "abfss://box@account.dfs.core.windows.net/a"),
        ("hdfs://name:8020/a", "hdfs://name:8020/a"),
        ("hdfs:///a", "hdfs:///a"),
    ],
)
def test_a_url_names_a_place(written: str, read: str) -> None:
    assert str(parse_url(written)) == read
    assert store_at(written, base=Path("/base")).root == read


@pytest.mark.parametrize(
    "written",
    [
        "s3://key:hush@bucket/a",
        "s3://key:hu/sh@bucket/a",
        "s3://key/hush@bucket",
        "s3://bucket/a?secret_key=hush",
        "s3://bucket/a#hush",
        "s3://[hush/a",
        "s3://",
        "gs://hush@bucket",
        "abfss://box@account.dfs.core.windows.net/a?sig=hush",
        "abfss://box:hush@account.dfs.core.windows.net/a",
        "hdfs://user:hush@name/a",
        "http://user:hush@host/a",
        "ftp://hush",
    ],
)
def test_a_url_with_more_than_a_place_is_refused_and_not_repeated(written: str) -> None:
    with pytest.raises(InputError) as caught:
        store_at(written, base=Path("/base"))
    assert "hush" not in str(caught.value)
    assert "key" not in str(caught.value).replace("AWS_ACCESS_KEY_ID", "")


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("store", "/base/store"),
        ("/data/store", "/data/store"),
        ("file:///data/a%20store", "/data/a store"),
        ("file:/data/store", "/data/store"),
        ("file://localhost/data", "/data"),
    ],
)
def test_a_path_and_a_file_url_are_a_folder(written: str, path: str) -> None:
    assert store_at(written, base=Path("/base")).root == Path(path)


def test_a_file_url_of_another_host_is_refused() -> None:
    with pytest.raises(InputError, match="no absolute path"):
        store_at("file://host/data", base=Path("/base"))
