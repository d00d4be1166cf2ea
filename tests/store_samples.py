"""Versions of a family `f` for tests of the store, written without Spark."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from modelfactory.commands.workspace import Workspace
from modelfactory.plan.fingerprint import plain
from modelfactory.store.manifest import FileRecord, Fingerprints, Manifest, MeaningRecord, VersionRecord
from modelfactory.store.store import Store
from modelfactory.store.versions import Staging, publish_version, stage_version

GROUPS = pa.table({"k": ["a", "b"], "status": ["trained", "failed"]})


def version(number: int, files: list[FileRecord]) -> VersionRecord:
    return VersionRecord(
        number=number,
        run_id=f"run{number}",
        started_at="2024-01-01T00:00:00+00:00",
        published_at="2024-01-01T00:00:00+00:00",
        mf_version="0",
        libraries={},
        definition={},
        fingerprints=Fingerprints(definition="", metadata="", data="", environment=""),
        group_by=["k"],
        label=None,
        task="unsupervised",
        features=[],
        statuses={"trained": 1, "failed": 1},
        rows=2,
        rows_without_label=0,
        metrics={},
        baseline={},
        cpu_seconds=0,
        wall_seconds=0,
        training_seconds=0,
        slots=1,
        efficiency=None,
        files=files,
    )


def stage(store: Store, number: int) -> Staging:
    """Write all of a version but its name in the manifest."""
    staging = stage_version(store, "f", number, f"run{number}")
    staging.write_groups(GROUPS)
    write_models(staging)
    staging.adopt_models(f"{staging.scratch}/written")
    return staging


def write_models(staging: Staging) -> None:
    """Write a model table as Spark would."""
    filesystem, path, _ = staging.place.opened(f"{staging.scratch}/written")
    with filesystem.open_output_stream(f"{path}/part-7.parquet") as out:
        pq.write_table(pa.table({"k": ["a"], "model": [b"\x80"]}), out)
    with filesystem.open_output_stream(f"{path}/_SUCCESS"):
        pass


def publish(store: Store, number: int) -> Manifest:
    with store.locked("f"):
        staging = stage(store, number)
        made = publish_version(store, staging, version(number, staging.seal()))
        staging.discard()
        return made


def publish_family(workspace: Workspace, family: str, **more: object) -> None:
    """Publish the first version of a family of a real project, with its definition and no more."""
    step = next(step for step in workspace.plan.steps if step.family == family)
    prints = Fingerprints(
        definition=step.definition_fingerprint,
        metadata=step.metadata_fingerprint,
        parents=step.parents_fingerprint,
        data="",
        environment="",
    )
    with workspace.store.locked(family):
        staging = stage_version(workspace.store, family, 1, "run1")
        staging.write_groups(GROUPS)
        write_models(staging)
        staging.adopt_models(f"{staging.scratch}/written")
        record = version(1, staging.seal())
        kept = {"meaning": MeaningRecord(**plain(step.meaning)), "fingerprints": prints, **more}
        publish_version(workspace.store, staging, record.model_copy(update=kept))
