"""Rolling back and pruning: one step each, no kept version loses a byte, and no number is given twice."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_samples import GROUPS, stage, version, write_models

from modelfactory.diagnostics import Code, InputError, StoreLocked
from modelfactory.store.groups import read_groups
from modelfactory.store.history import Pruned, manifests_of, prune, rollback, versions_to_prune
from modelfactory.store.local import LocalFolder
from modelfactory.store.manifest import FileRecord, Manifest, VersionRecord, manifest_text
from modelfactory.store.places import Place
from modelfactory.store.store import Store
from modelfactory.store.verifying import verify_store
from modelfactory.store.versions import next_number, publish_version, stage_version


@pytest.fixture(params=["folder", "object store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store in which nothing was published."""
    return Store(tmp_path / "store") if request.param == "folder" else request.getfixturevalue("remote")


def publish_many(store: Store, count: int, family: str = "f") -> None:
    """Publish versions as builds do; what an object store is to hold before a test begins is only put there."""
    if not store.place.holds_surely and not store.names(family)[1:]:
        _put_many(store, count, family)
        return
    for _ in range(count):
        build(store, family)


def build(store: Store, family: str = "f") -> None:
    """Publish a version, numbered as a build does."""
    number = next_number(store, family)
    with store.locked(family):
        staging = stage_version(store, family, number, f"run{number}")
        staging.write_groups(GROUPS)
        write_models(staging)
        staging.adopt_models(f"{staging.scratch}/written")
        publish_version(store, staging, version(number, staging.seal()))
        staging.discard()


def _put_many(store: Store, count: int, family: str) -> None:
    """Put versions into an object store as if they were published there; many requests less."""
    before = store.manifest(family)
    first, versions = next_number(store, family), list(before.versions) if before else []
    for number in range(first, first + count):
        files = []
        for table, content in PARQUET.items():
            path = f"v{number:06d}-run{number}/{table}/part-00000.parquet"
            with store.place.writing(f"{family}/{path}") as out:
                out.write(content)
            digest = hashlib.sha256(content).hexdigest()
            files.append(FileRecord(path=path, table=table, rows=ROWS[table], bytes=len(content), sha256=digest))
        versions.append(version(number, files))
    revision = before.revision + count if before else count - 1
    manifest = Manifest(family=family, current=versions[-1].number, revision=revision, versions=versions)
    store.place.replace(
        f"{family}/manifest.json", manifest_text(manifest).encode(), store.place.edition(f"{family}/manifest.json")
    )


def parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


ROWS = {"groups": GROUPS.num_rows, "models": 1}
PARQUET = {"groups": parquet(GROUPS), "models": parquet(pa.table({"k": ["a"], "model": [b"\x80"]}))}


def edit(store: Store, change: Callable[[Manifest], dict[str, Any]], family: str = "f") -> None:
    """Write a manifest as another release would have."""
    before = manifest_of(store, family)
    after = before.model_copy(update=change(before))
    with store.place.writing(f"{family}/manifest.json") as out:
        out.write(manifest_text(after).encode())


def manifest_of(store: Store, family: str = "f") -> Manifest:
    manifest = store.manifest(family)
    assert manifest is not None
    return manifest


def numbers(versions: list[VersionRecord] | tuple[VersionRecord, ...]) -> list[int]:
    return [v.number for v in versions]


def folders(store: Store, family: str = "f") -> list[int]:
    """Return the numbers of the version folders that are there."""
    return [int(name[1:7]) for name in store.place.folders(family) if name.startswith("v")]


def check_whole(store: Store, left: tuple[str, ...] = ()) -> None:
    found = verify_store(store)
    assert (found.damages, found.leftovers) == ((), left)


def test_a_manifest_that_leads_out_of_the_store_deletes_nothing(tmp_path: Path) -> None:
    store, precious = Store(tmp_path / "store"), tmp_path / "precious" / "file"
    publish_many(store, 2)
    precious.parent.mkdir()
    precious.touch()
    manifest = tmp_path / "store/f/manifest.json"
    text = manifest.read_text().replace("v000001-run1/", "../../precious/v000001-run1/")
    manifest.write_text(text)
    with pytest.raises(InputError, match="the manifest is damaged"):
        prune(store, "f", keep=1, delete=True)
    assert precious.exists()


# Rolling back ---------------------------------------------------------------------------------------------------------


def test_a_rollback_moves_the_pointer_and_nothing_else(store: Store) -> None:
    publish_many(store, 3)
    before = manifest_of(store)
    done = rollback(store, "f", 1)
    after = manifest_of(store)
    assert (done.before, done.changed, done.manifest) == (3, True, after)
    assert after.current == 1
    assert after.versions == before.versions
    current = store.current("f")
    assert current is not None
    assert read_groups(store.files("f", current, "groups")) == GROUPS
    check_whole(store)


