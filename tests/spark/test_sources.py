"""Sources that cannot be read: one clear message with its place, nothing written."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import RecordingReporter, workspace_of, write_project

from modelfactory.commands.build import build
from modelfactory.diagnostics import Diagnostic, InputError

FAMILY = """
families:
  - name: sales
    group_by: [shop]
    source: rows
    features: [a]
    label: y
    estimator: LinearRegression
"""


def mistakes(spark, folder: Path, source: str, family: str = FAMILY) -> tuple[Diagnostic, ...]:
    write_project(
        folder, {"sources/rows.yml": f"sources:\n  - {{name: rows, {source}}}\n", "families/sales.yml": family}
    )
    try:
        result = build(workspace_of(folder), RecordingReporter(), session=spark)
    except InputError as error:
        found = error.diagnostics
    else:
        assert result.exit_code == 2
        found = result.families[0].diagnostics
    assert not (folder / "store").exists()
    return found


@pytest.mark.parametrize(
    ("source", "code", "words", "line"),
    [
        ("path: nowhere.parquet", "MF301", "`nowhere.parquet` does not exist", 2),
        ("path: rows.parquet, format: nonsense", "MF305", "source `rows`", 2),
        ("path: notes.txt", "MF305", "source `rows`", 2),
        ("path: empty_folder", "MF305", "source `rows`", 2),
        ("table: no.such.table", "MF305", "source `rows`", 2),
        ("path: rows.parquet, columns: [{name: b, type: double}]", "MF302", "has no column `b`", 2),
        ("path: rows.parquet, columns: [{name: a, type: string}]", "MF303", "is double, declared string", 2),
    ],
)
def test_a_source_that_cannot_be_used(spark, tmp_path, source, code, words, line):
    pq.write_table(pa.table({"shop": ["x"], "a": [1.0], "y": [1.0], "word": ["w"]}), tmp_path / "rows.parquet")
    (tmp_path / "notes.txt").write_text("not a table")
    (tmp_path / "empty_folder").mkdir()
    found = mistakes(spark, tmp_path, source)
    assert [d.code for d in found] == [code]
    assert words in found[0].message
    assert "\n" not in found[0].message
    assert (found[0].file, found[0].position and found[0].position.line) == ("sources/rows.yml", line)


@pytest.mark.parametrize(
    ("replace", "by", "code", "line"),
    [
        ("[a]", "[nothing]", "MF302", 6),
        ("[a]", "[shop]", "MF303", 6),
        ("label: y", "label: z", "MF302", 7),
        ("label: y", "label: word", "MF303", 7),
        ("[shop]", "[shp]", "MF302", 4),
        ("    source: rows", "    source: rows\n    where: nothing > 1", "MF305", 6),
        ("    source: rows", "    source: rows\n    where: a >", "MF305", 6),
        ("    source: rows", "    source: rows\n    where: cast(shop as int) = 1", "MF305", 6),
        ("source: rows", "sql: selec * from rows", "MF305", 5),
        ("source: rows", "sql: select shop, map(1, 2) as a, y from {{ source('rows') }}", "MF303", 6),
    ],
)
def test_a_family_that_does_not_fit_its_data(spark, tmp_path, replace, by, code, line):
    pq.write_table(pa.table({"shop": ["x"], "a": [1.0], "y": [1.0], "word": ["w"]}), tmp_path / "rows.parquet")
    found = mistakes(spark, tmp_path, "path: rows.parquet", FAMILY.replace(replace, by))
    assert [d.code for d in found] == [code]
    assert "\n" not in found[0].message
    assert found[0].file == "families/sales.yml"
    assert found[0].position is not None
    assert found[0].position.line == line


def test_a_secret_in_reader_options_reaches_spark_and_nothing_else(spark, tmp_path, capfd):
    write_project(
        tmp_path,
        {
            "rows.csv": "shop|a|y\nx|1|2\nx|2|3\n",
            "sources/rows.yml": "sources: [{name: rows, path: rows.csv, format: csv, "
            "options: {header: true, inferSchema: true, sep: '${env:SECRET_SEPARATOR}'}}]\n",
            "families/sales.yml": FAMILY,
        },
    )
    workspace = workspace_of(tmp_path, environ={"SECRET_SEPARATOR": "|"})
    assert build(workspace, RecordingReporter(), session=spark).exit_code == 0
    assert "${env:SECRET_SEPARATOR}" in repr(workspace.plan)
    for file in [*tmp_path.glob("store/**/*.json"), *tmp_path.glob("target/**/*.json")]:
        assert '"|"' not in file.read_text()
