"""Ctrl-C during a real build, from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
from support import (
    ONE_ROW,
    RecordingReporter,
    alive_in,
    started_build,
    wait_until_gone,
    wait_until_it_listens,
    workspace_of,
    write_project,
)

from modelfactory.commands import train
from modelfactory.commands.build import build
from modelfactory.commands.interrupt import run_interruptibly


def slow_project(folder: Path) -> None:
    """Write a project whose only family takes minutes."""
    rows = "\n".join(f"{shop},{-i},{i}" for shop in "abcd" for i in range(1, 20))
    write_project(
        folder,
        {
            "mf_project.yml": "name: demo\nestimator_packages: [sklearn, spark_estimators]\n",
            "rows.csv": f"shop,a,y\n{rows}\n",
            "sources/rows.yml": "sources: [{name: rows, path: rows.csv, format: csv, "
            "options: {header: true, inferSchema: true}}]\n",
            "families/sales.yml": "families: [{name: sales, group_by: shop, source: rows, features: [a], label: y, "
            "estimator: spark_estimators.Slow}]\n",
        },
    )


def slow_build(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Start a build that takes minutes; return it while it trains, with what it has said."""
    slow_project(folder)
    process, said = started_build(folder), ""
    assert process.stderr is not None
    for line in process.stderr:
        said += line
        if "START family sales" in line:
            break
    time.sleep(3)
    return process, said


def test_a_jvm_that_is_killed_is_one_message(tmp_path):
    process, _ = slow_build(tmp_path)
    (jvm,) = (pid for pid, name in alive_in(process.pid).items() if name == "java")
    os.kill(jvm, signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert "Traceback" not in said
    assert said.count("error[MF602]") == said.count("error[") == 1


def test_the_first_interrupt_cancels_and_nothing_is_left(tmp_path):
    process, said = slow_build(tmp_path)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    assert time.monotonic() - began < 20
    assert rest.strip().splitlines()[-1] == "interrupted"
    assert "Traceback" not in said + rest
    assert [p.name for p in (tmp_path / "store/sales").iterdir()] == [".lock"]
    (results,) = tmp_path.glob("target/runs/*/run_results.json")
    told = json.loads(results.read_text(encoding="utf-8"))
    assert told["exit_code"] == 130
    assert {result["status"] for result in told["results"]} == {"skipped"}  # for `mf retry`


def test_the_second_interrupt_ends_it_at_once_and_nothing_is_left_alive(tmp_path):
    process, _ = slow_build(tmp_path)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, rest = process.communicate(timeout=60)
    assert time.monotonic() - began < 3
    assert process.returncode == 130, rest
    assert "Traceback" not in rest
    wait_until_gone(process.pid)


@pytest.mark.parametrize("after", [0, 0.1, 0.5, 1.5, 2.5, 4.0])
def test_an_interrupt_of_the_start_is_quiet_and_leaves_nothing(tmp_path, after):
    write_project(tmp_path, ONE_ROW)
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:  # short: the name of a socket has to fit
        process = started_build(tmp_path, TMPDIR=folder)
        wait_until_it_listens(process)
        time.sleep(after)
        process.send_signal(signal.SIGTERM if after == 1.5 else signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130, said
        assert "Traceback" not in said
        assert not list(Path(folder).glob("mf-*"))
    assert not list(tmp_path.glob("target/logs/*.tmp"))
    wait_until_gone(process.pid)


def test_work_that_ends_gives_its_result_or_its_error():
    assert run_interruptibly(lambda _: 7, cancel=lambda: None) == 7

    def fail(_: threading.Event) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_interruptibly(fail, cancel=lambda: None)


def test_an_interrupt_waits_for_the_work_to_end():
    def work(cancelled: threading.Event) -> None:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        cancelled.wait(20)
        time.sleep(0.2)
        ended.append(True)

    ended: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        run_interruptibly(work, cancel=lambda: None)
    assert ended == [True]


@pytest.mark.parametrize("station", ["work_of", "group_table"])
def test_what_is_not_published_when_the_interrupt_comes_never_is(spark, tmp_path, monkeypatch, station):
    folder = write_project(tmp_path, {**ONE_ROW, "rows.csv": "k,x,y\na,1,2\na,2,3\nb,3,4\n"})
    (folder / "sources/s.yml").write_text(
        "sources: [{name: s, path: rows.csv, format: csv, options: {header: true, inferSchema: true}}]",
        encoding="utf-8",
    )
    real = getattr(train, station)

    def interrupted(*arguments, **more):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
        return real(*arguments, **more)

    monkeypatch.setattr(train, station, interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(workspace_of(folder), RecordingReporter(), session=spark)
    assert not (folder / "store/f/manifest.json").exists()
