"""What a user hears while a cluster gives no worker."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from support import RecordingReporter

from modelfactory.commands import launching
from modelfactory.commands.run import start_run


@pytest.mark.parametrize(("answers_after", "told"), [(0.0, 0), (0.5, 1)])
def test_a_cluster_that_gives_no_worker_is_waited_for_and_the_user_is_told(tmp_path, monkeypatch, answers_after, told):
    def probe(_session, libraries):
        time.sleep(answers_after)
        return SimpleNamespace(libraries={**libraries, "numpy": "0.0.1"})

    monkeypatch.setattr(launching, "_PATIENCE", 0.1)
    monkeypatch.setattr("modelfactory.spark.probe.probe_workers", probe)
    reporter = RecordingReporter()
    run = launching._with_workers(None, start_run(tmp_path), reporter)
    assert run.libraries["numpy"] == "0.0.1"  # the workers', since they make the models
    assert reporter.of("note") == [("still waiting for the first worker of the cluster",)] * told
