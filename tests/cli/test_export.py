"""`mf export`: what it writes where, what it says, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import joblib
import pyarrow as pa
import pytest
from model_samples import Group, fitted, publish, sample_groups, sample_label, sample_rows
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import SplineTransformer
from support import ONE_ROW, _cache, write_project
from typer.testing import CliRunner, Result

from modelfactory.cli.app import app

TEXT = {"k": pa.string()}
GROUPS = [*sample_groups(LinearRegression(), ["a", "b"]), Group(key=("few",), status="too_few_rows")]
SPLINES = sample_groups(Pipeline([("splines", SplineTransformer()), ("model", Ridge())]), ["curved", "bent"])
FORMATS = ["mlflow", "onnx", "joblib", "sql"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", ONE_ROW)


def store(project: Path) -> Path:
    return project / "store"


def mf(project: Path, *arguments: str) -> Result:
    options = ["--project-dir", str(project)]
    return CliRunner().invoke(app, ["export", "f", *arguments, *options], env=_cache())


@pytest.mark.parametrize("form", FORMATS)
def test_every_group_is_counted_in_the_last_line(form: str, project: Path, tmp_path: Path) -> None:
    publish(store(project), "f", TEXT, GROUPS)
    out = tmp_path / "new" / "out"
    done = mf(project, "--format", form, "--output", str(out))
    assert done.exit_code == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].endswith("s: 2 exported, 1 without a model, 0 cannot be converted")
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_what_is_there_stays_unless_it_is_to_be_replaced(project: Path, tmp_path: Path) -> None:
    publish(store(project), "f", TEXT, GROUPS)
    out = tmp_path / "out"
    out.write_text("precious", encoding="utf-8")
    refused = mf(project, "-f", "joblib", "-o", str(out))
    assert refused.exit_code == 2
    assert "exists" in refused.stderr
    assert "--mode overwrite" in refused.stderr
    publish(store(project), "f", TEXT, SPLINES)
    assert mf(project, "-f", "sql", "-o", str(out), "--mode", "overwrite").exit_code == 2
    assert out.read_text(encoding="utf-8") == "precious"
    assert mf(project, "-f", "joblib", "-o", str(out), "--mode", "overwrite").exit_code == 0
    assert joblib.load(out)["version"] == 2
    assert mf(project, "-f", "joblib", "-o", str(out), "--mode", "overwrite", "--version", "1").exit_code == 0
    assert joblib.load(out)["version"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "project"]


def test_only_an_export_is_replaced_and_no_other_folder(project: Path) -> None:
    publish(store(project), "f", TEXT, GROUPS)
    for folder in (project, store(project), project.parent):
        refused = mf(project, "-f", "joblib", "-o", str(folder), "--mode", "overwrite")
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "no export has written" in refused.stderr
    assert (project / "mf_project.yml").exists()
    out = project.parent / "out"
    out.mkdir()
    for form in ("sql", "joblib"):
        assert mf(project, "-f", form, "-o", str(out), "--mode", "overwrite").exit_code == 0


def test_models_that_cannot_be_converted_are_told_and_counted(project: Path, tmp_path: Path) -> None:
    whole = fitted(SPLINES[0].model, sample_rows(), sample_label(sample_rows()))
    publish(store(project), "f", TEXT, [*GROUPS, *SPLINES], fallback="global", global_model=whole)
    done = mf(project, "-f", "onnx", "-o", str(tmp_path / "out"))
    assert done.exit_code == 0
    assert "warning[MF509]: 2 models cannot be written as onnx: MissingShapeCalculator" in done.stderr
    assert "warning[MF509]: the model of all rows cannot be written as onnx" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("2 exported, 1 without a model, 2 cannot be converted")
    assert "all rows" not in mf(project, "-f", "onnx", "-o", str(tmp_path / "alone"), "--no-fallback").stderr
    strict = mf(project, "-f", "onnx", "-o", str(tmp_path / "strict"), "--warn-error")
    assert strict.exit_code == 2
    assert not (tmp_path / "strict").exists()


def test_if_none_can_be_converted_nothing_is_written(project: Path, tmp_path: Path) -> None:
    publish(store(project), "f", TEXT, SPLINES)
    for form in ("onnx", "sql"):
        done = mf(project, "-f", form, "-o", str(tmp_path / "out"))
        assert done.exit_code == 2
        assert "error[MF509]" in done.stderr
        assert "SplineTransformer" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


@pytest.mark.parametrize(("form", "module"), [("mlflow", "mlflow"), ("onnx", "skl2onnx")])
def test_an_extra_that_is_missing_is_named(
    form: str, module: str, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == module else find(name, *rest))
    done = mf(project, "-f", form, "-o", str(tmp_path / "out"))
    assert done.exit_code == 2
    assert f"error[MF408]: --format {form} needs {module}, which is not installed" in done.stderr
    assert f"pip install 'modelfactory-spark[{form}]'" in done.stderr


def test_what_cannot_be_exported_is_said(project: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    assert "error[MF503]: family `f` was never built" in mf(project, "-f", "joblib", "-o", out).stderr
    assert "is a URL" in mf(project, "-f", "joblib", "-o", "s3://bucket/out").stderr
    unknown = CliRunner().invoke(
        app, ["export", "g", "-f", "sql", "-o", out, "--project-dir", str(project)], env=_cache()
    )
    assert "error[MF502]: no family `g` in the project" in unknown.stderr
    assert "help: known: `f`" in unknown.stderr
    publish(store(project), "f", TEXT, GROUPS, libraries={"scikit-learn": "0.1"})
    other = mf(project, "-f", "joblib", "-o", out)
    assert other.exit_code == 2
    assert "error[MF508]" in other.stderr
    assert "no version 7" in mf(project, "-f", "joblib", "-o", out, "--version", "7").stderr
    assert not Path(out).exists()
    assert mf(project, "-f", "joblib", "-o", out, "--allow-version-mismatch").exit_code == 0


def test_in_json_the_counts_are_fields(project: Path, tmp_path: Path) -> None:
    publish(store(project), "f", TEXT, GROUPS)
    done = mf(project, "-f", "joblib", "-o", str(tmp_path / "out"), "--log-format", "json")
    last: dict[str, Any] = json.loads(done.stderr.splitlines()[-1])
    assert last["event"] == "export_finished"
    assert (last["exported"], last["without_model"], last["refused"]) == (2, 1, 0)
