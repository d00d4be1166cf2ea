"""Forgetting: no byte of the group stays in the store, no byte of another is lost, whenever the process dies."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import model_samples
import numpy as np
import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_samples import Group, publish

from modelfactory.diagnostics import Code, InputError, StoreLocked
from modelfactory.store.candidates import candidate_of
from modelfactory.store.copying import copy_version
from modelfactory.store.forgetting import Forgotten, forget
from modelfactory.store.groups import read_groups
from modelfactory.store.history import prune, rollback
from modelfactory.store.local import LocalFolder
from modelfactory.store.manifest import Manifest, Quantiles, VersionRecord
from modelfactory.store.rewriting import write_without
from modelfactory.store.store import Store
from modelfactory.store.tombstones import are_forgotten, forgotten_at
from modelfactory.store.verifying import verify_store
from modelfactory.store.versions import hold_back, publish_candidate, stage_version
from modelfactory.training.encoding import EncodedModel

TEXT = {"who": pa.string()}
TOLD = ("customer-anna", "customer-bob", "customer-cleo", "customer-dora")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A folder in which nothing was published."""
    return Store(tmp_path / "store")


@pytest.fixture(params=["folder", "object store"])
def any_store(request: pytest.FixtureRequest) -> Store:
    """A store of either kind in which nothing was published."""
    found: Store = request.getfixturevalue("store" if request.param == "folder" else "remote")
    return found


def model_of(*key: Any, number: int = 1) -> EncodedModel:
    """Return a model in whose bytes its key stands."""
    data = f"model of {key} in version {number}".encode()
    return EncodedModel(data=data, format="pickle", sha256=hashlib.sha256(data).hexdigest())


def trained(*keys: Any, number: int = 1) -> list[Group]:
    tuples = [key if isinstance(key, tuple) else (key,) for key in keys]
    return [Group(key=key, model=model_of(*key, number=number)) for key in tuples]


def publish_two(store: Store, family: str = "f") -> None:
    """Publish two versions; the second has the models of some groups from the first."""
    failed = Group(key=("customer-eve",), status="failed", n_rows=7)
    publish(store, family, TEXT, [*trained(*TOLD), failed])
    reused = [Group(key=(who,), status="reused", model_version=1) for who in TOLD[:2]]
    publish(store, family, TEXT, [*reused, *trained(*TOLD[2:], number=2), failed], model_versions=[1, 2])


def manifest_of(store: Store, family: str = "f") -> Manifest:
    manifest = store.manifest(family)
    assert manifest is not None
    return manifest


def delete(store: Store, family: str = "f", run_id: str = "forget1", **key: str) -> Forgotten:
    return forget(store, family, key, run_id=run_id, delete=True)


def everything(store: Store) -> dict[str, bytes]:
    """Return all files of a store but locks and leases."""
    files, root, _ = store.place.opened("")
    found = {}
    for info in files.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True)):
        name = info.path.removeprefix(f"{root}/")
        if info.type == fs.FileType.File and not name.rpartition("/")[2].startswith(".l"):
            with files.open_input_stream(info.path) as file:
                found[name] = file.read()
    return found


def text_of(store: Store) -> str:
    """Return all that a store holds as text: manifests, footers, and every value of every table."""
    parts = []
    for name, content in everything(store).items():
        parts.append(content.decode("latin-1"))
        if name.endswith(".parquet"):
            parts.append(str(pq.ParquetFile(pa.BufferReader(content)).read().to_pylist()))
    return "\n".join(parts)


def models_in(store: Store, version: VersionRecord, family: str = "f") -> dict[Any, bytes]:
    """Return the bytes of the models in a version's own model table, by key, in the order of the files."""
    found: dict[Any, bytes] = {}
    for file in store.files(family, version, "models"):
        table = pq.ParquetFile(file if isinstance(file, Path) else file.open()).read()
        keys = zip(*(table[name].to_pylist() for name in version.group_by), strict=True)
        found |= dict(zip(keys, table["model"].to_pylist(), strict=True))
    return found


def keys_in(store: Store, version: VersionRecord, family: str = "f") -> list[Any]:
    table = read_groups(store.files(family, version, "groups"))
    return list(zip(*(table[name].to_pylist() for name in version.group_by), strict=True))


def check_whole(store: Store) -> None:
    found = verify_store(store)
    assert (found.damages, found.leftovers) == ((), ())


