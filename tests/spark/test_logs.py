"""What a real build tells a collector: lines of JSON on stderr, and the same and more in `target/logs/mf.log`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support import ONE_ROW, started_build, write_project

SECRET = "hunter2"
FAMILIES = """
families:
- {name: good, group_by: k, source: rows, features: [x], label: y, estimator: LinearRegression}
- {name: some, group_by: k, source: rows, features: [x], label: y, where: "'${env:WORD}' != ''",
   estimator: spark_estimators.FailsOnNegative, max_failed: 1}
- {name: bad, group_by: k, source: rows, features: [x], label: y, estimator: spark_estimators.FailsOnNegative}
- {name: none, group_by: k, source: rows, features: [x], label: y, min_rows: 100, estimator: Ridge}
"""


def build(folder: Path, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "modelfactory", "build", "--project-dir", str(folder), *options]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **environ}
    )


def events_of(lines: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]


def only(events: list[dict[str, Any]], event: str, family: str) -> dict[str, Any]:
    (found,) = (e for e in events if e["event"] == event and e.get("family") == family)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rows = "".join(f"{k},{-i if k == 'a' else i},{i}\n" for k in "abc" for i in range(1, 9)) + "b,1,\n"
    return write_project(
        tmp_path_factory.mktemp("project"),
        {
            "mf_project.yml": "name: demo\nestimator_packages: [sklearn, spark_estimators]\n",
            "profiles.yml": "targets: {local: {master: 'local[2]', conf: {spark.app.word: '${env:WORD}'}}}\n",
            "rows.csv": f"k,x,y\n{rows}",
            "sources/rows.yml": "sources: [{name: rows, path: rows.csv, format: csv, "
            "options: {header: true, inferSchema: true, comment: '${env:SIGN}'}}]\n",
            "families/all.yml": FAMILIES,
        },
    )


@pytest.fixture(scope="module")
def told(folder):
    """The events of a build on stderr."""
    done = build(folder, "--log-format", "json", "--vars", "{a: 1}", WORD=SECRET, SIGN="#")
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert SECRET not in done.stderr
    return events_of(done.stderr)


@pytest.fixture(scope="module")
def log(folder, told):
    """The events of the same build in its log."""
    text = (folder / "target/logs/mf.log").read_text(encoding="utf-8")
    assert SECRET not in text
    assert "${env:WORD}" not in text  # nothing of what is secret was said at all
    return events_of(text)


def test_the_kinds_of_events_of_a_build(told):
    kinds = [event["event"] for event in told if event["event"] != "library"]
    each = ["family_started", "family_finished"]
    assert kinds == [
        "diagnostic",
        "run_started",
        *each,
        "rows_without_label",
        *each,
        "fault",
        "rows_without_label",
        *each,
        "fault",
        "rows_without_label",
        "diagnostic",
        *each,
        "rows_without_label",
        "diagnostic",
        "build_finished",
    ]
    assert len({event["run_id"] for event in told[1:]}) == 1


def test_the_end_of_a_family_is_told_in_numbers(told):
    good, some, bad, none = (only(told, "family_finished", family) for family in ("good", "some", "bad", "none"))
    assert [e["level"] for e in (good, some, bad, none)] == ["info", "warning", "error", "error"]
    assert [e["version"] for e in (good, some, bad, none)] == [1, 1, None, None]
    assert [e["exit_code"] for e in (good, some, bad, none)] == [0, 0, 1, 1]
    assert (good["groups"], some["groups"]) == ({"trained": 3}, {"trained": 2, "failed": 1})
    assert good["seconds"] > 0
    assert none["message"].startswith("4 of 4 ERROR family none [not published: no models in ")
    assert only(told, "rows_without_label", "good")["n_rows"] == 1
    assert {e["code"] for e in told if e["event"] == "diagnostic" and e["level"] == "error"} == {"MF601", "MF604"}
    last = told[-1]
    assert (last["exit_code"], last["groups"]) == (1, {"trained": 5 + 2, "reused": 0, "skipped": 3, "failed": 2})
    assert last["families"] == {"pass": 1, "warn": 1, "error": 2, "skip": 0, "reused": 0, "total": 4}


def test_the_fault_of_a_group_is_told(told):
    fault = only(told, "fault", "some")
    assert (fault["level"], fault["status"], fault["n_groups"], fault["key"]) == ("warning", "failed", 1, {"k": "a"})
    assert (fault["error_type"], fault["error"]) == ("ValueError", "a negative number and more")
    assert only(told, "fault", "bad")["level"] == "error"


def test_the_log_has_all_of_it_and_timings(told, log):
    assert [{**e, "time": ""} for e in log if e["level"] != "debug"] == [{**e, "time": ""} for e in told]
    parts = {key for e in log if e["event"] == "timings" for key in e if key.endswith("_seconds")}
    assert parts == {f"{part}_seconds" for part in ("compile", "spark", "inputs", "census", "training", "publishing")}


def test_an_interrupt_is_the_last_event(tmp_path):
    write_project(tmp_path, ONE_ROW)
    process = started_build(tmp_path, "--log-format", "json")
    assert process.stderr is not None
    first = process.stderr.readline()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    events = events_of(first + said)
    assert (events[-1]["event"], events[-1]["level"]) == ("interrupted", "warning")
    assert events_of((tmp_path / "target/logs/mf.log").read_text(encoding="utf-8"))[-1]["event"] == "interrupted"
