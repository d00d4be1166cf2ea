"""`mf schema` prints and writes the schemas; `mf init` wires them up for editors."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from support import public_facts
from typer.testing import CliRunner

from modelfactory.cli.app import app
from modelfactory.commands import catalog
from modelfactory.project.schemas import SCHEMAS

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/modelfactory"


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of the classes already."""
    monkeypatch.setattr("modelfactory.commands.schema.learn_public_classes", lambda _: public_facts())


def files_in(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("name", SCHEMAS)
def test_one_schema_is_printed_by_name(name: str) -> None:
    result = RUNNER.invoke(app, ["schema", name])
    assert result.exit_code == 0
    assert result.stderr == ""
    document = json.loads(result.stdout)
    assert document["$id"] == f"urn:modelfactory:schema:{name}"
    Draft7Validator.check_schema(document)


@pytest.mark.usefixtures("known")
def test_without_a_name_one_document_holds_all() -> None:
    result = RUNNER.invoke(app, ["schema"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["definitions"].keys() >= SCHEMAS.keys()


@pytest.mark.usefixtures("known")
def test_schemas_are_written_to_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "some/schemas"
    result = RUNNER.invoke(app, ["schema", "--write", str(folder)])
    assert result.exit_code == 0
    assert result.stdout == ""
    assert files_in(folder) == sorted(f"{name}.schema.json" for name in SCHEMAS)
    printed = RUNNER.invoke(app, ["schema", "families"]).stdout
    assert (folder / "families.schema.json").read_text(encoding="utf-8") == printed
    other = tmp_path / "one"
    RUNNER.invoke(app, ["schema", "project", "--write", str(other)])
    assert files_in(other) == ["project.schema.json"]


@pytest.mark.usefixtures("known")
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = RUNNER.invoke(app, ["schema", "--write", str(tmp_path / "file")])
    assert result.exit_code == 2
    assert result.stderr.startswith("error[MF502]: cannot write to")


def test_an_unknown_name_is_a_usage_error() -> None:
    result = RUNNER.invoke(app, ["schema", "familes"])
    assert result.exit_code == 2
    assert "families" in result.stderr


def test_what_was_learnt_of_the_classes_is_remembered(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = RUNNER.invoke(app, ["schema", "families"])
    assert first.exit_code == 0
    assert [file.name.startswith("public-classes-") for file in cache.iterdir()] == [True]
    monkeypatch.setattr(catalog, "_ask", lambda _: pytest.fail("asked again"))
    assert RUNNER.invoke(app, ["schema", "families"]).stdout == first.stdout


def test_classes_that_cannot_be_asked_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "_ask", lambda _: {"Ridge": {"path": "Ridge", "error": "no scikit-learn"}})
    result = RUNNER.invoke(app, ["schema"])
    assert result.exit_code == 2
    assert "cannot ask the estimator classes" in result.stderr
    assert result.stdout == ""


# A new project ------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(known: None, tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    result = RUNNER.invoke(app, ["init", str(folder)])
    assert result.exit_code == 0
    assert f"wrote {folder}/.mf/schemas/families.schema.json" in result.stderr
    return folder


def without_comments(file: Path) -> Any:
    return json.loads(re.sub(r"^\s*//.*$", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE))


def test_a_new_project_has_its_schemas_and_leaves_them_out_of_git(project: Path) -> None:
    assert files_in(project / ".mf/schemas") == sorted(f"{name}.schema.json" for name in SCHEMAS)
    assert ".mf/" in (project / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_the_settings_for_yaml_name_schemas_that_are_there(project: Path) -> None:
    settings = without_comments(project / ".vscode/settings.json")["yaml.schemas"]
    assert {(project / file).resolve() for file in settings} == set((project / ".mf/schemas").resolve().iterdir())
    globs = {Path(file).name.partition(".")[0]: patterns for file, patterns in settings.items()}
    assert globs["families"] == [f"families/**/*.{s}" for s in ("yml", "yaml")] + [f"!{p}" for p in globs["defaults"]]


def test_the_rules_for_toml_name_schemas_that_are_there(project: Path) -> None:
    rules = tomllib.loads((project / ".taplo.toml").read_text(encoding="utf-8"))["rule"]
    assert {project / rule["schema"]["path"] for rule in rules} == set((project / ".mf/schemas").iterdir())


def test_the_extensions_are_recommended(project: Path) -> None:
    recommended = without_comments(project / ".vscode/extensions.json")["recommendations"]
    assert recommended == ["redhat.vscode-yaml", "tamasfe.even-better-toml"]


def test_a_project_is_made_even_if_there_can_be_no_schemas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "_ask", lambda _: {})
    result = RUNNER.invoke(app, ["init", str(tmp_path / "mine")])
    assert result.exit_code == 0
    assert "wrote no schemas for editors: cannot ask the estimator classes" in result.stderr
    assert (tmp_path / "mine/mf_project.yml").is_file()
    assert not (tmp_path / "mine/.mf").exists()
