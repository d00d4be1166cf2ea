"""The settings of a session, which are decided before Spark is there."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from modelfactory.diagnostics import InputError
from modelfactory.project.specs import TargetSpec
from modelfactory.spark.archive import writing_flag
from modelfactory.spark.settings import SMALL_INPUT, is_embedded, session_settings, worker_python

ARCHIVE = Path("classes.jsa")
SOCKETS = Path("/tmp/mf-jvm-1")
FLAGS = "spark.driver.defaultJavaOptions"


def settings(master: str = "local[*]", input_bytes: int | None = 0, archive: Path | None = None, **conf: object):
    target = TargetSpec(master=master, conf={key.replace("__", "."): value for key, value in conf.items()})
    return session_settings(target, input_bytes=input_bytes, archive=archive, sockets=SOCKETS)


@pytest.mark.parametrize(
    ("input_bytes", "fast_start"), [(0, True), (SMALL_INPUT, True), (SMALL_INPUT + 1, False), (None, False)]
)
def test_the_jvm_starts_fast_for_little_input_and_compiles_well_for_much(input_bytes, fast_start):
    flags = settings(input_bytes=input_bytes)[FLAGS].split()
    assert ("-XX:TieredStopAtLevel=1" in flags) is fast_start
    assert ("-XX:+UseSerialGC" in flags) is fast_start
    assert ("-XX:+UseParallelGC" in flags) is not fast_start


@pytest.mark.parametrize("key", ["spark__driver__extraJavaOptions", "spark__driver__defaultJavaOptions"])
def test_flags_of_the_target_win(key):
    found = settings(archive=ARCHIVE, **{key: "-XX:+UseG1GC -XX:TieredStopAtLevel=4 -XX:SharedArchiveFile=own.jsa"})
    flags = f"{found[FLAGS]} {found.get('spark.driver.extraJavaOptions', '')}"
    assert flags.count("GC") == flags.count("TieredStopAtLevel") == flags.count("SharedArchiveFile") == 1


@pytest.mark.parametrize(
    ("written", "master"),
    [
        ("local", "local[1,3]"),
        ("local[4]", "local[4,3]"),
        ("local[*]", "local[*,3]"),
        ("local[2,1]", "local[2,1]"),
        ("local-cluster[2,1,1024]", "local-cluster[2,1,1024]"),
        ("spark://host:7077", "spark://host:7077"),
    ],
)
def test_a_task_is_tried_again_also_in_one_jvm(written, master):
    assert settings(written)["spark.master"] == master


@pytest.mark.parametrize(
    ("target", "embedded"),
    [
        ({}, True),
        ({"master": "local"}, True),
        ({"master": "local-cluster[2,1,1024]"}, False),
        ({"master": "yarn"}, False),
        ({"remote": "sc://host"}, False),
    ],
)
def test_spark_is_embedded_in_one_jvm_here_or_it_is_not(target, embedded):
    assert is_embedded(TargetSpec(**target)) is embedded


def test_workers_run_the_python_that_runs_mf_unless_a_cluster_has_another():
    here, cluster = TargetSpec(), TargetSpec(master="yarn")
    own = TargetSpec(master="yarn", conf={"spark.pyspark.python": "/own"})
    assert worker_python(here, {"PYSPARK_PYTHON": "/other"}) == worker_python(cluster, {}) == sys.executable
    assert worker_python(cluster, {"PYSPARK_PYTHON": "/other"}) == "/other"
    assert worker_python(own, {"PYSPARK_PYTHON": "/other"}) == "/own"


def test_a_connect_session_gets_only_what_a_session_may_set():
    found = session_settings(TargetSpec(remote="sc://host"), input_bytes=0, archive=ARCHIVE, sockets=SOCKETS)
    assert all(key.startswith("spark.sql.") for key in found)


def test_an_archive_is_shared_if_there_is_one():
    assert f"-XX:SharedArchiveFile={ARCHIVE}" in settings(archive=ARCHIVE)[FLAGS].split()
    assert "SharedArchiveFile" not in settings()[FLAGS]


def test_a_jvm_that_writes_an_archive_shares_none():
    flags = settings(archive=ARCHIVE, spark__driver__extraJavaOptions="-XX:ArchiveClassesAtExit=new.jsa")[FLAGS]
    assert "SharedArchiveFile" not in flags


def test_what_the_target_sets_wins():
    found = settings(spark__sql__shuffle__partitions=7, spark__ui__enabled=True)
    assert found["spark.sql.shuffle.partitions"] == "7"
    assert found["spark.ui.enabled"] == "true"


@pytest.mark.parametrize(("folder", "enabled"), [("/tmp/mf-jvm-1", True), ("/tmp/" + "long" * 20, False)])
def test_sockets_have_a_folder_whose_name_leaves_room_for_theirs(folder, enabled):
    found = session_settings(TargetSpec(master="local[1]"), input_bytes=0, archive=None, sockets=Path(folder))
    assert found.get("spark.python.unix.domain.socket.dir") == (folder if enabled else None)
    assert ("spark.python.unix.domain.socket.enabled" in found) is enabled


def test_a_path_with_a_blank_stays_one_flag():
    (flag,) = (flag for flag in shlex.split(settings(archive=Path("/a b/c.jsa"))[FLAGS]) if "Shared" in flag)
    assert flag == "-XX:SharedArchiveFile=/a b/c.jsa"
    assert shlex.split(writing_flag(Path("/a b/c.jsa"))) == ["-XX:ArchiveClassesAtExit=/a b/c.jsa"]


def test_a_cluster_gets_no_settings_of_this_machine():
    found = settings(master="spark://there:7077")
    assert found["spark.master"] == "spark://there:7077"
    assert not [key for key in found if key.startswith("spark.driver")]


def test_the_time_zone_cannot_be_another():
    with pytest.raises(InputError, match=r"has to be `UTC`"):
        settings(spark__sql__session__timeZone="Europe/Paris")
    assert settings(spark__sql__session__timeZone="UTC")["spark.sql.session.timeZone"] == "UTC"
