"""Groups that go wrong in every way, on a Spark of this machine: each is a row that says so, and costs no other."""

from __future__ import annotations

import subprocess
import sys

import pytest
from fault_support import WELL, checked_groups, expected_outcomes, faulty_project, models_of, outcomes_of
from faulty_estimators import FAULTS
from support import RecordingReporter, workspace_of

from modelfactory.commands.build import build

pytestmark = pytest.mark.xdist_group("embedded")  # they share a session
NAMES = [fault.__name__ for fault in FAULTS]


@pytest.fixture(scope="module")
def undisturbed(spark, tmp_path_factory):
    """The models of a build in which nothing goes wrong."""
    folder = faulty_project(tmp_path_factory.mktemp("undisturbed"), [])
    build(workspace_of(folder), RecordingReporter(), session=spark)
    models = models_of(checked_groups(folder))
    assert len(models) == WELL
    assert all(models.values())
    return models


@pytest.mark.faults
@pytest.mark.parametrize("fault", [name for name in NAMES if name != "eats_memory"])  # it would eat this machine's
def test_a_fault_costs_its_own_group_alone(spark, tmp_path, undisturbed, fault):
    folder = faulty_project(tmp_path, [fault])
    result = build(workspace_of(folder), RecordingReporter(), session=spark)
    assert result.exit_code == 0
    groups = checked_groups(folder)
    assert outcomes_of(groups) == expected_outcomes([fault])
    assert models_of(groups) == undisturbed


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is not counted")
def test_all_faults_together_cost_their_own_groups_alone(tmp_path, undisturbed):
    folder = faulty_project(tmp_path, NAMES)
    profile = "targets: {local: {master: 'local[2]', worker_memory: 1g}}\n"
    (folder / "profiles.yml").write_text(profile, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "modelfactory", "build", "--project-dir", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    groups = checked_groups(folder)
    assert outcomes_of(groups) == expected_outcomes(NAMES)
    assert models_of(groups) == undisturbed


def test_a_job_that_spark_does_not_try_again_is_run_once_more_with_care(spark, tmp_path, undisturbed, monkeypatch):
    """As on a cluster with `spark.task.maxFailures=1`: no attempt of the first job fits groups apart."""
    import modelfactory.spark.training as training

    hasty = training._worker
    calls = []

    def never_again(fit, memory, champions, *, isolated):
        calls.append(isolated)
        if isolated:
            return hasty(fit, memory, champions, isolated=True)

        def train(batches):
            from modelfactory.training.worker import train_batches

            return train_batches(fit, batches)

        return train

    monkeypatch.setattr(training, "_worker", never_again)
    folder = faulty_project(tmp_path, ["segfaults", "raises"])
    build(workspace_of(folder), RecordingReporter(), session=spark)
    assert calls == [False, True]
    groups = checked_groups(folder)
    assert outcomes_of(groups) == expected_outcomes(["segfaults", "raises"])
    assert models_of(groups) == undisturbed
