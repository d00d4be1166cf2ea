"""Columns are checked by one rule, before Spark starts and in it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from modelfactory.diagnostics import Code
from modelfactory.plan.columns import Schema, check_uses, column_uses

USES = column_uses(
    keys=["k"], features=[("x", "numeric"), ("c", "categorical")], label="y", weight="w", time="t", regression=True
)
RIGHT = {"k": "string", "x": "double", "c": "int", "y": "smallint", "w": "decimal(10,2)", "t": "timestamp_ntz"}


def found(changed: dict[str, str | None], *, complete: bool = True) -> list[tuple[Code, tuple[Any, ...], str]]:
    types = {name: kind for name, kind in {**RIGHT, **changed}.items() if kind != "gone"}
    return [(m.code, m.path, m.message) for m in check_uses(USES, Schema(types, complete=complete))]


def test_right_columns_in_any_case() -> None:
    assert found({}) == []
    upper = Schema({name.upper(): kind for name, kind in RIGHT.items()}, complete=True)
    assert list(check_uses(USES, upper)) == []


@pytest.mark.parametrize(
    ("name", "path", "role"),
    [
        ("k", ("group_by", 0), "group column"),
        ("x", ("features", 0), "numeric feature"),
        ("c", ("features", 1), "categorical feature"),
        ("y", ("label",), "label"),
        ("w", ("weight",), "weight"),
        ("t", ("evaluate", "by_time", "column"), "time column"),
    ],
)
def test_a_missing_column(name: str, path: tuple[Any, ...], role: str) -> None:
    assert found({name: "gone"}) == [(Code.MISSING_COLUMN, path, f"{role} `{name}` is not a column of the input")]
    assert found({name: "gone"}, complete=False) == []
    assert found({name: None}) == []


@pytest.mark.parametrize("kind", ["string", "string collate UNICODE", "char(3)", "varchar(9)"])
def test_a_text_is_no_number(kind: str) -> None:
    assert found({"k": kind, "c": kind}) == []
    for name in "xywt":
        ((code, _, message),) = found({name: kind})
        assert (code, message.split("` ")[1]) == (
            Code.COLUMN_TYPE,
            f"is {kind} and must be a number, a date or a timestamp",
        )


@pytest.mark.parametrize("kind", ["binary", "array<double>", "map<string,int>", "struct<a:int>", "void", "time(6)"])
def test_what_is_no_plain_value_is_taken_nowhere(kind: str) -> None:
    for name in RIGHT:
        assert [code for code, *_ in found({name: kind})] == [Code.COLUMN_TYPE]


def test_a_label_of_a_classifier_may_be_text() -> None:
    uses = column_uses(keys=[], features=[], label="y", weight=None, time=None, regression=False)
    assert list(check_uses(uses, Schema({"y": "string"}, complete=True))) == []


def test_spark_types_go_by_the_same_rule() -> None:
    from pyspark.sql import types as T

    from modelfactory.spark.inputs import _check_columns

    kinds = [T.StringType(), T.VarcharType(3), T.ArrayType(T.DoubleType()), T.DecimalType(5, 1), T.TimestampNTZType()]
    schema = T.StructType([T.StructField(f"x{i}", kind) for i, kind in enumerate(kinds)])
    fit = SimpleNamespace(features=[SimpleNamespace(name=n, kind="numeric") for n in schema.names], task="regression")
    step: Any = SimpleNamespace(keys=("x0", "x2", "X9"), label="x1", weight=None, time=None, fit=fit)
    whole: Any = SimpleNamespace(schema=schema)
    wrong = [(finding.path, finding.code, finding.message) for finding in _check_columns(step, whole)]
    must = "must be a number, a date or a timestamp"
    assert wrong == [
        (("group_by", 1), Code.COLUMN_TYPE, "group column `x2` is array<double> and must be a plain value"),
        (("group_by", 2), Code.MISSING_COLUMN, "group column `X9` is not a column of the input"),
        (("features", 0), Code.COLUMN_TYPE, f"numeric feature `x0` is string and {must}"),
        (("features", 1), Code.COLUMN_TYPE, f"numeric feature `x1` is varchar(3) and {must}"),
        (("features", 2), Code.COLUMN_TYPE, f"numeric feature `x2` is array<double> and {must}"),
        (("label",), Code.COLUMN_TYPE, f"label `x1` is varchar(3) and {must}"),
    ]
