"""`mf test`: the declared tests of what is published, without Spark."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from model_samples import Group, publish, sample_groups
from sklearn.linear_model import Ridge
from sklearn.tree import DecisionTreeRegressor
from support import _cache, write_project
from test_architecture import HEAVY, command, loaded_by
from typer.testing import CliRunner, Result

from modelfactory.cli.app import app

KEYS = {"k": pa.string()}
FAMILY = """\
- name: {name}
  group_by: [k]
  source: s
  features: [x0, x1]
  label: y
  estimator: Ridge
  evaluate: {{holdout: 0.2}}
  tests: {tests}
"""


def project(folder: Path, **tests: str) -> Path:
    families = "families:\n" + "".join(FAMILY.format(name=name, tests=text) for name, text in tests.items())
    sources = "sources: [{name: s, path: 's3://bucket/rows'}]"
    return write_project(folder, {"families/f.yml": families, "sources/s.yml": sources})


def mf_test(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["test", "--project-dir", str(folder), *arguments], env=_cache())


def with_one_that_failed() -> list[Group]:
    return [*sample_groups(Ridge(), "abc"), Group(key=("d",), status="failed")]


def test_each_test_is_a_line_in_the_rhythm_of_dbt(tmp_path: Path) -> None:
    tests = "[{coverage: {min: 0.7}}, finite_parameters, {coverage: {min: 1, severity: warn}}, no_lost_groups]"
    folder = project(tmp_path, f=tests)
    publish(folder / "store", "f", KEYS, with_one_that_failed())
    found = mf_test(folder)
    assert (found.exit_code, found.stdout) == (0, "")
    first, *lines, last = [line.rstrip() for line in found.stderr.splitlines()]
    assert first.startswith("1 of 1 WARN family f v1 ....")
    assert "[2 pass, 1 warn, 1 skipped in 0." in first
    dots = [(line.partition(" .")[0], line.rpartition(".. ")[2]) for line in lines]
    assert dots == [
        ("    1 of 4 PASS coverage", "[0.75 >= 0.7]"),
        ("    2 of 4 PASS finite_parameters", "[3 models finite]"),
        ("    3 of 4 WARN coverage", "[0.75 < 1: 1 group without a model, such as k=d]"),
        ("    4 of 4 SKIP no_lost_groups", "[the first version]"),
    ]
    assert last == "Done. PASS=2 WARN=1 ERROR=0 SKIP=1 TOTAL=4"


def test_a_failure_ends_with_one_and_the_other_families_are_tested_too(tmp_path: Path) -> None:
    folder = project(tmp_path, f="[{coverage: {min: 1}}]", g="[finite_parameters]", h="[finite_parameters]", i="[]")
    publish(folder / "store", "f", KEYS, with_one_that_failed())
    publish(folder / "store", "g", KEYS, sample_groups(Ridge(), "a"))
    found = mf_test(folder)
    assert found.exit_code == 1
    heads = [line.partition(" .")[0] for line in found.stderr.splitlines()]
    assert heads == [
        "1 of 3 FAIL family f v1",
        "    1 of 1 FAIL coverage",
        "2 of 3 PASS family g v1",
        "    1 of 1 PASS finite_parameters",
        "3 of 3 SKIP family h",
        "1 family declares no tests",
        "Done. PASS=1 WARN=0 ERROR=1 SKIP=0 TOTAL=2",
    ]
    assert "[never built]" in found.stderr
    assert mf_test(folder, "--select", "g h").exit_code == 0
    quiet = mf_test(folder, "--quiet").stderr.splitlines()
    assert [line.partition(" .")[0] for line in quiet] == ["1 of 3 FAIL family f v1", "    1 of 1 FAIL coverage"]


def test_the_document_has_all_of_it(tmp_path: Path) -> None:
    folder = project(tmp_path, f="[{coverage: {min: 1, name: all of them}}]", g="[finite_parameters]")
    publish(folder / "store", "f", KEYS, with_one_that_failed())
    found = mf_test(folder, "--output", "json")
    document = json.loads(found.stdout)
    assert (found.exit_code, document["schema"], document["exit_code"]) == (1, 1, 1)
    one, other = document["families"]
    assert (one["family"], one["version"], other["version"], other["tests"]) == ("f", 1, None, [])
    assert one["tests"] == [
        {
            "test": "all of them",
            "kind": "coverage",
            "severity": "error",
            "status": "fail",
            "why": "0.75 < 1: 1 group without a model",
            "n_failing": 1,
            "failing": [{"k": "d"}],
        }
    ]


def test_events_are_lines_of_json(tmp_path: Path) -> None:
    folder = project(tmp_path, f="[{coverage: {min: 1}}]")
    publish(folder / "store", "f", KEYS, with_one_that_failed())
    lines = [json.loads(line) for line in mf_test(folder, "--log-format", "json").stderr.splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("family_tested", "error"),
        ("test_finished", "error"),
        ("tests_finished", "info"),
    ]
    assert lines[0]["tests"] == {"fail": 1}
    assert lines[1]["message"] == "1 of 1 FAIL coverage [0.75 < 1: 1 group without a model, such as k=d]"
    assert (lines[1]["family"], lines[1]["version"], lines[1]["failing"]) == ("f", 1, [{"k": "d"}])
    assert (lines[2]["exit_code"], lines[2]["tests"]["error"]) == (1, 1)


def test_an_earlier_version_has_those_before_it_to_compare_with(tmp_path: Path) -> None:
    folder = project(tmp_path, f="[no_lost_groups]")
    publish(folder / "store", "f", KEYS, sample_groups(Ridge(), "abcd"))
    publish(folder / "store", "f", KEYS, with_one_that_failed())
    publish(folder / "store", "f", KEYS, with_one_that_failed())
    assert "[0 <= 0]" in mf_test(folder).stderr
    found = mf_test(folder, "--version", "2")
    assert (found.exit_code, "[1 > 0: 1 group lost, such as k=d]" in found.stderr) == (1, True)
    assert "[the first version]" in mf_test(folder, "--version", "1").stderr
    missing = mf_test(folder, "--version", "4")
    assert (missing.exit_code, "has no version 4" in missing.stderr) == (2, True)


def test_models_of_any_class_are_looked_into(tmp_path: Path) -> None:
    sign = "{coefficient_sign: {feature: x0, sign: positive}}"
    folder = project(tmp_path, f=f"[finite_parameters, {sign}]")
    publish(folder / "store", "f", KEYS, sample_groups(DecisionTreeRegressor(), "a"))
    found = mf_test(folder)
    assert found.exit_code == 1
    assert "PASS finite_parameters" in found.stderr
    assert "[a model has no coefficients: DecisionTreeRegressor]" in found.stderr


@pytest.mark.parametrize(
    ("tests", "loaded"),
    [("[{coverage: {min: 0.5}}, {metric: {name: rmse, max: 1}}]", set()), ("[finite_parameters]", {"sklearn"})],
)
def test_spark_is_never_loaded_and_scikit_learn_only_for_models(tmp_path: Path, tests: str, loaded: set[str]) -> None:
    folder = project(tmp_path, f=tests)
    publish(folder / "store", "f", KEYS, sample_groups(Ridge(), "ab"))
    run = command("test", "--quiet", "--project-dir", str(folder)).replace("assert not end.code, end.code", "pass")
    assert loaded_by(run) & HEAVY & {"pyspark", "py4j", "sklearn"} == loaded


def test_a_query_may_name_columns_that_older_versions_do_not_have(tmp_path: Path) -> None:
    folder = project(tmp_path, f="[{sql: {query: 'select g.k from groups g, previous p where g.chosen <> p.reason'}}]")
    for _ in range(2):
        publish(folder / "store", "f", KEYS, with_one_that_failed())
    found = mf_test(folder)
    assert "1 of 1 PASS sql" in found.stderr
    assert found.exit_code == 0


def test_a_query_may_hold_a_secret_that_nothing_tells(tmp_path: Path) -> None:
    queries = (
        "select '${env:TOKEN}' as token",
        "select ${env:TOKEN} from groups",
        "select k from groups where k = 'd'",
    )
    listed = ", ".join(f'{{sql: {{query: "{query}"}}}}' for query in queries)
    folder = project(tmp_path, f=f"[{listed}]")
    publish(folder / "store", "f", KEYS, with_one_that_failed())
    arguments = ["test", "--project-dir", str(folder), "--output", "json"]
    found = CliRunner().invoke(app, arguments, env={**_cache(), "TOKEN": "hunter2"})
    tests = json.loads(found.stdout)["families"][0]["tests"]
    assert [test["status"] for test in tests] == ["fail", "error", "fail"]
    assert [test["failing"] for test in tests] == [[{"token": "${env:TOKEN}"}], [], [{"k": "d"}]]
    assert "hunter2" not in found.output
    compiled = CliRunner().invoke(app, ["compile", "--project-dir", str(folder)], env={**_cache(), "TOKEN": "hunter2"})
    assert "query select '${env:TOKEN}' as token" in " ".join(compiled.stdout.split())
    assert "hunter2" not in (folder / "target/compiled/f.json").read_text(encoding="utf-8")