# What goes and what stays ---------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_go_and_changes_nothing(store: Store) -> None:
    publish_two(store)
    before = everything(store)
    found = forget(store, "f", {"who": "customer-bob"}, run_id="r")
    assert [(loss.version.number, loss.groups, loss.models) for loss in found.losses] == [(1, 1, 1), (2, 1, 0)]
    assert (found.groups, found.models, found.earlier, found.leftovers, found.others) == (1, 1, None, (), ())
    assert everything(store) == before


def test_a_group_goes_from_all_versions_and_the_others_keep_every_byte(any_store: Store) -> None:
    publish_two(any_store)
    before, old = manifest_of(any_store), {v.number: models_in(any_store, v) for v in manifest_of(any_store).versions}
    assert "customer-bob" in text_of(any_store)
    foreseen = forget(any_store, "f", {"who": "customer-bob"}, run_id="r")
    assert delete(any_store, who="customer-bob") == foreseen
    after = manifest_of(any_store)
    assert "customer-bob" not in text_of(any_store)
    assert (after.current, after.revision) == (2, before.revision + 1)
    for version in after.versions:
        left = {key: data for key, data in old[version.number].items() if key != ("customer-bob",)}
        assert models_in(any_store, version) == left
        assert list(models_in(any_store, version)) == list(left)
        assert len(version.folders) == 1
    assert [v.statuses for v in after.versions] == [
        {"trained": 3, "failed": 1},
        {"trained": 2, "reused": 1, "failed": 1},
    ]
    assert [v.rows for v in after.versions] == [3 * 40 + 7] * 2
    check_whole(any_store)


def test_a_version_that_never_had_the_group_is_not_touched(store: Store) -> None:
    publish(store, "f", TEXT, trained(*TOLD))
    publish(store, "f", TEXT, trained(*TOLD[1:], number=2))
    before = manifest_of(store).versions
    delete(store, who="customer-anna")
    after = manifest_of(store).versions
    assert after[1] == before[1]
    assert after[0].files != before[0].files


def test_the_last_group_of_a_version_can_go(store: Store) -> None:
    publish(store, "f", TEXT, trained("customer-anna"))
    delete(store, who="customer-anna")
    (version,) = manifest_of(store).versions
    assert (keys_in(store, version), models_in(store, version), version.statuses, version.rows) == ([], {}, {}, 0)
    assert "customer-anna" not in text_of(store)
    check_whole(store)


def test_a_group_without_a_model_can_go(store: Store) -> None:
    publish_two(store)
    found = delete(store, who="customer-eve")
    assert [(loss.groups, loss.models) for loss in found.losses] == [(1, 0), (1, 0)]
    assert [v.statuses for v in manifest_of(store).versions] == [{"trained": 4}, {"trained": 2, "reused": 2}]
    check_whole(store)


def test_the_record_stays_true(tmp_path: Path) -> None:
    store = Store(tmp_path)
    before = publish(
        store,
        "f",
        TEXT,
        [*trained("a", "b"), Group(key=("c",), status="reused", model_version=7)],
        model_versions=[1, 7],
        rows_without_label=5,
        metrics={"rmse": Quantiles(count=3, min=1, q25=1, median=2, q75=3, max=3)},
        chosen={"Ridge(alpha=1)": 2, "Lasso()": 1},
    )
    (file,) = store.files("f", before, "groups")
    groups = read_groups([file])
    for name, values in {
        "metrics": pa.array([[("rmse", 1.0)], [("rmse", 2.0)], [("rmse", 3.0)]], groups["metrics"].type),
        "data_digest": pa.array(["28-1-1", "26-1-1", "25-1-1"]),  # 40, 38 and 37 of 40 rows have a label
        "chosen": pa.array(["Lasso()", "Ridge(alpha=1)", "Ridge(alpha=1)"]),
    }.items():
        own = name in groups.column_names
        groups = groups.drop_columns(name) if own else groups
        groups = groups.append_column(name, values)
    pq.write_table(groups, file)
    delete(store, who="c")
    after = manifest_of(store).versions[0]
    assert after.metrics == {"rmse": Quantiles(count=2, min=1, q25=1.25, median=1.5, q75=1.75, max=2)}
    assert (after.rows, after.rows_without_label, after.model_versions) == (80, 2, [1])
    assert list(after.chosen.items()) == [("Lasso()", 1), ("Ridge(alpha=1)", 1)]
    assert after.fingerprints.data != before.fingerprints.data
    kept = {"chosen", "files", "metrics", "rows", "rows_without_label", "model_versions", "statuses", "fingerprints"}
    assert after.model_dump(exclude=kept) == before.model_dump(exclude=kept)


