"""Loading models out of a store: by key, from the bytes that were published, and no more than is needed."""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from model_samples import Group, asked, publish, sample_groups, sample_rows
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression

import modelfactory as mf
from modelfactory.diagnostics import InputError
from modelfactory.serving import models as serving_models
from modelfactory.store.forgetting import forget
from modelfactory.store.store import Store

TEXT = {"k": pa.string()}
DAY = dt.date(2024, 2, 29)
NOON = dt.datetime(2024, 2, 29, 12, 0, 0, 5)
KEYS: list[tuple[pa.DataType, list[Any]]] = [
    (pa.int32(), [-1, 0, 7, None]),
    (pa.int64(), [2**53 + 1, 2**53, -(2**63), None]),
    (pa.float64(), [0.0, 0.1, float("inf"), None]),
    (pa.string(), ["a", "", "../../etc/passwd", "null", "é\0", None]),
    (pa.bool_(), [True, False, None]),
    (pa.date32(), [DAY, dt.date(1969, 12, 31), None]),
    (pa.timestamp("us"), [NOON, dt.datetime(1969, 1, 1), None]),
    (pa.timestamp("us", "UTC"), [NOON.replace(tzinfo=dt.UTC), None]),
    (pa.decimal128(20, 2), [Decimal("1.50"), Decimal("123456789012345678.01"), Decimal("123456789012345678.02"), None]),
]


def coefficients(model: Any) -> list[float]:
    return [*model.coef_.tolist(), float(model.intercept_)]


@pytest.mark.parametrize(("kind", "values"), KEYS, ids=lambda v: str(v) if isinstance(v, pa.DataType) else "")
def test_a_model_is_found_by_its_key_of_any_type(tmp_path: Path, kind: pa.DataType, values: list[Any]) -> None:
    groups = sample_groups(LinearRegression(), values)
    publish(tmp_path, "f", {"k": kind}, groups)
    family = mf.open_store(tmp_path).family("f")
    for group in groups:
        assert coefficients(family.model(k=group.key[0])) == coefficients(group.model)
        rows = sample_rows(3, seed=9)
        np.testing.assert_array_equal(asked(family.model(k=group.key[0]), rows), asked(group.model, rows))


def test_a_key_of_several_columns_is_found(tmp_path: Path) -> None:
    keys = [("a", 1, DAY), ("a", 2, DAY), ("b", 1, DAY), ("a", None, DAY), (None, None, None)]
    groups = sample_groups(LinearRegression(), keys)
    publish(tmp_path, "f", {"s": pa.string(), "n": pa.int32(), "d": pa.date32()}, groups)
    family = mf.open_store(str(tmp_path)).family("f")
    for group in groups:
        s, n, d = group.key
        assert coefficients(family.model(d=d, n=n, s=s)) == coefficients(group.model)
    with pytest.raises(mf.NoModel) as caught:
        family.model(s="b", n=2, d=DAY)
    assert caught.value.reason == "unseen"
    listed = {tuple(key.values()): coefficients(model) for key, model in family.models()}
    assert listed == {group.key: coefficients(group.model) for group in groups}


def test_values_of_numpy_and_pandas_are_keys_too(tmp_path: Path) -> None:
    publish(tmp_path, "n", {"k": pa.int32()}, sample_groups(LinearRegression(), [3, None]))
    publish(tmp_path, "t", {"k": pa.timestamp("us")}, sample_groups(LinearRegression(), [dt.datetime(2024, 1, 1)]))
    numbers, moments = (mf.open_store(tmp_path).family(name) for name in "nt")
    three = numbers.model(k=3)
    for same in (np.int64(3), np.int8(3), np.uint64(3), 3.0, np.float32(3), Decimal(3)):
        assert numbers.model(k=same) is three
    for null in (None, float("nan"), np.nan, pd.NA):
        assert numbers.model(k=null) is numbers.model(k=None)
    assert moments.model(k=pd.Timestamp("2024-01-01")) is moments.model(k=dt.date(2024, 1, 1))


