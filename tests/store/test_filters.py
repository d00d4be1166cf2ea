"""The expressions of `--where`."""

from __future__ import annotations

import contextlib
import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfactory.diagnostics import Code, InputError
from modelfactory.store.filters import column, filter_table, metric_names

_METRICS = pa.map_(pa.string(), pa.float64())
TABLE = pa.table(
    {
        "dest": pa.array(["LAX", "SFO", "O'Hare", "in", None]),
        "day": pa.array([dt.date(2024, 1, n) for n in range(1, 6)]),
        "late": pa.array([True, False, True, None, False]),
        "status": pa.array(["trained", "trained", "failed", "too_few_rows", "null_key"]),
        "n_rows": pa.array([100, 200, 300, 4, 5], pa.int64()),
        "metrics": pa.array(
            [list({"rmse": 10.5, "r2": 0.5}.items()), list({"rmse": 30}.items()), [], [], []], _METRICS
        ),
        "baseline": pa.array([list({"rmse": 20}.items()), list({"rmse": 20}.items()), [], [], []], _METRICS),
        "error_type": pa.array([None, None, "ValueError", None, None], pa.string()),
        "warnings": pa.array([[], ["w"], [], [], []], pa.list_(pa.string())),
    }
)


def rows(where: str) -> list[int]:
    return filter_table(TABLE, where)["n_rows"].to_pylist()


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("status = failed", [300]),
        ("status == 'failed'", [300]),
        ('status = "failed"', [300]),
        ("status != trained", [300, 4, 5]),
        ("status <> trained", [300, 4, 5]),
        ("n_rows > 100", [200, 300]),
        ("n_rows>=100", [100, 200, 300]),
        ("n_rows < +5", [4]),
        ("n_rows <= 5 ", [4, 5]),
        ("n_rows > -1", [100, 200, 300, 4, 5]),
        ("n_rows > 150.5", [200, 300]),
        ("n_rows > 1e2", [200, 300]),
        ("status = failed or n_rows < 5", [300, 4]),
        ("status = trained and n_rows > 100 or status = failed", [200, 300]),
        ("status = trained and (n_rows > 100 or status = failed)", [200]),
        ("not status = trained", [300, 4, 5]),
        ("NOT (status = trained OR n_rows < 5)", [300, 5]),
        ("dest in (LAX, 'SFO')", [100, 200]),
        ("dest not in (LAX, SFO)", [300, 4]),
        ("dest = 'O''Hare'", [300]),
        ("dest = 'in'", [4]),
        ("dest is null", [5]),
        ("dest is not null", [100, 200, 300, 4]),
        ("dest < M", [100]),
        ("n_rows in (100, 300)", [100, 300]),
        ("error_type = ValueError", [300]),
        ("rmse > 20", [200]),
        ("metrics.rmse > 20", [200]),
        ("metrics.rmse <= 1.05e1", [100]),
        ("baseline.rmse = 20", [100, 200]),
        ("r2 is null", [200, 300, 4, 5]),
        ("late = true", [100, 300]),
        ("late = False", [200, 5]),
        ("late != true", [200, 5]),
        ("day = 2024-01-03", [300]),
        ("day > '2024-01-03'", [4, 5]),
    ],
)
def test_an_expression_finds_its_rows(where: str, found: list[int]) -> None:
    assert rows(where) == found


def test_null_is_neither_true_nor_false() -> None:
    assert rows("dest = LAX") + rows("not dest = LAX") == [100, 200, 300, 4]
    assert rows("rmse > 0") + rows("not rmse > 0") == [100, 200]


@pytest.mark.parametrize(
    "where",
    [
        "",
        "   ",
        "status",
        "status =",
        "= failed",
        "status = failed and",
        "status = failed n_rows > 5",
        "(status = failed",
        "status = failed)",
        "status in failed",
        "status in ()",
        "status in (failed",
        "status in (failed,)",
        "status is failed",
        "status is not",
        "status like 'f%'",
        "5 = 5",
        "n_rows > many",
        "late = perhaps",
        "metrics = 5",
        "metrics in (a)",
        "warnings = w",
        "warnings > w",
        "status = 'open",
        "status ; drop",
        "not",
        "status = trained or or status = failed",
        "day = tomorrow",
        "nope = 5",
        "metrics.nope > 5",
        "group.rmse > 5",
    ],
)
def test_what_cannot_be_read_is_one_clear_mistake(where: str) -> None:
    with pytest.raises(InputError) as caught:
        rows(where)
    (found,) = caught.value.diagnostics
    assert found.code == Code.BAD_OPTION


@pytest.mark.parametrize(("name", "near"), [("statsu", "status"), ("rmes", "rmse"), ("metrics.rmsee", "rmse")])
def test_an_unknown_column_gets_the_nearest_right_one(name: str, near: str) -> None:
    with pytest.raises(InputError) as caught:
        column(TABLE, name)
    assert near in (caught.value.diagnostics[0].help or "")


def test_deep_parentheses_are_no_crash() -> None:
    where = "(" * 5000 + "n_rows > 1" + ")" * 5000
    with contextlib.suppress(InputError):
        assert len(rows(where)) == 5


def test_metrics_are_named_once_and_sorted() -> None:
    assert metric_names(TABLE) == ["r2", "rmse"]


_atoms = st.sampled_from(
    ["n_rows > 100", "status = trained", "dest is null", "rmse < 20", "late = true", "dest in (LAX)"]
)


@settings(max_examples=60, deadline=None)
@given(_atoms, _atoms, _atoms)
def test_expressions_follow_the_laws_of_logic(a: str, b: str, c: str) -> None:
    assert rows(f"{a} and {b}") == [n for n in rows(a) if n in rows(b)]
    assert rows(f"{a} or {b} and {c}") == rows(f"{a} or ({b} and {c})")
    assert rows(f"not ({a} and {b})") == rows(f"not {a} or not {b}")
    assert rows(f"not not {a}") == rows(a)
    assert rows(f"not {a} and {b}") == rows(f"(not {a}) and {b}")