def test_some_columns_name_all_groups_that_have_these_values(store: Store) -> None:
    keys = {"store_id": pa.int64(), "day": pa.date32()}
    days = [np.datetime64(f"2024-01-0{n}").item() for n in (1, 2, 3)]
    publish(store, "f", keys, trained(*((store_id, day) for day in days for store_id in (17, 18))))
    publish(store, "f", keys, trained((17, days[0]), (18, days[0]), number=2))
    found = delete(store, store_id="17")
    assert [(loss.groups, loss.models) for loss in found.losses] == [(3, 3), (1, 1)]
    assert (found.groups, found.models) == (3, 4)
    (stone,) = manifest_of(store).forgotten
    assert (stone.columns, stone.groups, stone.models, stone.versions) == (["store_id"], 3, 4, [1, 2])
    assert keys_in(store, manifest_of(store).versions[0]) == [(18, day) for day in days]
    delete(store, run_id="forget2", store_id="18", day="2024-01-02")
    assert keys_in(store, manifest_of(store).versions[0]) == [(18, days[0]), (18, days[2])]
    check_whole(store)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (pa.int64(), 17, "17"),
        (pa.float64(), 1.5, "1.50"),
        (pa.float64(), float("nan"), "null"),
        (pa.decimal128(20, 2), 3, "3"),
        (pa.bool_(), True, "true"),
        (pa.date32(), np.datetime64("2024-02-03").item(), "2024-02-03"),
        (pa.timestamp("us"), np.datetime64("2024-02-03T04:05:06").item(), "2024-02-03 04:05:06"),
        (pa.timestamp("us", "UTC"), np.datetime64("2024-02-03T04:05:06").item(), "2024-02-03 04:05:06"),
        (pa.timestamp("us", "UTC"), np.datetime64("2024-02-03T04:05:06").item(), "2024-02-03T05:05:06+01:00"),
        (pa.string(), None, "null"),
        (pa.string(), "a=b, 'c'", "a=b, 'c'"),
        (pa.binary(), b"17", "17"),
    ],
)
def test_values_are_written_as_their_type_is(tmp_path: Path, kind: pa.DataType, value: Any, text: str) -> None:
    store = Store(tmp_path)
    publish(store, "f", {"k": kind}, [Group(key=(value,), model=model_of("it"))])
    delete(store, k=text)
    manifest = manifest_of(store)
    assert models_in(store, manifest.versions[0]) == {}
    assert forgotten_at(manifest.forgotten, {"k": pa.array([value], kind)}) == manifest.forgotten[0].forgotten_at
    check_whole(store)


def test_versions_that_are_grouped_in_other_ways_are_told_apart(store: Store) -> None:
    publish(store, "f", {"region": pa.string()}, trained("north"))
    publish(store, "f", {"store_id": pa.string()}, trained("17", "18"))
    publish(store, "f", {"store_id": pa.int32(), "region": pa.string()}, trained((17, "north"), (18, "north")))
    found = delete(store, store_id="17")
    assert [(loss.version.number, loss.groups) for loss in found.losses] == [(2, 1), (3, 1)]
    assert [v.number for v in found.others] == [1]
    found = delete(store, run_id="forget2", store_id="18", region="north")
    assert [loss.version.number for loss in found.losses] == [3]
    assert [v.number for v in found.others] == [1, 2]
    assert keys_in(store, manifest_of(store).versions[1]) == [("18",)]


def test_a_value_that_only_some_versions_can_hold_is_looked_for_in_those(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, "f", {"k": pa.int64()}, trained(17))
    publish(store, "f", {"k": pa.string()}, trained("seventeen"))
    assert [loss.version.number for loss in delete(store, k="seventeen").losses] == [2]


