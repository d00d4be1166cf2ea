"""Starting and ending Spark's JVM, its log, and the archive of its classes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import FAMILY_YAML, ONE_ROW, write_project

from modelfactory.commands.archiving import SWITCH, make_archive, start_archiving
from modelfactory.commands.cache import cache_folder
from modelfactory.project.specs import TargetSpec
from modelfactory.spark.archive import archive_file, find_archive, is_finished, remove_unused
from modelfactory.spark.java import find_java
from modelfactory.spark.jvm import JvmEnded
from modelfactory.spark.starting import starting_spark
from modelfactory.store.store import Store

LOCAL = TargetSpec(master="local[1]")


class TestJvm:
    def test_one_that_nobody_waits_for_ends_at_once_and_leaves_nothing(self, tmp_path):
        began = time.monotonic()
        with starting_spark(LOCAL, log=tmp_path / "target" / "spark.log") as starting:
            pass
        assert time.monotonic() - began < 5
        assert starting.jvm.process.poll() is not None
        assert not starting.jvm.told.parent.exists()
        assert not list(tmp_path.iterdir())

    def test_one_that_runs_ends_by_itself_when_its_owner_is_gone(self, tmp_path):
        with starting_spark(LOCAL, log=tmp_path / "spark.log") as starting:
            port, secret = starting.jvm.connection()
            assert port > 0
            assert secret
        assert starting.jvm.process.poll() == 0

    def test_one_that_cannot_start_says_so(self, tmp_path):
        target = TargetSpec(master="local[1]", conf={"spark.driver.extraJavaOptions": "-javaagent:nowhere"})
        with starting_spark(target, log=tmp_path / "spark.log") as starting, pytest.raises(JvmEnded, match="code 1"):
            starting.jvm.connection()


class TestLog:
    def test_it_keeps_what_was_printed_without_what_is_secret(self, tmp_path):
        log = tmp_path / "logs" / "spark.log"
        target = TargetSpec(master="local[1]", conf={"spark.driver.extraJavaOptions": "-javaagent:hunter2"})
        with starting_spark(target, log=log, shown_as={"hunter2": "${env:WORD}"}) as starting:
            assert starting.log is not None
            starting.log.keep()
            starting.jvm.process.wait(30)
        text = log.read_text(encoding="utf-8")
        assert ": ${env:WORD}" in text
        assert "hunter2" not in text

    def test_a_refused_project_leaves_the_log_of_the_last_run(self, tmp_path):
        log = tmp_path / "target/logs/spark.log"
        write_project(tmp_path, {"families/f.yml": FAMILY_YAML, "target/logs/spark.log": "as it was"})
        assert build(tmp_path).returncode == 2
        assert [p.name for p in log.parent.iterdir()] == ["spark.log"]
        assert log.read_text(encoding="utf-8") == "as it was"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("spark.sql.shuffle.partitions", "many", "'many' in the config \"spark.sql.shuffle.partitions\" is invalid"),
        ("spark.driver.memory", "much", "its JVM ends at once, with exit code 1"),
    ],
)
def test_a_wrong_setting_is_one_message(tmp_path, key, value, said):
    profile = f"targets: {{local: {{conf: {{{key}: {value}}}}}}}"
    write_project(tmp_path, {"profiles.yml": profile, **ONE_ROW})
    done = build(tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2].startswith("error[MF402]: Spark does not start on `local[*]`: ")
    assert said in done.stderr
    assert "target/logs/spark.log" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "store" / "f").exists()


def test_families_that_are_being_built_are_told_before_spark_runs(tmp_path):
    other = FAMILY_YAML.replace("name: f", "name: g").replace("families:\n", "")
    write_project(tmp_path, {**ONE_ROW, "families/f.yml": FAMILY_YAML + other, "target/logs/spark.log": "as it was"})
    store = Store(tmp_path / "store")
    with store.locked("f"), store.locked("g"):
        done = build(tmp_path)
    assert done.returncode == 5, done.stderr
    assert re.findall(r"error\[MF405\]: family `(.)` is being built by ", done.stderr) == ["f", "g"]
    assert "starting Spark" not in done.stderr
    assert (tmp_path / "target/logs/spark.log").read_text(encoding="utf-8") == "as it was"


class TestArchive:
    def test_it_is_made_whole_and_spark_starts_with_it(self, tmp_path):
        cache, log = cache_folder(os.environ), tmp_path / "spark.log"
        java = find_java(os.environ)
        if not java.has_archive:
            pytest.skip("this Java has no archive of its own classes")
        made = find_archive(cache, java) or make_archive(cache)  # `make test` has made it
        assert find_archive(cache, java) == made
        assert list(cache.glob(f"{made.stem}*")) == [made]
        with starting_spark(LOCAL, log=log, cache=cache) as starting:
            assert str(made) in " ".join(starting.settings.values())
            assert starting.log is not None
            starting.log.keep()
            starting.jvm.connection()
        assert "warning" not in log.read_text(encoding="utf-8").lower().replace("warning: using incubator modules", "")

    def test_half_an_archive_is_none(self, tmp_path):
        file = archive_file(tmp_path, find_java(os.environ))
        file.write_bytes(bytes(4096))
        assert not is_finished(file)
        assert find_archive(tmp_path, find_java(os.environ)) is None

    def test_each_spark_has_its_own(self, tmp_path, monkeypatch):
        java = find_java(os.environ)
        files = set()
        for name in ("one", "two"):
            (tmp_path / name / "jars").mkdir(parents=True)
            monkeypatch.setenv("SPARK_HOME", str(tmp_path / name))
            files.add(archive_file(tmp_path, java))
        os.utime(tmp_path / "two" / "jars", (1, 1))
        files.add(archive_file(tmp_path, java))
        assert len(files) == 3

    def test_those_that_were_not_used_for_longest_are_removed(self, tmp_path):
        for age, name in enumerate("abcde"):
            (tmp_path / f"spark-{name}.jsa").touch()
            os.utime(tmp_path / f"spark-{name}.jsa", (1000 - age, 1000 - age))
        (tmp_path / "classes.json").touch()
        remove_unused(tmp_path)
        assert sorted(p.name for p in tmp_path.iterdir()) == [
            "classes.json", "spark-a.jsa", "spark-b.jsa", "spark-c.jsa",
        ]  # fmt: skip

    @pytest.mark.parametrize(("environ", "starts"), [({SWITCH: "off"}, False), ({"CI": "true"}, False), ({}, True)])
    def test_it_is_not_made_where_it_is_not_wanted(self, tmp_path, started, environ, starts):
        start_archiving(tmp_path, {**without_switches(), **environ})
        assert bool(started) is starts

    def test_it_is_not_made_by_two_at_once(self, tmp_path, started):
        file = archive_file(tmp_path, find_java(os.environ))
        claim = file.with_suffix(".claim")
        claim.touch()
        assert make_archive(tmp_path) == file
        assert list(tmp_path.iterdir()) == [claim]
        start_archiving(tmp_path, without_switches())
        assert not started
        os.utime(claim, (1, 1))  # whoever made it has been gone for long
        start_archiving(tmp_path, without_switches())
        assert started

    @pytest.fixture
    def started(self, monkeypatch):
        """The commands that would have been started."""
        if not find_java(os.environ).has_archive:
            pytest.skip("this Java has no archive of its own classes")
        commands: list[list[str]] = []
        monkeypatch.setattr(subprocess, "Popen", lambda command, **_: commands.append(command))
        return commands


def test_a_message_shows_no_value_of_the_environment(tmp_path):
    profile = "targets: {local: {conf: {spark.sql.shuffle.partitions: '${env:MANY}'}}}"
    write_project(tmp_path, {"profiles.yml": profile, **ONE_ROW})
    done = build(tmp_path, MANY="hunter2")
    assert done.returncode == 2
    assert "hunter2" not in done.stderr
    assert "${env:MANY}" in done.stderr
    assert "hunter2" not in (tmp_path / "target/logs/spark.log").read_text(encoding="utf-8")


def without_switches() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in (SWITCH, "CI")}


def build(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "modelfactory", "build", "--project-dir", str(folder)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **environ}
    )


@pytest.mark.parametrize(
    "remote",
    [
        "sc://h:port/;token=hunter2",
        "sc://h:1;token=hunter2",
        "sc://h?token=hunter2",
        "sc://me:hunter2@h",
        "sc://h/;hunter2",
    ],
)
def test_a_wrong_connect_url_is_one_message_without_what_is_secret_in_it(tmp_path, remote):
    write_project(tmp_path, {"profiles.yml": f"targets: {{local: {{remote: '{remote}'}}}}", **ONE_ROW})
    done = build(tmp_path)
    assert done.returncode == 2
    assert "error[MF" in done.stderr
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr
