"""Versions are staged, sealed and published in one step; what dies on the way leaves nothing that counts."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from store_samples import GROUPS, publish, stage, version, write_models

from modelfactory.diagnostics import Code, InputError, StoreLocked
from modelfactory.store.groups import read_groups
from modelfactory.store.local import replace_file
from modelfactory.store.store import Store
from modelfactory.store.versions import publish_version, stage_version


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that does not exist yet."""
    return Store(tmp_path / "deep" / "store")


def files_of(store: Store) -> dict[str, str]:
    """Return all files of the family with their contents' digests, but the lock."""
    return {
        str(f.relative_to(store.root)): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in sorted((store.root / "f").rglob("*"))
        if f.is_file() and not f.name.startswith(".")
    }


# Publishing ------------------------------------------------------------------------------------------------------


def test_a_family_that_was_never_published_has_no_manifest(store: Store) -> None:
    assert store.manifest("f") is None


def test_a_published_version_is_current_and_whole(store: Store) -> None:
    publish(store, 1)
    manifest = store.manifest("f")
    assert manifest is not None
    current = manifest.version()
    assert current is not None
    assert current.number == 1
    assert read_groups(store.files("f", current, "groups")).equals(GROUPS)
    assert {record.table for record in current.files} == {"groups", "models"}


def test_the_manifest_names_every_file_with_rows_bytes_and_digest(store: Store) -> None:
    (current,) = publish(store, 1).versions
    for record in current.files:
        file = store.root / "f" / record.path
        assert file.stat().st_size == record.bytes
        assert hashlib.sha256(file.read_bytes()).hexdigest() == record.sha256
        assert pq.read_metadata(file).num_rows == record.rows
    named = {f"f/{record.path}" for record in current.files}
    assert set(files_of(store)) == {*named, "f/manifest.json"}


def test_a_version_stands_where_the_contract_says(store: Store) -> None:
    publish(store, 1)
    assert set(files_of(store)) == {
        "f/manifest.json",
        "f/v000001-run1/groups/part-00000.parquet",
        "f/v000001-run1/models/part-00000.parquet",
    }


def test_a_new_version_leaves_the_former_ones_untouched(store: Store) -> None:
    publish(store, 1)
    before = {name: digest for name, digest in files_of(store).items() if not name.endswith("manifest.json")}
    made = publish(store, 2)
    assert [v.number for v in made.versions] == [1, 2]
    assert made.current == 2
    assert before.items() <= files_of(store).items()


# Dying on the way ------------------------------------------------------------------------------------------------


def test_what_is_staged_but_not_published_does_not_count_and_is_cleaned_up(store: Store) -> None:
    publish(store, 1)
    whole = files_of(store)
    stage(store, 2)  # and the process dies
    manifest = store.manifest("f")
    assert manifest is not None
    assert manifest.current == 1
    publish(store, 2)
    assert {name for name in files_of(store) if "v000002" not in name} == set(whole)


def test_a_version_whose_models_are_on_their_way_is_cleaned_up(store: Store) -> None:
    publish(store, 1)
    write_models(stage_version(store, "f", 2, "run2"))  # and the process dies
    manifest = store.manifest("f")
    assert manifest is not None
    assert manifest.current == 1
    stage_version(store, "f", 2, "later").discard()
    assert not any("v000002" in name for name in files_of(store))
    assert not (store.root / "f" / "_staging").exists()
    assert any("v000001" in name for name in files_of(store))


def test_a_draft_of_the_manifest_is_cleaned_up(store: Store) -> None:
    publish(store, 1)
    (store.root / "f" / "manifest.json.4711.tmp").write_text("half", encoding="utf-8")
    publish(store, 2)
    assert not list((store.root / "f").glob("*.tmp"))


def test_a_discarded_version_leaves_nothing(store: Store) -> None:
    publish(store, 1)
    before = files_of(store)
    stage(store, 2).discard()
    assert files_of(store) == before
    assert not (store.root / "f" / "_staging").exists()


def test_folders_that_are_no_versions_are_left_alone(store: Store) -> None:
    publish(store, 1)
    (store.root / "f" / "notes").mkdir()
    publish(store, 2)
    assert (store.root / "f" / "notes").is_dir()


@pytest.mark.parametrize("moment", ["rename", "replace"])
def test_a_build_killed_while_publishing_leaves_the_former_version_current(
    store: Store, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, 1)

    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, moment, killed)
    with pytest.raises(KeyboardInterrupt):
        publish(store, 2)
    monkeypatch.undo()
    manifest = store.manifest("f")
    assert manifest is not None
    assert manifest.current == 1
    assert publish(store, 2).current == 2
    assert len([name for name in files_of(store) if "groups" in name]) == 2