def test_what_does_not_fit_is_told(store: Store) -> None:
    with pytest.raises(InputError, match="was never built") as caught:
        delete(store, k="1")
    assert caught.value.diagnostics[0].code == Code.NOT_BUILT
    assert store.place.files("f") == []  # no lock, no folder
    publish(store, "f", {"store_id": pa.int64()}, trained(17))
    for key, said in [
        ({"store_id": "18"}, "no version of family `f` has a group with store_id = 18"),
        ({"store": "17"}, "`store` is no group column of family `f`"),
        ({"store_id": "x"}, "`x` is no value of type int64"),
    ]:
        for sure in (False, True):
            with pytest.raises(InputError, match=said) as caught:
                forget(store, "f", key, run_id="r", delete=sure)
            assert caught.value.diagnostics[0].code == Code.BAD_OPTION
    assert manifest_of(store).forgotten == []


# What was held back ---------------------------------------------------------------------------------------------------


def hold_back_one(store: Store, *groups: Group) -> None:
    """Keep the next version as the candidate."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(model_samples, "publish_version", lambda *given: hold_back(*given, ["it is worse"]))
        publish(store, "f", TEXT, groups)


def candidate_in(store: Store) -> VersionRecord:
    candidate = candidate_of(store, "f", store.manifest("f"))
    assert candidate is not None
    return candidate.version


def test_the_candidate_loses_the_group_too_and_can_still_be_published(any_store: Store) -> None:
    publish_two(any_store)
    hold_back_one(any_store, *trained(*TOLD, number=3))
    found = delete(any_store, who="customer-bob")
    assert [(loss.version.number, loss.held_back, loss.models) for loss in found.losses] == [
        (1, False, 1),
        (2, False, 0),
        (3, True, 1),
    ]
    assert "customer-bob" not in text_of(any_store)
    assert manifest_of(any_store).forgotten[0].versions == [1, 2]
    assert set(models_in(any_store, candidate_in(any_store))) == {(who,) for who in TOLD if who != "customer-bob"}
    with any_store.locked("f"):
        assert publish_candidate(any_store, "f").current == 3
    check_whole(any_store)


def test_a_group_of_the_candidate_alone_leaves_a_tombstone(store: Store) -> None:
    publish(store, "f", TEXT, trained(*TOLD[1:]))
    hold_back_one(store, *trained(*TOLD, number=2))
    versions = manifest_of(store).versions
    delete(store, who="customer-anna")
    assert manifest_of(store).versions == versions
    assert (manifest_of(store).forgotten[0].versions, manifest_of(store).forgotten[0].groups) == ([], 1)
    assert "customer-anna" not in text_of(store)
    check_whole(store)


def test_a_family_that_was_never_published_forgets_what_was_held_back(store: Store) -> None:
    hold_back_one(store, *trained(*TOLD))
    delete(store, who="customer-anna")
    assert "customer-anna" not in text_of(store)
    assert store.manifest("f") is None
    with store.locked("f"):
        assert publish_candidate(store, "f").current == 1
    check_whole(store)


# Tombstones -----------------------------------------------------------------------------------------------------------


def test_a_tombstone_answers_who_knows_the_key_and_nobody_else(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, "f", {"k": pa.int64()}, trained(17, 18))
    publish(store, "g", {"k": pa.int64()}, trained(17, 18))
    delete(store, k="17")
    delete(store, "g", k="17")
    stones = [*manifest_of(store).forgotten, *manifest_of(store, "g").forgotten]
    assert stones[0].salt != stones[1].salt
    assert not set(stones[0].keys) & set(stones[1].keys)
    asked = pa.array([17, 18, None])
    for same in (asked, asked.cast(pa.float64()), asked.cast(pa.decimal128(21, 2)), asked.cast(pa.int8())):
        assert are_forgotten(stones[:1], {"k": same, "other": same}).tolist() == [True, False, False]
    assert not are_forgotten(stones, {"k": asked.cast(pa.string())}).any()
    assert not are_forgotten(stones, {"other": asked}).any()


def test_tombstones_outlive_everything_that_is_done_with_versions(store: Store, tmp_path: Path) -> None:
    publish_two(store)
    delete(store, who="customer-anna")
    stones = manifest_of(store).forgotten
    publish(store, "f", TEXT, trained(*TOLD[1:], number=3))
    rollback(store, "f", 1)
    prune(store, "f", keep=1, delete=True)
    assert [v.number for v in manifest_of(store).versions] == [1, 3]
    delete(store, run_id="forget2", who="customer-bob")
    assert manifest_of(store).forgotten[:1] == stones
    renamed = Store(store.root, {"h": ("f",)})
    publish(renamed, "h", TEXT, trained("customer-cleo", number=4))
    assert len(manifest_of(store, "h").forgotten) == 2
    manifest = manifest_of(store, "h")
    copy_version(store, manifest, manifest.versions[0], [1], tmp_path / "copy")
    copied = Store(tmp_path / "copy")
    assert manifest_of(copied, "h").forgotten == manifest.forgotten
    assert verify_store(copied).damages == ()
    check_whole(store)


def test_who_asks_again_is_told_when_it_was_forgotten(store: Store) -> None:
    publish_two(store)
    delete(store, who="customer-anna")
    before = everything(store)
    again = delete(store, run_id="forget2", who="customer-anna")
    assert (again.losses, again.earlier) == ((), manifest_of(store).forgotten[0].forgotten_at)
    assert everything(store) == before


def test_a_group_that_came_back_can_go_again(store: Store) -> None:
    publish_two(store)
    delete(store, who="customer-anna")
    publish(store, "f", TEXT, trained(*TOLD, number=3))
    found = delete(store, run_id="forget2", who="customer-anna")
    assert [loss.version.number for loss in found.losses] == [3]
    assert found.earlier is not None
    assert "customer-anna" not in text_of(store)


def test_readers_of_before_ignore_tombstones(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish_two(store)
    delete(store, who="customer-anna")
    written = json.loads((tmp_path / "f/manifest.json").read_text())
    assert written["schema"] == 1
    assert Manifest.model_validate({k: v for k, v in written.items() if k != "forgotten"}).forgotten == []


# Others at work -------------------------------------------------------------------------------------------------------


def test_a_family_that_is_being_built_forgets_nothing(any_store: Store) -> None:
    publish_two(any_store)
    before = everything(any_store)
    with any_store.locked("f", run_id="r9"):
        for sure in (False, True):
            with pytest.raises(StoreLocked, match="run r9"):
                forget(any_store, "f", {"who": "customer-anna"}, run_id="r", delete=sure)
    assert everything(any_store) == before


def test_a_build_that_publishes_in_the_middle_wins(any_store: Store) -> None:
    publish_two(any_store)
    place = type(any_store.place)
    real = place.replace
    with pytest.MonkeyPatch.context() as patched:

        def late(self: Any, name: str, content: bytes, former: Any) -> None:
            patched.setattr(place, "replace", real)
            patched.setattr(Store, "locked", lambda *_, **__: nullcontext())
            publish(any_store, "f", TEXT, trained(*TOLD, number=3))  # by a build whose lease had run out
            real(self, name, content, former)

        patched.setattr(place, "replace", late)
        with pytest.raises(StoreLocked, match="came first; nothing was changed"):
            delete(any_store, who="customer-anna")
    assert [v.number for v in manifest_of(any_store).versions] == [1, 2, 3]
    assert verify_store(any_store).damages == ()
    assert not any("forget1" in name for name in everything(any_store))


def test_a_sleeping_build_that_held_the_group_cannot_publish(remote: Store) -> None:
    publish_two(remote)
    asleep = stage_version(remote, "f", 3, "asleep")  # its lease has run out
    asleep.write_groups(pa.table({"who": ["customer-anna"], "status": ["trained"]}))
    delete(remote, who="customer-anna")
    assert "customer-anna" not in text_of(remote)
    assert asleep.former != remote.place.edition("f/manifest.json")


def test_leftovers_go_too_since_they_may_hold_the_group(any_store: Store) -> None:
    publish_two(any_store)
    with any_store.locked("f"):  # a build that dies
        stage_version(any_store, "f", 3, "dead").write_groups(
            pa.table({"who": ["customer-zoe"], "status": ["trained"]})
        )
    found = delete(any_store, who="customer-zoe")
    assert (found.losses, found.leftovers) == ((), ("f/v000003-dead",))
    assert "customer-zoe" not in text_of(any_store)
    check_whole(any_store)


def test_what_cannot_be_deleted_is_told_and_the_next_tries_again(
    any_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_two(any_store)
    with monkeypatch.context() as patched:
        patched.setattr(type(any_store.place), "remove", lambda *_: None)
        with pytest.raises(InputError, match="2 folders that may hold them cannot be deleted"):
            delete(any_store, who="customer-anna")
    assert len(delete(any_store, run_id="forget2", who="customer-anna").leftovers) == 2
    assert "customer-anna" not in text_of(any_store)
    check_whole(any_store)


def test_a_damaged_table_is_told_and_nothing_is_changed(store: Store) -> None:
    publish_two(store)
    file = next(f for f in manifest_of(store).versions[0].files if f.table == "models")
    with store.place.writing(f"f/{file.path}") as out:
        out.write(b"PAR1 and no more")
    before = everything(store)
    with pytest.raises(InputError, match="cannot read a table"):
        delete(store, who="customer-dora")
    assert everything(store) == before


def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    publish_two(store)
    before = everything(store)
    for method, message in [("writing", "cannot write"), ("copy", "no room"), ("replace", "no room")]:

        def full(self: Any, name: str, *_: Any, message: str = message) -> Any:
            from modelfactory.diagnostics import input_error

            raise input_error(Code.STORE, message)

        with monkeypatch.context() as patched:
            patched.setattr(LocalFolder, method, full)
            with pytest.raises(InputError, match=message):
                delete(store, who="customer-anna")
        assert everything(store) == before


# Dying ----------------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for the end of the process."""


