"""`mf show --resolved`: every single value of a family, and where it comes from."""

from __future__ import annotations

import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import PROJECTS, _cache, workspace_of, write_project
from typer.testing import CliRunner, Result

from modelfactory.cli.app import app
from modelfactory.cli.resolved import path_text
from modelfactory.project.spec_types import Spec

Found = dict[str, dict[str, Any]]
SECRET = "swordfish"
YAML = {
    "mf_project.yml": """\
        name: demo
        vars:
          least: 10
          chain: ${var:least}
        defaults:
          owner: us
          tags: [all]
          timeout: 10m
          meta: {cost: 1}
        """,
    "sources/s.yml": """\
        sources:
        - name: s
          path: ${env:PLACE}/rows.csv
          format: ${env:FORMAT:-csv}
          options:
            header: true
            password: ${env:PASSWORD}
    """,
    "families/_defaults.yml": """\
        source: s
        label: y
        min_rows: ${var:chain}
        seed: 1
        tags: [deep, all]
        evaluate: {holdout: 0.2, metrics: [rmse]}
    """,
    "families/inner/_defaults.yml": """\
        seed: 2
        meta: {ticket: A-1, cost: 2}
    """,
    "families/inner/f.yml": """\
        families:
        - name: f
          group_by: k
          features: [x, {name: z, kind: categorical}]
          estimator: Ridge
          preprocess:
            categorical: OneHotEncoder
          evaluate:
            by_time: {column: day}
          max_rows: ${var:most:-500}
          max_failed: 2%
          where: x < ${env:LIMIT:-9}
          description: for ${env:TEAM} and ${var:least}
          tags: own
          meta: {ticket: B-2}
    """,
}
TOML = {
    "mf_project.toml": """\
        name = "demo"
            [vars]
        least = 10
        chain = "${var:least}"
        [defaults]
        owner = "us"
        tags = ["all"]
        timeout = "10m"
        meta = { cost = 1 }
    """,
    "sources/s.toml": """\
        [[sources]]
        name = "s"
        path = "${env:PLACE}/rows.csv"
        format = "${env:FORMAT:-csv}"
        [sources.options]
        header = true
        password = "${env:PASSWORD}"
    """,
    "families/_defaults.toml": """\
        source = "s"
        label = "y"
        min_rows = "${var:chain}"
        seed = 1
        tags = ["deep", "all"]
        evaluate = { holdout = 0.2, metrics = ["rmse"] }
    """,
    "families/inner/_defaults.toml": """\
        seed = 2
        meta = { ticket = "A-1", cost = 2 }
    """,
    "families/inner/f.toml": """\
        [[families]]
        name = "f"
        group_by = "k"
        features = ["x", { name = "z", kind = "categorical" }]
        estimator = "Ridge"
        preprocess = { categorical = "OneHotEncoder" }
        max_rows = "${var:most:-500}"
        max_failed = "2%"
        where = "x < ${env:LIMIT:-9}"
        description = "for ${env:TEAM} and ${var:least}"
        tags = "own"
        meta = { ticket = "B-2" }
        [families.evaluate.by_time]
        column = "day"
    """,
}
"""The same project in both formats."""


FAMILY = """\
families:
- name: f
  group_by: k
  source: s
  features: x
  label: y
  estimator: Ridge
"""
OWN = """\
from sklearn.base import BaseEstimator, RegressorMixin


class Own(RegressorMixin, BaseEstimator):
    def __init__(self, level=3):
        self.level = level

    def fit(self, X, y):
        return self
"""


def one_family(family: str, **files: str) -> dict[str, str]:
    sources = "sources: [{name: s, path: rows.csv, format: csv}]"
    return {"families/f.yml": family, "sources/s.yml": sources, **files}


def invoke(folder: Path, *arguments: str, **environ: str) -> Result:
    secrets = {"PLACE": SECRET, "PASSWORD": SECRET, "TEAM": SECRET}
    environment = {**_cache(), "HOME": str(folder), **secrets, **environ}
    return CliRunner().invoke(
        app, ["show", "f", "--resolved", "--project-dir", str(folder), *arguments], env=environment
    )


