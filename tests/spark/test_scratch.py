"""What a run keeps only while it lives: the next one removes that of the dead, and that of nobody else."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from modelfactory.spark.scratch import open_draft, scratch_folder

CODE = """
import sys, time
from pathlib import Path
from modelfactory.spark.scratch import open_draft, scratch_folder
with scratch_folder() as folder:
    draft, opened = open_draft(Path(sys.argv[1]))
    print(folder, draft, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_what_the_dead_have_left_is_removed_and_what_the_living_need_is_not(tmp_path: Path) -> None:
    log = tmp_path / "spark.log"
    process = subprocess.Popen([sys.executable, "-c", CODE, str(log)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        theirs = [Path(name) for name in process.stdout.readline().split()]

        def run() -> list[bool]:
            with scratch_folder() as mine:
                draft, opened = open_draft(log)
                with opened:
                    assert mine.is_dir()
                    assert draft.parent == log.parent
                draft.unlink()
            return [file.exists() for file in theirs]

        assert run() == [True, True]
        process.kill()
        process.wait()
        assert run() == [False, False]
    finally:
        process.kill()
        process.communicate()
    assert list(tmp_path.iterdir()) == []


def test_what_has_no_lock_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mf-jvm-other").mkdir()
    (tmp_path / "mf-jvm-file").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/lock").touch()
    (tmp_path / "mf-jvm-link").symlink_to(tmp_path / "elsewhere")
    with scratch_folder():
        pass
    assert {p.name for p in tmp_path.iterdir()} == {"mf-jvm-other", "mf-jvm-file", "mf-jvm-link", "elsewhere"}
    assert (tmp_path / "elsewhere/lock").exists()
