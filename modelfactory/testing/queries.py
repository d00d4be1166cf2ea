"""Tests that are queries: DuckDB over the group table, shut in so that a query reaches nothing else."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from modelfactory.diagnostics import counted, shortened
from modelfactory.plan.steps import DeclaredTest
from modelfactory.testing.tested import KEYS_SHOWN, CannotJudge, Failing, Finding, Tested

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_FETCHED = 10_000
_LONGEST = 300
"""Characters of what DuckDB says, and of a value in a row."""
_SHUT = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",  # else what does not fit into memory goes into a folder of the project
}
"""Settings of a database that reads and writes no file, loads no extension and sees no variable of this program."""


def is_installed() -> bool:
    """Tell whether DuckDB is there, without importing it."""
    return importlib.util.find_spec("duckdb") is not None


def sql(tested: Tested, test: DeclaredTest) -> Finding:
    """Judge that a query returns no rows."""
    previous = tested.groups.schema.empty_table() if tested.previous is None else tested.previous
    with _opened(groups=tested.groups, previous=previous) as database:
        wrong = _mistake(database, test["query"])
        if wrong is not None:
            raise CannotJudge(wrong)
        failing = _rows(database, test["query"], tested.keys)
    return Finding(not failing.count, counted(failing.count, "row"), failing)


def check_query(query: str) -> str | None:
    """Say what is wrong with the form of a query, None if nothing is; what it names is not looked up."""
    with _opened() as database:
        return _mistake(database, query)


def _opened(**tables: pa.Table) -> DuckDBPyConnection:
    import duckdb

    database = duckdb.connect(":memory:", config=dict(_SHUT))
    for name, table in tables.items():
        database.register(name, table)
    database.execute("set lock_configuration = true")
    return database


def _mistake(database: DuckDBPyConnection, query: str) -> str | None:
    import duckdb

    try:
        statements = database.extract_statements(query)
    except duckdb.Error as error:
        return _said(error)
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        return "a test is one `select`"
    return None


def _rows(database: DuckDBPyConnection, query: str, keys: Sequence[str]) -> Failing:
    """Return what a query gives; of rows that name groups, the keys alone."""
    import duckdb

    try:
        cursor = database.execute(query)
        names = [column[0] for column in cursor.description]
        first = cursor.fetchmany(KEYS_SHOWN)
        count = len(first)
        while rows := cursor.fetchmany(_FETCHED):
            count += len(rows)
    except duckdb.Error as error:
        raise CannotJudge(_said(error)) from error
    shown = keys if set(keys) <= set(names) else names
    found = (dict(zip(names, row, strict=True)) for row in first)
    return Failing(count, tuple({name: _told(row[name]) for name in shown} for row in found))


def _told(value: Any) -> Any:
    """Return a value, or its beginning where it is long: it goes into lines and documents."""
    text = str(value)
    return value if len(text) <= _LONGEST else shortened(text, _LONGEST)


def _said(error: Exception) -> str:
    return shortened(" ".join(str(error).split()), _LONGEST)