CHANGES = ("writing", "copy", "sync", "replace", "remove")


def dying_after(patched: pytest.MonkeyPatch, store: Store, steps: int) -> list[str]:
    """Have the process die after so many steps that change a store; return the list in which these are noted."""
    done: list[str] = []
    for method in CHANGES:
        real: Any = getattr(type(store.place), method)

        def dying(self: Any, *arguments: Any, real: Any = real, method: str = method) -> Any:
            if len(done) >= steps:
                raise Killed
            done.append(method)
            return real(self, *arguments)

        patched.setattr(type(store.place), method, dying)
    return done


def forgotten_until(store: Store, steps: int, family: str = "f") -> list[str]:
    """Forget a group, and die after so many steps; return these."""
    with pytest.MonkeyPatch.context() as patched:
        done = dying_after(patched, store, steps)
        with suppress(Killed):
            delete(store, family, who="customer-bob")
    return done


def old_or_new(store: Store, before: Manifest, old: Mapping[int, Mapping[Any, bytes]]) -> bool:
    """Check that a manifest and all it names are as they were, or all without the group; return whether they are."""
    assert verify_store(store).damages == ()
    candidate = candidate_of(store, "f", store.manifest("f"))
    if candidate is not None:
        assert len(models_in(store, candidate.version)) == len(keys_in(store, candidate.version))
    after = manifest_of(store)
    if after == before:
        assert {v.number: models_in(store, v) for v in after.versions} == old
        return False
    for version in after.versions:
        assert ("customer-bob",) not in keys_in(store, version)
        left = {key: data for key, data in old[version.number].items() if key != ("customer-bob",)}
        assert models_in(store, version) == left
    return True


