"""A family that was renamed keeps its versions, whose files stay where they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_samples import GROUPS, publish, version, write_models

from modelfactory.diagnostics import InputError
from modelfactory.store.groups import read_groups
from modelfactory.store.manifest import Manifest
from modelfactory.store.store import Store
from modelfactory.store.verifying import verify_store
from modelfactory.store.versions import next_number, publish_version, stage_version


@pytest.fixture
def renamed(tmp_path: Path) -> Store:
    """A store in which `f` has two versions, and is called `h` now, after it was `g`."""
    for number in (1, 2):
        publish(Store(tmp_path), number)
    return Store(tmp_path, {"h": ("g", "f")})


def publish_as_h(store: Store) -> Manifest:
    number = next_number(store, "h")
    with store.locked("h"):
        staging = stage_version(store, "h", number, f"run{number}")
        staging.write_groups(GROUPS)
        write_models(staging)
        staging.adopt_models(f"{staging.scratch}/written")
        return publish_version(store, staging, version(number, staging.seal()))


def test_its_versions_are_read_under_the_new_name(renamed: Store) -> None:
    manifest = renamed.manifest("h")
    assert manifest is not None
    assert (manifest.family, manifest.current, [v.number for v in manifest.versions]) == ("h", 2, [1, 2])
    current = manifest.version()
    assert current is not None
    assert read_groups(renamed.files("h", current, "groups")) == GROUPS
    assert renamed.manifest("g") is None


def test_the_next_version_is_published_behind_them_under_the_new_name(renamed: Store, tmp_path: Path) -> None:
    made = publish_as_h(renamed)
    assert [(v.number, v.family) for v in made.versions] == [(1, "f"), (2, "f"), (3, None)]
    plain = Store(tmp_path)  # from now on the store itself knows
    assert plain.manifest("h") == made
    for number in (1, 2, 3):
        found = made.version(number)
        assert found is not None
        assert read_groups(plain.files("h", found, "groups")) == GROUPS
    assert publish_as_h(renamed).current == 4
    assert verify_store(plain).damages == ()
    assert verify_store(plain).leftovers == ()


def test_versions_of_the_new_name_without_a_manifest_are_not_removed(renamed: Store, tmp_path: Path) -> None:
    publish_as_h(renamed)
    (tmp_path / "h/manifest.json").unlink()
    with pytest.raises(InputError, match="has versions and no manifest"), renamed.locked("h"):
        stage_version(renamed, "h", 4, "run4")
    assert list((tmp_path / "h").glob("v000003-*"))


def test_a_first_build_under_the_new_name_that_dies_is_cleaned_up(renamed: Store, tmp_path: Path) -> None:
    with renamed.locked("h"):
        stage_version(renamed, "h", 3, "dead").write_groups(GROUPS)
    assert verify_store(Store(tmp_path)).damages == ()
    manifest = renamed.manifest("h")
    assert manifest is not None
    assert manifest.current == 2
    assert [v.number for v in publish_as_h(renamed).versions] == [1, 2, 3]
    assert verify_store(Store(tmp_path)).leftovers == ()


def test_a_family_that_is_renamed_back_goes_on_from_where_it_was(renamed: Store, tmp_path: Path) -> None:
    publish_as_h(renamed)  # `f` has versions 1 and 2, `h` has 3
    back = Store(tmp_path, {"f": ("h",)})
    manifest = back.manifest("f")
    assert manifest is not None
    assert (manifest.current, [v.number for v in manifest.versions]) == (3, [1, 2, 3])
    assert next_number(back, "f") == 4
    made = publish(back, 4)
    assert [(v.number, v.folder("f")) for v in made.versions] == [(1, "f"), (2, "f"), (3, "h"), (4, "f")]
    assert Store(tmp_path).manifest("f") == made
    for number in (1, 2, 3, 4):
        found = made.version(number)
        assert found is not None
        assert read_groups(back.files("f", found, "groups")) == GROUPS
