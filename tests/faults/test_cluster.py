"""A cluster of two workers, also through a Spark Connect server: the same project and models, and nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import MappingProxyType

import pytest
from clusters import HOST, cluster, connect_server, executor_conf, free_port
from fault_support import checked_groups, expected_outcomes, faulty_project, models_of, outcomes_of
from support import ROOT

pytestmark = pytest.mark.faults
TESTS = Path(__file__).parent.parent
FAULTS = ("raises", "segfaults", "hangs_in_c", "exits_at_once", "eats_memory", "is_killed", "is_unpicklable")
PAUSE = 0.2
OTHER_PYTHON = """
import sys
class Version(tuple):
    major, minor, micro, releaselevel, serial = 3, 99, 0, "final", 0
sys.version_info = Version((3, 99, 0, "final", 0))
"""
"""A `sitecustomize` for workers that run, as it seems, another Python."""
NO_MODELFACTORY = f"import sys\nsys.path[:] = [path for path in sys.path if path != {str(ROOT)!r}]\n"
"""A `sitecustomize` for workers: what a machine is like on which `modelfactory` is not installed."""


@pytest.fixture(scope="module")
def standalone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    bare = folder / "bare"
    bare.mkdir()
    (bare / "sitecustomize.py").write_text(NO_MODELFACTORY, encoding="utf-8")
    with cluster(folder, [bare, TESTS]) as started:
        python = [sys.executable, "-c", "import modelfactory"]
        without = subprocess.run(python, env=dict(started.environ), cwd=folder, capture_output=True, check=False)
        assert b"No module named 'modelfactory'" in without.stderr
        yield started


@pytest.fixture(scope="module")
def server(standalone):
    """A server that has all cores of the cluster, once a test has asked for it."""
    with connect_server(standalone) as remote:
        yield remote


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The models of a build on this machine in which nothing goes wrong, with and without pauses."""
    found = {}
    for pause in (0.0, PAUSE):
        folder = faulty_project(tmp_path_factory.mktemp("undisturbed"), [], pause=pause)
        assert built(folder, "local").returncode == 0
        found[pause] = models_of(checked_groups(folder))
    return found


def with_targets(folder: Path, master: str, remote: str, conf: dict[str, str] = MappingProxyType({})) -> Path:
    own = {"spark.driver.host": HOST, **executor_conf(), **conf}
    lines = "".join(f"      {key}: {value}\n" for key, value in own.items())
    (folder / "profiles.yml").write_text(
        f"targets:\n  local: {{}}\n  connect: {{remote: '{remote}', worker_memory: 1g}}\n"
        f"  cluster:\n    master: {master}\n    worker_memory: 1g\n    conf:\n{lines}",
        encoding="utf-8",
    )
    return folder


def with_library(folder: Path, library: str) -> Path:
    """Make a folder on whose path a library seems to have version 0.0.1."""
    info = folder / f"other/{library}-0.0.1.dist-info"
    info.mkdir(parents=True)
    name = library.replace("_", "-")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.0.1\n", encoding="utf-8")
    return info.parent


def building(folder: Path, target: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "modelfactory", "build", "--project-dir", str(folder), "--target", target]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def built(folder: Path, target: str) -> subprocess.CompletedProcess[str]:
    process = building(folder, target)
    out, err = process.communicate(timeout=240)
    assert out == ""
    assert "Traceback" not in err
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def refused(folder: Path, master: str, conf: dict[str, str]) -> str:
    """Return what a build says on a cluster whose workers are not fit, which trains nothing."""
    done = built(with_targets(faulty_project(folder, []), master, "sc://none", conf), "cluster")
    assert done.returncode == 2
    assert not (folder / "store/sales").exists()
    return done.stderr