def test_the_next_version_has_a_number_that_was_never_given(store: Store) -> None:
    publish_many(store, 3)
    rollback(store, "f", 1)
    build(store)
    assert (manifest_of(store).current, numbers(manifest_of(store).versions)) == (4, [1, 2, 3, 4])


def test_a_rollback_to_the_current_version_changes_nothing(store: Store) -> None:
    publish_many(store, 2)
    before = store.place.read("f/manifest.json")
    assert not rollback(store, "f", 2).changed
    assert store.place.read("f/manifest.json") == before


def test_a_dry_run_checks_and_changes_nothing(store: Store) -> None:
    publish_many(store, 2)
    before = store.place.read("f/manifest.json")
    done = rollback(store, "f", 1, dry_run=True)
    assert (done.before, done.manifest.current) == (2, 1)
    assert store.place.read("f/manifest.json") == before
    with store.locked("f"), pytest.raises(StoreLocked):
        rollback(store, "f", 1, dry_run=True)


@pytest.mark.parametrize("what", ["is missing", "bytes and not"])
@pytest.mark.parametrize("damaged", [1, 2])
def test_a_version_that_is_not_whole_cannot_be_gone_back_to(store: Store, what: str, damaged: int) -> None:
    publish_many(store, 3)
    edit(store, lambda m: {"versions": [v.model_copy(update={"model_versions": [1]}) for v in m.versions]})
    name = f"f/v00000{damaged}-run{damaged}/models/part-00000.parquet"
    if what == "is missing":
        files, folder, _ = store.place.opened("")
        files.delete_file(f"{folder}/{name}")
    else:
        with store.place.writing(name) as out:
            out.write(b"PAR1")
    with pytest.raises(InputError, match=rf"version {damaged} of family `f` is not whole: a file .*{what}") as caught:
        rollback(store, "f", 2)  # which has models of version 1
    (found,) = caught.value.diagnostics
    assert (found.code, found.file) == (Code.STORE, store.place.shown(name))
    assert manifest_of(store).current == 3


def test_what_there_is_not_is_told_with_what_there_is(store: Store) -> None:
    with pytest.raises(InputError, match="was never built") as caught:
        rollback(store, "f", 1)
    assert caught.value.diagnostics[0].code == Code.NOT_BUILT
    assert store.place.files("f") == []  # no lock, no folder
    publish_many(store, 2)
    with pytest.raises(InputError, match="family `f` has no version 7") as caught:
        rollback(store, "f", 7)
    assert caught.value.diagnostics[0].help == "it has 1, 2"


def test_a_family_that_is_being_built_is_not_rolled_back(store: Store) -> None:
    publish_many(store, 2)
    with store.locked("f", run_id="r9"), pytest.raises(StoreLocked, match="run r9"):
        rollback(store, "f", 1)
    assert manifest_of(store).current == 2


