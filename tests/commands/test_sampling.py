"""Samples are drawn by hash and seed out of what would be trained; what cannot be read is told."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_samples import publish
from support import ONE_ROW, workspace_of, write_project

from modelfactory.commands.run import start_run
from modelfactory.commands.sampling import sampled
from modelfactory.commands.scope import Sample, Scope, read_sample
from modelfactory.commands.trials import EMPTY, SAMPLE, clear_sample, trial, with_trial_store
from modelfactory.commands.workspace import Workspace
from modelfactory.diagnostics import Code, InputError, StoreLocked
from modelfactory.plan.schedule import Census
from modelfactory.plan.steps import TrainStep
from modelfactory.spark.census import CensusTable
from modelfactory.store.store import Store
from modelfactory.store.verifying import verify_store


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory) -> TrainStep:
    """A family whose groups need five rows."""
    folder = write_project(tmp_path_factory.mktemp("project"), ONE_ROW)
    return dataclasses.replace(workspace_of(folder).plan.steps[0], min_rows=5, max_rows=1000)


def census(rows: list[int], *, order: np.ndarray | None = None) -> CensusTable:
    """Return the census of groups named by their place, of so many rows each."""
    g = len(rows)
    order = np.arange(g) if order is None else order
    names = pa.array([str(i) for i in order])
    counts, nothing = np.array(rows, dtype=np.int64)[order], np.zeros(g, dtype=bool)
    identity = (np.arange(g, dtype=np.int64) * 7919)[order]
    return CensusTable(
        keys=pa.table({"k": names}),
        digests=pa.chunked_array([names]),
        census=Census(
            group=identity, n_rows=counts, n_usable=counts, null_key=nothing, one_class=nothing, inexact=nothing
        ),
    )


def chosen(step: TrainStep, found: CensusTable, **sample: int) -> set[str]:
    return set(sampled(step, found, Sample(**sample))[1].keys["k"].to_pylist())


@settings(deadline=None)
@given(rows=st.lists(st.sampled_from([2, 9, 100, 5000]), min_size=1, max_size=40), n=st.integers(1, 50), data=st.data())
def test_so_many_of_the_groups_are_drawn_that_would_be_trained(
    step: TrainStep, rows: list[int], n: int, data: st.DataObject
) -> None:
    allowed = {str(i) for i, count in enumerate(rows) if 5 <= count <= 1000}
    found = chosen(step, census(rows), groups=n)
    if not allowed:
        assert len(found) == len(rows)  # the build will say why
        return
    assert found <= allowed
    assert len(found) == min(n, len(allowed))
    # whatever the order of the census, and more of them contain the fewer
    order = np.array(data.draw(st.permutations(range(len(rows)))))
    assert chosen(step, census(rows, order=order), groups=n) == found
    assert found <= chosen(step, census(rows), groups=n + 1)


def test_another_seed_draws_others_and_not_the_first(step: TrainStep) -> None:
    found = census([10] * 1000)
    drawn = []
    for seed in range(20):
        seeded = dataclasses.replace(step, fit=dataclasses.replace(step.fit, seed=seed))
        drawn.append(frozenset(chosen(seeded, found, groups=10)))
    assert len(set(drawn)) == 20
    places = np.array([int(name) for names in drawn for name in names])
    assert 400 < places.mean() < 600


@pytest.mark.parametrize(
    ("on_too_many", "most", "rows", "wanted"),
    [("skip", 1000, 50, 50), ("skip", 1000, 5000, 5000), ("sample", 100, 5000, 100), ("sample", 100, 50, 50)],
)
def test_rows_are_drawn_as_on_too_many_draws_them(
    step: TrainStep, on_too_many: str, most: int, rows: int, wanted: int
) -> None:
    step = dataclasses.replace(step, max_rows=most, on_too_many=on_too_many)
    tried, found = sampled(step, census([2, 60, 5000]), Sample(rows=rows))
    assert (tried.max_rows, tried.on_too_many) == (wanted, "sample")
    # a group that a rule keeps out stays out
    assert found.keys["k"].to_pylist() == (["1"] if on_too_many == "skip" else ["1", "2"])
    assert tried.definition_fingerprint == step.definition_fingerprint
    assert sampled(step, census([60]), Sample(groups=3))[0] == step


@pytest.mark.parametrize(
    ("text", "sample"),
    [
        ("groups=20", Sample(groups=20)),
        ("rows=5000", Sample(rows=5000)),
        ("groups=20,rows=5000", Sample(groups=20, rows=5000)),
        (" rows = 1 , groups = 2 ", Sample(groups=2, rows=1)),
    ],
)
def test_a_sample_is_read(text: str, sample: Sample) -> None:
    assert read_sample(text) == sample


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "`` is neither `groups=…` nor `rows=…`"),
        ("20", "`20` is neither"),
        ("group=20", "`group=20` is neither"),
        ("groups=20,", "`` is neither"),
        ("groups=20;rows=3", "`groups` is to be a whole number above zero"),
        ("groups=0", "`groups` is to be a whole number above zero"),
        ("rows=-5", "`rows` is to be a whole number above zero"),
        ("rows=1.5", "`rows` is to be a whole number above zero"),
        ("rows=1e3", "`rows` is to be a whole number above zero"),
        ("rows=" + "9" * 30, "`rows` is to be a whole number above zero"),
        ("groups=1,groups=2", "`groups` is given twice"),
    ],
)
def test_what_is_no_sample_is_told(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_sample(text)
    (found,) = caught.value.diagnostics
    assert (found.code, found.help) == (Code.BAD_OPTION, "--sample groups=20,rows=5000")
    assert said in found.message


# Where they go --------------------------------------------------------------------------------------------------------


def workspace_at(folder: Path, store: str) -> Workspace:
    """Return a project whose store is at a URL."""
    profiles = f"targets: {{local: {{store: '{store}'}}}}\n"
    return workspace_of(write_project(folder, {**ONE_ROW, "profiles.yml": profiles}))


@pytest.mark.parametrize("root", ["s3://bucket/some/store", "s3://bucket/some/store/", "gs://bucket"])
def test_a_trial_is_a_folder_of_the_store_wherever_that_is(tmp_path: Path, root: str) -> None:
    workspace = workspace_at(tmp_path, root)
    there = with_trial_store(workspace, Scope(sample=Sample(groups=1)), "run")
    assert there.store.root == f"{root.rstrip('/')}/{SAMPLE}"
    assert there.store_with("f") == there.store
    assert there.store_with("another").root == workspace.published.root
    assert with_trial_store(workspace, Scope(empty=True), "run").store.root == f"{root.rstrip('/')}/{EMPTY}run"
    assert with_trial_store(workspace, Scope(), "run") is workspace


def test_a_sample_takes_the_place_of_the_last_one_and_of_no_version(remote: Store, tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path, str(remote.root))
    sample = Store(f"{remote.root}/{SAMPLE}")
    for store in (remote, sample):
        publish(store, 1)
        publish(store, 2)
    run = start_run(tmp_path)
    with sample.locked("f"), pytest.raises(StoreLocked):
        trial(workspace, Scope(sample=Sample(groups=1)), run).__enter__()
    with trial(workspace, Scope(sample=Sample(groups=1)), run) as there:
        assert there.store.root == sample.root
        assert there.store.manifest("f") is None
        publish(there.store, 1)
    assert verify_store(remote).versions == 2
    assert (verify_store(sample).versions, verify_store(sample).damages) == (1, ())
    assert clear_sample(remote, "f")
    assert not clear_sample(remote, "f")
    assert verify_store(remote).leftovers == ()


def test_what_was_built_on_no_rows_is_gone_and_so_is_what_died_long_ago(tmp_path: Path) -> None:
    workspace = workspace_of(write_project(tmp_path, ONE_ROW))
    store = workspace.published
    for name in ("20200101T000000-abcdef", "20990101T000000-abcdef", "no run"):
        publish(Store(tmp_path / f"store/{EMPTY}{name}"), 1)

    def interrupted() -> None:
        with trial(workspace, Scope(empty=True), start_run(tmp_path)) as there:
            publish(there.store, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert store.place.folders("") == [f"{EMPTY}20990101T000000-abcdef", f"{EMPTY}no run"]
    assert verify_store(store).leftovers == ()
