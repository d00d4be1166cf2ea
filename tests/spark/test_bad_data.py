"""Bad data is told like a bad file: where it is declared, with exit code 2, and nothing is written to the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from support import FAMILY_TOML as TOML
from support import FAMILY_YAML as YAML
from support import RecordingReporter, workspace_of, write_project

from modelfactory.commands.build import build
from modelfactory.commands.workspace import Workspace
from modelfactory.diagnostics import Code, Diagnostic, InputError

SOURCE = "sources:\n- name: s\n  path: data.parquet\n"
DATA: dict[str, Any] = {
    "k": pa.array(["a", "a", "b", "b"]),
    "x": pa.array([1.0, 2.0, 3.0, 4.0]),
    "y": pa.array([1, 2, 3, 4], pa.int32()),
    "name": pa.array(["p", "q", "r", "s"]),
    "many": pa.array([[1], [2], [3], [4]], pa.list_(pa.int32())),
}
Refusal = Callable[..., tuple[Diagnostic, ...]]


def attempt(spark: SparkSession, workspace: Workspace) -> None:
    """Build; raise what is wrong with a family as what is wrong with the whole is raised."""
    result = build(workspace, RecordingReporter(), session=spark)
    assert result.exit_code == InputError.exit_code
    raise InputError(*(d for family in result.families for d in family.diagnostics))


@pytest.fixture
def refused(spark: SparkSession, tmp_path: Path) -> Refusal:
    """Build a project that cannot be built, check that the store is untouched, and return what was told."""

    def run(files: dict[str, str], data: pa.Table | None = None, **environ: str) -> tuple[Diagnostic, ...]:
        defaults = {"sources/s.yml": SOURCE}
        if not any(name.startswith("families/") for name in files):
            defaults["families/f.yml"] = YAML
        folder = write_project(tmp_path / "p", {**defaults, **files})
        pq.write_table(pa.table(DATA) if data is None else data, folder / "data.parquet")
        with pytest.raises(InputError) as caught:
            attempt(spark, workspace_of(folder, environ=environ))
        assert not (folder / "store").exists() or not list((folder / "store").rglob("*"))
        return caught.value.diagnostics

    return run


def told(found: tuple[Diagnostic, ...]) -> list[tuple[Code, str | None, int | None]]:
    return [(d.code, d.file, d.position.line if d.position else None) for d in found]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("sources/s.yml", SOURCE.replace("data.parquet", "gone.parquet"), 3),
        ("sources/s.yml", SOURCE.replace("data.parquet", "gone/*.parquet"), 3),
        ("sources/s.yml", SOURCE.replace("data.parquet", "file:///gone/x.parquet"), 3),
    ],
)
def test_a_missing_path_is_told_where_the_source_declares_it(refused: Refusal, name: str, text: str, line: int) -> None:
    (found,) = refused({name: text})
    assert found.code in (Code.MISSING_PATH, Code.SPARK_SQL)
    assert told((found,))[0][1:] == (name, line)
    assert "gone" in found.message


def test_a_missing_path_of_a_toml_source(refused: Refusal) -> None:
    files = {"sources/s.yml": "sources: []\n", "sources/s.toml": "[[sources]]\nname = 's'\npath = 'gone.parquet'\n"}
    assert told(refused(files)) == [(Code.MISSING_PATH, "sources/s.toml", 3)]


@pytest.mark.parametrize(
    ("old", "new", "line", "near"),
    [
        ("features: [x]", "features: [x, nmae]", 5, "name"),
        ("group_by: [k]", "group_by: [kk]", 3, "k"),
        ("label: y", "label: yy", 6, "y"),
        ("label: y", "label: y\n  weight: w", 7, ""),
        ("label: y", "label: y\n  evaluate: {by_time: {column: day}}", 7, ""),
    ],
)
def test_a_column_that_is_not_there_is_told_where_it_is_named(
    refused: Refusal, old: str, new: str, line: int, near: str
) -> None:
    (found,) = refused({"families/f.yml": YAML.replace(old, new)})
    assert told((found,)) == [(Code.MISSING_COLUMN, "families/f.yml", line)]
    assert f"`{near}`" in (found.help or "") or not near


def test_a_column_that_is_not_there_in_toml(refused: Refusal) -> None:
    found = refused({"families/f.toml": TOML.replace('["x"]', '["x", "z"]')})
    assert told(found) == [(Code.MISSING_COLUMN, "families/f.toml", 5)]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("features: [x]", "features: [name]", 5),
        ("features: [x]", "features: [many]", 5),
        ("label: y", "label: name", 6),
        ("label: y", "label: y\n  weight: name", 7),
        ("group_by: [k]", "group_by: [many]", 3),
    ],
)
def test_a_column_of_a_wrong_type_is_told_where_it_is_named(refused: Refusal, old: str, new: str, line: int) -> None:
    (found,) = refused({"families/f.yml": YAML.replace(old, new)})
    assert told((found,)) == [(Code.COLUMN_TYPE, "families/f.yml", line)]


def test_a_text_feature_is_told_to_be_categorical(refused: Refusal) -> None:
    (found,) = refused({"families/f.yml": YAML.replace("[x]", "[x, name]")})
    assert "{name: name, kind: categorical}" in (found.help or "")


def test_a_promised_column_must_be_there_and_of_its_type(refused: Refusal) -> None:
    columns = "  columns:\n  - {name: nmae}\n  - {name: x, type: bigint}\n  - {name: y, type: integer}\n"
    assert told(refused({"sources/s.yml": SOURCE + columns})) == [
        (Code.MISSING_COLUMN, "sources/s.yml", 5),
        (Code.COLUMN_TYPE, "sources/s.yml", 6),
    ]


def test_all_that_is_wrong_with_the_data_of_all_families_comes_at_once(refused: Refusal) -> None:
    second = YAML.replace("name: f", "name: g").replace("[x]", "[z, name]")
    found = refused({"families/f.yml": YAML.replace("label: y", "label: z"), "families/g.yml": second})
    assert told(found) == [
        (Code.MISSING_COLUMN, "families/f.yml", 6),
        (Code.MISSING_COLUMN, "families/g.yml", 5),
        (Code.COLUMN_TYPE, "families/g.yml", 5),
    ]


@pytest.mark.parametrize("where", ["x > 100", "1 = 0", "k is null"])
def test_an_input_without_rows_is_told_and_leaves_no_trace_in_the_store(refused: Refusal, where: str) -> None:
    found = refused({"families/f.yml": YAML.replace("  label: y\n", f"  where: {where}\n  label: y\n")})
    assert told(found) == [(Code.EMPTY_INPUT, "families/f.yml", 6)]


def test_an_empty_table_is_an_input_without_rows(refused: Refusal) -> None:
    assert told(refused({}, pa.table(DATA).slice(0, 0))) == [(Code.EMPTY_INPUT, "families/f.yml", 4)]


def test_a_null_in_a_key_may_be_declared_an_error(refused: Refusal) -> None:
    data = pa.table({**DATA, "k": pa.array(["a", None, "b", "b"])})
    (found,) = refused({"families/f.yml": YAML + "  null_keys: error\n"}, data)
    assert told((found,)) == [(Code.NULL_KEY, "families/f.yml", 8)]


@pytest.mark.parametrize(
    ("where", "words"),
    [("nope > 1", "nope"), ("x >", "yntax"), ("x in (select", "yntax"), ("y = 1; select 2", "yntax")],
)
def test_a_bad_condition_is_told_at_its_line_without_a_java_traceback(refused: Refusal, where: str, words: str) -> None:
    (found,) = refused({"families/f.yml": YAML.replace("  label: y\n", f"  where: {where}\n  label: y\n")})
    assert told((found,)) == [(Code.SPARK_SQL, "families/f.yml", 6)]
    assert words in found.message
    assert "\n" not in found.message
    assert "org.apache" not in found.message


@pytest.mark.parametrize("query", ["select * from nowhere", "selct 1", "select 1 as k; select 2"])
def test_a_bad_query_is_told_at_its_line(refused: Refusal, query: str) -> None:
    (found,) = refused({"families/f.yml": YAML.replace("source: s", f"sql: {query}")})
    assert told((found,)) == [(Code.SPARK_SQL, "families/f.yml", 4)]


def test_a_bad_query_file_is_told_where_it_is_named(refused: Refusal) -> None:
    files = {"families/f.yml": YAML.replace("source: s", "sql_file: q.sql"), "q.sql": "select * from nowhere\n"}
    assert told(refused(files)) == [(Code.SPARK_SQL, "families/f.yml", 4)]


def test_a_file_that_is_not_what_its_format_says(refused: Refusal) -> None:
    (found,) = refused(
        {"sources/s.yml": SOURCE.replace("data.parquet", "other.parquet"), "other.parquet": "not parquet"}
    )
    assert told((found,)) == [(Code.SPARK_SQL, "sources/s.yml", 3)]


def test_a_format_that_spark_does_not_know_is_told_at_the_format(refused: Refusal) -> None:
    (found,) = refused({"sources/s.yml": SOURCE + "  format: parqet\n"})
    assert told((found,)) == [(Code.SPARK_SQL, "sources/s.yml", 4)]


def test_a_bad_cast_is_told_at_its_family(refused: Refusal) -> None:
    sql = "sql: select k, cast(name as int) as x, y from {{ source('s') }}"
    (found,) = refused({"families/f.yml": YAML.replace("source: s", sql)})
    assert told((found,)) == [(Code.SPARK_SQL, "families/f.yml", 4)]


def test_column_names_are_case_insensitive_as_in_spark(spark: SparkSession, tmp_path: Path) -> None:
    text = YAML.replace("[k]", "[K]").replace("label: y", "label: Y")
    folder = write_project(tmp_path, {"sources/s.yml": SOURCE, "families/f.yml": text})
    pq.write_table(pa.table(DATA), folder / "data.parquet")
    assert build(workspace_of(folder), RecordingReporter(), session=spark).exit_code == 0


@pytest.mark.parametrize(
    "files",
    [
        {"families/f.yml": YAML.replace("  label", "  where: nope = '${env:TOKEN}'\n  label")},
        {"families/f.yml": YAML.replace("  label", "  where: ${env:TOKEN} > 1\n  label")},
        {"families/f.yml": YAML.replace("  label", "  where: x > cast('${env:TOKEN}' as int)\n  label")},
        {"families/f.yml": YAML.replace("source: s", "sql: select * from {{ env_var('TOKEN') }}")},
        {"sources/s.yml": SOURCE.replace("data.parquet", "${env:TOKEN}")},
        {"sources/s.yml": SOURCE.replace("data.parquet", "${env:TOKEN}/*.parquet")},
        {"sources/s.yml": SOURCE.replace("data.parquet", "file:///${env:TOKEN}/x")},
        {"sources/s.yml": "sources:\n- name: s\n  table: '${env:TOKEN}'\n"},
        {"sources/s.yml": SOURCE + "  options: {mergeSchema: '${env:TOKEN}'}\n"},
    ],
    ids=str,
)
def test_what_spark_says_does_not_give_away_the_environment(
    refused: Refusal, tmp_path: Path, files: dict[str, str]
) -> None:
    found = refused(files, TOKEN="hunter2")
    assert found
    assert "hunter2" not in "\n".join(d.text() for d in found)
    artefacts = list((tmp_path / "p" / "target").rglob("*.json"))
    assert "hunter2" not in "".join(f.read_text(encoding="utf-8") for f in artefacts)
