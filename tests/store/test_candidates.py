"""Versions that are held back: kept beside the published ones, until one is published."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_samples import publish, stage, version

from modelfactory.diagnostics import InputError
from modelfactory.store.candidates import CANDIDATE, candidate_of
from modelfactory.store.history import prune
from modelfactory.store.leftovers import leftovers
from modelfactory.store.store import Store
from modelfactory.store.versions import hold_back, publish_candidate


def held_back(store: Store, number: int, *, needs: tuple[int, ...] = ()) -> None:
    with store.locked("f"):
        staging = stage(store, number)
        record = version(number, staging.seal()).model_copy(update={"model_versions": [*needs, number]})
        hold_back(store, staging, record, ["a test failed"])
        staging.discard()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path)
    publish(found, 1)
    return found


def folders(store: Store) -> list[str]:
    return [name.partition("-")[0] for name in store.place.folders("f")]


def test_a_candidate_is_no_version_and_no_leftover(store: Store) -> None:
    held_back(store, 2)
    manifest = store.manifest("f")
    assert manifest is not None
    assert (manifest.current, manifest.highest) == (1, 1)
    assert leftovers(store, "f", manifest) == []
    found = candidate_of(store, "f", manifest)
    assert found is not None
    assert (found.version.number, found.why) == (2, ["a test failed"])


def test_the_next_candidate_takes_its_place(store: Store) -> None:
    held_back(store, 2)
    held_back(store, 2)
    assert folders(store) == ["v000001", "v000002"]


def test_it_can_be_published_once(store: Store) -> None:
    held_back(store, 2)
    with store.locked("f"):
        assert publish_candidate(store, "f").current == 2
        assert (folders(store), CANDIDATE in store.place.files("f")) == (["v000001", "v000002"], False)
        with pytest.raises(InputError, match="has no candidate"):
            publish_candidate(store, "f")


def test_publishing_another_version_removes_it(store: Store) -> None:
    held_back(store, 2)
    publish(store, 2)
    assert candidate_of(store, "f", store.manifest("f")) is None
    assert (folders(store), CANDIDATE in store.place.files("f")) == (["v000001", "v000002"], False)


def test_pruning_keeps_what_it_needs(store: Store) -> None:
    publish(store, 2)
    publish(store, 3)
    held_back(store, 4, needs=(1,))
    pruned = prune(store, "f", keep=1, delete=True)
    assert ([v.number for v in pruned.versions], [(k.version.number, k.why) for k in pruned.kept]) == (
        [2],
        [(1, "needed"), (3, "current")],
    )
    with store.locked("f"):
        assert publish_candidate(store, "f").current == 4


@pytest.mark.parametrize("what", ["its own", "of a version that it needs"])
def test_it_is_not_published_where_files_are_missing(store: Store, tmp_path: Path, what: str) -> None:
    held_back(store, 2, needs=(1,))
    next(tmp_path.glob(f"f/v00000{2 if what == 'its own' else 1}-*/*/*.parquet")).unlink()
    with store.locked("f"), pytest.raises(InputError, match="is not whole: a file is missing"):
        publish_candidate(store, "f")
    manifest = store.manifest("f")
    assert manifest is not None
    assert manifest.current == 1


def test_what_is_no_candidate_is_told(store: Store, tmp_path: Path) -> None:
    (tmp_path / "f" / CANDIDATE).write_text("[]")
    with pytest.raises(InputError, match="this is not a candidate"):
        candidate_of(store, "f", store.manifest("f"))
