"""A store on an object store: the same contract, kept by puts on a condition and by leases."""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import GROUPS, publish, stage, version, write_models

from modelfactory.diagnostics import Code, InputError, StoreLocked
from modelfactory.store.groups import read_groups
from modelfactory.store.holding import HolderRecord
from modelfactory.store.lease import Lease, leased
from modelfactory.store.objects import Objects
from modelfactory.store.places import Conflict
from modelfactory.store.remote import RemoteFolder
from modelfactory.store.store import Store
from modelfactory.store.verifying import verify_store
from modelfactory.store.versions import Staging, publish_version, stage_version


def place_of(store: Store) -> RemoteFolder:
    assert isinstance(store.place, RemoteFolder)
    return store.place


def objects_of(store: Store) -> Objects:
    return place_of(store)._objects


def names(store: Store) -> list[str]:
    """Return the names of all objects of a store, but the lease."""
    files, path, _ = store.place.opened("")
    found = files.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    inside = [info.path.removeprefix(f"{path}/") for info in found if info.type == fs.FileType.File]
    return sorted(name for name in inside if not name.endswith(".lease.json"))


# Publishing ------------------------------------------------------------------------------------------------------


def test_a_published_version_is_current_whole_and_where_the_contract_says(remote: Store) -> None:
    assert remote.manifest("f") is None
    publish(remote, 1)
    publish(remote, 2)
    manifest = remote.manifest("f")
    assert manifest is not None
    current = manifest.version()
    assert current is not None
    assert current.number == 2
    assert read_groups(remote.files("f", current, "groups")).equals(GROUPS)
    (models,) = remote.files("f", current, "models")
    assert pq.read_table(models.open()).column_names == ["k", "model"]
    assert names(remote) == [
        "f/manifest.json",
        *(f"f/v00000{n}-run{n}/{table}/part-00000.parquet" for n in (1, 2) for table in ("groups", "models")),
    ]


@pytest.mark.parametrize("published", [0, 1], ids=["the first version", "a later version"])
def test_of_two_writers_one_wins_and_the_other_is_told(remote: Store, published: int) -> None:
    for number in range(1, published + 1):
        publish(remote, number)
    number = published + 1
    one, other = stage(remote, number), stage_version(remote, "f", number, "other")
    other.write_groups(GROUPS)
    won = publish_version(remote, one, version(number, one.seal()))
    with pytest.raises(StoreLocked, match="another build of family `f` came first") as caught:
        publish_version(remote, other, version(number, other.seal()))
    assert caught.value.exit_code == 5
    other.discard()
    assert remote.manifest("f") == won
    assert verify_store(remote).damages == ()
    assert not any("other" in name for name in names(remote))