def until_training(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if "START family" in line:
            break
    time.sleep(3)


@pytest.mark.xdist_group("standalone")
class TestStandalone:
    def test_faults_cost_their_own_groups_alone(self, standalone, undisturbed, tmp_path):
        folder = faulty_project(tmp_path, FAULTS)
        # A NumPy does not decide whether a model can be loaded, and is told as it is.
        conf = {"spark.executorEnv.PYTHONPATH": f"{with_library(tmp_path, 'numpy')}{os.pathsep}{TESTS}"}
        done = built(with_targets(folder, standalone.master, "sc://none", conf), "cluster")
        assert done.returncode == 0, done.stderr
        groups = checked_groups(folder)
        assert outcomes_of(groups) == expected_outcomes(FAULTS)
        assert models_of(groups) == undisturbed[0.0]
        assert '"numpy": "0.0.1"' in (folder / "store/sales/manifest.json").read_text(encoding="utf-8")

    def test_an_executor_that_is_lost_costs_nothing(self, standalone, undisturbed, tmp_path):
        folder = with_targets(faulty_project(tmp_path, [], pause=PAUSE), standalone.master, "sc://none")
        process = building(folder, "cluster")
        until_training(process)
        os.kill(standalone.executors()[0], signal.SIGKILL)
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said
        assert "Lost executor" in (folder / "target/logs/spark.log").read_text(encoding="utf-8")
        assert models_of(checked_groups(folder)) == undisturbed[PAUSE]

    def test_another_python_is_refused_before_training(self, standalone, tmp_path):
        (tmp_path / "other").mkdir()
        (tmp_path / "other/sitecustomize.py").write_text(OTHER_PYTHON, encoding="utf-8")
        said = refused(tmp_path, standalone.master, {"spark.executorEnv.PYTHONPATH": str(tmp_path / "other")})
        assert "error[MF406]: the workers have another Python than 3." in said

    def test_another_scikit_learn_is_refused_before_training(self, standalone, tmp_path):
        other = with_library(tmp_path, "scikit_learn")
        said = refused(tmp_path, standalone.master, {"spark.executorEnv.PYTHONPATH": str(other)})
        assert "error[MF406]: the workers have scikit-learn 0.0.1, and here it is" in said

    def test_workers_without_the_python_are_one_message(self, standalone, tmp_path):
        said = refused(tmp_path, standalone.master, {"spark.pyspark.python": "/no/such/python"})
        assert "error[MF406]: the workers have no `/no/such/python`; nothing was trained\n" in said


@pytest.mark.xdist_group("connect")
class TestConnect:
    def test_faults_cost_their_own_groups_alone(self, standalone, server, undisturbed, tmp_path):
        folder = with_targets(faulty_project(tmp_path, FAULTS), standalone.master, server)
        done = built(folder, "connect")
        assert done.returncode == 0, done.stderr
        groups = checked_groups(folder)
        assert outcomes_of(groups) == expected_outcomes(FAULTS)
        assert models_of(groups) == undisturbed[0.0]

    def test_an_executor_that_is_lost_costs_nothing(self, standalone, server, undisturbed, tmp_path):
        folder = with_targets(faulty_project(tmp_path, [], pause=PAUSE), standalone.master, server)
        process = building(folder, "connect")
        until_training(process)
        os.kill(standalone.executors()[0], signal.SIGKILL)
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said
        assert models_of(checked_groups(folder)) == undisturbed[PAUSE]

    def test_an_interrupt_cancels_on_the_server_too(self, standalone, server, undisturbed, tmp_path):
        slow = with_targets(faulty_project(tmp_path / "slow", [], pause=30), standalone.master, server)
        process = building(slow, "connect")
        until_training(process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130, said
        assert "Traceback" not in said
        assert not (slow / "store/sales/manifest.json").exists()
        quick = with_targets(faulty_project(tmp_path / "quick", []), standalone.master, server)
        assert built(quick, "connect").returncode == 0  # which would wait for half an hour
        assert models_of(checked_groups(quick)) == undisturbed[0.0]

    def test_a_setting_that_a_session_cannot_make_is_one_message(self, standalone, server, tmp_path):
        folder = with_targets(faulty_project(tmp_path, []), standalone.master, server)
        (folder / "profiles.yml").write_text(
            f"targets: {{connect: {{remote: '{server}', conf: {{spark.executor.memory: 1g}}}}}}", encoding="utf-8"
        )
        done = built(folder, "connect")
        assert done.returncode == 2
        assert "error[MF402]: `spark.executor.memory` of the target cannot be set in a session" in done.stderr


def test_a_server_that_does_not_answer_is_one_message(tmp_path):
    folder = with_targets(faulty_project(tmp_path, []), "spark://none", f"sc://{HOST}:{free_port()}/;token=hunter2")
    done = built(folder, "connect")
    assert done.returncode == 2
    assert "error[MF402]: no Spark Connect server answers at 127.0.0.1:" in done.stderr
    assert "hunter2" not in done.stderr
