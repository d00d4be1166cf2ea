"""Tests that are queries: what they see, and that they see nothing else."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from store_samples import version

from modelfactory.plan.steps import DeclaredTest
from modelfactory.testing import queries, registry, results, tested

NUMBERS = pa.map_(pa.string(), pa.float64())
GROUPS = pa.table(
    {
        "k": ["a", "b", "c"],
        "day": pa.array([date(2024, 1, day) for day in (1, 2, 3)]),
        "status": ["trained", "trained", "failed"],
        "n_rows": [10, 20, 30],
        "metrics": pa.array([[("rmse", 1.0)], [("rmse", 9.0)], []], NUMBERS),
        "warnings": pa.array([[], ["slow"], []], pa.list_(pa.string())),
    }
)


def judged(query: str, previous: pa.Table | None = None) -> results.TestResult:
    record = version(2, []).model_copy(update={"group_by": ["k", "day"]})
    made = tested.Tested(
        tests=(DeclaredTest(kind="sql", name="sql", severity="error", parameters=(("query", query),)),),
        groups=GROUPS,
        record=record,
        open_models=lambda: pytest.fail("no model is needed"),
        read_previous=lambda: previous if previous is not None else pytest.fail("there is no version before"),
        previous_record=None if previous is None else version(1, []),
    )
    (result,) = registry.run_tests(made)
    return result


def test_a_query_without_rows_passes() -> None:
    result = judged("select * from groups where n_rows > 30")
    assert (result.status, result.message) == ("pass", "0 rows")


def test_each_row_is_a_failure_and_groups_are_named_by_their_key() -> None:
    result = judged("select * from groups where metrics['rmse'] > 5;")
    assert (result.status, result.message, result.n_failing) == ("fail", "1 row", 1)
    assert result.failing == ({"k": "b", "day": date(2024, 1, 2)},)


def test_other_rows_are_shown_as_they_are() -> None:
    result = judged("select status, sum(n_rows) as n from groups group by all having n >= 30 order by 1")
    assert result.failing == ({"status": "failed", "n": 30}, {"status": "trained", "n": 30})


def test_the_version_before_is_a_table_that_is_empty_of_the_first() -> None:
    query = "select g.k from groups g join previous p using (k) where g.n_rows < p.n_rows"
    assert judged(query).status == "pass"
    assert judged(query, GROUPS.set_column(3, "n_rows", pa.array([11, 20, 30]))).failing == ({"k": "a"},)


def test_many_rows_are_counted() -> None:
    result = judged("select range from range(25_000)")
    assert (result.n_failing, len(result.failing), result.message) == (25_000, 5, "25,000 rows")


def test_a_long_value_is_cut_where_it_is_shown() -> None:
    (row,) = judged("select repeat('x', 1_000_000) as long, [range(100_000)] as deep, 1.5::double as n").failing
    assert row["n"] == 1.5
    assert all(len(str(row[name])) == 300 for name in ("long", "deep"))


def test_what_does_not_fit_into_memory_is_told_and_not_written_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(queries._SHUT, "memory_limit", "30MB")
    result = judged("select hash(range)::varchar || repeat('x', 50) as h from range(300_000) order by h")
    assert (result.status, result.message[:20]) == ("error", "Out of Memory Error:")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("selec 1", "syntax error"),
        ("select nothing from groups", "nothing"),
        ("select 1; select 2", "a test is one `select`"),
        ("drop table groups", "a test is one `select`"),
        ("copy groups to 'stolen.csv'", "a test is one `select`"),
        ("attach 'other.db'", "a test is one `select`"),
        ("set enable_external_access = true", "a test is one `select`"),
        ("-- nothing", "a test is one `select`"),
        ("select * from read_csv('secret.csv')", "disabled"),
        ("select * from read_text('secret.csv')", "disabled"),
        ("select * from glob('*')", "disabled"),
        ("select * from 'secret.csv'", "secret.csv"),
        ("select * from table_of_the_program", "does not exist"),
    ],
)
def test_it_reads_no_files_and_does_nothing_else(
    query: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.csv").write_text("a\n1\n")
    table_of_the_program: Any = GROUPS
    result = judged(query)
    assert table_of_the_program is not None
    assert result.status == "error"
    assert said in result.message
    assert [file.name for file in tmp_path.iterdir()] == ["secret.csv"]


def test_the_form_of_a_query_is_known_before_anything_is_trained() -> None:
    assert queries.check_query("select whatever from groups") is None
    assert "syntax error" in (queries.check_query("select from from") or "")
