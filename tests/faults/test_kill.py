"""`kill -9` of a build at any moment: its versions stay whole, nothing stays alive, the next build cleans up."""

from __future__ import annotations

import random
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fault_support import assert_whole
from support import started_build, wait_until_gone, write_project

from modelfactory.store.local import LOCK
from modelfactory.store.manifest import VersionRecord
from modelfactory.store.store import MANIFEST, Store

FAMILIES = {
    "lines": ("k", "LinearRegression"),
    "forests": ("shop", "{class: RandomForestRegressor, params: {n_estimators: 10}}"),
    "trees": ("k", "{class: DecisionTreeRegressor, params: {max_features: 1}}"),
}
GROUPS = {"lines": 300, "forests": 100, "trees": 300}
ROWS = 300 * 30


def project(folder: Path, *, seed: int) -> Path:
    """Write a project of three families whose models depend on the seed."""
    rng = np.random.default_rng(5)
    number = np.arange(ROWS)
    columns = {"k": number % 300, "shop": number % 100, "a": rng.normal(size=ROWS), "b": rng.normal(size=ROWS)}
    (folder / "data").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**columns, "y": rng.normal(size=ROWS)}), folder / "data/rows.parquet")
    families = "".join(
        f"- {{name: {name}, group_by: {key}, source: rows, features: [a, b], label: y, seed: {seed}, "
        f"estimator: {estimator}, evaluate: {{holdout: 0.2}}}}\n"
        for name, (key, estimator) in FAMILIES.items()
    )
    return write_project(
        folder,
        {
            "sources/rows.yml": "sources: [{name: rows, path: data/rows.parquet}]\n",
            "families/all.yml": f"families:\n{families}",
        },
    )


def built(folder: Path, **environ: str) -> float:
    """Build a project; return the seconds it took."""
    began = time.monotonic()
    process = started_build(folder, "--full-refresh", **environ)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return time.monotonic() - began


def versions(folder: Path, family: str) -> list[VersionRecord]:
    """Return all versions of a family, the current one last; every file of theirs is whole."""
    store = Store(folder / "store")
    manifest = store.manifest(family)
    assert manifest is not None
    for version in manifest.versions:
        assert_whole(store, family, version)
    assert manifest.version() == manifest.versions[-1]
    return manifest.versions


def current(folder: Path, family: str) -> VersionRecord:
    """Return the current version of a family, in which every group and every row is accounted for."""
    version = versions(folder, family)[-1]
    groups = pq.read_table(Store(folder / "store").files(family, version, "groups"))
    assert groups.num_rows == GROUPS[family] == sum(version.statuses.values())
    assert sum(groups["n_rows"].to_pylist()) == ROWS == version.rows
    assert sum(file.rows for file in version.files if file.table == "models") == version.statuses["trained"]
    return version


def models(folder: Path, family: str) -> dict[int, str]:
    """Return the digest of each group's current model."""
    files = Store(folder / "store").files(family, current(folder, family), "groups")
    return {row[FAMILIES[family][0]]: row["model_sha256"] for row in pq.read_table(files).to_pylist()}


Moment = Callable[[float, set[str]], bool]
"""Tells from the seconds since the start, and from the folders that are new in the store, if it is time to kill."""


def after(seconds: float) -> Moment:
    return lambda passed, _: passed >= seconds


def when_models_have_their_place(_: float, new: set[str]) -> bool:
    return any(name.startswith("v0") for name in new)


def when_groups_are_written(_: float, new: set[str]) -> bool:
    """Tell whether the last table of a version is being written; the manifest names it a moment later."""
    return "groups" in new


def folders(folder: Path) -> set[Path]:
    return {*folder.glob("store/*/v*"), *folder.glob("store/*/v*/groups")}


def kill(folder: Path, is_time: Moment, **environ: str) -> bool:
    """Start a build and kill its driver when it is time; return whether it had not ended before."""
    before = folders(folder)
    process, began = started_build(folder, "--full-refresh", **environ), time.monotonic()
    while process.poll() is None and not is_time(time.monotonic() - began, {p.name for p in folders(folder) - before}):
        time.sleep(0.001)
    process.kill()
    _, said = process.communicate()
    assert process.returncode in {-signal.SIGKILL, 0}, said
    wait_until_gone(process.pid)
    return process.returncode != 0


def leftovers(folder: Path) -> list[str]:
    """Return what is in the store and in `target` and is named by no manifest, nor meant to stay."""
    named = {family: {Path(f.path).parts[0] for v in versions(folder, family) for f in v.files} for family in FAMILIES}
    left = [
        file
        for family in FAMILIES
        for file in (folder / "store" / family).iterdir()
        if file.name not in {MANIFEST, LOCK, *named[family]}
    ]
    return sorted(str(file.relative_to(folder)) for file in [*left, *folder.rglob("*.tmp")])


@pytest.mark.faults
def test_a_killed_build_costs_nothing_but_itself(tmp_path):
    folder, calm = tmp_path / "killed", tmp_path / "calm"
    chance = random.Random(9)
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as scratch:  # short: the name of a socket has to fit
        built(project(folder, seed=1), TMPDIR=scratch)
        before = {family: models(folder, family) for family in FAMILIES}
        took = built(project(calm, seed=2), TMPDIR=scratch)
        expected = {family: models(calm, family) for family in FAMILIES}
        assert before["forests"] != expected["forests"]

        project(folder, seed=2)
        moments = [after((n + chance.random()) / 10 * took) for n in range(10)]
        for is_time in [when_groups_are_written, *moments, when_models_have_their_place]:
            numbers = {family: current(folder, family).number for family in FAMILIES}
            killed = kill(folder, is_time, TMPDIR=scratch)
            assert killed or is_time in moments
            for family, number in numbers.items():
                now = current(folder, family).number
                assert now in {number, number + 1}
                assert models(folder, family) == (before if now == 1 else expected)[family]

        built(folder, TMPDIR=scratch)
        assert {family: models(folder, family) for family in FAMILIES} == expected
        assert leftovers(folder) == []
        assert not list(Path(scratch).glob("mf-*"))
