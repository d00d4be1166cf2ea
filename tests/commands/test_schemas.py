"""What `mf parse` finds in the data without Spark, and where it keeps silent."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import FAMILY_YAML, _cache, write_project
from typer.testing import CliRunner, Result

from modelfactory.cli.app import app

TABLE = pa.table({"k": ["a"], "x": [1.0], "y": [2], "name": ["n"], "many": [[1.0]], "Delay": [1]})
SOURCE = "sources:\n- name: s\n  path: data/rows.parquet\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    pq.write_table(TABLE, tmp_path / "data" / "rows.parquet")
    return tmp_path


def mf(folder: Path, files: dict[str, str], *command: str) -> Result:
    write_project(folder, {"sources/s.yml": SOURCE, "families/f.yml": FAMILY_YAML, **files})
    environ = {**_cache(), "DATA": "data/rows.parquet"}
    return CliRunner().invoke(app, [*(command or ["parse"]), "--project-dir", str(folder)], env=environ)


def family(old: str, new: str) -> dict[str, str]:
    assert old in FAMILY_YAML
    return {"families/f.yml": FAMILY_YAML.replace(old, new)}


def found(result: Result) -> list[tuple[str, ...]]:
    return re.findall(r"^(error|warning)\[(MF\d+)\]: .*\n  --> (.*)", result.stderr, re.MULTILINE)


@pytest.mark.parametrize(
    ("files", "code", "place", "words"),
    [
        (family("[x]", "[x, nam]"), "MF302", "families/f.yml:5:17", "did you mean `name`?"),
        (family("[x]", "{x: 1}"), "MF202", "families/f.yml:5:13", ""),
        (family("[k]", "[kk]"), "MF302", "families/f.yml:3:14", "group column `kk`"),
        (family("label: y", "label: yy"), "MF302", "families/f.yml:6:10", "did you mean `y`?"),
        (family("label: y", "label: y\n  weight: dela"), "MF302", "families/f.yml:7:11", "did you mean `Delay`?"),
        (family("[x]", "[name]"), "MF303", "families/f.yml:5:14", "{name: name, kind: categorical}"),
        (family("[x]", "[many]"), "MF303", "families/f.yml:5:14", "is array<double> and must be a number"),
        (family("[k]", "[many]"), "MF303", "families/f.yml:3:14", "must be a plain value"),
        (family("label: y", "label: name"), "MF303", "families/f.yml:6:10", "label `name` is string"),
        (
            family("label: y", "label: y\n  evaluate: {by_time: {column: whn}}"),
            "MF302",
            "families/f.yml:7:32",
            "time column `whn`",
        ),
        ({"sources/s.yml": SOURCE + "  columns: [dely]\n"}, "MF302", "sources/s.yml:4:13", "did you mean `Delay`?"),
        (
            {"sources/s.yml": SOURCE + "  columns: [{name: y, type: string}]\n"},
            "MF303",
            "sources/s.yml:4:29",
            "column `y` of source `s` is bigint, declared string",
        ),
    ],
)
def test_a_column_that_is_not_as_it_must_be(
    folder: Path, files: dict[str, str], code: str, place: str, words: str
) -> None:
    result = mf(folder, files)
    assert result.exit_code == 2
    assert found(result) == [("error", code, place)], result.stderr
    assert words in result.stderr


def test_the_source_is_named_beside_it(folder: Path) -> None:
    assert "note: the source `s`\n  --> sources/s.yml:2:9" in mf(folder, family("[x]", "[z]")).stderr


@pytest.mark.parametrize(
    "files",
    [
        family("[x]", "[X, delay]"),
        family("[x]", "[x, {name: name, kind: categorical}]\n  preprocess: {categorical: OneHotEncoder}"),
        family("Ridge", "LogisticRegression"),
        family("source: s", "sql: select z as x from {{ source('s') }}"),
        {"sources/s.yml": SOURCE + "  columns: [{name: Y, type: long}, {name: x, type: no such type}]\n"},
        {"sources/s.yml": SOURCE.replace("data/rows.parquet", "${env:DATA}")},
        {"sources/s.yml": SOURCE.replace("data/rows.parquet", "data/*.parquet")},
        {"sources/s.yml": SOURCE.replace("data/rows.parquet", "data")},
    ],
    ids=lambda files: next(iter(files.values()))[-60:],
)
def test_columns_that_are_right(folder: Path, files: dict[str, str]) -> None:
    result = mf(folder, files)
    assert (result.exit_code, found(result)) == (0, []), result.stderr


@pytest.mark.parametrize(
    "files",
    [
        {"sources/s.yml": SOURCE + "  options: {mergeSchema: true}\n"},
        {"sources/s.yml": SOURCE + "  format: delta\n"},
        {"sources/s.yml": SOURCE.replace("data/rows", "s3://bucket/rows")},
        {"sources/s.yml": "sources: [{name: s, table: db.rows}]\n"},
        {"profiles.yml": "targets: {local: {conf: {spark.sql.parquet.mergeSchema: true}}}\n"},
        {"sources/s.yml": SOURCE + "  format: csv\n  options: {header: true, comment: '#'}\n"},
    ],
    ids=lambda files: next(iter(files.values()))[-40:],
)
def test_what_cannot_be_told_without_spark_is_left_to_it(folder: Path, files: dict[str, str]) -> None:
    result = mf(folder, {**family("[x]", "[nowhere]"), **files})
    assert (result.exit_code, found(result)) == (0, []), result.stderr


def test_only_the_columns_of_chosen_families_are_checked(folder: Path) -> None:
    files = family("[x]", "[nowhere]") | {"families/g.yml": FAMILY_YAML.replace("name: f", "name: g")}
    assert mf(folder, files, "compile", "-s", "g").exit_code == 0
    assert mf(folder, files, "compile").exit_code == 2
    assert mf(folder, files, "ls").exit_code == 0


@pytest.mark.spark
def test_a_build_is_refused_before_spark_has_read_anything(folder: Path) -> None:
    assert found(mf(folder, family("[x]", "[nowhere]"), "build")) == [("error", "MF302", "families/f.yml:5:14")]


# Folders, partitions and CSV ---------------------------------------------------------------------------------------


def test_partitions_are_columns_of_any_type(folder: Path) -> None:
    inner = folder / "data" / "lake" / "year=2020" / "month=1"
    inner.mkdir(parents=True)
    pq.write_table(TABLE, inner / "part-0.parquet")
    (folder / "data" / "lake" / "_SUCCESS").touch()
    (folder / "data" / "lake" / ".part-0.crc").write_text("x")
    files = {"sources/s.yml": SOURCE.replace("rows.parquet", "lake")}
    assert mf(folder, files | family("[x]", "[x, year, month]")).exit_code == 0
    assert found(mf(folder, files | family("[x]", "[x, day]"))) == [("error", "MF302", "families/f.yml:5:17")]


@pytest.mark.parametrize(
    ("text", "options", "feature", "code"),
    [
        ("k,x,y\na,1,2\n", "{header: true, inferSchema: true}", "x", None),
        ("k,x,y\na,1,2\n", "{header: true, inferSchema: true}", "z", "MF302"),
        ("k,x,y\na,1,2\n", "{header: true}", "x", "MF303"),
        ("k;x;y\na;1;2\n", "{header: true, inferSchema: true, sep: ';'}", "x", None),
        ("k;x;y\na;1;2\n", "{HEADER: true, inferSchema: true, delimiter: ';'}", "z", "MF302"),
        ("k\tx\ty\n", "{header: true, inferSchema: true, sep: '\\t'}", "x", None),
        ('k,"a, b",x,y\n', "{header: true, inferSchema: true}", "'a, b'", None),
        ("\ufeffk,x,y\r\n1,2,3\r\n", "{header: true, inferSchema: true}", "y2", "MF302"),
        ("k,,y\n", "{header: true, inferSchema: true}", "_c1", None),
        ("k,x,X,y\n", "{header: true, inferSchema: true}", "X2", None),
        ("k,x,y\n", "{}", "z", None),
        ("", "{header: true}", "z", None),
    ],
)
def test_the_header_of_a_csv_file(folder: Path, text: str, options: str, feature: str, code: str | None) -> None:
    (folder / "data" / "rows.csv").write_text(text, encoding="utf-8")
    source = SOURCE.replace(".parquet", ".csv") + f"  format: csv\n  options: {options}\n"
    label = {"families/f.yml": FAMILY_YAML.replace("[x]", f"[{feature}]").replace("Ridge", "LogisticRegression")}
    result = mf(folder, {"sources/s.yml": source, **label})
    assert [c for _, c, _ in found(result)] == ([code] if code else []), result.stderr


# Declared columns and missing files --------------------------------------------------------------------------------

LAKE = "sources:\n- name: s\n  path: s3://bucket/rows\n  columns: [k, {name: price, type: string}, lag_1, y]\n"


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ("prize", ("warning", "MF302")),
        ("price", ("error", "MF303")),
        ("distance", None),
        ("lag_2", None),
        ("z", None),
    ],
)
def test_declared_columns_are_a_partial_promise(folder: Path, feature: str, expected: Any) -> None:
    result = mf(folder, {"sources/s.yml": LAKE, **family("[x]", f"[{feature}]")})
    assert [f[:2] for f in found(result)] == ([expected] if expected else []), result.stderr
    if feature == "prize":
        assert "did you mean `price`?" in result.stderr
        assert result.exit_code == 0


@pytest.mark.parametrize(
    ("path", "hint"),
    [("data/row.parquet", "did you mean `data/rows.parquet`?"), ("data/quite_different.parquet", None)],
)
def test_a_file_that_is_not_beside_the_others(folder: Path, path: str, hint: str | None) -> None:
    result = mf(folder, {"sources/s.yml": SOURCE.replace("data/rows.parquet", path)})
    assert result.exit_code == 0
    assert found(result) == [("warning", "MF301", "sources/s.yml:3:9")]
    assert hint is None or hint in result.stderr
    assert ("did you mean" in result.stderr) == (hint is not None)


@pytest.mark.parametrize("path", ["gone/rows.parquet", "data/nothing", "data/*.orc", "/no/such/folder/x.parquet"])
def test_where_there_is_no_data_none_is_expected(folder: Path, path: str) -> None:
    result = mf(folder, {"sources/s.yml": SOURCE.replace("data/rows.parquet", f"'{path}'")})
    assert (result.exit_code, found(result)) == (0, []), result.stderr


def test_values_of_the_environment_are_not_told(folder: Path) -> None:
    source = SOURCE.replace("data/rows.parquet", "${env:DATA}x")
    result = mf(folder, {"sources/s.yml": source})
    assert found(result) == [("warning", "MF301", "sources/s.yml:3:9")]
    assert "data/rows" not in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_left_to_spark(folder: Path) -> None:
    (folder / "data" / "rows.parquet").chmod(0)
    assert mf(folder, family("[x]", "[nowhere]")).exit_code == 0