def test_killed_at_any_step_all_is_as_it_was_or_all_is_done(tmp_path: Path) -> None:
    whole = Store(tmp_path / "whole")
    publish_two(whole)
    hold_back_one(whole, *trained(*TOLD, number=3))
    before = manifest_of(whole)
    old = {v.number: models_in(whole, v) for v in before.versions}
    steps, outcomes = 0, []
    while True:
        store = Store(shutil.copytree(tmp_path / "whole", tmp_path / str(steps)))
        done = forgotten_until(store, steps)
        outcomes.append(old_or_new(store, before, old))
        match steps % 3:
            case 0:
                delete(store, run_id="forget2", who="customer-bob")
            case 1:
                prune(store, "f", keep=5, delete=True)
                store.check_whole("f", candidate_in(store))
            case _:
                publish(store, "f", TEXT, trained("customer-cleo", number=3))
        check_whole(store)
        assert outcomes[-1] <= ("customer-bob" not in text_of(store))
        assert steps % 3 or "customer-bob" not in text_of(store)
        if len(done) < steps:
            break
        steps += 1
    assert outcomes == sorted(outcomes)  # first all is as it was, then all is done
    assert set(done) == set(CHANGES)
    assert {False, True} == set(outcomes)


@pytest.mark.parametrize("last", ["writing", "replace", "remove"])
def test_killed_on_an_object_store(remote: Store, last: str) -> None:
    publish_two(remote)
    before = manifest_of(remote)
    old = {v.number: models_in(remote, v) for v in before.versions}
    real: Any = getattr(type(remote.place), last)
    with pytest.MonkeyPatch.context() as patched:

        def dying(self: Any, *arguments: Any) -> Any:
            dying_after(patched, remote, 0)
            if last == "replace":  # what was asked for is done, and the answer is lost
                real(self, *arguments)
            raise Killed

        patched.setattr(type(remote.place), last, dying)
        with pytest.raises(Killed):
            delete(remote, who="customer-bob")
    assert old_or_new(remote, before, old) is (last in ("replace", "remove"))
    delete(remote, run_id="forget2", who="customer-bob")
    assert "customer-bob" not in text_of(remote)
    check_whole(remote)