@pytest.mark.parametrize("status", ["too_few_rows", "too_many_rows", "null_key", "one_class", "failed", "crashed"])
def test_a_group_without_a_model_says_why(tmp_path: Path, status: str) -> None:
    publish(tmp_path, "f", TEXT, [*sample_groups(LinearRegression(), ["a"]), Group(key=("b",), status=status)])
    with pytest.raises(mf.NoModel, match=rf"the group k=b of `f` v1 has no model: {status}") as caught:
        mf.open_store(tmp_path).family("f").model(k="b")
    assert caught.value.reason == status
    assert isinstance(caught.value, LookupError)


@pytest.mark.parametrize("key", ["../../etc/passwd", "/", "..", "a/b", "null", "A", "a\0", "", "a" * 100_000])
def test_a_text_that_looks_like_a_path_is_only_unseen(tmp_path: Path, key: str) -> None:
    publish(tmp_path, "f", TEXT, sample_groups(LinearRegression(), ["a"]))
    with pytest.raises(mf.NoModel) as caught:
        mf.open_store(tmp_path).family("f").model(k=key)
    assert caught.value.reason == "unseen"
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("key", [2**70, -(2**64), 2.5, float("inf"), Decimal("1e30")], ids=str)
def test_a_number_that_no_column_holds_is_only_unseen(tmp_path: Path, key: Any) -> None:
    publish(tmp_path, "f", {"k": pa.int64()}, sample_groups(LinearRegression(), [1]))
    with pytest.raises(mf.NoModel) as caught:
        mf.open_store(tmp_path).family("f").model(k=key)
    assert caught.value.reason == "unseen"


@pytest.mark.parametrize(
    "key", [1, b"a", ["a"], {"a": 1}, DAY, object(), {1, 2}, [1, "a"], "\ud800"], ids=lambda key: type(key).__name__
)
def test_a_key_of_another_kind_is_told(tmp_path: Path, key: Any) -> None:
    publish(tmp_path, "f", TEXT, sample_groups(LinearRegression(), ["a"]))
    with pytest.raises(InputError, match=r"MF303.*`f` `k` is string"):
        mf.open_store(tmp_path).family("f").model(k=key)


@pytest.mark.parametrize("key", [{}, {"q": 1}, {"k": "a", "q": 1}])
def test_a_key_names_all_group_columns_and_no_other(tmp_path: Path, key: dict[str, Any]) -> None:
    publish(tmp_path, "f", TEXT, sample_groups(LinearRegression(), ["a"]))
    with pytest.raises(TypeError, match="the groups of `f` are known by k=…"):
        mf.open_store(tmp_path).family("f").model(**key)


# What is read -----------------------------------------------------------------------------------------------------


