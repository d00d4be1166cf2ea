"""Builds whose store is on an object store.

Spark's own connector to S3 is no part of Spark. A folder stands in for it: Hadoop mounts it at the bucket's URL, and
what either side has written is carried to the other before it is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest
from support import RecordingReporter, workspace_of, write_project

from modelfactory import open_store
from modelfactory.commands.build import build
from modelfactory.commands.inspect import list_families, list_groups
from modelfactory.commands.report import BuildResult
from modelfactory.commands.scope import Sample, Scope
from modelfactory.spark import training
from modelfactory.store.store import Store
from modelfactory.store.verifying import verify_store


@pytest.fixture
def project(spark: Any, remote: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose store is at a URL that Spark reaches."""
    folder = write_project(
        tmp_path / "project",
        {
            "rows.csv": "k,x,y\n" + "\n".join(f"{n % 3},{n},{n * n % 7}" for n in range(59)),
            "sources/s.yml": """\
                sources:
                - {name: s, path: rows.csv, format: csv, options: {header: true, inferSchema: true}}
            """,
            "families/f.yml": """\
                families:
                - {name: f, group_by: [k], source: s, features: [x], label: y, estimator: Ridge}
                - {name: g, group_by: [k], source: s, features: [x], label: y, estimator: Lasso, min_rows: 20}
            """,
            "profiles.yml": f"targets: {{local: {{store: '{remote.root}'}}}}\n",
        },
    )
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    bucket = str(remote.root).removeprefix("s3://").partition("/")[0]
    settings = {
        "fs.s3a.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        "fs.viewfs.overload.scheme.target.file.impl": "org.apache.hadoop.fs.LocalFileSystem",
        f"fs.viewfs.mounttable.{bucket}.link./some": f"file://{mounted}",
    }
    hadoop = spark._jsc.hadoopConfiguration()
    for name, value in settings.items():
        hadoop.set(name, value)
    s3, local = remote.place.opened("")[0], fs.LocalFileSystem()
    real_url, real_read = training._hadoop_url, training._read_outcomes

    def in_folder(path: str) -> str:
        return str(mounted / path.removeprefix(f"{bucket}/some/"))

    def carry_to_spark(url: str) -> str:
        path = url.removeprefix("s3://")
        Path(in_folder(path)).mkdir(parents=True, exist_ok=True)
        fs.copy_files(path, in_folder(path), source_filesystem=s3, destination_filesystem=local)
        return real_url(url)

    def carry_to_driver(staging: training.Scratch) -> training.Outcomes:
        if Path(in_folder(staging.path)).exists():
            fs.copy_files(
                in_folder(staging.path),
                staging.path,
                source_filesystem=local,
                destination_filesystem=staging.filesystem,
            )
        return real_read(staging)

    monkeypatch.setattr(training, "_hadoop_url", carry_to_spark)
    monkeypatch.setattr(training, "_read_outcomes", carry_to_driver)
    yield folder
    for name in settings:
        hadoop.unset(name)


def run(folder: Path, spark: Any, *select: str) -> BuildResult:
    scope = Scope(full_refresh=True)
    return build(workspace_of(folder, *select), RecordingReporter(), session=spark, scope=scope)


def test_versions_are_built_listed_and_whole(spark: Any, project: Path, remote: Store) -> None:
    for number in (1, 2):
        done = run(project, spark)
        assert done.exit_code == 0, [family.diagnostics for family in done.families]
        assert [family.version for family in done.families] == [number, number]
    listings, unreadable = list_families(workspace_of(project))
    assert not unreadable
    assert [(listing.name, listing.current_version, listing.groups) for listing in listings] == [
        ("f", 2, {"trained": 3}),
        ("g", 2, {"trained": 2, "too_few_rows": 1}),
    ]
    table = list_groups(workspace_of(project), "f", where="status = trained", sort="k", limit=None)
    assert table["k"].to_pylist() == [0, 1, 2]
    found = verify_store(remote)
    assert (found.versions, found.damages, found.leftovers) == (4, (), ())
    manifest = remote.manifest("f")
    assert manifest is not None
    (version,) = [v for v in manifest.versions if v.number == 2]
    models = [pq.read_table(file.open()) for file in remote.files("f", version, "models")]
    assert sum(len(table) for table in models) == 3
    assert {Path(file.path).parent.name for file in version.files} == {"groups", "models"}


def test_a_family_that_another_build_holds_is_not_built_and_another_one_is(
    spark: Any, project: Path, remote: Store
) -> None:
    with remote.locked("f", run_id="other"):
        held, free = run(project, spark).families
    assert (held.status, held.exit_code) == ("error", 5)
    assert "run other" in held.diagnostics[0].message
    assert (free.status, free.version) == ("success", 1)


def test_a_build_that_fails_leaves_nothing(
    spark: Any, project: Path, remote: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(staging: training.Scratch) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(training, "_read_outcomes", full)
    (failed,) = run(project, spark, "f").families
    assert (failed.status, failed.exit_code) == ("error", 1)
    assert remote.manifest("f") is None
    assert verify_store(remote).leftovers == ()


def test_a_sample_has_a_folder_of_its_own_and_a_build_on_no_rows_leaves_none(
    spark: Any, project: Path, remote: Store
) -> None:
    for scope in (Scope(empty=True), Scope(sample=Sample(groups=2))):
        workspace = workspace_of(project, "f")
        (family,) = build(workspace, RecordingReporter(), session=spark, scope=scope).families
        assert (family.status, family.version) == ("success", None), family.diagnostics
    assert remote.manifest("f") is None
    assert remote.place.folders("") == ["build-sample"]
    tried = open_store(f"{remote.root}/build-sample").family("f")
    assert [type(model).__name__ for _, model in tried.models()] == ["Ridge"] * 2
