"""`verify_store` finds every damage, names it, and takes nothing for damage that is none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from store_samples import publish, stage, write_models
from support import ONE_ROW, _cache, workspace_of, write_project
from typer.testing import CliRunner

from modelfactory.cli.app import app
from modelfactory.commands.debug import Check, debug
from modelfactory.commands.project_options import ProjectOptions
from modelfactory.store.store import Store
from modelfactory.store.verifying import verify_store
from modelfactory.store.versions import stage_version

GROUP_FILE = "v000001-run1/groups/part-00000.parquet"


@pytest.fixture(params=["folder", "object store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store with two whole versions."""
    made = Store(tmp_path / "store") if request.param == "folder" else request.getfixturevalue("remote")
    publish(made, 1)
    publish(made, 2)
    return made


def read(store: Store, name: str) -> bytes:
    with store.place.reading(name) as file:
        return file.read()


def write(store: Store, name: str, content: bytes) -> None:
    with store.place.writing(name) as file:
        file.write(content)


def delete(store: Store, name: str) -> None:
    files, folder, _ = store.place.opened("")
    files.delete_file(f"{folder}/{name}")


def flip(store: Store, name: str) -> None:
    content = bytearray(read(store, name))
    content[len(content) // 2] ^= 1
    write(store, name, bytes(content))


def shorten(store: Store, name: str) -> None:
    write(store, name, read(store, name)[:-9])


def test_a_whole_store_is_whole(store: Store) -> None:
    found = verify_store(store)
    assert (found.families, found.versions, found.files) == (1, 2, 4)
    assert found.damages == found.leftovers == ()
    assert found.bytes > 1000


def test_a_store_that_does_not_exist_is_whole(tmp_path: Path) -> None:
    assert verify_store(Store(tmp_path / "nothing")).families == 0


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (delete, "is missing"),
        (flip, "has another SHA-256 than when it was published"),
        (shorten, r"has [\d,]+ bytes and not [\d,]+"),
    ],
)
def test_a_damaged_file_is_named(store: Store, harm: Callable[[Store, str], None], what: str) -> None:
    harm(store, f"f/{GROUP_FILE}")
    (damage,) = verify_store(store).damages
    assert (damage.family, damage.version, damage.file) == ("f", 1, GROUP_FILE)
    assert re.fullmatch(rf"family `f`, version 1: `{GROUP_FILE}` {what}", damage.text())


def test_rows_are_counted(store: Store) -> None:
    manifest = json.loads(read(store, "f/manifest.json"))
    manifest["versions"][1]["files"][0]["rows"] = 7
    write(store, "f/manifest.json", json.dumps(manifest).encode())
    (damage,) = verify_store(store).damages
    assert (damage.version, damage.what) == (2, "has 2 rows and not 7")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda text: text[:30], "cannot be read: this is not a manifest of modelfactory"),
        (lambda text: text.replace(b'"current": 2', b'"current": 9'), "names version 9 as current"),
        (lambda text: text.replace(b'"family": "f"', b'"family": "g"'), "is the one of family `g`"),
    ],
)
def test_a_damaged_manifest_is_named(store: Store, change: Callable[[bytes], bytes], what: str) -> None:
    write(store, "f/manifest.json", change(read(store, "f/manifest.json")))
    (damage,) = verify_store(store).damages
    assert damage.text().startswith(f"family `f`: `manifest.json` {what}")


def test_all_damages_are_told_and_other_families_are_looked_at(store: Store) -> None:
    write(store, "a/manifest.json", b"{")
    delete(store, "f/v000002-run2/models/part-00000.parquet")
    flip(store, f"f/{GROUP_FILE}")
    assert [damage.file for damage in verify_store(store).damages] == [
        "manifest.json",
        GROUP_FILE,
        "v000002-run2/models/part-00000.parquet",
    ]


def test_what_dead_builds_left_is_no_damage(store: Store) -> None:
    stage(store, 3)
    write_models(stage_version(store, "f", 3, "run4"))
    found = verify_store(store)
    assert found.damages == ()
    assert "f/_staging/v000003-run4" in found.leftovers
    publish(store, 3)
    assert verify_store(store).leftovers == ()


def test_a_first_build_that_died_is_no_damage(tmp_path: Path) -> None:
    stage(Store(tmp_path), 1)
    found = verify_store(Store(tmp_path))
    assert (found.families, found.damages, found.leftovers) == (0, (), ("f/v000001-run1",))


def test_large_files_are_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(Store(tmp_path), 1)
    monkeypatch.setattr("modelfactory.store.versions._CHUNK", 100)
    assert verify_store(Store(tmp_path)).damages == ()


def checks(folder: Path) -> list[Check]:
    environ = workspace_of(folder).environ
    options = ProjectOptions(project_dir=folder, variables={}, environ=environ)
    return [check for check in debug(options, connection=False, store=True) if check.name != "java"]


def test_debug_tells_what_is_damaged(store: Store, tmp_path: Path) -> None:
    profiles = f"targets: {{local: {{store: '{store.root}'}}}}\n"
    folder = write_project(tmp_path / "project", {**ONE_ROW, "profiles.yml": profiles})
    stage(store, 3)
    assert all(check.passed for check in checks(folder))
    flip(store, f"f/{GROUP_FILE}")
    told = CliRunner().invoke(app, ["debug", "--store", "--project-dir", str(folder)], env=dict(_cache()))
    assert told.exit_code == 2
    (line,) = [line for line in told.stdout.splitlines() if "damaged" in line]
    assert line.split(maxsplit=2)[:2] == ["ERROR", "damaged"]
    said = {check.name: check for check in checks(folder)}
    assert "1 family, 2 versions, 4 files of " in said["verified"].found
    assert not said["damaged"].passed
    assert f"version 1: `{GROUP_FILE}`" in said["damaged"].found
    assert said["leftover"].passed
    assert "v000003-run3" in said["leftover"].found