def test_only_the_row_group_of_the_model_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = sample_groups(LinearRegression(), range(20))
    publish(tmp_path, "f", {"k": pa.int64()}, groups, files=3, row_group_size=2)
    read = []

    class Watched(pq.ParquetFile):
        def read_row_group(self, i: int, *args: Any, **kwargs: Any) -> pa.Table:
            read.append(i)
            return super().read_row_group(i, *args, **kwargs)

        def read(self, columns: Any = None, **kwargs: Any) -> pa.Table:
            assert columns == ["k"], "all rows are read of the keys alone"
            return super().read(columns, **kwargs)

    monkeypatch.setattr(pq, "ParquetFile", Watched)
    family = mf.open_store(tmp_path).family("f")
    assert coefficients(family.model(k=13)) == coefficients(groups[13].model)
    assert len(read) == 1
    family.model(k=13)
    assert len(read) == 1, "the model is kept"
    family.model(k=2)
    assert len(read) == 2
    read.clear()
    mf.open_store(tmp_path, cache_bytes=0).family("f").predict(sample_rows(40).assign(k=[*range(20)] * 2))
    assert len(read) == 11 + 1, "no row group twice, but for the first model, which tells of what kind they are"
    read.clear()
    assert len(list(mf.open_store(tmp_path, cache_bytes=0).family("f").models())) == 20
    assert len(read) == 11


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with each model that is made of bytes."""
    made: list[str] = []
    load = serving_models.load_model

    def counting(data: bytes, **more: Any) -> Any:
        made.append(more["sha256"])
        return load(data, **more)

    monkeypatch.setattr(serving_models, "load_model", counting)
    return made


def test_the_models_used_last_are_kept_up_to_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = counted(monkeypatch)
    publish(tmp_path, "f", {"k": pa.int64()}, sample_groups(LinearRegression(), range(5)))
    size = mf.open_store(tmp_path).family("f").groups()["model_bytes"][0].as_py()

    family = mf.open_store(tmp_path, cache_bytes=size * 2).family("f")
    for key in (0, 1, 0, 1, 0, 2, 0, 1):  # 2 drives out 1, then 1 drives out 2
        family.model(k=key)
    assert len(made) == 4

    family = mf.open_store(tmp_path, cache_bytes=size - 1).family("f")
    first = family.model(k=0)
    assert family.model(k=0) is not first, "a model that is larger than all that may be kept is not"


def test_versions_and_families_share_what_is_kept_without_mixing_it_up(tmp_path: Path) -> None:
    for seed, name in enumerate("fgf"):
        publish(tmp_path, name, TEXT, sample_groups(LinearRegression(), ["a", "b"][: seed + 1])[-1:])
    store = mf.open_store(tmp_path)
    assert store.family("f").versions[0].run_id == store.family("g").versions[0].run_id
    models = [store.family("f", version=1).model(k="a"), store.family("g").model(k="b"), store.family("f").model(k="b")]
    assert len({id(model) for model in models}) == 3


def test_threads_get_the_right_models(tmp_path: Path) -> None:
    groups = sample_groups(LinearRegression(), range(60))
    publish(tmp_path, "f", {"k": pa.int64()}, groups, files=4, row_group_size=5)
    family = mf.open_store(tmp_path, cache_bytes=5_000).family("f")
    want = {group.key[0]: coefficients(group.model) for group in groups}
    gate = threading.Barrier(8)

    def ask(seed: int) -> None:
        gate.wait()
        for key in np.random.default_rng(seed).permutation(60).tolist():
            assert coefficients(family.model(k=key)) == want[key]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))


# Versions ---------------------------------------------------------------------------------------------------------


def test_a_reused_model_is_read_from_the_version_that_fitted_it(tmp_path: Path) -> None:
    old = sample_groups(LinearRegression(), ["a", "b", "c"])
    publish(tmp_path, "f", TEXT, old)
    new = sample_groups(LinearRegression(), ["x", "y", "z", "b"])[-1:]
    reused = [Group(key=(key,), status="reused", model_version=1) for key in "ca"]
    publish(tmp_path, "f", TEXT, [reused[0], new[0], reused[1]])
    publish(tmp_path, "f", TEXT, [Group(key=("c",), status="reused", model_version=1)])

    family = mf.open_store(tmp_path).family("f")
    assert [version.number for version in family.versions] == [1, 2, 3]
    assert family.number == 3
    assert coefficients(family.model(k="c")) == coefficients(old[2].model)
    second = family.version(2)
    assert [coefficients(second.model(k=key)) for key in "abc"] == [
        coefficients(model) for model in (old[0].model, new[0].model, old[2].model)
    ]
    rows = sample_rows(3, seed=8).assign(k=["b", "a", "c"])
    answers = second.predict(rows)
    assert answers["model_version"].tolist() == [2, 1, 1]
    want = [asked(model, rows.iloc[[i]])[0] for i, model in enumerate([new[0].model, old[0].model, old[2].model])]
    np.testing.assert_allclose(answers["prediction"], want, rtol=1e-12)
    assert family.version(1).groups()["status"].to_pylist() == ["trained"] * 3
    assert mf.open_store(tmp_path).family("f", version=2).number == 2


def test_a_group_that_was_forgotten_says_so_and_rows_of_it_are_unseen(tmp_path: Path) -> None:
    groups = sample_groups(LinearRegression(), ["a", "b", "c"])
    publish(tmp_path, "f", TEXT, groups)
    store = mf.open_store(tmp_path)
    before = store.family("f")
    assert coefficients(before.model(k="b")) == coefficients(groups[1].model)
    forget(Store(tmp_path), "f", {"k": "a"}, run_id="r", delete=True)
    after = store.family("f")
    # The other groups have moved up, and nothing that is kept of before is taken for theirs.
    assert [coefficients(after.model(k=key)) for key in "bc"] == [coefficients(group.model) for group in groups[1:]]
    with pytest.raises(
        mf.NoModel, match=r"the group k=a of `f` v1 has no model: forgotten on \d{4}-\d\d-\d\d$"
    ) as caught:
        after.model(k="a")
    assert caught.value.reason == "forgotten"
    with pytest.raises(mf.NoModel, match="no model: unseen"):
        after.model(k="z")
    rows = sample_rows(3).assign(k=["a", "b", "z"])
    answers = after.predict(rows)
    assert answers["served_by"].tolist() == ["none", "group", "none"]
    assert answers["reason"].tolist() == ["unseen", None, "unseen"]


def test_a_version_without_any_group_answers_nothing(tmp_path: Path) -> None:
    publish(tmp_path, "f", TEXT, sample_groups(LinearRegression(), ["a"]))
    forget(Store(tmp_path), "f", {"k": "a"}, run_id="r", delete=True)
    family = mf.open_store(tmp_path).family("f")
    assert family.groups().num_rows == 0
    assert list(family.models()) == []
    answers = family.predict(sample_rows(2).assign(k=["a", "b"]))
    assert answers["reason"].tolist() == ["unseen", "unseen"]


def test_an_unknown_version_and_an_unknown_family_are_told(tmp_path: Path) -> None:
    publish(tmp_path, "prices", TEXT, sample_groups(LinearRegression(), ["a"]))
    publish(tmp_path, "sales", TEXT, sample_groups(LinearRegression(), ["a"]))
    store = mf.open_store(tmp_path)
    assert store.families == ["prices", "sales"]
    with pytest.raises(InputError, match="family `prices` has no version 7; its versions: 1"):
        store.family("prices").version(7)
    with pytest.raises(InputError, match=r"(?s)the store has no family `price`.*did you mean `prices`") as caught:
        store.family("price")
    for name in ("../prices", "/etc", "", ".", "prices/..", "prices\\..", "prices\0", "p" * 300):
        with pytest.raises(InputError, match="the store has no family"):
            store.family(name)
    assert "MF503" in str(caught.value)


def test_an_empty_store_has_no_families(tmp_path: Path) -> None:
    assert mf.open_store(tmp_path / "nowhere").families == []


def test_what_is_shown_says_what_it_is(tmp_path: Path) -> None:
    publish(tmp_path, "f", TEXT, sample_groups(LinearRegression(), ["a"]))
    store = mf.open_store(tmp_path)
    assert str(tmp_path) in repr(store)
    assert repr(store.family("f")) == "<family f v1 by k>"


# Damage -----------------------------------------------------------------------------------------------------------


def model_files(root: Path) -> list[Path]:
    return sorted(root.glob("f/v*/models/*.parquet"))


def test_bytes_that_were_changed_are_not_loaded(tmp_path: Path) -> None:
    publish(tmp_path, "f", TEXT, sample_groups(LinearRegression(), ["a", "b"]), files=1)
    (file,) = model_files(tmp_path)
    table = pq.read_table(file)
    stored = table["model"].to_pylist()
    changed = [data[:-1] + b"\x00" if key == "a" else data for key, data in zip("ba", stored, strict=True)]
    pq.write_table(table.set_column(1, "model", pa.array(changed)), file)
    family = mf.open_store(tmp_path).family("f")
    with pytest.raises(InputError, match="SHA-256 differs"):
        family.model(k="a")
    assert family.model(k="b").coef_.shape == (2,)
    with pytest.raises(InputError, match="SHA-256 differs"):
        family.predict(sample_rows(2).assign(k=["a", "b"]))


def test_bytes_that_were_changed_are_not_read_among_many_either(tmp_path: Path) -> None:
    publish(tmp_path, "f", {"k": pa.int64()}, sample_groups(LinearRegression(), range(70)), files=1, row_group_size=70)
    (file,) = model_files(tmp_path)
    table = pq.read_table(file)
    stored = table["model"].to_pylist()
    at = stored[33].index(np.float64(mf.open_store(tmp_path).family("f").model(k=36).intercept_).tobytes())
    stored[33] = stored[33][:at] + np.float64(666).tobytes() + stored[33][at + 8 :]
    pq.write_table(table.set_column(1, "model", pa.array(stored)), file)
    with pytest.raises(InputError, match="SHA-256 differs"):
        mf.open_store(tmp_path).family("f").predict(sample_rows(70).assign(k=range(70)))


@pytest.mark.parametrize("harm", ["missing", "cut", "other"])
def test_a_file_that_is_missing_or_damaged_is_told(tmp_path: Path, harm: str) -> None:
    publish(tmp_path, "f", TEXT, sample_groups(LinearRegression(), ["a", "b"]), files=1)
    (file,) = model_files(tmp_path)
    if harm == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-9] if harm == "cut" else b"no Parquet")
    with pytest.raises(InputError, match=r"MF403.*cannot read the model table"):
        mf.open_store(tmp_path).family("f").model(k="a")


def test_a_model_that_the_model_table_has_not_is_told(tmp_path: Path) -> None:
    publish(tmp_path, "f", TEXT, sample_groups(LinearRegression(), ["a", "b"]))
    publish(tmp_path, "f", TEXT, [Group(key=("q",), status="reused", model_version=1)])
    with pytest.raises(InputError, match="MF403"):
        mf.open_store(tmp_path).family("f").model(k="q")
    publish(tmp_path, "f", TEXT, [Group(key=("a",), status="reused", model_version=9)])
    with pytest.raises(InputError, match="version 9 of family `f` holds models of this one, and is gone"):
        mf.open_store(tmp_path).family("f").model(k="a")


def test_models_of_another_scikit_learn_are_loaded_only_if_asked_for(tmp_path: Path) -> None:
    publish(tmp_path, "f", TEXT, sample_groups(LinearRegression(), ["a"]), libraries={"scikit-learn": "0.1"})
    rows = sample_rows(2).assign(k="a")
    strict = mf.open_store(tmp_path).family("f")
    for use in (lambda: strict.model(k="a"), lambda: strict.predict(rows)):
        with pytest.raises(InputError, match=r"MF508.*scikit-learn 0\.1"):
            use()
    assert len(mf.open_store(tmp_path, allow_version_mismatch=True).family("f").predict(rows)) == 2


def test_large_models_are_compressed_and_found(tmp_path: Path) -> None:
    groups = sample_groups(RandomForestRegressor(30, random_state=0), ["a", "b"])
    publish(tmp_path, "f", TEXT, groups)
    publish(tmp_path, "s", TEXT, groups, persistence="skops")
    rows = sample_rows(5, seed=3)
    for name in "fs":
        model = mf.open_store(tmp_path).family(name).model(k="b")
        np.testing.assert_array_equal(asked(model, rows), asked(groups[1].model, rows))


def test_a_store_at_a_url_is_read(remote: Store) -> None:
    groups = sample_groups(LinearRegression(), ["a", "b", "c"])
    publish(remote, "f", TEXT, groups)
    store = mf.open_store(str(remote.root))
    assert store.families == ["f"]
    assert coefficients(store.family("f").model(k="c")) == coefficients(groups[2].model)
    rows = sample_rows(3).assign(k=["c", "b", "z"])
    assert store.family("f").predict(rows)["served_by"].tolist() == ["group", "group", "none"]