def resolved(folder: Path, *arguments: str, **environ: str) -> Found:
    """Return the values by path; each stands there once."""
    result = invoke(folder, "--output", "json", *arguments, **environ)
    assert result.exit_code == 0, result.stderr
    assert SECRET not in result.stdout
    rows = json.loads(result.stdout)
    assert all(list(row) == ["path", "value", "from", "via", "overrides"] for row in rows)
    found = {row.pop("path"): row for row in rows}
    assert len(found) == len(rows)
    return found


def told(origin: dict[str, Any]) -> str:
    """Say an origin in a line."""
    where = f"{origin['file']}:{origin['line']}:{origin['column']}" if origin["file"] else None
    return " ".join(part for part in (origin["kind"], origin["name"], where) if part)


def line(row: dict[str, Any]) -> list[Any]:
    """Return value, origin, and what it came through."""
    return [row["value"], told(row["from"]), *(told(origin) for origin in row["via"])]


def hidden(row: dict[str, Any]) -> list[tuple[str, Any, str]]:
    return [(o["path"], o["value"], told(o["from"])) for o in row["overrides"]]


@pytest.fixture(params=[YAML, TOML], ids=["yaml", "toml"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_project(tmp_path, request.param)


def test_every_kind_of_origin_in_yaml(tmp_path: Path) -> None:
    found = resolved(write_project(tmp_path, YAML))
    own, near, far, top = (
        "families/inner/f.yml",
        "families/inner/_defaults.yml",
        "families/_defaults.yml",
        "mf_project.yml",
    )
    assert {path: line(row) for path, row in found.items() if ".params." not in path} == {
        "name": ["f", f"family {own}:2:9"],
        "description": [
            "for ${env:TEAM} and 10",
            f"family {own}:13:16",
            "environment TEAM",
            f"variable least {top}:3:10",
        ],
        "group_by[0]": ["k", f"family {own}:3:13"],
        "source": ["s", f"folder default {far}:1:9"],
        "where": ["x < 9", f"family {own}:12:10", "reference default LIMIT"],
        "features[0].name": ["x", f"family {own}:4:14"],
        "features[0].kind": ["numeric", "built-in"],
        "features[1].name": ["z", f"family {own}:4:24"],
        "features[1].kind": ["categorical", f"family {own}:4:33"],
        "label": ["y", f"folder default {far}:2:8"],
        "weight": [None, "built-in"],
        "estimator.class": ["Ridge", f"family {own}:5:14"],
        "preprocess.categorical[0].class": ["OneHotEncoder", f"family {own}:7:18"],
        "evaluate.by_time.column": ["day", f"family {own}:9:23"],
        "evaluate.by_time.last": [0.2, "built-in"],
        "evaluate.refit": [False, "built-in"],
        "persistence": ["pickle", "built-in"],
        "search": [None, "built-in"],
        "evaluate.metrics[0]": ["rmse", "built-in"],
        "evaluate.metrics[1]": ["mae", "built-in"],
        "evaluate.metrics[2]": ["r2", "built-in"],
        "min_rows": [10, f"folder default {far}:3:11", f"variable chain {top}:4:10", f"variable least {top}:3:10"],
        "max_rows": [500, f"family {own}:10:13", "reference default most"],
        "on_too_many": ["skip", "built-in"],
        "null_keys": ["skip", "built-in"],
        "timeout": [600.0, f"project default {top}:8:12"],
        "max_failed.share": [0.02, f"family {own}:11:15"],
        "seed": [2, f"folder default {near}:1:7"],
        "fallback": [None, "built-in"],
        "tests": [[], "built-in"],
        "on_vanished": ["keep", "built-in"],
        "retrain_on": [[], "built-in"],
        "tags[0]": ["all", f"folder default {far}:5:14"],
        "tags[1]": ["deep", f"folder default {far}:5:8"],
        "tags[2]": ["own", f"family {own}:14:9"],
        "owner": ["us", f"project default {top}:6:10"],
        "meta.cost": [2, f"folder default {near}:2:27"],
        "meta.ticket": ["B-2", f"family {own}:15:18"],
        "sources.s.path": ["${env:PLACE}/rows.csv", "source sources/s.yml:3:9", "environment PLACE"],
        "sources.s.format": ["csv", "source sources/s.yml:4:11", "reference default FORMAT"],
        "sources.s.options.header": [True, "source sources/s.yml:6:13"],
        "sources.s.options.password": ["${env:PASSWORD}", "source sources/s.yml:7:15", "environment PASSWORD"],
    }


def test_every_kind_of_origin_in_toml(tmp_path: Path) -> None:
    found = resolved(write_project(tmp_path, TOML))
    own, far, top = "families/inner/f.toml", "families/_defaults.toml", "mf_project.toml"
    as_yaml = resolved(write_project(tmp_path / "yaml", YAML))
    assert {p: (r["value"], r["from"]["kind"]) for p, r in found.items()} == {
        p: (r["value"], r["from"]["kind"]) for p, r in as_yaml.items()
    }
    wanted = {
        "features[0].name": ["x", f"family {own}:4:13"],
        "features[1].kind": ["categorical", f"family {own}:4:39"],
        "estimator.class": ["Ridge", f"family {own}:5:13"],
        "evaluate.by_time.column": ["day", f"family {own}:14:10"],
        "min_rows": [10, f"folder default {far}:3:12", f"variable chain {top}:4:9", f"variable least {top}:3:9"],
        "tags[1]": ["deep", f"folder default {far}:5:9"],
        "meta.ticket": ["B-2", f"family {own}:12:19"],
        "timeout": [600.0, f"project default {top}:8:11"],
        "sources.s.path": ["${env:PLACE}/rows.csv", "source sources/s.toml:3:8", "environment PLACE"],
    }
    assert {path: line(found[path]) for path in wanted} == wanted


def test_what_a_nearer_value_hides_is_told(project: Path) -> None:
    found = resolved(project)
    suffix = next(project.glob("mf_project.*")).suffix
    far = f"folder default families/_defaults{suffix}"
    shown = {path: [(p, v, o.rpartition(":")[0]) for p, v, o in hidden(row)] for path, row in found.items()}
    assert shown["seed"] == [("seed", 1, f"{far}:4")]
    whole = [("evaluate", {"holdout": 0.2, "metrics": ["rmse"]}, f"{far}:6")]
    assert shown["evaluate.by_time.column"] == shown["evaluate.refit"] == whole
    assert [(p, v) for p, v, _ in shown["meta.ticket"]] == [("meta.ticket", "A-1")]
    assert [(p, v) for p, v, _ in shown["meta.cost"]] == [("meta.cost", 1)]
    assert [(p, v) for p, v, _ in shown["tags[0]"]] == [("tags[0]", "all")]  # the project gives it too
    assert shown["tags[2]"] == shown["label"] == []


def test_parameters_that_are_not_given_have_the_default_of_the_class(project: Path) -> None:
    found = {path: line(row) for path, row in resolved(project).items() if path.startswith("estimator.")}
    suffix = next(project.glob("mf_project.*")).suffix
    assert found["estimator.params.alpha"] == [1.0, "scikit-learn"]
    seed = f"seed seed families/inner/_defaults{suffix}:1:{7 if suffix == '.yml' else 8}"
    assert found["estimator.params.random_state"] == [None, "scikit-learn", seed]


def test_a_random_state_that_is_left_open_by_hand_is_seeded_too(tmp_path: Path) -> None:
    family = FAMILY.replace("Ridge", "{class: Ridge, params: {random_state: null}}")
    found = resolved(write_project(tmp_path, one_family(family)))
    assert line(found["estimator.params.random_state"]) == [None, "family families/f.yml:7:52", "seed seed"]


def test_nested_estimators_and_pipelines_are_taken_apart(tmp_path: Path) -> None:
    family = """\
        families:
        - name: f
          group_by: k
          source: s
          features: x
          label: y
          pipeline:
          - {name: scale, class: QuantileTransformer, params: {n_quantiles: 5}}
          - name: model
            class: BaggingRegressor
            params:
              estimator: {class: DecisionTreeRegressor, params: {max_depth: 3}}
              random_state: 4
    """
    found = {path: line(row) for path, row in resolved(write_project(tmp_path, one_family(family))).items()}
    nested = "pipeline[1].params.estimator"
    wanted = {
        "pipeline[0].name": ["scale", "family families/f.yml:8:12"],
        "pipeline[0].params.n_quantiles": [5, "family families/f.yml:8:69"],
        "pipeline[0].params.random_state": [None, "scikit-learn", "seed seed"],
        "pipeline[1].class": ["BaggingRegressor", "family families/f.yml:10:12"],
        f"{nested}.class": ["DecisionTreeRegressor", "family families/f.yml:12:26"],
        f"{nested}.params.max_depth": [3, "family families/f.yml:12:69"],
        f"{nested}.params.min_samples_leaf": [1, "scikit-learn"],
        f"{nested}.params.random_state": [None, "scikit-learn", "seed seed"],
        "pipeline[1].params.random_state": [4, "family families/f.yml:13:21"],
        "pipeline[1].params.n_estimators": [10, "scikit-learn"],
    }
    assert {path: found[path] for path in wanted} == wanted


def test_a_class_in_meta_is_no_estimator(tmp_path: Path) -> None:
    family = FAMILY + "  meta: {class: Ridge, tier: {class: gold, random_state: null}}\n"
    found = {path: line(row) for path, row in resolved(write_project(tmp_path, one_family(family))).items()}
    assert {path: value for path, value in found.items() if path.startswith("meta")} == {
        "meta.class": ["Ridge", "family families/f.yml:8:17"],
        "meta.tier.class": ["gold", "family families/f.yml:8:38"],
        "meta.tier.random_state": [None, "family families/f.yml:8:58"],
    }


def test_a_value_that_is_merged_in_has_the_place_where_it_is_written(tmp_path: Path) -> None:
    family = """\
        families:
        - &base
          name: g
          group_by: k
          source: s
          features: x
          label: y
          estimator: &ridge {class: Ridge, params: {alpha: 2}}
        - <<: *base
          name: f
          label: z
          estimator: {<<: *ridge, params: {tol: 1}}
    """
    found = {path: line(row) for path, row in resolved(write_project(tmp_path, one_family(family))).items()}
    wanted = {
        "name": ["f", "family families/f.yml:10:9"],
        "source": ["s", "family families/f.yml:5:11"],
        "label": ["z", "family families/f.yml:11:10"],
        "estimator.class": ["Ridge", "family families/f.yml:8:29"],
        "estimator.params.tol": [1, "family families/f.yml:12:41"],
        "estimator.params.alpha": [1.0, "scikit-learn"],
    }
    assert {path: found[path] for path in wanted} == wanted


def test_a_class_of_another_package_has_defaults_of_its_own(tmp_path: Path) -> None:
    files = {**one_family(FAMILY.replace("Ridge", "own_estimators.Own")), "own_estimators.py": OWN}
    files["mf_project.yml"] = "name: demo\nestimator_packages: [own_estimators]\n"
    found = resolved(write_project(tmp_path, files), PYTHONPATH=str(tmp_path))
    assert line(found["estimator.params.level"]) == [3, "class"]


def test_an_alternative_hides_what_is_inherited(tmp_path: Path) -> None:
    files = {
        **one_family(FAMILY.replace("source: s", "sql: select * from {{ source('s') }}")),
        "families/_defaults.yml": "source: s\npreprocess: {numeric: StandardScaler}\n",
    }
    found = resolved(write_project(tmp_path, files))
    assert "source" not in found
    assert "sql_file" not in found
    assert hidden(found["sql"]) == [("source", "s", "folder default families/_defaults.yml:1:9")]
    assert line(found["sql"]) == ["select * from {{ source('s') }}", "family families/f.yml:4:8"]
    assert line(found["sources.s.path"]) == ["rows.csv", "source sources/s.yml:1:27"]
    assert "pipeline" not in found


def test_a_query_in_a_file_of_its_own_has_its_place_there(tmp_path: Path) -> None:
    query = "select *\nfrom {{ source('s') }}\n"
    files = one_family(FAMILY.replace("source: s", "sql_file: ${env:TEAM}/f.sql"))
    folder = write_project(tmp_path, {**files, f"{SECRET}/f.sql": query})
    found = resolved(folder)
    assert line(found["sql_file"]) == ["${env:TEAM}/f.sql", "family families/f.yml:4:13", "environment TEAM"]
    assert line(found["query"]) == [query, "query file ${env:TEAM}/f.sql:1:1"]


def test_a_variable_of_the_command_line_hides_that_of_the_project(project: Path) -> None:
    found = resolved(project, "--vars", "{least: 20, most: 900}")
    suffix = next(project.glob("mf_project.*")).suffix
    assert found["min_rows"]["value"] == 20
    assert [told(origin) for origin in found["min_rows"]["via"]][1:] == ["command line least"]
    ((path, value, origin),) = hidden(found["min_rows"])
    assert (path, value) == ("vars.least", 10)
    assert origin.startswith(f"variable least mf_project{suffix}:")
    assert line(found["max_rows"])[::2] == [900, "command line most"]
    assert hidden(found["max_rows"]) == []  # the project does not declare it


def test_a_value_in_a_variable_has_its_place_there(tmp_path: Path) -> None:
    files = one_family(
        FAMILY.replace("features: x", "features: ${var:cols}").replace("Ridge", "{class: Ridge, params: '${var:p}'}")
    )
    files["mf_project.yml"] = "name: demo\nvars:\n  cols: [x, {name: z, kind: numeric}]\n  p:\n    alpha: 3\n"
    found = resolved(write_project(tmp_path, files))
    assert line(found["features[1].kind"]) == [
        "numeric",
        "family families/f.yml:5:13",
        "variable cols mf_project.yml:3:29",
    ]
    assert line(found["features[0].kind"]) == ["numeric", "built-in"]
    assert line(found["estimator.params.alpha"])[::2] == [3, "variable p mf_project.yml:5:12"]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("owner: ${env:TEAM}", ("owner", "${env:TEAM}")),
        ("owner: at ${env:TEAM:-home}!", ("owner", "at ${env:TEAM}!")),
        ("owner: ${var:who}", ("owner", "of ${env:TEAM}")),
        ("tags: [a, '${env:TEAM}']", ("tags[1]", "${env:TEAM}")),
        ("tags: ${env:TEAM}", ("tags[0]", "${env:TEAM}")),
        ("meta: {a: [1, '${env:TEAM}']}", ("meta.a[1]", "${env:TEAM}")),
        ("meta: {sql: '${env:TEAM}'}", ("meta.sql", "${env:TEAM}")),
        ("where: x = '${env:TEAM}'", ("where", "x = '${env:TEAM}'")),
        ("min_rows: ${env:COUNT}", ("min_rows", "${env:COUNT}")),
        ("max_failed: ${env:COUNT}%", ("max_failed.share", "${env:COUNT}%")),
        ("description: ${env:TEAM}", ("description", "${env:TEAM}")),
        ("weight: ${env:TEAM}", ("weight", "${env:TEAM}")),
    ],
)
@pytest.mark.parametrize("layer", ["families/f.yml", "families/_defaults.yml", "mf_project.yml"])
def test_a_value_of_the_environment_is_never_shown(
    tmp_path: Path, written: str, shown: tuple[str, str], layer: str
) -> None:
    files = {**one_family(FAMILY), "mf_project.yml": "name: demo\nvars: {who: 'of ${env:TEAM}'}\n"}
    around = {"families/f.yml": f"  {written}\n", "mf_project.yml": f"defaults:\n  {written}\n"}
    files[layer] = files.get(layer, "") + around.get(layer, f"{written}\n")
    folder = write_project(tmp_path, files)
    path, value = shown
    found = resolved(folder, COUNT="31")
    assert found[path]["value"] == value
    assert "environment" in [origin["kind"] for origin in found[path]["via"]]
    assert "31" not in invoke(folder, COUNT="31").stdout
    assert SECRET not in invoke(folder, COUNT="31").stdout


