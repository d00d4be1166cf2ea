"""Disks that are full, read-only or in the way: one clear message, the current version stays, nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from store_samples import publish
from support import FAMILY_YAML, write_project

from modelfactory.diagnostics import InputError
from modelfactory.store.store import Store

TESTS = Path(__file__).parent.parent
BEGIN = """
import os, sys
from pathlib import Path
import numpy as np, pyarrow as pa
from store_samples import publish, stage, version
from modelfactory.diagnostics import InputError
from modelfactory.store.store import Store
from modelfactory.store.verifying import verify_store
from modelfactory.store.versions import publish_version, stage_version

disk = Path(sys.argv[1])
store = Store(disk / "store")
publish(store, 1)
before = sorted(disk.rglob("*"))


def refused(use):
    try:
        use()
    except InputError as error:
        (found,) = error.diagnostics
        assert found.message.startswith(f"cannot write to the store `{disk}"), found.message
        assert "\\n" not in found.message
        print(found.message.rpartition(": ")[2])
    else:
        raise AssertionError("nothing was refused")


def whole(*left):
    found = verify_store(Store(store.root))
    assert (found.versions, found.damages, found.leftovers) == (1, (), left), found
"""
LARGE = """
large = pa.table({"k": np.random.default_rng(0).integers(0, 1 << 60, 1_000_000)})
with store.locked("f"):
    staging = stage_version(store, "f", 2, "run2")
    refused(lambda: staging.write_groups(large))
    staging.discard()
whole()
assert sorted(disk.rglob("*")) == before
"""
FULL = """
with store.locked("f"):
    staging = stage(store, 2)
    with (disk / "more").open("wb", buffering=0) as more:
        try:
            while True:
                more.write(b"x" * 512)
        except OSError:
            pass
    refused(lambda: publish_version(store, staging, version(2, staging.seal())))
    refused(store.check_writable)
    refused(lambda: store.locked("other").__enter__())
    staging.discard()
    whole()
(disk / "more").unlink()
publish(store, 2)
"""
READ_ONLY = """
os.system(f"mount -o remount,ro {disk}")
refused(store.check_writable)
refused(lambda: store.locked("f").__enter__())
refused(lambda: store.locked("other").__enter__())
whole()
"""


def in_namespace(command: list[str], disk: Path, size: str) -> subprocess.CompletedProcess[str]:
    """Run a command that has a small disk of its own mounted at `disk`."""
    mounted = f'mount -t tmpfs -o size={size} none {disk} && exec "$@"'
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    return subprocess.run(
        ["unshare", "-Urm", "sh", "-c", mounted, "sh", *command],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
        timeout=300,
    )


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A folder where a small disk can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        works = in_namespace(["true"], folder, "100k").returncode == 0
    except OSError:
        works = False
    if not works:
        pytest.skip("this system lets nobody mount a disk of his own")
    return folder


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (LARGE, ["No space left on device"]),
        (FULL, ["No space left on device"] * 3),
        (READ_ONLY, ["Read-only file system"] * 3),
    ],
    ids=["a table that does not fit", "a disk that is full", "a disk that is read-only"],
)
def test_a_disk_that_takes_no_more_leaves_the_current_version_whole(disk: Path, code: str, said: list[str]) -> None:
    done = in_namespace([sys.executable, "-c", BEGIN + code, str(disk)], disk, "300k")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == said


def test_a_file_that_may_not_grow_leaves_the_current_version_whole(tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
    done = subprocess.run(
        [sys.executable, "-c", limit + BEGIN + LARGE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "File too large\n"


@pytest.mark.faults
def test_a_build_on_a_disk_that_is_too_small_fails_with_one_message(disk: Path, tmp_path: Path) -> None:
    rows = "\n".join(f"{n // 4},{n * 37 % 11},{n * 5 % 7}" for n in range(8000))
    folder = write_project(
        tmp_path / "project",
        {
            "rows.csv": f"k,x,y\n{rows}\n",
            "sources/s.yml": """\
                sources:
                - {name: s, path: rows.csv, format: csv, options: {header: true, inferSchema: true}}
                """,
            "families/f.yml": FAMILY_YAML.replace("Ridge", "DecisionTreeRegressor"),
            "profiles.yml": f"targets: {{local: {{store: {disk}/store}}}}\n",
        },
    )
    script = (
        f"{sys.executable} -m modelfactory build --project-dir {folder}; code=$?; find {disk}/store -type f; exit $code"
    )
    done = in_namespace(["sh", "-c", script], disk, "100k")
    assert done.returncode == 1, done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error[") == 1
    # A task that Spark is still ending may make an empty folder of the draft again; the next build removes it.
    assert set(done.stdout.split()) <= {f"{disk}/store/f/.lock"}


# Things in the way -----------------------------------------------------------------------------------------------


def test_a_family_whose_folder_is_gone_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    publish(store, 1)
    (tmp_path / "store" / "f" / "manifest.json").unlink()
    (tmp_path / "store" / "f" / "manifest.json").mkdir()
    with pytest.raises(InputError, match=r"cannot read the store .*: Is a directory"):
        store.manifest("f")
    with pytest.raises(InputError, match="Is a directory"):
        publish(store, 2)