# The lock --------------------------------------------------------------------------------------------------------


def test_a_family_is_built_by_one_at_a_time(store: Store) -> None:
    with store.locked("f"), pytest.raises(StoreLocked, match=f"process {os.getpid()}") as caught, store.locked("f"):
        pass
    assert caught.value.exit_code == 5


def test_who_holds_a_family_is_told_with_its_run_and_since_when(store: Store) -> None:
    said = rf"by process {os.getpid()} on {re.escape(os.uname().nodename)}, run r7, since \d{{4}}-\d\d-\d\dT\d\d:\d\d"
    with store.locked("f", run_id="r7") as hold, pytest.raises(StoreLocked, match=said), store.locked("f"):
        pass
    hold.confirm()


def test_a_manifest_that_another_has_replaced_meanwhile_is_not_overwritten(store: Store) -> None:
    publish(store, 1)
    staging = stage(store, 2)
    won = publish(Store(store.root), 2)  # as where a mounted folder knows no locks
    with pytest.raises(StoreLocked, match="another build of family `f` came first"):
        publish_version(store, staging, version(2, staging.seal()))
    assert store.manifest("f") == won


def test_a_number_is_not_given_twice(store: Store) -> None:
    published = publish(store, 1)
    staging = stage(store, 1)  # by who looked for the next number before
    with pytest.raises(StoreLocked, match="came first"):
        publish_version(store, staging, version(1, staging.seal()))
    assert store.manifest("f") == published


def test_different_families_are_built_side_by_side(store: Store) -> None:
    with store.locked("f"), store.locked("g"):
        pass


def test_the_lock_is_free_again_afterwards_and_after_an_error(store: Store) -> None:
    with store.locked("f"):
        pass
    with pytest.raises(ValueError, match="x"), store.locked("f"):
        raise ValueError("x")
    with store.locked("f"):
        pass


def test_another_process_that_holds_the_lock_is_named_and_its_death_frees_it(store: Store) -> None:
    code = (
        "import sys, time, pathlib; from modelfactory.store.store import Store\n"
        f"with Store(pathlib.Path({str(store.root)!r})).locked('f'):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreLocked, match=f"process {holder.pid}"), store.locked("f"):
            pass
        with pytest.raises(StoreLocked, match=f"process {holder.pid}"):
            store.check_unlocked("f")
    finally:
        holder.kill()
        holder.communicate()
    store.check_unlocked("f")  # its name is still there
    with store.locked("f"):
        pass


def test_looking_at_the_lock_makes_nothing(store: Store) -> None:
    store.check_unlocked("f")
    assert not store.root.exists()
    with store.locked("g"):
        store.check_unlocked("f")
    store.check_unlocked("g")


# Things in the way -----------------------------------------------------------------------------------------------


def test_a_store_that_can_be_written_is_left_as_it_was(store: Store) -> None:
    store.check_writable()
    assert not store.root.exists()
    store.root.mkdir(parents=True)
    store.check_writable()
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_store_must_be_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not a folder"):
        Store(tmp_path / name).check_writable()


def test_a_file_where_a_family_belongs_is_one_clear_mistake(store: Store) -> None:
    store.root.mkdir(parents=True)
    (store.root / "f").touch()
    with pytest.raises(InputError), store.locked("f"):
        pass


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]"])
def test_a_damaged_manifest_is_one_clear_mistake(store: Store, content: bytes) -> None:
    (store.root / "f").mkdir(parents=True)
    (store.root / "f" / "manifest.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        store.manifest("f")
    (found,) = caught.value.diagnostics
    assert found.code in (Code.STORE, Code.STORE_SCHEMA)
    assert str(found.file).endswith("manifest.json")


def test_a_missing_or_damaged_group_table_is_one_clear_mistake(store: Store) -> None:
    (current,) = publish(store, 1).versions
    (file,) = store.files("f", current, "groups")
    file.write_bytes(b"PAR1")
    with pytest.raises(InputError):
        read_groups([file])
    file.unlink()
    with pytest.raises(InputError):
        read_groups([file])


def test_a_file_is_replaced_whole_and_without_leftovers(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    replace_file(file, "one é\n")
    replace_file(file, "two\n")
    assert file.read_text(encoding="utf-8") == "two\n"
    assert list(tmp_path.iterdir()) == [file]