def test_a_put_whose_answer_was_lost_is_no_conflict(remote: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = objects_of(remote)
    real = objects._client

    class Repeating:
        """Puts twice, as a client does that heard no answer."""

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def put(self, *arguments: object, **more: object) -> object:
            real.put(*arguments, **more)
            return real.put(*arguments, **more)

    monkeypatch.setattr(objects, "_client", Repeating())
    assert publish(remote, 1).current == 1
    assert publish(remote, 2).current == 2


@contextmanager
def no_answers(remote: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the object store do what it is asked to write, and its answers be lost."""
    objects = objects_of(remote)
    real = objects.write

    def silent(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        raise OSError("no answer")

    with monkeypatch.context() as patched:
        patched.setattr(objects, "write", silent)
        yield


def test_a_version_that_may_be_named_is_not_removed(remote: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    staging = stage(remote, 1)
    with no_answers(remote, monkeypatch), pytest.raises(InputError, match="no answer"):
        publish_version(remote, staging, version(1, staging.seal()))
    staging.discard()
    assert verify_store(remote).versions == 1
    assert verify_store(remote).damages == ()


def test_what_dead_builds_left_is_removed_once_a_version_is_published(remote: Store) -> None:
    publish(remote, 1)
    whole = names(remote)
    stage(remote, 2)
    write_models(stage_version(remote, "f", 2, "later"))  # and both die
    assert len(verify_store(remote).leftovers) == 2
    staging = stage_version(remote, "f", 2, "last")
    assert len(verify_store(remote).leftovers) == 2  # one of them may only sleep
    publish_version(remote, staging, version(2, staging.seal()))
    assert names(remote) == whole
    assert verify_store(remote).leftovers == ()


def test_a_file_is_removed_alone(remote: Store) -> None:
    for name in ("f/one", "f/one.more", "g/one"):
        with remote.place.writing(name) as out:
            out.write(b"1")
    for name in ("f/one", "f/nothing"):
        remote.place.remove(name)
    assert names(remote) == ["f/one.more", "g/one"]


def test_the_empty_objects_that_spark_leaves_for_folders_are_removed(remote: Store, s3_server: str) -> None:
    staging = stage(remote, 1)
    for folder in ("", "written/", "written/_temporary/"):
        url = f"{s3_server}/{place_of(remote)._path(staging.scratch)}/{folder}"
        urllib.request.urlopen(urllib.request.Request(url, method="PUT", data=b"")).close()
    staging.discard()
    assert verify_store(remote).leftovers == ()
    assert names(remote) == []


def test_versions_without_a_manifest_are_not_removed(remote: Store) -> None:
    publish(remote, 1)
    publish(remote, 2)
    place_of(remote)._opened[0].delete_file(place_of(remote)._path("f/manifest.json"))
    with pytest.raises(InputError, match="has versions and no manifest"):
        stage_version(remote, "f", 3, "run3")
    (damage,) = verify_store(remote).damages
    assert damage.text() == "family `f`: `manifest.json` is missing, and there are versions"


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["publish", "die", "discard"])), max_size=8))
def test_whatever_builds_do_without_a_lease_what_was_published_stays_whole(
    s3: str, steps: list[tuple[int, str]]
) -> None:
    store = Store(f"{s3}/{time.monotonic_ns()}")
    published: list[str] = []

    def begin(run_id: str) -> Staging:
        staging = stage_version(store, "f", len(published) + 1, run_id)
        staging.write_groups(GROUPS)
        return staging

    builders = [begin(f"first{n}") for n in range(3)]
    for turn, (n, what) in enumerate(steps):
        staging = builders[n]
        if what == "publish":
            try:
                publish_version(store, staging, version(int(staging.name[1:7]), staging.seal()))
                published.append(staging.name)
            except StoreLocked:
                staging.discard()
        elif what == "discard":
            staging.discard()
        builders[n] = begin(f"turn{turn}")
        found = verify_store(store)
        assert found.damages == ()
        manifest = store.manifest("f")
        named = [v.files[0].path.split("/")[0] for v in manifest.versions] if manifest else []
        assert named == published


# The lease -------------------------------------------------------------------------------------------------------


def lease_of(store: Store, name: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Lease:
    holder = HolderRecord(run_id=name, pid=1, host="far", since="2024-01-01T00:00:00+00:00")
    return Lease(objects_of(store), "f", holder, timedelta(seconds=60), now)


def test_a_family_is_built_by_one_at_a_time_and_the_other_hears_by_whom(remote: Store) -> None:
    with (
        remote.locked("f", run_id="r1") as hold,
        pytest.raises(StoreLocked, match=r"being built by process \d+ on \S+, run r1, since 20") as caught,
        remote.locked("f"),
    ):
        pass
    assert caught.value.exit_code == 5
    assert "its lease runs out at" in str(caught.value)
    with remote.locked("f") as hold:
        hold.confirm()


def test_looking_at_a_lease_makes_nothing_and_takes_nothing(remote: Store) -> None:
    remote.check_unlocked("f")
    assert remote.place.files("f") == []
    with remote.locked("f", run_id="r1"):
        with pytest.raises(StoreLocked, match="run r1"):
            remote.check_unlocked("f")
        remote.check_unlocked("g")
    remote.check_unlocked("f")


def test_different_families_are_built_side_by_side(remote: Store) -> None:
    with remote.locked("f") as f, remote.locked("g") as g:
        f.confirm()
        g.confirm()


def test_a_lease_that_ran_out_is_taken_over_and_its_holder_may_not_publish(remote: Store) -> None:
    dead = lease_of(remote, "dead")
    dead.take()
    with pytest.raises(StoreLocked, match="run dead"):
        lease_of(remote, "next").take()
    later = lease_of(remote, "next", lambda: datetime.now(UTC) + timedelta(seconds=61))
    later.take()
    with pytest.raises(StoreLocked, match="came first"):
        dead.confirm()
    dead.let_go()  # what it does not hold
    with pytest.raises(StoreLocked, match="run next"):
        lease_of(remote, "third").take()
    later.confirm()


def test_of_two_that_take_over_at_once_one_wins(remote: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    objects, quicker = objects_of(remote), lease_of(remote, "quicker")
    real, slow = objects.write, iter([True])

    def overtaken(*arguments: object) -> object:
        if next(slow, False):
            quicker.take()
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(objects, "write", overtaken)
    with pytest.raises(StoreLocked, match="run quicker"):
        lease_of(remote, "slower").take()


def test_a_lease_is_renewed_while_its_build_lives(remote: Store) -> None:
    with leased(objects_of(remote), "f", "long", lasts=timedelta(seconds=0.9)) as lease:
        first = objects_of(remote).read("f/.lease.json")
        time.sleep(1.5)
        assert objects_of(remote).read("f/.lease.json") != first
        with pytest.raises(StoreLocked, match="run long"):
            lease_of(remote, "other").take()
        lease.confirm()
    assert not any(thread.name.startswith("mf-lease") for thread in threading.enumerate())
    lease_of(remote, "other").take()


def test_a_renewal_whose_answer_was_lost_is_no_loss(remote: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = lease_of(remote, "mine")
    lease.take()
    with no_answers(remote, monkeypatch), pytest.raises(OSError, match="no answer"):
        lease.confirm()
    lease.confirm()


def test_a_lease_that_cannot_be_read_is_nobodys(remote: Store) -> None:
    objects_of(remote).write("f/.lease.json", b"{", None)
    lease_of(remote, "next").take()
    found = objects_of(remote).read("f/.lease.json")
    assert found is not None
    assert json.loads(found.content)["run_id"] == "next"


def test_an_object_is_not_overwritten_unseen(remote: Store) -> None:
    objects = objects_of(remote)
    first = objects.write("x", b"1", None)
    with pytest.raises(Conflict):
        objects.write("x", b"2", None)
    objects.write("x", b"2", first)
    with pytest.raises(Conflict):
        objects.write("x", b"3", first)


# Things in the way -----------------------------------------------------------------------------------------------


def test_a_store_that_can_be_written_is_left_as_it_was(remote: Store) -> None:
    remote.check_writable()
    assert names(remote) == []


def uses(store: Store) -> list[Callable[[], object]]:
    return [store.check_writable, lambda: store.manifest("f"), lambda: verify_store(store), lambda: stage(store, 1)]


@pytest.mark.parametrize("use", range(4))
def test_a_missing_bucket_is_one_clear_mistake(s3: str, use: int) -> None:
    with pytest.raises(InputError, match=r"(?i)bucket") as caught:
        uses(Store("s3://no-such-bucket/store"))[use]()
    (found,) = caught.value.diagnostics
    assert found.code == Code.STORE
    assert "s3://no-such-bucket/store" in found.message


@pytest.mark.parametrize("use", range(4))
def test_wrong_credentials_are_one_clear_mistake(remote: Store, s3_server: str, use: int) -> None:
    publish(remote, 1)

    def checked_after(actions: bytes) -> None:
        headers = {"Content-Type": "text/plain"}
        url = f"{s3_server}/moto-api/reset-auth"
        urllib.request.urlopen(urllib.request.Request(url, method="POST", data=actions, headers=headers)).close()

    checked_after(b"0")
    try:
        with pytest.raises(InputError, match=r"cannot (read|write to) the store `s3://") as caught:
            uses(Store(remote.root))[use]()
    finally:
        checked_after(b"inf")
    (found,) = caught.value.diagnostics
    assert found.help is not None
    assert "environment" in found.help
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("use", [0, 1])
def test_an_object_store_that_does_not_answer_is_one_clear_mistake(
    s3: str, use: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"cannot (read|write to) the store") as caught:
        uses(Store(f"{s3}/store"))[use]()
    assert len(caught.value.diagnostics) == 1


def test_without_obstore_a_store_can_be_read_and_the_command_that_installs_it_is_told(
    remote: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = publish(remote, 1)
    for name in [name for name in sys.modules if name.split(".")[0] == "obstore"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "obstore", None)
    store = Store(remote.root)
    assert store.manifest("f") == made
    assert read_groups(store.files("f", made.versions[0], "groups")).equals(GROUPS)
    assert verify_store(store).damages == ()
    with pytest.raises(InputError, match="is not installed") as caught:
        store.check_writable()
    assert caught.value.diagnostics[0].help == "pip install 'modelfactory-spark[cloud]'"


def test_a_missing_group_table_is_one_clear_mistake(remote: Store) -> None:
    (current,) = publish(remote, 1).versions
    (file,) = remote.files("f", current, "groups")
    file.filesystem.delete_file(file.path)
    with pytest.raises(InputError, match="cannot read the group table"):
        read_groups([file])


def test_hdfs_is_read_and_not_written() -> None:
    with pytest.raises(InputError, match="cannot replace a manifest in one step"):
        Store("hdfs://host:8020/store").check_writable()