# Renamed families -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("built", [False, True], ids=["not built since", "built since"])
def test_a_renamed_family_forgets_under_all_its_names(store: Store, built: bool) -> None:
    check_renamed(store, built=built)


def test_a_renamed_family_forgets_under_all_its_names_on_an_object_store(remote: Store) -> None:
    check_renamed(remote, built=True)


def check_renamed(store: Store, *, built: bool) -> None:
    publish_two(store)
    renamed = Store(store.root, {"h": ("g", "f")})
    if built:
        publish(renamed, "h", TEXT, trained(*TOLD, number=3))
    found = delete(renamed, "h", who="customer-bob")
    assert [loss.version.number for loss in found.losses] == ([1, 2, 3] if built else [1, 2])
    assert "customer-bob" not in text_of(store)
    for name in ("f", "h") if built else ("f",):
        manifest = manifest_of(store, name)
        assert len(manifest.forgotten) == 1
        assert all(len(keys_in(store, v, name)) in (3, 4) for v in manifest.versions)
    check_whole(renamed)
    publish(renamed, "h", TEXT, trained("customer-cleo", number=4))
    prune(renamed, "h", keep=1, delete=True)
    check_whole(renamed)


def test_a_family_whose_former_name_the_project_has_dropped_forgets_there_too(store: Store) -> None:
    publish_two(store)
    publish(Store(store.root, {"h": ("f",)}), "h", TEXT, trained(*TOLD, number=3))
    delete(store, "h", who="customer-bob")  # of a project that knows no former name
    assert "customer-bob" not in text_of(store)
    check_whole(store)


def test_a_renamed_family_that_dies_in_the_middle_forgets_the_rest_the_next_time(tmp_path: Path) -> None:
    publish_two(Store(tmp_path / "whole"))
    publish(Store(tmp_path / "whole", {"h": ("f",)}), "h", TEXT, trained(*TOLD, number=3))
    for steps in (0, 20, *range(34, 41)):  # the manifests are replaced after 35 and 36
        store = Store(shutil.copytree(tmp_path / "whole", tmp_path / str(steps)), {"h": ("f",)})
        forgotten_until(store, steps, "h")
        assert verify_store(store).damages == ()
        publish(Store(store.root), "f", TEXT, trained("customer-cleo", number=3))  # by who has not heard of the name
        assert verify_store(store).damages == ()
        delete(store, "h", run_id="forget2", who="customer-bob")
        assert "customer-bob" not in text_of(store)
        check_whole(store)


# Any history ----------------------------------------------------------------------------------------------------------

NAMES = st.text("abAB01é-", min_size=1, max_size=4).map(lambda text: f"<{text}>")


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[list[tuple[str, str, int | None]]], int, int]:
    """Return versions, each of groups with name, status and version of the model; files and models of a row group."""
    names = draw(st.lists(NAMES, min_size=1, max_size=8, unique=True))
    versions: list[list[tuple[str, str, int | None]]] = []
    has: dict[str, int] = {}
    for number in range(1, draw(st.integers(1, 4)) + 1):
        groups: list[tuple[str, str, int | None]] = []
        for name in draw(st.lists(st.sampled_from(names), min_size=1, unique=True)):
            status = draw(st.sampled_from(["trained", "failed", *(["reused"] if name in has else [])]))
            groups.append((name, status, has.get(name) if status == "reused" else None))
            has |= {name: number} if status == "trained" else {}
        versions.append(groups)
    return versions, draw(st.integers(1, 3)), draw(st.integers(1, 3))