def test_a_value_of_the_environment_is_not_shown_where_it_is_hidden(tmp_path: Path) -> None:
    files = {
        **one_family(FAMILY + "  owner: me\n  where: null\n  meta: {a: 1}\n"),
        "families/_defaults.yml": "owner: ${var:who}\nwhere: x = ${env:TEAM:-1}\nmeta: {a: ['${env:TEAM}']}\n",
        "mf_project.yml": "name: demo\nvars: {who: 'of ${env:TEAM}'}\n",
    }
    folder = write_project(tmp_path, files)
    found = resolved(folder, "--vars", "{who: you}")
    assert hidden(found["owner"])[0][1] == "you"
    found = resolved(folder)
    assert hidden(found["owner"])[0][1] == "of ${env:TEAM}"
    assert found["where"]["value"] is None
    assert hidden(found["where"])[0][1] == "x = ${env:TEAM}"
    assert hidden(found["meta.a"]) == [("meta.a", ["${env:TEAM}"], "folder default families/_defaults.yml:3:11")]
    assert SECRET not in invoke(folder).stdout


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the innermost values of a validated definition that are written or have a default, by path."""
    match value:
        case Spec():
            for name, field in type(value).model_fields.items():
                inner = getattr(value, name)
                if inner not in (None, (), {}):
                    yield from leaves(inner, (*path, field.alias or name))
        case dict():
            for key, item in value.items():
                yield from leaves(item, (*path, key))
        case list() | tuple():
            for index, item in enumerate(value):
                yield from leaves(item, (*path, index))
        case _:
            yield path_text(path), value


@pytest.mark.parametrize("name", ["flights", "gapminder"])
def test_every_value_of_the_examples_has_one_origin_and_is_the_validated_one(name: str) -> None:
    folder = PROJECTS / name
    for family in workspace_of(folder).families:
        arguments = ["show", family.name, "--resolved", "--project-dir", str(folder), "--output", "json"]
        result = CliRunner().invoke(app, arguments, env=_cache())
        assert result.exit_code == 0, result.stderr
        rows = json.loads(result.stdout)
        found = {row["path"]: row["value"] for row in rows}
        assert len(found) == len(rows)
        validated = dict(leaves(family.spec))
        assert validated == {path: found[path] for path in validated}
        for row in rows:
            written = row["from"]["kind"] not in ("built-in", "scikit-learn")
            assert written == (row["from"]["line"] is not None)
            if row["path"] not in validated and not row["path"].startswith("sources."):
                assert not written
            if written and isinstance(row["value"], str) and not row["via"] and "\n" not in row["value"]:
                text = (folder / row["from"]["file"]).read_text(encoding="utf-8").splitlines()
                assert row["value"] in text[row["from"]["line"] - 1][row["from"]["column"] - 1 :]


def test_the_store_is_not_looked_at(project: Path) -> None:
    (project / "store/f").mkdir(parents=True)
    (project / "store/f/manifest.json").write_text("{", encoding="utf-8")
    assert invoke(project).exit_code == 0
    environ = {**_cache(), "PLACE": "", "PASSWORD": "", "TEAM": ""}
    short = CliRunner().invoke(app, ["show", "f", "--project-dir", str(project)], env=environ)
    assert "MF404" in short.stderr


def test_a_group_has_no_definition_of_its_own(project: Path) -> None:
    result = invoke(project, "--group", "k=1")
    assert result.exit_code == 2
    assert "--resolved" in result.stderr


def test_an_unknown_family_is_one_message(project: Path) -> None:
    result = CliRunner().invoke(
        app,
        ["show", "g", "--resolved", "--project-dir", str(project)],
        env={**_cache(), "PLACE": "", "PASSWORD": "", "TEAM": ""},
    )
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no family `g`" in result.stderr


KEYS = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1)


@given(st.lists(KEYS | st.integers(min_value=0, max_value=99), min_size=1), st.lists(KEYS | st.integers(0, 99)))
def test_two_paths_never_have_one_text(one: list[str | int], other: list[str | int]) -> None:
    assert (path_text(tuple(one)) == path_text(tuple(other))) == (one == other)


# For people ---------------------------------------------------------------------------------------------------------


def on_terminal(columns: int, *arguments: str) -> list[str]:
    """Run `mf` on a terminal, and return the lines without colours."""
    control, terminal = pty.openpty()
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environ = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR", "CI")}
    command = [sys.executable, "-m", "modelfactory", *arguments]
    done = subprocess.Popen(
        command, stdout=terminal, stderr=subprocess.PIPE, env={**environ, **_cache(), "TERM": "xterm"}
    )
    os.close(terminal)
    written = b""
    while True:
        try:
            read = os.read(control, 65536)
        except OSError:  # the other end is closed
            break
        if not read:
            break
        written += read
    os.close(control)
    _, said = done.communicate(timeout=60)
    assert done.returncode == 0, said
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", written.decode()).splitlines()]


@pytest.mark.parametrize("columns", [80, 110])
def test_the_table_fits_a_terminal_and_places_stay_whole(columns: int) -> None:
    flights = str(PROJECTS / "flights")
    lines = on_terminal(columns, "show", "arr_delay_by_dest", "--resolved", "--project-dir", flights)
    assert max(len(line) for line in lines) <= columns
    text = "\n".join(lines)
    assert re.search(r"^label +arr_delay +families/_defaults\.yml:4$", text, re.MULTILINE)
    assert re.search(r"^  params\.alpha +1\.0 +families/arrival/routes\.yml:6$", text, re.MULTILINE)
    assert re.search(r"^  params\.solver +auto +scikit-learn default$", text, re.MULTILINE)


def test_the_table_puts_together_what_belongs_together(project: Path) -> None:
    suffix = next(project.glob("mf_project.*")).suffix
    result = invoke(project)
    assert result.exit_code == 0, result.stderr
    rows = [re.split(r" {2,}", row) for row in result.stdout.splitlines()[3:]]
    own, far = f"families/inner/f{suffix}", f"families/_defaults{suffix}"
    seed = rows.index(["seed", "2", f"families/inner/_defaults{suffix}:1"])
    assert rows[seed + 1] == ["", f"overrides seed: 1, {far}:4"]
    assert ["features[0-1].name", "[x, z]", f"{own}:4"] in rows
    assert ["features[1].kind", "categorical", f"{own}:4"] in rows
    assert ["", f"via the group's key and seed, families/inner/_defaults{suffix}:1"] in rows
    assert ["evaluate"] in rows
    assert ["", "metrics", "[rmse, mae, r2]", "built-in default"] in rows
    assert ["sources.s"] in rows
    assert ["", "path", "${env:PLACE}/rows.csv", f"sources/s{suffix}:3"] in rows
    assert ["", "via environment PLACE"] in rows
    assert ["not set", "weight, search, retrain_on, fallback, tests", "built-in default"] in rows


def test_every_value_of_a_search_has_its_place(tmp_path: Path) -> None:
    search = """\
  search:
    params: {alpha: [0.1, 1]}
    estimators:
    - Lasso
    - {class: RandomForestRegressor, params: {n_estimators: 5}, search: {max_depth: [2, null]}}
"""
    found = resolved(write_project(tmp_path, one_family(FAMILY + search)))
    file = "family families/f.yml"
    assert {path: line(row) for path, row in found.items() if path.startswith("search") and "params" not in path} == {
        "search.estimators[0].class": ["Lasso", f"{file}:11:7"],
        "search.estimators[1].class": ["RandomForestRegressor", f"{file}:12:15"],
        "search.estimators[1].search.max_depth[0]": [2, f"{file}:12:86"],
        "search.estimators[1].search.max_depth[1]": [None, f"{file}:12:89"],
        "search.folds": [5, "built-in"],
        "search.metric": ["rmse", "built-in"],
    }
    assert line(found["search.params.alpha[1]"]) == [1, f"{file}:9:27"]
    assert line(found["search.estimators[1].params.n_estimators"]) == [5, f"{file}:12:61"]
    assert line(found["search.estimators[1].params.random_state"]) == [None, "scikit-learn", "seed seed"]