def test_a_build_that_publishes_in_the_middle_wins(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_many(store, 2)
    place = type(store.place)
    real = place.replace

    def late(self: Any, name: str, content: bytes, former: Any) -> None:
        monkeypatch.setattr(place, "replace", real)
        won = stage(store, 3)  # of a build whose lease had run out
        publish_version(store, won, version(3, won.seal()))
        real(self, name, content, former)

    monkeypatch.setattr(place, "replace", late)
    with pytest.raises(StoreLocked, match="came first; nothing was changed") as caught:
        rollback(store, "f", 1)
    assert caught.value.exit_code == 5
    assert manifest_of(store).current == 3


# What may go ----------------------------------------------------------------------------------------------------------


def record(number: int, needs: list[int]) -> VersionRecord:
    file = FileRecord(path=f"v{number:06d}-r/groups/p.parquet", table="groups", rows=1, bytes=10, sha256="")
    return version(number, [file]).model_copy(update={"model_versions": needs})


@st.composite
def histories(draw: st.DrawFn) -> Manifest:
    """Manifests in which versions may need others that came before them."""
    found = draw(st.lists(st.integers(1, 40), unique=True, min_size=1, max_size=12).map(sorted))
    needs = [draw(st.lists(st.sampled_from(found[: i + 1]), unique=True, max_size=3)) for i in range(len(found))]
    versions = [record(number, needed) for number, needed in zip(found, needs, strict=True)]
    return Manifest(family="f", current=draw(st.sampled_from(found)), versions=versions)


@given(history=histories(), keep=st.integers(1, 8))
def test_whatever_is_pruned_what_counts_stays(history: Manifest, keep: int) -> None:
    pruned = set(numbers(versions_to_prune(history, keep)))
    kept = [v for v in history.versions if v.number not in pruned]
    assert history.current not in pruned
    assert not pruned & set(sorted(numbers(history.versions))[-keep:])
    assert max(numbers(kept)) == history.highest
    for v in kept:
        assert not pruned & set(v.model_versions)
    # and nothing stays for nothing
    needed = {number for v in kept for number in v.model_versions if number != v.number}
    newest = sorted(numbers(history.versions))[-keep:]
    assert all(v.number in {history.current, *newest, *needed} for v in kept)


def test_none_kept_is_no_history() -> None:
    with pytest.raises(ValueError, match="at least one"):
        versions_to_prune(Manifest(family="f", current=1, versions=[record(1, [])]), 0)


# Pruning --------------------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_go_and_deletes_nothing(store: Store) -> None:
    publish_many(store, 4)
    before = store.place.read("f/manifest.json")
    found = prune(store, "f", keep=2)
    assert numbers(found.versions) == [1, 2]
    assert [(k.version.number, k.why) for k in found.kept] == [(3, "newest"), (4, "current")]
    assert found.bytes == sum(f.bytes for v in manifest_of(store).versions[:2] for f in v.files)
    assert store.place.read("f/manifest.json") == before
    assert folders(store) == [1, 2, 3, 4]


def test_old_versions_are_deleted_and_the_others_stay_whole(store: Store) -> None:
    publish_many(store, 4)
    before = manifest_of(store)
    foreseen = prune(store, "f", keep=2)
    assert prune(store, "f", keep=2, delete=True) == foreseen
    after = manifest_of(store)
    assert (after.current, after.versions) == (4, before.versions[2:])
    assert folders(store) == [3, 4]
    check_whole(store)
    again = prune(store, "f", keep=2, delete=True)
    assert (again.versions, again.leftovers) == ((), ())
    assert manifest_of(store) == after


def test_the_current_version_and_the_highest_number_stay(store: Store) -> None:
    publish_many(store, 4)
    rollback(store, "f", 2)
    assert numbers(prune(store, "f", keep=1, delete=True).versions) == [1, 3]
    assert (manifest_of(store).current, folders(store)) == (2, [2, 4])
    build(store)
    assert (manifest_of(store).current, folders(store)) == (5, [2, 4, 5])
    check_whole(store)


def test_versions_whose_models_a_kept_one_needs_stay(store: Store) -> None:
    publish_many(store, 5)
    needs = {5: [3, 5], 3: [1, 3]}
    edit(
        store,
        lambda m: {"versions": [v.model_copy(update={"model_versions": needs.get(v.number, [])}) for v in m.versions]},
    )
    found = prune(store, "f", keep=1, delete=True)
    assert [(k.version.number, k.why) for k in found.kept] == [(1, "needed"), (3, "needed"), (5, "current")]
    assert folders(store) == [1, 3, 5]
    check_whole(store)


def test_what_no_manifest_names_goes_too(store: Store) -> None:
    build(store)
    stage(store, 2)  # and the build dies
    found = prune(store, "f")
    assert (found.versions, found.leftovers) == ((), ("f/v000002-run2",))
    assert folders(store) == [1, 2]
    prune(store, "f", delete=True)
    assert folders(store) == [1]
    check_whole(store)


def test_a_sleeping_build_whose_folder_was_pruned_cannot_publish(remote: Store) -> None:
    publish_many(remote, 1)
    asleep = stage(remote, 2)  # its lease has run out
    files = asleep.seal()
    prune(remote, "f", delete=True)
    with pytest.raises(StoreLocked, match="came first"):
        publish_version(remote, asleep, version(2, files))
    check_whole(remote)


def test_a_family_that_was_never_built_has_nothing_to_prune(store: Store) -> None:
    assert prune(store, "f", delete=True) == Pruned("f")
    assert store.place.files("f") == []


def test_a_family_that_is_being_built_is_not_pruned(store: Store) -> None:
    publish_many(store, 3)
    with store.locked("f", run_id="r9"):
        for delete in (False, True):
            with pytest.raises(StoreLocked, match="run r9"):
                prune(store, "f", keep=1, delete=delete)
    assert folders(store) == [1, 2, 3]


class Killed(BaseException):
    """Stands for the end of the process."""


def killed_in(store: Store, method: str, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prune to one version and die in the middle of it."""
    calls = 0
    real: Any = getattr(type(store.place), method)

    def dying(self: Place, *arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise Killed
        real(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(type(store.place), method, dying)
        with pytest.raises(Killed):
            prune(store, "f", keep=1, delete=True)


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("cleaner", ["prune", "build"])
def test_a_prune_that_dies_leaves_what_the_next_one_or_a_build_removes(
    store: Store, after: int, cleaner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_many(store, 4)
    killed_in(store, "remove", after, monkeypatch)
    assert numbers(manifest_of(store).versions) == [4]
    found = verify_store(store)
    assert found.damages == ()
    assert len(found.leftovers) == 3 - after
    if cleaner == "prune":
        assert len(prune(store, "f", keep=1, delete=True).leftovers) == 3 - after
        assert folders(store) == [4]
    else:
        build(store)
        assert folders(store) == [4, 5]
    check_whole(store)


def test_a_prune_that_dies_before_the_manifest_is_replaced_did_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_many(store, 3)
    killed_in(store, "replace", 0, monkeypatch)
    assert folders(store) == [1, 2, 3]
    check_whole(store)


def test_what_cannot_be_deleted_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_many(store, 3)
    monkeypatch.setattr(type(store.place), "remove", lambda *_: None)
    with pytest.raises(InputError, match="cannot delete 2 folders of family `f`"):
        prune(store, "f", keep=1, delete=True)
    assert numbers(manifest_of(store).versions) == [3]


def test_a_reader_of_a_version_that_was_pruned_meanwhile_gets_one_clear_mistake(store: Store) -> None:
    publish_many(store, 2)
    reading = manifest_of(store).versions[0]
    prune(store, "f", keep=1, delete=True)
    with pytest.raises(InputError, match="cannot read the group table"):
        read_groups(store.files("f", reading, "groups"))


def test_a_manifest_that_cannot_be_read_keeps_all_others_from_being_pruned(store: Store) -> None:
    publish_many(store, 3)
    with store.place.writing("g/manifest.json") as out:
        out.write(b'{"schema": 99}')
    with pytest.raises(InputError, match="schema 99"):
        prune(store, "f", keep=1, delete=True)
    assert folders(store) == [1, 2, 3]


# Families that were renamed -------------------------------------------------------------------------------------------


def renamed(store: Store, **former_names: tuple[str, ...]) -> Store:
    return Store(store.root, former_names)


def test_a_rollback_of_a_renamed_family_stands_under_its_new_name(store: Store) -> None:
    publish_many(store, 2)
    after = renamed(store, h=("g", "f"))
    assert rollback(after, "h", 1).before == 2
    assert manifest_of(after, "h").current == 1
    assert manifest_of(store, "h").current == 1  # the store itself knows now
    assert manifest_of(store, "f").current == 2  # what others still call it
    publish_many(after, 1, "h")
    assert [(v.number, v.family) for v in manifest_of(store, "h").versions] == [(1, "f"), (2, "f"), (3, None)]
    check_whole(store)


def test_a_rollback_holds_where_a_family_is_renamed_back(store: Store) -> None:
    publish_many(store, 2)
    rollback(renamed(store, h=("f",)), "h", 1)
    assert manifest_of(renamed(store, f=("h",))).current == 1


@pytest.mark.parametrize("built", [0, 3], ids=["not built since", "built since"])
def test_a_renamed_family_loses_versions_under_its_former_name_too(store: Store, built: int) -> None:
    publish_many(store, 4)
    after = renamed(store, h=("g", "f"))
    publish_many(after, built, "h")
    pruned = prune(after, "h", keep=2, delete=True)
    if built:
        # `f` still points to version 4, for whoever has not heard of the new name.
        assert numbers(pruned.versions) == [1, 2, 3, 5]
        assert [(k.version.number, k.why) for k in pruned.kept] == [(4, "named"), (6, "newest"), (7, "current")]
        assert (folders(store, "f"), folders(store, "h")) == ([4], [6, 7])
    else:
        assert numbers(pruned.versions) == [1, 2]
        assert folders(store, "f") == [3, 4]
    assert manifest_of(store, "f").current == 4
    check_whole(store)
    publish_many(after, 1, "h")
    assert manifest_of(after, "h").current == 5 + built
    check_whole(store)


def test_a_prune_of_a_renamed_family_that_dies_is_finished_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_many(store, 4)
    after = renamed(store, h=("f",))
    publish_many(after, 2, "h")
    real: Any = type(store.place).replace
    for most in (1, 2):  # after the manifest of `h`, and after that of `f`
        calls = []

        def dying(self: Place, name: str, *arguments: Any, most: int = most, calls: list[str] = calls) -> None:
            if len(calls) == most:
                raise Killed
            calls.append(name)
            real(self, name, *arguments)

        with monkeypatch.context() as patched:
            patched.setattr(type(store.place), "replace", dying)
            patched.setattr(type(store.place), "remove", lambda *_: (_ for _ in ()).throw(Killed))
            with pytest.raises(Killed):
                prune(after, "h", keep=1, delete=True)
        assert verify_store(store).damages == ()
    prune(after, "h", keep=1, delete=True)
    assert (folders(store, "f"), folders(store, "h")) == ([4], [6])
    check_whole(store)


def test_a_build_takes_nothing_that_the_manifest_of_a_former_name_still_names(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(store)
    publish_many(renamed(store, h=("f",)), 1, "h")
    back = renamed(store, f=("h",))
    real: Any = type(store.place).replace

    def dying(self: Place, name: str, *arguments: Any) -> None:
        if name.startswith("h/"):
            raise Killed
        real(self, name, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(type(store.place), "replace", dying)
        with pytest.raises(Killed):
            prune(back, "f", keep=1, delete=True)
    publish_many(back, 1)
    assert verify_store(back).damages == ()
    prune(back, "f", keep=1, delete=True)
    assert (folders(store, "f"), folders(store, "h")) == ([3], [2])  # to which `h` points
    check_whole(back)


def test_what_another_manifest_names_is_not_deleted(store: Store) -> None:
    publish_many(store, 3)
    publish_many(renamed(store, h=("f",)), 1, "h")
    found = prune(store, "f", keep=1, delete=True)  # of a project that has not heard of `h`
    assert [(k.version.number, k.why) for k in found.kept] == [(1, "named"), (2, "named"), (3, "current")]
    assert folders(store, "f") == [1, 2, 3]
    check_whole(store)


def test_a_former_name_that_is_being_built_keeps_the_family_from_being_pruned(store: Store) -> None:
    publish_many(store, 3)
    with store.locked("f", run_id="r9"), pytest.raises(StoreLocked, match="run r9"):
        prune(renamed(store, h=("f",)), "h", keep=1, delete=True)
    assert folders(store, "f") == [1, 2, 3]


def test_all_manifests_of_a_store_are_found(store: Store) -> None:
    build(store)
    build(store, "g")
    assert set(manifests_of(store)) == {"f", "g"}


# All of it together ---------------------------------------------------------------------------------------------------

steps = st.one_of(
    st.tuples(st.sampled_from(["publish", "die", "rename"]), st.just(0)),
    st.tuples(st.just("roll back"), st.integers(0, 9)),
    st.tuples(st.just("prune"), st.integers(1, 3)),
    st.tuples(st.just("prune and die"), st.integers(0, 4)),
)


@settings(max_examples=20, deadline=None)
@given(todo=st.lists(steps, max_size=10))
def test_whatever_is_done_in_which_order_versions_stay_whole_and_numbers_are_given_once(
    tmp_path_factory: pytest.TempPathFactory, todo: list[tuple[str, int]]
) -> None:
    root = tmp_path_factory.mktemp("history")
    name, other = "f", "h"
    given_numbers: list[int] = []
    store = Store(root)
    for what, n in [("publish", 0), *todo]:
        current = store.current(name)
        match what:
            case "publish":
                given_numbers.append(next_number(store, name))
                build(store, name)
            case "die":
                with store.locked(name):
                    stage_version(store, name, next_number(store, name), "dead").write_groups(GROUPS)
            case "rename":
                name, other = other, name
                store = Store(root, {name: (other,)})
            case "roll back":
                known = numbers(manifest_of(store, name).versions)
                rollback(store, name, known[n % len(known)])
                assert manifest_of(store, name).current == known[n % len(known)]
                current = None
            case "prune":
                newest = numbers(manifest_of(store, name).versions)[-n:]
                prune(store, name, keep=n, delete=True)
                assert numbers(manifest_of(store, name).versions)[-n:] == newest
            case "prune and die":
                with pytest.MonkeyPatch.context() as patched, suppress(Killed):
                    dying_after(patched, n)
                    prune(store, name, keep=1, delete=True)
        assert verify_store(store).damages == ()
        assert len(set(given_numbers)) == len(given_numbers)
        if what != "publish" and current is not None:
            assert manifest_of(store, name).current == current.number


def dying_after(patched: pytest.MonkeyPatch, steps: int) -> None:
    """Have the process die after so many steps that change a store."""
    done = []
    for method in ("replace", "remove"):
        real: Any = getattr(LocalFolder, method)

        def dying(self: Place, *arguments: Any, real: Any = real) -> None:
            if len(done) >= steps:
                raise Killed
            done.append(self)
            real(self, *arguments)

        patched.setattr(LocalFolder, method, dying)