@settings(max_examples=15, deadline=None)
@given(history=histories(), which=st.integers(0, 7))
def test_whatever_was_published_the_group_is_gone_and_the_rest_is_as_it_was(
    tmp_path_factory: pytest.TempPathFactory,
    history: tuple[list[list[tuple[str, str, int | None]]], int, int],
    which: int,
) -> None:
    versions, files, row_group_size = history
    store = Store(tmp_path_factory.mktemp("forget"))
    for number, groups in enumerate(versions, start=1):
        outcomes = [
            Group(
                key=(name,),
                status=status,
                model=model_of(name, number=number) if status == "trained" else None,
                model_version=model_version,
            )
            for name, status, model_version in groups
        ]
        publish(store, "f", TEXT, outcomes, files=files, row_group_size=row_group_size)
    names = sorted({name for groups in versions for name, *_ in groups})
    gone = names[which % len(names)]
    before = manifest_of(store)
    old = {v.number: (keys_in(store, v), models_in(store, v), layout(store, v)) for v in before.versions}
    delete(store, who=gone)
    assert gone not in text_of(store)
    assert gone.encode().hex() not in text_of(store)
    for version in manifest_of(store).versions:
        keys, models, sizes = old[version.number]
        assert keys_in(store, version) == [key for key in keys if key != (gone,)]
        assert models_in(store, version) == {key: data for key, data in models.items() if key != (gone,)}
        assert sum(version.statuses.values()) == len(keys_in(store, version))
        assert max(layout(store, version), default=0) <= max(sizes, default=0)
    check_whole(store)


def layout(store: Store, version: VersionRecord) -> list[int]:
    """Return the models of each row group."""
    footers = [pq.ParquetFile(file).metadata for file in store.files("f", version, "models")]
    return [footer.row_group(i).num_rows for footer in footers for i in range(footer.num_row_groups)]


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("writer", ["as Spark writes", "as pyarrow writes"])
@pytest.mark.parametrize("without", [[0], [4], [0, 1, 2], [3, 7, 9], [*range(10)]], ids=str)
def test_a_file_without_some_rows_is_otherwise_the_same(tmp_path: Path, without: Sequence[int], writer: str) -> None:
    table = pa.table(
        {
            "k": pa.array([f"key {n}" for n in range(10)]),
            "price": pa.array([None, *range(9)], pa.decimal128(9, 2)),
            "nested": pa.array([{"a": [n, None], "m": [("x", float(n))]} for n in range(10)], NESTED),
            "data": pa.array([bytes([n]) * 1000 for n in range(10)]),
        }
    ).replace_schema_metadata({"written": "by a test"})
    options: dict[str, Any] = {"use_dictionary": ["k"], "write_statistics": ["k", "price"], "compression": "zstd"}
    if writer == "as Spark writes":
        options |= {"store_schema": False, "store_decimal_as_integer": True}
    with pq.ParquetWriter(tmp_path / "old", table.schema, **options) as out:
        out.write_table(table, row_group_size=4)
        out.add_key_value_metadata({"more": "of it"})
    write_without(LocalFolder(tmp_path), "old", np.array(without), "new")
    old, new = pq.ParquetFile(tmp_path / "old"), pq.ParquetFile(tmp_path / "new")
    kept = [n for n in range(10) if n not in without]
    assert new.read() == table.take(pa.array(kept, pa.int64()))
    assert new.schema.equals(old.schema)
    told = [{k: v for k, v in f.metadata.metadata.items() if k != b"ARROW:schema"} for f in (old, new)]
    assert told[0] == told[1]
    assert new.schema_arrow.equals(old.schema_arrow, check_metadata=True)
    sizes = [sum(start <= n < start + 4 for n in kept) for start in (0, 4, 8)]
    assert [new.metadata.row_group(i).num_rows for i in range(new.metadata.num_row_groups)] == [n for n in sizes if n]
    for group in range(new.metadata.num_row_groups):
        for column in range(old.metadata.num_columns):
            was, now = (file.metadata.row_group(0 if file is old else group).column(column) for file in (old, new))
            for what in ("compression", "has_dictionary_page", "is_stats_set", "physical_type"):
                assert getattr(now, what) == getattr(was, what), (what, was.path_in_schema)


NESTED = pa.struct([("a", pa.list_(pa.int64())), ("m", pa.map_(pa.string(), pa.float64()))])
