"""A family says by what its models are written: how that travels from its file to the bytes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from support import FAMILY_YAML, workspace_of, write_project
from training_samples import fit, make_step, sample_group
from typer.testing import CliRunner

from modelfactory.cli.app import app
from modelfactory.plan.meaning import ChangeKind, differences
from modelfactory.plan.outcomes import Status
from modelfactory.plan.steps import TrainStep
from modelfactory.plan.text import plan_text
from modelfactory.scoring.loading import load_model

LINEAR = """families:
  - name: f
    group_by: [k]
    source: s
    features: [x]
    label: y
    estimator: LinearRegression
"""
FILES = {
    "mf_project.yml": "name: demo\n",
    "sources/s.yml": "sources: [{name: s, path: x.parquet}]\n",
    "families/f.yml": LINEAR,
}


def step_of(folder: Path, more: str = "") -> TrainStep:
    plan = workspace_of(write_project(folder, {**FILES, "families/f.yml": LINEAR + more})).plan
    assert ("written by skops" in plan_text(plan)) == ("skops" in more)
    return plan.steps[0]


def test_skops_is_another_meaning_and_the_default_is_none(tmp_path: Path) -> None:
    plain = step_of(tmp_path / "a")
    named = step_of(tmp_path / "b", "    persistence: pickle\n")
    skops = step_of(tmp_path / "c", "    persistence: skops\n")
    assert plain.fit.persistence == "pickle"
    assert "persistence" not in plain.meaning.models
    assert plain.definition_fingerprint == named.definition_fingerprint != skops.definition_fingerprint
    (change,) = differences(plain.meaning, skops.meaning)
    assert (change.path, change.new, change.kind) == (("persistence",), "skops", ChangeKind.RETRAIN)


def test_models_that_skops_writes_are_not_stamped(tmp_path: Path) -> None:
    assert step_of(tmp_path / "a").fit.linear_solve is not None
    skops = step_of(tmp_path / "b", "    persistence: skops\n")
    assert (skops.fit.persistence, skops.fit.linear_solve) == ("skops", None)


def test_another_word_is_an_error(tmp_path: Path) -> None:
    folder = write_project(tmp_path, {**FILES, "families/f.yml": LINEAR + "    persistence: joblib\n"})
    result = CliRunner().invoke(app, ["parse", "--project-dir", str(folder)])
    assert result.exit_code == 2
    assert "MF202" in result.stderr


def test_a_family_that_asks_for_skops_where_it_is_not_there_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_project(tmp_path, {**FILES, "families/f.yml": LINEAR + "    persistence: skops\n"})
    found = importlib.util.find_spec

    def without_skops(name: str, *rest: Any) -> Any:
        return None if name == "skops" else found(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without_skops)
    result = CliRunner().invoke(app, ["parse", "--project-dir", str(folder)])
    assert result.exit_code == 2
    assert "error[MF408]: `persistence: skops` needs skops" in result.stderr
    assert "--> families/f.yml:8:18" in result.stderr
    assert "help: pip install 'modelfactory-spark[skops]'" in result.stderr
    write_project(tmp_path, {**FILES, "families/f.yml": FAMILY_YAML})
    assert CliRunner().invoke(app, ["parse", "--project-dir", str(folder)]).exit_code == 0


def test_the_worker_writes_what_the_loader_reads() -> None:
    step = make_step("sklearn.linear_model.Ridge", persistence="skops", linear_solve=None)
    outcome = fit(step, sample_group())
    assert (outcome.status, outcome.error) == (Status.TRAINED, None)
    assert outcome.model is not None
    assert outcome.model.format == "skops"
    model = load_model(outcome.model.data, format="skops", sha256=outcome.model.sha256)
    assert model.feature_names_in_.tolist() == [feature.name for feature in step.features]


def test_a_model_that_skops_cannot_write_is_a_failed_group_with_the_reason() -> None:
    step = make_step("sklearn.cluster.Birch", task="unsupervised", persistence="skops")
    outcome = fit(step, sample_group())
    assert outcome.status == Status.FAILED
    assert outcome.error_type
    assert outcome.error
    assert outcome.model is None
